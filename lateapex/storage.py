"""One run folder at a place: read, write whole files, let logs grow, list, copy, delete; and writes with a condition.

A reader never sees half a file: `write` puts the bytes aside, makes them durable, then renames. What a name held
before stays whole until that moment, so neither a crash nor a full disk costs a file that was already written.
Logs alone grow in place, by `append`: a crash in the middle of one can leave a torn last line, which `truncate` cuts.

Several machines agree through `put_if_absent` and `compare_and_swap`: of all that try at once exactly one succeeds. A
file that is written so is only ever written so: `write` and `delete` ask nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from lateapex.errors import RunError, StorageError
from lateapex.registry import Registry
from lateapex.storage_patience import Patience


class Tagged(NamedTuple):
    """A whole file, and the tag that `compare_and_swap` asks for."""

    data: bytes
    tag: str
    """Equal contents may have equal tags: who must see every change puts a number into the file."""


class FileNote(NamedTuple):
    """What a place knows of a file without reading it."""

    size: int
    """Bytes."""
    changed: float
    """s since 1970, by the place's own clock; 0 where it does not keep that."""


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

    def notes(self, prefix: str = "") -> dict[str, FileNote]:
        """What is known of the files that `list` names, in its order."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there counts as removed."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Write the file `target` with what `source` holds.

        Raises:
            RunError: there is no such file.
            StorageError: as for `write`.
        """
        ...

    def read_tagged(self, name: str) -> Tagged:
        """Return the whole file and its tag.

        Raises:
            RunError: there is no such file.
        """
        ...

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write a file that is not there yet, and return its tag; None if it is there, whatever it holds.

        Where the answer got lost on its way, a file that holds `data` counts as written by this call: writers who must
        know which of them it was put something of their own into it.

        Raises:
            StorageError: as for `write`.
        """
        ...

    def compare_and_swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Replace a file that still has this tag, and return its new one; None if it was changed or is gone.

        A lost answer counts as for `put_if_absent`.

        Raises:
            StorageError: as for `write`.
        """
        ...


STORES: Registry[Callable[[str, Patience | None], Storage]] = Registry(
    "storage",
    {
        "s3": "lateapex.storage_s3:S3Storage [aws]",
        "redis": "lateapex.storage_redis:RedisStorage [redis]",
        "rediss": "lateapex.storage_redis:RedisStorage [redis]",
    },
)
"""Kinds of places by the scheme of their URLs; whoever adds one takes the whole URL, and patience or None."""


def open_storage(url: str, patience_s: float | None = None) -> Storage:
    """Return the place that a path or a URL such as "s3://bucket/prefix" names; nothing is asked of it yet.

    Args:
        patience_s: how long each operation is tried again while a far place does not answer; two minutes as a rule.

    Raises:
        ConfigError: the scheme is unknown, its extra is not installed, or the rest of the URL is no place.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        return DiskStorage(url)
    return STORES.get(scheme)(url, None if patience_s is None else Patience(total_s=patience_s))


def is_far(url: str) -> bool:
    """Whether a place is named by a URL, not by a path."""
    return "://" in url


def place_of(path: str) -> tuple[Storage, str]:
    """Return the place of one file, named by a path or a URL, and its name there; errors as `open_storage`."""
    if is_far(path):
        folder, _, name = path.rpartition("/")
        return open_storage(folder), name
    return DiskStorage(Path(path).parent), Path(path).name


def read_far(url: str) -> bytes:
    """Return one file that a URL names.

    Raises:
        RunError: there is no such file.
        ConfigError, StorageError: the URL is no place, or it does not answer.
    """
    place, name = place_of(url)
    return place.read(name)


def written(storage: Storage, name: str) -> str:
    """Return how a user would write a file of a place."""
    return f"{storage.url}/{name}" if is_far(storage.url) else str(Path(storage.url, name))


class DiskStorage:
    """A folder on this machine, or one that several machines mount.

    Swapping needs locks that all of them see: NFS has them unless it was mounted with `nolock`.
    """

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
        with _aside(path, data) as aside:
            os.replace(aside, path)  # noqa: PTH105 - aside is a str

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
                    raise too_short(self.url, name, found, size)
                file.truncate(size)
                os.fsync(file.fileno())
        except FileNotFoundError:
            if size:
                raise too_short(self.url, name, 0, size) from None
        except OSError as error:
            raise _storage_error("write", path, error) from error

    def exists(self, name: str) -> bool:
        """Whether `name` is a file here."""
        return (self.root / name).is_file()

    def list(self, prefix: str = "") -> list[str]:
        """Sorted names that begin with `prefix`."""
        # Other folders can hold thousands of files that no name below this prefix needs.
        folder, _, begin = prefix.rpartition("/")
        top = self.root / folder
        found: list[Path] = []
        for place, folders, files in os.walk(top):
            if Path(place) == top:
                folders[:] = [name for name in folders if name.startswith(begin)]
                files = [name for name in files if name.startswith(begin)]
            found += [Path(place, name) for name in files if not name.startswith(_ASIDE)]
        return sorted(path.relative_to(self.root).as_posix() for path in found if path.is_file())

    def notes(self, prefix: str = "") -> dict[str, FileNote]:
        """Size and time of change of the files that `list` names."""
        found = {}
        for name in self.list(prefix):
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                stat = (self.root / name).stat()
                found[name] = FileNote(stat.st_size, stat.st_mtime)
        return found

    def delete(self, name: str) -> None:
        """Remove `name`."""
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise _storage_error("delete", self.root / name, error) from error

    def copy(self, source: str, target: str) -> None:
        """Write `target` as `write` does."""
        self.write(target, self.read(source))

    def read_tagged(self, name: str) -> Tagged:
        """Return the whole file `name`; its tag is a digest."""
        data = self.read(name)
        return Tagged(data, _digest(data))

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write aside, then give the file its name, which fails where that is taken."""
        path = self.root / name
        with _aside(path, data) as aside:
            try:
                os.link(aside, path)
            except FileExistsError:
                return None
        return _digest(data)

    def compare_and_swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Compare and write while nobody else swaps in this folder; who dies in the middle frees the lock."""
        with self._locked():
            try:
                found = self.read_tagged(name).tag
            except RunError:
                return None
            if found != tag:
                return None
            self.write(name, data)
        return _digest(data)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with (self.root / _LOCK).open("ab") as lock:
                # The lock goes with the last handle of the file: at the end of the block, or with the process.
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise _storage_error("lock", self.root, error) from error


class MemoryStorage:
    """Files in memory: a run that leaves nothing behind, and the fake of the tests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._swapping = threading.Lock()

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
            raise too_short(self.url, name, len(data), size)
        if name in self.files:
            self.files[name] = data[:size]

    def exists(self, name: str) -> bool:
        """Whether `name` is here."""
        return name in self.files

    def list(self, prefix: str = "") -> list[str]:
        """Sorted names that begin with `prefix`."""
        return sorted(name for name in list(self.files) if name.startswith(prefix))

    def notes(self, prefix: str = "") -> dict[str, FileNote]:
        """Sizes of the files that `list` names."""
        return {name: FileNote(len(self.files[name]), 0.0) for name in self.list(prefix)}

    def delete(self, name: str) -> None:
        """Remove `name`."""
        self.files.pop(name, None)

    def copy(self, source: str, target: str) -> None:
        """Let `target` hold what `source` holds."""
        self.write(target, self.read(source))

    def read_tagged(self, name: str) -> Tagged:
        """Return the whole file `name`; its tag is a digest."""
        data = self.read(name)
        return Tagged(data, _digest(data))

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write `name` where there is none."""
        with self._swapping:
            if name in self.files:
                return None
            self.write(name, data)
        return _digest(data)

    def compare_and_swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Replace `name` if it has this tag."""
        with self._swapping:
            if name not in self.files or _digest(self.files[name]) != tag:
                return None
            self.write(name, data)
        return _digest(data)


_ASIDE: Final = ".writing-"
_LOCK: Final = ".writing-lock"


@contextlib.contextmanager
def _aside(path: Path, data: bytes) -> Iterator[str]:
    """Give the path of a durable copy of `data` beside `path`; whatever comes, it is gone at the end of the block.

    Raises:
        StorageError: the copy cannot be made, or the block raised an OSError.
    """
    aside: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=_ASIDE, dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)  # noqa: PTH101 - mkstemp makes files that other users' tools cannot read
        yield aside
    except OSError as error:
        raise _storage_error("write", path, error) from error
    finally:
        if aside is not None:
            with contextlib.suppress(OSError):
                os.unlink(aside)  # noqa: PTH108 - aside is a str


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def too_short(url: str, name: str, found: int, size: int) -> RunError:
    """What `truncate` raises."""
    return RunError(
        f"{url}: {name} holds {found} of the {size} bytes it must have; bring the file back or start a new run"
    )


def _storage_error(verb: str, path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"cannot {verb} {path}: {reason}; free some space or choose another place with --out")
