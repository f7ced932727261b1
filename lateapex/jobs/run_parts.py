"""The parts of a training run, made from the files of its folder: wherever those are, the same parts come of them.

Whoever collects for a run somewhere else gets copies of the files that they are made of, `run_folder.input_files`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from lateapex.config import parse
from lateapex.env.actions import ActionRanges, actions_of
from lateapex.env.privileged import STATE_SENSOR
from lateapex.env.racing import RacingTask
from lateapex.env.reward_base import Reward
from lateapex.env.scenes import GivenScene
from lateapex.env.starts import starts_of
from lateapex.errors import ConfigError
from lateapex.formats.model_metadata import ModelMetadata
from lateapex.jobs.assists import make_teacher
from lateapex.jobs.run_folder import SETTINGS, read_settings, read_tracks, run_assisted, run_metadata, run_vehicle
from lateapex.jobs.scenes import SceneSetting, scene_of
from lateapex.jobs.train_config import TrainConfig
from lateapex.models.blueprint import Blueprint, HeadName
from lateapex.models.policy import Policy
from lateapex.storage import Storage
from lateapex.training.checkpoint import user_code
from lateapex.training.collect import LocalCollector
from lateapex.world.track import Track
from lateapex.world.vehicle import Vehicle


@dataclass(frozen=True, kw_only=True)
class Cars:
    """Some of a run's cars."""

    first: int
    """Number of the first."""
    count: int


class RunParts:
    """What a run's folder says, and the parts that are made of it.

    Args:
        storage: the folder, or copies of its `run_folder.input_files`.
        config: the run's settings; as the folder has them if not given.

    Raises:
        LateapexError: a file is missing or damaged.
    """

    def __init__(self, storage: Storage, config: TrainConfig | None = None) -> None:
        self.url = storage.url
        self.config = config or parse(TrainConfig, read_settings(storage), f"{storage.url}/{SETTINGS}")
        self.code = user_code(storage)
        self._assisted = run_assisted(storage)
        self.vehicle = run_vehicle(storage)
        self.tracks = read_tracks(storage)
        self.metadata = run_metadata(storage)

    def scene(self, setting: SceneSetting) -> GivenScene:
        """What a setting of the run names or holds; its classes are among the run's code."""
        return scene_of(setting, f"{self.url}/{SETTINGS}", self.code)

    def begin(self, torch_threads: int | None = None) -> None:
        """Set up this process's arithmetic as the run wants it, or with another number of threads."""
        torch.set_num_threads(torch_threads or self.config.torch_threads)
        torch.use_deterministic_algorithms(True)
        # It would fill new memory before what is computed is written there: nothing of ours reads what it did not
        # write.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # missing from the stubs

    @property
    def _shared(self) -> dict[str, Any]:
        config = self.config
        return {
            "metadata": self.metadata,
            "vehicle": self.vehicle,
            "threads": config.threads,
            "colour": config.colour,
            "quirks": config.quirks,
            "race": config.race,
        }

    def task(self, reward: Reward, cars: Cars | None = None, seed: int | None = None) -> RacingTask:
        """Make the cars that learn, or some of them.

        Args:
            reward: pays them.
            cars: which; all if not given.
            seed: another than the run's.
        """
        config = self.config
        cars = cars or Cars(first=0, count=config.cars)
        return RacingTask(
            self.tracks,
            cars.count,
            reward=reward,
            seed=config.seed if seed is None else seed,
            starts=starts_of(config.starts, config.cars, config.quirks),
            alternate_direction=config.starts.alternate_direction,
            state=config.critic == "state",
            mirror=config.mirror,
            scene=self.scene(config.scene),
            first_car=cars.first,
            **self._shared,
        )

    @property
    def evaluation_cars(self) -> int:
        """Cars that training is evaluated with: as many for each track."""
        share = len(self.tracks) * self.config.race.cars
        return share * -(-self.config.trainer.evaluation_trials // share)

    def evaluation(self, reward: Reward, cars: Cars | None = None) -> RacingTask:
        """Make the cars that training is evaluated with, or some of them."""
        cars = cars or Cars(first=0, count=self.evaluation_cars)
        return RacingTask(
            self.tracks, cars.count, reward=reward, seed=self.config.seed, first_car=cars.first, **self._shared
        )

    def trials(
        self,
        track: Track,
        reward: Reward,
        cars: Cars,
        *,
        seed: int = 0,
        vehicle: Vehicle | None = None,
        threads: int | None = None,
        scene: GivenScene = None,
    ) -> RacingTask:
        """Make the cars that drive the trials of one track after training.

        Args:
            track: any.
            reward: pays them.
            cars: one for each trial, or some of them.
            seed: of what is drawn.
            vehicle: another than the run's.
            threads: that draw; as the run says if not given.
            scene: what varies from trial to trial; nothing if not given, whatever the run's says.
        """
        changes = {"vehicle": vehicle, "threads": threads}
        shared = {**self._shared, **{name: value for name, value in changes.items() if value is not None}}
        return RacingTask(track, cars.count, reward=reward, seed=seed, scene=scene, first_car=cars.first, **shared)

    def policy(self, task: RacingTask) -> Policy:
        """Build the networks for what a task's cars sense and do, with the run's first weights."""
        return Policy(self._blueprint(task), self.config.seed, self.code)

    def collector(self, task: RacingTask, cars: int | None = None) -> LocalCollector:
        """Make what drives a task's cars in this process.

        Args:
            cars: all that there are, if the others take their steps at the same time.
        """
        config = self.config
        return LocalCollector(
            task,
            cars=cars,
            bf16=config.precision == "bfloat16",
            exploration=config.exploration,
            teacher=make_teacher(config, task, self.vehicle),
        )

    def _blueprint(self, task: RacingTask) -> Blueprint:
        spaces = {name: value.shape[1:] for name, value in task.observations.items()}
        return Blueprint(
            sensors={name: shape for name, shape in spaces.items() if name != STATE_SENSOR},
            actions=len(task.actions),
            head=self._head(task),
            network=self.config.network,
            critic=self.config.critic,
            transforms=self.config.transforms,
            critic_sensors={name: shape for name, shape in spaces.items() if name == STATE_SENSOR},
            assisted=self._assisted,
        )

    def _head(self, task: RacingTask) -> HeadName:
        if not isinstance(task.actions, ActionRanges):
            return "categorical"
        return "squashed" if self.config.algorithm == "sac" else "gaussian"


def check_actions(run: str, policy: Policy, metadata: ModelMetadata) -> None:
    """See that a model of a run has the actions that its metadata list.

    Raises:
        ConfigError: it has others.
    """
    found, listed = policy.blueprint.actions, len(actions_of(metadata))
    if found != listed:
        raise ConfigError(
            f"{run}: the model has {found} actions, its metadata {listed}; "
            "restore model/model_metadata.json as it was when training began"
        )
