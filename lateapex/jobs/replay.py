"""Drives a recorded episode again, and says whether all is as it was: every digit of the motion, and what was seen.

What a run's folder says is enough; nothing of a model is needed. `docs/replay.md` says what else a replay is good for.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pydantic import Field

from lateapex.analysis.views import ViewName
from lateapex.config import Config
from lateapex.errors import ConfigError, RunError
from lateapex.formats.simtrace import read_simtrace, write_rows
from lateapex.formats.trace import HEADER
from lateapex.jobs.film import draw_film, film_suffix
from lateapex.jobs.recorded import Opened, open_replay
from lateapex.records import EpisodeRecord, Recipe
from lateapex.storage import DiskStorage

_TRACE: Final = ".csv"


class ReplayConfig(Config):
    """Which episode is driven again."""

    run: str
    """The run folder."""
    episode: int = Field(ge=0)
    """Its number in the trace, from 0; of an evaluation while training that of the trial."""
    evaluation: str | None = None
    """Folder of an evaluation within the run, or its 14 digits; or the update after which training evaluated."""
    reward: bool = False
    """Call the reward too; it begins with an empty memory."""
    view: ViewName = "chase"
    """What fills a film's picture."""
    out: str | None = None
    """File to write: .csv, the trace, or .mp4 or .gif, a film."""


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """What came of driving an episode again."""

    episode: int
    source: str
    """The file that tells of it."""
    track: str
    car: int
    steps: int
    seconds: float
    """Of the drive."""
    status: str
    progress: float
    """Percent."""
    digest: str
    """Of the motion, as it was found now."""
    same_motion: bool
    """Whether it is that of the record."""
    same_senses: bool
    """Whether the sensors gave the same at the end."""
    same_trace: bool | None
    """Whether the lines of the trace came out the same; None: there is no trace of it."""
    same_rewards: bool | None
    """None: nobody asked."""
    difference: str | None
    """Where the trace first differs."""
    out: str | None
    """File that was written."""

    @property
    def same(self) -> bool:
        """Whether all that was looked at is as it was."""
        return self.same_motion and self.same_senses and self.same_trace is not False and self.same_rewards is not False


class _Traced(NamedTuple):
    """The episode in a trace, and what becomes of it."""

    episode: EpisodeRecord
    """As it was driven now; rewards, where none were computed, and wall clock are those of the trace."""
    same: bool | None
    difference: str | None


def replay(config: ReplayConfig) -> ReplayResult:
    """Drive the episode again, compare, and write what is asked for.

    Raises:
        RunError: no run or no such episode is there, or it was recorded by others or long ago.
        ConfigError: a file of a kind that is not known is to be written.
    """
    suffix = _suffix(config.out)
    opened = open_replay(config.run, config.episode, config.evaluation, reward=config.reward)
    with closing(opened.replay.task.reward):
        found = opened.replay.run()[opened.seat]
    assert found.recipe is not None
    was, now = opened.noted.recipe, found.recipe
    traced = _compared(opened, found, config.reward)
    if config.out:
        _write(config.out, suffix, opened, traced.episode, config.view)
    return ReplayResult(
        episode=opened.noted.number,
        source=f"{opened.storage.url}/{opened.source}",
        track=found.track,
        car=found.car,
        steps=len(found.steps),
        seconds=found.lap_time,
        status=found.status,
        progress=found.progress,
        digest=now.digest,
        same_motion=now.digest == was.digest,
        same_senses=now.seen == was.seen,
        same_trace=traced.same,
        same_rewards=_same_rewards(was, now) if config.reward else None,
        difference=traced.difference,
        out=config.out,
    )


def _same_rewards(was: Recipe, now: Recipe) -> bool:
    return was.paid == now.paid


def _compared(opened: Opened, found: EpisodeRecord, paid: bool) -> _Traced:
    """Compare with the trace, line by line."""
    if opened.trace is None:
        return _Traced(found, None, None)
    number, source = opened.noted.number, f"{opened.storage.url}/{opened.trace}"
    head, *lines = opened.storage.read(opened.trace).decode(errors="replace").splitlines(keepends=True)
    lines = [line for line in lines if line.partition(",")[0] == str(number)]
    if not lines:
        raise RunError(f"{source} has no episode {number}; bring the file back")
    (was,) = read_simtrace(head + "".join(lines), source)
    steps, both = found.steps.copy(), min(len(found.steps), len(was.steps))
    taken = ("wall_clock",) if paid else ("wall_clock", "reward")
    for name in taken:
        steps[name][:both] = was.steps[name][:both]
    episode = replace(found, steps=steps)
    again = write_rows(number, episode).splitlines(keepends=True)
    return _Traced(episode, again == lines, _difference(lines, again))


def _difference(was: list[str], now: list[str]) -> str | None:
    """Say where two traces first differ."""
    for step, (old, new) in enumerate(zip(was, now, strict=False), 1):
        for name, one, two in zip(HEADER.split(","), old.strip().split(","), new.strip().split(","), strict=False):
            if one != two:
                return f"{name} at step {step} is {two}, was {one}"
    return None if len(was) == len(now) else f"it has {len(now)} steps, had {len(was)}"


def _suffix(out: str | None) -> str | None:
    if out is None:
        return None
    if PurePosixPath(out).suffix.lower() == _TRACE:
        return _TRACE
    try:
        return film_suffix(out)
    except ConfigError as error:
        raise ConfigError(f"{error}; or .csv for the trace") from None


def _write(out: str, suffix: str | None, opened: Opened, episode: EpisodeRecord, view: ViewName) -> None:
    if suffix == _TRACE:
        data = f"{HEADER}\n{write_rows(opened.noted.number, episode)}".encode()
    else:
        task = opened.replay.task
        track = task.tracks[int(task.simulator.cars["track"][opened.seat])]
        title, colour = f"episode {opened.noted.number}", task.colour
        things = opened.replay.things(opened.seat)
        data = draw_film(
            track, episode, view, title, vehicle=opened.vehicle, colour=colour, suffix=suffix, things=things
        ).data
    DiskStorage(Path(out).parent).write(Path(out).name, data)
