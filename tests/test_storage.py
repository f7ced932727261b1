"""Places that hold run folders: whole files or none, whatever goes wrong."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from made_bucket import Bucket, made_storage

from lateapex.errors import ConfigError, RunError, StorageError
from lateapex.storage import DiskStorage, MemoryStorage, open_storage, place_of, written
from lateapex.storage_check import require_conditional_writes
from lateapex.storage_gathered import GatheredStorage
from lateapex.workers.keys import KeyedStorage


@pytest.fixture(
    params=[
        *("disk", "memory", "made bucket", "two places", "gathered"),
        *(pytest.param(name, marks=pytest.mark.servers) for name in ("real bucket", "real database")),
    ]
)
def storage(request, tmp_path):
    match request.param:
        case "disk":
            return DiskStorage(tmp_path / "run")
        case "memory":
            return MemoryStorage()
        case "made bucket":
            return made_storage(Bucket())
        case "two places":
            return KeyedStorage(DiskStorage(tmp_path / "run"), MemoryStorage())
        case "gathered":
            return GatheredStorage(MemoryStorage(), "model/")
    return open_storage(request.getfixturevalue({"real bucket": "bucket_url"}.get(request.param, "redis_url")))


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


def test_sizes_are_told_without_reading(storage):
    assert storage.notes() == {}
    for name, size in (("b/2", 5), ("a", 3), ("b/1", 0)):
        storage.write(name, bytes(size))
    storage.append("b/2", b"more")
    assert [(name, note.size) for name, note in storage.notes().items()] == [("a", 3), ("b/1", 0), ("b/2", 9)]
    assert list(storage.notes("b/")) == ["b/1", "b/2"]
    assert all(note.changed == 0.0 or abs(note.changed - time.time()) < 3600.0 for note in storage.notes().values())


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


def test_a_copy_stays_when_the_original_changes(storage):
    storage.write("a", b"old")
    storage.copy("a", "b/copy")
    storage.write("a", b"new")
    assert storage.read("b/copy") == b"old"
    with pytest.raises(RunError, match=r"has no c$"):
        storage.copy("c", "d")
    assert not storage.exists("d")


def test_a_log_grows_and_can_be_cut(storage):
    storage.append("log", b"one")
    storage.append("log", b"two")
    assert storage.read("log") == b"onetwo"
    storage.truncate("log", 4)
    assert storage.read("log") == b"onet"
    with pytest.raises(RunError, match="holds 4 of the 5 bytes"):
        storage.truncate("log", 5)
    storage.truncate("none", 0)
    with pytest.raises(RunError, match="holds 0 of the 1 bytes"):
        storage.truncate("none", 1)
    assert not storage.exists("none")


def test_a_file_is_put_only_where_there_is_none(storage):
    tag = storage.put_if_absent("a/b", b"first")
    assert storage.put_if_absent("a/b", b"second") is None
    assert storage.read_tagged("a/b") == (b"first", tag)
    assert storage.list() == ["a/b"]


def test_a_file_is_swapped_only_while_it_has_the_tag(storage):
    old = storage.put_if_absent("a", b"0")
    new = storage.compare_and_swap("a", old, b"1")
    assert new not in (None, old)
    assert storage.compare_and_swap("a", old, b"2") is None
    assert storage.read_tagged("a") == (b"1", new)
    assert storage.compare_and_swap("none", old, b"2") is None
    assert storage.list() == ["a"]
    with pytest.raises(RunError, match=r"has no none$"):
        storage.read_tagged("none")


def test_of_many_that_put_or_swap_at_once_one_wins(storage):
    names = [bytes([65 + n]) for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for trial in range(4):
            tags = list(threads.map(lambda data: storage.put_if_absent(f"{trial}", data), names))  # noqa: B023 - done within
            assert [tag is None for tag in tags].count(False) == 1
            tag = next(filter(None, tags))
            assert storage.read_tagged(f"{trial}") == (names[tags.index(tag)], tag)
            tags = list(threads.map(lambda data: storage.compare_and_swap(f"{trial}", tag, data * 2), names))  # noqa: B023 - done within
            assert [tag is None for tag in tags].count(False) == 1
            assert storage.read(f"{trial}") == 2 * names[[tag is None for tag in tags].index(False)]


def test_a_storage_that_keeps_its_word_passes_the_check_and_holds_nothing_afterwards(storage):
    require_conditional_writes(storage)
    assert storage.list() == []


class Forgetful(MemoryStorage):
    """Ignores the conditions that are named to it, as some stores do."""

    def __init__(self, *ignored: str) -> None:
        super().__init__()
        self.ignored = ignored

    def put_if_absent(self, name, data):
        if "If-None-Match" in self.ignored:
            self.files.pop(name, None)
        return super().put_if_absent(name, data)

    def compare_and_swap(self, name, tag, data):
        if "If-Match" in self.ignored:
            tag = self.read_tagged(name).tag
        return super().compare_and_swap(name, tag, data)


@pytest.mark.parametrize(
    ("ignored", "fault"),
    [
        ("If-None-Match", r"overwrites a file that it was to write only if absent \(If-None-Match\)"),
        ("If-Match", r"overwrites a file that was changed in between \(If-Match\)"),
    ],
)
def test_a_storage_that_ignores_conditions_is_refused_with_the_reason(ignored, fault):
    storage = Forgetful(ignored)
    with pytest.raises(StorageError, match=f"memory cannot be shared: its store {fault}; use one that"):
        require_conditional_writes(storage)
    assert storage.list() == []


def test_a_url_names_a_bucket_and_all_else_a_folder(tmp_path):
    assert open_storage("s3://bucket/a/b/").url == "s3://bucket/a/b"
    assert open_storage("s3://bucket").url == "s3://bucket"
    assert open_storage(str(tmp_path)).url == str(tmp_path)
    with pytest.raises(ConfigError, match=r"no storage is called 'gs'; did you mean 's3'|known: s3"):
        open_storage("gs://bucket/a")


INCREMENT = """
import sys
from lateapex.storage import DiskStorage
storage = DiskStorage(sys.argv[1])
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    while True:
        data, tag = storage.read_tagged("count")
        if storage.compare_and_swap("count", tag, str(int(data) + 1).encode()):
            break
"""


def test_processes_that_count_in_one_file_lose_no_count(tmp_path):
    storage = DiskStorage(tmp_path)
    storage.put_if_absent("count", b"0")
    command = [sys.executable, "-c", INCREMENT, str(tmp_path), "50"]
    counting = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [each.wait() for each in counting] == [0, 0, 0]
    assert storage.read("count") == b"150"


def test_a_process_that_was_killed_while_it_swapped_leaves_no_lock(tmp_path):
    storage = DiskStorage(tmp_path)
    storage.put_if_absent("count", b"0")
    command = [sys.executable, "-c", INCREMENT, str(tmp_path), "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as counting:
        counting.stdout.readline()
        while int(storage.read("count")) < 20:
            pass
        counting.send_signal(signal.SIGKILL)
    data, tag = storage.read_tagged("count")
    assert storage.compare_and_swap("count", tag, b"mine")
    assert storage.list() == ["count"]
    assert int(data) >= 20


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


def test_a_folder_that_goes_while_files_are_listed_is_passed_over(tmp_path, monkeypatch):
    storage = DiskStorage(tmp_path)
    for name in ("a", "gone/deep/b", "kept/c"):
        storage.write(name, b"")
    look = os.scandir

    def removing(path):
        if not isinstance(path, int) and Path(path).name == "deep":
            shutil.rmtree(tmp_path / "gone")
        return look(path)

    monkeypatch.setattr(os, "scandir", removing)
    assert storage.list() == ["a", "kept/c"]


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


def test_logs_are_gathered_until_something_counts_on_them():
    place = MemoryStorage()
    storage = GatheredStorage(place, "model/")
    storage.append("log", b"one ")
    storage.append("log", b"two")
    storage.write("metrics", b"")
    assert place.list() == ["metrics"]
    storage.write("model/state", b"state")
    assert place.read("log") == b"one two"
    storage.append("log", b" three")
    assert storage.read("log") == b"one two three"
    storage.append("log", b" four")
    storage.delete("log")
    storage.append("log", b"anew")
    storage.settle()
    assert place.read("log") == b"anew"


def test_what_could_not_be_gathered_is_held_further():
    place = MemoryStorage()
    storage, append = GatheredStorage(place, "model/"), place.append

    def away(name: str, data: bytes) -> None:
        raise StorageError("the store does not answer")

    storage.append("log", b"one")
    place.append = away
    with pytest.raises(StorageError):
        storage.write("model/state", b"")
    assert place.list() == []
    place.append = append
    storage.append("log", b" two")
    assert storage.read("log") == b"one two"


@pytest.mark.parametrize(
    ("path", "url", "name", "shown"),
    [
        ("film.mp4", ".", "film.mp4", "film.mp4"),
        ("a/b.mp4", "a", "b.mp4", "a/b.mp4"),
        ("s3://bucket/a/b.mp4", "s3://bucket/a", "b.mp4", "s3://bucket/a/b.mp4"),
    ],
)
def test_one_file_has_a_place_and_is_written_as_it_was(path, url, name, shown):
    place, found = place_of(path)
    assert (place.url, found, written(place, found)) == (url, name, shown)
