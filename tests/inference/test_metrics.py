"""Logs: means over a window, steps that went bad, lines on disk."""

import json

import pytest
import torch

from unbraid.inference import read_metrics
from unbraid.inference.metrics import (  # pyright: ignore[reportMissingImports]
    MetricsFile,
    StepLog,
)


def filled(flags):
    log, bad = StepLog(), torch.zeros(())
    for i, flag in enumerate(flags):
        bad.fill_(flag)
        log.add({"loss": torch.tensor(float(i)), "elbo": torch.tensor(-2.0 * i).double()}, bad)
    return log


def test_a_window_is_read_as_means():
    log = filled([0, 0, 0])
    assert log.read() == ({"loss": 1.0, "elbo": -2.0}, None)
    assert log.read() == ({}, None)


def test_the_first_bad_step_is_told_though_the_flag_is_one_tensor():
    assert filled([0, 0, 1, 1]).read()[1] == 2
    assert filled([1]).read()[1] == 0


def test_parts_that_come_and_go_are_averaged_over_their_steps():
    """An adversary that is trained every other step must not stop the log."""
    log, bad = StepLog(), torch.zeros(())
    for i in range(4):
        parts = {"loss": torch.tensor(float(i))}
        if i % 2:
            parts["critic"] = torch.tensor(10.0 * i)
        log.add(parts, bad)
    assert log.read() == ({"loss": 1.5, "critic": 20.0}, None)


def test_rows_are_lines_of_json(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    file = MetricsFile(path, 0)
    rows = [{"step": 1, "loss": 2.5}, {"step": 2, "loss": float("nan")}]
    for row in rows:
        file.add(row)
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [rows[0], {"step": 2, "loss": None}]
    assert file.rows[0] == rows[0]
    resumed = MetricsFile(path, 1)
    assert resumed.rows == [rows[0]] == read_metrics(path)
    fresh = MetricsFile(path, 0)
    assert fresh.rows == read_metrics(path) == []


def test_a_line_cut_short_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


def test_without_a_file_rows_are_kept():
    file = MetricsFile(None, 5)
    file.add({"step": 6})
    assert file.rows == [{"step": 6}]


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_numbers_are_read_as_they_are(value):
    log = StepLog()
    log.add({"loss": torch.tensor(value)}, torch.ones(()))
    log.add({"loss": torch.tensor(-value)}, torch.ones(()))
    assert log.read()[1] == 0
