"""The affine flows against SciPy, and what each of them does."""

import math

import pytest
import torch
from scipy.linalg import expm
from torch.autograd import gradcheck

from unbraid.transforms import Affine, Rotation, Similarity, Translation, affine_exponential

from .warps import CLOSED, draw_gamma, draw_points, make

MATRICES = {
    "zero": [[0, 0, 0], [0, 0, 0]],
    "shift": [[0, 0, 0.7], [0, 0, -1.2]],
    "rotation": [[0, -1.1, 0.3], [1.1, 0, 0.5]],
    "turns": [[0, -9.0, 0.3], [9.0, 0, 0.5]],
    "scale": [[0.4, 0, 1], [0, 0.4, 2]],
    "repeated": [[0.5, 1, 0.3], [0, 0.5, -0.2]],
    "nilpotent": [[0, 1, 0.3], [0, 0, -0.2]],
    "singular": [[1, 2, 0.5], [2, 4, 0.1]],
    "real": [[2, 1, 0.3], [0.5, -1, 0.7]],
    "complex": [[0.3, 2, 1.0], [-1.5, 0.1, -1.0]],
    "almost repeated": [[0.5, 1e-9, 0.3], [1e-9, 0.5 + 1e-8, -0.2]],
    "shrinking": [[-8, 1, 0.5], [0.3, -6, 1.5]],
    "growing": [[4, 1, 0.5], [0.3, 3, 1.5]],
}


def reference(velocity):
    square = torch.zeros(3, 3, dtype=torch.float64)
    square[:2] = velocity
    return torch.from_numpy(expm(square.numpy()))[:2]


@pytest.mark.parametrize("case", MATRICES)
def test_the_exponential_is_that_of_scipy(case):
    velocity = torch.tensor(MATRICES[case], dtype=torch.float64)
    expected = reference(velocity)
    scale = float(expected.abs().max())
    assert float((affine_exponential(velocity) - expected).abs().max()) < 1e-13 * scale
    single = affine_exponential(velocity.float())
    assert single.dtype == torch.float32
    assert float((single - expected).abs().max()) < 2e-6 * scale


def test_the_exponential_is_taken_matrix_by_matrix():
    velocity = torch.tensor(list(MATRICES.values()), dtype=torch.float64)[:12].view(3, 4, 2, 3)
    together = affine_exponential(velocity)
    for i in range(3):
        for j in range(4):
            apart = affine_exponential(velocity[i, j])
            torch.testing.assert_close(together[i, j], apart, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", MATRICES)
def test_gradients_of_the_exponential(case):
    velocity = torch.tensor(MATRICES[case], dtype=torch.float64, requires_grad=True)
    assert gradcheck(affine_exponential, velocity, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize(
    ("length", "dtype", "tolerance"),
    [(3, torch.float64, 1e-12), (3, torch.float32, 1e-4), (1, torch.float32, 2e-6)],
)
def test_minus_gamma_is_the_inverse(name, length, dtype, tolerance):
    warp = make(name)
    points = draw_points(50, 11, dtype=dtype)
    gamma = draw_gamma(warp, 50, length=length, dtype=dtype)
    back = warp.points(warp.points(points, gamma), -gamma)
    assert back.dtype == dtype
    assert float((back - points).abs().max()) < tolerance
    torch.testing.assert_close(warp.inverse_points(points, gamma), warp.points(points, -gamma))


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize(
    ("length", "dtype", "tolerance"),
    [(1, torch.float64, 1e-12), (1.4, torch.float32, 1e-4), (0.4, torch.float32, 2e-6)],
)
def test_warps_along_one_direction_add(name, length, dtype, tolerance):
    warp, points = make(name), draw_points(30, 7, dtype=dtype)
    gamma = draw_gamma(warp, 30, length=length, dtype=dtype)
    in_turn = warp.points(warp.points(points, 0.7 * gamma), 1.4 * gamma)
    at_once = warp.points(points, 2.1 * gamma)
    torch.testing.assert_close(in_turn, at_once, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CLOSED)
def test_the_velocity_is_the_derivative_in_time(name):
    warp, points, step = make(name), draw_points(4, 7), 1e-6
    gamma = draw_gamma(warp, 4)
    ahead, behind = warp.points(points, step * gamma), warp.points(points, -step * gamma)
    torch.testing.assert_close(
        warp.velocity(points, gamma), (ahead - behind) / (2 * step), rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("name", [*CLOSED, "similarity+affine", "rotation+translation"])
def test_gradients(name):
    warp = make(name)
    for length in (0.0, 1.3):
        gamma = draw_gamma(warp, 2, length=length).requires_grad_()
        points = draw_points(2, 3).requires_grad_()
        assert gradcheck(warp.points, (points, gamma))


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("inverse", [False, True])
def test_pixels_go_where_points_go(name, inverse):
    warp = make(name)
    gamma = draw_gamma(warp, 3)
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij")
    centres = torch.stack([2 * columns - 5, 2 * rows - 3], -1).view(-1, 2).double() / 6
    expected = warp.points(centres, -gamma if inverse else gamma)
    got = warp.image_points(4, 6, gamma, inverse=inverse)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_a_translation_adds():
    gamma = torch.tensor([[0.5, -0.25]])
    assert Translation().points(torch.tensor([[1.0, 2.0]]), gamma).tolist() == [[[1.5, 1.75]]]


def test_a_rotation_turns_from_x_to_y():
    turned = Rotation().points(torch.tensor([[1.0, 0.0]]), torch.tensor([math.pi / 2]))
    torch.testing.assert_close(turned, torch.tensor([[0.0, 1.0]]))


def test_a_similarity_scales_turns_and_shifts():
    warp, points = Similarity(), draw_points(5)
    for gamma, expected in [
        ([0.0, math.log(2), 0.0, 0.0], 2 * points),
        ([0.0, 0.0, 0.25, -0.5], points + torch.tensor([0.25, -0.5])),
        ([math.pi, 0.0, 0.0, 0.0], -points),
    ]:
        got = warp.points(points, torch.tensor(gamma, dtype=torch.float64))
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


def test_an_affine_warp_has_its_matrix_row_by_row():
    gamma = torch.tensor([0.3, 0.2, 0.1, -0.4, 0.5, -0.6], dtype=torch.float64)
    points = draw_points(5)
    matrix = reference(gamma.view(2, 3))
    expected = points @ matrix[:, :2].T + matrix[:, 2]
    torch.testing.assert_close(Affine().points(points, gamma), expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize("name", CLOSED)
def test_rotations_and_rotation_only_keep_distances(name):
    warp, points = make(name), draw_points(9)
    distances = torch.pdist(warp.points(points, draw_gamma(warp, length=2.0)))
    kept = torch.allclose(distances, torch.pdist(points), rtol=1e-12)
    assert kept == (name in ("translation", "rotation"))
