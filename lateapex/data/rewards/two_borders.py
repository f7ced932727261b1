"""Stay between the two borders: an example that AWS gives beginners, written anew from its description.

Pays 1 as long as all wheels are on the track and 5 cm are left to the border, wherever the car is between them, and
next to nothing otherwise: the car may find its own line, but learns more slowly than beside the centre.
"""

import numpy as np

MARGIN = 0.05  # m


def reward_function(params):
    room = 0.5 * params["track_width"] - params["distance_from_center"]
    return 1.0 if params["all_wheels_on_track"] and room >= MARGIN else 1e-3


def reward_batch(params):
    """The same for all cars at once."""
    room = 0.5 * params["track_width"] - params["distance_from_center"]
    return np.where(params["all_wheels_on_track"] & (room >= MARGIN), 1.0, 1e-3)
