# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportMissingImports=false, reportOptionalSubscript=false
import pytest
import torch

from unbraid.data import DataError, load
from unbraid.data.coloured_digits import coloured_digits

PARTS = ("train", "validation", "test")


def agreement(data):
    """Share of the data whose colour is their label."""
    return float((data.factors[:, 0] == data.labels).double().mean())


@pytest.fixture(scope="module")
def splits():
    return load("coloured-digits", seed=4)


@pytest.mark.parametrize("part", PARTS)
def test_digits_are_in_the_channel_of_their_colour(splits, part):
    data, plain = getattr(splits, part), getattr(load("mnist-small", seed=4), part)
    assert data.shape == (3, 28, 28) and data.kind == "colour"
    assert data.factor_names == ("colour", "digit") and data.factor_sizes == (2, 10)
    colour, digit = data.factors.T
    red = (colour == 0)[:, None, None]
    grey = plain.images[:, 0]
    assert torch.equal(data.images[:, 0], grey * red)
    assert torch.equal(data.images[:, 1], grey * ~red)
    assert not data.images[:, 2].any()
    assert torch.equal(digit, plain.labels)


@pytest.mark.parametrize(
    ("task", "names", "of_classes"),
    [
        ("halves", ("0 to 4", "5 to 9"), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
        ("parity", ("even", "odd"), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]),
    ],
)
def test_labels_are_of_two_classes(task, names, of_classes):
    data = load("coloured-digits", options={"task": task}).train
    assert data.label_names == names
    assert torch.equal(data.labels, torch.tensor(of_classes)[data.factors[:, 1]])


@pytest.mark.parametrize("task", ["halves", "parity"])
@pytest.mark.parametrize("correlation", [0.9, 0.5, 0.2])
def test_colours_tell_the_label_as_often_as_they_should(task, correlation):
    """Binomials of 9000, 1000 and 2000 draws; 6 standard deviations in 18 cases: 4e-8."""
    found = coloured_digits(1, task=task, correlation=correlation)
    for part in PARTS:
        data = getattr(found, part)
        spread = (correlation * (1 - correlation) / len(data)) ** 0.5
        assert abs(agreement(data) - correlation) < 6 * spread


def test_colours_tell_nothing_else_of_the_digit(splits):
    """Chi-square of the ten classes' shares, ten degrees of freedom: false alarms of 1e-6."""
    data = splits.train
    classes = data.factors[:, 1]
    total = classes.bincount().double()
    agreeing = classes[data.factors[:, 0] == data.labels].bincount(minlength=10)
    statistic = ((agreeing - 0.9 * total) ** 2 / (0.09 * total)).sum()
    assert torch.special.gammaincc(torch.tensor(5.0, dtype=torch.float64), statistic / 2) > 1e-6


def test_colours_may_tell_all_or_the_opposite():
    sure = coloured_digits(0, correlation=1.0, test_correlation=0.0)
    assert [agreement(getattr(sure, part)) for part in PARTS] == [1, 1, 0]
    never = coloured_digits(0, correlation=0.0)
    assert [agreement(getattr(never, part)) for part in PARTS] == [0, 0, 0]


def test_the_test_part_may_have_a_correlation_of_its_own(splits):
    shifted = load("coloured-digits", seed=4, options={"test_correlation": "0.5"})
    for part in ("train", "validation"):
        assert torch.equal(getattr(shifted, part).images, getattr(splits, part).images)
    assert abs(agreement(shifted.test) - 0.5) < 6 * 0.5 / 2000**0.5  # fails with 2e-9


def test_the_seed_leaves_the_test_part_as_it_is(splits):
    other = coloured_digits(5)
    assert torch.equal(splits.test.images, other.test.images)
    assert not torch.equal(splits.train.factors[:, 0], other.train.factors[:, 0])
    again = coloured_digits(4)
    assert all(torch.equal(getattr(splits, p).images, getattr(again, p).images) for p in PARTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "primes"}, "task is 'primes'; expected one of halves, parity"),
        ({"correlation": 1.1}, "correlation is 1.1; expected a probability, from 0 to 1"),
        ({"test_correlation": -0.1}, "test_correlation is -0.1; expected a probability"),
        ({"correlation": float("nan")}, "correlation is nan; expected a probability"),
        ({"digits_from": "usps"}, "digits_from is 'usps'; expected one of mnist-small, mnist"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        coloured_digits(0, **options)
