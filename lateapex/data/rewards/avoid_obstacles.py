"""Drive round obstacles: an example that AWS gives for object avoidance, written anew from its description.

Pays 1 for being between the borders (5 cm left) and 4 for the way ahead: all of it where the next obstacle is in the
other lane or further than 0.8 m, half within 0.8 m, a fifth within 0.5 m and nothing within 0.3 m. Without obstacles
on the track the way ahead is always free.
"""

import math

MARGIN = 0.05  # m, to the border
NEAR = ((0.3, 0.0), (0.5, 0.2), (0.8, 0.5))  # m to the obstacle ahead in the own lane, share that is paid


def reward_function(params):
    room = 0.5 * params["track_width"] - params["distance_from_center"]
    inside = 1.0 if params["all_wheels_on_track"] and room >= MARGIN else 1e-3
    return inside + 4.0 * max(way_ahead(params), 1e-3)


def way_ahead(params):
    """1 where it is free, less the nearer the next obstacle in the own lane is."""
    if not params["objects_location"]:
        return 1.0
    ahead = params["closest_objects"][1]
    if params["objects_left_of_center"][ahead] != params["is_left_of_center"]:
        return 1.0
    x, y = params["objects_location"][ahead]
    distance = math.hypot(x - params["x"], y - params["y"])
    return next((share for limit, share in NEAR if distance < limit), 1.0)
