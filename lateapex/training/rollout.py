"""What cars lived through: the experience that algorithms learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lateapex.models import stems
from lateapex.models.networks import Stem
from lateapex.models.policy import Seen
from lateapex.records import EpisodeRecord


class Cut(NamedTuple):
    """States in which `K` steps were cut off, that no critic has judged."""

    rows: NDArray[np.int64]
    """`[K]` steps that led to them, as t * N + n"""
    seen: Seen
    """`[K, ...]`"""


class Rollout(NamedTuple):
    """Experience of N cars over T steps."""

    actor_stem: Stem
    """`[T, N, ...]` each, what the actor keeps of what it saw"""
    critic_stem: Stem
    """The same object where both keep the same"""
    actor_memory: Tensor
    """`[T, N, M]` what it remembered when a step began"""
    critic_memory: Tensor
    fresh: Tensor
    """`[T, N]` whether an episode began with the step"""
    actions: Tensor
    """`[T, N]`, or `[T, N, D]` numbers as they were drawn"""
    log_probs: Tensor
    """`[T, N]` of the actions under the policy that took them"""
    values: NDArray[np.float32]
    """`[T, N]`"""
    next_values: NDArray[np.float32]
    """`[T, N]` of the state that each step led to"""
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    last: Seen
    """What each car sees after the last step, `[N, ...]`; those whose episode it ended have begun anew."""
    episodes: list[EpisodeRecord]
    """Those that ended, in order."""
    laps: NDArray[np.float64]
    """`[N]` way driven forwards, in laps"""
    seconds: Mapping[str, float] = {}
    """Wall seconds of inference and reward."""
    labels: Tensor | None = None
    """`[T, N]`, or `[T, N, D]`: what a teacher would have done; None where none teaches. Some of the actions are then
    the teacher's own, for whom `log_probs` says nothing."""
    behind: NDArray[np.int64] | None = None
    """`[N]` versions that the policy which drove each car is behind the one that learns; None: it is that one."""
    unjudged: Cut | None = None
    """Where no critic drove along, so that values are zeros: what else one has to see to judge it. Whoever learns from
    it judges it first, see `judge`. None: all values are a critic's."""

    @property
    def laps_driven(self) -> float:
        """Way of all cars; the same however they are shared out."""
        return math.fsum(self.laps)


def joined(rollouts: Sequence[Rollout]) -> Rollout:
    """All cars of some rollouts of as many steps, one rollout's after another's.

    Episodes that ended are in the order of the steps with which they did, and of the cars; seconds are those of the
    slowest, since they passed at the same time.

    Args:
        rollouts: of one kind: all judged, or none.
    """
    if len(rollouts) == 1:
        return rollouts[0]
    parts: dict[str, Any] = {name: [getattr(each, name) for each in rollouts] for name in (*_ARRAYS, *_TENSORS)}
    parts |= {name: np.concatenate(parts[name], axis=1) for name in _ARRAYS}
    parts |= {name: torch.cat(parts[name], dim=1) for name in _TENSORS}
    labels = [each.labels for each in rollouts if each.labels is not None]
    stale = any(each.behind is not None for each in rollouts)
    actor_stem, critic_stem = _joined_stems(rollouts, 1)
    return Rollout(
        actor_stem=actor_stem,
        critic_stem=critic_stem,
        **parts,
        last=joined_seen([each.last for each in rollouts]),
        episodes=sorted(
            (episode for each in rollouts for episode in each.episodes),
            key=lambda episode: (float(episode.steps["sim_time"][-1]), episode.car),
        ),
        laps=np.concatenate([each.laps for each in rollouts]),
        seconds=max((each.seconds for each in rollouts), key=lambda seconds: sum(seconds.values())),
        labels=torch.cat(labels, dim=1) if labels else None,
        behind=np.concatenate([_behind(each) for each in rollouts]) if stale else None,
        unjudged=_joined_cuts(rollouts),
    )


def joined_seen(parts: Sequence[Seen]) -> Seen:
    """What all of them saw, one after another."""
    return Seen(*_joined_stems(parts, 0), torch.cat([part.values for part in parts]))


def some_seen(seen: Seen, rows: slice) -> Seen:
    """What some of them saw."""
    both = stems.of_each(seen.actor_stem, seen.critic_stem, lambda stem: {n: v[rows] for n, v in stem.items()})
    return Seen(*both, seen.values[rows])


_ARRAYS: Final = ("values", "next_values", "rewards", "terminated", "truncated")
_TENSORS: Final = ("actor_memory", "critic_memory", "fresh", "actions", "log_probs")


def _behind(rollout: Rollout) -> NDArray[np.int64]:
    return np.zeros(rollout.rewards.shape[1], np.int64) if rollout.behind is None else rollout.behind


def _joined_cuts(rollouts: Sequence[Rollout]) -> Cut | None:
    cuts = [each.unjudged for each in rollouts if each.unjudged is not None]
    if not cuts:
        return None
    counts = [each.rewards.shape[1] for each in rollouts]
    firsts = np.cumsum([0, *counts[:-1]])
    rows = [
        cut.rows // count * sum(counts) + first + cut.rows % count
        for cut, count, first in zip(cuts, counts, firsts, strict=True)
    ]
    return Cut(np.concatenate(rows), joined_seen([cut.seen for cut in cuts]))


def _joined_stems(parts: Sequence[Rollout | Seen], dim: int) -> tuple[Stem, Stem]:
    actors, critics = [part.actor_stem for part in parts], [part.critic_stem for part in parts]
    return stems.of_both(actors, critics, lambda some: stems.joined(some, dim))
