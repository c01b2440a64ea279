"""One writer per folder, within a process; test_faults.py has the locks between processes."""

import os

import pytest

from unbraid.inference import FolderLock, RunInUseError


def test_a_second_holder_is_refused_until_the_first_leaves(tmp_path):
    folder = tmp_path / "new" / "run"
    with FolderLock(folder):
        with pytest.raises(RunInUseError, match=f"in use by process {os.getpid()} since"):
            FolderLock(folder).__enter__()
    with FolderLock(folder):
        pass


def test_an_error_in_the_block_frees_the_folder(tmp_path):
    with pytest.raises(KeyError), FolderLock(tmp_path):
        raise KeyError
    with FolderLock(tmp_path):
        pass


def test_what_a_dead_holder_wrote_is_not_believed(tmp_path):
    with FolderLock(tmp_path):
        (tmp_path / "lock").write_text('{"pid": 4194305, "started": "2001-01-01"}')
        with pytest.raises(RunInUseError, match="in use by a process that did not say its name"):
            FolderLock(tmp_path).__enter__()
