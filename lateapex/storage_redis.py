"""Files in a Redis or Valkey database: for what is small and often looked for, such as the keys of batches.

User and password are those of `REDIS_USERNAME` and `REDIS_PASSWORD`; neither is in the URL nor in a message. What a
server loses when it dies is its own affair: with `appendonly yes` a second's writes, without it all.

Each operation is one command or one script, so nobody sees half of it. It is repeated after faults that pass until the
caller's patience ends.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from lateapex.errors import ConfigError, RunError, StorageError
from lateapex.storage import FileNote, Tagged, too_short
from lateapex.storage_patience import Patience, Repeater

T = TypeVar("T")

_PORT: Final = 6379
_LOGIN: Final = "set REDIS_USERNAME and REDIS_PASSWORD"

_SWAP: Final = """
local found = redis.call('GET', KEYS[1])
if not found or redis.sha1hex(found) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
_CUT: Final = """
local size = redis.call('STRLEN', KEYS[1])
local kept = tonumber(ARGV[1])
if size < kept then return size end
if size == kept then return -1 end
redis.call('SET', KEYS[1], kept == 0 and '' or redis.call('GETRANGE', KEYS[1], 0, kept - 1))
return -1
"""


class RedisStorage:
    """The strings of a database whose names begin with a prefix. Threads may share one.

    Args:
        url: "redis://host:port/database/prefix"; rediss for an encrypted connection.
        patience: how long to wait for the server.
        clock, sleep: the time, s, and how to let it pass.

    Raises:
        ConfigError: the URL is none of those.
    """

    def __init__(
        self,
        url: str,
        patience: Patience | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        place = _Place(url)
        self._prefix, self._url = place.prefix, place.shown
        self._patience = patience or Patience()
        self._repeated = Repeater(self._patience, _may_pass, clock=clock, sleep=sleep)
        self._client: Any = Redis(
            host=place.host,
            port=place.port,
            db=place.database,
            ssl=place.encrypted,
            username=os.environ.get("REDIS_USERNAME"),
            password=os.environ.get("REDIS_PASSWORD"),
            socket_connect_timeout=self._patience.connect_s,
            socket_timeout=self._patience.answer_s,
            retry=Retry(NoBackoff(), 0),
        )

    @property
    def url(self) -> str:
        """Server, database and prefix."""
        return self._url

    def read(self, name: str) -> bytes:
        """Return the whole string `name`."""
        found: bytes | None = self._patiently("read", name, lambda: self._client.get(self._key(name)))
        if found is None:
            raise RunError(f"{self.url} has no {name}")
        return found

    def write(self, name: str, data: bytes) -> None:
        """Replace the string `name`."""
        self._patiently("write", name, lambda: self._client.set(self._key(name), data))

    def append(self, name: str, data: bytes) -> None:
        """Lengthen the string `name`; not repeated once the server may have done it."""
        self._once("write", name, lambda: self._client.append(self._key(name), data))

    def truncate(self, name: str, size: int) -> None:
        """Shorten the string `name`."""
        short = self._patiently("write", name, lambda: self._client.eval(_CUT, 1, self._key(name), size))
        if short >= 0:
            raise too_short(self.url, name, short, size)

    def exists(self, name: str) -> bool:
        """Whether there is a string `name`."""
        return bool(self._patiently("look for", name, lambda: self._client.exists(self._key(name))))

    def list(self, prefix: str = "") -> list[str]:
        """Sorted names that begin with `prefix`."""
        pattern = re.sub(r"([\\*?\[\]^])", r"\\\1", self._prefix + prefix) + "*"

        def scan() -> set[bytes]:
            return set(self._client.scan_iter(match=pattern, count=1000))

        found = self._patiently("list", prefix, scan)
        return sorted(key.decode().removeprefix(self._prefix) for key in found)

    def notes(self, prefix: str = "") -> dict[str, FileNote]:
        """Lengths of the strings that `list` names."""
        found = {}
        for name in self.list(prefix):
            key = self._key(name)
            size = self._patiently("measure", name, functools.partial(self._client.strlen, key))
            found[name] = FileNote(int(size), 0.0)
        return found

    def delete(self, name: str) -> None:
        """Remove the string `name`."""
        self._patiently("delete", name, lambda: self._client.delete(self._key(name)))

    def copy(self, source: str, target: str) -> None:
        """Let the server copy a string."""
        names = self._key(source), self._key(target)
        if not self._patiently("copy", source, lambda: self._client.copy(*names, replace=True)):
            raise RunError(f"{self.url} has no {source}")

    def read_tagged(self, name: str) -> Tagged:
        """Return the whole string `name`; its tag is a digest that the server can compute too."""
        data = self.read(name)
        return Tagged(data, _digest(data))

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """`SET ... NX`."""
        return self._on_condition(name, data, lambda: self._client.set(self._key(name), data, nx=True))

    def compare_and_swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Compare and write in a script."""
        return self._on_condition(name, data, lambda: self._client.eval(_SWAP, 1, self._key(name), tag, data))

    def _on_condition(self, name: str, data: bytes, attempt: Callable[[], Any]) -> str | None:
        unsure = False

        def write() -> Any:
            nonlocal unsure
            try:
                return attempt()
            except (exceptions.ConnectionError, exceptions.TimeoutError):
                unsure = True
                raise

        if self._patiently("write", name, write):
            return _digest(data)
        # The condition may fail because an earlier attempt succeeded whose answer got lost.
        return _digest(data) if unsure and self.exists(name) and self.read(name) == data else None

    def _once(self, verb: str, name: str, attempt: Callable[[], T]) -> T:
        with self._told(verb, name):
            return attempt()

    def _patiently(self, verb: str, name: str, attempt: Callable[[], T]) -> T:
        with self._told(verb, name):
            return self._repeated(attempt)

    def _key(self, name: str) -> str:
        return self._prefix + name

    @contextmanager
    def _told(self, verb: str, name: str) -> Iterator[None]:
        """Turn errors of the client into ours; of what they say nothing goes on but the kind."""
        place = f"cannot {verb} {self.url}/{name}".rstrip("/")
        try:
            yield
        except (exceptions.AuthenticationError, exceptions.AuthenticationWrongNumberOfArgsError):
            raise StorageError(f"{place}: the server wants to know who you are; {_LOGIN}") from None
        except exceptions.NoPermissionError:
            raise StorageError(f"{place}: this user may not do that; {_LOGIN}") from None
        except exceptions.OutOfMemoryError:
            raise StorageError(f"{place}: the server's memory is full; give it more (maxmemory)") from None
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            raise StorageError(
                f"{place}: no good answer in {self._patience.total_s:g} s ({type(error).__name__}); is the server up, "
                "and are host and port right?"
            ) from None
        except exceptions.RedisError as error:
            if str(error).startswith(("NOAUTH", "WRONGPASS")):
                raise StorageError(f"{place}: the server wants to know who you are; {_LOGIN}") from None
            raise StorageError(
                f"{place}: the server refuses ({type(error).__name__}); Redis 6.2 or newer, or Valkey, is needed"
            ) from None


class _Place:
    """What a URL says.

    Raises:
        ConfigError: it is no place in a database.
    """

    def __init__(self, url: str) -> None:
        hidden = "@" in url
        try:
            parts = urlsplit(url)
            self.port = parts.port or _PORT
        except ValueError:
            raise _no_place(url, hidden) from None
        database, _, prefix = parts.path.removeprefix("/").partition("/")
        good = parts.scheme in ("redis", "rediss") and parts.hostname and re.fullmatch(r"\d*", database)
        if not good or hidden or parts.query or parts.fragment or re.search(r"^/|//", prefix):
            raise _no_place(url, hidden)
        self.host = parts.hostname or ""
        self.database = int(database or 0)
        self.encrypted = parts.scheme == "rediss"
        self.prefix = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self.shown = f"{parts.scheme}://{self.host}:{self.port}/{self.database}/{self.prefix}".rstrip("/")


def _no_place(url: str, hidden: bool) -> ConfigError:
    shown = "that is" if hidden else f"{url!r} is"
    return ConfigError(f"{shown} no place in a database; write redis://host:6379/0/prefix; to log in, {_LOGIN}")


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, exceptions.AuthenticationError):
        return False
    passing = exceptions.ConnectionError, exceptions.TimeoutError, exceptions.TryAgainError, exceptions.ReadOnlyError
    return isinstance(error, passing)


def _digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
