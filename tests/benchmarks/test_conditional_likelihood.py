"""The paired comparison of the conditional VAE and the VAE."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def benchmark(monkeypatch) -> Any:
    """The benchmark, which runs from the checkout's root and is not installed."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2])
    return importlib.import_module("benchmarks.conditional_likelihood")


def test_differences_are_paired(benchmark):
    random = np.random.default_rng(0)
    hard = 30 * random.normal(size=400)
    above = 0.5 + 0.1 * random.normal(size=400)
    mean, error = benchmark.paired(hard + above, hard)
    assert mean == pytest.approx(above.mean())
    assert error == pytest.approx(above.std(ddof=1) / 20)
    with pytest.raises(ValueError, match="expected one number for each of the same data"):
        benchmark.paired(hard, hard[1:])


def test_the_table_compares_rows_of_one_seed(benchmark, tmp_path):
    rows, found = [], []
    for seed, gain in ((0, 1.0), (1, 3.0)):
        for method in ("vae", "cvae"):
            row = benchmark.Row("mnist-small", method, seed, 5)
            folder = row.folder(tmp_path)
            folder.mkdir(parents=True)
            values = 10.0 * seed + np.arange(4) + (gain if method == "cvae" else 0)
            np.savez(folder / benchmark.VALUES, log_likelihood=values)
            told = {"score": {"logistic": 0.1, "knn": 0.2}}
            result = {
                "log_likelihood": -90.0,
                "log_likelihood_se": 1.0,
                "condition_from_codes": {"label": {"of_means": told}} if method == "cvae" else {},
            }
            (folder / "row.json").write_text(json.dumps(result))
            rows.append(row)
            found.append(result)
    lines = benchmark.table(rows, found, tmp_path).splitlines()[2:]
    assert [line.split("|")[3].strip() for line in lines] == [
        "",
        "+1.00 +- 0.00",
        "",
        "+3.00 +- 0.00",
    ]
    assert "logistic 0.100, knn 0.200" in lines[1]


def test_rows_are_trained_judged_and_kept(benchmark, tmp_path, capsys):
    words = ["--data", "mnist-small", "--rows", "vae", "cvae", "--steps", "2"]
    words += ["--split", "validation", "--out", str(tmp_path)]
    tiny = {"short": benchmark.Schedule(2, benchmark.COMMON, 1, 2, 20)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "SCHEDULES", tiny)
        patch.setattr(benchmark, "NETS", {**benchmark.NETS, "hidden": (5,), "latent_dim": 2})
        assert benchmark.main(words) == 0
        first = capsys.readouterr().out
        assert "| `cvae`, seed 0 |" in first and "knn 0." in first
        assert benchmark.main(words) == 0
    assert capsys.readouterr().out == first
    found = json.loads((tmp_path / "mnist-small/cvae-0/row.json").read_text())
    assert found["n"] == 20 and found["samples"] == 2


def test_the_full_schedule_misses_its_aims_where_no_vae_is_there(benchmark, tmp_path, capsys):
    words = ["--data", "mnist-small", "--rows", "cvae", "--steps", "2", "--schedule", "full"]
    words += ["--split", "validation", "--out", str(tmp_path)]
    tiny = {"full": benchmark.Schedule(2, benchmark.COMMON, 1, 2, 20)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "SCHEDULES", tiny)
        patch.setattr(benchmark, "NETS", {**benchmark.NETS, "hidden": (5,), "latent_dim": 2})
        patch.setattr(benchmark, "LEAST", -1e9)
        patch.setattr(benchmark, "MOST_TOLD", 1.0)
        assert benchmark.main(words) == 1
    assert '{"missed": ["cvae, seed 0"]}' in capsys.readouterr().out
