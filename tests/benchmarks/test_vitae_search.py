"""What is printed of searched rows is what was kept of them, paired by image."""

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def modules(monkeypatch):
    """The modules; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return {
        name: importlib.import_module(f"benchmarks.{name}") for name in ("vitae_search", "rows")
    }


def row(method: str, seed: int, before: float, after: float, images: str = "abc") -> dict:
    fitted = {"log_likelihood": after, "pareto_k_unreliable": 0.25}
    return {"method": method, "seed": seed, "images": images, "before": before, "fitted": fitted}


def keep(modules, out: Path, method: str, seed: int, values: list[float]) -> None:
    folder = modules["rows"].Row("mnist-binary", method, seed, 1).folder(out)
    folder.mkdir(parents=True)
    np.savez(folder / modules["vitae_search"].VALUES, log_likelihood=np.array(values))


def test_differences_are_paired_after_the_mean_over_seeds(modules, tmp_path, capsys):
    keep(modules, tmp_path, "c-vitae", 0, [-1.0, -2.0, -3.0])
    keep(modules, tmp_path, "c-vitae", 1, [-3.0, -2.0, -1.0])
    keep(modules, tmp_path, "vae", 0, [-3.0, -4.0, -8.0])
    rows = [row("c-vitae", 0, -2.5, -2.0), row("c-vitae", 1, -2.25, -2.0), row("vae", 0, -6, -5)]
    modules["vitae_search"].print_fitted(rows, "mnist-binary", tmp_path)
    printed = capsys.readouterr().out
    differences = np.array([1.0, 2.0, 6.0])
    told = f"{differences.mean():+.2f} ± {differences.std(ddof=1) / math.sqrt(3):.2f}"
    assert f"| `vae`, 0 | -6.00 | -5.00 | {told} | 0.25 |" in printed
    assert "| `c-vitae`, 0 1 | -2.50, -2.25 | -2.00, -2.00 |  | 0.25, 0.25 |" in printed


def test_other_images_are_not_compared(modules, tmp_path, capsys):
    rows = [row("c-vitae", 0, -2.5, -2.0), row("vae", 0, -6, -5, images="other")]
    modules["vitae_search"].print_fitted(rows, "mnist-binary", tmp_path)
    assert "| `vae`, 0 | -6.00 | -5.00 |  | 0.25 |" in capsys.readouterr().out


def test_accuracies_before_and_after_are_printed(modules, capsys):
    told = {"appearance": [0.8, 0.004], "perspective": [0.1, 0.003]}
    found = {"method": "c-vitae", "seed": 1, "guide": told, "gain": 4.56}
    found["searched"] = {**told, "appearance": [0.9, 0.003]}
    modules["vitae_search"].print_search([found])
    lines = capsys.readouterr().out.splitlines()
    assert "| `c-vitae`, 1 | guide | 0.800 ± 0.004 | 0.100 ± 0.003 |  |" in lines
    assert "| `c-vitae`, 1 | searched | 0.900 ± 0.003 | 0.100 ± 0.003 | 4.56 |" in lines


def test_what_was_found_is_not_searched_again(modules, tmp_path, monkeypatch):
    search = modules["vitae_search"]
    asked = modules["rows"].Row("mnist-grey", "c-vitae", 0, 7)
    asked.folder(tmp_path).mkdir(parents=True)
    kept = row("c-vitae", 0, -2.5, -2.0)
    (asked.folder(tmp_path) / search.FOUND).write_text(json.dumps(kept))
    monkeypatch.setattr(search, "finish", lambda *_, **__: {"images": "abc"})
    assert search.row_of(asked, tmp_path, None) == kept
