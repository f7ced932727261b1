"""Small batches of experience."""

from __future__ import annotations

import numpy as np

from lateapex.workers.batch_format import Batch


def made_batch(version: int = 1, steps: int = 3, cars: int = 2, numbers: int | None = None, seed: int = 0) -> Batch:
    """A batch of T steps and N cars; actions are places in a list, or as many numbers each as are asked for."""
    rng, shape = np.random.default_rng(seed), (steps, cars)
    return Batch(
        version=version,
        observation={"CAMERA": rng.integers(0, 256, (*shape, 4, 5, 1), dtype=np.uint8)},
        action=rng.integers(0, 9, shape) if numbers is None else rng.normal(size=(*shape, numbers)).astype(np.float32),
        log_prob=-rng.random(shape, dtype=np.float32),
        reward=rng.random(shape, dtype=np.float32),
        terminated=rng.random(shape) < 0.1,
        truncated=rng.random(shape) < 0.1,
        next_rows=np.arange(steps * cars - cars, steps * cars),
        next_observation={"CAMERA": rng.integers(0, 256, (cars, 4, 5, 1), dtype=np.uint8)},
        extra={"laps_driven": np.float64(0.25).reshape(()), "fresh": rng.random(shape) < 0.1},
    )
