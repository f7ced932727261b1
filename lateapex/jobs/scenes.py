"""The scene of a job's settings: by name, by the path of a file, or its tables themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lateapex.world.scene_files import NONE, SceneRanges, load_scene, parse_scene


def scene_of(setting: str | Mapping[str, Any], source: str = "scene") -> SceneRanges:
    """Read what a setting names, or holds.

    Args:
        source: where it stands, for messages.

    Raises:
        ConfigError: there is no such scene, or it is wrong.
    """
    return load_scene(setting) if isinstance(setting, str) else parse_scene(setting, source)


def scene_values(setting: str | Mapping[str, Any]) -> str | dict[str, Any]:
    """The setting as a run keeps it: whole, so that it needs no file and later presets do not change it."""
    found = scene_of(setting)
    return found.to_values() if found.ranges else NONE
