"""Sets in which one factor varies: who is in them, how often, and what is refused."""

# pyright: reportArgumentType=false, reportOptionalMemberAccess=false, reportIndexIssue=false
from itertools import product

import pytest
import torch

from unbraid.data import Batches, Dataset, OneActive, load

SIZES = (1, 3, 2, 4)
NAMES = ("colour", "shape", "size", "place")
GRID = torch.tensor(list(product(*map(range, SIZES))))
KINDS = (("shape",), ("size", "place"))


def grid(rows=slice(None), **changes):
    factors = GRID[rows]
    images = torch.arange(len(factors) * 6, dtype=torch.uint8).view(-1, 1, 2, 3)
    known = {"factors": factors, "factor_names": NAMES, "factor_sizes": SIZES}
    return Dataset(**{"images": images, "name": "things", **known, **changes})


def batches(data, size=12, seed=5, kinds=KINDS, **changes):
    chosen = OneActive(kinds, **{"together": 4, **changes})
    return Batches(data, size, seed=seed, active=chosen)


def copied(batch):
    return {key: value.clone() for key, value in batch.items()}


def test_only_what_is_active_varies_in_a_set():
    made = batches(grid())
    varied = torch.zeros(2, len(NAMES), dtype=torch.bool)
    for step in range(40):
        batch = made.batch(step)
        sets = batch["factors"].view(3, 4, -1)
        active = batch["active"].view(3, 4)
        assert batch["active"].dtype == torch.int64
        assert (active == active[:, :1]).all()
        for values, kind in zip(sets, active[:, 0].tolist(), strict=True):
            changes = (values != values[:1]).any(0)
            free = torch.tensor([name in KINDS[kind] for name in NAMES])
            assert not (changes & ~free).any()
            varied[kind] |= changes
        assert torch.equal(GRID[batch["index"]], batch["factors"])
        assert torch.equal(batch["x"], made.dataset.images[batch["index"]] / torch.tensor(255.0))
    assert varied.tolist() == [[False, True, False, False], [False, False, True, True]]


def test_batches_are_a_function_of_the_seed_and_the_step():
    one, same, other = batches(grid()), batches(grid()), batches(grid(), seed=6)
    late = copied(one.batch(31))
    one.batch(2)
    for key, value in late.items():
        assert torch.equal(value, one.batch(31)[key]) and torch.equal(value, same.batch(31)[key])
    assert not torch.equal(late["index"], one.batch(30)["index"])
    assert not torch.equal(late["index"], other.batch(31)["index"])


def test_kinds_are_drawn_by_their_shares():
    """Binomial with p 3/4 of 1200 sets: 5 standard deviations, false alarms below 1e-6."""
    made = batches(grid(), shares=(1.0, 3.0))
    kinds = torch.cat([made.batch(step)["active"][::4] for step in range(400)])
    assert abs(float(kinds.float().mean()) - 0.75) < 5 * (0.75 * 0.25 / 1200) ** 0.5


def test_all_images_and_all_values_are_drawn_as_often():
    """Chi-square of 24 images over 4800 first places: beyond 74.2 once in a million."""
    made = batches(grid())
    first = torch.cat([made.batch(step)["index"][::4].clone() for step in range(1600)])
    counts = first.bincount(minlength=len(GRID)).double()
    assert float(((counts - 200) ** 2 / 200).sum()) < 74.2


def test_images_without_company_are_in_no_set():
    """An incomplete grid: places of shape 0 and 1 are whole, shape 2 has one image."""
    keep = (GRID[:, 1] < 2) | (GRID == torch.tensor([0, 2, 1, 3])).all(1)
    made = batches(grid(keep), kinds=(("place",),))
    seen = torch.cat([made.batch(step)["factors"][:, 1].clone() for step in range(200)])
    assert seen.max() == 1


def test_of_two_images_that_are_alike_in_all_nothing_varies():
    doubled = GRID[[0, 0, 1, 2, 3]]
    data = grid(slice(5), factors=doubled)
    made = batches(data, 4, kinds=(("place",), ("shape",), ("size",))[:1])
    assert set(made.batch(0)["index"].tolist()) <= {0, 1, 2, 3, 4}
    with pytest.raises(ValueError, match="no two things differ in shape alone; expected data in"):
        batches(data, 4, kinds=(("shape",),))


def test_dsprites_sets():
    data = load("dsprites-small", options={"size": 32}).train
    kinds = (("shape",), ("scale",), ("orientation",), ("position x",), ("position y",))
    batch = batches(data, 40, kinds=kinds, together=8).batch(3)
    for values, kind in zip(batch["factors"].view(5, 8, -1), batch["active"][::8], strict=True):
        changes = (values != values[:1]).any(0)
        changes[int(kind) + 1] = False
        assert not changes.any()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kinds": ()}, r"kinds of sets are \(\); expected at least one"),
        ({"kinds": ((),)}, "expected at least one, each of names"),
        ({"kinds": (("shape",), ("size", "shape"))}, "and no name twice"),
        ({"kinds": KINDS, "together": 1}, "together is 1; expected an integer of at least 2"),
        ({"kinds": KINDS, "shares": (1.0,)}, "expected 2 positive numbers, one per kind"),
        ({"kinds": KINDS, "shares": (1.0, 0.0)}, "expected 2 positive numbers, one per kind"),
        ({"kinds": KINDS, "shares": (1.0, float("nan"))}, "expected 2 positive numbers"),
    ],
)
def test_what_makes_no_sets_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        OneActive(**given)


def test_data_and_batches_without_sets_are_refused():
    with pytest.raises(ValueError, match="batch_size is 10; expected a multiple of 4, the images"):
        batches(grid(), 10)
    with pytest.raises(
        ValueError, match="a set share 'angle', which things do not have; expected"
    ):
        batches(grid(), kinds=(("angle",),))
    with pytest.raises(ValueError, match="a set share 'size', a continuous factor of things"):
        batches(grid(factor_sizes=(1, 3, 0, 4)))
    with pytest.raises(ValueError, match="which are sequences; expected images"):
        batches(grid(images=torch.zeros(24, 2, 1, 3, 3, dtype=torch.uint8)))
    for wrong in ({"partners": "shape"}, {"shuffle": False}):
        with pytest.raises(ValueError, match="active is given beside partners or shuffle=False"):
            Batches(grid(), 12, active=OneActive(KINDS, 4), **wrong)
