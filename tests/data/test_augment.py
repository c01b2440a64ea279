# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIndexIssue=false, reportMissingImports=false
import math

import pytest
import torch

from unbraid.data import Batches, Binarise, Dataset, RandomAffine, freeze
from unbraid.data.augment import affine


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def still(count):
    return torch.zeros(count), torch.zeros(count, 2), torch.ones(count)


def test_threshold_cuts_at_a_half():
    x = torch.tensor([[0.0, 0.49, 0.5, 1.0]])
    assert Binarise("threshold")(x, noise()).tolist() == [[0.0, 0.0, 1.0, 1.0]]


def test_dynamic_draws_have_the_grey_value_as_mean():
    # 256 levels, each with 40 000 draws; |z| > 6 in any has probability below 6e-7.
    levels = torch.arange(256) / 255
    x = levels.repeat(40_000, 1)
    drawn = Binarise("dynamic")(x, noise())
    assert set(drawn.unique().tolist()) == {0.0, 1.0} and drawn.dtype == torch.float32
    spread = (levels * (1 - levels) / 40_000).sqrt()
    z = (drawn.double().mean(0) - levels) / spread.clamp(min=1e-12)
    assert z.abs().max() < 6
    assert drawn[:, 0].max() == 0 and drawn[:, -1].min() == 1


def test_dynamic_draws_of_neighbours_are_independent():
    # 39 999 products of fair signs; the mean's standard deviation is 1/200.
    signs = 2 * Binarise("dynamic")(torch.full((40_003,), 0.5), noise()) - 1
    for lag in (1, 2, 3, 4):
        assert abs((signs[lag:] * signs[:-lag]).mean()) < 5 / 200


def test_nothing_moves_at_rest():
    x = torch.rand(4, 3, 6, 10)
    assert torch.allclose(affine(x, *still(4)), x, atol=1e-6)


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, 1), (-3, 2)])
def test_a_shift_by_whole_pixels_is_a_roll_without_return(right, down):
    x = torch.zeros(1, 2, 8, 10)
    x[..., 3:5, 4:6] = torch.rand(1, 2, 2, 2)
    angle, _, scale = still(1)
    moved = affine(x, angle, torch.tensor([[right / 10, down / 8]]), scale)
    assert torch.allclose(moved, x.roll((down, right), (-2, -1)), atol=1e-5)


def test_what_moves_out_does_not_come_back():
    angle, _, scale = still(1)
    moved = affine(torch.ones(1, 1, 8, 10), angle, torch.tensor([[0.5, 0.0]]), scale)
    assert torch.allclose(moved[..., :5], torch.zeros(8, 5), atol=1e-5)
    assert torch.allclose(moved[..., 5:], torch.ones(8, 5), atol=1e-5)


def test_a_quarter_turn_is_rot90():
    x = torch.rand(2, 3, 7, 7)
    _, shift, scale = still(2)
    turned = affine(x, torch.full((2,), math.pi / 2), shift, scale)
    assert torch.allclose(turned, x.rot90(1, (-2, -1)), atol=1e-5)


def test_a_quarter_turn_keeps_proportions_where_the_image_is_not_square():
    x = torch.zeros(1, 1, 6, 12)
    x[..., 3:5, 5:9] = torch.rand(2, 4)
    _, shift, scale = still(1)
    turned = affine(x, torch.tensor([math.pi / 2]), shift, scale)
    assert torch.allclose(turned[..., 3:9], x[..., 3:9].rot90(1, (-2, -1)), atol=1e-5)


def test_the_turn_comes_before_the_shift():
    x = torch.zeros(1, 1, 8, 8)
    x[..., 1, 3] = 1
    moved = affine(x, torch.tensor([math.pi / 2]), torch.tensor([[0.25, 0.0]]), torch.ones(1))
    expected = x.rot90(1, (-2, -1)).roll(2, -1)
    assert torch.allclose(moved, expected, atol=1e-5)


def test_twice_the_size_covers_four_times_the_area():
    x = torch.zeros(1, 1, 16, 24)
    x[..., 6:10, 10:14] = 1
    angle, shift, _ = still(1)
    assert affine(x, angle, shift, torch.tensor([2.0])).sum() == pytest.approx(64, rel=1e-4)


def test_data_move_apart_and_frames_together():
    x = torch.rand(3, 1, 1, 9, 11).expand(3, 4, 2, 9, 11).contiguous()
    moved = RandomAffine()(x, noise())
    assert torch.allclose(moved, moved[:, :1, :1].expand_as(moved))
    same = torch.rand(1, 1, 9, 11).expand(3, 1, 9, 11).contiguous()
    moved = RandomAffine()(same, noise())
    assert not torch.allclose(moved[0], moved[1], atol=1e-2)


def test_draws_stay_within_their_ranges(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        "unbraid.data.augment.affine", lambda x, *draws: seen.update(enumerate(draws))
    )
    RandomAffine(degrees=30, translate=0.2, scale=(0.5, 2))(torch.zeros(5000, 1, 2, 3), noise())
    for values, low, high in (
        (seen[0], -math.pi / 6, math.pi / 6),
        (seen[1], -0.2, 0.2),
        (seen[2], 0.5, 2),
    ):
        # 5000 uniform draws all miss the outer 1 % at an end with probability 0.99**5000 < 1e-21.
        margin = 0.01 * (high - low)
        assert low <= values.min() < low + margin and high - margin < values.max() <= high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"degrees": -1}, "degrees is -1; expected at least 0"),
        ({"translate": math.nan}, "translate is nan; expected at least 0"),
        ({"scale": (0, 1)}, r"scale is \(0, 1\); expected"),
        ({"scale": (2, 1)}, r"scale is \(2, 1\); expected"),
    ],
)
def test_ranges_that_mean_nothing_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomAffine(**arguments)


def test_an_unknown_way_to_binarise_is_refused():
    with pytest.raises(ValueError, match="how is 'sometimes'; expected 'dynamic' or 'threshold'"):
        Binarise("sometimes")


def test_frozen_data_are_drawn_once_by_seed():
    data = Dataset(
        torch.randint(256, (1203, 1, 5, 7), dtype=torch.uint8), labels=torch.arange(1203)
    )
    frozen, again, other = (freeze(data, (Binarise("dynamic"),), seed) for seed in (4, 4, 5))
    assert frozen.kind == "binary" and torch.equal(frozen.images, again.images)
    assert not torch.equal(frozen.images, other.images)
    assert torch.equal(frozen.labels, data.labels)
    assert (
        frozen.images[data.images == 0].max() == 0
        and frozen.images[data.images == 255].min() == 255
    )


def test_freezing_without_transforms_changes_nothing():
    data = Dataset(torch.randint(256, (23, 3, 5, 7), dtype=torch.uint8))
    assert torch.equal(freeze(data, (), 0).images, data.images)


def test_freezing_rounds_to_the_nearest_byte():
    data = Dataset(torch.randint(256, (23, 1, 5, 7), dtype=torch.uint8))
    frozen = freeze(data, (lambda x, generator: x / 3,), 0)
    assert torch.equal(frozen.images, data.images.double().div(3).round().to(torch.uint8))


def test_frozen_dynamic_data_stay_as_they_were_drawn():
    data = Dataset(torch.full((9, 1, 5, 7), 100, dtype=torch.uint8), dynamic=True)
    frozen = freeze(data, (), 0)
    assert not frozen.dynamic and frozen.images.float().std() > 0
    batches = Batches(frozen, 9, shuffle=False)
    assert torch.equal(batches.batch(0)["x"].clone(), batches.batch(1)["x"])
