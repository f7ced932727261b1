"""The scene of a job's settings: by name, by the path of a file, by a class of one, or its tables themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, NamedTuple, TypeAlias

from lateapex.env.scenes import UserScenes, load_scenes
from lateapex.env.user_code import file_of, in_run, is_reference, read_code
from lateapex.world.scene_files import NONE, SceneRanges, parse_scene, preset_text

SceneSetting: TypeAlias = str | dict[str, Any]
"""As settings have it."""


class KeptScene(NamedTuple):
    """A scene, and what has to be kept so that it can be had again."""

    scene: SceneRanges | UserScenes
    values: SceneSetting
    """The setting, whole; see `scene_values`."""
    code: dict[str, str]
    """Of a class the texts of its file and of the preset that it builds on, by the names of the files."""


def kept_scene(setting: SceneSetting) -> KeptScene:
    """Read what a setting names, or holds; raises as `scene_of`."""
    code = {PurePath(file_of(name)).name: read_code(file_of(name)) for name in scene_files(setting)}
    scene = scene_of(setting, code=code or None)
    return KeptScene(scene, scene_values(setting), code | kept_preset(scene))


def kept_preset(scene: SceneRanges | UserScenes) -> dict[str, str]:
    """What a run keeps of the preset that a class builds on, by the name of its file; empty if there is none."""
    return dict([preset_text(scene.base)]) if isinstance(scene, UserScenes) and scene.base else {}


def scene_of(
    setting: str | Mapping[str, Any], source: str = "scene", code: Mapping[str, str] | None = None
) -> SceneRanges | UserScenes:
    """Read what a setting names, or holds.

    Args:
        source: where it stands, for messages.
        code: texts of the user's Python files and of kept presets by their names; as they are now if not given.

    Raises:
        ConfigError: there is no such scene, or it is wrong.
    """
    return load_scenes(setting, code) if isinstance(setting, str) else parse_scene(setting, source)


def scene_values(setting: SceneSetting) -> SceneSetting:
    """The setting as a run keeps it: whole, so that it needs no file and later presets do not change it.

    A class is named as the run has it, by the file's name alone; its text is among the run's code, and so is the preset
    that it builds on.
    """
    if isinstance(setting, str) and is_reference(setting):
        return in_run(setting)
    found = scene_of(setting)
    assert isinstance(found, SceneRanges)
    return found.to_values() if found.ranges else NONE


def varies_light(scene: SceneRanges | UserScenes) -> bool:
    """Whether it varies what the original's domain randomisation does: the light, or how objects look."""
    varied = scene.varied if isinstance(scene, UserScenes) else scene.ranges
    return any(name.startswith(("light.", "object.")) for name in varied)


def scene_files(*settings: SceneSetting) -> list[str]:
    """Those of some settings that name classes in files, as `train_inputs.user_files` takes them."""
    return [setting for setting in settings if isinstance(setting, str) and is_reference(setting)]
