"""Who does what, agreed on in a storage: at most one holder of each lease, and another when that one has died.

A lease is a file that its holder changes again and again. Whoever wants it watches: if the file stays as it is for the
lease's time to live, by the watcher's own clock, the holder counts as dead. So no two machines' clocks are compared.
Each holder has a greater token than those before it; what a dead holder does after all is refused by its token.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from lateapex.errors import LeaseLostError, RunError, StorageError
from lateapex.storage import Storage


class _Look(NamedTuple):
    tag: str
    since: float
    """When this tag was seen first, s."""
    last: float
    """When it was seen last."""


@dataclass
class Lease:
    """What its holder has of a lease."""

    storage: Storage
    name: str
    token: int
    """Greater than that of every holder before."""
    content: dict[str, Any]
    tag: str

    def renew(self) -> None:
        """Show that the holder is alive.

        Raises:
            LeaseLostError: it counted as dead, and the lease went to somebody else.
            StorageError: the store does not answer; the lease may still be held.
        """
        self._put({**self.content, "beat": self.content["beat"] + 1})

    def release(self) -> None:
        """Let the next one have it at once; that it is lost already is no fault."""
        try:
            self._put({**self.content, "beat": self.content["beat"] + 1, "released": True})
        except LeaseLostError:
            return

    def _put(self, content: dict[str, Any]) -> None:
        tag = self.storage.compare_and_swap(self.name, self.tag, _pack(content))
        if tag is None:
            # A beat of our own may have come through although the store did not say so.
            found = self.storage.read_tagged(self.name)
            held = _unpack(found.data, self.name)
            if held["nonce"] != self.content["nonce"] or held["released"]:
                raise LeaseLostError(f"{self.storage.url}/{self.name} went to {held['owner']}")
            content = {**content, "beat": held["beat"] + 1}
            tag = self.storage.compare_and_swap(self.name, found.tag, _pack(content))
            if tag is None:
                raise LeaseLostError(f"{self.storage.url}/{self.name} went to somebody else")
        self.content, self.tag = content, tag


class Leases:
    """Takes leases for one owner.

    Args:
        storage: where they are; it must honour conditional writes.
        owner: how others call this process in messages.
        ttl_s: how long a holder may be silent.
        clock: this machine's time, s; only differences count.
    """

    def __init__(self, storage: Storage, owner: str, ttl_s: float, clock: Callable[[], float]) -> None:
        self._storage, self._owner, self._ttl_s, self._clock = storage, owner, ttl_s, clock
        self._looks: dict[str, _Look] = {}
        self._holders: dict[str, str] = {}

    def try_acquire(self, name: str) -> Lease | None:
        """Take a lease that is free, released, or whose holder has died; None if it cannot be had yet.

        A dead holder is found out by asking again and again, more often than twice in the lease's time to live: what
        was not watched for so long may have changed and proves nothing.
        """
        try:
            found = self._storage.read_tagged(name)
        except RunError:
            content = self._content(1)
            tag = self._storage.put_if_absent(name, _pack(content))
            return Lease(self._storage, name, 1, content, tag) if tag else None
        held = _unpack(found.data, name)
        self._holders[name] = held["owner"]
        if not held["released"] and not self._silent(name, found.tag):
            return None
        content = self._content(held["token"] + 1)
        tag = self._storage.compare_and_swap(name, found.tag, _pack(content))
        return Lease(self._storage, name, content["token"], content, tag) if tag else None

    def holder(self, name: str) -> str:
        """Who held a lease when it was last asked for."""
        return self._holders.get(name, "nobody")

    def _silent(self, name: str, tag: str) -> bool:
        now, look = self._clock(), self._looks.get(name)
        if look is None or look.tag != tag or now - look.last > self._ttl_s / 2:
            self._looks[name] = _Look(tag, now, now)
            return False
        self._looks[name] = look._replace(last=now)
        return now - look.since >= self._ttl_s

    def _content(self, token: int) -> dict[str, Any]:
        return {"owner": self._owner, "nonce": uuid.uuid4().hex, "token": token, "beat": 0, "released": False}


class Heartbeat:
    """Renews a lease from a thread of its own while its holder is at work; a context manager.

    A store that does not answer is asked again at the next beat.
    """

    def __init__(self, lease: Lease, every_s: float) -> None:
        self._lease, self._every_s = lease, every_s
        self._lost: LeaseLostError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of {lease.name}", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Return if the lease is held as far as is known.

        Raises:
            LeaseLostError: it is not.
        """
        if self._lost is not None:
            raise self._lost

    def _beat(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self._lease.renew()
            except LeaseLostError as error:
                self._lost = error
                return
            except StorageError:
                continue


def _pack(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _unpack(data: bytes, name: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
        return {key: kind(content[key]) for key, kind in _FIELDS.items()}
    except (ValueError, KeyError, TypeError):
        raise StorageError(f"{name} is no lease; choose a place that holds nothing else") from None


_FIELDS = {"owner": str, "nonce": str, "token": int, "beat": int, "released": bool}


def read_token(storage: Storage, name: str) -> int:
    """Return the token of a lease's last holder; 0 where nobody has held it."""
    try:
        return int(_unpack(storage.read(name), name)["token"])
    except RunError:
        return 0


def is_held(storage: Storage, name: str) -> bool:
    """Whether a lease has a holder that has not given it back; it may be dead."""
    try:
        return not _unpack(storage.read(name), name)["released"]
    except RunError:
        return False
