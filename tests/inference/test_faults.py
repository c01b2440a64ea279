"""Runs that are killed, raced, resumed in another process, or out of disk."""

import contextlib
import os
import random
import re
import runpy
import signal
import subprocess
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from unbraid.inference import Checkpoints, FolderLock, RunInUseError, read_metrics

SCRIPT = Path(__file__).with_name("fault_jobs.py")
jobs = runpy.run_path(str(SCRIPT))


class Server:
    def __init__(self):
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process: Any = subprocess.Popen([sys.executable, str(SCRIPT)], **pipes)

    def start(self, *command):
        self.process.stdin.write("\t".join(map(str, command)) + "\n")
        self.process.stdin.flush()
        return int(self.line().removeprefix("pid "))

    def line(self):
        return self.process.stdout.readline().strip()


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.process.stdin.close()
    server.process.wait(timeout=30)
    server.process.stdout.close()


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.001)


@pytest.mark.parametrize("case", ["adam", "fused-adam", "sgd"])
def test_a_resumed_run_is_equal_to_the_bit(server, tmp_path, case):
    jobs["seed"](5)
    state = jobs["train"](jobs["build"](case), 4)
    Checkpoints(tmp_path).save(state)
    uninterrupted = jobs["train"](state, 5)
    server.start("resume", tmp_path, case, 5)
    assert server.line() == f"4 {jobs['digest'](uninterrupted)}"


def drain(server):
    """Numbers that a killed job said before it died, which are still in the pipe."""
    os.set_blocking(server.process.stdout.fileno(), False)
    said = [int(line) for line in server.process.stdout]
    os.set_blocking(server.process.stdout.fileno(), True)
    return said


def kill_during_saves(server, folder, kills):
    """Kill writers at random moments; returns how many left something half written."""
    randomness = random.Random(0)
    done, left_over = 0, 0
    for _ in range(kills):
        pid = server.start("save_forever", folder, done + 1)
        acknowledged = int(server.line())
        time.sleep(randomness.uniform(0, 0.05))
        kill(pid)
        left_over += bool(list(folder.glob(".tmp-*")))
        acknowledged = max([acknowledged, *drain(server)])
        state = jobs["constant_state"](-1)
        done = Checkpoints(folder).load(state)
        assert acknowledged <= done <= acknowledged + 1
        assert all((p == done).all() for p in state.modules["model"].parameters())
        assert state.extra == {"value": done}
    return left_over


def test_no_kill_leaves_an_unreadable_checkpoint(server, tmp_path):
    kill_during_saves(server, tmp_path, kills=15)
    (tmp_path / ".tmp-1-dead").mkdir()
    Checkpoints(tmp_path).save(jobs["constant_state"](10**6))
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.slow
def test_no_kill_of_many_leaves_an_unreadable_checkpoint(server, tmp_path):
    # The kills must have met saves under way, or this shows nothing.
    assert kill_during_saves(server, tmp_path, kills=500) > 50


def training_record(folder):
    """All that training changes: weights, optimiser, schedule, averages, and the logged bounds.

    The means of a row in whose steps a kill fell are of the steps after the resume, so of those
    rows only the step and the learning rate are looked at; times and the state of Python's own
    generators, which no step reads, differ.
    """
    rows = [
        (row["step"], row.get("learning_rate"), row.get("validation_elbo"))
        for row in read_metrics(folder / "metrics.jsonl")
    ]
    store = Checkpoints(folder / "checkpoints")
    last = max((folder / "checkpoints").glob("ckpt-*"), key=lambda path: path.name)
    train = torch.load(last / "train.pt", weights_only=True)
    train["extra"]["progress"].pop("seconds_before")
    for name in ("python", "numpy"):
        del train["random"][name]
    return (
        store.steps()[-1],
        rows,
        train,
        safetensors.torch.load_file(last / "weights.safetensors"),
    )


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_training_killed_at_random_times_ends_as_if_it_never_was(server, tmp_path, kills):
    randomness, saved = random.Random(1), [0]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for number in range(kills):
        pid = server.start("fit_until", killed, 10**6)
        # Every other kill waits for training to be under way, however busy the machine is.
        logged = [int(server.line()) for _ in range(2 if number % 2 == 0 else 0)]
        time.sleep(randomness.uniform(0.1, 2.0))
        kill(pid)
        logged += drain(server)
        steps = Checkpoints(killed / "checkpoints").steps()
        saved.append(steps[-1] if steps else 0)
        assert saved[-1] >= max([saved[-2], *(step - 1 for step in logged)])
    assert sum(after > before for before, after in pairwise(saved)) >= kills / 2
    last = saved[-1] + 11
    for folder in (killed, whole):
        server.start("fit_until", folder, last)
        while server.line() != "done":
            pass
    assert same(training_record(killed), training_record(whole))
    assert training_record(whole)[0] == last


def test_a_full_disk_leaves_the_last_checkpoint(server, tmp_path):
    store = Checkpoints(tmp_path)
    jobs["seed"](0)
    store.save(jobs["constant_state"](1))
    files = list((tmp_path / "ckpt-000001").iterdir())
    sizes = sorted(file.stat().st_size for file in files)
    limits = [0, 100, sizes[0] - 1, sizes[1] - 1, sizes[2] - 1, sizes[2] + 1000]
    server.start("save_under_limits", tmp_path, *limits)
    for _ in limits[:-1]:
        assert re.search(
            r"OSError \[Errno 27\] .*: \d+ bytes needed, \d+ bytes free", server.line()
        )
    assert server.line() == "saved"
    assert store.steps() == [1, 2]
    assert not list(tmp_path.glob(".tmp-*"))


def test_the_lock_names_its_holder_and_dies_with_it(server, tmp_path):
    pid = server.start("hold", tmp_path)
    assert server.line() == "held"
    with pytest.raises(RunInUseError, match=rf"in use by process {pid} since 20\d\d-"):
        FolderLock(tmp_path).__enter__()
    kill(pid)
    with FolderLock(tmp_path):
        pass


@pytest.mark.parametrize("races", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_of_two_writers_one_wins(server, tmp_path, races):
    server.start("race", tmp_path, races)
    for _ in range(races):
        won, lost = sorted(server.line().strip("|").split("|"), reverse=True)
        assert won.startswith("won")
        assert f"in use by process {won.removeprefix('won ')} since" in lost


def test_two_writers_without_a_lock_do_not_mix_their_files(server, tmp_path):
    pids = [server.start("save_forever", tmp_path, 1)]
    server.process.stdin.write(f"save_forever\t{tmp_path}\t1\n")
    server.process.stdin.flush()
    while len(pids) < 2:
        line = server.line()
        pids += [int(line.removeprefix("pid "))] if line.startswith("pid") else []
    time.sleep(0.3)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            kill(pid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = jobs["constant_state"](-1)
        step = Checkpoints(tmp_path).load(state)
    assert all(torch.all(p == step) for p in state.modules["model"].parameters())
