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
from pathlib import Path
from typing import Any

import pytest
import torch

from unbraid.inference import Checkpoints, FolderLock, RunInUseError

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
        # What the writer said before it died is still in the pipe.
        os.set_blocking(server.process.stdout.fileno(), False)
        for line in server.process.stdout:
            acknowledged = int(line)
        os.set_blocking(server.process.stdout.fileno(), True)
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
