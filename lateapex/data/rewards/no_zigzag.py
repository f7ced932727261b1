"""Stay near the centre line without zigzag: an example that AWS gives beginners, written anew from its description.

Pays as `centre_line` does (1, 0.5, 0.1, next to nothing, by the distance from the centre), a fifth less wherever the
steering angle is beyond 15 degrees to either side.
"""

import numpy as np

STEEP = 15.0  # degrees
KEPT = 0.8


def reward_function(params):
    share = params["distance_from_center"] / params["track_width"]
    pay = 1.0 if share <= 0.1 else 0.5 if share <= 0.25 else 0.1 if share <= 0.5 else 1e-3
    return pay * KEPT if abs(params["steering_angle"]) > STEEP else pay


def reward_batch(params):
    """The same for all cars at once."""
    share = params["distance_from_center"] / params["track_width"]
    pay = np.select([share <= 0.1, share <= 0.25, share <= 0.5], [1.0, 0.5, 0.1], 1e-3)
    return np.where(np.abs(params["steering_angle"]) > STEEP, pay * KEPT, pay)
