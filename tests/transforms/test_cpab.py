"""CPAB against an independent field and solver, and against its own exact mode."""

import importlib
from itertools import pairwise, product

import numpy as np
import pyro
import pytest
import scipy.linalg
import torch
from scipy.integrate import solve_ivp
from torch.autograd import gradcheck
from torch.fx.experimental.proxy_tensor import make_fx

from unbraid.transforms import CPAB, pixel_centres

from .warps import draw_points

TESSELLATIONS = [(2, 4), (3, 2), (5,), (2, 1, 2)]
every_tessellation = pytest.mark.parametrize("cells", TESSELLATIONS)


def draw(warp, *lead, dtype=torch.float64):
    """Parameters as the prior draws them."""
    return torch.randn(*lead, warp.parameter_count, dtype=dtype)


def cell_corners(cells, extent):
    """The simplices of a grid, written down anew: all triples of a centre and an edge's ends."""
    for box in product(*(range(n) for n in cells)):
        low, high = np.array(box, float), np.array(box, float) + 1
        ends = [np.array(end) for end in product(*zip(low, high, strict=True))]
        if len(cells) == 1:
            simplices = [ends]
        else:
            middle = (low + high) / 2
            simplices = []
            for axis, side in product(range(len(cells)), (low, high)):
                face = [end for end in ends if end[axis] == side[axis]]
                if len(cells) == 2:
                    simplices.append([middle, *face])
                else:
                    rim = [(a, b) for a in face for b in face if np.abs(a - b).sum() == 1]
                    edges = {tuple(map(tuple, sorted(map(list, edge)))) for edge in rim}
                    simplices += [[middle, np.mean(face, 0), *map(np.array, e)] for e in edges]
        for simplex in simplices:
            yield (2 * np.array(simplex) / cells - 1) * extent


class Field:
    """A piecewise-affine field through a warp's velocities at the corners, cell by cell."""

    def __init__(self, warp, gamma):
        self.extent = np.array(warp.extent)
        corners = list(cell_corners(warp.cells, self.extent))
        self.inverse = np.stack([np.linalg.inv(np.c_[c, np.ones(len(c))].T) for c in corners])
        flat = torch.from_numpy(np.concatenate(corners))
        self.velocity = warp.velocity(flat, gamma).numpy().reshape(len(corners), *corners[0].shape)

    def __call__(self, point):
        """Weigh the corners of the simplex that holds the nearest point of the domain."""
        weights = self.inverse @ np.append(np.clip(point, -self.extent, self.extent), 1)
        inside = weights.min(1).argmax()
        return weights[inside] @ self.velocity[inside]


@pytest.mark.parametrize(
    ("cells", "with_boundary", "without"),
    [((2, 4), 30, 46), ((4, 4), 62, 82), ((3, 3), 34, 50), ((7,), 6, 8)],
)
def test_the_published_numbers_of_parameters(cells, with_boundary, without):
    assert CPAB(cells).parameter_count == with_boundary
    assert CPAB(cells, zero_boundary=False).parameter_count == without
    assert CPAB(cells).parameter_names[:2] == ("field0", "field1")


@every_tessellation
@pytest.mark.parametrize("zero_boundary", [True, False])
def test_the_velocity_is_continuous_and_affine_in_each_cell(cells, zero_boundary):
    extent = (1.0, 0.6, 0.8)[: len(cells)]
    warp = CPAB(cells, zero_boundary=zero_boundary, extent=extent)
    gamma, points = draw(warp), draw_points(400, dims=len(cells), reach=1.4)
    field = Field(warp, gamma)
    expected = torch.from_numpy(np.stack([field(point) for point in points.numpy()]))
    torch.testing.assert_close(warp.velocity(points, gamma), expected, rtol=0, atol=1e-12)


@every_tessellation
def test_the_exact_flow_is_that_of_an_ode_solver(cells):
    warp = CPAB(cells, zero_boundary=False, exact=True)
    gamma, points = draw(warp), draw_points(4, dims=len(cells), reach=1.1)
    field = Field(warp, gamma)
    moved = warp.points(points, gamma)
    for start, end in zip(points.numpy(), moved.numpy(), strict=True):
        solved = solve_ivp(
            lambda _, p: field(p), (0, 1), start, "DOP853", rtol=1e-10, atol=1e-10, max_step=0.02
        )
        assert np.abs(solved.y[:, -1] - end).max() < 1e-8
    assert float((moved - points).abs().max()) > 0.02


@every_tessellation
@pytest.mark.parametrize("length", [1, 3])
def test_exact_minus_gamma_is_the_inverse(cells, length):
    warp = CPAB(cells, exact=True)
    gamma, points = length * draw(warp, 5), draw_points(5, 40, dims=len(cells), reach=1.3)
    back = warp.points(warp.points(points, gamma), -gamma)
    assert float((back - points).abs().max()) < 1e-10


@every_tessellation
def test_exact_warps_along_one_direction_add(cells):
    warp = CPAB(cells, exact=True)
    gamma, points = draw(warp, 5), draw_points(5, 40, dims=len(cells))
    in_turn = warp.points(warp.points(points, 0.7 * gamma), 1.4 * gamma)
    assert float((in_turn - warp.points(points, 2.1 * gamma)).abs().max()) < 1e-10


def test_steps_have_the_stated_error():
    """Within 0.05 pixels of 28 at the default, with the inverse and the sums; as 1 / steps^2."""
    exact, pixel = CPAB(exact=True), 2 / 28
    gamma, grid = draw(exact, 40), pixel_centres(28, 28, draw(exact))
    truth = exact.points(grid, gamma)
    errors = []
    for steps in (10, 20, 40):
        warp = CPAB(steps=steps)
        assert warp.steps == CPAB().steps or steps != 10
        moved = warp.points(grid, gamma)
        errors.append((moved - truth).norm(dim=-1))
        assert float(errors[-1].max()) < 0.02 * pixel
        back = warp.points(moved, -gamma)
        assert float((back - grid).norm(dim=-1).max()) < 0.05 * pixel
        in_turn = warp.points(warp.points(grid, 0.3 * gamma), 0.7 * gamma)
        assert float((in_turn - moved).norm(dim=-1).max()) < 0.05 * pixel
        single = warp.points(grid.float(), gamma.float())
        assert float((single - moved).abs().max()) < 0.01 * pixel
    rms = [float(error.square().mean().sqrt()) for error in errors]
    for coarse, fine in pairwise(rms):
        assert 3 < coarse / fine < 6
    assert float((truth - grid).norm(dim=-1).mean()) > pixel


@every_tessellation
def test_gradients(cells):
    warp = CPAB(cells, steps=3)
    for length in (0, 1, 2):
        gamma = (length * draw(warp, 2)).requires_grad_()
        points = draw_points(2, 3, dims=len(cells), reach=1.2).requires_grad_()
        assert gradcheck(warp.points, (points, gamma), fast_mode=len(cells) == 3)


@pytest.mark.parametrize("cells", [(2, 4), (5,)])
def test_gradients_of_the_exact_flow(cells):
    warp = CPAB(cells, exact=True)
    gamma, points = draw(warp).requires_grad_(), draw_points(3, dims=len(cells)).requires_grad_()
    assert gradcheck(warp.points, (points, gamma))
    stepped = CPAB(cells, steps=200)
    for got, expected in zip(
        torch.autograd.grad(warp.points(points, gamma).sum(), (points, gamma)),
        torch.autograd.grad(stepped.points(points, gamma).sum(), (points, gamma)),
        strict=True,
    ):
        torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-2)


def test_the_gradient_of_the_velocity():
    warp = CPAB((3, 2))
    gamma, points = draw(warp, 2).requires_grad_(), draw_points(2, 5).requires_grad_()
    assert gradcheck(warp.velocity, (points, gamma))


def test_a_second_derivative_is_refused_and_not_wrong():
    warp = CPAB()
    gamma = draw(warp).requires_grad_()
    (slope,) = torch.autograd.grad(
        warp.points(draw_points(4), gamma).square().sum(), gamma, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@every_tessellation
def test_a_zero_boundary_keeps_the_border_on_the_border(cells):
    extent = (1.0, 0.6, 0.8)[: len(cells)]
    gamma = 3 * draw(CPAB(cells))
    for axis, side in product(range(len(cells)), (-1, 1)):
        points = draw_points(30, dims=len(cells)) * torch.tensor(extent)
        points[:, axis] = side * extent[axis]
        for exact in (False, True):
            moved = CPAB(cells, extent=extent, exact=exact).points(points, gamma)
            assert float((moved[:, axis] - points[:, axis]).abs().max()) < 1e-12
            assert bool((moved.abs() <= torch.tensor(extent) + 1e-12).all())
    free, border = CPAB(cells, zero_boundary=False), torch.ones(1, len(cells)).double()
    moved = free.points(border, draw(free, 20)) - border
    assert bool((moved.abs().amax(0) > 1e-3).all())


@pytest.mark.parametrize("cells", [(2, 4), (3, 2), (2, 2, 2)])
@pytest.mark.parametrize("zero_boundary", [True, False])
def test_volume_preservation_is_zero_divergence(cells, zero_boundary):
    warp = CPAB(cells, zero_boundary=zero_boundary, volume_preserving=True)
    points = draw_points(60, dims=len(cells)).requires_grad_()
    assert float(divergence(warp, points).abs().max()) < 1e-12
    other = CPAB(cells, zero_boundary=zero_boundary)
    assert float(divergence(other, points).abs().max()) > 0.01


def divergence(warp, points):
    velocity = warp.velocity(points, draw(warp))
    slopes = [
        torch.autograd.grad(velocity[:, i].sum(), points, retain_graph=True)[0][:, i]
        for i in range(warp.dims)
    ]
    return torch.stack(slopes).sum(0)


@every_tessellation
@pytest.mark.parametrize("volume_preserving", [False, True])
def test_the_basis_is_orthonormal_and_the_smoothest_comes_first(cells, volume_preserving):
    extent = (1.0, 0.6, 0.8)[: len(cells)]
    warp = CPAB(
        cells, zero_boundary=False, volume_preserving=volume_preserving, extent=extent, steps=1
    )
    count = warp.parameter_count
    energy, rough = np.zeros((count, count)), np.zeros((count, count))
    for simplex in cell_corners(warp.cells, np.array(extent)):
        size = abs(np.linalg.det(simplex[1:] - simplex[0]))
        volume = size / np.prod(np.arange(1, warp.dims + 1))
        centre = simplex.mean(0)
        inner = torch.from_numpy(centre + 0.99 * (simplex - centre))
        at = warp.velocity(inner, torch.eye(count, dtype=torch.float64)).numpy()
        middle = at.mean(1)
        corners = middle[:, None] + (at - middle[:, None]) / 0.99
        slopes = np.einsum(
            "ji,pik->pjk", np.linalg.inv(simplex[1:] - simplex[0]), corners[:, 1:] - corners[:, :1]
        )
        # A linear function's square integrates to its corners' sum of squares and square of sum.
        sums = np.einsum("pik,qik->pq", corners, corners)
        sums += np.einsum("pk,qk->pq", corners.sum(1), corners.sum(1))
        energy += volume * sums / ((warp.dims + 1) * (warp.dims + 2))
        rough += volume * np.einsum("pjk,qjk->pq", slopes, slopes)
    gram = (energy + rough) / (energy + rough)[0, 0]
    np.testing.assert_allclose(gram, np.eye(count), atol=1e-9)
    quotients = np.diag(rough) / np.diag(energy)
    assert (np.diff(quotients) > -1e-9 * (1 + quotients[1:])).all()
    domain = 2.0**warp.dims * np.prod(extent)
    assert np.trace(energy) / domain == pytest.approx(0.15**2, rel=1e-9)


def test_the_basis_does_not_depend_on_how_the_solver_turns_it(monkeypatch):
    """Square grids have fields of one smoothness; solvers differ in which of them they return."""
    expected = [CPAB(cells, zero_boundary=False)._precise for cells in ((3, 3), (2, 4))]
    solve = scipy.linalg.eigh

    def turned(stiffness, mass):
        values, vectors = solve(stiffness, mass)
        starts = np.flatnonzero(np.diff(values, prepend=-np.inf) > 1e-7 * (1 + values))
        for start, stop in zip(starts, [*starts[1:], len(values)], strict=True):
            turn = np.linalg.qr(np.random.default_rng(start).normal(size=(stop - start,) * 2))[0]
            vectors[:, start:stop] = vectors[:, start:stop] @ -turn
        return values, vectors

    monkeypatch.setattr("unbraid.transforms.cpab_basis.eigh", turned)
    for cells, basis in zip(((3, 3), (2, 4)), expected, strict=True):
        other = CPAB(cells, zero_boundary=False)._precise
        torch.testing.assert_close(other, basis, rtol=0, atol=1e-9)


def test_smooth_fields_come_in_familiar_shapes():
    """Without a boundary the first two fields shift: right, then down."""
    warp = CPAB((2, 4), zero_boundary=False)
    velocity = warp.velocity(draw_points(7), torch.eye(46, dtype=torch.float64)[:2])
    right = velocity[0, 0, 0]
    assert float(right) > 0
    expected = torch.stack([torch.tensor([right, 0.0]), torch.tensor([0.0, right])])[:, None]
    torch.testing.assert_close(velocity, expected.double().expand(2, 7, 2), rtol=0, atol=1e-7)


def test_conversions_do_not_round_the_field():
    warp = CPAB((3, 2), volume_preserving=True, zero_boundary=False)
    gamma, points = draw(warp), draw_points(9)
    expected = warp.points(points, gamma)
    for converted in (warp.float(), warp.double(), warp.bfloat16(), warp.double()):
        assert torch.equal(converted.points(points, gamma), expected)
    single = warp.bfloat16().points(points.float(), gamma.float())
    torch.testing.assert_close(single, expected.float(), atol=1e-5, rtol=0)
    assert not warp.state_dict()


def test_more_pieces_than_a_byte_counts():
    """A 9 x 8 grid has 440 pieces, those outside included."""
    warp, exact = CPAB((9, 8), steps=40), CPAB((9, 8), exact=True)
    gamma, points = draw(warp, 2).requires_grad_(), draw_points(50)
    moved, truth = warp.points(points, gamma), exact.points(points, gamma)
    torch.testing.assert_close(moved, truth, rtol=0, atol=1e-3)
    weights = torch.randn_like(moved)
    (got,) = torch.autograd.grad((weights * moved).sum(), gamma)
    (expected,) = torch.autograd.grad((weights * truth).sum(), gamma)
    torch.testing.assert_close(got, expected, rtol=0.05, atol=0.05)


def test_outside_of_the_domain_it_moves_like_its_edge():
    warp = CPAB((3, 2), zero_boundary=False, extent=(1.0, 0.5))
    gamma = draw(warp)
    inside = torch.tensor([[1.0, 0.2], [-1.0, 0.5], [0.3, -0.5]], dtype=torch.float64)
    outside = torch.tensor([[9.0, 0.2], [-1.7, 0.8], [0.3, -4.0]], dtype=torch.float64)
    torch.testing.assert_close(warp.velocity(outside, gamma), warp.velocity(inside, gamma))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.slow
def test_it_compiles_without_a_break():
    warp = CPAB(steps=4)
    grid = pixel_centres(6, 5, torch.zeros(1))

    def loss(gamma):
        return warp.points(grid, gamma).square().sum()

    gamma = draw(warp, 3, dtype=torch.float32).requires_grad_()
    with pyro.validation_enabled(False):
        (expected,) = torch.autograd.grad(loss(gamma), gamma)
        (got,) = torch.autograd.grad(torch.compile(loss, fullgraph=True)(gamma), gamma)
    torch.testing.assert_close(got, expected)


def test_a_recorded_flow_is_two_operations_on_the_cpu(monkeypatch):
    """And where compilers see every step, it is the same."""
    warp, grid = CPAB(steps=7), pixel_centres(6, 5, torch.zeros(1))

    def gradient(gamma):
        return torch.autograd.grad(warp.points(grid, gamma).square().sum(), gamma)[0]

    gamma = draw(warp, 3, dtype=torch.float32).requires_grad_()
    expected = gradient(gamma)
    with pyro.validation_enabled(False):
        names = [str(node.target) for node in make_fx(gradient)(gamma).graph.nodes]
    assert sum(name.startswith("unbraid.cpab") for name in names) == 2
    assert sum("gather" in name for name in names) == 0
    steps = importlib.import_module("unbraid.transforms.cpab_flow")
    monkeypatch.setattr(steps, "_integrate", steps.integrate)
    monkeypatch.setattr(steps, "_pull_back", steps.pull_back)
    with pyro.validation_enabled(False):
        graph = make_fx(gradient)(gamma)
    assert sum("gather" in str(node.target) for node in graph.graph.nodes) == 2 * 7 + 1
    assert torch.equal(graph(gamma), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cells": (0, 4)}, r"cells is \(0, 4\); expected 1 to 3 whole numbers, each at least 1"),
        ({"cells": (2, 4.5)}, r"cells is \(2, 4.5\); expected 1 to 3 whole numbers"),
        ({"cells": ()}, r"cells is \(\); expected 1 to 3 whole numbers"),
        ({"cells": (1, 1, 1, 1)}, r"cells is \(1, 1, 1, 1\); expected 1 to 3 whole numbers"),
        ({"cells": 4}, r"cells is 4; expected 1 to 3 whole numbers"),
        ({"cells": (1,)}, r"cells is \(1,\); expected more of them, as no field but 0"),
        ({"cells": (1, 1), "volume_preserving": True}, r"cells is \(1, 1\); expected more"),
        ({"cells": (2, "a")}, r"cells is \(2, 'a'\); expected 1 to 3 whole numbers"),
        ({"cells": "24"}, r"cells is 24; expected 1 to 3 whole numbers"),
        ({"steps": 0}, r"steps is 0; expected a whole number, at least 1"),
        ({"steps": 2.5}, r"steps is 2.5; expected a whole number, at least 1"),
        ({"steps": None}, r"steps is None; expected a whole number, at least 1"),
        ({"extent": (1.0,)}, r"extent is \(1.0,\); expected 2 positive numbers"),
        ({"extent": (1.0, 0.0)}, r"extent is \(1.0, 0.0\); expected 2 positive numbers"),
        ({"padding": "edge"}, r"padding is 'edge'; expected one of"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CPAB(**options)


def test_images_must_fit_the_domain():
    with pytest.raises(ValueError, match=r"image is 28 x 20, .* extent=extent_of\(28, 20\)"):
        CPAB()(torch.rand(1, 28, 20), torch.zeros(30))
