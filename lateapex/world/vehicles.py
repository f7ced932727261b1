"""Which vehicles there are: a preset for every measured generation of the car, and files of one's own.

A file is TOML: any fields of `Vehicle`, and `base`, the preset that gives the others (version5 if not given). The
presets are such files too, in `data/vehicles`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final

import tomli_w
from pydantic import TypeAdapter, ValidationError

from lateapex.config import read_toml
from lateapex.errors import ConfigError, did_you_mean
from lateapex.world.preset_files import PresetFiles
from lateapex.world.vehicle import CameraMount, Vehicle

AUTO: Final = "auto"
"""Stands for the vehicle that a model's metadata asks for."""

_MEASURED: Final = (2, 6)
"""Oldest and newest generation of which there are logs."""

_FILES: Final = PresetFiles("vehicle", "vehicles", "my_car.toml", "lateapex vehicles show version5 --toml")


def vehicle_names() -> list[str]:
    """Names of the presets, sorted."""
    return _FILES.names()


def load_vehicle(name_or_path: str | Path) -> Vehicle:
    """Load a preset by its name, or a vehicle from a file.

    Args:
        name_or_path: text is a path if it has a separator, begins with `~` or ends in `.toml`.

    Raises:
        ConfigError: no such name or file; the file holds no vehicle.
    """
    found = _FILES.read(name_or_path)
    return read_vehicle(found.text, found.source, found.name)


def vehicle_of_version(version: str) -> str:
    """Name of the preset that a metadata's `version` asks for: its integer part, as in the original.

    There are no logs of generations before 2 or after 6; the nearest stands for them.
    """
    oldest, newest = _MEASURED
    return f"version{min(max(int(float(version)), oldest), newest)}"


def read_vehicle(text: str, source: str, name: str | None = None) -> Vehicle:
    """Read a vehicle from TOML.

    Args:
        source: the file's name, for messages.
        name: of the vehicle where the file gives none; the file's own name without its ending if not given.

    Raises:
        ConfigError: not TOML, an unknown field, a wrong type, or a number outside its range.
    """
    return parse_vehicle({"name": name or Path(source).stem, **read_toml(text, source)}, source)


def parse_vehicle(values: Mapping[str, Any], source: str) -> Vehicle:
    """Make a vehicle of fields, and of `base`, the preset that gives those that are missing.

    Raises:
        ConfigError: as for read_vehicle.
    """
    given = dict(values)
    base = given.pop("base", None)
    if base is not None:
        _FILES.check_base(base, source)
    start = Vehicle() if base is None else load_vehicle(base)
    _check_names(given, source)
    camera = given.pop("camera", {})
    changed = replace(start, **given, camera=replace(start.camera, **camera))
    return _checked(changed, source)


def write_vehicle(vehicle: Vehicle) -> str:
    """Return a vehicle as TOML with every field, so that later presets do not change it."""
    return tomli_w.dumps(asdict(vehicle))


def _check_names(values: dict[str, Any], source: str) -> None:
    """Refuse fields that no vehicle has."""
    camera = values.get("camera", {})
    if not isinstance(camera, dict):
        raise ConfigError(f"{source}: camera is {camera!r}; a table is needed: write [camera] on a line of its own")
    for place, kind, given in (("", Vehicle, values), ("camera.", CameraMount, camera)):
        known = [field.name for field in fields(kind)]
        for word in given:
            if word not in known:
                guess = did_you_mean(word, known) or "; known: " + ", ".join(known)
                raise ConfigError(f"{source}: no field of a vehicle is called {place + word!r}{guess}")


def _checked(vehicle: Vehicle, source: str) -> Vehicle:
    """Refuse wrong types and numbers outside their ranges."""
    try:
        # By way of JSON, whose strict mode takes a table for a dataclass, but no text or truth for a number.
        return _VEHICLE.validate_json(json.dumps(asdict(vehicle), default=str), strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        expected = fault["msg"].removeprefix("Input should be ")
        raise ConfigError(f"{source}: {place} is {fault['input']!r}; expected {expected}") from None


_VEHICLE: Final = TypeAdapter(Vehicle)
