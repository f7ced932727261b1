"""The tracks of a run as files: a route for each, and beside them, in run.toml, what a route does not say."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np

from lateapex.errors import RunError
from lateapex.storage import Storage
from lateapex.world.track import Track, track_from_route

TRACK: Final = "track.npy"
"""Of a run on one track; several are `tracks/<place>-<name>.npy`."""


def track_notes(tracks: Sequence[Track]) -> list[dict[str, Any]]:
    """What the files of tracks do not say of them, as plain values."""
    return [{"name": track.name, "reversed": track.reversed, "lines": track.lines} for track in tracks]


def route_files(tracks: Sequence[Track]) -> dict[str, bytes]:
    """The files of tracks by name: routes in driving order, as `track_from_route` takes them."""
    names = _file_names([track.name for track in tracks])
    return {name: _route_bytes(track) for name, track in zip(names, tracks, strict=True)}


def track_files(settings: Mapping[str, Any]) -> list[str]:
    """Names of the files that hold a run's tracks.

    Args:
        settings: all that run.toml says.

    Raises:
        RunError: it does not say which tracks there are.
    """
    return _file_names([str(note["name"]) for note in _notes(settings)])


def tracks_from(storage: Storage, settings: Mapping[str, Any], folder: str = "") -> list[Track]:
    """Read the tracks of a run, each in the direction in which it was driven; arguments and errors as `track_files`.

    Args:
        storage: the run.
        settings: what tells of them.
        folder: within the run, with a slash at its end, where their files are.

    Raises:
        RunError: a file is missing or damaged.
        TrackError: it holds no track.
    """
    notes = _notes(settings)
    return [_read(storage, folder + name, note) for name, note in zip(track_files(settings), notes, strict=True)]


def _file_names(names: Sequence[str]) -> list[str]:
    return [TRACK] if len(names) == 1 else [f"tracks/{place}-{name}.npy" for place, name in enumerate(names)]


def _notes(settings: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    # Runs that were begun before there were several tracks have a name alone.
    notes = settings.get("tracks", [{"name": settings.get("track_name")}])
    if isinstance(notes, list) and notes and all(isinstance(note, dict) and "name" in note for note in notes):
        return notes
    raise RunError(f"run.toml does not say which tracks the run has: tracks is {notes!r}; bring the file back")


def _read(storage: Storage, name: str, note: Mapping[str, Any]) -> Track:
    data = storage.read(name)
    try:
        read = np.lib.format.read_array
        route = read(io.BytesIO(data), allow_pickle=False)  # type: ignore[no-untyped-call] # typed since NumPy 2.4
    except Exception as error:  # a damaged header makes NumPy raise whatever its parser meets
        reason = " ".join(str(error).split())
        raise RunError(f"{storage.url}/{name} is damaged: {reason}; bring the file back or start a new run") from None
    track = track_from_route(route, str(note["name"]))
    lines: Literal["inside", "outside"] = "outside" if note.get("lines", track.lines) == "outside" else "inside"
    return replace(track, reversed=note.get("reversed") is True, lines=lines)


def _route_bytes(track: Track) -> bytes:
    route = np.concatenate([track.center, track.inner, track.outer], axis=1)
    if track.closed:
        route = np.concatenate([route, route[:1]])
    buffer = io.BytesIO()
    np.save(buffer, route)
    return buffer.getvalue()
