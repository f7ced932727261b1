"""Races as a Gymnasium task: `RacingVectorEnv` for many cars at once, `RacingEnv` for one.

An episode is what it was in the original: the first action is swallowed while the car is held ("prepare", reward 0,
no call of the reward function); from then on the reward of a step, and whether the episode ends with it, are judged
on the pose before the action acts, together with the commanded values; the observation is the picture 1/15 s later.
`quirks="fixed"` mends what is odd in that; `docs/quirks.md` says what.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from lateapex.env.actions import ActionNumbers, actions_of
from lateapex.env.params import Moment, Params
from lateapex.env.privileged import STATE_SENSOR, PrivilegedState
from lateapex.env.race_config import RaceConfig
from lateapex.env.races import Race, worlds_of
from lateapex.env.reward import load_reward
from lateapex.env.reward_base import Reward
from lateapex.env.rules import EPISODE_DTYPE, IN_PROGRESS, PAUSE, PREPARE, Quirks, begin, judge, note
from lateapex.env.scenes import GivenScene, Scenes, scenes_of
from lateapex.env.sensors import Look, Observation, Senses, SensorSettings
from lateapex.env.starts import BEGUN_DTYPE, RandomStarts, StartPoses, Starts, note_begin
from lateapex.env.variations import Variations
from lateapex.errors import ConfigError
from lateapex.formats.model_metadata import ModelMetadata, default_metadata
from lateapex.records import STATUSES, STEP_DTYPE
from lateapex.sim.simulator import Simulator
from lateapex.world.track import Track, load_track
from lateapex.world.vehicle import STEP_SECONDS, Vehicle
from lateapex.world.vehicles import load_vehicle, vehicle_of_version

MAX_STEPS: Final = 100_000
"""Steps after which an episode is cut off, as in the original."""


class RacingTask:
    """N cars and their episodes, without the Gymnasium dress: `begin` episodes of some cars, `advance` all by a step.

    Args:
        track: name, path, Track, or a list of these; car i drives on track i modulo their number.
        num_envs: N.
        reward: name or path of a reward file, or a loaded Reward.
        metadata: the action list and the sensors.
        vehicle: the cars, by name or path too; those that the version of the metadata asks for if not given.
        starts: where episodes start.
        seed: of all randomness in the task.
        threads: that draw; 0: one for each core.
        max_steps: steps after which an episode is cut off.
        height, width: rows and columns of the picture.
        colour: whether pictures are red, green and blue, or grey as the original's network sees them; stereo is grey.
        quirks: "original", or "fixed".
        alternate_direction: each car drives every other episode the other way round, beginning as the track is.
        pictures: False: nothing is drawn, and pictures stay empty; for drivers that know the cars' state.
        race: what else is on the track and what a mishap costs; a time trial with one life if not given. Where several
            cars race each other, they are in worlds of that many, one after the other.
        state: `observations` has the cars' state too, under the name STATE; see `env.privileged`.
        mirror: every other car of each track sees a world where left is right, and steers to the other side of what it
            is told; rewards, rules and records are of the real one.
        scene: what varies from episode to episode: name or path of a scene's file, its ranges, a class of one's own
            (see `env.scenes`), or whatever draws the values; nothing if not given.
        first_car: number of the first car. Cars from it on do what those of these numbers would do in one task of all:
            so a task can be shared out, in parts that begin with whole worlds.
        direct: actions are `[N, 2]` degrees and m/s, whatever actions the metadata has.
    """

    def __init__(
        self,
        track: str | Track | Sequence[str | Track],
        num_envs: int = 1,
        *,
        reward: str | Reward = "quick_laps",
        metadata: ModelMetadata | None = None,
        vehicle: Vehicle | str | None = None,
        starts: Starts | None = None,
        seed: int = 0,
        threads: int = 0,
        max_steps: int = MAX_STEPS,
        height: int = 120,
        width: int = 160,
        colour: bool = False,
        quirks: Quirks = "original",
        alternate_direction: bool = False,
        pictures: bool = True,
        race: RaceConfig | None = None,
        state: bool = False,
        mirror: bool = False,
        scene: GivenScene = None,
        first_car: int = 0,
        direct: bool = False,
    ) -> None:
        self.quirks: Quirks = _checked_quirks(quirks)
        self.tracks = _loaded(track, num_envs)
        self._tracks_given = len(self.tracks)
        if alternate_direction:
            self.tracks += [track.reverse() for track in self.tracks]
        self.metadata = metadata or default_metadata()
        self.actions = ActionNumbers() if direct else actions_of(self.metadata)
        race = race or RaceConfig()
        self._deal_out(race, first_car, num_envs, mirror=mirror)
        seen = SensorSettings(height, width, colour, self.metadata.lidar)
        more = {STATE_SENSOR: PrivilegedState(seen)} if state else {}
        self._senses = Senses(self.metadata.sensors, seen, num_envs, pictures=pictures, more=more, mirror=self.mirrored)
        self.reward = reward if isinstance(reward, Reward) else load_reward(reward)
        self.starts: Starts = starts or RandomStarts()
        self.seed = _checked_seed(seed)
        self.max_steps = max_steps
        self.draws, self.colour = pictures, colour
        self._everyone = np.arange(num_envs)
        self.simulator = Simulator(
            self.tracks,
            self._first_track,
            world=worlds_of(race, num_envs),
            things=race.things,
            vehicle=_vehicle(vehicle or vehicle_of_version(self.metadata.version)),
            height=height,
            width=width,
            colour=colour,
            eyes=self._senses.eyes,
            threads=threads,
            pictures=pictures,
        )
        self._keep_books()
        self._vary(scenes_of(scene))
        self.race = None if race.is_plain else Race(race, self.simulator, self.lengths, quirks, first_car // race.cars)
        """What is more than a time trial with one life; None: nothing."""

    def _deal_out(self, race: RaceConfig, first_car: int, count: int, *, mirror: bool) -> None:
        """Number the cars, and give them the tracks and the side of the mirror that go by the numbers of all."""
        tracks = np.asarray(worlds_of(race, first_car + count), np.int64) % self._tracks_given
        self.numbers = np.arange(first_car, first_car + count)
        """`[N]` of the cars, to which all draws belong."""
        self._first_track = tracks[first_car:]
        self.mirrored = _every_other(tracks)[first_car:] if mirror else None
        """`[N]` cars for which left is right; None: nobody."""

    def _keep_books(self) -> None:
        """Make what tells what each car senses and how far it is."""
        self.observations = self._senses.observations
        """What the sensors give, by name: pictures uint8 `[N, H, W, C]`, lidar float32 `[N, R]`."""
        self.pictures = self._senses.pictures
        """What each car's camera sees now, `[N, H, W]`, or `[N, H, W, 3]` in colour; of two eyes the left."""
        self.spaces = self._senses.spaces
        """Of what each sensor gives for one car."""
        self.episodes = np.zeros(len(self._everyone), EPISODE_DTYPE)
        self.episodes["episode"] = -1
        self.rows = np.zeros(len(self._everyone), STEP_DTYPE)
        """The last step of each car, `[N]` of STEP_DTYPE."""
        self.lengths = np.array([self.tracks[place].length for place in self._first_track])
        self._waypoints = [track.waypoints for track in self.tracks]
        self._reversed = np.array([track.reversed for track in self.tracks])
        self.begun = np.zeros(len(self._everyone), BEGUN_DTYPE)
        """How each car's episode began, `[N]` of BEGUN_DTYPE."""
        self.taken: NDArray[Any] = np.zeros(0, np.int64)
        """The actions of the last step, as they were given."""
        self.before = self.simulator.cars.copy()
        """The simulator's cars before it, `[N]`."""
        self._shared = {"waypoints": [self._waypoints[place] for place in self._first_track]}

    def _vary(self, scenes: Scenes | None) -> None:
        self.varied = None if scenes is None else Variations(scenes, self.simulator, int(self.numbers[0]), self._senses)
        """What differs from episode to episode; None: nothing."""

    @property
    def sensor(self) -> str:
        """Name of the camera."""
        return self._senses.camera

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """`[N]` whether a car is at the first step of its episode."""
        first: NDArray[np.bool_] = self.episodes["steps"] == 0
        return first

    def reseed(self, seed: int) -> None:
        """Take another seed and count the episodes anew."""
        self.seed = _checked_seed(seed)
        self.episodes["episode"] = -1

    def begin(self, cars: NDArray[np.int64], poses: StartPoses | None = None, *, moved: bool = False) -> None:
        """Put these cars at the start of their next episode, and sense what is there.

        Args:
            cars: `[M]` which.
            poses: where; drawn from `starts`, and moved as the scene says, if not given.
            moved: whether the scene moves poses that are given too.
        """
        following, grid = self.episodes["episode"][cars] + 1, poses is None
        if len(self.tracks) > self._tracks_given:
            self._turn_round(cars)
        if self.varied is not None:
            self.varied.begin(cars, self.seed, following)
        if poses is None:
            poses = self.starts.draw(self.seed, self.numbers[cars], following)
        if self.varied is not None and (grid or moved):
            poses = self.varied.moved(cars, poses)
        note_begin(self.begun, cars, self.simulator.clock, poses, drawn=grid)
        if self.race is not None:
            poses = self.race.line_up(cars, poses, following, self.seed, grid=grid)
        self.simulator.place_on_line(cars, *poses)
        begin(self.episodes, cars, poses.fraction % 1.0)
        self._look(cars)

    def _look(self, cars: NDArray[np.int64], meanwhile: Callable[[], None] | None = None) -> None:
        episodes = self.episodes["episode"], self.episodes["steps"], self.episodes["progress"]
        look = Look(self.simulator, cars, self.seed, *episodes, int(self.numbers[0]), meanwhile)
        if self.varied is not None:
            self.varied.set_ages(self.episodes["steps"])
        self._senses.look(look)
        if self.varied is not None:
            self.varied.hold_back(look)

    def _turn_round(self, cars: NDArray[np.int64]) -> None:
        """Give each car the direction of its next episode: every other one is driven on the reverse of its track."""
        backwards = (self.episodes["episode"][cars] + 1) % 2
        self.simulator.cars["track"][cars] = self._first_track[cars] + backwards * self._tracks_given
        for car in cars.tolist():
            self._shared["waypoints"][car] = self._waypoints[self.simulator.cars["track"][car]]

    def advance(self, actions: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Let all cars take one step; `observations` and `rows` then hold what they see and what happened.

        Args:
            actions: `[N]` places in the action list; `[N, 2]` numbers from -1 to 1 in a continuous action space.

        Returns:
            Reward, whether the episode ended by a rule, whether it was cut off; `[N]` each.

        Raises:
            RewardError: see Reward.
        """
        cars, episodes, race = self.simulator.cars, self.episodes, self.race
        self.taken = np.asarray(actions)
        commands = self.actions.commands(self.taken, self.simulator.count)
        if self.mirrored is not None:
            commands = self.actions.mirrored(commands, self.mirrored)
        if race is None:
            crashed, objects = None, None
            status = judge(episodes, cars, self.lengths, self.quirks)
            held = status == PREPARE
            terminated = (status != IN_PROGRESS) & ~held
        else:
            crashed = race.crashes()
            status = judge(episodes, cars, self.lengths, self.quirks, crashed)
            held, terminated = race.rule(status, episodes)
            objects = race.objects()
        after = (self.simulator.clock + 1) * STEP_SECONDS
        note(self.rows, episodes, cars, commands, status, sim_time=after, wall_clock=time.time())
        # As bytes: copied field by field, which NumPy does with records, it takes longer than the rules.
        self.before.view(np.uint8)[:] = cars.view(np.uint8)
        moment = Moment(
            cars=self.before,
            steps=episodes["steps"],
            progress=episodes["progress"],
            commands=commands,
            lengths=self.lengths,
            is_reversed=self._reversed[cars["track"]],
            time=self.simulator.time,
            fixed=self.quirks == "fixed",
            crashed=crashed,
            objects=objects,
        )
        if self.varied is None:
            self.simulator.step(commands.steering, commands.throttle, held)
        else:
            self.varied.step(commands, held, self.seed, episodes)
        truncated = (episodes["steps"] >= self.max_steps) & ~terminated
        if race is not None:
            race.put_back(episodes)
            truncated |= race.worlds_over(terminated | truncated) & ~terminated
        reward = self._paid(Params(moment), (status != PREPARE) & (status != PAUSE))
        self.rows["reward"] = reward
        self.rows["done"] = terminated | truncated
        return reward, terminated, truncated

    def _paid(self, params: Params, needed: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Rewards, computed while other threads draw."""
        rewards: list[NDArray[np.float64]] = []

        def pay() -> None:
            rewards.append(self.reward(params, self._shared, needed, self.episodes["episode"]))

        self._look(self._everyone, pay)
        return rewards[0]

    def snapshot(self) -> dict[str, Any]:
        """Everything that changes with time, as copies: equal snapshots have equal futures.

        What a reward function remembers between calls is not part of it.
        """
        return {
            **self.simulator.snapshot(),
            **({} if self.race is None else self.race.snapshot()),
            **({} if self.varied is None else self.varied.snapshot()),
            "episodes": self.episodes.copy(),
            "begun": self.begun.copy(),
            "observations": {name: seen.copy() for name, seen in self.observations.items()},
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot of a task with the same tracks and cars."""
        self.simulator.restore(dict(snapshot))
        if self.race is not None:
            self.race.restore(snapshot)
        if self.varied is not None:
            self.varied.restore(snapshot)
        self.episodes[:] = snapshot["episodes"]
        self.begun[:] = snapshot["begun"]
        for name, seen in self.observations.items():
            seen[:] = snapshot["observations"][name]
        self._shared["waypoints"][:] = [self._waypoints[place] for place in self.simulator.cars["track"]]


class RacingVectorEnv(VectorEnv[Observation, NDArray[np.int64], Any]):
    """N cars as a Gymnasium vector environment.

    Observations are a dictionary from each sensor's name to what it gives, `[N, ...]`; see `env.sensors`.
    A car whose episode ended is put at its next start within the same step; what it saw last is in
    `info["final_obs"]`. Arguments as RacingTask.
    """

    def __init__(
        self, track: str | Track | Sequence[str | Track] = "oval", num_envs: int = 64, **settings: Any
    ) -> None:
        self.task = RacingTask(track, num_envs, **settings)
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": [], "render_fps": 15}
        self.single_observation_space = _observation_space(self.task)
        self.single_action_space = self.task.actions.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None) -> Any:
        """Start a new episode of every car; a seed also starts the count of episodes anew."""
        del options
        if isinstance(seed, list):
            raise ConfigError("reset: a list of seeds was given; one whole number seeds all cars, each by its place")
        if seed is not None:
            self.task.reseed(seed)
        self.task.begin(np.arange(self.num_envs))
        return self._observation(), self._info(np.full(self.num_envs, PREPARE), np.ones(self.num_envs, np.bool_))

    def step(self, actions: NDArray[np.int64]) -> Any:
        """Advance all cars; see the class for what happens at an episode's end."""
        reward, terminated, truncated = self.task.advance(actions)
        done = terminated | truncated
        status = self.task.rows["status"].copy()
        final: dict[str, Any] = {}
        if done.any():
            seen = np.full(self.num_envs, None, object)
            for car in np.flatnonzero(done):
                seen[car] = {name: values[car].copy() for name, values in self.task.observations.items()}
            final = {"final_obs": seen, "_final_obs": done, "final_info": self._info(status, done), "_final_info": done}
            self.task.begin(np.flatnonzero(done))
            status[done] = PREPARE
        info = {**self._info(status, np.ones(self.num_envs, np.bool_)), **final}
        return self._observation(), reward, terminated, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """Nothing is held that needs closing."""

    def _observation(self) -> Observation:
        return {name: values.copy() for name, values in self.task.observations.items()}

    def _info(self, status: NDArray[Any], which: NDArray[np.bool_]) -> dict[str, Any]:
        """How the cars stand; `which` of them this tells of."""
        return {
            "progress": self.task.episodes["progress"].copy(),
            "_progress": which,
            "episode_status": np.array(STATUSES, object)[status],
            "_episode_status": which,
        }


class RacingEnv(gym.Env[Observation, np.int64]):
    """One car as a Gymnasium environment; arguments as RacingTask.

    Observations are a dictionary from each sensor's name to what it gives; see `env.sensors`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, track: str | Track = "oval", render_mode: str | None = None, **settings: Any) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"render_mode is {render_mode!r}; None or 'rgb_array' is offered")
        self.task = RacingTask(track, 1, **{"threads": 1, **settings})
        self.render_mode = render_mode
        # Gymnasium's type of a dictionary space does not say what its entries are.
        self.observation_space = cast("gym.spaces.Space[Observation]", _observation_space(self.task))
        self.action_space = cast("gym.spaces.Space[np.int64]", self.task.actions.space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a new episode.

        Args:
            options: may hold `start` (share of the lap), `offset` (share of the width, left positive) and `heading`
                (rad, left positive); what is given together with `start` is taken as it is, in place of a random start.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.task.reseed(seed)
        poses = None
        if options and "start" in options:
            values = (np.array([float(options.get(name, 0.0))]) for name in ("start", "offset", "heading"))
            poses = StartPoses(*values)
        self.task.begin(np.arange(1), poses)
        return self._observation(), self._info("prepare")

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one action; see the module's description."""
        reward, terminated, truncated = self.task.advance([action])
        info = self._info(STATUSES[int(self.task.rows["status"][0])])
        return self._observation(), float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def render(self) -> Any:
        """Return what the camera sees in colour, `[H, W, 3]`, in mode "rgb_array"; its grey is the observation."""
        return None if self.render_mode is None else self.task.simulator.colour_picture(0)

    def _observation(self) -> Observation:
        return {name: values[0].copy() for name, values in self.task.observations.items()}

    def _info(self, status: str) -> dict[str, Any]:
        return {"progress": float(self.task.episodes["progress"][0]), "episode_status": status}


def _vehicle(vehicle: Vehicle | str) -> Vehicle:
    return vehicle if isinstance(vehicle, Vehicle) else load_vehicle(vehicle)


def _loaded(track: str | Track | Sequence[str | Track], num_envs: int) -> list[Track]:
    given = [track] if isinstance(track, str | Track) else list(track)
    if num_envs < 1 or not given:
        raise ConfigError(f"{num_envs} cars on {len(given)} tracks; at least one of each is needed")
    return [item if isinstance(item, Track) else load_track(item) for item in given]


def _checked_quirks(quirks: Quirks) -> Quirks:
    if quirks not in ("original", "fixed"):
        raise ConfigError(f"quirks is {quirks!r}; 'original' or 'fixed' is needed")
    return quirks


def _every_other(tracks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a car is the second, fourth ... of those on its track, `[N]`."""
    chosen = np.zeros(len(tracks), np.bool_)
    for track in set(tracks.tolist()):
        chosen[np.flatnonzero(tracks == track)[1::2]] = True
    return chosen


def _checked_seed(seed: int) -> int:
    if not 0 <= seed < 2**64:
        raise ConfigError(f"the seed is {seed}; a whole number from 0 to 2**64 - 1 is needed")
    return seed


def _observation_space(task: RacingTask) -> gym.spaces.Dict:
    if not task.draws:
        raise ConfigError("pictures is False; an environment shows pictures: leave it out, or use RacingTask")
    return gym.spaces.Dict(dict(task.spaces))
