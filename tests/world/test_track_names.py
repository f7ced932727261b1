"""What a track is called: shipped and fetched ones by name, any of them the other way, and names that are none."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest
from made_routes import route_bytes

from lateapex.errors import TrackError
from lateapex.world.official import default_cache, official_routes
from lateapex.world.track import load_track, track_names

if TYPE_CHECKING:
    from pathlib import Path


# Names


def test_an_unknown_name_suggests_the_nearest_one_and_says_how_to_give_a_path() -> None:
    with pytest.raises(TrackError, match=r"no track is called 'ovall'; did you mean 'oval'\? .* such as \./ovall\.npy"):
        load_track("ovall")


def test_a_name_far_from_all_lists_the_shipped_ones_and_shows_a_path() -> None:
    message = (
        r"no track is called 'xyzzy'; those .* are chicane, .*oval, sprint, and `lateapex tracks list` shows all\."
    )
    with pytest.raises(TrackError, match=message):
        load_track("xyzzy")


def test_a_name_near_an_official_one_suggests_that() -> None:
    with pytest.raises(TrackError, match=r"no track is called 'reinvent_bse'; did you mean 'reinvent_base'\?"):
        load_track("reinvent_bse")


def test_the_empty_name_is_an_unknown_track() -> None:
    with pytest.raises(TrackError, match=r"no track is called ''; those .* such as \./my_track\.npy"):
        load_track("")


# Fetched routes


def test_a_fetched_official_route_loads_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "Monaco.npy").write_bytes(route_bytes())
    track = load_track("Monaco", tmp_path)
    assert track.name == "Monaco"
    assert len(track.center) == 100
    assert load_track("Monaco@reversed", tmp_path).reversed


def test_the_usual_cache_is_in_the_folder_that_the_platform_has_for_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda app, appauthor: tmp_path / app)
    assert default_cache() == tmp_path / "lateapex" / "tracks"
    default_cache().mkdir(parents=True)
    (default_cache() / "Monaco.npy").write_bytes(route_bytes())
    assert load_track("Monaco").name == "Monaco"


def test_an_official_route_that_was_not_fetched_says_how_to_get_it(tmp_path: Path) -> None:
    message = r"Monaco is an official track .* not in .*; get it: lateapex tracks get Monaco, or .* \./Monaco\.npy"
    with pytest.raises(TrackError, match=message):
        load_track("Monaco", tmp_path)


def test_a_file_in_the_cache_that_is_no_official_route_is_not_found_by_its_name(tmp_path: Path) -> None:
    for name in ("mine", "kidney"):
        (tmp_path / f"{name}.npy").write_bytes(route_bytes())
    with pytest.raises(TrackError, match="no track is called 'mine'"):
        load_track("mine", tmp_path)
    assert load_track("kidney", tmp_path).length == pytest.approx(19.45, abs=0.01)


def test_the_table_of_official_routes_has_126_names_and_the_checksums_of_the_files_at_hand(shared_data: Path) -> None:
    routes = official_routes()
    files = sorted((shared_data / "tracks").glob("*.npy"))
    assert len(routes) == 126
    assert {route.name for route in routes.values() if route.sha256} == {file.stem for file in files}
    for file in files:
        route, track = routes[file.stem], load_track(file)
        assert route.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert route.rows == len(track.waypoints)
        assert route.length == pytest.approx(track.length, abs=0.001)


def test_no_official_route_has_the_name_of_a_shipped_track_or_one_that_is_no_file_name() -> None:
    assert not official_routes().keys() & set(track_names())
    assert all(re.fullmatch(r"\w+", name) for name in official_routes())


# Directions


@pytest.mark.parametrize("name", ["kidney", "sprint", "generated:easy:4"])
def test_any_track_is_driven_the_other_way_with_reversed_after_its_name(name: str) -> None:
    track, back = load_track(name), load_track(f"{name}@reversed")
    assert back.name == track.name
    assert back.reversed
    assert not track.reversed
    assert back.waypoints == track.waypoints[::-1]
    assert back.is_ccw != track.is_ccw


def test_paths_too_may_say_the_direction(tmp_path: Path) -> None:
    (tmp_path / "ring.npy").write_bytes(route_bytes())
    for path in (f"{tmp_path}/ring.npy@reversed", tmp_path / "ring.npy@reversed"):
        assert load_track(path).reversed
    assert not load_track(tmp_path / "ring.npy").reversed


def test_every_official_route_loads_in_both_directions_by_its_path(shared_data: Path) -> None:
    for file in sorted((shared_data / "tracks").glob("*.npy")):
        assert load_track(f"{file}@reversed").waypoints == load_track(file).waypoints[::-1], file.name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kidney@backwards", "ends in '@backwards'; only '@reversed' can stand there: write kidney@reversed"),
        ("kidney@", "ends in '@'; only '@reversed' can stand there: write kidney@reversed"),
        ("ring.npy@reverse", "ends in '@reverse'; only '@reversed' can stand there: write ring.npy@reversed"),
        ("@reversed", "no track is called ''"),
        (
            "kidney@reversed@reversed",
            "ends in '@reversed'; only one '@reversed' can stand there: write kidney@reversed",
        ),
    ],
)
def test_another_word_for_a_direction_is_refused_with_the_right_one(name: str, message: str) -> None:
    with pytest.raises(TrackError, match=message):
        load_track(name)


def test_a_path_may_have_an_at_sign_anywhere(tmp_path: Path) -> None:
    (tmp_path / "me@home").mkdir()
    for name in ("me@home/ring.npy", "ring@2.npy", "me@home/ring@2"):
        (tmp_path / name).write_bytes(route_bytes())
        assert load_track(str(tmp_path / name)).length > 18
        assert load_track(f"{tmp_path / name}@reversed").reversed
