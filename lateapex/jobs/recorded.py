"""Finds recorded episodes in run folders, with all that it takes to drive them again.

opened = open_replay("runs/kidney-lean-0", 12)
task = opened.replay.at(40)                 # see env.replay
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from lateapex.config import read_toml
from lateapex.env.replay import Replay
from lateapex.env.reward_base import Reward, Unpaid
from lateapex.errors import RunError
from lateapex.formats.recipes import FILE as RECIPES
from lateapex.formats.recipes import Noted, read_recipes
from lateapex.jobs.run_folder import SETTINGS, open_run, run_hyperparameters, run_reward
from lateapex.jobs.run_parts import Cars, RunParts
from lateapex.jobs.trial_files import read_trial_notes
from lateapex.storage import Storage
from lateapex.world.vehicle import Vehicle

_STAMP: Final = 14  # digits
_TRAINING: Final = f"logs/{RECIPES}"


class Opened(NamedTuple):
    """An episode that can be driven again."""

    replay: Replay
    """Of all cars of its world; whoever opened it closes the reward of its task."""
    seat: int
    """Which of them is the one that was asked for."""
    noted: Noted
    vehicle: Vehicle
    storage: Storage
    source: str
    """File within the run that tells of it."""
    trace: str | None
    """File within the run that has its steps; None: none has."""


class _Asked(NamedTuple):
    """Which episode of a run."""

    number: int
    folder: str | None
    """Of an evaluation."""
    update: int | None
    """After which training evaluated; None with no folder: an episode of training."""

    def is_of(self, line: Mapping[str, Any]) -> bool:
        """Whether a line of the file is of the same evaluation, or of training as this one."""
        if self.folder is not None:
            return True
        if self.update is None:
            return line.get("phase") == "training"
        return line.get("phase") == "evaluation" and line.get("episode") == self.update + 1

    @property
    def words(self) -> str:
        """What its number counts in."""
        if self.folder is not None:
            return self.folder
        return "training" if self.update is None else f"the evaluation after update {self.update}"


def open_replay(run: str, episode: int, evaluation: str | None = None, *, reward: bool = False) -> Opened:
    """Prepare an episode of a run to be driven again.

    Args:
        run: the run folder.
        episode: its number in the trace, from 0; of an evaluation while training that of the trial.
        evaluation: folder of an evaluation within the run, or its 14 digits; or the update after which training
            evaluated; of training if not given.
        reward: whether the run's reward is called; it begins with an empty memory.

    Raises:
        RunError: no run or no such episode is there, or it was recorded by others or long ago.
    """
    storage = _open(run)
    asked = _asked(storage, episode, evaluation)
    source = _TRAINING if asked.folder is None else f"{asked.folder}/{RECIPES}"
    parts = RunParts(storage)
    mates = _mates(storage, source, asked, parts.config.race.cars)
    cars = Cars(first=mates[0].car, count=len(mates))
    vehicle = parts.vehicle
    paid: Reward = run_reward(storage, first_car=cars.first) if reward else Unpaid()
    if asked.folder is not None:
        notes = read_trial_notes(storage, asked.folder)
        vehicle, track = notes.vehicle, notes.tracks[mates[0].number // notes.trials]
        task = parts.trials(track, paid, cars, vehicle=vehicle, scene=notes.scene)
    else:
        task = parts.task(paid, cars) if asked.update is None else parts.evaluation(paid, cars)
    replay = Replay(task, [mate.recipe for mate in mates], mates[0].phase)
    seat = next(seat for seat, mate in enumerate(mates) if mate.number == episode)
    return Opened(replay, seat, mates[seat], vehicle, storage, source, _trace(storage, asked))


def things_along(run: str, episode: int, evaluation: str | None, steps: int) -> NDArray[Any] | None:
    """What else was in the world of a run's episode, `[T, M]` of THING_DTYPE; arguments as `open_replay`.

    Args:
        run: the run folder.
        episode: its number.
        evaluation: folder of an evaluation.
        steps: T, as the trace has them.

    Returns:
        None where there was nothing.

    Raises:
        RunError: the episode cannot be driven again, or took another course than the trace tells.
    """
    opened = open_replay(run, episode, evaluation)
    if opened.replay.steps != steps:
        raise RunError(
            f"{run}: episode {episode} has {steps} steps in its trace and {opened.replay.steps} in its recipe"
        )
    return opened.replay.things(opened.seat)


def _open(run: str) -> Storage:
    if run.endswith(".csv"):
        raise RunError(
            f"{run} is a trace, which tells neither seed nor state: it cannot be driven again; "
            f"see it with lateapex film {run} --track NAME"
        )
    storage = open_run(run)
    settings = read_toml(storage.read(SETTINGS).decode(errors="replace"), f"{run}/{SETTINGS}")
    if "imported" in settings:
        raise RunError(
            f"{run} was imported: the original's traces tell neither seed nor state, and it cannot be driven again; "
            f"see it with lateapex film {run}"
        )
    return storage


def _asked(storage: Storage, episode: int, evaluation: str | None) -> _Asked:
    if evaluation is None:
        return _Asked(episode, None, None)
    name = PurePosixPath(evaluation).name
    if name.isdecimal() and len(name) < _STAMP:
        return _Asked(episode, None, int(name))
    folder = f"evaluation-{name}" if name.isdecimal() else name
    there = sorted({file.partition("/")[0] for file in storage.list("evaluation-")})
    if folder not in there:
        known = f"there are {', '.join(there)}" if there else "it has none yet"
        raise RunError(f"{storage.url} has no evaluation {evaluation!r}; {known}, and those while training by update")
    return _Asked(episode, folder, None)


def _mates(storage: Storage, source: str, asked: _Asked, each: int) -> list[Noted]:
    """The episodes of all cars of that world, in their order."""
    if not storage.exists(source):
        raise RunError(
            f"{storage.url} has no {source}: its episodes were recorded before they could be driven again; "
            "film shows them, and resuming the run records new ones"
        )
    text, where = storage.read(source).decode(errors="replace"), f"{storage.url}/{source}"
    seen: list[int] = []

    def near(line: Mapping[str, Any]) -> bool:
        number = line.get("number")
        if not isinstance(number, int) or not asked.is_of(line):
            return False
        seen.append(number)
        return abs(number - asked.number) < each

    found = {noted.number: noted for noted in read_recipes(text, where, near)}
    if asked.number not in found:
        there = f"there are {min(seen)} to {max(seen)}" if seen else "there is none"
        raise RunError(f"{storage.url} has no episode {asked.number} of {asked.words}; {there}")
    first = asked.number - found[asked.number].car % each
    mates = [found[number] for number in range(first, first + each) if number in found]
    if [mate.car for mate in mates] != list(range(mates[0].car, mates[0].car + each)):
        raise RunError(f"{where} does not have all {each} cars that raced in episode {asked.number}; bring it back")
    return mates


def _trace(storage: Storage, asked: _Asked) -> str | None:
    if asked.folder is not None:
        name = f"{asked.folder}/evaluation-simtrace/0-iteration.csv"
    elif asked.update is None:
        per_iteration = run_hyperparameters(storage).num_episodes_between_training
        name = f"training-simtrace/{asked.number // per_iteration}-iteration.csv"
    else:
        return None
    return name if storage.exists(name) else None
