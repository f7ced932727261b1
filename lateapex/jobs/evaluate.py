"""Evaluates a model of a run: greedy laps against the clock, their traces, and pictures of them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from lateapex.analysis.pictures import draw_laps
from lateapex.analysis.views import ViewName
from lateapex.config import Config
from lateapex.env.race_config import RaceConfig
from lateapex.env.races import worlds_of
from lateapex.env.racing import RacingTask
from lateapex.env.reward_base import Reward
from lateapex.env.starts import RoundRobinStarts, StartPoses
from lateapex.formats.metrics import evaluation_entry, write_metrics
from lateapex.formats.simtrace import write_simtrace
from lateapex.jobs.film import best_of, draw_film
from lateapex.jobs.job_parameters import evaluation_files
from lateapex.jobs.job_reward import watched
from lateapex.jobs.named_tracks import both_ways, load_tracks
from lateapex.jobs.recorded import things_along
from lateapex.jobs.run_folder import open_trained, run_reward
from lateapex.jobs.run_parts import Cars, RunParts, check_actions
from lateapex.jobs.scenes import SceneSetting, kept_scene, varies_light
from lateapex.jobs.trial_files import trial_files
from lateapex.models.drive import drive, patience
from lateapex.models.policy import Policy
from lateapex.records import EpisodeRecord
from lateapex.storage import Storage
from lateapex.training.checkpoint import load_state, load_version
from lateapex.world.scene_files import NONE
from lateapex.world.track import Track
from lateapex.world.track_families import families_of
from lateapex.world.track_list import track_label
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import load_vehicle

FilmedTrials: TypeAlias = Literal["best", "all", "none"]
_STREAM: Final = 2**62  # added to the seed, so that nothing is drawn as in training
_FILMED: Final = 3  # tracks that are filmed unasked


class EvaluateConfig(Config):
    """Settings of an evaluation."""

    run: str
    """The run folder."""
    track: str | None = None
    """Names or paths of other tracks than the run's, or folders of route files."""
    both_ways: bool = False
    """Drive each track the other way as well."""
    vehicle: str | None = None
    """Name of another vehicle than the run's, or path of a file."""
    scene: SceneSetting = NONE
    """What varies from trial to trial, whatever the run's scene: as the setting of training."""
    trials: int = Field(default=5, ge=1, le=10_000)
    """Laps of each track, each with its own start: spread evenly round the track, on the centre line, from rest; on a
    road with two ends all begin at its beginning, since a lap is all of it."""
    seed: int = Field(default=0, ge=0, lt=2**62)
    """Of what is drawn: where boxes and bots are, noise. Training draws none of these."""
    checkpoint: Literal["best", "last"] = "best"
    film: FilmedTrials | None = None
    """Which trials of each track are filmed; the best of up to three tracks, and none of more, if not given."""
    view: ViewName = "chase"
    """What fills the films' pictures."""
    sandbox: bool | None = None
    """Run the reward in a process of its own; as the run did if not given."""
    threads: int = Field(default=0, ge=0)
    """Threads that draw pictures; 0: one for each core."""


@dataclass(frozen=True, kw_only=True)
class TrackTrials:
    """The trials of one track."""

    track: str
    """Name, and "@reversed" where it was driven the other way."""
    family: int
    """Number of its family among all tracks of the evaluation; see `world.track_families`."""
    trained: bool
    """Whether training knew a track of its family."""
    starts: list[float]
    """Share of the lap at which each trial began."""
    episodes: list[EpisodeRecord]
    laps_picture: str
    """Path of the picture of the driven lines."""
    film_of: dict[int, str]
    """Path of the film of each filmed trial, by its place in `episodes`."""

    @property
    def films(self) -> list[str]:
        """Paths of all films."""
        return list(self.film_of.values())

    @property
    def lap_animation(self) -> str | None:
        """Path of the film of the best trial."""
        return self.film_of.get(best_of(self.episodes))

    @property
    def laps_completed(self) -> int:
        """Trials that were a whole lap without leaving the track."""
        return len(self.lap_times)

    @property
    def lap_times(self) -> list[float]:
        """Seconds of each complete lap."""
        return [episode.lap_time for episode in self.episodes if episode.status == "lap_complete"]


@dataclass(frozen=True, kw_only=True)
class EvaluateResult:
    """What an evaluation found."""

    run: str
    model: str
    """Version of the model that drove."""
    tracks: list[TrackTrials]
    """One for each track."""
    train_seconds: float
    """Seconds of training behind the run."""
    assisted: tuple[str, ...]
    """What helped training beside the reward and the sensors."""
    scene: str
    """Name of the scene in which it drove; "none": the plain world."""
    folder: str
    """Folder of this evaluation within the run."""

    @property
    def track(self) -> str:
        """All tracks, with commas between."""
        return ",".join(part.track for part in self.tracks)

    @property
    def episodes(self) -> list[EpisodeRecord]:
        """Those of all tracks."""
        return [episode for part in self.tracks for episode in part.episodes]

    @property
    def films(self) -> list[str]:
        """Paths of the films of all tracks."""
        return [path for part in self.tracks for path in part.films]

    @property
    def laps_completed(self) -> int:
        """Trials that were a whole lap without leaving the track."""
        return len(self.lap_times)

    @property
    def lap_times(self) -> list[float]:
        """Seconds of each complete lap."""
        return [seconds for part in self.tracks for seconds in part.lap_times]

    @property
    def unseen(self) -> list[TrackTrials]:
        """The tracks of which training knew none of the family."""
        return [part for part in self.tracks if not part.trained]

    @property
    def laps_picture(self) -> str:
        """Path of the picture of the driven lines, on the first track."""
        return self.tracks[0].laps_picture

    @property
    def lap_animation(self) -> str | None:
        """Path of the film of the best trial on the first track."""
        return self.tracks[0].lap_animation


def evaluate(
    config: EvaluateConfig,
    now: Callable[[], datetime.datetime] = datetime.datetime.now,
    tell: Callable[[str], None] | None = None,
) -> EvaluateResult:
    """Drive the trials and write `evaluation-<14 digits>/` and its metrics into the run folder.

    Args:
        tell: gets a line, from another thread, where a call of the reward hangs.

    Raises:
        RunError: no run, or no model yet, is there.
        TrackError: the track is unknown or no track.
        ConfigError: the scene or the vehicle is unknown, or wrong.
    """
    storage = open_trained(config.run)
    reward = run_reward(storage, sandbox=config.sandbox)
    with watched(reward, tell):
        return _evaluate(config, storage, reward, now)


def _evaluate(
    config: EvaluateConfig, storage: Storage, reward: Reward, now: Callable[[], datetime.datetime]
) -> EvaluateResult:
    parts = RunParts(storage)
    tracks = load_tracks(config.track) if config.track else parts.tracks
    tracks = both_ways(tracks) if config.both_ways else tracks
    families = families_of([*tracks, *parts.tracks])
    vehicle = load_vehicle(config.vehicle) if config.vehicle else parts.vehicle
    kept, race = kept_scene(config.scene), parts.config.race
    worlds_of(race, config.trials)
    name, policy = load_version(storage, config.checkpoint)
    check_actions(config.run, policy, parts.metadata)
    state = load_state(storage)
    torch.set_num_threads(1)  # a lap's pictures are too few to share, and results then do not depend on the machine
    colour = policy.blueprint.colour
    which = config.film or ("best" if len(tracks) <= _FILMED else "none")
    cars = Cars(first=0, count=config.trials)
    asked: dict[str, Any] = {"seed": config.seed + _STREAM, "vehicle": vehicle, "threads": config.threads}
    tasks = (parts.trials(track, reward, cars, scene=kept.scene, **asked) for track in tracks)
    driven = [_drive(config, policy, task) for task in tasks]
    episodes = [episode for part in driven for episode in part]
    folder = _free_folder(storage, now())
    noted = config.model_copy(update={"scene": kept.values})
    files = {
        **trial_files(noted, tracks, vehicle, name, episodes, kept.code),
        "reward_prints.log": reward.prints.take().encode(errors="replace") if reward.prints is not None else b"",
    }
    _write(storage, folder, files, episodes)
    light = varies_light(kept.scene)
    for file, text in evaluation_files(tracks, folder, config.trials, config.checkpoint, race, light=light).items():
        storage.write(file, text.encode())
    suffixes = [""] if len(tracks) == 1 else [f"-{place}-{track.name}" for place, track in enumerate(tracks)]
    found: list[TrackTrials] = []
    for place, (track, part, suffix) in enumerate(zip(tracks, driven, suffixes, strict=True)):
        picture = f"{folder}/laps{suffix}.png"
        storage.write(picture, draw_laps(track, part, f"{track.name}  {name.removesuffix('.pt')}"))
        things = _things(config, race, folder, place * config.trials, part)
        stem = f"{folder}/lap{suffix}"
        films = _film(storage, track, part, config, stem, which, vehicle=vehicle, colour=colour, things=things)
        trials = TrackTrials(
            track=track_label(track),
            family=families[place],
            trained=families[place] in families[len(tracks) :],
            starts=_starts(track, config.trials).fraction.tolist(),
            episodes=part,
            laps_picture=f"{storage.url}/{picture}",
            film_of=films,
        )
        found.append(trials)
    return EvaluateResult(
        run=config.run,
        model=name,
        tracks=found,
        train_seconds=float(state["progress"]["train_seconds"]) if state else 0.0,
        assisted=policy.blueprint.assisted,
        scene=kept.scene.name,
        folder=folder,
    )


def _write(storage: Storage, folder: str, files: Mapping[str, bytes], episodes: list[EpisodeRecord]) -> None:
    """Write traces and metrics of all trials, and those of the other files that hold anything."""
    storage.write(f"{folder}/evaluation-simtrace/0-iteration.csv", write_simtrace(enumerate(episodes)).encode())
    for file, data in files.items():
        if data:
            storage.write(f"{folder}/{file}", data)
    entries = [evaluation_entry(episode, trial) for trial, episode in enumerate(episodes, 1)]
    storage.write(f"metrics/evaluation/{folder}.json", write_metrics(entries, None).encode())


def _drive(config: EvaluateConfig, policy: Policy, task: RacingTask) -> list[EpisodeRecord]:
    """Drive the trials of one track."""
    task.max_steps = patience(task.lengths)
    return drive(policy.driver(config.trials), task, _starts(task.tracks[0], config.trials))


def _starts(track: Track, trials: int) -> StartPoses:
    cars = np.arange(trials)
    return RoundRobinStarts(spread=1.0 / trials if track.closed else 0.0).draw(0, cars, np.zeros_like(cars))


def _things(
    config: EvaluateConfig, race: RaceConfig, folder: str, first: int, episodes: list[EpisodeRecord]
) -> Callable[[int], NDArray[Any] | None]:
    """What finds out what else was on the road in one of these trials, whose first has the number `first`."""

    def things(trial: int) -> NDArray[Any] | None:
        if not race.things and race.cars == 1:
            return None
        return things_along(config.run, first + trial, folder, len(episodes[trial].steps))

    return things


def _film(
    storage: Storage,
    track: Track,
    episodes: list[EpisodeRecord],
    config: EvaluateConfig,
    stem: str,
    film: FilmedTrials,
    *,
    vehicle: Vehicle,
    colour: bool,
    things: Callable[[int], NDArray[Any] | None],
) -> dict[int, str]:
    """Write the films that are asked for; of the best trial alone it is `stem`, else `stem`-<trial>."""
    which = {"best": [best_of(episodes)], "all": range(len(episodes)), "none": []}[film]
    films = {}
    for place in which:
        title = f"trial {place + 1} of {len(episodes)}"
        made = draw_film(
            track, episodes[place], config.view, title, vehicle=vehicle, colour=colour, things=things(place)
        )
        name = f"{stem}{'' if film == 'best' else f'-{place + 1}'}{made.suffix}"
        storage.write(name, made.data)
        films[place] = f"{storage.url}/{name}"
    return films


def _free_folder(storage: Storage, now: datetime.datetime) -> str:
    """`evaluation-<14 digits>`, a second later for each that is there already."""
    while storage.list(f"evaluation-{now:%Y%m%d%H%M%S}/"):
        now += datetime.timedelta(seconds=1)
    return f"evaluation-{now:%Y%m%d%H%M%S}"
