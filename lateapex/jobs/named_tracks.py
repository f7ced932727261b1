"""Tracks as a racer names them for a job."""

from __future__ import annotations

from lateapex.errors import TrackError
from lateapex.jobs.run_folder import holds_run, open_run, read_tracks
from lateapex.world.track import Track, load_track
from lateapex.world.track_list import split_tracks


def load_tracks(text: str) -> list[Track]:
    """Load the tracks of a text such as "oval,my/route.npy@reversed"; a run folder stands for the tracks of that run.

    Raises:
        TrackError: a name or file is no track, or one is there twice.
        RunError: the tracks of a run are damaged.
    """
    items = split_tracks(text)
    for place, item in enumerate(items):
        if item in items[:place]:
            raise TrackError(f"track {item!r} is there twice in {text!r}; name each once")
    found = [read_tracks(open_run(item)) if holds_run(item) else [load_track(item)] for item in items]
    return [track for tracks in found for track in tracks]
