# pyright: reportArgumentType=false, reportIndexIssue=false, reportOptionalMemberAccess=false
import pytest
import torch

from unbraid.data import DataError, Dataset, PackedBits, describe


def grey(count=5, height=7, width=9, **known):
    return Dataset(
        torch.arange(count * height * width)
        .remainder(256)
        .to(torch.uint8)
        .view(count, 1, height, width),
        **known,
    )


def test_shape_is_that_of_one_image():
    data = grey()
    assert len(data) == 5 and data.shape == (1, 7, 9) and not data.is_sequence


def test_shape_of_a_sequence_is_that_of_one_frame():
    data = Dataset(torch.zeros(4, 6, 3, 7, 9, dtype=torch.uint8))
    assert len(data) == 4 and data.shape == (3, 7, 9) and data.is_sequence


@pytest.mark.parametrize(
    ("channels", "values", "dynamic", "kind"),
    [
        (1, (0, 255), False, "binary"),
        (3, (0, 255), False, "binary"),
        (1, (0, 254), False, "grey"),
        (1, (0, 254), True, "binary"),
        (3, (1, 255), False, "colour"),
    ],
)
def test_kind_follows_the_pixels(channels, values, dynamic, kind):
    images = torch.zeros(1030, channels, 2, 4, dtype=torch.uint8)
    images[-1], images[3] = values[0], values[1]
    assert Dataset(images, dynamic=dynamic).kind == kind


def test_take_keeps_data_and_what_is_known_together():
    data = grey(
        labels=torch.tensor([2, 0, 1, 1, 0]),
        factors=torch.arange(10).view(5, 2),
        groups=torch.arange(5) * 3,
    )
    taken = data.take(torch.tensor([3, 0]))
    assert torch.equal(taken.images, data.images[[3, 0]])
    assert taken.labels.tolist() == [1, 2] and taken.label_names == ("0", "1", "2")
    assert taken.factors.tolist() == [[6, 7], [0, 1]] and taken.factor_sizes == (9, 10)
    assert taken.groups.tolist() == [9, 0]


def test_packed_images_answer_like_plain_ones():
    images = (torch.rand(11, 1, 5, 7) < 0.5).to(torch.uint8) * 255
    plain, packed = Dataset(images), Dataset(PackedBits.pack(images))
    rows = torch.tensor([10, 2, 2])
    assert packed.shape == plain.shape and packed.kind == "binary" and len(packed) == 11
    assert torch.equal(packed.pixels(rows), plain.pixels(rows))
    assert torch.equal(packed.take(rows).pixels(torch.arange(3)), images[rows])


def test_describe_is_one_line():
    data = grey(name="faces", labels=torch.tensor([0, 1, 1, 0, 1]), factors=torch.zeros(5, 2))
    assert (
        describe(data) == "faces: 5 images, 1x7x9, grey, 2 labels, 2 factors (factor 0, factor 1)"
    )
    clips = Dataset(
        torch.ones(4, 6, 3, 7, 9, dtype=torch.uint8), groups=torch.tensor([0, 1, 1, 0])
    )
    assert describe(clips) == "data: 4 sequences, 6 frames of 3x7x9, colour, 2 groups"


def test_describe_speaks_of_one_thing_in_the_singular():
    data = grey(1, name="face", labels=torch.tensor([0]), factors=torch.zeros(1, 1))
    assert describe(data) == "face: 1 image, 1x7x9, grey, 1 label, 1 factor (factor 0)"
    clip = Dataset(torch.ones(1, 1, 3, 7, 9, dtype=torch.uint8), groups=torch.tensor([4]))
    assert describe(clip) == "data: 1 sequence, 1 frame of 3x7x9, colour, 1 group"


def test_describe_tells_true_lengths_of_a_part():
    clips = Dataset(torch.ones(3, 8, 1, 7, 9, dtype=torch.uint8), lengths=torch.tensor([2, 8, 6]))
    assert "3 sequences, 2 to 8 frames of" in describe(clips)
    assert "2 sequences, 2 to 6 frames of" in describe(clips.take(torch.tensor([0, 2])))
    assert "1 sequence, 6 frames of" in describe(clips.take(torch.tensor([2])))


def test_labels_may_be_unknown():
    data = grey(name="faces", labels=torch.tensor([0, -1, 2, -1, 0]))
    assert data.label_names == ("0", "1", "2")
    assert describe(data) == "faces: 5 images, 1x7x9, grey, 3 labels, known of 3"
    rest = data.take(torch.tensor([1, 3]))
    assert rest.label_names == ("0", "1", "2") and rest.labels.tolist() == [-1, -1]
    nothing = grey(labels=torch.full((5,), -1))
    assert nothing.label_names == () and describe(nothing).endswith("0 labels, known of 0")


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"images": torch.zeros(5, 1, 7, 9)}, "images of data are torch.float32; expected"),
        ({"images": torch.zeros(5, 63, dtype=torch.uint8)}, r"shape \(5, 63\); expected \(N, C"),
        ({"images": torch.zeros(5, 0, 7, 9, dtype=torch.uint8)}, "no axis of length 0"),
        ({"images": torch.zeros(0, 1, 7, 9, dtype=torch.uint8)}, "no axis of length 0"),
        (
            {"labels": torch.zeros(4, dtype=torch.int64)},
            "number of labels of data is 4; expected 5",
        ),
        ({"labels": torch.zeros(5)}, "labels of data are torch.float32; expected torch.int64"),
        ({"labels": torch.tensor([0, 1, -2, 0, 0])}, r"labels\[2\] of data is -2; expected at"),
        (
            {"labels": torch.tensor([0, 1, 1, 3, 0]), "label_names": ("a", "b", "c")},
            r"labels\[3\] of data is 3; expected 0 to 2",
        ),
        ({"factors": torch.zeros(5)}, r"factors of data have shape \(5,\); expected \(N, F\)"),
        (
            {"factors": torch.zeros(5, 2), "factor_names": ("x",)},
            "number of factor_names of data is 1; expected 2",
        ),
        ({"lengths": torch.ones(5, dtype=torch.int64)}, "given for images; expected sequences"),
        (
            {
                "images": torch.zeros(5, 6, 1, 7, 9, dtype=torch.uint8),
                "lengths": torch.tensor([6, 1, 7, 2, 2]),
            },
            r"lengths\[2\] of data is 7; expected 1 to 6 frames",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(known, message):
    images = known.pop("images", torch.zeros(5, 1, 7, 9, dtype=torch.uint8))
    with pytest.raises(DataError, match=message):
        Dataset(images, **known)
