"""One run folder at a place: read, write whole files, let logs grow, list, delete.

A reader never sees half a file: `write` puts the bytes aside, makes them durable, then renames. What a name held
before stays whole until that moment, so neither a crash nor a full disk costs a file that was already written.
Logs alone grow in place, by `append`: a crash in the middle of one can leave a torn last line, which `truncate` cuts.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

from lateapex.errors import RunError, StorageError


class Storage(Protocol):
    """Files by name under one root; names use "/"."""

    @property
    def url(self) -> str:
        """Where this is, as a user would write it."""
        ...

    def read(self, name: str) -> bytes:
        """Return the whole file.

        Raises:
            RunError: there is no such file.
        """
        ...

    def write(self, name: str, data: bytes) -> None:
        """Replace the whole file, or leave the old one untouched.

        Raises:
            StorageError: the place is full, read-only, or gone.
        """
        ...

    def append(self, name: str, data: bytes) -> None:
        """Put bytes at the end of a log, durably; the file begins with them where there is none.

        Raises:
            StorageError: as for `write`; the file is then as long as it was.
        """
        ...

    def truncate(self, name: str, size: int) -> None:
        """Keep the first `size` bytes of a log; size 0 of no file is no fault.

        Raises:
            RunError: the file is missing or shorter than that.
            StorageError: as for `write`.
        """
        ...

    def exists(self, name: str) -> bool:
        """Whether a file of that name is there."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """Names that begin with `prefix`, sorted; files still being written are not among them."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there counts as removed."""
        ...


class DiskStorage:
    """A folder on this machine."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    @property
    def url(self) -> str:
        """The folder's path."""
        return str(self.root)

    def read(self, name: str) -> bytes:
        """Return the whole file `name`."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            raise RunError(f"{self.root} has no {name}") from None
        except OSError as error:
            raise _storage_error("read", self.root / name, error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write aside, make durable, rename; on any failure the old file stays and nothing is left behind."""
        path = self.root / name
        aside: str | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, 0o644)  # noqa: PTH101 - mkstemp makes files that other users' tools cannot read
            os.replace(aside, path)  # noqa: PTH105 - aside is a str
        except OSError as error:
            if aside is not None:
                with contextlib.suppress(OSError):
                    os.unlink(aside)  # noqa: PTH108 - as above
            raise _storage_error("write", path, error) from error

    def append(self, name: str, data: bytes) -> None:
        """Write at the end and make durable; on any failure the file is cut back to what it was."""
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a buffer would try again to write what failed when the file is closed.
            with path.open("ab", buffering=0) as file:
                size = file.tell()
                try:
                    rest = memoryview(data)
                    while rest:
                        rest = rest[file.write(rest) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise _storage_error("write", path, error) from error

    def truncate(self, name: str, size: int) -> None:
        """Cut the log `name`."""
        path = self.root / name
        try:
            with path.open("r+b", buffering=0) as file:
                if (found := file.seek(0, os.SEEK_END)) < size:
                    raise _too_short(self.url, name, found, size)
                file.truncate(size)
                os.fsync(file.fileno())
        except FileNotFoundError:
            if size:
                raise _too_short(self.url, name, 0, size) from None
        except OSError as error:
            raise _storage_error("write", path, error) from error

    def exists(self, name: str) -> bool:
        """Whether `name` is a file here."""
        return (self.root / name).is_file()

    def list(self, prefix: str = "") -> list[str]:
        """Sorted names that begin with `prefix`."""
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.name.startswith(".writing-"))
        names = (path.relative_to(self.root).as_posix() for path in found)
        return sorted(name for name in names if name.startswith(prefix))

    def delete(self, name: str) -> None:
        """Remove `name`."""
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise _storage_error("delete", self.root / name, error) from error


class MemoryStorage:
    """Files in memory: a run that leaves nothing behind, and the fake of the tests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        """Always "memory"."""
        return "memory"

    def read(self, name: str) -> bytes:
        """Return the whole file `name`."""
        if name not in self.files:
            raise RunError(f"memory has no {name}")
        return self.files[name]

    def write(self, name: str, data: bytes) -> None:
        """Replace the file `name`."""
        self.files[name] = bytes(data)

    def append(self, name: str, data: bytes) -> None:
        """Lengthen the file `name`."""
        self.files[name] = self.files.get(name, b"") + data

    def truncate(self, name: str, size: int) -> None:
        """Cut the file `name`."""
        data = self.files.get(name, b"")
        if len(data) < size:
            raise _too_short(self.url, name, len(data), size)
        if name in self.files:
            self.files[name] = data[:size]

    def exists(self, name: str) -> bool:
        """Whether `name` is here."""
        return name in self.files

    def list(self, prefix: str = "") -> list[str]:
        """Sorted names that begin with `prefix`."""
        return sorted(name for name in self.files if name.startswith(prefix))

    def delete(self, name: str) -> None:
        """Remove `name`."""
        self.files.pop(name, None)


def _too_short(url: str, name: str, found: int, size: int) -> RunError:
    return RunError(
        f"{url}: {name} holds {found} of the {size} bytes it must have; bring the file back or start a new run"
    )


def _storage_error(verb: str, path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"cannot {verb} {path}: {reason}; free some space or choose another place with --out")
