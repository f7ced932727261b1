"""What helps a student beyond its own reward and pictures: how a run's settings ask for it, and what it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lateapex.env.racing import RacingTask
from lateapex.jobs.train_config import TrainConfig
from lateapex.models.policy import Policy
from lateapex.training.algorithms import Algorithm
from lateapex.training.apprentice import Apprentice
from lateapex.training.ppo import PPO
from lateapex.training.sac import SAC
from lateapex.training.teacher import Teacher, state_driver
from lateapex.world.vehicle import Vehicle


def assists(config: TrainConfig, before: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the words for everything that helps, without repetition.

    Args:
        before: those of the trained model that the run begins with.
    """
    helps = {
        f"teacher {config.teacher.kind}": config.teacher.kind != "none",
        "state critic": config.critic == "state",
        "mirror": config.mirror,
        "smoothing": config.algorithm == "clipped_ppo" and config.ppo.smoothing > 0.0,
    }
    return tuple(dict.fromkeys([*before, *(word for word, used in helps.items() if used)]))


def make_teacher(config: TrainConfig, task: RacingTask, vehicle: Vehicle) -> Teacher | None:
    """Make the teacher that is asked for; raises as `state_driver`."""
    if config.teacher.kind == "none":
        return None
    driver = state_driver(config.teacher.kind, task.tracks, vehicle, task.simulator.traffic)
    return Teacher(driver, config.teacher)


def make_algorithm(config: TrainConfig, policy: Policy, code: Mapping[str, str]) -> Algorithm:
    """Make what learns: the algorithm that is asked for, with a lesson before it where there is a teacher."""
    bf16 = config.precision == "bfloat16"
    after: Algorithm
    if config.algorithm == "sac":
        after, discount = SAC(policy, config.sac, seed=config.seed, bf16=bf16, code=code), config.sac.discount
    else:
        after, discount = PPO(policy, config.ppo, seed=config.seed, bf16=bf16), config.ppo.discount
    if config.teacher.kind == "none":
        return after
    return Apprentice(policy, config.teacher, after, discount=discount, seed=config.seed, bf16=bf16)
