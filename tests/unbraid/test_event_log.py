"""Training curves reach TensorBoard's own reader."""

import threading

import pytest

from unbraid.event_log import tensorboard_writer


def test_rows_are_read_back_by_tensorboard(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    before = threading.active_count()
    with tensorboard_writer(tmp_path) as write:
        assert write is not None
        write({"step": 3, "loss": 2.5, "elbo": None})
        write({"step": 7, "loss": 1.5})
        assert threading.active_count() > before
    assert threading.active_count() == before  # closed, with its file
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(3, 2.5), (7, 1.5)]
    assert events.Tags()["scalars"] == ["loss"]


def test_without_tensorboard_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("unbraid.event_log.find_spec", lambda name: None)
    with tensorboard_writer(tmp_path) as write:
        assert write is None
    assert list(tmp_path.iterdir()) == []
