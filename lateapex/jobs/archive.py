"""Opens a folder, an archive or a single log of a stranger, and lets nothing of it out of its place.

Of an archive only regular files are unpacked, and of those only the ones that are wanted. A name that leads out of the
archive, or more data than any model has, refuses the whole.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final, NamedTuple

from lateapex.errors import ConfigError, FormatError, StorageError

ENDINGS: Final = (".tar.gz", ".tgz", ".tar", ".zip")
"""Of archives."""
MOST_BYTES: Final = 4_000_000_000
"""Of all unpacked files; a console's model has at most 1 GB."""
MOST_FILES: Final = 100_000

_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Contents:
    """Files by their names, wherever they lie."""

    root: Path
    """The folder that holds those that were wanted."""
    names: list[str]
    """All regular files, sorted, with "/" between folders; those that were not wanted too."""
    odd: list[str]
    """Links and devices, which are never followed, and names that no terminal can show."""

    def path(self, name: str) -> Path:
        """Where a wanted file lies."""
        return self.root / name


class _Member(NamedTuple):
    name: str
    regular: bool
    open: Callable[[], IO[bytes] | None]


@contextmanager
def opened(source: str, wanted: Callable[[str], bool]) -> Iterator[Contents]:
    """Give the contents of a folder, an archive, or a single file.

    Args:
        wanted: says by its name whether a file of an archive is to be unpacked.

    Raises:
        ConfigError: nothing is there.
        FormatError: the archive is damaged, too large, or leads out of its place.
        StorageError: it cannot be read, or there is no room to unpack it.
    """
    path = Path(source)
    try:
        if path.is_dir():
            yield _folder(path)
        elif not path.is_file():
            raise ConfigError(
                f"{source} does not exist; give a model's folder, its archive ({', '.join(ENDINGS)}) or a log"
            )
        elif not source.endswith(ENDINGS):
            yield Contents(path.parent, [path.name], [])
        else:
            with tempfile.TemporaryDirectory(prefix="lateapex-") as place:
                yield _unpacked(path, Path(place), wanted)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"cannot read {source}: {reason}; look at its permissions and the free space") from error


def _folder(root: Path) -> Contents:
    names: list[str] = []
    odd: list[str] = []
    for place, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*files, *(folder for folder in folders if Path(place, folder).is_symlink())]):
            path = Path(place, name)
            shown = path.relative_to(root).as_posix()
            regular = path.is_file() and not path.is_symlink() and shown.isprintable()
            (names if regular else odd).append(shown if regular else ascii(shown)[1:-1])
            _check_count(len(names), root)
    return Contents(root, names, odd)


def _unpacked(path: Path, place: Path, wanted: Callable[[str], bool]) -> Contents:
    try:
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                return _unpack(_zip_members(archive), path, place, wanted)
        with tarfile.open(path, "r:" if path.name.endswith(".tar") else "r:gz") as archive:
            return _unpack(_tar_members(archive), path, place, wanted)
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FormatError(f"{path} is damaged: {error or 'it ends too early'}; download it again") from None
    except RuntimeError as error:  # how zipfile refuses passwords and rare compressions
        raise FormatError(f"{path} cannot be unpacked: {error}; unpack it yourself and import the folder") from None


def _unpack(members: Iterable[_Member], path: Path, place: Path, wanted: Callable[[str], bool]) -> Contents:
    names: dict[str, None] = {}
    odd: list[str] = []
    size = 0
    for member in members:
        name = _checked(member.name, path)
        if not member.regular:
            odd.append(name)
            continue
        names[name] = None
        _check_count(len(names), path)
        if wanted(name):
            source = member.open()
            if source is not None:
                size = _copy(source, place / name, size, path)
    return Contents(place, sorted(names), sorted(odd))


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    for member in archive:
        if not member.isdir():
            yield _Member(member.name, member.isreg(), partial(archive.extractfile, member))


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        if not info.is_dir():
            kind = info.external_attr >> 28  # the file type of Unix; 0 where another system packed it
            yield _Member(info.filename, kind in (0, 8), partial(archive.open, info))


def _checked(name: str, archive: Path) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable() or not path.parts:
        raise FormatError(f"{archive} holds {name!r}, which may lead out of the archive; nothing of it was imported")
    return path.as_posix()


def _copy(source: IO[bytes], path: Path, size: int, archive: Path) -> int:
    """Copy a member, counting what comes out: what its header says may be a lie."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with source, path.open("wb") as file:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > MOST_BYTES:
                raise FormatError(
                    f"{archive} holds more than {MOST_BYTES / 1e9:g} GB; no model of DeepRacer is as large"
                )
            file.write(chunk)
    return size


def _check_count(count: int, source: Path) -> None:
    if count > MOST_FILES:
        raise FormatError(f"{source} holds more than {MOST_FILES:,} files; give the folder of one model")
