"""Places that hold run folders: whole files or none, whatever goes wrong."""

from __future__ import annotations

import os
import stat

import pytest

from lateapex.errors import RunError, StorageError
from lateapex.storage import DiskStorage, MemoryStorage


@pytest.fixture(params=["disk", "memory"])
def storage(request, tmp_path):
    return DiskStorage(tmp_path / "run") if request.param == "disk" else MemoryStorage()


def test_a_file_comes_back_as_it_was_written(storage):
    for data in (b"", b"one", bytes(range(256)) * 1000):
        storage.write("a/b/c.bin", data)
        assert storage.read("a/b/c.bin") == data
    assert storage.exists("a/b/c.bin")


def test_a_file_is_replaced_as_a_whole(storage):
    storage.write("a", b"long before")
    storage.write("a", b"now")
    assert storage.read("a") == b"now"


def test_a_file_that_is_not_there_is_named(storage):
    assert not storage.exists("a/b")
    with pytest.raises(RunError, match=r"has no a/b$"):
        storage.read("a/b")


def test_files_are_listed_by_prefix_in_order(storage):
    assert storage.list() == []
    for name in ("b/2", "a", "b/10", "bc"):
        storage.write(name, b"")
    assert storage.list() == ["a", "b/10", "b/2", "bc"]
    assert storage.list("b/") == ["b/10", "b/2"]
    assert storage.list("b") == ["b/10", "b/2", "bc"]
    assert storage.list("x") == []


def test_a_deleted_file_is_gone_and_deleting_it_again_is_no_fault(storage):
    storage.write("a", b"")
    storage.delete("a")
    storage.delete("a")
    assert not storage.exists("a")


def test_what_was_written_to_memory_does_not_change_with_its_source():
    storage, data = MemoryStorage(), bytearray(b"abc")
    storage.write("a", data)
    data[0] = 0
    assert storage.read("a") == b"abc"


def test_where_it_is_is_told_as_a_user_would_write_it(tmp_path):
    assert DiskStorage("runs/mine").url == "runs/mine"
    assert MemoryStorage().url == "memory"


def test_a_folder_is_no_file(tmp_path):
    storage = DiskStorage(tmp_path)
    storage.write("a/b", b"")
    assert not storage.exists("a")
    with pytest.raises(StorageError, match=r"cannot read .*/a: Is a directory"):
        storage.read("a")
    with pytest.raises(StorageError, match=r"cannot write .*/a: Is a directory"):
        storage.write("a", b"x")
    assert storage.list() == ["a/b"]


@pytest.mark.parametrize("failing", ["fsync", "replace", "chmod"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, failing):
    storage = DiskStorage(tmp_path)
    storage.write("a", b"whole")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(StorageError, match=r"cannot write .*/a: No space left on device; free some space"):
        storage.write("a", b"torn")
    assert storage.read("a") == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_that_is_still_being_written_is_not_listed(tmp_path):
    (tmp_path / ".writing-abc").write_bytes(b"half")
    assert DiskStorage(tmp_path).list() == []


def test_files_are_readable_for_everybody(tmp_path):
    DiskStorage(tmp_path).write("a", b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path):
    (tmp_path / "run").write_text("")
    storage = DiskStorage(tmp_path / "run")
    with pytest.raises(StorageError, match=r"cannot write .*/run/a: "):
        storage.write("a", b"")
    with pytest.raises(StorageError, match=r"cannot write .*/run/a: "):
        storage.append("a", b"")
    assert not storage.exists("a")
