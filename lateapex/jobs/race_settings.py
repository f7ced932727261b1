"""The race that a job's parameters ask for, by the original's names: keys of its YAML, variables of run.env."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from lateapex.config import parse
from lateapex.env.race_config import RaceConfig, RaceType
from lateapex.errors import ConfigError
from lateapex.formats.job_yaml import first, is_true

_TRUTHS: Final = (
    "RANDOMIZE_OBSTACLE_LOCATIONS",
    "IS_OBSTACLE_BOT_CAR",
    "RANDOMIZE_BOT_CAR_LOCATIONS",
    "IS_LANE_CHANGE",
)
_WHOLES: Final = ("NUMBER_OF_OBSTACLES", "NUMBER_OF_BOT_CARS")
_NUMBERS: Final = (
    "MIN_DISTANCE_BETWEEN_OBSTACLES",
    "MIN_DISTANCE_BETWEEN_BOT_CARS",
    "BOT_CAR_SPEED",
    "LOWER_LANE_CHANGE_TIME",
    "UPPER_LANE_CHANGE_TIME",
    "LANE_CHANGE_DISTANCE",
    "PENALTY_SECONDS",
)
_OF_BOTS: Final = {"BOT", "LANE"}
_ENV_NAMES: Final = {"PENALTY_SECONDS": "DR_H2B_BOT_CAR_PENALTY"}
RACES: Final = get_args(RaceType)
"""Race types that can be trained."""


def race_of_parameters(parameters: Mapping[str, str | list[str]], source: str) -> dict[str, Any]:
    """Return the settings of RaceConfig that the parameters of a training job give.

    Penalties and resets are left out: a mishap ends an episode of training.

    Args:
        parameters: of `formats.job_yaml`.
        source: the file's name, for messages.

    Raises:
        ConfigError: the race is none that can be trained, or a value is wrong.
    """
    texts = {key: first(parameters, key) for key in ("RACE_TYPE", "OBSTACLE_TYPE", *_TRUTHS, *_WHOLES, *_NUMBERS)}
    positions = parameters.get("OBJECT_POSITIONS", [])
    listed = ";".join(positions) if isinstance(positions, list) else positions
    return _race({**texts, "OBJECT_POSITIONS": listed}, {}, source)


def race_of_env(settings: Mapping[str, str], source: str) -> dict[str, Any]:
    """Return the settings of RaceConfig that run.env of deepracer-for-cloud gives; errors as `race_of_parameters`."""
    names = {"RACE_TYPE": "DR_RACE_TYPE", "OBSTACLE_TYPE": "DR_OA_OBSTACLE_TYPE"}
    names["OBJECT_POSITIONS"] = "DR_OA_OBJECT_POSITIONS"
    for key in (*_TRUTHS, *_WHOLES, *_NUMBERS):
        names[key] = _ENV_NAMES.get(key, f"DR_{'H2B' if _OF_BOTS & set(key.split('_')) else 'OA'}_{key}")
    names["IS_OBSTACLE_BOT_CAR"] = "DR_OA_IS_OBSTACLE_BOT_CAR"
    return _race({key: settings.get(name, "") for key, name in names.items()}, names, source)


def parameters_of_race(race: RaceConfig) -> dict[str, str | list[str]]:
    """Return what a job's YAML says of a race; `race_of_parameters` reads it again."""
    written: dict[str, str | list[str]] = {"RACE_TYPE": race.race_type}
    if race.race_type == "TIME_TRIAL":
        return written
    written["OBSTACLE_TYPE"] = race.obstacle_type
    for key in _TRUTHS:
        written[key] = "true" if getattr(race, key.lower()) else "false"
    for key in (*_WHOLES, *_NUMBERS):
        written[key] = str(getattr(race, key.lower()))
    if race.object_positions:
        written["OBJECT_POSITIONS"] = [f"{share},{lane}" for share, lane in race.object_positions]
    return written


def _race(texts: Mapping[str, str], names: Mapping[str, str], source: str) -> dict[str, Any]:
    """Settings of a race from texts by the keys of YAML; `names` are what the file calls them."""
    race = texts["RACE_TYPE"] or "TIME_TRIAL"
    if race not in RACES:
        raise ConfigError(
            f"{source}: {names.get('RACE_TYPE', 'RACE_TYPE')} is {race!r}; expected {', '.join(RACES)}, "
            "which this version trains"
        )
    if race == "TIME_TRIAL":
        return {}
    values: dict[str, Any] = {"race_type": race}
    for key, text in texts.items():
        if not text or key == "RACE_TYPE":
            continue
        place = f"{source}: {names.get(key, key)}"
        if key in _TRUTHS:
            values[key.lower()] = is_true(text)
        elif key in _WHOLES:
            values[key.lower()] = _number(text, place, whole=True)
        elif key in _NUMBERS:
            values[key.lower()] = _number(text, place)
        else:
            values[key.lower()] = text
    parse(RaceConfig, values, source)
    return values


def _number(text: str, place: str, *, whole: bool = False) -> float | int:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        raise ConfigError(f"{place} is {text!r}; expected a {'whole ' if whole else ''}number") from None
