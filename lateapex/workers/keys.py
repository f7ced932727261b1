"""Keys of batches in a database, everything else where it was: an exchange at two places.

A trainer looks for new keys many times a second, which is what a database is for. What must not be lost, such as
models, leases and the ledger, stays in the store; if the database forgets its keys, their batches count as lost.
"""

from __future__ import annotations

from lateapex.storage import FileNote, Storage, Tagged
from lateapex.workers.exchange import ANNOUNCED


class KeyedStorage:
    """A store whose keys of batches are elsewhere.

    Args:
        store: the exchange.
        keys: takes what `exchange.ANNOUNCED` holds.
    """

    def __init__(self, store: Storage, keys: Storage) -> None:
        self._store, self._keys = store, keys

    @property
    def url(self) -> str:
        """That of the store."""
        return self._store.url

    def read(self, name: str) -> bytes:
        """Return the whole file `name`."""
        return self._of(name).read(name)

    def write(self, name: str, data: bytes) -> None:
        """Replace the file `name`."""
        self._of(name).write(name, data)

    def append(self, name: str, data: bytes) -> None:
        """Lengthen the file `name`."""
        self._of(name).append(name, data)

    def truncate(self, name: str, size: int) -> None:
        """Cut the file `name`."""
        self._of(name).truncate(name, size)

    def exists(self, name: str) -> bool:
        """Whether `name` is at its place."""
        return self._of(name).exists(name)

    def list(self, prefix: str = "") -> list[str]:
        """Sorted names that begin with `prefix`; the database is asked only for keys, the store never for them."""
        if prefix.startswith(ANNOUNCED):
            return self._keys.list(prefix)
        others = [name for name in self._store.list(prefix) if not name.startswith(ANNOUNCED)]
        return sorted(others + (self._keys.list(ANNOUNCED) if ANNOUNCED.startswith(prefix) else []))

    def notes(self, prefix: str = "") -> dict[str, FileNote]:
        """What both places know of the files that `list` names."""
        if prefix.startswith(ANNOUNCED):
            return self._keys.notes(prefix)
        found = {name: note for name, note in self._store.notes(prefix).items() if not name.startswith(ANNOUNCED)}
        return dict(sorted({**found, **(self._keys.notes(ANNOUNCED) if ANNOUNCED.startswith(prefix) else {})}.items()))

    def delete(self, name: str) -> None:
        """Remove `name`."""
        self._of(name).delete(name)

    def copy(self, source: str, target: str) -> None:
        """Let `target` hold what `source` holds."""
        if self._of(source) is self._of(target):
            self._of(source).copy(source, target)
        else:
            self.write(target, self.read(source))

    def read_tagged(self, name: str) -> Tagged:
        """Return the whole file `name` and its tag."""
        return self._of(name).read_tagged(name)

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write `name` where there is none."""
        return self._of(name).put_if_absent(name, data)

    def compare_and_swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Replace `name` if it has this tag."""
        return self._of(name).compare_and_swap(name, tag, data)

    def _of(self, name: str) -> Storage:
        return self._keys if name.startswith(ANNOUNCED) else self._store
