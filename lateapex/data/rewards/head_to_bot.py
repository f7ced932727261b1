"""Overtake bot cars: an example for head-to-bot races, where what is ahead moves.

Pays the commanded speed on the road, less and less towards the border. What is left of it depends on the bot ahead in
the own lane: all while it takes longer than 1.5 s to reach it, then in proportion to that time. In the other lane the
way is free, so the car is paid for passing. Without bots it pays like `quick_laps`.
"""

import math

CAUTION = 1.5  # s
TOUCH = 0.4  # m between the two cars' centres when they touch


def reward_function(params):
    if not params["all_wheels_on_track"] or params["is_crashed"]:
        return 1e-3
    aside = 2.0 * params["distance_from_center"] / params["track_width"]
    return max(params["speed"] * (1.0 - aside**2) * min(seconds_to_bot(params) / CAUTION, 1.0), 1e-3)


def seconds_to_bot(params):
    """Until the car would touch the bot ahead in its lane, as fast as the two are now; infinite if it never will."""
    if not params["objects_location"]:
        return math.inf
    ahead = params["closest_objects"][1]
    closing = params["speed"] - params["objects_speed"][ahead]
    if params["objects_left_of_center"][ahead] != params["is_left_of_center"] or closing <= 0.0:
        return math.inf
    gap = (params["objects_distance"][ahead] - params["projection_distance"]) % params["track_length"]
    return max(gap - TOUCH, 0.0) / closing
