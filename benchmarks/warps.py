"""Warps against plain PyTorch (affine) and against libcpab (CPAB), forward and backward.

Run: python -m benchmarks.warps [--cases 28] [--no-compile]. The peer is optional:
pip install --no-deps libcpab==0.1.3
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from benchmarks.timing import compare, one_thread, print_table
from unbraid.transforms import CPAB, Affine, pixel_centres

try:
    import libcpab  # pyright: ignore[reportMissingImports]
except ImportError:
    libcpab = None


class Case(NamedTuple):
    """Size of the images and of the batch."""

    side: int
    batch: int


CASES = {"28": Case(28, 100), "64": Case(64, 64)}
CELLS = (2, 4)
PEER_STEPS = 50
EQUAL_STEPS = 25  # as accurate as the peer's 50
TARGETS = {
    f"{EQUAL_STEPS} steps": 1 / 5,
    "20 steps": 1 / 2.5,
    "20 steps, compiled": 1 / 15,
    "10 steps, the default, compiled": 1 / 15,
}

Work = Callable[[], object]


def both_ways(function: Callable[..., Tensor], *inputs: Tensor) -> Work:
    """Run a function and its backward pass."""

    def work() -> object:
        return torch.autograd.grad(function(*inputs).square().sum(), inputs)

    return work


def affine_cases(case: Case, compiled: bool) -> dict[str, Work]:
    """The affine warp of images, ours and from torch's own parts."""
    warp = Affine()
    image = torch.rand(case.batch, 1, case.side, case.side, requires_grad=True)
    gamma = (0.3 * torch.randn(case.batch, 6)).requires_grad_()
    bottom = torch.zeros(case.batch, 1, 3)

    def by_hand(image: Tensor, gamma: Tensor) -> Tensor:
        square = torch.cat([-gamma.view(-1, 2, 3), bottom], 1)
        matrix = torch.linalg.matrix_exp(square)[:, :2]
        grid = affine_grid(matrix, list(image.shape), align_corners=False)
        return grid_sample(image, grid, padding_mode="border", align_corners=False)

    torch.testing.assert_close(warp(image, gamma), by_hand(image, gamma), atol=1e-4, rtol=1e-4)
    work = {
        "matrix_exp + grid_sample": both_ways(by_hand, image, gamma),
        "ours": both_ways(warp, image, gamma),
    }
    if compiled:
        work["ours, compiled"] = both_ways(torch.compile(warp, dynamic=False), image, gamma)
    return work


def cpab_cases(case: Case, compiled: bool, peer: Any) -> tuple[dict[str, Work], dict[str, float]]:
    """Moving the centres of pixels, and the error of each, root mean square in pixels."""
    default = CPAB(CELLS).steps
    names = {
        f"{n} steps" + (", the default" if n == default else ""): n
        for n in (10, 20, EQUAL_STEPS, PEER_STEPS)
    }
    gamma = torch.randn(case.batch, CPAB(CELLS).parameter_count, requires_grad=True)
    grid = pixel_centres(case.side, case.side, gamma)
    wide, few = grid.double(), gamma.detach()[:20]
    truth = CPAB(CELLS, exact=True).points(wide, few.double())

    def error(moved: Tensor) -> float:
        return float((moved - truth).norm(dim=-1).square().mean().sqrt()) * case.side / 2

    work: dict[str, Work] = {}
    errors: dict[str, float] = {}
    if peer is not None:
        theta = fitted(peer, gamma.detach()).requires_grad_()
        unit = ((grid + 1) / 2).mT.contiguous()
        name = f"libcpab, {PEER_STEPS} steps"
        work[name] = both_ways(lambda theta: peer.transform_grid(unit, theta), theta)
        with torch.no_grad():
            errors[name] = error(2 * peer.transform_grid(unit, theta[:20]).mT - 1)
    for name, steps in names.items():
        warp = CPAB(CELLS, steps=steps)
        move = lambda gamma, warp=warp: warp.points(grid, gamma)  # noqa: E731
        work[name] = both_ways(move, gamma)
        with torch.no_grad():
            errors[name] = error(warp.points(grid, few))
        if compiled and steps in (default, 20):
            fused = torch.compile(move, fullgraph=True, dynamic=False)
            work[f"{name}, compiled"] = both_ways(fused, gamma)
    return work, errors


def fitted(peer: Any, gamma: Tensor) -> Tensor:
    """The peer's parameters of our fields; its domain is the unit square."""
    points = torch.rand(400, 2, dtype=torch.float64)
    fields = CPAB(CELLS).velocity(2 * points - 1, gamma.double()).flatten(1) / 2
    units = torch.eye(peer.get_theta_dim())
    basis = torch.stack(
        [peer.calc_vectorfield(points.float().T, unit[None]).T.flatten() for unit in units], -1
    ).double()
    theta = torch.linalg.lstsq(basis, fields.T).solution
    torch.testing.assert_close(basis @ theta, fields.T, atol=1e-4, rtol=1e-3)
    return theta.T.float()


def measure(name: str, compiled: bool, rounds: int) -> bool:
    """Measure one case and print its tables; return whether the targets are reached."""
    case = CASES[name]
    torch.manual_seed(0)
    title = f"{case.batch} images of {case.side} x {case.side}"
    affine = compare(affine_cases(case, compiled), "matrix_exp + grid_sample", rounds=rounds)
    print_table(f"Affine warp of {title}: ratio to torch.linalg's", affine, {})
    peer = None
    if libcpab is None:
        print(
            "\nlibcpab is not installed; expected 0.1.3, to compare with. No target is looked at."
        )
    else:
        peer = libcpab.Cpab(list(CELLS), zero_boundary=True)
    work, errors = cpab_cases(case, compiled, peer)
    baseline = next(iter(work))
    results = compare(work, baseline, rounds=rounds)
    targets = TARGETS if peer is not None else {}
    reached = print_table(f"CPAB points of {title}: ratio to {baseline}", results, targets)
    print("\n| variant | error against the exact flow, pixels rms |\n|---|---|")
    for variant, pixels in errors.items():
        print(f"| {variant} | {pixels:.2e} |")
    return reached


def main() -> int:
    """Measure the chosen cases; exit status 1 where a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compiled variants too, which take a minute",
    )
    parser.add_argument("--rounds", type=int, default=11)
    given = parser.parse_args()
    one_thread()
    with pyro.validation_enabled(False):
        reached = [measure(name, given.compile, given.rounds) for name in given.cases]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
