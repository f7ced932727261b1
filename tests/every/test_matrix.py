"""Every algorithm with every network, kind of action and set of sensors: trains, evaluates, and resumes exactly.

All combinations are run where LATEAPEX_MATRIX=all is set; else so many that every two choices meet in one of them.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from made_networks import BRIGHTER, TINY
from made_tasks import small_task
from small_runs import files_of, small_config, timeless

import lateapex.jobs.evaluate
import lateapex.models.policy
import lateapex.training.evaluator
from lateapex.env.racing import RacingTask
from lateapex.errors import ConfigError, MetadataError
from lateapex.formats.model_metadata import ModelMetadata, default_metadata, read_metadata
from lateapex.jobs import train as job
from lateapex.models.blueprint import Blueprint, HeadName
from lateapex.models.networks import NETWORKS
from lateapex.models.policy import Policy
from lateapex.models.user_network import is_heavy
from lateapex.records import STEP_DTYPE
from lateapex.storage import MemoryStorage
from lateapex.training.algorithms import Algorithm
from lateapex.training.checkpoint import STATE, load_state, load_version
from lateapex.training.collect import LocalCollector
from lateapex.training.evaluator import LocalEvaluator
from lateapex.training.ppo import PPO, PPOConfig
from lateapex.training.sac import SAC, SACConfig
from lateapex.training.trainer import Trainer, TrainerConfig

OWN = "tiny.py:Tiny"
CODE = {"tiny.py": TINY, "brighter.py": BRIGHTER}
ALGORITHMS = ("clipped_ppo", "sac")
SIZES = {
    "shallow": (40, 48),
    "deep": (24, 32),
    "deeper": (80, 96),
    "lean": (16, 24),
    "attention": (40, 48),
    "recurrent": (16, 24),
    OWN: (16, 24),
}
"""Rows and columns of pictures; the smallest, about, that each network can take."""
STEREO_SIZE = (40, 48)
"""Of pictures of two cameras: deep and deeper have another embedder for these, whose maps stay wide."""
ACTIONS = ("list", "ranges")
SENSORS = {
    "front": ("FRONT_FACING_CAMERA",),
    "colour": ("FRONT_FACING_CAMERA",),
    "stereo": ("STEREO_CAMERAS",),
    "front+lidar": ("FRONT_FACING_CAMERA", "LIDAR"),
    "stereo+sectors": ("STEREO_CAMERAS", "SECTOR_LIDAR"),
    "left+parts": ("LEFT_CAMERA", "DISCRETIZED_SECTOR_LIDAR"),
}
TRANSFORMS: tuple[tuple[str, ...], ...] = (
    (),
    ("brighter.py:Brighter:by=3", "stack:frames=2"),
    ("cutout:size=4", "difference"),
)
RANGES = {"steering_angle": {"low": -25, "high": 25}, "speed": {"low": 1.0, "high": 2.0}}
CARS, STEPS = 2, 3


class Case(NamedTuple):
    """One choice of each kind."""

    algorithm: str
    network: str
    actions: str
    sensors: str

    @property
    def number(self) -> int:
        """Spreads what is no choice of its own."""
        axes: tuple[Sequence[str], ...] = (ALGORITHMS, tuple(SIZES), ACTIONS, tuple(SENSORS))
        return sum(axis.index(value) for axis, value in zip(axes, self, strict=True))

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of pictures."""
        return min(SIZES[self.network], STEREO_SIZE) if self.sensors.startswith("stereo") else SIZES[self.network]

    @property
    def critic(self) -> str:
        """SAC cannot teach a critic that remembers."""
        return "lean" if self.network == "recurrent" and self.algorithm == "sac" else self.network

    @property
    def head(self) -> HeadName:
        """As a training run chooses it."""
        return "categorical" if self.actions == "list" else "squashed" if self.algorithm == "sac" else "gaussian"

    @property
    def blueprint(self) -> Blueprint:
        """What is built."""
        task = task_of(self.actions, self.sensors, self.size, 0)
        return Blueprint(
            sensors={name: value.shape[1:] for name, value in task.observations.items()},
            actions=len(task.actions),
            head=self.head,
            network=self.network,
            critic=self.critic,
            transforms=TRANSFORMS[self.number % len(TRANSFORMS)],
        )


EVERY = [Case(*choice) for choice in itertools.product(ALGORITHMS, SIZES, ACTIONS, SENSORS)]


def covering(cases: list[Case]) -> list[Case]:
    """Few cases in which any two choices of different kinds meet that meet in some case; always the same ones."""

    def pairs(case: Case) -> set[tuple[tuple[int, str], ...]]:
        return set(itertools.combinations(enumerate(case), 2))

    missing = set().union(*map(pairs, cases))
    chosen = []
    while missing:
        best = max(cases, key=lambda case: len(pairs(case) & missing))
        chosen.append(best)
        missing -= pairs(best)
    return chosen


CASES = EVERY if os.environ.get("LATEAPEX_MATRIX") == "all" else covering(EVERY)


def metadata_of(actions: str, sensors: str) -> ModelMetadata:
    content = {**json.loads(default_metadata().text), "sensor": list(SENSORS[sensors])}
    if actions == "ranges":
        content |= {"action_space": RANGES, "action_space_type": "continuous"}
    return read_metadata(json.dumps(content), "made.json")


@cache
def _made_task(actions: str, sensors: str, size: tuple[int, int], place: int) -> tuple[RacingTask, dict[str, Any]]:
    del place
    metadata, (height, width) = metadata_of(actions, sensors), size
    task = small_task("oval", CARS, metadata=metadata, colour=sensors == "colour", height=height, width=width)
    return task, task.snapshot()


def task_of(actions: str, sensors: str, size: tuple[int, int], place: int) -> RacingTask:
    """A task as new; several of a kind have places."""
    task, new = _made_task(actions, sensors, size, place)
    task.restore(new)
    return task


class Keeping(MemoryStorage):
    """Remembers all files as they were whenever a state was saved."""

    def __init__(self) -> None:
        super().__init__()
        self.saves: list[dict[str, bytes]] = []

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        if name == STATE:
            self.saves.append(dict(self.files))


class Seconds:
    """A clock on which each look takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def trainer_of(case: Case, storage: MemoryStorage, place: int) -> Trainer:
    """Everything of a run, built anew; different places have different first weights too."""
    for name, text in CODE.items():
        storage.write(f"code/{name}", text.encode())
    task, evaluation = (task_of(case.actions, case.sensors, case.size, place + part) for part in (0, 1))
    policy = Policy(case.blueprint, place, CODE)
    bf16 = is_heavy(case.network) and case.number % 2 == 0
    trainer = Trainer(
        TrainerConfig(updates=2, rollout_steps=STEPS, evaluation_interval=1, save_seconds=0.5),
        policy=policy,
        collector=LocalCollector(task, bf16=bf16),
        evaluator=LocalEvaluator(evaluation),
        algorithm=algorithm_of(case, policy, bf16=bf16),
        storage=storage,
        sinks={},
        clock=Seconds(),
    )
    evaluation.max_steps = 2
    return trainer


def algorithm_of(case: Case, policy: Policy, *, bf16: bool) -> Algorithm:
    if case.algorithm == "sac":
        # Room for less than two rollouts, so that old rows give way.
        settings = SACConfig(batch_size=4, updates_per_step=0.5, capacity=CARS * (2 * STEPS + 1))
        return SAC(policy, settings, bf16=bf16, code=CODE)
    return PPO(policy, PPOConfig(batch_size=4, epochs=2, sequence_length=2), bf16=bf16)


def differences(one: Any, two: Any, place: str = "") -> list[str]:
    """Where two states differ, to the bit; a whole state, printed, would take minutes."""
    if isinstance(one, dict) and isinstance(two, dict):
        if one.keys() != two.keys():
            return [f"{place}: {sorted(map(str, one.keys() ^ two.keys()))}"]
        return [found for key in one for found in differences(one[key], two[key], f"{place}/{key}")]
    if isinstance(one, list | tuple) and isinstance(two, list | tuple) and len(one) == len(two):
        return [
            found
            for number, pair in enumerate(zip(one, two, strict=True))
            for found in differences(*pair, f"{place}/{number}")
        ]
    return [] if bits(one) == bits(two) else [place]


def bits(value: Any) -> Any:
    """What is the same for the same tensor or array alone."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), str(value.dtype), value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.names is None:
        return value.shape, str(value.dtype), value.tobytes()
    return {name: bits(value[name]) for name in value.dtype.names}  # there may be anything in the gaps between


def state_of(storage: MemoryStorage) -> Any:
    """The saved state without what the clock on the wall says."""
    state = load_state(storage)
    assert state is not None
    del state["progress"]["train_seconds"], state["progress"]["evaluation_seconds"]
    rows, length = (state["collector"]["recorder"][name] for name in ("rows", "length"))
    assert rows.dtype == STEP_DTYPE
    rows["wall_clock"] = 0.0
    rows[np.arange(rows.shape[1]) >= length[:, None]] = 0  # left over from earlier episodes
    return state


@pytest.fixture(autouse=True)
def _few_cars_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of two cars, not filled up to 32; and nobody waits for a car that stands still."""
    monkeypatch.setattr(lateapex.models.policy, "BLOCK", CARS)
    for module in (lateapex.training.evaluator, lateapex.jobs.evaluate):
        monkeypatch.setattr(module, "patience", lambda _: 2)
    yield
    torch.use_deterministic_algorithms(False)


def test_the_matrix_has_every_network_and_its_selection_every_pair() -> None:
    ours = {name for name in NETWORKS.names() if not name.startswith("DEEP_CONVOLUTIONAL")}
    assert set(SIZES) == ours | {OWN}
    chosen = covering(EVERY)
    for one, two in itertools.combinations(range(len(Case._fields)), 2):
        every = {(case[one], case[two]) for case in EVERY}
        assert {(case[one], case[two]) for case in chosen} == every
    assert {case.number % len(TRANSFORMS) for case in chosen} == {0, 1, 2}
    assert {case.head for case in chosen} == {"categorical", "gaussian", "squashed"}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_it_trains_evaluates_and_resumes_to_the_same_tensors(case: Case) -> None:
    whole = Keeping()
    trainer = trainer_of(case, whole, 0)
    first = {name: weight.clone() for name, weight in trainer.policy.state_dict().items()}
    assert trainer.run() == "updates"
    for name, weight in trainer.policy.state_dict().items():
        assert torch.isfinite(weight).all(), name
    learned = [name for name, weight in trainer.policy.named_parameters() if not torch.equal(weight, first[name])]
    assert any(name.startswith("actor.network") for name in learned)
    assert any(name.startswith("critic.network") for name in learned)

    assert len(whole.saves) == 2
    resumed = MemoryStorage()
    resumed.files = whole.saves[0]
    again = trainer_of(case, resumed, 2)
    again.resume()
    assert again.progress.updates == 1
    assert again.run() == "updates"
    assert differences(state_of(resumed), state_of(whole)) == []
    files, others = (
        {name: storage.files[name] for name in storage.files.keys() - {STATE}} for storage in (resumed, whole)
    )
    assert differences(files, others) == []
    assert any(name.startswith("model/replay/") for name in whole.files) is (case.algorithm == "sac")

    _, read = load_version(whole, "last")
    task = task_of(case.actions, case.sensors, case.size, 0)
    task.begin(np.arange(CARS))
    chosen = read.driver(CARS).greedy(task.observations, task.fresh)
    np.testing.assert_array_equal(chosen, trainer.policy.driver(CARS).greedy(task.observations, task.fresh))


@pytest.mark.parametrize("actions", ACTIONS)
def test_sac_refuses_a_critic_that_remembers(actions: str) -> None:
    case = Case("sac", "recurrent", actions, "front")
    policy = Policy(case.blueprint.model_copy(update={"critic": "recurrent"}), code=CODE)
    with pytest.raises(ConfigError, match="the critic recurrent has a memory, which SAC cannot teach; use another"):
        algorithm_of(case, policy, bf16=False)


def test_sac_with_a_list_of_actions_is_trained_if_asked_for_and_refused_in_metadata() -> None:
    assert metadata_of("list", "front").training_algorithm == "clipped_ppo"
    content = {**json.loads(default_metadata().text), "training_algorithm": "sac"}
    with pytest.raises(MetadataError):
        read_metadata(json.dumps(content), "made.json")


@pytest.mark.long
@pytest.mark.parametrize(
    "case",
    [
        Case("sac", OWN, "list", "front+lidar"),
        Case("clipped_ppo", "recurrent", "ranges", "stereo+sectors"),
        Case("sac", "attention", "ranges", "colour"),
        Case("clipped_ppo", "shallow", "list", "left+parts"),
    ],
    ids="-".join,
)
def test_a_run_in_its_folder_resumes_to_the_same_files(case: Case, tmp_path: Path) -> None:
    for name, text in CODE.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "model_metadata.json").write_text(metadata_of(case.actions, case.sensors).text)

    def train(out: str, updates: int) -> Path:
        config = small_config(
            tmp_path / out,
            algorithm=case.algorithm,
            network=str(tmp_path / case.network) if case.network == OWN else case.network,
            critic="lean",
            model_metadata=str(tmp_path / "model_metadata.json"),
            colour=case.sensors == "colour",
            transforms=(f"{tmp_path}/brighter.py:Brighter:by=3", "stack:frames=2"),
            trainer={
                "steps": CARS * STEPS * updates,
                "rollout_steps": STEPS,
                "evaluation_trials": 1,
                "evaluation_interval": 1,
            },
            sac={"updates_per_step": 0.5, "batch_size": 4},
            ppo={"batch_size": 4},
        )
        return Path(job.train(config).url)

    whole, stopped = train("whole", 2), train("stopped", 1)
    job.resume(str(stopped), {"trainer": {"steps": 2 * CARS * STEPS}})
    one, two = (timeless(files_of(run)) for run in (whole, stopped))
    assert differences(one, two) == []
    result = lateapex.jobs.evaluate.evaluate(lateapex.jobs.evaluate.EvaluateConfig(run=str(stopped), trials=1))
    assert len(result.episodes) == 1
