"""What RedisStorage makes of URLs and faults, and what it never tells."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from made_bucket import Clock
from made_servers import SECRET
from redis import exceptions

from lateapex.errors import ConfigError, StorageError
from lateapex.storage import open_storage
from lateapex.storage_patience import Patience
from lateapex.storage_redis import RedisStorage


class Refusing:
    """A client whose every command fails so often, and then works."""

    def __init__(self, error: Exception, times: int = 10_000) -> None:
        self.error, self.times, self.asked = error, times, 0

    def __getattr__(self, command: str) -> Any:
        def answer(*_: object, **__: object) -> Any:
            self.asked += 1
            if self.asked <= self.times:
                raise self.error
            return {"get": b"data", "scan_iter": [b"run/a"], "eval": -1 if command == "eval" else 1}.get(command, 1)

        return answer


OPERATIONS = {
    "read": lambda storage: storage.read("a"),
    "write": lambda storage: storage.write("a", b"data"),
    "truncate": lambda storage: storage.truncate("a", 1),
    "list": lambda storage: storage.list(),
    "exists": lambda storage: storage.exists("a"),
    "copy": lambda storage: storage.copy("a", "b"),
    "delete": lambda storage: storage.delete("a"),
    "put_if_absent": lambda storage: storage.put_if_absent("b", b"new"),
    "compare_and_swap": lambda storage: storage.compare_and_swap("a", "tag", b"new"),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())


def refused(error: Exception, times: int = 10_000, clock: Clock | None = None) -> tuple[RedisStorage, Refusing]:
    clock = clock or Clock()
    storage = RedisStorage("redis://store/3/run", Patience(total_s=30.0), clock=clock, sleep=clock.sleep)
    storage._client = client = Refusing(error, times)
    return storage, client


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://store", "redis://store:6379/0"),
        ("redis://store:7000", "redis://store:7000/0"),
        ("redis://store/2", "redis://store:6379/2"),
        ("rediss://store:7000/2/a/b/", "rediss://store:7000/2/a/b"),
    ],
)
def test_a_place_is_server_database_and_prefix(url: str, shown: str) -> None:
    assert open_storage(url).url == shown


@pytest.mark.parametrize(
    "url",
    ["redis://", "redis:///0", "redis://store/name", "redis://store:port/0", "redis://store/0//a", "redis://s/0?a=b"],
)
def test_what_is_no_place_is_refused_with_how_to_write_one(url: str) -> None:
    with pytest.raises(ConfigError, match=r"no place in a database; write redis://host:6379/0/prefix"):
        open_storage(url)


def test_a_secret_in_a_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError, match="set REDIS_USERNAME and REDIS_PASSWORD") as told:
        open_storage("redis://racer:hidden@store/0")
    assert "hidden" not in str(told.value)


@each_operation
@pytest.mark.parametrize(
    "error", [exceptions.ConnectionError(), exceptions.TimeoutError(), exceptions.BusyLoadingError()]
)
def test_an_operation_outlasts_faults_that_pass(operation: Any, error: Exception) -> None:
    storage, client = refused(error, times=3)
    operation(storage)
    assert client.asked >= 4


def test_growing_is_not_tried_twice_since_the_first_may_have_worked() -> None:
    storage, client = refused(exceptions.TimeoutError(), times=1)
    with pytest.raises(StorageError, match="cannot write redis://store:6379/3/run/a"):
        storage.append("a", b"more")
    assert client.asked == 1


@each_operation
def test_an_operation_ends_when_patience_does(operation: Any) -> None:
    clock = Clock()
    storage, _ = refused(exceptions.ConnectionError("with a secret"), clock=clock)
    with pytest.raises(StorageError, match=r"no good answer in 30 s \(ConnectionError\); is the server up") as told:
        operation(storage)
    assert "secret" not in str(told.value)
    assert 20.0 < clock.now <= 30.0


@each_operation
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (exceptions.AuthenticationError(), "wants to know who you are; set REDIS_USERNAME"),
        (exceptions.ResponseError("NOAUTH"), "wants to know who you are"),
        (exceptions.NoPermissionError(), "this user may not do that"),
        (exceptions.OutOfMemoryError(), r"memory is full; give it more \(maxmemory\)"),
        (exceptions.ResponseError("unknown command"), r"refuses \(ResponseError\); Redis 6.2 or newer"),
    ],
)
def test_a_fault_that_stays_is_told_at_once(operation: Any, error: Exception, told: str) -> None:
    storage, client = refused(error)
    with pytest.raises(StorageError, match=told):
        operation(storage)
    assert client.asked == 1


def test_a_lost_answer_counts_as_written_where_the_data_are_there() -> None:
    class Lost(Refusing):
        def set(self, *_: object, **__: object) -> None:
            self.asked += 1
            if self.asked == 1:
                raise self.error

    storage, _ = refused(exceptions.TimeoutError())
    storage._client = Lost(exceptions.TimeoutError(), times=1)
    assert storage.put_if_absent("a", b"data") is not None
    storage._client = Lost(exceptions.TimeoutError(), times=1)
    assert storage.put_if_absent("a", b"other") is None


@pytest.mark.servers
def test_a_real_server_refuses_who_does_not_know_the_password(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for password in ("another", None):
        monkeypatch.setenv("REDIS_PASSWORD", password) if password else monkeypatch.delenv("REDIS_PASSWORD")
        with pytest.raises(StorageError, match="wants to know who you are") as told:
            open_storage(redis_url).write("a", b"")
        assert SECRET not in f"{told.value!r} {told.value.__cause__!r}"


@pytest.mark.servers
def test_of_many_that_swap_at_once_one_succeeds_each_time(redis_url: str) -> None:
    storage = open_storage(redis_url)
    storage.write("count", b"0")

    def add(_: int) -> int:
        tries = 0
        while True:
            tries += 1
            found = storage.read_tagged("count")
            if storage.compare_and_swap("count", found.tag, str(int(found.data) + 1).encode()) is not None:
                return tries

    with ThreadPoolExecutor(8) as pool:
        tries = sum(pool.map(add, range(200)))
    assert storage.read("count") == b"200"
    assert tries >= 200


@pytest.mark.servers
def test_names_are_no_patterns(redis_url: str) -> None:
    storage = open_storage(redis_url)
    for name in ("a*b", "axb", "[a]", "a"):
        storage.write(name, b"")
    assert storage.list("a*") == ["a*b"]
    assert storage.list("[a]") == ["[a]"]
