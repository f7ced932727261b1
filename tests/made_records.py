"""Records made for tests: short episodes with plain numbers."""

from __future__ import annotations

import numpy as np

from lateapex.records import STATUSES, STEP_DTYPE, EpisodeRecord, EvaluationRecord, UpdateRecord


def episode(number=0, length=3, phase="training", status="off_track", progress=None, car=0):
    """An episode whose values follow from its number: two of different number have no row in common."""
    steps = np.zeros(length, STEP_DTYPE)
    place = np.arange(length)
    steps["steps"] = place + 1
    steps["x"] = number + place / 8
    steps["y"] = number / 3
    steps["yaw"] = 0.1 * place
    steps["steering_angle"] = -15.0
    steps["speed"] = 0.5
    steps["action"] = 2
    steps["reward"] = np.where(place == 0, 0.0, 1.25)
    steps["done"] = place == length - 1
    steps["all_wheels_on_track"] = place < length - 1
    steps["progress"] = 0.79 + place
    steps["closest_waypoint"] = place
    steps["sim_time"] = 10.0 * number + place / 15
    steps["status"] = STATUSES.index("in_progress")
    steps["status"][0] = STATUSES.index("prepare")
    steps["status"][-1] = STATUSES.index(status)
    if progress is not None or status == "lap_complete":
        steps["progress"][-1] = 100.0 if status == "lap_complete" else progress
    steps["wall_clock"] = 1_700_000_000.5 + number + place / 4
    return EpisodeRecord(phase=phase, track="reinvent_base", track_length=17.709159380834848, car=car, steps=steps)


def update(iteration=1, **values):
    return UpdateRecord(
        **{
            "iteration": iteration,
            "steps": 1000 * iteration,
            "episodes": 4 * iteration,
            "mean_progress": 12.5 * iteration,
            "mean_reward": 20.25,
            "laps": 1,
            "finished": 4,
            "best_lap": None,
            "losses": {"policy_loss": -0.0109, "kl": 7e-07, "entropy": 2.25, "learning_rate": 0.0003},
            "seconds": {"collect": 0.5, "update": 1.5},
            **values,
        }
    )


def evaluation(iteration=1, **values):
    return EvaluationRecord(
        **{
            "iteration": iteration,
            "steps": 1000 * iteration,
            "laps_completed": 1,
            "trials": 2,
            "mean_progress": 60.5,
            "best_lap": 18.421,
            "is_best": True,
            **values,
        }
    )
