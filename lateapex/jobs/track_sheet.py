"""Draws many tracks on one sheet: those that are named, those of a folder, or all that are shipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lateapex.analysis.track_sheet import draw_sheet
from lateapex.errors import ConfigError, TrackError
from lateapex.storage import DiskStorage
from lateapex.world.track import Track, load_track, track_names


def track_sheet(names: Sequence[str], out: Path, cache: Path | None = None, *, both: bool = False) -> list[Track]:
    """Write the sheet.

    Args:
        names: names and paths as `load_track` takes them, and folders of routes (.npy) and designs (.toml); all shipped
            tracks if there are none.
        out: the picture, .png.
        both: whether each track is also drawn the other way round.

    Returns:
        What was drawn, in order.

    Raises:
        ConfigError: `out` is no name of a PNG.
        TrackError: a name is unknown, a file no track, a folder without any.
    """
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out is {out}; a name that ends in .png is needed, such as {out.with_suffix('.png')}")
    tracks = [load_track(name, cache) for word in names or track_names() for name in _within(str(word))]
    drawn = [way for track in tracks for way in ((track, track.reverse()) if both else (track,))]
    DiskStorage(out.parent).write(out.name, draw_sheet(drawn))
    return drawn


def _within(word: str) -> list[str]:
    folder = Path(word)
    if not folder.is_dir():
        return [word]
    found = sorted(str(path) for path in folder.iterdir() if path.suffix in (".npy", ".toml"))
    if not found:
        raise TrackError(f"{word} holds no route (.npy) and no design (.toml); give a folder with tracks in it")
    return found
