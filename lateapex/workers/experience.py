"""What cars lived through as a batch that travels, and back.

What is seen after the last step counts as what that step led to, of all cars; where an episode ended with it, that is
the first sight of the next one, and nobody learns from it. Experience that no critic has judged tells besides, after
those, what steps led to that were cut off; a step may come twice then, and what comes later is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lateapex.errors import FormatError
from lateapex.models.networks import Stem
from lateapex.models.policy import Seen
from lateapex.training.rollout import Cut, Rollout, joined_seen, some_seen
from lateapex.workers.arrays import Dense, to_arrays, to_tensors
from lateapex.workers.batch_format import Arrays, Batch

_ACTOR: Final = "actor/"
_CRITIC: Final = "critic/"
_SECONDS: Final = "seconds/"
_BFLOAT16: Final = ":bfloat16"
"""Ends the name of an array whose int16 are the bits of a type that NumPy lacks."""
_EXTRA_TENSORS: Final = ("actor_memory", "critic_memory", "fresh")


def to_batch(rollout: Rollout, version: int) -> Batch:
    """Return a rollout as a batch.

    Args:
        version: of the model that drove.
    """
    steps, cars = rollout.rewards.shape
    one_stem = _same(rollout.actor_stem, rollout.critic_stem)
    rows, seen = np.arange((steps - 1) * cars, steps * cars), rollout.last
    extra: dict[str, NDArray[Any]] = {
        "laps": rollout.laps,
        **{f"{_SECONDS}{name}": np.asarray(value, np.float64) for name, value in rollout.seconds.items()},
    }
    for name in _EXTRA_TENSORS:
        extra |= _array(name, getattr(rollout, name))
    if (cut := rollout.unjudged) is not None:
        rows, seen = np.concatenate([rows, cut.rows]), joined_seen([seen, cut.seen])
    else:
        extra |= {"values": rollout.values, "next_values": rollout.next_values}
        extra |= _array("last_values", rollout.last.values)
    if rollout.labels is not None:
        extra |= _array("labels", rollout.labels)
    return Batch(
        version=version,
        observation=_stems(rollout.actor_stem, None if one_stem else rollout.critic_stem),
        action=rollout.actions.numpy(),
        log_prob=rollout.log_probs.numpy(),
        reward=rollout.rewards,
        terminated=rollout.terminated,
        truncated=rollout.truncated,
        next_rows=rows,
        next_observation=_stems(seen.actor_stem, None if one_stem else seen.critic_stem),
        extra=extra,
        episodes=tuple(rollout.episodes),
    )


def to_rollout(batch: Batch, where: str = "a batch") -> Rollout:
    """Return what `to_batch` was given; where both networks see the same, as one stem.

    Args:
        where: how errors call it.

    Raises:
        FormatError: the batch holds something else than a rollout.
    """
    try:
        extra = _tensors(batch.extra)
        actor_stem, critic_stem = _both_stems(batch.observation)
        return Rollout(
            actor_stem=actor_stem,
            critic_stem=critic_stem,
            **_judgement(batch, extra),
            actor_memory=extra["actor_memory"],
            critic_memory=extra["critic_memory"],
            fresh=extra["fresh"],
            actions=torch.from_numpy(batch.action),
            log_probs=torch.from_numpy(batch.log_prob),
            rewards=batch.reward,
            terminated=batch.terminated,
            truncated=batch.truncated,
            episodes=list(batch.episodes),
            laps=extra["laps"].numpy(),
            seconds={
                name.removeprefix(_SECONDS): float(value) for name, value in extra.items() if name.startswith(_SECONDS)
            },
            labels=extra.get("labels"),
        )
    except (KeyError, TypeError) as error:
        raise FormatError(f"{where} holds no experience of this release of lateapex: {error}") from None


def _judgement(batch: Batch, extra: Mapping[str, Tensor]) -> dict[str, Any]:
    """The parts of a rollout that depend on whether a critic has judged it."""
    both = _both_stems(batch.next_observation)
    if "values" in extra:
        values = {name: extra[name].numpy() for name in ("values", "next_values")}
        return {**values, "last": Seen(*both, extra["last_values"])}
    cars, nothing = batch.reward.shape[1], np.zeros_like(batch.reward)
    seen = Seen(*both, torch.zeros(len(batch.next_rows)))
    return {
        "values": nothing,
        "next_values": nothing,
        "last": some_seen(seen, slice(cars)),
        "unjudged": Cut(batch.next_rows[cars:], some_seen(seen, slice(cars, None))),
    }


def _same(one: Stem, two: Stem) -> bool:
    """Whether two stems are one, or hold the same."""
    return one is two or (one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one))


def _stems(actor: Stem, critic: Stem | None) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for prefix, stem in ((_ACTOR, actor), (_CRITIC, critic or {})):
        for name, value in stem.items():
            arrays |= _array(f"{prefix}{name}", value)
    return arrays


def _both_stems(arrays: Arrays) -> tuple[Stem, Stem]:
    """The actor's and the critic's: one and the same where the critic's is not told apart."""
    found = _tensors(arrays)
    actor, critic = (
        {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
        for prefix in (_ACTOR, _CRITIC)
    )
    return actor, critic or actor


def _array(name: str, value: Tensor) -> dict[str, NDArray[Any]]:
    dense: Dense = to_arrays(value)
    return {name + (_BFLOAT16 if dense.is_bfloat16 else ""): dense.values}


def _tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {
        name.removesuffix(_BFLOAT16): to_tensors(Dense(array, name.endswith(_BFLOAT16)))
        for name, array in arrays.items()
    }
