"""Advantages and returns from rewards and values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def gae(
    rewards: ArrayLike,
    values: ArrayLike,
    next_values: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    *,
    discount: float,
    lam: float,
) -> NDArray[np.float32]:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16).

    Args:
        rewards: `[T, N]`, of the step from state t.
        values: `[T, N]`, of state t.
        next_values: `[T, N]`, of the state that step t led to, before any restart; not used where terminated.
        terminated: `[T, N]`, step t ended the episode by a rule: nothing is gained beyond.
        truncated: `[T, N]`, step t was the last of a cut-off episode: its next value counts, the steps after it do not.
        discount: gamma.
        lam: lambda.

    Returns:
        `[T, N]` advantages; returns are advantages + values.
    """
    reward, value, following = (np.asarray(item, np.float32) for item in (rewards, values, next_values))
    over, cut = np.asarray(terminated, np.bool_), np.asarray(truncated, np.bool_)
    delta = reward + np.float32(discount) * np.where(over, np.float32(0.0), following) - value
    decay = np.where(over | cut, np.float32(0.0), np.float32(discount * lam))
    advantages: NDArray[np.float32] = np.empty(delta.shape, np.float32)
    carried = np.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        carried = delta[t] + decay[t] * carried
        advantages[t] = carried
    return advantages
