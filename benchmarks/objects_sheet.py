"""A sheet of what cars see of boxes, bots and each other: 24 scenes, to be looked at.

python benchmarks/objects_sheet.py --out objects.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lateapex.env.race_config import OBSTACLE_TYPES, RaceConfig
from lateapex.env.racing import RacingTask
from lateapex.env.reward_base import Unpaid
from lateapex.env.starts import StartPoses
from lateapex.sim.traffic import NOTHING

SCENES: Final = 24
COLUMNS: Final = 6
_WIDE, _TALL, _EDGE, _WORDS = 240, 180, 10, 22  # pixels
_TRACKS: Final = ("kidney", "oval", "hairpin", "flowing", "chicane", "folded", "narrow", "generated:hard:7")


def race_of(number: int) -> RaceConfig:
    """Each kind of box, standing cars, bots and other cars in turn."""
    kind = number % 6
    if kind < len(OBSTACLE_TYPES):
        places = {
            "number_of_obstacles": 12,
            "min_distance_between_obstacles": 0.8,
            "randomize_obstacle_locations": True,
        }
        return RaceConfig.model_validate(
            {"race_type": "OBJECT_AVOIDANCE", "obstacle_type": OBSTACLE_TYPES[kind], **places}
        )
    if kind == 5:
        return RaceConfig(race_type="HEAD_TO_MODEL", cars_per_world=3)
    moving: dict[str, Any] = {"number_of_bot_cars": 12, "min_distance_between_bot_cars": 0.8}
    return RaceConfig.model_validate(
        {"race_type": "HEAD_TO_BOT", **moving, "randomize_bot_car_locations": True, "is_lane_change": kind == 4}
    )


def scene(number: int) -> tuple[str, Image.Image]:
    """One picture of a car's camera in colour, and what it shows."""
    race, track = race_of(number), _TRACKS[number % len(_TRACKS)]
    cars = race.cars
    task = RacingTask(track, cars, race=race, reward=Unpaid(), seed=number, colour=True, threads=1)
    task.begin(np.arange(cars))
    if cars == 1:
        pixels = _behind_a_thing(task, number)
    else:
        ahead = 0.1 + np.array([0.0, 0.8, 1.5]) / task.lengths[0]
        poses = StartPoses(ahead, np.array([0.0, 0.15, -0.2]), np.array([0.0, 0.2, -0.1]))
        task.simulator.place_on_line(np.arange(3), *poses)
        pixels = task.simulator.colour_picture(0)
    picture = Image.fromarray(pixels).resize((_WIDE, _TALL), Image.Resampling.BICUBIC)
    name = race.obstacle_type if race.race_type == "OBJECT_AVOIDANCE" else race.race_type
    return f"{number + 1} {track}: {name}", picture


def _behind_a_thing(task: RacingTask, number: int) -> NDArray[np.uint8]:
    """What the car sees from behind the first thing that then fills some of its picture, at another angle each time."""
    traffic = task.simulator.traffic
    assert traffic is not None
    others = traffic.others[0].copy()
    aside, turn = np.array([0.1 * (number % 3 - 1)]), np.array([0.06 * (number % 5 - 2)])
    for along in np.roll(others["along"], number):
        before = (along - 0.8 - 0.15 * (number % 5)) / task.lengths[0]
        task.simulator.place_on_line(np.arange(1), np.array([before]), aside, turn)
        seen = task.simulator.colour_picture(0)
        traffic.others["kind"] = NOTHING
        empty = task.simulator.colour_picture(0)
        traffic.others[0] = others
        share = float((seen != empty).any(axis=2).mean())
        if 0.02 < share < 0.3:
            break
    return seen


def sheet() -> Image.Image:
    """All scenes in rows."""
    rows = SCENES // COLUMNS
    size = COLUMNS * (_WIDE + _EDGE) + _EDGE, rows * (_TALL + _WORDS + _EDGE) + _EDGE
    whole = Image.new("RGB", size, "#10151c")
    draw = ImageDraw.Draw(whole)
    for number in range(SCENES):
        row, column = divmod(number, COLUMNS)
        left, top = _EDGE + column * (_WIDE + _EDGE), _EDGE + row * (_TALL + _WORDS + _EDGE)
        words, picture = scene(number)
        draw.text((left, top + 4), words, "#f2f5f8")
        whole.paste(picture, (left, top + _WORDS))
    return whole


def main() -> None:
    """Write the sheet."""
    made = argparse.ArgumentParser(description="What cars see of boxes, bots and each other.")
    made.add_argument("--out", type=Path, default=Path("objects.png"), help="the picture")
    options = made.parse_args()
    sheet().save(options.out)
    print(options.out)


if __name__ == "__main__":
    main()
