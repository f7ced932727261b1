"""A place where files cannot grow: what is appended is held until something is written that counts on it.

A bucket writes the whole file again for each line of a log. A run's saved state says how long its logs are, so they
must be there before it, and no sooner; whoever looks at them through this sees them whole.
"""

from __future__ import annotations

from lateapex.storage import FileNote, Storage, Tagged, is_far


class GatheredStorage:
    """A storage whose logs are written late.

    Args:
        inner: the place.
        before: what is written to names that begin so counts on the logs.
    """

    def __init__(self, inner: Storage, before: str) -> None:
        self._inner, self._before = inner, before
        self._held: dict[str, list[bytes]] = {}

    @property
    def url(self) -> str:
        """That of the place."""
        return self._inner.url

    def settle(self) -> None:
        """Write all that is held; what cannot be written is held further."""
        for name in list(self._held):
            self._inner.append(name, b"".join(self._held[name]))
            del self._held[name]

    def read(self, name: str) -> bytes:
        """Return the whole file `name`."""
        self.settle()
        return self._inner.read(name)

    def write(self, name: str, data: bytes) -> None:
        """Replace the file `name`."""
        if name.startswith(self._before) or name in self._held:
            self.settle()
        self._inner.write(name, data)

    def append(self, name: str, data: bytes) -> None:
        """Hold what is to stand at the end of the file `name`."""
        self._held.setdefault(name, []).append(bytes(data))

    def truncate(self, name: str, size: int) -> None:
        """Cut the file `name`."""
        self.settle()
        self._inner.truncate(name, size)

    def exists(self, name: str) -> bool:
        """Whether `name` is there."""
        self.settle()
        return self._inner.exists(name)

    def list(self, prefix: str = "") -> list[str]:
        """Sorted names that begin with `prefix`."""
        self.settle()
        return self._inner.list(prefix)

    def notes(self, prefix: str = "") -> dict[str, FileNote]:
        """What is known of the files that `list` names."""
        self.settle()
        return self._inner.notes(prefix)

    def delete(self, name: str) -> None:
        """Remove `name`."""
        self._held.pop(name, None)
        self._inner.delete(name)

    def copy(self, source: str, target: str) -> None:
        """Let `target` hold what `source` holds."""
        self.settle()
        self._inner.copy(source, target)

    def read_tagged(self, name: str) -> Tagged:
        """Return the whole file `name` and its tag."""
        self.settle()
        return self._inner.read_tagged(name)

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write `name` where there is none."""
        self.settle()
        return self._inner.put_if_absent(name, data)

    def compare_and_swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Replace `name` if it has this tag."""
        self.settle()
        return self._inner.compare_and_swap(name, tag, data)


def gathered(storage: Storage, before: str) -> Storage:
    """Return the same place; if it is far, one that writes its logs late."""
    return GatheredStorage(storage, before) if is_far(storage.url) else storage
