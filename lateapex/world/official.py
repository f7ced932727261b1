"""Which routes the DeepRacer community has, what is known of each file, and where fetched ones are kept.

The routes themselves do not come with the package; `jobs.tracks` fetches them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class OfficialRoute:
    """What the file of an official route must be."""

    name: str
    """World name, spelled as officially, errors and capitals included."""
    rows: int
    """Rows of its array; on a loop the last repeats the first."""
    length: float
    """m, as `Track.length` measures it"""
    sha256: str | None
    """Of the file's bytes, 64 hexadecimal digits; None: not known."""


@cache
def official_routes() -> Mapping[str, OfficialRoute]:
    """All official routes by name, sorted by it."""
    text = (resources.files("lateapex") / "data" / "tracks" / "registry.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    routes = [
        OfficialRoute(row["name"], int(row["rows"]), float(row["length_m"]), row["sha256"] or None) for row in rows
    ]
    return MappingProxyType({route.name: route for route in sorted(routes, key=lambda route: route.name.lower())})


def default_cache() -> Path:
    """Folder of fetched routes: `lateapex/tracks` in the user's cache folder of this platform."""
    # A small import, but one that a run on a shipped track does not need.
    from platformdirs import user_cache_path

    return user_cache_path("lateapex", appauthor=False) / "tracks"
