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
        name: importlib.import_module(f"benchmarks.{name}")
        for name in ("vitae_search", "vitae_run", "rows")
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


@pytest.fixture
def trained(modules, monkeypatch):
    """Trainings that end as well as their seed says; their seeds, in order."""
    bounds, seeds = {3: [-9.0, -5.0], 4: [-7.0, -4.0, -4.5], 5: [-8.0]}, []

    def train(row, out, method, data, **settings):
        seeds.append(row.seed)
        assert (method, data, settings["batch_size"]) == ("vae", "mnist", 256)
        assert settings["keep"] == "best" and settings["options"]["latent_dim"] == 4
        row.folder(out).mkdir(parents=True, exist_ok=True)
        lines = [{"step": 1, "elbo": 0.0}]
        lines += [{"step": 2 + i, "validation_elbo": b} for i, b in enumerate(bounds[row.seed])]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (row.folder(out) / "metrics.jsonl").write_text(text)

    monkeypatch.setattr(modules["rows"].Row, "train", train)
    return seeds


def test_of_several_starts_the_one_with_the_best_bound_is_taken(
    modules, trained, tmp_path, capsys
):
    asked = modules["rows"].Row("mnist-grey", "vae", 1, 7)
    best = modules["vitae_search"].chosen(asked, 3, tmp_path, None)
    assert best == modules["rows"].Row("mnist-grey", "vae", 4, 7)
    told = capsys.readouterr().out
    assert "bounds of seeds 3: -5.00, 4: -4.00, 5: -8.00; seed 4 is judged" in told
    assert modules["vitae_search"].chosen(asked, 1, tmp_path, None) == asked
    assert trained == [3, 4, 5]


def test_starts_that_are_there_are_not_trained_again(modules, trained, tmp_path):
    asked = modules["rows"].Row("mnist-grey", "vae", 1, 7)
    best_start = modules["vitae_run"].best_start
    best_start(asked, 3, tmp_path, progress=False)
    kept = tmp_path / "mnist-grey" / "vae-5" / "row.json"
    kept.write_text('{"steps": 7, "split": "test"}')
    best, bounds = best_start(asked, 3, tmp_path, progress=False)
    assert trained == [3, 4, 5, 3, 4]
    assert bounds == [-5.0, -4.0, -8.0] and best.seed == 4
    kept.write_text('{"steps": 8, "split": "test"}')
    with pytest.raises(ValueError, match="vae-5 holds 8 steps"):
        best_start(asked, 3, tmp_path, progress=False)


def test_no_start_is_refused(modules, capsys):
    with pytest.raises(SystemExit):
        modules["vitae_search"].main(["--starts", "0"])
    assert "--starts is 0; expected at least 1" in capsys.readouterr().err
