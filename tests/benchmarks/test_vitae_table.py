"""The table's settings are ones that methods accept; its numbers are those of the rows."""

import importlib
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from unbraid.methods import load_method, read_options


@pytest.fixture
def modules(monkeypatch):
    """The table's modules; the benchmarks run from the checkout's root and are not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    names = ("settings", "run", "print", "table")
    found = {name: importlib.import_module(f"benchmarks.vitae_{name}") for name in names}
    return {**found, "rows": importlib.import_module("benchmarks.rows")}


def row(method="c-vitae", seed=0, steps=7, **changes):
    evaluation = {"elbo": -12.0, "elbo_se": 0.25, "log_likelihood": -11.0}
    evaluation["log_likelihood_se"] = 0.5
    return {
        "setting": "mnist-grey",
        "method": method,
        "seed": seed,
        "steps": steps,
        "split": "test",
        "parameters": 5,
        "images": "abc",
        "training_seconds": 1,
        "evaluation": {**evaluation, "n": 3, "samples": 10, "is_likelihood": False},
        "accuracy": {"appearance": 0.9, "perspective": 0.1},
        "r2": {"appearance": {"rotation": 0.1}, "perspective": {"rotation": 0.8}},
        "disentanglement": 0.5,
        "completeness": 0.4,
        "informativeness": 0.3,
        **changes,
    }


def write_values(module, folder, values):
    folder.mkdir(parents=True)
    np.savez(folder / module.VALUES, log_likelihood=np.array(values), elbo=np.array(values))


def test_every_method_accepts_its_options(modules):
    for setting in modules["settings"].SETTINGS.values():
        for method in modules["settings"].ROWS:
            options = setting.row_options(method)
            assert read_options(load_method(method).options, options)


def test_all_rows_have_codes_of_one_size(modules):
    for setting in modules["settings"].SETTINGS.values():
        for method in modules["settings"].ROWS:
            options = setting.row_options(method)
            sizes = [
                options.get(k, 0) for k in ("latent_dim", "appearance_dim", "perspective_dim")
            ]
            assert sum(sizes) == setting.appearance_dim + setting.perspective_dim


def test_a_finished_row_is_not_run_again(modules, tmp_path):
    run = modules["run"]
    asked = run.Row("mnist-grey", "vae", 3, 7)
    asked.folder(tmp_path).mkdir(parents=True)
    (asked.folder(tmp_path) / modules["rows"].ROW).write_text(json.dumps(row("vae", 3)))
    assert run.finish(asked, tmp_path, progress=False) == row("vae", 3)


def test_a_training_that_was_stopped_is_not_judged(modules, tmp_path, monkeypatch):
    run = modules["run"]
    result = SimpleNamespace(stopped="signal")
    monkeypatch.setattr(
        modules["rows"].unbraid, "train", lambda *_, **__: SimpleNamespace(result=result)
    )
    asked = run.Row("mnist-grey", "c-vitae", 0, 7)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        run.finish(asked, tmp_path, progress=False)
    assert not (asked.folder(tmp_path) / modules["rows"].ROW).exists()


@pytest.mark.parametrize("changes", [{"steps": 8}, {"split": "validation"}])
def test_results_of_other_settings_are_refused(modules, tmp_path, changes):
    run = modules["run"]
    asked = run.Row(**{"setting": "mnist-grey", "method": "vae", "seed": 3, "steps": 7, **changes})
    asked.folder(tmp_path).mkdir(parents=True)
    (asked.folder(tmp_path) / modules["rows"].ROW).write_text(json.dumps(row("vae", 3)))
    with pytest.raises(ValueError, match=r"holds 7 steps judged on test; expected .* Choose"):
        run.finish(asked, tmp_path, progress=False)


def test_the_difference_is_paired_by_image_after_the_mean_over_seeds(modules, tmp_path, capsys):
    run, rows = modules["run"], []
    values = {
        ("c-vitae", 0): [-1.0, -2.0, -4.0],
        ("c-vitae", 1): [-1.0, -4.0, -4.0],
        ("vae", 0): [-3.0, -3.0, -9.0],
    }
    for (method, seed), numbers in values.items():
        folder = run.Row("mnist-grey", method, seed, 7).folder(tmp_path)
        write_values(run, folder, numbers)
        rows.append(row(method, seed))
    modules["print"].print_table("mnist-grey", rows, tmp_path)
    printed = capsys.readouterr().out
    differences = np.array([2.0, 0.0, 5.0])
    error = differences.std(ddof=1) / math.sqrt(3)
    assert f"{differences.mean():+.2f} ± {error:.2f}" in printed
    assert "not a likelihood" in printed


def test_rows_on_other_images_are_not_compared(modules, tmp_path, capsys):
    rows = [row("c-vitae"), row("vae", images="other")]
    modules["print"].print_table("mnist-grey", rows, tmp_path)
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("| `vae` | -12"))
    assert line.split("|")[4].strip() == ""


def test_the_share_of_the_steps(modules):
    import argparse

    given = argparse.Namespace(
        data=["mnist-grey"], seeds=[0, 1], methods=["vae"], steps=None, share=1 / 3, split="test"
    )
    found = modules["table"].rows_of(given)
    assert [(r.seed, r.steps) for r in found] == [(0, 14_333), (1, 14_333)]


def test_draws_have_lines_of_their_own_where_they_were_kept(modules, tmp_path, capsys):
    drawn = {"accuracy": {"perspective": 0.11}, "r2": {"perspective": {"rotation": 0.22}}}
    folder = modules["rows"].Row("mnist-grey", "c-vitae", 0, 7).folder(tmp_path)
    write_values(modules["rows"], folder, [-11.0, -12.0, -13.0])
    modules["print"].print_table("mnist-grey", [row(of_draws=drawn)], tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert "| codes | R^2 of rotation | class |" in lines
    assert "| `c-vitae`, perspective, means | 0.800 | 0.100 |" in lines
    assert "| `c-vitae`, perspective, draws | 0.220 | 0.110 |" in lines
    modules["print"].print_table("mnist-grey", [row()], tmp_path)
    assert "draws" not in capsys.readouterr().out
