"""The ring of eight Gaussians: its points, and what is said of points that cover it or do not."""

import importlib
import math
from pathlib import Path

import pytest
import torch

RADIUS, SPREAD = 2.0, 0.05


@pytest.fixture(autouse=True)
def root(monkeypatch):
    """The benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])


@pytest.fixture
def ring():
    return importlib.import_module("benchmarks.ring")


@pytest.fixture
def benchmark_module():
    return importlib.import_module("benchmarks.eight_gaussians")


def points(ring, count=20_000, seed=0):
    return ring.draw(count, torch.Generator().manual_seed(seed))


def test_the_modes_are_even_on_a_circle(ring):
    assert ring.centres().shape == (8, 2)
    torch.testing.assert_close(ring.centres().norm(dim=-1), torch.full((8,), RADIUS))
    gaps = (ring.centres() - ring.centres().roll(1, 0)).norm(dim=-1)
    torch.testing.assert_close(gaps, torch.full((8,), 2 * RADIUS * math.sin(math.pi / 8)))


def test_points_are_draws_of_the_mixture(ring):
    """Shares and spread at 6 standard errors."""
    found = points(ring)
    nearest = torch.cdist(found, ring.centres()).argmin(-1)
    shares = torch.bincount(nearest, minlength=8) / len(found)
    assert ((shares - 1 / 8).abs() < 6 * math.sqrt(7 / 64 / len(found))).all()
    offsets = (found - ring.centres()[nearest]) / SPREAD
    assert (offsets.mean(0).abs() < 6 / math.sqrt(len(found))).all()
    assert ((offsets.std(0) - 1).abs() < 6 / math.sqrt(2 * len(found))).all()


def test_draws_of_the_mixture_cover_it(ring):
    """Within three standard deviations in the plane lie 1 - exp(-9/2) of them."""
    found = ring.coverage(points(ring))
    assert found.modes == 8
    assert found.quality == pytest.approx(1 - math.exp(-4.5), abs=6 * 0.104 / math.sqrt(20_000))
    assert found.divergence == pytest.approx(0.0, abs=0.002)


def test_points_at_some_modes_cover_those(ring):
    found = ring.coverage(ring.centres()[:1].expand(100, 2))
    assert found == (1, 1.0, pytest.approx(math.log(8)))
    half = ring.coverage(torch.cat([ring.centres()[:4], ring.centres()[:4], torch.zeros(8, 2)]))
    assert half == (4, 0.5, pytest.approx(math.log(2)))


def test_a_mode_needs_one_in_a_hundred_of_all_points(ring):
    few = torch.cat([ring.centres()[:1].expand(9, 2), torch.zeros(991, 2)])
    enough = torch.cat([ring.centres()[:1].expand(10, 2), torch.zeros(990, 2)])
    assert (ring.coverage(few).modes, ring.coverage(enough).modes) == (0, 1)


def test_nothing_near_has_no_shares(ring):
    assert ring.coverage(torch.zeros(10, 2)) == (0, 0.0, None)
    outside = ring.centres()[:1] + torch.tensor([[3.01 * SPREAD, 0.0]])
    assert ring.coverage(outside).modes == 0


def test_batches_are_a_function_of_seed_and_step(ring):
    first, again, other, later = (
        ring.RingBatches(5, seed).batch(step)["x"]
        for seed, step in ((1, 2), (1, 2), (2, 2), (1, 3))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other) and not torch.equal(first, later)
    assert first.shape == (5, 2)


def test_the_table_has_a_line_of_each_objective(benchmark_module):
    rows = [
        {"rule": rule, "modes": modes, "quality": 0.5, "divergence": known, "accuracy": 0.5}
        | {"seconds": 3.0}
        for rule, modes, known in (("hinge", 8, 0.1), ("hinge", 7, 0.3), ("uniform", 0, None))
    ]
    lines = benchmark_module.table(rows).splitlines()
    assert lines[2] == "| `hinge` | 1 | 8, 7 | 50.0% | 0.200 | 0.50 | 3 |"
    assert lines[3] == "| `uniform` | 1 | 0 | 50.0% | none near | 0.50 | 3 |"


def test_every_objective_trains_and_finished_rows_are_kept(benchmark_module, tmp_path, capsys):
    """Too few steps to find any mode, which the exit code says; the picture is drawn."""
    words = ["--seeds", "3", "--steps", "3", "--out", str(tmp_path)]
    assert benchmark_module.main([*words, "--picture", str(tmp_path / "drawn.png")]) == 1
    first = capsys.readouterr().out
    assert len(first.splitlines()) == 2 + len(benchmark_module.ROWS)
    assert (tmp_path / "drawn.png").stat().st_size > 10_000
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")}
    assert len(written) == len(benchmark_module.ROWS)
    assert benchmark_module.main(words) == 1
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in written} == written
