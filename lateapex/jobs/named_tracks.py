"""Tracks as a racer names them for a job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lateapex.errors import TrackError
from lateapex.jobs.run_folder import holds_run, open_run, read_tracks
from lateapex.world.official import official_routes
from lateapex.world.track import REVERSED, Track, is_path, load_track, track_names
from lateapex.world.track_list import split_tracks, track_label


def load_tracks(text: str) -> list[Track]:
    """Load the tracks of a text such as "oval,my/route.npy@reversed".

    A run folder stands for the tracks of that run, any other folder for the route files (.npy) in it, by their names.

    Raises:
        TrackError: a name or file is no track, a folder has none, or one is there twice.
        RunError: the tracks of a run are damaged.
    """
    items = split_tracks(text)
    for place, item in enumerate(items):
        if item in items[:place]:
            raise TrackError(f"track {item!r} is there twice in {text!r}; name each once")
    return [track for item in items for track in _tracks_of(item)]


def both_ways(tracks: Sequence[Track]) -> list[Track]:
    """Each track, followed by the same driven the other way; what is there both ways already is not repeated."""
    found: dict[str, Track] = {}
    for track in (each for one in tracks for each in (one, one.reverse())):
        found.setdefault(track_label(track), track)
    return list(found.values())


def _tracks_of(item: str) -> list[Track]:
    """The tracks that one item stands for."""
    if holds_run(item):
        return read_tracks(open_run(item))
    plain = item.removesuffix(REVERSED)
    folder = _folder(plain)
    if folder is None:
        return [load_track(item)]
    files = sorted(folder.glob("*.npy"), key=lambda file: file.name.lower())
    if not files:
        raise TrackError(
            f"no route file (.npy) lies in {plain}; give a folder that has some, or a track's name or path"
        )
    return [load_track(f"{file}{item[len(plain) :]}") for file in files]


def _folder(item: str) -> Path | None:
    if not item or (not is_path(item) and item in (*track_names(), *official_routes())):
        return None  # a name wins over a folder that happens to be called the same
    try:
        path = Path(item).expanduser()
        return path if path.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long, no such home folder, a zero byte
        return None
