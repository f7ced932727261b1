"""Logs that grow in a storage: append and truncate, on a disk and in memory."""

from __future__ import annotations

import os

import pytest

from lateapex.errors import RunError, StorageError
from lateapex.storage import DiskStorage, MemoryStorage


@pytest.fixture(params=["disk", "memory"])
def storage(request, tmp_path):
    return DiskStorage(tmp_path / "run") if request.param == "disk" else MemoryStorage()


def test_a_log_begins_with_its_first_bytes_and_grows(storage):
    storage.append("logs/training.log", b"one\n")
    storage.append("logs/training.log", b"two\n")
    assert storage.read("logs/training.log") == b"one\ntwo\n"


def test_a_log_is_cut_to_its_first_bytes_and_grows_from_there(storage):
    storage.append("a.log", b"one\ntwo\ntor")
    storage.truncate("a.log", 8)
    storage.append("a.log", b"three\n")
    assert storage.read("a.log") == b"one\ntwo\nthree\n"


def test_cutting_to_the_present_size_changes_nothing(storage):
    storage.write("a.log", b"abc")
    storage.truncate("a.log", 3)
    assert storage.read("a.log") == b"abc"


def test_no_file_can_be_cut_to_nothing_and_to_nothing_else(storage):
    storage.truncate("a.log", 0)
    assert not storage.exists("a.log")
    with pytest.raises(RunError, match=r"a\.log holds 0 of the 5 bytes it must have; bring the file back"):
        storage.truncate("a.log", 5)


def test_a_log_shorter_than_its_checkpoint_is_refused_and_kept(storage):
    storage.append("a.log", b"abc")
    with pytest.raises(RunError, match=r"a\.log holds 3 of the 5 bytes"):
        storage.truncate("a.log", 5)
    assert storage.read("a.log") == b"abc"


def test_an_append_that_fails_half_way_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    storage = DiskStorage(tmp_path)
    storage.append("a.log", b"whole\n")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write .*a\.log: No space left on device; free some space"):
        storage.append("a.log", b"torn")
    assert storage.read("a.log") == b"whole\n"


def test_a_place_that_is_no_folder_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    storage = DiskStorage(tmp_path / "file")
    with pytest.raises(StorageError, match="cannot write"):
        storage.append("a.log", b"x")
    with pytest.raises(StorageError, match="cannot write"):
        storage.truncate("a.log", 1)
