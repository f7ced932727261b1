"""What can vary: how values follow from random numbers, and what of a file is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.errors import ConfigError
from lateapex.world.scene_files import SceneRanges, load_scene, read_scene, scene_names, write_scene
from lateapex.world.variation import PLACES, QUANTITIES, Sampler, neutral, parse_range

ROW = np.arange(8) / 8.0
"""Eight numbers that fill 0 to 1 evenly."""


def values_of(name: str, value: Any, draws: Any = ROW) -> list[float]:
    """What a quantity is for its draws, all others being drawn as 0.5."""
    table = np.full((len(draws), len(QUANTITIES)), 0.5)
    table[:, PLACES[name]] = draws
    found = Sampler({name: parse_range(name, value, "test")}).sample(table)[name]
    return list(found.tolist())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([0.8, 1.6], [0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]),
        (0.7, [0.7] * 8),
        ({"low": 0.5, "high": 2.0, "law": "log"}, [0.5 * 4.0**u for u in ROW]),
        ({"choice": [0.5, 2]}, [0.5] * 4 + [2.0] * 4),
        # Of the numbers below the share of 0.5 each stands for twice itself.
        ({"low": 2.0, "high": 3.0, "share": 0.5}, [2.0, 2.25, 2.5, 2.75, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_values_follow_from_their_draws(value: Any, expected: list[float]) -> None:
    assert values_of("car.grip", value) == pytest.approx(expected)


def test_a_whole_range_includes_both_ends_evenly() -> None:
    assert values_of("sensor.latency", [1, 4]) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_normal_values_have_their_mean_and_deviation_and_end_at_the_limits() -> None:
    draws = (np.arange(2000) + 0.5) / 2000
    found = np.array(values_of("car.grip", {"mean": 1.5, "deviation": 0.2}, draws))
    assert (found.mean(), found.std()) == pytest.approx((1.5, 0.2), abs=2e-3)
    found = np.array(values_of("car.grip", {"deviation": 0.2, "low": 0.9, "high": 1.1}, draws))
    assert (found.min(), found.max(), found.mean()) == pytest.approx((0.9, 1.1, 1.0))


@given(st.data())
def test_values_stay_within_their_range_whatever_is_drawn(data: st.DataObject) -> None:
    item = data.draw(st.sampled_from(QUANTITIES))
    ends = st.integers(int(item.low), int(item.high)) if item.whole else st.floats(item.low, item.high)
    low, high = sorted((float(data.draw(ends)), float(data.draw(ends))))
    draws = data.draw(st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=5))
    found = values_of(item.name, [low, high], draws)
    assert all(low <= value <= high for value in found)
    assert not item.whole or all(value == round(value) for value in found)


@pytest.mark.parametrize("name", PLACES)
def test_a_range_changes_its_own_quantity_and_no_other(name: str) -> None:
    item = QUANTITIES[PLACES[name]]
    draws = np.random.default_rng(1).uniform(size=(50, len(QUANTITIES)))
    every = {other.name: parse_range(other.name, [other.low, other.high], "test") for other in QUANTITIES}
    alone = Sampler({name: every[name]}).sample(draws)
    plain, whole = neutral(50), Sampler(every).sample(draws)
    assert not np.array_equal(alone[name], plain[name])
    np.testing.assert_array_equal(alone[name], whole[name])
    for other in PLACES:
        if other != name:
            np.testing.assert_array_equal(alone[other], plain[other])
    assert plain[name].tolist() == [item.neutral] * 50


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("car.grop", 1.0, r"my\.toml: nothing that varies is called 'car\.grop'; did you mean 'car\.grip'"),
        ("car.grip", [0.0, 1.0], r"my\.toml: car\.grip is \[0\.0, 1\.0\]; 0\.1 to 5 times is possible"),
        ("car.grip", [1.2, 0.8], "the lower end comes first"),
        ("car.grip", [1.0], r"expected a number, \[low, high\], or a table"),
        ("car.grip", "much", "expected a number"),
        ("car.grip", True, "expected a number"),
        ("car.grip", float("nan"), "expected a number"),
        ("car.grip", {"low": 1.0}, "expected a number"),
        ("car.grip", {"lwo": 1.0, "high": 2.0}, r"there is no 'lwo' in a range; did you mean 'low'\?"),
        ("car.grip", {"low": 1.0, "high": 2.0, "law": "square"}, "law is 'square'; 'uniform', 'log' or 'normal'"),
        ("car.grip", {"choice": []}, "choice must be a list of numbers"),
        ("car.grip", {"deviation": 0}, "deviation must be above 0"),
        ("car.grip", {"low": 1.0, "high": 2.0, "share": 2}, "share must lie between 0 and 1"),
        ("car.jolt", {"low": 0.0, "high": 1.0, "law": "log"}, "law 'log' needs a lower end above 0"),
        ("sensor.latency", [0.5, 2], "whole numbers of steps are needed"),
    ],
)
def test_what_is_no_range_is_refused_with_its_place(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_range(name, value, "my.toml")


# ------------------------------------------------------------------------------------------------------- files


def test_a_file_builds_on_a_preset() -> None:
    found = read_scene('base = "mild"\n[car]\ngrip = [0.5, 0.6]\nspeed_scale = 1.0\n[sensor]\nlatency = 1', "my.toml")
    mild = load_scene("mild")
    assert found.name == "my"
    assert (found.ranges["car.grip"].low, found.ranges["car.grip"].high) == (0.5, 0.6)
    assert found.ranges["start.offset"] == mild.ranges["start.offset"]
    # What the file says to be neutral does not vary, whatever the preset has.
    assert set(found.ranges) == set(mild.ranges) - {"car.speed_scale"} | {"sensor.latency"}


@pytest.mark.parametrize("name", scene_names())
def test_a_preset_written_as_a_file_is_read_as_itself(name: str) -> None:
    scene = load_scene(name)
    assert scene.name == name
    assert scene.about
    assert read_scene(write_scene(scene), "other.toml") == scene


def test_every_law_is_written_as_it_was_read() -> None:
    text = """
    [car]
    grip = { low = 0.5, high = 2.0, law = "log" }
    slip = { deviation = 0.1 }
    speed_scale = { choice = [0.5, 1.5], share = 0.25 }
    """
    scene = read_scene(text, "laws.toml")
    assert read_scene(write_scene(scene), "laws.toml") == scene
    assert [str(drawn) for drawn in scene.ranges.values()] == [
        "0.5 to 2, log",
        "1 ± 0.1 within 0.2 to 5",
        "one of 0.5, 1.5, in 25 % of episodes",
    ]


def test_none_lets_nothing_vary() -> None:
    assert load_scene("none").ranges == SceneRanges().ranges == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cars]\ngrip = 1.1", r"my\.toml: a scene has no table \[cars\]; did you mean 'car'\?"),
        ("car = 3", r"my\.toml: car is 3; a table is needed: write \[car\] on a line of its own"),
        ('base = "sim2rael"', r"my\.toml: base is 'sim2rael', which is no preset; did you mean 'sim2real'\?"),
        ("name = 3", r"my\.toml: name is 3; a text is needed"),
        ("[car", r"my\.toml is not TOML"),
    ],
)
def test_what_is_no_scene_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_scene(text, "my.toml")


def test_a_scene_that_is_not_there_is_told_with_the_nearest_name(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="no scene is called 'mlid'; did you mean 'mild'"):
        load_scene("mlid")
    with pytest.raises(
        ConfigError, match=r"there is no scene file .*; lateapex scenes show sim2real --toml prints one"
    ):
        load_scene(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot read .*; a TOML file is needed"):
        load_scene(str(tmp_path / "bytes.toml"))
