"""Fetching routes from a server on this machine: what comes whole is kept, what fails leaves nothing and says why."""

from __future__ import annotations

import ast
import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from made_routes import RouteServer, left_in, made_routes, route_bytes, serving

import lateapex
from lateapex.errors import ConfigError, LateapexError, StorageError, TrackError
from lateapex.jobs import tracks
from lateapex.jobs.tracks import BASE_URL, get_track
from lateapex.world.official import official_routes
from lateapex.world.track import load_track

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {
    "good": route_bytes(),
    "wrong": route_bytes(length=20.5),
    "rows": route_bytes(rows=111),
    "short": route_bytes()[:600],
    "empty": b"",
    "html": b"<html><body>Sign in to this network</body></html>" * 200,
    "endless": b"x" * 200_000,
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RouteServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(tracks, "official_routes", made_routes)
    with serving(FILES) as running:
        yield running


# What comes whole is kept


@pytest.mark.parametrize("name", ["Checked", "Unchecked"])
def test_a_route_is_fetched_once_and_kept_under_its_name(name: str, server: RouteServer, tmp_path: Path) -> None:
    path = get_track(name, f"{server.url}/good/", tmp_path / "new" / "cache")
    assert path == tmp_path / "new" / "cache" / f"{name}.npy"
    assert path.read_bytes() == route_bytes()
    assert path.stat().st_mode & 0o777 == 0o644
    assert get_track(name, f"{server.url}/404", tmp_path / "new" / "cache") == path
    assert server.asked == [f"/good/{name}.npy"]
    assert left_in(tmp_path / "new" / "cache") == [f"{name}.npy"]


@pytest.mark.parametrize("name", ["Checked", "Unchecked"])
@pytest.mark.parametrize("damage", ["wrong", "short", "html", "empty"])
def test_a_damaged_file_in_the_cache_is_fetched_again(
    name: str, damage: str, server: RouteServer, tmp_path: Path
) -> None:
    (tmp_path / f"{name}.npy").write_bytes(FILES[damage])
    assert get_track(name, f"{server.url}/good", tmp_path).read_bytes() == route_bytes()


def test_other_files_of_the_cache_stay_as_they_are(server: RouteServer, tmp_path: Path) -> None:
    (tmp_path / "Checked.npy").write_bytes(FILES["wrong"])
    with pytest.raises(TrackError):
        get_track("Checked", f"{server.url}/404", tmp_path)
    get_track("Unchecked", f"{server.url}/good", tmp_path)
    assert (tmp_path / "Checked.npy").read_bytes() == FILES["wrong"]


def test_the_usual_cache_is_taken_where_none_is_given(
    server: RouteServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda app, appauthor: tmp_path / app)
    assert get_track("Checked", f"{server.url}/good") == tmp_path / "lateapex" / "tracks" / "Checked.npy"


def test_real_routes_are_fetched_by_their_checksums_and_load_by_name(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    files = sorted((shared_data / "tracks").glob("*.npy"))[::5]
    with serving({file.stem: file.read_bytes() for file in files}) as server:
        for file in files:
            get_track(file.stem, f"{server.url}/{file.stem}", tmp_path)
            assert load_track(file.stem, tmp_path).length == pytest.approx(
                official_routes()[file.stem].length, abs=1e-3
            )


def test_real_routes_would_also_pass_without_their_checksums(shared_data: Path) -> None:
    for file in sorted((shared_data / "tracks").glob("*.npy")):
        tracks._check_shape(file, official_routes()[file.stem], "here")


# What fails leaves nothing

FAILURES = [
    ("404", "Checked", TrackError, r"/404/Checked\.npy is not there \(404\); try another --base-url"),
    ("500", "Checked", TrackError, r"answered 500 Internal Server Error; try again later, or"),
    ("wrong", "Checked", TrackError, r"is not the official Checked: its checksum is another than .* --base-url"),
    ("html", "Checked", TrackError, r"is not the official Checked: its checksum is another"),
    ("short", "Checked", TrackError, r"is cut off: 600 of 4976 bytes came; try again"),
    ("empty", "Checked", TrackError, r"is cut off: 0 of 4976 bytes came; try again"),
    ("breaks", "Checked", TrackError, r"is cut off: the connection ended early; try again"),
    ("endless", "Checked", TrackError, r"is larger than 100000 bytes, which no route is; try another --base-url"),
    ("hangs", "Checked", TrackError, r"did not come within 0\.1 s; try again, or allow more time with --timeout"),
    ("drips", "Checked", TrackError, r"did not come within 0\.1 s; try again, or allow more time with --timeout"),
    ("wrong", "Unchecked", TrackError, r"has 101 rows and 20\.50 m; the official Unchecked has 101 and 20\.00 m: try"),
    ("rows", "Unchecked", TrackError, r"has 111 rows and 20\.00 m; the official Unchecked has 101 and 20\.00 m: try"),
    ("html", "Unchecked", TrackError, r"/html/Unchecked\.npy is no \.npy file \(it begins with b'<html>"),
    ("short", "Unchecked", TrackError, r"/short/Unchecked\.npy is cut off or damaged .*: fetch it again"),
    ("empty", "Unchecked", TrackError, r"/empty/Unchecked\.npy is empty; .*: fetch it again"),
]


@pytest.mark.parametrize(
    ("behaviour", "name", "kind", "message"), FAILURES, ids=[f"{name}-{behaviour}" for behaviour, name, *_ in FAILURES]
)
def test_each_failure_has_its_own_line_and_leaves_the_cache_as_it_was(
    behaviour: str, name: str, kind: type[LateapexError], message: str, server: RouteServer, tmp_path: Path
) -> None:
    timeout = 0.1 if behaviour in ("hangs", "drips") else 10.0
    with pytest.raises(kind, match=message) as caught:
        get_track(name, f"{server.url}/{behaviour}", tmp_path, timeout)
    assert str(caught.value).startswith(f"{server.url}/{behaviour}/{name}.npy ")
    assert "\n" not in str(caught.value)
    assert ".getting-" not in str(caught.value)
    assert left_in(tmp_path) == []


def test_a_failure_keeps_the_damaged_file_that_was_there(server: RouteServer, tmp_path: Path) -> None:
    (tmp_path / "Checked.npy").write_bytes(b"mine")
    with pytest.raises(TrackError, match="cut off"):
        get_track("Checked", f"{server.url}/breaks", tmp_path)
    assert (tmp_path / "Checked.npy").read_bytes() == b"mine"
    assert left_in(tmp_path) == ["Checked.npy"]


def test_a_machine_without_connection_is_told_so(server: RouteServer, tmp_path: Path) -> None:
    with socket.socket() as free:  # bound but not listening: connections are refused
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(TrackError, match="cannot be reached: Connection refused; check the connection to the net"):
            get_track("Checked", url, tmp_path)
    assert left_in(tmp_path) == []


def test_a_host_without_address_is_told_so(
    server: RouteServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(
        TrackError, match=r"^https://tracks\.example/Checked\.npy cannot be reached: Name or service not"
    ):
        get_track("Checked", "https://tracks.example", tmp_path)


def test_an_unknown_name_suggests_the_nearest_and_asks_nobody(server: RouteServer, tmp_path: Path) -> None:
    with pytest.raises(TrackError, match=r"no official route is called 'Cheked'; did you mean 'Checked'\?"):
        get_track("Cheked", server.url, tmp_path)
    with pytest.raises(TrackError, match=r"called 'xyz'; `lateapex tracks list` shows all"):
        get_track("xyz", server.url, tmp_path)
    with pytest.raises(TrackError, match=r"no official route is called '\.\./Checked'"):
        get_track("../Checked", server.url, tmp_path)
    assert server.asked == []
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("url", ["", "raw.githubusercontent.com", "ftp://host", "file:///etc"])
def test_an_address_of_another_kind_is_refused(url: str, server: RouteServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it must begin with http:// or https://, such as https://raw\."):
        get_track("Checked", url, tmp_path)


def test_an_address_without_a_host_is_an_error_of_one_line(server: RouteServer, tmp_path: Path) -> None:
    with pytest.raises(TrackError, match=r"^http://\[bad/Checked\.npy cannot be fetched: .*; try another --base-url$"):
        get_track("Checked", "http://[bad", tmp_path)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused(timeout: float, server: RouteServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a number above 0 is needed, such as 30"):
        get_track("Checked", server.url, tmp_path, timeout)


def test_a_full_disk_is_told_so_and_keeps_nothing(
    server: RouteServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, data: bytes) -> None:
        if self.size > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, data)

    write = tracks._Fetch.write
    monkeypatch.setattr(tracks._Fetch, "write", full)
    with pytest.raises(StorageError, match=r"cannot keep Checked\.npy: No space left on device; make room .* --cache"):
        get_track("Checked", f"{server.url}/good", tmp_path)
    assert left_in(tmp_path) == []


def test_a_cache_that_is_a_file_is_told_so(server: RouteServer, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"mine")
    with pytest.raises(StorageError, match=r"cache cannot keep Checked\.npy: File exists; .* choose another folder"):
        get_track("Checked", f"{server.url}/good", tmp_path / "cache")
    assert (tmp_path / "cache").read_bytes() == b"mine"


def test_a_stop_by_the_user_in_the_middle_leaves_nothing(
    server: RouteServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Any, data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracks._Fetch, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        get_track("Checked", f"{server.url}/good", tmp_path)
    assert left_in(tmp_path) == []


# Where it is from


def test_routes_come_from_the_repository_of_the_community_unless_told_otherwise() -> None:
    assert BASE_URL.startswith("https://raw.githubusercontent.com/aws-deepracer-community/deepracer-race-data/main/")


def test_only_this_module_knows_the_download_library() -> None:
    package = Path(lateapex.__file__).parent
    users = set()
    for path in package.rglob("*.py"):
        imports = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = [getattr(node, "module", None) or alias.name for node in imports for alias in node.names]
        if any(name.partition(".")[0] in ("pooch", "requests") for name in names):
            users.add(str(path.relative_to(package)))
    assert users == {"jobs/tracks.py"}
