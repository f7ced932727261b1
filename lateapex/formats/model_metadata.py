"""What a model can do and see: its actions, sensors, network and algorithm, as model_metadata.json says.

The rules are those of the original's parser.

Inputs and outputs are in racers' units: degrees, left positive, and m/s.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from lateapex.errors import MetadataError, did_you_mean
from lateapex.formats.json_text import is_number, parse_object, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ACTIONS = 1000
"""More than any racer drives with (108 is the most seen); a longer list is a slip."""

_CAMERAS = ("observation", "FRONT_FACING_CAMERA", "LEFT_CAMERA", "STEREO_CAMERAS")
_LIDARS = ("LIDAR", "SECTOR_LIDAR", "DISCRETIZED_SECTOR_LIDAR")
_NETWORKS = ("DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", "DEEP_CONVOLUTIONAL_NETWORK", "DEEP_CONVOLUTIONAL_NETWORK_DEEP")
_ALGORITHMS = ("clipped_ppo", "sac")
_KEYS = ("action_space", "action_space_type", "sensor", "neural_network", "version", "training_algorithm")
_ENTRY_KEYS = ("steering_angle", "speed", "index", "low", "high")
_OTHER_KEYS = ("lidar_config", "preprocess_type", "regional_parameters")
_LIDAR_SAMPLES = 64  # of one scan; sectors share them out evenly
_MOST_LIDAR_VALUES = 1000  # of a sector; finer than the lidar measures
_MAX_STEERING_DEG = 30.0
_SPEED_RANGE = (0.1, 4.0)  # m/s; what the original sends to the wheels lies inside


class Action(NamedTuple):
    """One choice of a discrete action space, as the racer wrote it: not clamped to what the car can do."""

    steering_angle: float
    """Degrees, left positive."""
    speed: float
    """m/s"""


class Range(NamedTuple):
    """One side of a continuous action space."""

    low: float
    high: float


class Bounds(NamedTuple):
    """A continuous action space, as the racer wrote it."""

    steering_angle: Range
    """Degrees, left positive."""
    speed: Range
    """m/s"""


class LidarConfig(NamedTuple):
    """How a sector lidar reads its 64 beams; the other lidars do not look at it."""

    num_sectors: int = 8
    num_values_per_sector: int = 8
    clipping_dist: float = 2.0
    """m"""


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """A model, as the racer describes it."""

    action_space: tuple[Action, ...] | Bounds
    """A list, in which the place is the action and a written "index" does not count; or ranges.

    What leads beyond the car's limits is clamped when it is driven.
    """
    sensors: tuple[str, ...]
    neural_network: str
    version: str
    """Generation of the action model, a number as text; it picks the vehicle's dynamics."""
    training_algorithm: str
    text: str
    """The file as given, so that it can be copied byte for byte."""
    lidar: LidarConfig = field(default_factory=LidarConfig)
    warnings: tuple[str, ...] = ()
    """What will not happen as written: one line each."""

    @property
    def actions(self) -> tuple[Action, ...]:
        """The list of a discrete action space; empty for a continuous one."""
        return () if isinstance(self.action_space, Bounds) else self.action_space


def read_metadata(text: str, source: str) -> ModelMetadata:
    """Read model_metadata.json; `source` is the file's name, for messages.

    Raises:
        MetadataError: not JSON, or not a description of a model.

    Source of the rules: `markov/boto/s3/files/model_metadata.py` of aws-deepracer-community/deepracer-simapp.
    """
    return _parse(parse_object(text, source, MetadataError), text, source)


def write_metadata(metadata: ModelMetadata) -> str:
    """Return the file's text, which deepracer-utils and the physical car read."""
    space = metadata.action_space
    content: dict[str, Any] = {
        "action_space": _bounds_content(space) if isinstance(space, Bounds) else _list_content(space),
        "sensor": list(metadata.sensors),
        "neural_network": metadata.neural_network,
        "version": metadata.version,
        "training_algorithm": metadata.training_algorithm,
        "action_space_type": "continuous" if isinstance(space, Bounds) else "discrete",
    }
    if metadata.lidar != LidarConfig():
        content["lidar_config"] = metadata.lidar._asdict()
    return json.dumps(content, indent=4)


def _list_content(actions: tuple[Action, ...]) -> list[dict[str, Any]]:
    return [{**action._asdict(), "index": place} for place, action in enumerate(actions)]


def _bounds_content(bounds: Bounds) -> dict[str, Any]:
    return {name: side._asdict() for name, side in bounds._asdict().items()}


def default_metadata() -> ModelMetadata:
    """Return ten actions (five angles, two speeds), the front camera, the shallow network."""
    metadata = ModelMetadata(
        action_space=tuple(Action(angle, speed) for angle in (-30.0, -15.0, 0.0, 15.0, 30.0) for speed in (0.5, 1.0)),
        sensors=("FRONT_FACING_CAMERA",),
        neural_network=_NETWORKS[0],
        version="5",
        training_algorithm="clipped_ppo",
        text="",
    )
    return replace(metadata, text=write_metadata(metadata))


def _parse(content: Mapping[str, Any], text: str, source: str) -> ModelMetadata:
    kind = _one_of(content, "action_space_type", ("discrete", "continuous"), source).lower()
    algorithm = _one_of(content, "training_algorithm", _ALGORITHMS, source).lower()
    if algorithm == "sac" and kind == "discrete":
        raise MetadataError(
            f"{source}: training_algorithm sac needs a continuous action space; "
            'for a list of actions write "training_algorithm": "clipped_ppo"'
        )
    space = _required(content, "action_space", source)
    version, sensors = _version_and_sensors(content, source)
    lidar = _lidar_config(content.get("lidar_config", {}), source)
    actions = _actions(space, source) if kind == "discrete" else _bounds(space, source)
    return ModelMetadata(
        action_space=actions,
        sensors=sensors,
        neural_network=_one_of(content, "neural_network", _NETWORKS, source),
        version=version,
        training_algorithm=algorithm,
        text=text,
        lidar=lidar,
        warnings=(*_clamp_notes(actions), *_index_notes(space), *_key_notes(content)),
    )


def _required(content: Mapping[str, Any], key: str, source: str) -> Any:
    if key not in content:
        raise MetadataError(f"{source} has no {key!r}; {_slip_for(key, content)}")
    return content[key]


def _one_of(content: Mapping[str, Any], key: str, known: tuple[str, ...], source: str) -> str:
    """Return a word of `known`, the first where the key is missing; networks alone are told apart by case."""
    value = content.get(key, known[0])
    words = known if key == "neural_network" else [word.lower() for word in known]
    if isinstance(value, str) and (value if key == "neural_network" else value.lower()) in words:
        return value
    near = did_you_mean(value, known) if isinstance(value, str) else ""
    raise MetadataError(f"{source}: {key} is {shown(value)}; expected {' or '.join(known)}{near}")


def _version_and_sensors(content: Mapping[str, Any], source: str) -> tuple[str, tuple[str, ...]]:
    version = content.get("version", "2" if "sensor" in content else "1")
    try:
        number = float("nan") if isinstance(version, bool) else float(version)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not 0 < number < float("inf"):
        raise MetadataError(f'{source}: version is {shown(version)}; expected a number such as "5"')
    if number < 2:
        return str(version), ("observation",)  # the first cars had one camera and no word for it
    return str(version), _sensors(_required(content, "sensor", source), source)


def _sensors(value: Any, source: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise MetadataError(f'{source}: sensor is {shown(value)}; expected a list such as ["FRONT_FACING_CAMERA"]')
    known = (*_CAMERAS, *_LIDARS)
    for name in value:
        if name not in known:
            near = did_you_mean(name, known) or "; known: " + ", ".join(known)
            raise MetadataError(f"{source}: no sensor is called {name!r}{near}")
    cameras = [name for name in value if name in _CAMERAS]
    lidars = [name for name in value if name in _LIDARS]
    if len(cameras) != 1:
        raise MetadataError(
            f"{source}: sensor has {' and '.join(cameras) or 'no camera'}; "
            f"expected exactly one camera of {', '.join(_CAMERAS)}"
        )
    if len(lidars) > 1:
        raise MetadataError(f"{source}: sensor has {' and '.join(lidars)}; expected at most one lidar: remove one")
    return tuple(value)


def _lidar_config(config: Any, source: str) -> LidarConfig:
    if not isinstance(config, dict):
        raise MetadataError(f"{source}: lidar_config is {shown(config)}; expected an object")
    usual = LidarConfig()
    sectors = config.get("num_sectors", usual.num_sectors)
    values = config.get("num_values_per_sector", usual.num_values_per_sector)
    if type(sectors) is not int or sectors < 1 or _LIDAR_SAMPLES % sectors:
        raise MetadataError(
            f"{source}: lidar_config.num_sectors is {shown(sectors)}; expected a divisor of {_LIDAR_SAMPLES}, such as 8"
        )
    if type(values) is not int or not 1 <= values <= _MOST_LIDAR_VALUES:
        raise MetadataError(
            f"{source}: lidar_config.num_values_per_sector is {shown(values)}; "
            f"expected a whole number from 1 to {_MOST_LIDAR_VALUES}"
        )
    if not is_number(distance := config.get("clipping_dist", usual.clipping_dist)):
        raise MetadataError(f"{source}: lidar_config.clipping_dist is {shown(distance)}; expected metres, such as 2.0")
    return LidarConfig(sectors, values, float(distance))


def _actions(space: Any, source: str) -> tuple[Action, ...]:
    if isinstance(space, dict):
        raise MetadataError(
            f"{source}: action_space is a range, which a discrete action space is not; "
            'expected a list of {"steering_angle": ..., "speed": ...}'
        )
    if not isinstance(space, list) or not space:
        found = "empty" if space == [] else shown(space)
        raise MetadataError(
            f'{source}: action_space is {found}; expected a list of {{"steering_angle": ..., "speed": ...}}'
        )
    if len(space) > MAX_ACTIONS:
        raise MetadataError(f"{source}: action_space has {len(space)} actions; expected at most {MAX_ACTIONS}")
    return tuple(_action(entry, f"action_space[{place}]", source) for place, entry in enumerate(space))


def _action(entry: Any, place: str, source: str) -> Action:
    if not isinstance(entry, dict):
        raise MetadataError(
            f'{source}: {place} is {shown(entry)}; expected an object {{"steering_angle": ..., "speed": ...}}'
        )
    return Action(_number(entry, "steering_angle", place, source), _number(entry, "speed", place, source))


def _bounds(space: Any, source: str) -> Bounds:
    if not isinstance(space, dict):
        raise MetadataError(
            f'{source}: action_space is {shown(space)}; a continuous one is {{"steering_angle": {{"low": ..., '
            '"high": ...}, "speed": {...}}, and a list of actions goes with "action_space_type": "discrete"'
        )
    return Bounds(_range(space, "steering_angle", source), _range(space, "speed", source))


def _range(space: Mapping[str, Any], key: str, source: str) -> Range:
    place = f"action_space.{key}"
    value = space.get(key)
    if not isinstance(value, dict):
        found = f"is {shown(value)}" if key in space else "is missing"
        raise MetadataError(f'{source}: {place} {found}; expected {{"low": ..., "high": ...}}')
    low, high = _number(value, "low", place, source), _number(value, "high", place, source)
    if low >= high:
        raise MetadataError(f"{source}: {place} goes from low {low} to high {high}; low must be below high")
    return Range(low, high)


def _number(entry: Mapping[str, Any], key: str, place: str, source: str) -> float:
    if key not in entry:
        raise MetadataError(f"{source}: {place} has no {key!r}; {_slip_for(key, entry)}")
    value = entry[key]
    if is_number(value):
        return float(value)
    hint = ", without quotes" if isinstance(value, str) else ""
    raise MetadataError(f"{source}: {place}.{key} is {shown(value)}; expected a finite number{hint}")


def _slip_for(key: str, content: Mapping[str, Any]) -> str:
    """Return what to do about a missing key: rename one that looks like it, or add it."""
    other = (word for word in content if word not in (*_KEYS, *_ENTRY_KEYS) and did_you_mean(word, [key]))
    word = next(other, None)
    return f"it has {shown(list(content))}: add it" if word is None else f"rename {word!r}"


def _clamp_notes(actions: tuple[Action, ...] | Bounds) -> list[str]:
    if isinstance(actions, Bounds):
        return _range_notes(actions)
    slowest, fastest = _SPEED_RANGE
    turned = [place for place, action in enumerate(actions) if abs(action.steering_angle) > _MAX_STEERING_DEG]
    sped = [place for place, action in enumerate(actions) if not slowest <= action.speed <= fastest]
    notes = []
    if turned:
        angle = actions[turned[0]].steering_angle
        notes.append(
            f"steering_angle {angle:g} of {_places(turned)} lies beyond {_MAX_STEERING_DEG:g} degrees; "
            f"the wheels turn {_MAX_STEERING_DEG:g} degrees at most"
        )
    if sped:
        speed = actions[sped[0]].speed
        notes.append(
            f"speed {speed:g} of {_places(sped)} lies outside {slowest:g} to {fastest:g} m/s; the car drives inside it"
        )
    return notes


def _range_notes(bounds: Bounds) -> list[str]:
    angles, speeds = bounds
    slowest, fastest = _SPEED_RANGE
    notes = []
    if max(abs(angles.low), abs(angles.high)) > _MAX_STEERING_DEG:
        notes.append(
            f"steering_angle goes from {angles.low:g} to {angles.high:g} degrees; "
            f"the wheels turn {_MAX_STEERING_DEG:g} degrees at most"
        )
    if speeds.low < slowest or speeds.high > fastest:
        notes.append(
            f"speed goes from {speeds.low:g} to {speeds.high:g} m/s; "
            f"the car drives inside {slowest:g} to {fastest:g} m/s"
        )
    return notes


def _places(places: list[int]) -> str:
    return f"action_space[{places[0]}]" + (f" (and {len(places) - 1} more)" if len(places) > 1 else "")


def _index_notes(space: Any) -> list[str]:
    if not isinstance(space, list):
        return []
    wrong = [place for place, entry in enumerate(space) if entry.get("index", place) != place]
    if not wrong:
        return []
    return [
        f"{_places(wrong)} has index {shown(space[wrong[0]]['index'])}; the order of the list counts, not the index"
    ]


def _key_notes(content: Mapping[str, Any]) -> list[str]:
    unknown = (key for key in content if key not in (*_KEYS, *_OTHER_KEYS))
    return [f"{key!r} is not read{did_you_mean(key, _KEYS)}" for key in unknown]
