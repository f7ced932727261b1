"""Which scenes there are, in the sense of ranges: presets, and files of one's own.

A file is TOML: a table for each part of the world (`[car]`, `[action]` ...) with a range for whatever varies, and
`base`, the preset whose other ranges hold too. The presets are such files, in `data/scenes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import tomli_w
from numpy.typing import NDArray

from lateapex.config import read_toml
from lateapex.errors import ConfigError, did_you_mean
from lateapex.world.preset_files import PresetFiles
from lateapex.world.variation import PLACES, Range, Sampler, parse_range, quantity_of

NONE: Final = "none"
"""The scene in which nothing varies."""

_FILES: Final = PresetFiles("scene", "scenes", "my_scene.toml", "lateapex scenes show sim2real --toml")


@dataclass(frozen=True)
class SceneRanges:
    """What varies, and how."""

    name: str = NONE
    about: str = ""
    """A sentence for the list of scenes."""
    ranges: Mapping[str, Range] = field(default_factory=dict)
    """By the names of quantities, in their order."""

    def sample(self, draws: NDArray[np.float64]) -> NDArray[Any]:
        """Values of episodes; see `Sampler.sample`."""
        return self._sampler.sample(draws)

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self.ranges)

    def to_values(self) -> dict[str, Any]:
        """As a file has it, without `base`, so that later presets do not change it."""
        tables: dict[str, Any] = {"name": self.name, "about": self.about}
        for name, drawn in self.ranges.items():
            table, _, key = name.partition(".")
            tables.setdefault(table, {})[key] = drawn.to_value()
        return tables


def scene_names() -> list[str]:
    """Names of the presets, sorted."""
    return _FILES.names()


def load_scene(name_or_path: str | Path) -> SceneRanges:
    """Load a preset by its name, or a scene from a file.

    Args:
        name_or_path: text is a path if it has a separator, begins with `~` or ends in `.toml`.

    Raises:
        ConfigError: no such name or file; the file holds no scene.
    """
    found = _FILES.read(name_or_path)
    return read_scene(found.text, found.source, found.name)


def read_scene(text: str, source: str, name: str | None = None) -> SceneRanges:
    """Read a scene from TOML.

    Args:
        source: the file's name, for messages.
        name: of the scene where the file gives none; the file's own name without its ending if not given.

    Raises:
        ConfigError: not TOML, an unknown name, or no range.
    """
    return parse_scene({"name": name or Path(source).stem, **read_toml(text, source)}, source)


def parse_scene(values: Mapping[str, Any], source: str, kept: Mapping[str, str] | None = None) -> SceneRanges:
    """Make a scene of tables of ranges, and of `base`, the preset whose other ranges hold too.

    Args:
        source: where they stand, for messages.
        kept: texts of presets by the names of their files, see `preset_text`, which hold in place of this version's.

    Raises:
        ConfigError: as for read_scene.
    """
    tables = dict(values)
    words = {key: tables.pop(key, "") for key in ("name", "about", "base")}
    for key, word in words.items():
        if not isinstance(word, str):
            raise ConfigError(f"{source}: {key} is {word!r}; a text is needed")
    ranges = _base(words["base"], source, kept or {})
    known_tables = list(dict.fromkeys(name.partition(".")[0] for name in PLACES))
    for table, found in tables.items():
        if table not in known_tables:
            guess = did_you_mean(table, known_tables) or "; known: " + ", ".join(known_tables)
            raise ConfigError(f"{source}: a scene has no table [{table}]{guess}")
        if not isinstance(found, Mapping):
            raise ConfigError(
                f"{source}: {table} is {found!r}; a table is needed: write [{table}] on a line of its own"
            )
        ranges |= {f"{table}.{key}": parse_range(f"{table}.{key}", value, source) for key, value in found.items()}
    # A range that is nothing but the neutral value says that this does not vary, whatever the base has.
    varied = {name: drawn for name, drawn in ranges.items() if not _changes_nothing(name, drawn, source)}
    return SceneRanges(
        words["name"] or "own", words["about"], {name: varied[name] for name in PLACES if name in varied}
    )


def write_scene(scene: SceneRanges) -> str:
    """Return a scene as TOML."""
    return tomli_w.dumps(scene.to_values())


def preset_text(name: str) -> tuple[str, str]:
    """Name of the file in which a preset is kept, and what stands there: all its ranges, as this version has them."""
    return _kept_file(name), write_scene(load_scene(name))


def _kept_file(name: str) -> str:
    return f"{name}.toml"


def _base(name: str, source: str, kept: Mapping[str, str]) -> dict[str, Range]:
    """Ranges of the preset that a scene builds on."""
    if not name:
        return {}
    if (text := kept.get(_kept_file(name))) is not None:
        return dict(read_scene(text, _kept_file(name)).ranges)
    _FILES.check_base(name, source)
    return dict(load_scene(name).ranges)


def _changes_nothing(name: str, drawn: Range, source: str) -> bool:
    return drawn.low == drawn.high == quantity_of(name, source).neutral
