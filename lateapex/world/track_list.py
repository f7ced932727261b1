"""Several tracks in one text, such as "oval,kidney@reversed"; their names as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lateapex.world.track import REVERSED, Track, is_path


def split_tracks(text: str, folder: Path | None = None) -> list[str]:
    """Split a text at its commas into names and paths of tracks, in order.

    A comma within the path of a file or folder that exists does not count; of several ways to read one the longest
    path is taken. Blanks around an item are dropped. Paths are relative to `folder`, the present one if not given.
    """
    parts = text.split(",")
    items: list[str] = []
    while parts:
        count = next((n for n in range(len(parts), 1, -1) if _exists(",".join(parts[:n]).strip(), folder)), 1)
        items.append(",".join(parts[:count]).strip())
        parts = parts[count:]
    return items


def names_file(item: str) -> bool:
    """Whether an item is the path of a track, not a name."""
    return is_path(item.removesuffix(REVERSED))


def track_label(track: Track) -> str:
    """Name of a track with its direction, as `load_track` takes it."""
    return track.name + (REVERSED if track.reversed else "")


def labels(tracks: Sequence[Track]) -> str:
    """The labels of tracks in one text."""
    return ",".join(track_label(track) for track in tracks)


def _exists(item: str, folder: Path | None) -> bool:
    try:
        return ((folder or Path()) / Path(item.removesuffix(REVERSED)).expanduser()).exists()
    except (OSError, RuntimeError, ValueError):  # too long, no such home folder, a zero byte
        return False
