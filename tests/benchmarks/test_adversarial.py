"""The judges of the adversarial autoencoder's benchmarks, against what is known of them."""

import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from unbraid.data import Dataset


@pytest.fixture
def tables(monkeypatch) -> Any:
    """Benchmarks by name; they run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def told_apart(tables) -> Any:
    return tables("told_apart").told_apart


def test_the_area_is_the_share_of_ordered_pairs(tables):
    area_under_curve = tables("told_apart").area_under_curve
    low, high = torch.tensor([0.0, 1.0, 1.0, 3.0]), torch.tensor([1.0, 2.0, 5.0])
    pairs = [(b > a) + 0.5 * (b == a) for a in low.tolist() for b in high.tolist()]
    assert area_under_curve(low, high) == pytest.approx(sum(pairs) / len(pairs))
    assert area_under_curve(high, low) == pytest.approx(1 - sum(pairs) / len(pairs))


def test_one_distribution_is_not_told_apart(told_apart):
    """Of 500 and 500 fresh rows the area has a standard error of at most 0.0183; five of them."""
    own, reference = torch.randn(2, 1000, 3)
    assert abs(told_apart(own, reference) - 0.5) < 5 * 0.0183


def test_a_shift_is_told_apart_as_well_as_can_be(told_apart):
    """N(0, I) and N(d, I): the best area is Phi(|d| / sqrt 2). A net of 800 rows comes near."""
    own, reference = torch.randn(2, 1000, 3)
    own = own + 1.0
    best = 0.5 * (1 + math.erf(math.sqrt(3) / 2))
    assert best - 0.06 < told_apart(own, reference) < best + 5 * 0.0183


def test_it_is_the_same_again_and_leaves_the_generator_alone(told_apart):
    own, reference = torch.randn(2, 100, 3)
    state = torch.get_rng_state()
    assert told_apart(own, reference, 3) == told_apart(own, reference, 3)
    assert torch.equal(state, torch.get_rng_state())


def test_samples_of_other_sizes_are_refused(told_apart):
    with pytest.raises(ValueError, match=r"samples have shapes \(30, 3\) and \(31, 3\)"):
        told_apart(torch.zeros(30, 3), torch.zeros(31, 3))


def test_accuracy_counts_known_labels(tables):
    accuracy = tables("aae_labels").accuracy
    images = torch.arange(6).to(torch.uint8).reshape(6, 1, 1, 1)
    data = Dataset(images, labels=torch.tensor([0, 1, 2, -1, 1, 0]))

    def guide(x):
        shares = torch.eye(3)[(x.flatten() * 255).round().long() % 3]
        return shares, x

    assert accuracy(guide, data) == pytest.approx(4 / 5)
    with pytest.raises(ValueError, match="with a known label is 0"):
        accuracy(guide, Dataset(images, labels=torch.full((6,), -1)))


@pytest.mark.parametrize("name", ["aae_prior", "aae_labels"])
def test_the_tables_run_at_a_tiny_size_and_keep_their_rows(
    name, tables, tmp_path, capsys, monkeypatch
):
    """One step, and no second time; the verdict of untrained nets is that the bars are missed."""
    table = tables(name)
    monkeypatch.setattr(tables("told_apart"), "EPOCHS", 1)
    words = ["--steps", "1", "--seeds", "0", "--data", "mnist-small", "--out", str(tmp_path)]
    words += ["--split", "validation"]
    code = table.main(words)
    first = capsys.readouterr().out
    rows = [line for line in first.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(table.ROWS)
    if name == "aae_prior":
        assert code == 1 and "missed" in first
    monkeypatch.setattr("unbraid.train", None)
    table.main(words)
    assert capsys.readouterr().out == first
