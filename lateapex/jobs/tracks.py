"""How the file of an official route gets onto this machine: fetched once, checked, kept in a cache.

The only user of the download library. A file appears in the cache whole and checked, or not at all. The routes are
published by the DeepRacer community and do not come with this package.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from lateapex.errors import ConfigError, StorageError, TrackError, did_you_mean
from lateapex.world.official import OfficialRoute, default_cache, official_routes
from lateapex.world.track import load_track

if TYPE_CHECKING:
    import requests

BASE_URL: Final = (
    "https://raw.githubusercontent.com/aws-deepracer-community/deepracer-race-data/main/raw_data/tracks/npy"
)
"""Folder of the community's public routes, `<name>.npy` each."""
TIMEOUT: Final = 30.0
"""s that one route may take"""

_LENGTH_TOLERANCE = 0.01  # m
_LARGEST = 100_000  # bytes; the largest official route has 15 000
_HEADER, _ROW = 128, 48  # bytes of a route file


def get_track(name: str, base_url: str = BASE_URL, cache: Path | None = None, timeout: float = TIMEOUT) -> Path:
    """Fetch an official route unless it is in the cache; return its path there.

    A file in the cache that is not what it should be is fetched again.

    Args:
        name: official name, such as "reinvent_base".
        base_url: folder of the routes, http or https.
        cache: folder to keep it in; that of `default_cache()` if not given.
        timeout: s after which it is given up.

    Raises:
        TrackError: no route has that name; it cannot be fetched; what came is not that route. The cache is as it was.
        StorageError: the cache cannot be written.
        ConfigError: the address or the timeout is none.
    """
    route = _find(name)
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError(f"base URL is {base_url!r}; it must begin with http:// or https://, such as {BASE_URL}")
    if not 0 < timeout < float("inf"):
        raise ConfigError(f"timeout is {timeout:g} s; a number above 0 is needed, such as {TIMEOUT:g}")
    folder = default_cache() if cache is None else cache
    kept = folder / f"{name}.npy"
    try:
        if kept.is_file() and _is_good(kept, route):
            return kept
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".getting-", dir=folder) as aside:
            fetched = _download(route, f"{base_url.rstrip('/')}/{name}.npy", Path(aside), timeout)
            fetched.chmod(0o644)  # the library makes files that nobody else can read
            fetched.replace(kept)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot keep {name}.npy: {error.strerror or error}; make room or mend its permissions, or choose "
            "another folder with --cache"
        ) from None
    return kept


def _find(name: str) -> OfficialRoute:
    routes = official_routes()
    if name not in routes:
        guess = did_you_mean(name, routes) or "; `lateapex tracks list` shows all"
        raise TrackError(f"no official route is called {name!r}{guess}")
    return routes[name]


def _is_good(path: Path, route: OfficialRoute) -> bool:
    import pooch  # type: ignore[import-untyped]  # ships no types

    if route.sha256 is not None:
        return bool(pooch.file_hash(str(path)) == route.sha256)
    try:
        _check_shape(path, route, str(path))
    except TrackError:
        return False
    return True


def _check_shape(path: Path, route: OfficialRoute, source: str) -> None:
    """Refuse a file that is not the route, as far as can be said without a checksum."""
    try:
        track = load_track(path)
    except TrackError as error:
        raise TrackError(str(error).replace(str(path), source)) from None
    rows = len(track.center) + track.closed
    if rows != route.rows or abs(track.length - route.length) > _LENGTH_TOLERANCE:
        raise TrackError(
            f"{source} has {rows} rows and {track.length:.2f} m; the official {route.name} has {route.rows} and "
            f"{route.length:.2f} m: try another --base-url"
        )


def _download(route: OfficialRoute, url: str, aside: Path, timeout: float) -> Path:
    """Fetch a file into the folder `aside` and check it.

    Raises:
        TrackError: it did not come, or is not the route.
        OSError: the folder cannot be written.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    fetch, begun = _Fetch(timeout), time.monotonic()
    try:
        path = Path(pooch.retrieve(url, route.sha256, f"{route.name}.npy", aside, downloader=fetch))
    except (requests.RequestException, TimeoutError) as error:
        # The library tells a slow body as a lost connection.
        slow = isinstance(error, requests.Timeout | TimeoutError) or time.monotonic() - begun >= timeout
        raise TrackError(f"{url} {_slow(timeout) if slow else _reason(error)}") from None
    except ValueError:  # the checksum
        raise TrackError(f"{url} {_not_it(route, fetch.size)}") from None
    if route.sha256 is None:
        _check_shape(path, route, url)
    return path


class _Fetch:
    """The library's download, ended when it takes too long or gets too large."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.size = 0
        self._answers: list[requests.Response] = []

    def __call__(self, url: str, output_file: str, library: object) -> None:
        from pooch import HTTPDownloader

        self._url, self._end = url, time.monotonic() + self.timeout
        # Byte by byte: the timeout is that of each read, and one that waits for more could wait for ever.
        download = HTTPDownloader(chunk_size=1, timeout=self.timeout, hooks={"response": self._remember})
        try:
            with Path(output_file).open("wb") as self._file:
                download(url, self, library)
        finally:
            for answer in self._answers:  # the library leaves the connection of a failed download open
                answer.close()

    def _remember(self, answer: requests.Response, **_: object) -> None:
        self._answers.append(answer)

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)
        if self.size > _LARGEST:
            raise TrackError(f"{self._url} is larger than {_LARGEST} bytes, which no route is; try another --base-url")
        if time.monotonic() > self._end:
            raise TimeoutError

    def flush(self) -> None:
        """The library flushes after each byte; the file is flushed when it is closed."""


def _slow(timeout: float) -> str:
    return f"did not come within {timeout:g} s; try again, or allow more time with --timeout"


def _not_it(route: OfficialRoute, size: int) -> str:
    whole = _HEADER + _ROW * route.rows
    if size < whole:
        return f"is cut off: {size} of {whole} bytes came; try again"
    return f"is not the official {route.name}: its checksum is another than the known one; try another --base-url"


def _reason(error: Exception) -> str:
    """Say why a request failed and what to do, to follow the address."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        if status == 404:
            return "is not there (404); try another --base-url"
        return f"answered {status} {error.response.reason}; try again later, or try another --base-url"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "is cut off: the connection ended early; try again"
    if isinstance(error, requests.ConnectionError):
        return f"cannot be reached: {_cause(error)}; check the connection to the network, or try another --base-url"
    return f"cannot be fetched: {' '.join(str(error).split())}; try another --base-url"


def _cause(error: BaseException) -> str:
    """What the operating system said, from the bottom of a chain of exceptions."""
    import requests

    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and not isinstance(found, requests.RequestException) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return " ".join(str(error).split())
