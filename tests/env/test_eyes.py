"""Eyes of a model's own against the sensors of a task that has the same."""

import json

import numpy as np
from made_tasks import small_task

from lateapex.env.eyes import Eyes
from lateapex.env.race_config import RaceConfig
from lateapex.formats.model_metadata import default_metadata, read_metadata
from lateapex.world.vehicle import Vehicle

STEREO = {
    "action_space": [{"steering_angle": 0.0, "speed": 1.0}],
    "sensor": ["STEREO_CAMERAS", "LIDAR"],
    "version": "5",
}


def test_eyes_see_what_a_task_with_those_sensors_sees():
    """Pictures with the other car in them, and the lidar's noise and repeats, for the cars that have the eyes."""
    metadata = read_metadata(json.dumps(STEREO), "made.json")
    race = RaceConfig(race_type="HEAD_TO_MODEL", number_of_resets=3)
    shared = {"cars": 4, "race": race, "vehicle": Vehicle(), "height": 120, "width": 160, "seed": 3}
    direct = small_task("oval", metadata=default_metadata(), pictures=False, direct=True, **shared)
    task = small_task("oval", metadata=metadata, **shared)
    cars = np.array([1, 2])
    eyes = Eyes(direct, cars, metadata, vehicle=Vehicle(), threads=1)
    for one in (direct, task):
        one.begin(np.arange(4))
    for _ in range(8):
        seen = eyes.look()
        for name in ("STEREO_CAMERAS", "LIDAR"):
            assert np.array_equal(seen[name], task.observations[name][cars]), name
        direct.advance(np.tile([0.0, 1.0], (4, 1)))
        task.advance(np.zeros(4, int))
    assert direct.simulator.cars.tobytes() == task.simulator.cars.tobytes()
    assert seen["STEREO_CAMERAS"].std() > 5.0


def test_commands_as_numbers_are_clipped_for_the_car_alone():
    task = small_task("oval", cars=1, pictures=False, direct=True)
    told = task.actions.commands([[45.0, 9.0]], 1)
    assert (told.place[0], told.steering_angle[0], told.speed[0], told.throttle[0]) == (-1, 45.0, 9.0, 4.0)
    assert told.steering[0] == np.radians(30.0)
