"""Stay near the centre line: the example that AWS gives beginners, written anew from its description.

Full pay within a tenth of the track's width from the centre, half within a quarter, a tenth up to the border, and
next to nothing beyond.
"""

import numpy as np


def reward_function(params):
    distance = params["distance_from_center"]
    width = params["track_width"]
    if distance <= 0.1 * width:
        return 1.0
    if distance <= 0.25 * width:
        return 0.5
    if distance <= 0.5 * width:
        return 0.1
    return 1e-3


def reward_batch(params):
    """The same for all cars at once."""
    share = params["distance_from_center"]
    width = params["track_width"]
    on_road = np.where(share <= 0.5 * width, 0.1, 1e-3)
    return np.where(share <= 0.1 * width, 1.0, np.where(share <= 0.25 * width, 0.5, on_road))
