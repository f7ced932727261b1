"""Scenes of a user's own class: its tables, what it draws by itself, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from made_scenes import DUSK, write_dusk
from made_tasks import small_task

from lateapex.env.scenes import DrawnScenes, UserScenes, load_scenes, scenes_of
from lateapex.errors import ConfigError
from lateapex.world.scene_files import SceneRanges, load_scene, parse_scene

CARS, EPISODES = np.array([0, 1, 2, 1]), np.array([0, 0, 0, 5])
BY_HAND = ("light.red", "light.blue", "picture.noise", "start.offset")


def dusk(folder: Path) -> UserScenes:
    found = load_scenes(write_dusk(folder))
    assert isinstance(found, UserScenes)
    return found


def test_its_attributes_are_the_tables_of_a_file(tmp_path: Path) -> None:
    found = dusk(tmp_path)
    assert (found.name, found.ranges.about) == ("Dusk", "Darker with each car, and as noisy.")
    tables = {"name": "Dusk", "about": found.ranges.about, "base": "mild"}
    assert found.ranges == parse_scene({**tables, "car": {"grip": [0.6, 0.8]}, "picture": {"brightness": 0}}, "by hand")
    assert "picture.brightness" in load_scene("mild").ranges
    assert "picture.brightness" not in found.ranges.ranges


def test_what_it_draws_takes_the_place_of_its_ranges_and_leaves_all_others(tmp_path: Path) -> None:
    found = dusk(tmp_path)
    values, plain = found.draw(3, CARS, EPISODES), DrawnScenes(found.ranges).draw(3, CARS, EPISODES)
    for name in plain.dtype.names or ():
        assert (values[name] == plain[name]).all() == (name not in BY_HAND), name
    np.testing.assert_allclose(values["picture.noise"], 2.0 / values["light.red"])
    np.testing.assert_allclose(values["light.blue"], 0.5 + values["light.red"] / 2.0)
    np.testing.assert_array_equal(values["start.offset"], CARS / 50)
    assert len(set(values["light.red"].tolist())) == 4
    assert values["light.red"].min() >= 0.25


def test_an_episode_has_its_values_whoever_draws_them_and_with_whom(tmp_path: Path) -> None:
    found, again = dusk(tmp_path / "one"), dusk(tmp_path / "two")
    together = found.draw(3, CARS, EPISODES)
    for place in (3, 0, 2):
        one = again.draw(3, CARS[place : place + 1], EPISODES[place : place + 1])
        assert one.tobytes() == together[place : place + 1].tobytes()
    assert (found.draw(4, CARS, EPISODES)["light.red"] != together["light.red"]).all()


def test_a_task_takes_the_class_itself_and_records_its_values() -> None:
    class Loaded:
        car: ClassVar = {"yaw_inertia": 2.0}

        def sample(self, rng: np.random.Generator, car: int, episode: int) -> dict[str, Any]:
            return {"car.grip": np.float32(0.5), "action.latency": np.int64(car + episode)}

    task = small_task(cars=2, scene=Loaded)
    task.begin(np.arange(2))
    task.begin(np.arange(1))
    assert task.varied is not None
    assert [task.varied.of_episode(car) for car in range(2)] == [
        {"car.grip": 0.5, "car.yaw_inertia": 2.0, "action.latency": 1.0}
    ] * 2


def test_a_class_without_sample_is_its_ranges() -> None:
    class Slippery:
        car: ClassVar = {"grip": [0.3, 0.5]}

    scenes = scenes_of(Slippery)
    assert scenes is not None
    mine = DrawnScenes(parse_scene({"car": {"grip": [0.3, 0.5]}}, "by hand"))
    assert scenes.draw(1, CARS, EPISODES).tobytes() == mine.draw(1, CARS, EPISODES).tobytes()


def test_names_of_presets_and_files_of_ranges_are_still_those(tmp_path: Path) -> None:
    assert load_scenes("mild") == load_scene("mild")
    (tmp_path / "mine.toml").write_text("[car]\ngrip = 0.5\n")
    mine = load_scenes(str(tmp_path / "mine.toml"))
    assert isinstance(mine, SceneRanges)
    assert list(mine.ranges) == ["car.grip"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class Dusk", "class Dawn", r"dusk\.py has no class 'Dusk'; it has: Evening, Dawn"),
        (
            '"grip": [',
            '"grop": [',
            r"dusk\.py:Dusk: nothing that varies is called 'car\.grop'; did you mean 'car\.grip'",
        ),
        ('"grip": [0.6', '"grip": [-0.6', r"dusk\.py:Dusk: car\.grip is \[-0\.6, 0\.8\]; 0\.1 to 5 times is possible"),
        ("_darkest", "darkest", r"dusk\.py:Dusk: a scene has no table \[darkest\]; known: car, "),
        ('base = "mild"', 'base = "midl"', r"base is 'midl', which is no preset; did you mean 'mild'"),
        (
            '"light.red"',
            '"light.rad"',
            r"dusk\.py:Dusk: sample: nothing that varies is called 'light\.rad'; did you mean",
        ),
        ("2.0 / dark", "200 / dark", r"sample: picture\.noise is [0-9.]+; 0 to 40 levels is possible"),
        ("2.0 / dark", "[1, 2]", r"sample: picture\.noise is \[1, 2\]; a number is needed"),
        ("2.0 / dark", "float('nan')", r"sample: picture\.noise is nan; expected a number"),
        ("return {", "found = {", r"dusk\.py:Dusk: sample returned None; a dictionary such as"),
        ("/ dark", "/ dork", r"dusk\.py:16: NameError: name 'dork' is not defined"),
        (
            "rng.uniform(",
            "__import__('random').uniform(",
            r"sample gave light\.red 0\.\d+ and then 0\.\d+ for the same",
        ),
        ("def sample(self, rng, car, episode)", "def sample(self)", r"dusk\.py: TypeError: .*positional argument"),
        ("class Evening:", "class Evening:\n    class light: red = 2", r"light is a class; write light = \{"),
    ],
)
def test_what_is_no_scene_is_refused_with_its_place(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in DUSK
    with pytest.raises(ConfigError, match=message) as caught:
        dusk_of(tmp_path, DUSK.replace(old, new))
    assert "\n" not in str(caught.value)


def dusk_of(folder: Path, text: str) -> UserScenes:
    found = load_scenes(write_dusk(folder, text=text))
    assert isinstance(found, UserScenes)
    return found


def test_files_that_are_not_there_and_classes_that_say_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dusk.py").write_text("class Dusk: pass\n")
    for name, message in (
        (f"{tmp_path}/dusk.py:Dusk", r'dusk\.py:Dusk lets nothing vary; give it a table such as car = \{"grip"'),
        (f"{tmp_path}/dusc.py:Dusk", r"no file is at .*dusc\.py; did you mean 'dusk\.py'"),
        (f"{tmp_path}/dusk.py", r"names no class; write .*dusk\.py:MyScene"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_scenes(name)
