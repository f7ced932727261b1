"""`lateapex tracks` as it is typed: every example of its help runs, and what it prints, writes and refuses."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import typer
from made_routes import RouteServer, left_in, made_routes, route_bytes, serving
from PIL import Image
from typer.testing import CliRunner

from lateapex import cli
from lateapex.commands.tracks import app
from lateapex.errors import ConfigError, LateapexError, TrackError
from lateapex.world.official import official_routes
from lateapex.world.track import load_track

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMANDS = {command.name or command.callback.__name__: command for command in app.registered_commands}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RouteServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    with serving({"good": route_bytes(), "wrong": route_bytes(length=19.0)}) as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATEAPEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LATEAPEX_TRACKS_URL", raising=False)
    return tmp_path


@pytest.fixture
def two_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the table have a route with a known checksum and one without."""
    monkeypatch.setattr("lateapex.world.official.official_routes", made_routes)
    monkeypatch.setattr("lateapex.jobs.tracks.official_routes", made_routes)


def typed(words: str) -> str:
    result = CliRunner().invoke(app, shlex.split(words))
    if isinstance(result.exception, LateapexError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def run_main(words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Type `lateapex` and words; return the exit code."""
    whole = typer.Typer()
    whole.add_typer(app)
    monkeypatch.setattr(cli, "app", whole)
    monkeypatch.setattr(sys, "argv", ["lateapex", *shlex.split(words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


# Examples


def example_of(name: str) -> str:
    found = re.fullmatch(r"Example: (lateapex tracks .+)", COMMANDS[name].epilog or "")
    assert found, f"{name} has no example"
    return found[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_every_command_stands_in_its_help_and_runs(
    name: str, here: Path, server: RouteServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    example = example_of(name)
    assert f"Example: {example}" in " ".join(typed(f"{name} --help").split())
    if name == "get":
        route = request.getfixturevalue("shared_data") / "tracks" / "reinvent_base.npy"
        server.files = {"good": route.read_bytes()}
        monkeypatch.setenv("LATEAPEX_TRACKS_URL", f"{server.url}/good")
    (here / "my_route.npy").write_bytes(route_bytes())
    assert run_main(example.removeprefix("lateapex "), monkeypatch) == 0


def test_the_help_names_all_commands_and_how_to_drive_the_other_way() -> None:
    text = typed("--help")
    assert list(COMMANDS) == ["list", "show", "sheet", "get", "check"]
    assert all(f"  {name} " in text for name in COMMANDS)
    assert "'@reversed'" in text
    assert "'@reversed' after it" in " ".join(typed("show --help").split())
    assert "LATEAPEX_TRACKS_URL" in typed("get --help")
    assert all("LATEAPEX_CACHE" in typed(f"{name} --help") for name in ("list", "show", "get"))


# list


def test_the_list_has_shipped_fetched_and_official_tracks_in_this_order(here: Path) -> None:
    (here / "cache").mkdir()
    (here / "cache" / "Monaco.npy").write_bytes(route_bytes())
    lines = [re.split(r"\s{2,}", line.strip()) for line in typed("list").splitlines()]
    assert lines[0] == ["track", "where", "length", "width", "points"]
    assert lines[5] == ["kidney", "shipped", "19.45 m", "0.90 m", "131"]
    assert lines[9] == ["Monaco", "fetched", "20.00 m", "0.80 m", "101"]
    assert lines[10] == ["2022_april_open", "official", "50.30 m", "169"]
    assert len(lines) == 1 + 8 + 126 + 2
    assert lines[-1] == ["next: lateapex tracks show kidney, or lateapex tracks get reinvent_base"]


def test_the_list_as_json_has_the_same_tracks(here: Path) -> None:
    (content,) = [json.loads(line) for line in typed("list --json").splitlines()]
    tracks = {track["name"]: track for track in content["tracks"]}
    assert len(tracks) == 8 + 126
    assert tracks["oval"] == {"name": "oval", "where": "shipped", "length_m": 16.564, "width_m": 0.8, "points": 111}
    assert tracks["Straight_track"]["points"] == 22
    assert tracks["Straight_track"]["width_m"] is None


def test_a_damaged_file_in_the_cache_is_listed_as_such(here: Path) -> None:
    (here / "other").mkdir()
    (here / "other" / "Monaco.npy").write_bytes(b"half")
    assert re.search(r"^Monaco +damaged +60\.27 m", typed("list --cache other"), re.MULTILINE)


def test_what_is_piped_is_not_cut_to_a_width(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert "2022_summit_speedway_mini" in typed("list")


# show


def test_show_writes_a_picture_and_says_what_it_shows(here: Path) -> None:
    assert typed("show kidney --out new/kidney.png").splitlines() == [
        "kidney 19.45 m · width 0.90 m · 131 waypoints · counter-clockwise · tightest radius 1.25 m at waypoint 87",
        "saved new/kidney.png    next: lateapex train --track kidney",
    ]
    with Image.open(here / "new" / "kidney.png") as picture:
        assert (picture.format, picture.width) == ("PNG", 1400)


def test_a_picture_is_named_after_its_track_and_direction(here: Path) -> None:
    for name in ("kidney", "kidney@reversed", "generated:easy:1"):
        assert f"next: lateapex train --track {name}\n" in typed(f"show {name}")
    assert left_in(here) == ["generated-easy-1.png", "kidney-reversed.png", "kidney.png"]
    assert (here / "kidney.png").read_bytes() != (here / "kidney-reversed.png").read_bytes()
    assert "kidney reversed 19.45 m · width 0.90 m · 131 waypoints · clockwise" in typed("show kidney@reversed")


def test_show_finds_fetched_routes_and_tells_other_commands_their_path(here: Path) -> None:
    (here / "cache").mkdir()
    (here / "cache" / "Monaco.npy").write_bytes(route_bytes())
    assert f"--track {here}/cache/Monaco.npy@reversed\n" in typed("show Monaco@reversed")


@pytest.mark.parametrize("out", ["kidney.npy", "kidney", "kidney.png.toml"])
def test_a_picture_never_replaces_another_kind_of_file(out: str, here: Path) -> None:
    (here / out).write_bytes(b"mine")
    with pytest.raises(ConfigError, match=rf"--out is {re.escape(out)}; a name that ends in \.png is needed"):
        typed(f"show kidney --out {out}")
    assert (here / out).read_bytes() == b"mine"


# get


def test_get_keeps_the_route_and_says_that_its_checksum_is_right(
    here: Path, server: RouteServer, two_routes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATEAPEX_TRACKS_URL", f"{server.url}/good")
    assert typed("get Checked").splitlines() == [
        "Checked 20.00 m · width 0.80 m · 101 waypoints · counter-clockwise · tightest radius 3.18 m at waypoint 0",
        "its checksum is that of the official route",
        f"saved {here}/cache/Checked.npy    next: lateapex train --track {here}/cache/Checked.npy",
    ]
    assert left_in(here / "cache") == ["Checked.npy"]


def test_get_says_where_no_checksum_is_known(here: Path, server: RouteServer, two_routes: None) -> None:
    said = typed(f"get Unchecked --base-url {server.url}/good --cache mine")
    assert "no checksum of it is known; its points, length and borders are as they should be" in said
    assert left_in(here) == ["mine", "mine/Unchecked.npy"]


def test_a_route_in_the_usual_cache_is_told_by_its_name(
    here: Path, server: RouteServer, two_routes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LATEAPEX_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda app, appauthor: here / app)
    said = typed(f"get Checked --base-url {server.url}/good")
    assert f"saved {here}/lateapex/tracks/Checked.npy    next: lateapex train --track Checked\n" in said
    assert load_track("Checked").length == pytest.approx(20.0)


def test_a_flag_goes_before_the_environment(
    here: Path, server: RouteServer, two_routes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATEAPEX_TRACKS_URL", f"{server.url}/wrong")
    typed(f"get Checked --base-url {server.url}/good")
    assert server.asked == ["/good/Checked.npy"]


def test_get_that_fails_ends_with_2_in_one_line_and_keeps_nothing(
    here: Path,
    server: RouteServer,
    two_routes: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words, message in [
        (f"Checked --base-url {server.url}/404", "is not there (404)"),
        (f"Checked --base-url {server.url}/hangs --timeout 0.1", "did not come within 0.1 s"),
        (f"Checked --base-url {server.url}/wrong", "is not the official Checked"),
        ("Cheked", "did you mean 'Checked'?"),
    ]:
        assert run_main(f"tracks get {words}", monkeypatch) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: ")
        assert message in said.err
        assert said.err.count("\n") == 1
    assert left_in(here / "cache") == []


# check


def test_check_says_what_a_route_is(here: Path) -> None:
    (here / "my_route.npy").write_bytes(route_bytes())
    assert typed("check my_route.npy").splitlines() == [
        "my_route.npy is a track",
        "points           101",
        "length           20.00 m",
        "width            0.80 m smallest, 0.80 m median, 0.80 m largest",
        "direction        counter-clockwise",
        "tightest radius  3.18 m at waypoint 0",
        "quirks           none",
        "next: lateapex tracks show my_route.npy, or lateapex train --track my_route.npy",
    ]


def test_check_lists_every_quirk(here: Path) -> None:
    route = np.load(io.BytesIO(route_bytes()))
    route[7] = route[6]
    route[20, :2] += 0.1
    np.save(here / "odd.npy", route)
    said = typed("check odd.npy")
    assert "quirks           1 point repeats the one before: waypoint 7\n" in said
    assert re.search(r"\n {17}the centre line is up to 0\.1\d m off the middle of the borders: waypoint 20\n", said)


def test_check_reads_designs_and_open_tracks(here: Path) -> None:
    (here / "lane.toml").write_text("width = 0.8\nclosed = false\nsegments = [{straight = 3}]")
    said = typed("check lane.toml")
    assert "direction        open\n" in said
    assert "tightest radius  none: it is straight\n" in said


def test_check_as_json_has_the_same_facts(here: Path) -> None:
    (here / "my_route.npy").write_bytes(route_bytes())
    found: dict[str, Any] = json.loads(typed("check my_route.npy --json"))
    assert found["length_m"] == pytest.approx(20.0)
    assert found["tightest_radius_m"] == pytest.approx(3.18, abs=0.01)
    assert {key: found[key] for key in ("file", "points", "direction", "quirks")} == {
        "file": "my_route.npy",
        "points": 101,
        "direction": "counter-clockwise",
        "quirks": [],
    }
    (here / "lane.toml").write_text("width = 0.8\nclosed = false\nsegments = [{straight = 3}]")
    assert json.loads(typed("check lane.toml --json"))["tightest_radius_m"] is None


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("reward.py", b"def reward_function(params): ...", "reward.py is no .npy file"),
        ("half.npy", route_bytes()[:300], "half.npy is cut off or damaged"),
        ("bend.toml", b"width = 0.8\nsegments = [{left = 90, radius = 1}]", "bend.toml does not close"),
        ("missing.npy", None, "there is no file missing.npy"),
    ],
)
def test_a_file_that_is_no_track_ends_with_2_and_one_line(
    name: str,
    data: bytes | None,
    message: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if data is not None:
        (here / name).write_bytes(data)
    assert run_main(f"tracks check {name}", monkeypatch) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {message}")
    assert said.err.count("\n") == 1


def test_a_name_in_place_of_a_file_is_told_that_it_is_none(here: Path) -> None:
    with pytest.raises(TrackError, match="there is no file oval; give the path of a route"):
        typed("check oval")


def test_every_official_route_passes_the_check(shared_data: Path, here: Path) -> None:
    for file in sorted((shared_data / "tracks").glob("*.npy"))[::6]:
        found = json.loads(typed(f"check {file} --json"))
        assert found["points"] == official_routes()[file.stem].rows
        assert found["length_m"] == pytest.approx(official_routes()[file.stem].length, abs=0.001)
