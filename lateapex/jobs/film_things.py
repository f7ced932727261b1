"""What else was in the world of a recorded drive, for films of it; and where that cannot be told, why.

A trace has the car's own places and nothing else. What stood or drove beside it comes from driving the episode again,
or, where things stood in places that the race's settings tell, from those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.config import parse, read_toml
from lateapex.env.race_config import RaceConfig
from lateapex.env.racing import RacingTask
from lateapex.env.replay import Replay
from lateapex.env.reward_base import Unpaid
from lateapex.errors import LateapexError, RunError
from lateapex.formats.job_yaml import read_parameters
from lateapex.formats.recipes import read_recipes
from lateapex.formats.simtrace import TracedEpisode
from lateapex.jobs.import_layout import Role, layout_of, stamp_of
from lateapex.jobs.import_run import UNKNOWN
from lateapex.jobs.race_folder import RESULTS, held, reopen, terms_of
from lateapex.jobs.race_folder import SETTINGS as RACE
from lateapex.jobs.race_heats import shared_task
from lateapex.jobs.race_settings import race_of_parameters
from lateapex.jobs.recorded import things_along
from lateapex.jobs.run_folder import SETTINGS
from lateapex.records import STATUSES
from lateapex.sim.traffic import NOTHING
from lateapex.storage import Storage, is_far, open_storage
from lateapex.world.track import Track

_OWN: Final = re.compile(r"(training-simtrace|(?P<evaluation>[^/]+)/evaluation-simtrace)/\d+-iteration\.csv")
"""Where a run of ours has its traces."""
_EVALUATION: Final = "evaluation-simtrace/"
_TRAINING: Final = "training-simtrace/"
_LEVELS: Final = 5  # folders up from a trace to its model, at most: sim-trace/evaluation/<job>/evaluation-simtrace/
_PARAMETERS: Final = ("training_params", "eval_params", "evaluation_params")  # beginnings of their files' names
_ROLES: Final[tuple[Role, Role]] = ("training parameters", "evaluation parameters")
_LOST: Final = "a trace does not tell where they were"


class Around(NamedTuple):
    """What a film of a drive can show beside the car."""

    things: NDArray[Any] | None = None
    """`[T, M]` of THING_DTYPE; None: nothing."""
    not_shown: str | None = None
    """What else was there, or may have been, and why it is not among them; None: that is all."""


def home_of(trace: str) -> tuple[Storage, str]:
    """Find the run or model that a trace file belongs to.

    Returns:
        The nearest folder above it with run.toml, race.toml or a job's parameters, or else its own; and its name there.
    """
    folders = list(_above(trace))
    url, name = next(((url, name) for url, name in folders if _tells(open_storage(url))), folders[0])
    return open_storage(url), name


def things_around(home: Storage, source: str, episode: TracedEpisode, track: Track) -> Around:
    """Say what else was in the world of a recorded episode.

    Args:
        home: folder of a run, of a race, or of another system's model.
        source: name of the trace there.
        episode: of that trace.
        track: that was driven, in its direction.

    Raises:
        ConfigError: run.toml is damaged.
    """
    if home.exists(RACE):
        try:
            return _of_race(home, source, episode)
        except RunError as error:
            return Around(None, f"the other cars of its world, if there were any: {error}")
    settings: Mapping[str, Any] = {}
    if home.exists(SETTINGS):
        settings = read_toml(home.read(SETTINGS).decode(errors="replace"), f"{home.url}/{SETTINGS}")
    own = _OWN.fullmatch(source)
    if not settings or "imported" in settings or not own:
        return _by_parameters(home, source, settings.get("imported", {}), episode, track)
    race = parse(RaceConfig, settings.get("race", {}), f"{home.url}/{SETTINGS}")
    if not race.things and race.cars == 1:
        return Around()
    try:
        return Around(things_along(home.url, episode.number, own["evaluation"], len(episode.steps)))
    except RunError as error:
        evenly = not race.randomize_obstacle_locations and race.min_distance_unit == "metres"
        return _standing(race, track, episode, str(error), evenly=evenly)


def _of_race(home: Storage, source: str, episode: TracedEpisode) -> Around:
    """The cars that one of a race met in its heat, driven again."""
    for match in held(home)["matches"]:
        for place, heat in enumerate(match["heats"]):
            numbers = [drive["episode"] for drive in heat["drives"] if drive["trace"] == source]
            if episode.number in numbers:
                return Around(_met(home, source, episode, match["entries"], place, numbers) if numbers[1:] else None)
    return Around(None, f"whatever else was on the road: {home.url}/{RESULTS} tells of no such drive")


def _met(
    home: Storage, source: str, episode: TracedEpisode, names: Sequence[str], heat: int, numbers: Sequence[int]
) -> NDArray[Any] | None:
    """What `things_along` gives, of a heat of some entries, in which the drives of the grid have these numbers."""
    recipes, race = f"{source.removesuffix('.csv')}.jsonl", reopen(home)
    lines = read_recipes(home.read(recipes).decode(errors="replace"), f"{home.url}/{recipes}")
    noted = {line.number: line.recipe for line in lines}
    by_name = {entry.name: entry for entry in race.entries}
    task = shared_task([by_name[name] for name in names], terms_of(race.config, race.track), heat, 1)
    replay = Replay(task, [noted[number] for number in numbers])
    if replay.steps != len(episode.steps):
        raise RunError(f"{home.url}: episode {episode.number} has other steps in its trace than in its recipe")
    return replay.things(numbers.index(episode.number))


def _above(trace: str) -> Iterator[tuple[str, str]]:
    """Each folder above a file, from its own on, and the file's name there."""
    url = trace if is_far(trace) else str(Path(trace).absolute())
    name = ""
    for _ in range(_LEVELS):
        url, slash, last = url.rpartition("/")
        name = f"{last}/{name}" if name else last
        if url.endswith("/") or not slash:  # the scheme's own slashes
            return
        yield url or "/", name


def _tells(folder: Storage) -> bool:
    return folder.exists(SETTINGS) or folder.exists(RACE) or bool(_parameter_files(folder))


def _parameter_files(folder: Storage) -> dict[Role, list[str]]:
    """Names of a job's parameters right in a folder, of training and of evaluation; empty if there are none."""
    names = [name for begin in _PARAMETERS for name in folder.list(begin) if "/" not in name]
    layout = layout_of(names)
    return {role: files for role in _ROLES if (files := [file.name for file in layout.of(role)])}


def _by_parameters(
    home: Storage, source: str, imported: Mapping[str, Any], episode: TracedEpisode, track: Track
) -> Around:
    """Go by the parameters of the job, which tell what race it was; listed places are the only ones that they tell."""
    files = _parameter_files(home)
    wanted = [role for role, place in zip(_ROLES, (_TRAINING, _EVALUATION), strict=True) if place in source]
    texts = {
        name: home.read(name).decode(errors="replace") for role in wanted or _ROLES for name in files.get(role, ())
    }
    stamp = stamp_of(source)
    texts = {name: text for name, text in texts.items() if stamp and stamp in name + text} or texts
    try:
        found = [race_of_parameters(read_parameters(text, name), name) for name, text in texts.items()]
    except LateapexError as error:
        return Around(None, f"whatever else was on the road, since the race is not understood: {error}")
    if found and all(race == found[0] for race in found):
        race = parse(RaceConfig, found[0], next(iter(texts)))
        return _standing(race, track, episode, _LOST)
    if found:
        return Around(None, f"whatever else was on the road: {' and '.join(texts)} tell of different races")
    race_type = imported.get("race_type", UNKNOWN) if _EVALUATION not in source else UNKNOWN
    if race_type == "TIME_TRIAL":
        return Around()
    if race_type != UNKNOWN:
        return Around(None, f"whatever else was on the road of {race_type}: {_LOST}, and no parameters of the job do")
    crashed = STATUSES.index("crashed") in episode.steps["status"]
    what = "what the car crashed into" if crashed else "whatever else was on the road, if anything was"
    return Around(None, f"{what}: a trace does not tell it, nor do {SETTINGS} or the parameters of its job")


def _standing(race: RaceConfig, track: Track, episode: TracedEpisode, reason: str, *, evenly: bool = False) -> Around:
    """What stood in places that the settings of a race tell.

    Args:
        reason: why others are not shown.
        evenly: whether places that are not listed are those of evenly spaced ones.
    """
    if race.race_type == "OBJECT_AVOIDANCE" and race.things and (race.object_positions or evenly):
        task = RacingTask(track, 1, reward=Unpaid(), race=race, pictures=False)
        task.begin(np.zeros(1, np.int64))
        assert task.simulator.traffic is not None
        things = task.simulator.traffic.things[0].copy()
        things["kind"][0] = NOTHING  # the car itself
        return Around(np.broadcast_to(things, (len(episode.steps), len(things))))
    if race.things or race.cars > 1:
        return Around(None, f"{_words(race)}: {reason}")
    return Around()


def _words(race: RaceConfig) -> str:
    if race.cars > 1:
        return "the other cars of its world"
    what = "bot car" if race.has_bots else "obstacle"
    return f"{race.things} {what}{'' if race.things == 1 else 's'}"
