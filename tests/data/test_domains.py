# pyright: reportArgumentType=false, reportOptionalMemberAccess=false, reportIndexIssue=false
# pyright: reportOptionalOperand=false, reportAttributeAccessIssue=false
# pyright: reportMissingImports=false, reportOptionalSubscript=false
import numpy as np
import pytest
import torch

from unbraid.data import Batches, DataError, load
from unbraid.data.bouncing import uniforms
from unbraid.data.domains import _halves, draw_patches, mnist_domains

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def digits():
    return load("mnist-small", seed=4)


@pytest.fixture(scope="module")
def coloured():
    return load("mnist-domains", seed=4, options={"target": "coloured"})


@pytest.fixture(scope="module")
def inverted():
    return load("mnist-domains", seed=4)


@pytest.mark.parametrize("part", PARTS)
def test_every_digit_is_in_one_domain(digits, inverted, part):
    data, plain = getattr(inverted, part), getattr(digits, part)
    assert data.factor_names == ("domain",) and data.factor_sizes == (2,)
    there = data.factors[:, 0] == 1
    assert there.sum() == (~there).sum() == len(plain) // 2
    back = torch.where(there[:, None, None, None], 255 - data.images, data.images)
    assert torch.equal(back, plain.images)
    by_class = torch.stack([plain.labels, data.factors[:, 0]])
    _, sizes = by_class.unique(dim=1, return_counts=True)
    assert (sizes.view(10, 2).diff().abs() <= 1).all()


@pytest.mark.parametrize("target", ["inverted", "coloured"])
def test_target_digits_to_train_on_have_no_labels(digits, target, request):
    splits = request.getfixturevalue(target)
    there = splits.train.factors[:, 0] == 1
    assert (splits.train.labels[there] == -1).all()
    assert torch.equal(splits.train.labels[~there], digits.train.labels[~there])
    for part in ("validation", "test"):
        assert torch.equal(getattr(splits, part).labels, getattr(digits, part).labels)
    assert splits.train.label_names == tuple("0123456789")


@pytest.mark.parametrize(
    ("labelled", "domains"), [("source", [0]), ("target", [1]), ("both", [0, 1])]
)
def test_labels_are_those_of_the_domains_that_were_asked_for(digits, inverted, labelled, domains):
    splits = load("mnist-domains", seed=4, options={"labelled": labelled})
    domain = splits.train.factors[:, 0]
    assert torch.equal(domain, inverted.train.factors[:, 0])
    known = sum(domain == d for d in domains).bool()
    assert torch.equal(splits.train.labels >= 0, known)
    assert torch.equal(splits.train.labels[known], digits.train.labels[known])
    assert torch.equal(splits.test.labels, digits.test.labels)


def test_a_few_target_digits_have_labels(digits):
    few, more = (
        load("mnist-domains", seed=4, options={"labels_per_class": n}).train for n in (2, 5)
    )
    for data, count in ((few, 2), (more, 5)):
        known = (data.factors[:, 0] == 1) & (data.labels >= 0)
        assert (data.labels[known].bincount() == count).all()
        assert torch.equal(data.labels[known], digits.train.labels[known])
    assert ((few.labels >= 0) <= (more.labels >= 0)).all()


def test_dim_patches_are_darker_than_any_digit(digits, coloured):
    dim = load("mnist-domains", seed=4, options={"target": "coloured", "brightness": 0.5}).train
    digit, there = digits.train.images, dim.factors[:, 0] == 1
    background = there[:, None, None, None] & (digit == 0).expand(-1, 3, -1, -1)
    bright = coloured.train.images[background].double()
    assert (dim.images[background].double() - bright / 2).abs().max() <= 0.5
    ink = there[:, None, None, None] & (digit == 255).expand(-1, 3, -1, -1)
    assert dim.images[ink].min() >= 127


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labelled": "none"}, "labelled is 'none'; expected one of source, target, both"),
        ({"brightness": 1.5}, "brightness is 1.5; expected 0 to 1"),
        ({"labels_per_class": -1}, "labels_per_class is -1; expected an integer from 0 on"),
        ({"labels_per_class": 9999}, r"labels_per_class is 9999; expected at most \d+, the tar"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        mnist_domains(0, **options)


def test_coloured_targets_are_differences_from_smooth_patches(digits, coloured):
    data, digit = coloured.train, digits.train.images.short()
    there = data.factors[:, 0] == 1
    assert data.shape == (3, 28, 28) and data.kind == "colour"
    assert torch.equal(data.images[~there].short(), digit[~there].expand(-1, 3, -1, -1))
    image, digit = data.images[there].short(), digit[there].expand(-1, 3, -1, -1)
    patch = torch.where(digit == 255, 255 - image, image)
    known = (digit == 0) | (digit == 255)
    for axis in (2, 3):
        step = patch.diff(dim=axis).abs()
        rest = patch.shape[axis] - 1
        both = known.narrow(axis, 0, rest) & known.narrow(axis, 1, rest)
        assert step[both].max() < 40 < image.diff(dim=axis).abs()[both].max()


def test_both_targets_take_the_same_digits(coloured, inverted):
    for part in PARTS:
        assert torch.equal(getattr(coloured, part).factors, getattr(inverted, part).factors)
        assert torch.equal(getattr(coloured, part).labels, getattr(inverted, part).labels)


def test_patches_mix_a_coarse_and_a_fine_grid():
    """Where both grids are known by hand: at the corners, and in the middle of an odd side."""
    patches = draw_patches((7, 3), 11, 29).double()
    u = torch.from_numpy(uniforms((7, 3), 11, 3, 4 + 25))
    colours = (1 - torch.cos(np.pi * u)) / 2
    coarse, fine = colours[..., :4].unflatten(-1, (2, 2)), colours[..., 4:].unflatten(-1, (5, 5))
    for row in (0, -1):
        for column in (0, -1):
            expected = 255 * (0.7 * coarse[..., row, column] + 0.3 * fine[..., row, column])
            found = patches[..., row, column]
            assert ((found - expected).abs() <= 0.5 + 1e-9).all()
    expected = 255 * (0.7 * coarse.mean((2, 3)) + 0.3 * fine[..., 2, 2])
    assert ((patches[..., 14, 14] - expected).abs() <= 0.5 + 1e-9).all()


def test_patches_differ_and_use_every_brightness():
    """Colours are symmetric about the middle: 300 x 3 corners, 6 standard deviations: 2e-9."""
    patches = draw_patches((1,), 300, 28).double()
    assert len(patches.flatten(1).unique(dim=0)) == 300
    corner = patches[..., 0, 0] / 255
    assert abs(corner.mean() - 0.5) < 6 * corner.std() / 900**0.5
    assert corner.min() < 0.05 and corner.max() > 0.95
    assert (patches[:, 0] != patches[:, 1]).double().mean() > 0.9, "a patch is grey"


def test_domains_are_drawn_as_by_a_coin():
    """Sums over 2000 seeds of what each of 13 data is, 6 standard deviations: 3e-8."""
    classes = torch.tensor([0, 1, 0, 2, 2, 2, 1, 0, 0, 2, 1, 1, 2])
    counts, seeds = torch.zeros(13, 3), 2000
    for seed in range(seeds):
        domain = _halves(classes, (seed, 9))
        assert (domain == 0).sum() == (domain == 1).sum() == 6
        counts[torch.arange(13), domain] += 1
    assert counts[classes < 2, 2].sum() == 0 and counts[:, 2].sum() == seeds
    first = counts[classes == 0, 0]  # four of the first class: always two in either domain
    assert ((first - seeds / 2).abs() < 6 * (seeds / 4) ** 0.5).all()
    left_out = counts[classes == 2, 2]
    assert ((left_out - seeds / 5).abs() < 6 * (seeds * 0.16) ** 0.5).all()


@pytest.mark.parametrize("target", ["inverted", "coloured"])
def test_the_seed_leaves_the_test_part_as_it_is(target, request):
    one, other = request.getfixturevalue(target), mnist_domains(5, target=target)
    assert torch.equal(one.test.images, other.test.images)
    assert torch.equal(one.test.factors, other.test.factors)
    assert not torch.equal(one.train.images, other.train.images)
    again = mnist_domains(4, target=target)
    assert all(torch.equal(getattr(one, p).images, getattr(again, p).images) for p in PARTS)


def test_batches_say_the_domain(inverted):
    batch = Batches(inverted.train, 200, partners="domain").batch(3)
    assert torch.equal(batch["label"] == -1, batch["factors"][:, 0] == 1)
    other = batch["partner"]["index"]
    assert torch.equal(inverted.train.factors[other], batch["factors"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "svhn"}, "target is 'svhn'; expected one of inverted, coloured"),
        ({"digits_from": "usps"}, "digits_from is 'usps'; expected one of mnist-small, mnist"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        mnist_domains(0, **options)
    with pytest.raises(DataError, match=message):
        load("mnist-domains", options=options)
