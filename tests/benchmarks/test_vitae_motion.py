"""Relative motions that are read off two warps, against products of matrices."""

import importlib
import math
from pathlib import Path

import pytest
import torch

from unbraid.transforms import Affine, make_transform


@pytest.fixture
def motion(monkeypatch):
    """The module; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return importlib.import_module("benchmarks.vitae_motion")


def matrices(angle: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Rotation by `angle` from x towards y, then the shift, as 3 x 3."""
    found = torch.eye(3, dtype=torch.float64).repeat(len(angle), 1, 1)
    found[:, 0, 0] = found[:, 1, 1] = angle.cos()
    found[:, 1, 0], found[:, 0, 1] = angle.sin(), -angle.sin()
    found[:, :2, 2] = shift
    return found


def test_the_motion_from_one_warp_to_another_is_the_second_after_the_inverse_of_the_first(motion):
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(2, 50, 3, generator=generator, dtype=torch.float64) - 0.5
    warp = make_transform("rotation+translation", (1, 28, 28)).double()
    found = motion.relative_motion(warp, draws[0], draws[1])
    one, other = (matrices(d[:, 0], d[:, 1:]) for d in draws)
    expected = other @ one.inverse()
    torch.testing.assert_close(found, expected[:, :2], rtol=0, atol=1e-12)
    torch.testing.assert_close(motion.readings(found)[:, 0], draws[1, :, 0] - draws[0, :, 0])
    torch.testing.assert_close(motion.readings(found)[:, 1:], expected[:, :2, 2])


def test_a_warp_that_both_images_share_cancels(motion):
    """Where both images show the same canonical image, moved, its own pose does not matter."""
    generator = torch.Generator().manual_seed(1)
    own = torch.randn(20, 6, generator=generator, dtype=torch.float64) / 4
    affine = Affine().double()
    points = torch.tensor([[0.3, -0.2], [0.0, 0.5]], dtype=torch.float64).expand(20, 2, 2)
    canonical = affine.inverse_points(points, own)
    maps = motion.relative_motion(affine, own, 2 * own)
    moved = affine.points(canonical, 2 * own)
    linear = points @ maps[..., :2].transpose(1, 2) + maps[..., 2].unsqueeze(1)
    torch.testing.assert_close(linear, moved, rtol=0, atol=1e-12)


def test_readings_of_a_quarter_turn_and_a_shift(motion):
    turn = torch.tensor([[[0.0, -2.0, 0.1], [2.0, 0.0, -0.4]]])
    expected = torch.tensor([[math.pi / 2, 0.1, -0.4]])
    torch.testing.assert_close(motion.readings(turn), expected)


def test_agreement_by_class_names_whose_rotations_are_missed(motion):
    """A class that is read exactly, one whose turns are not seen at all, one digit upside down."""
    labels = torch.tensor([0, 7]).repeat(100)
    true = torch.linspace(-0.5, 0.5, 200, dtype=torch.float64)
    found = true.clone()
    found[labels == 7] = true[labels == 7].mean()
    found[0] = true[0] + math.pi
    moved = torch.where(labels == 7, 0.5, 0.25)
    zeros, sevens, others, most = motion.by_class(true, found, moved, labels)
    assert (zeros.name, sevens.name, zeros.count, sevens.count, most.count) == (
        *("0", "7"),
        *(100, 100, 198),
    )
    spread = true[labels == 7].var(correction=0)
    total = math.pi**2 + 100 * float(spread)
    assert sevens.r2 == pytest.approx(0, abs=1e-9)
    assert sevens.degrees == pytest.approx(math.degrees(spread.sqrt()))
    assert sevens.movement == pytest.approx(0.5)
    assert zeros.degrees == pytest.approx(18)  # pi in one of a hundred
    assert zeros.share == pytest.approx(math.pi**2 / total)
    assert zeros.share + sevens.share == pytest.approx(1)
    assert (others.name, others.count, others.r2) == ("all but 0", 100, sevens.r2)
    assert most.share < sevens.share  # without the one upside down, and the worst seven
