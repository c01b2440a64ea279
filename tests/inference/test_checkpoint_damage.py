"""Damaged, forged and half-written checkpoints."""

import copy
import errno
import io
import json
import os
import pickle
import random
import runpy
import shutil
import warnings
import zipfile
from dataclasses import asdict
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn

from unbraid.inference import CheckpointError, Checkpoints, CheckpointWarning, TrainingState

atomic = import_module("unbraid.inference.atomic")
checkpoint_folder = import_module("unbraid.inference.checkpoint_folder")
META, TRAIN, WEIGHTS = checkpoint_folder.META, checkpoint_folder.TRAIN, checkpoint_folder.WEIGHTS

jobs = runpy.run_path(str(Path(__file__).with_name("fault_jobs.py")))


def state_of(value):
    module = nn.Linear(3, 2)
    nn.init.constant_(module.weight, value)
    return TrainingState(value, {"model": module})


@pytest.fixture
def two(tmp_path):
    """Checkpoints of steps 1 and 2."""
    store = Checkpoints(tmp_path)
    store.save(state_of(1))
    store.save(state_of(2))
    return store


def loaded_step(store):
    """The step that loads, and what was said."""
    state = state_of(0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        step = store.load(state)
    assert (state.modules["model"].weight == step).all()
    return step, [str(warning.message) for warning in said]


@pytest.mark.parametrize("name", [WEIGHTS, TRAIN, META])
def test_every_flipped_bit_is_found(tmp_path, name):
    store, randomness = Checkpoints(tmp_path), random.Random(1)
    path = store.save(state_of(2)) / name
    good = path.read_bytes()
    for _ in range(334):
        bit = randomness.randrange(8 * len(good))
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match="no undamaged"):
            with pytest.warns(CheckpointWarning, match=f"ckpt-000002/{name} .* is passed over"):
                store.load(state_of(0))
    path.write_bytes(good)
    assert loaded_step(store) == (2, [])


@pytest.mark.parametrize("name", [WEIGHTS, TRAIN, META])
def test_every_truncation_is_found(two, name):
    path = two.folder / "ckpt-000002" / name
    good = path.read_bytes()
    for length in [0, 1, len(good) - 1, *random.Random(2).sample(range(len(good)), 64)]:
        path.write_bytes(good[:length])
        assert loaded_step(two)[0] == 1, f"{length} bytes"
    path.unlink()
    step, said = loaded_step(two)
    assert step == 1 and f"ckpt-000002/{name} is missing" in said[0]
    assert (two.folder / "ckpt-000002").exists()


def test_damage_is_kept_and_does_not_count(two):
    path = two.folder / "ckpt-000002" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])
    store = Checkpoints(two.folder)  # one that has not seen the damage yet
    for step in (3, 4, 5):
        store.save(state_of(step))
        assert len(store.steps()) == 3
    assert path.exists()
    path = two.folder / "ckpt-000005" / TRAIN
    path.write_bytes(b"")
    assert loaded_step(store)[0] == 4
    store.save(state_of(4))
    assert (two.folder / "left-ckpt-000005").exists()
    assert loaded_step(store) == (4, [])


def test_when_none_is_left_it_says_so(two):
    for path in two.folder.glob("*/" + TRAIN):
        path.write_bytes(b"")
    with pytest.warns(CheckpointWarning), pytest.raises(CheckpointError, match="no undamaged"):
        two.load(state_of(0))
    with pytest.warns(CheckpointWarning), pytest.raises(CheckpointError, match="no undamaged"):
        two.load(state_of(0), 2)


def test_a_damaged_best_falls_back_to_the_newest(two):
    two.save(state_of(3), best=True)
    two.save(state_of(4))
    (two.folder / "ckpt-000003" / WEIGHTS).write_bytes(b"")
    state = state_of(0)
    with pytest.warns(
        CheckpointWarning, match="ckpt-000003/weights.safetensors has 0 bytes instead"
    ):
        assert two.load_modules(state.modules) == 4


def test_a_renamed_checkpoint_is_not_believed(two):
    (two.folder / "ckpt-000002").rename(two.folder / "ckpt-000007")
    step, said = loaded_step(two)
    assert step == 1 and "ckpt-000007 holds step 2" in said[0]


def forge(folder, *, train=None, weights=None, **record):
    """Replace content and make all hashes right again."""
    values = asdict(checkpoint_folder.read_record(folder)) | record
    for name, content in ((TRAIN, train), (WEIGHTS, weights)):
        if content is not None:
            (folder / name).write_bytes(content)
            values["files"][name] = {"sha256": sha256(content).hexdigest(), "size": len(content)}
    values = {key: value for key, value in values.items() if value is not None}
    (folder / META).write_bytes(checkpoint_folder.seal(values))


def packed(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def packed_legacy(value):
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def forged_store(folder, **content):
    store = Checkpoints(folder)
    forge(store.save(state_of(1)), **content)
    return store


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (self.marker, "w"))


@pytest.mark.parametrize("write", [packed, packed_legacy, pickle.dumps])
def test_code_in_a_checkpoint_does_not_run(tmp_path, write, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker = tmp_path / "ran"
    store = forged_store(tmp_path / "run", train=write({"extra": Payload(str(marker))}))
    with pytest.raises(
        CheckpointError, match=r"ckpt-000001/train.pt is not of our making"
    ) as caught:
        store.load(state_of(0))
    assert not marker.exists()
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(10**12),
        torch.zeros(4)[:3].expand(5, 3),
        torch.eye(3).to_sparse(),
        torch.zeros(3, device="meta"),
    ],
)
def test_tensors_larger_than_their_storage_are_refused(tmp_path, tensor):
    store = forged_store(tmp_path, train=packed({"extra": {"a": [tensor]}}))
    with pytest.raises(CheckpointError, match=r"train.pt.extra.a.0 is an expanded, sparse"):
        store.load(state_of(0))


def rezipped(compression=zipfile.ZIP_STORED):
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed({"a": torch.zeros(10**6)}))) as source:
        with zipfile.ZipFile(target, "w", compression) as archive:
            for entry in source.infolist():
                archive.writestr(entry.filename, source.read(entry))
    return target.getvalue()


def overlapping():
    """An archive whose directory lists its one large entry twenty times."""
    buffer = io.BytesIO(rezipped())
    with zipfile.ZipFile(buffer, "a") as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        for index in range(20):
            alias = copy.copy(largest)
            alias.filename = f"alias{index}"
            archive.filelist.append(alias)
        archive.writestr("last", b"")  # makes the directory be written anew
    return buffer.getvalue()


@pytest.mark.parametrize("content", [rezipped(zipfile.ZIP_DEFLATED), overlapping()])
def test_archives_that_unpack_to_more_are_refused(tmp_path, content, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("was unpacked"))
    store = forged_store(tmp_path, train=content)
    with pytest.raises(CheckpointError, match="not of our making"):
        store.load(state_of(0))


@pytest.mark.parametrize("value", [[1], {"a": {1.5: 2}}, {"extra": {}}])
def test_other_content_is_refused(tmp_path, value):
    with pytest.raises(CheckpointError, match="ckpt-000001"):
        forged_store(tmp_path, train=packed(value)).load(state_of(0))


def test_containers_that_hold_themselves_do_not_hang(tmp_path):
    laughs: list = [1]
    for _ in range(60):
        laughs = [laughs, laughs]
    laughs[0] = laughs
    with pytest.raises(CheckpointError, match=r"the parts of train\.pt"):
        forged_store(tmp_path, train=packed({"extra": laughs})).load(state_of(0))


def test_a_foreign_weights_file_is_refused(tmp_path):
    for content in (b"", b"\xff" * 100, (2**40).to_bytes(8, "little") + b"{}"):
        shutil.rmtree(tmp_path)
        with pytest.raises(CheckpointError, match=f"ckpt-000001/{WEIGHTS} is not of our making"):
            forged_store(tmp_path, weights=content).load(state_of(0))


def test_a_newer_format_is_refused_by_name(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"meta.json is of format 2; expected 1. Load it with"
    ):
        forged_store(tmp_path, version=2).load(state_of(0))


@pytest.mark.parametrize(
    "name", ["step", "best", "shared", "files", "versions", "threads", "version"]
)
def test_no_field_of_the_record_can_be_left_out(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"ckpt-000001/meta\.json is"):
        forged_store(tmp_path, **{name: None}).load(state_of(0))


@pytest.mark.parametrize(
    "record",
    [
        {"step": "1"},
        {"best": 1},
        {"shared": {"a": "b"}},
        {"files": []},
        {"files": {}},
        {"versions": 3},
    ],
)
def test_forged_records_are_refused(tmp_path, record):
    with pytest.raises(CheckpointError, match="is not of our making"):
        store = Checkpoints(tmp_path)
        path = store.save(state_of(1))
        values = json.loads((path / META).read_bytes()) | record
        del values["sha256"]
        (path / META).write_bytes(checkpoint_folder.seal(values))
        store.load(state_of(0))


def leaves(value, where=()):
    """Paths of everything in a dictionary, lists left whole."""
    for key, item in value.items():
        yield (*where, key)
        if isinstance(item, dict):
            yield from leaves(item, (*where, key))


def without(value, path):
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return value


def test_no_field_of_the_training_state_can_be_left_out(tmp_path):
    jobs["seed"](3)
    state = jobs["train"](jobs["build"](), 3)
    path = Checkpoints(tmp_path).save(state)
    train = torch.load(path / TRAIN, weights_only=True)
    expected = jobs["digest"](jobs["train"](state, 4))
    refused, diverged = [], []
    for leaf in leaves(train):
        forge(path, train=packed(without(train, leaf)))
        resumed = jobs["build"]()
        try:
            Checkpoints(tmp_path).load(resumed)
        except CheckpointError:
            refused.append(leaf)
            continue
        try:
            if jobs["digest"](jobs["train"](resumed, 4)) == expected:
                pytest.fail(f"{leaf} was left out and nobody noticed")
        except KeyError:
            pass
        diverged.append(leaf)
    assert len(refused) >= 20
    # An optimiser's state per parameter may be missing, as before the first step, but shows.
    assert {leaf[:4] for leaf in diverged} == {("optimizers", "pair", "state", "state")}


@pytest.mark.parametrize("failing", range(1, 6))
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_at_any_write_leaves_the_last_checkpoint(
    two, monkeypatch, failing, number
):
    calls, sync = [], os.fsync

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == failing:
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    # The first three are files, which say what they need; then come the two folders.
    full = number == errno.ENOSPC and failing <= 3
    message = r"\d+ bytes needed, \d+ bytes free" if full else os.strerror(number)
    with pytest.raises(OSError, match=message):
        two.save(state_of(3))
    assert loaded_step(two) == (3 if failing == 5 else 2, [])
    assert not list(two.folder.glob(".tmp-*"))


def test_a_second_ctrl_c_during_a_save_leaves_the_last_checkpoint(two, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        two.save(state_of(3))
    assert loaded_step(two) == (2, [])
    assert not list(two.folder.glob(".tmp-*"))
