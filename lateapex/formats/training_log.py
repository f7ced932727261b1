"""The lines of a training log beside the steps: episodes, updates, and the choice of the best model.

Texts are the original's, which tools search for. Its two logs (simulator and learner) are one here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lateapex.records import EpisodeRecord

_PHASES = {"training": "Training", "evaluation": "Testing"}
_LOSSES = ("policy_loss", "kl", "entropy", "learning_rate")


def episode_line(record: EpisodeRecord, episode: int, steps: int, iteration: int) -> str:
    """Return the line of a finished episode, with its line end.

    Args:
        record: of either phase.
        episode: number from 1; an evaluation repeats that of the last training episode.
        steps: steps of all training episodes so far.
        iteration: from 0.
    """
    return (
        f"{_PHASES[record.phase]}> Name=main_level/agent, Worker=0, Episode={episode}, "
        f"Total reward={round(record.reward, 2)}, Steps={steps}, Training iteration={iteration}\n"
    )


def policy_line(losses: Mapping[str, float]) -> str:
    """Return the line of an update, with its line end, or "" where there are no losses.

    The original writes one for each epoch; losses here are means over all epochs, so one line stands for them.
    """
    if not losses:
        return ""
    surrogate, kl, entropy, rate = (float(losses.get(name, math.nan)) for name in _LOSSES)
    return (
        f"Policy training> Surrogate loss={surrogate}, KL divergence={kl}, Entropy={entropy}, "
        f"training epoch=0, learning_rate={rate}\n"
    )


def evaluation_lines(trials: int, progress: Sequence[float], mean: float | None) -> str:
    """Return what an evaluation found: percent of the lap of each episode, and their mean."""
    return _chosen(
        f"Number of evaluations: {trials} Evaluation episode progress: {list(progress)}",
        f"Evaluation episode progress mean: {mean}",
    )


def best_model_lines(name: str, mean: float | None, old_name: str | None, old_mean: float | None) -> str:
    """Return the change of the best checkpoint, from None the first time; means are percent of the lap."""
    return _chosen(
        f"current progress mean: {mean} >= best progress mean: {old_mean}",
        f'Updating the best checkpoint to "{name}" from "{old_name}".',
    )


def _chosen(*lines: str) -> str:
    return "".join(f"[BestModelSelection] {line}\n" for line in lines)
