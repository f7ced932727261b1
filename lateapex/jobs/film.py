"""Films recorded drives: any episode that a run, or a trace file, tells of.

All that a film shows is redrawn from the record: nothing needs to be kept while driving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lateapex.analysis.animation import animate_lap
from lateapex.analysis.film import MAIN, film_lap
from lateapex.analysis.readings import FPS
from lateapex.analysis.video import INSTALL, can_write_mp4, mp4_bytes
from lateapex.analysis.views import ViewName, front_view, named_view
from lateapex.config import Config
from lateapex.errors import ConfigError, RunError, TrackError
from lateapex.formats.simtrace import TracedEpisode, read_simtrace
from lateapex.jobs.film_things import home_of, things_around
from lateapex.jobs.named_tracks import load_tracks
from lateapex.jobs.run_folder import open_run, read_settings, read_tracks, run_vehicle
from lateapex.records import EpisodeRecord
from lateapex.storage import Storage, place_of, written
from lateapex.world.track import Track
from lateapex.world.track_list import track_label
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import load_vehicle

NO_VIDEO: Final = f"films are small GIFs without the video extra; {INSTALL}"

_TRAINING: Final = "training-simtrace/"
_EVALUATION: Final = "evaluation-simtrace/"
_ASTRAY: Final = 1.0  # m from the nearest waypoint; on its own track no car is further away for half of the time
_LONGER: Final = 0.02  # share; older traces round the length


class FilmConfig(Config):
    """Which drive is filmed, and how."""

    run: str
    """The run folder, or a trace file (.csv)."""
    evaluation: str | None = None
    """Name of an evaluation's folder within the run."""
    episode: int | None = Field(default=None, ge=0)
    """Number in the trace, from 0. If not given: the best; of the newest evaluation, or of the last training trace."""
    track: str | None = None
    """Name or path of the track that was driven, where it is not the run's."""
    vehicle: str | None = None
    """Name or path of the vehicle that was driven, where it is not the run's; of a trace file version5 if not given."""
    view: ViewName = "chase"
    """What fills the picture."""
    out: str | None = None
    """File to write, .mp4 or .gif; in the run's videos/ if not given."""


@dataclass(frozen=True, kw_only=True)
class FilmResult:
    """What was filmed."""

    film: str
    """Path of the file."""
    episode: int
    source: str
    """The trace that tells of it."""
    track: str
    seconds: float
    """Of the drive."""
    status: str
    progress: float
    """Percent."""
    not_shown: str | None
    """What else was on the road, or may have been, and why the film does not show it; None: it shows all."""


class FilmFile(NamedTuple):
    """A film in memory."""

    suffix: str
    """".mp4" or ".gif"."""
    data: bytes


class _Found(NamedTuple):
    """An episode, and where it was found."""

    source: str
    stem: str
    """What its film is called."""
    episode: TracedEpisode


def film(config: FilmConfig) -> FilmResult:
    """Draw one recorded drive and write its film.

    Raises:
        RunError: no run or no such evaluation or episode is there.
        FormatError: the trace is broken.
        TrackError: it was driven on another track.
        ConfigError: an MP4 is asked for without the `video` extra, or a file of another kind; the vehicle is unknown.
    """
    suffix = film_suffix(config.out)
    trace_file = config.run.endswith(".csv")
    storage, trace = place_of(config.run) if trace_file else (open_run(config.run), "")
    if trace_file and config.track is None:
        raise ConfigError(f"{config.run} does not tell on which track it was driven; name it with --track")
    tracks = load_tracks(config.track) if config.track else read_tracks(storage)
    colour = not trace_file and bool(read_settings(storage).get("colour", False))
    vehicle = _vehicle(config.vehicle, None if trace_file else storage)
    found = _in_trace(storage, trace, config) if trace_file else _in_run(storage, config)
    track = _track_of(tracks, found)
    record = EpisodeRecord(
        phase="evaluation" if _EVALUATION in found.source else "training",
        track=track.name,
        track_length=found.episode.track_length,
        car=0,
        steps=found.episode.steps,
    )
    title = f"episode {found.episode.number}"
    home, source = home_of(config.run) if trace_file else (storage, found.source)
    around = things_around(home, source, found.episode, track)
    made = draw_film(
        track, record, config.view, title, vehicle=vehicle, colour=colour, suffix=suffix, things=around.things
    )
    inside = f"{'' if trace_file else 'videos/'}{found.stem}{made.suffix}"
    place, name = place_of(config.out) if config.out else (storage, inside)
    place.write(name, made.data)
    return FilmResult(
        film=written(place, name),
        episode=found.episode.number,
        source=written(storage, found.source),
        track=track.name,
        seconds=record.lap_time,
        status=record.status,
        progress=record.progress,
        not_shown=around.not_shown,
    )


def draw_film(
    track: Track,
    episode: EpisodeRecord,
    view: ViewName,
    title: str,
    *,
    vehicle: Vehicle,
    colour: bool = False,
    suffix: str | None = None,
    things: NDArray[Any] | None = None,
) -> FilmFile:
    """Draw a film of a drive: an MP4, or a small GIF where the `video` extra is not installed.

    Args:
        title: which drive it is.
        vehicle: the one that was driven; pictures are those of its camera.
        colour: whether the car's own camera saw colours.
        suffix: the kind that is wanted, whatever is installed.
        things: `[T, M]` of THING_DTYPE, what else was in its world before each step; nothing if not given.

    Raises:
        ConfigError: an MP4 is wanted without the `video` extra.
    """
    front = front_view(track, episode.steps, vehicle=vehicle, colour=colour, things=things)
    if (suffix or (".mp4" if can_write_mp4() else ".gif")) == ".gif":
        return FilmFile(".gif", animate_lap(track, episode, front, things))
    wide, tall = MAIN
    large = named_view(track, episode.steps, view, tall, wide, vehicle=vehicle, things=things)
    pictures = film_lap(track, episode, large, front, title, things)
    return FilmFile(".mp4", mp4_bytes((np.asarray(picture) for picture in pictures), FPS))


def best_of(episodes: Sequence[EpisodeRecord]) -> int:
    """Return the place of the drive that came furthest, the fastest of equals."""
    return min(range(len(episodes)), key=lambda place: _rank(episodes[place]))


def _rank(episode: EpisodeRecord) -> tuple[float, float]:
    return -episode.progress, episode.lap_time


def _vehicle(name: str | None, run: Storage | None) -> Vehicle:
    if name is not None:
        return load_vehicle(name)
    return Vehicle() if run is None else run_vehicle(run)


def film_suffix(out: str | None) -> str | None:
    """Return the kind of film that a file's name asks for, ".mp4" or ".gif"; None where no name is given.

    Raises:
        ConfigError: another kind, or an MP4 without the `video` extra.
    """
    if out is None:
        return None
    suffix = PurePosixPath(out).suffix.lower()
    if suffix not in (".mp4", ".gif"):
        raise ConfigError(f"--out is {out}; a name that ends in .mp4 or .gif is needed")
    if suffix == ".mp4" and not can_write_mp4():
        raise ConfigError(f"MP4 needs the video extra: {INSTALL}; or give a name that ends in .gif")
    return suffix


def _in_run(storage: Storage, config: FilmConfig) -> _Found:
    """Find the episode that is asked for in a run's traces."""
    names = [name for name in storage.list() if name.endswith(".csv")]
    evaluations = sorted({name.partition("/")[0] for name in names if f"/{_EVALUATION}" in name})
    if config.evaluation is not None:
        folder = PurePosixPath(config.evaluation).name
        if folder not in evaluations:
            known = f"there are {', '.join(evaluations)}" if evaluations else "it has none yet"
            raise RunError(f"{storage.url} has no evaluation {config.evaluation!r}; {known}")
    elif config.episode is None and evaluations:
        folder = evaluations[-1]
    else:
        traces = sorted((name for name in names if name.startswith(_TRAINING)), key=_iteration)
        return _choose(storage, traces, config, "training")
    return _choose(storage, [name for name in names if name.startswith(f"{folder}/")], config, folder)


def _in_trace(storage: Storage, name: str, config: FilmConfig) -> _Found:
    return _choose(storage, [name], config, name.removesuffix(".csv"))


def _choose(storage: Storage, traces: Sequence[str], config: FilmConfig, stem: str) -> _Found:
    """Take the episode of that number, or the best of the last trace."""
    for name in reversed(traces):
        episodes = read_simtrace(storage.read(name).decode(errors="replace"), f"{storage.url}/{name}")
        for found in episodes if config.episode is not None else _best(episodes):
            if config.episode in (None, found.number):
                return _Found(name, f"{stem}-episode-{found.number}", found)
    if config.episode is None:
        raise RunError(f"{storage.url} has no recorded episode yet; train it further: lateapex train --resume ...")
    raise RunError(f"{storage.url} has no episode {config.episode} of {stem}; its traces tell which there are")


def _best(episodes: Sequence[TracedEpisode]) -> list[TracedEpisode]:
    records = [
        EpisodeRecord(phase="training", track="", track_length=episode.track_length, car=0, steps=episode.steps)
        for episode in episodes
    ]
    return [episodes[best_of(records)]] if records else []


def _iteration(name: str) -> int:
    number = PurePosixPath(name).name.partition("-")[0]
    return int(number) if number.isdigit() else -1


def _track_of(tracks: Sequence[Track], found: _Found) -> Track:
    """Return the track among these that was driven."""
    for track in tracks:
        if _fits(track, found.episode):
            return track
    names = [f"{track_label(track)} ({track.length:.2f} m)" for track in tracks]
    raise TrackError(
        f"{found.source}: episode {found.episode.number} was driven on a track of {found.episode.track_length:.2f} m "
        f"that is not {' or '.join(names)}; name it with --track"
    )


def _fits(track: Track, episode: TracedEpisode) -> bool:
    """Whether lengths agree, points lie near the waypoints that they tell of, and it began in the waypoints' order."""
    steps, waypoints, nearest = episode.steps, np.asarray(track.waypoints), episode.steps["closest_waypoint"]
    longer = abs(episode.track_length - track.length) > _LONGER * track.length
    if longer or nearest.min() < 0 or nearest.max() >= len(waypoints):
        return False
    away = np.hypot(*(np.column_stack([steps["x"], steps["y"]]) - waypoints[nearest]).T)
    at = min(int(nearest[0]), len(waypoints) - 2)
    ahead = waypoints[at + 1] - waypoints[at]
    along = float(ahead @ [np.cos(steps["yaw"][0]), np.sin(steps["yaw"][0])])
    return along > 0 and float(np.median(away)) < _ASTRAY
