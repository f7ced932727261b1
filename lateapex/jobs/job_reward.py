"""The reward of a job: loaded here or in a sandbox, with its prints caught and its hanging calls told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext

from lateapex.env.reward import RewardFunction
from lateapex.env.reward_base import Reward
from lateapex.env.reward_habits import first_step_tests, parsed, unseeded
from lateapex.env.reward_numpy import former_names
from lateapex.env.reward_prints import Prints
from lateapex.env.reward_watch import Watch
from lateapex.env.sandbox import SandboxedReward


def job_reward(
    text: str, source: str, *, seed: int = 0, first_car: int = 0, sandbox: bool = False, call_at_step_1: bool = False
) -> Reward:
    """Load a reward file for a job, which has to close it.

    Raises:
        RewardError: it cannot be loaded, or there is no sandbox on this system.
    """
    kind = SandboxedReward if sandbox else RewardFunction
    return kind(text, source, seed=seed, first_car=first_car, call_at_step_1=call_at_step_1, prints=Prints())


_SLOW_LOADING = 2.0  # s, for all cars


def reward_notes(reward: Reward, cars: int) -> list[str]:
    """What a racer should know of a reward before it trains so many cars, a line each."""
    tree = parsed(reward.text)
    habits = [*([] if reward.call_at_step_1 else first_step_tests(tree)), *unseeded(tree), *former_names(tree)]
    lines = [f"{reward.source}:{line}: {message}" for line, message in sorted(set(habits))]
    if reward.load_seconds * cars > _SLOW_LOADING:
        lines.append(
            f"{reward.source} takes {reward.load_seconds:.2f} s to load, and is loaded for each of {cars} cars: "
            "keep what does not change as plain numbers in the file"
        )
    if isinstance(reward, SandboxedReward) and reward.missing:
        lines.append(f"the sandbox of this system has no {' and no '.join(reward.missing)}; see docs/rewards.md")
    return lines


@contextmanager
def watched(reward: Reward, tell: Callable[[str], None] | None) -> Iterator[None]:
    """Tell, from another thread, where a call hangs; in the end close the reward."""
    with closing(reward), Watch(reward, tell) if tell else nullcontext():
        yield
