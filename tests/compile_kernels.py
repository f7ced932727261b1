"""Compile what most tests drive with, so that two processes which start together need not both do it.

python tests/compile_kernels.py
"""

from __future__ import annotations

import itertools
import json

import numpy as np
from made_tasks import random_actions

from lateapex.env.race_config import RaceConfig
from lateapex.env.racing import RacingTask
from lateapex.env.recorder import EpisodeRecorder
from lateapex.formats.model_metadata import read_metadata

RACES = (
    RaceConfig(race_type="OBJECT_AVOIDANCE", randomize_obstacle_locations=True),
    RaceConfig(race_type="HEAD_TO_BOT", is_lane_change=True),
    RaceConfig(),
)
EYES = (
    (["FRONT_FACING_CAMERA"], False),
    (["FRONT_FACING_CAMERA"], True),
    (["STEREO_CAMERAS", "LIDAR"], False),
)
"""Sensors, and whether their pictures are in colour."""


def drive(race: RaceConfig, scene: str, sensors: list[str], colour: bool) -> None:
    """Two steps of two cars."""
    actions = [{"steering_angle": 0, "speed": speed} for speed in range(1, 11)]
    metadata = read_metadata(json.dumps({"action_space": actions, "sensor": sensors, "version": "5"}), "made.json")
    task = RacingTask(["oval", "kidney"], 2, race=race, scene=scene, metadata=metadata, colour=colour, threads=1)
    recorder = EpisodeRecorder(task, "training")
    task.begin(np.arange(2))
    for row in random_actions(0, 2, 2):
        task.advance(row)
        recorder.take()


if __name__ == "__main__":
    for race, scene, eyes in itertools.product(RACES, ("none", "sim2real"), EYES):
        drive(race, scene, *eyes)
