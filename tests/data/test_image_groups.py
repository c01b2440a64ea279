"""Groups of images: who is with whom, what stays known of whom, and what is refused."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false
# pyright: reportOptionalSubscript=false, reportIndexIssue=false, reportOperatorIssue=false
# pyright: reportMissingImports=false
import warnings

import pytest
import torch

from unbraid.data import Batches, DataError, Dataset, DataWarning, FrameStore, group_images, load

COUNT = 60
LABELS = torch.arange(COUNT) % 3
SHAPE = torch.arange(COUNT) // 2 % 2
PLACE = torch.arange(COUNT) % 5
COLOUR = torch.zeros(COUNT, dtype=torch.int64)


def images(dtype=torch.int64, **changes):
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (COUNT, 2, 5, 7), generator=generator, dtype=torch.uint8)
    known = {
        "images": pixels,
        "name": "things",
        "labels": LABELS,
        "label_names": ("a", "b", "c"),
        "factors": torch.stack([COLOUR, SHAPE, PLACE], 1).to(dtype),
        "factor_names": ("colour", "shape", "place"),
        "factor_sizes": (1, 2, 5),
    }
    return Dataset(**{**known, **changes})


def rows(groups, data):
    """Which image each frame is, found by its pixels."""
    frames = groups.pixels(torch.arange(len(groups))).flatten(0, 1).flatten(1)
    same = (frames[:, None] == data.images.flatten(1)[None]).all(-1)
    assert (same.sum(1) == 1).all()
    return same.int().argmax(1).unflatten(0, groups.images.shape[:2])


@pytest.mark.parametrize(
    ("shared", "value"),
    [("label", LABELS), ("shape", SHAPE), (("shape", "label"), SHAPE * 3 + LABELS)],
)
@pytest.mark.parametrize("size", [2, 5])
def test_images_of_a_group_share_what_they_should(shared, value, size):
    data = images()
    groups = group_images(data, shared, size, seed=3)
    assert groups.is_sequence and isinstance(groups.images, FrameStore)
    assert groups.shape == data.shape and groups.images.shape[1] == size and groups.lengths is None
    which = rows(groups, data)
    assert len(which.unique()) == which.numel()  # nobody twice
    assert (value[which] == value[which][:, :1]).all()
    for each, count in zip(*value.unique(return_counts=True), strict=True):
        assert (value[which[:, 0]] == each).sum() == count // size


def test_what_is_known_of_images_is_of_groups_or_of_frames():
    data = images()
    groups = group_images(data, "label", 4)
    which = rows(groups, data)
    assert groups.label_names == ("a", "b", "c")
    assert torch.equal(groups.labels, LABELS[which[:, 0]])
    assert groups.factor_names == ("colour",) and groups.factor_sizes == (1,)
    assert groups.frame_factor_names == ("shape", "place")
    assert groups.frame_factor_sizes == (2, 5)
    assert torch.equal(groups.frame_factors, torch.stack([SHAPE[which], PLACE[which]], -1))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_labels_that_are_not_shared_are_of_frames(dtype):
    data = images(dtype)
    groups = group_images(data, ("place", "shape"), 2)
    which = rows(groups, data)
    assert groups.labels is None and groups.label_names == ()
    assert groups.factor_names == ("colour", "shape", "place")
    assert torch.equal(groups.factors[:, 2], PLACE[which[:, 0]].to(dtype))
    assert groups.frame_factor_names == ("label",) and groups.frame_factor_sizes == (3,)
    assert torch.equal(groups.frame_factors[..., 0], LABELS[which].to(dtype))


def test_the_seed_says_who_is_with_whom():
    data = images()
    one, same, other = (rows(group_images(data, "shape", 3, seed=s), data) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_binary_images_stay_binary_and_packed():
    dots = load("dsprites-small", options={"size": 32, "groups": "shape", "group_size": 2}).train
    assert dots.kind == "binary" and dots.shape == (1, 32, 32)
    assert dots.factor_names == ("colour", "shape")
    frames = dots.pixels(torch.arange(50))
    assert frames.shape == (50, 2, 1, 32, 32) and set(frames.unique().tolist()) == {0, 255}
    black = images(images=(torch.arange(COUNT * 6) % 2 * 255).to(torch.uint8).view(COUNT, 1, 2, 3))
    assert group_images(black, "label").kind == "binary"
    assert group_images(images(images=black.images[:, :, :1] // 2), "label").kind == "grey"


def test_batches_draw_frames_of_groups():
    data = images()
    groups = group_images(data, "label", 5)
    which = rows(groups, data)
    batch = Batches(groups, 4, frames=3, seed=2).batch(1)
    chosen = which[batch["index"]].gather(1, batch["frame"])
    assert torch.equal(batch["x"], data.images[chosen] / torch.tensor(255.0))
    assert torch.equal(batch["frame_factors"][..., 1], PLACE[chosen])
    taken = groups.take(torch.tensor([3, 0]))
    assert torch.equal(rows(taken, data), which[torch.tensor([3, 0])])


def test_every_part_is_grouped_by_itself():
    plain = load("mnist-small", seed=1)
    parts = load("mnist-small", seed=1, options={"groups": "label", "group_size": "10"})
    for name in ("train", "validation", "test"):
        flat, groups = getattr(plain, name), getattr(parts, name)
        which = groups.images.rows
        assert len(which.unique()) == which.numel() and which.max() < len(flat)
        assert (flat.labels[which] == groups.labels[:, None]).all()
        assert torch.equal(
            groups.pixels(torch.arange(7)), flat.pixels(which[:7].flatten()).view(7, 10, 1, 28, 28)
        )


def test_parts_agree_on_what_is_of_frames():
    """A factor that happens to be the same in all groups of a small part is still of frames."""
    from unbraid.data import Splits
    from unbraid.data.image_groups import grouped

    data = images()
    few = data.take(((LABELS == 0) & (SHAPE == 0) | (LABELS == 1) & (SHAPE == 1)).nonzero()[:, 0])
    assert "shape" in group_images(few, "label", 2).factor_names
    parts = grouped(Splits(data, few, few), 0, groups=("label",), group_size=2)
    assert parts.test.factor_names == ("colour",)
    assert parts.test.frame_factor_names == ("shape", "place")


def test_values_of_too_few_images_are_left_out_with_a_warning():
    rare = LABELS.clone()
    rare[0] = 3
    data = images(labels=rare, label_names=tuple("abcd"))
    with pytest.warns(DataWarning, match="1 of 60 images of things is left out: fewer than 4 sh"):
        groups = group_images(data, "label", 4)
    assert 3 not in groups.labels
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a rest is no news
        group_images(images(), "label", 7)


@pytest.mark.parametrize(
    ("data", "given", "words"),
    [
        (
            images(),
            {"shared": "size"},
            "groups share 'size', which things do not have; expected one",
        ),
        (images(labels=None, label_names=()), {"shared": "label"}, "'label', which things do not"),
        (images(), {"shared": ()}, "groups share nothing; expected label, group or names"),
        (
            images(),
            {"shared": "label", "size": 1},
            "group_size is 1; expected an integer of at lea",
        ),
        (images(), {"shared": "label", "size": "3"}, "group_size is '3'; expected an integer"),
        (
            images(),
            {"shared": "label", "size": 21},
            "number of groups of 21 images of things that",
        ),
        (
            images(),
            {"shared": "colour"},
            "groups share colour, which is the same in all 60 images",
        ),
        (
            images(factor_sizes=(1, 0, 5)),
            {"shared": "shape"},
            "'shape', a continuous factor of th",
        ),
        (images(labels=LABELS - 1), {"shared": "label"}, "the label, which is not known of 20 of"),
        (
            images(images=torch.zeros(COUNT, 2, 1, 3, 4).byte()),
            {"shared": "label"},
            "are sequences",
        ),
    ],
)
def test_what_cannot_be_grouped_is_refused(data, given, words):
    with pytest.raises(DataError, match=words):
        group_images(data, **given)


def test_options_are_refused_where_they_make_no_sense():
    with pytest.raises(DataError, match="group_size is 4 without groups; expected both"):
        load("mnist-small", options={"group_size": 4})
    with pytest.raises(DataError, match="option of sprites is 'groups'; expected one of size"):
        load("sprites", options={"groups": "label"})
    with pytest.raises(DataError, match=r"do not have; expected one or several of: label"):
        load("mnist-small", options={"groups": "identity"})


def test_labels_that_are_not_known_are_no_class_of_frames():
    hidden = LABELS.clone()
    hidden[::2] = -1
    groups = group_images(images(labels=hidden), ("place", "shape"), 2)
    assert "label" not in (*groups.factor_names, *groups.frame_factor_names)
