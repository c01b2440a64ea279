"""Warps made of known parts are taken apart into those parts."""

import math

import pytest
import torch
from torch import Tensor

from unbraid.analysis import decompose
from unbraid.analysis.affine_parts import (  # pyright: ignore[reportMissingImports]
    fit_affine,
    linear_parts,
)
from unbraid.transforms import (
    Affine,
    Similarity,
    Translation,
    compose,
    make_transform,
    pixel_centres,
)

NAMES = ["rotation", "scale", "stretch", "shear", "shift_x", "shift_y", "deformation"]


def matrix_of(angle: Tensor, scale: Tensor, stretch: Tensor, shear: Tensor) -> Tensor:
    """R(angle) times scale times the matrix exponential of the strain, as defined."""
    a, b = stretch.log() / 2, shear / 2
    strain = torch.stack([a, b, b, -a], -1).unflatten(-1, (2, 2))
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1)
    return scale[..., None, None] * turn.unflatten(-1, (2, 2)) @ torch.linalg.matrix_exp(strain)


def random_parts() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    noise = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(0)).double()
    return noise[0].clamp(-3, 3), noise[1].exp(), noise[2].exp(), noise[3]


def test_a_matrix_is_taken_apart_into_what_made_it():
    made = random_parts()
    for found, true in zip(linear_parts(matrix_of(*made)), made, strict=True):
        torch.testing.assert_close(found, true, rtol=1e-9, atol=1e-9)


def test_the_parts_are_the_polar_decomposition_by_singular_values():
    matrix = matrix_of(*random_parts())
    u, s, vh = torch.linalg.svd(matrix)
    turn = u @ vh
    parts = linear_parts(matrix)
    torch.testing.assert_close(parts.angle.cos(), turn[..., 0, 0])
    torch.testing.assert_close(parts.angle.sin(), turn[..., 1, 0])
    torch.testing.assert_close(parts.scale, s.prod(-1).sqrt())
    ratio = torch.hypot(parts.stretch.log(), parts.shear)
    torch.testing.assert_close(ratio, (s[..., 0] / s[..., 1]).log())


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, -2.0, math.pi / 2, 3.1])
@pytest.mark.parametrize("scale", [1.0, 0.25, 7.0])
def test_a_turned_and_scaled_plane_has_no_stretch_and_no_shear(angle, scale):
    one = torch.ones((), dtype=torch.float64)
    parts = linear_parts(matrix_of(angle * one, scale * one, one, 0 * one))
    for found, true in zip(parts, (angle, scale, 1.0, 0.0), strict=True):
        assert float(found) == pytest.approx(true, abs=1e-12)


def test_a_small_slant_is_half_a_turn_and_all_its_shear():
    k = 1e-4
    parts = linear_parts(torch.tensor([[1.0, k], [0.0, 1.0]], dtype=torch.float64))
    assert float(parts.shear) == pytest.approx(k, rel=1e-6)
    assert float(parts.angle) == pytest.approx(-k / 2, rel=1e-6)


def test_the_closest_affine_map_is_the_one_of_least_squares():
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(20, 2, generator=generator).double()
    targets = torch.randn(4, 20, 2, generator=generator).double()
    found, rest = fit_affine(points, targets)
    design = torch.cat([points, torch.ones(20, 1).double()], -1)
    for k in range(4):
        wanted = torch.linalg.lstsq(design, targets[k]).solution
        torch.testing.assert_close(found[k], wanted.T)
        torch.testing.assert_close(rest[k], targets[k] - design @ wanted)


@pytest.mark.parametrize("size", [(20, 28), (28, 20)])
def test_known_warps_are_read_back_in_degrees_and_pixels(size):
    """Turned clockwise by 30 degrees, half as large again, then moved by 3 right and 2 up."""
    unit = max(size) / 2
    warp = compose(Similarity(), Translation())
    gamma = torch.tensor([math.radians(30), math.log(1.5), 0.0, 0.0, 3 / unit, -2 / unit])
    parts = decompose(warp, gamma, *size)
    assert list(parts) == NAMES
    known = [30.0, 1.5, 1.0, 0.0, 3.0, -2.0, 0.0]
    for name, value in zip(NAMES, known, strict=True):
        assert parts[name].dtype == torch.float64
        assert float(parts[name]) == pytest.approx(value, abs=1e-5), name


def test_clockwise_is_as_seen():
    """What was at the top goes to the right: y points down."""
    image = torch.zeros(1, 9, 9)
    image[0, 0, 4] = 1
    turned = make_transform("rotation", (1, 9, 9))(image, torch.tensor([math.pi / 2]))
    assert int(turned.flatten().argmax()) == 4 * 9 + 8
    parts = decompose(make_transform("rotation", (1, 9, 9)), torch.tensor([math.pi / 2]), 9, 9)
    assert float(parts["rotation"]) == pytest.approx(90, abs=1e-4)


def test_affine_warps_are_their_own_matrix(monkeypatch):
    """Also in chunks, with leading dims."""
    monkeypatch.setattr("unbraid.analysis.warp_parts.CHUNK", 4)
    warp = Affine()
    gamma = 0.5 * torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(2)).double()
    parts = decompose(warp, gamma, 6, 9)
    matrix = warp.matrix(gamma)
    linear = linear_parts(matrix[..., :2])
    torch.testing.assert_close(parts["rotation"], linear.angle.rad2deg())
    torch.testing.assert_close(parts["scale"], linear.scale)
    torch.testing.assert_close(parts["stretch"], linear.stretch)
    torch.testing.assert_close(parts["shear"], linear.shear)
    torch.testing.assert_close(parts["shift_x"], matrix[..., 0, 2] * 4.5)
    torch.testing.assert_close(parts["shift_y"], matrix[..., 1, 2] * 4.5)
    assert float(parts["deformation"].max()) < 1e-12


def test_what_no_affine_map_does_is_deformation():
    warp = make_transform("cpab", (1, 7, 7), cells=(2, 2))
    gamma = torch.randn(4, warp.parameter_count, generator=torch.Generator().manual_seed(3))
    parts = decompose(warp, gamma, 7, 7)
    centres = pixel_centres(7, 7, gamma)
    goals = warp.points(centres, gamma).double()
    _, rest = fit_affine(centres.double(), goals)
    expected = 3.5 * (rest**2).sum(-1).mean(-1).sqrt()
    torch.testing.assert_close(parts["deformation"], expected, rtol=1e-4, atol=1e-5)
    assert float(parts["deformation"].min()) > 0.01
    still = decompose(warp, torch.zeros(1, warp.parameter_count), 7, 7)
    for name, value in zip(NAMES, [0, 1, 1, 0, 0, 0, 0], strict=True):
        assert float(still[name]) == pytest.approx(value, abs=1e-5), name


@pytest.mark.parametrize("size", [(1, 8), (8, 1)])
def test_a_single_row_is_refused(size):
    with pytest.raises(ValueError, match=f"images are {size[0]} x {size[1]}; expected at least"):
        decompose(Affine(), torch.zeros(6), *size)


def test_another_width_of_gamma_is_refused():
    with pytest.raises(ValueError, match=r"gamma is \(2, 5\); expected \(\.\.\., 6\)"):
        decompose(Affine(), torch.zeros(2, 5), 8, 8)
