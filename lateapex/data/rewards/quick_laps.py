"""Be fast and stay on the road: pays the commanded speed, less and less towards the border."""

import numpy as np


def reward_function(params):
    if not params["all_wheels_on_track"]:
        return 1e-3
    aside = 2.0 * params["distance_from_center"] / params["track_width"]
    return max(params["speed"] * (1.0 - aside**2), 1e-3)


def reward_batch(params):
    """The same for all cars at once."""
    aside = 2.0 * params["distance_from_center"] / params["track_width"]
    pay = np.maximum(params["speed"] * (1.0 - aside**2), 1e-3)
    return np.where(params["all_wheels_on_track"], pay, 1e-3)
