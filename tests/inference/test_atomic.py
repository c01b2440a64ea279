"""Files that are whole or absent."""

import errno
import json
import os
import shutil
from collections import namedtuple
from importlib import import_module

import pytest

from unbraid.inference import (
    check_writable,
    write_atomically,
    write_json_atomically,
)

atomic = import_module("unbraid.inference.atomic")


def test_bytes_text_and_json_are_written(tmp_path):
    write_atomically(tmp_path / "a", b"\x00\xff")
    write_atomically(tmp_path / "b", "é")
    write_json_atomically(tmp_path / "c", {"x": [1, 2.5, None, "é"]})
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b").read_text(encoding="utf-8") == "é"
    assert json.loads((tmp_path / "c").read_text()) == {"x": [1, 2.5, None, "é"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_the_file_has_the_rights_that_any_new_file_has(tmp_path):
    write_atomically(tmp_path / "a", b"1")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_json_without_a_name_for_a_number_is_refused(tmp_path, bad):
    with pytest.raises(ValueError, match=rf"value.loss\[1\].z is {bad}; expected a finite number"):
        write_json_atomically(tmp_path / "a", {"loss": [1.0, {"z": bad}]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_atomically(tmp_path / "a", b"old")
    monkeypatch.setattr(atomic.os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_device_is_named_with_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "open", lambda path, mode: open("/dev/full", "wb"), raising=False)
    message = r"No space left on device: 12345 bytes needed, \d+ bytes free"
    with pytest.raises(OSError, match=message) as caught:
        write_atomically(tmp_path / "a", bytes(12345))
    assert caught.value.errno == errno.ENOSPC


def test_the_order_is_write_sync_rename_sync(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        true = getattr(os, name)
        monkeypatch.setattr(atomic.os, name, lambda *a, n=name, t=true: (calls.append(n), t(*a)))
    write_atomically(tmp_path / "a", b"1")
    assert calls == ["fsync", "replace", "fsync"]


def test_left_overs_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".tmp-1-a" / "inner").mkdir(parents=True)
    (tmp_path / ".tmp-2-b").write_bytes(b"half")
    (tmp_path / "kept").touch()
    atomic.remove_left_over(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    check_writable(tmp_path / "new" / "run", 1000)
    assert not list((tmp_path / "new" / "run").iterdir())


def test_too_little_room_is_said_before_anything_is_made(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 2, 7))
    with pytest.raises(OSError, match="8 bytes needed, 7 bytes free on the disk") as caught:
        check_writable(tmp_path / "run", 8)
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "run").exists()
    check_writable(tmp_path / "run", 7)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(NotADirectoryError, match="file is a file; expected a folder"):
            check_writable(path, 1)


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(atomic, "write_synced", refuse)
    with pytest.raises(
        PermissionError, match="run is not writable; expected a folder to write to"
    ):
        check_writable(tmp_path / "run", 1)
