"""Random actions for minutes over all race types, sensors, scenes and tracks: whether what must never happen did.

    python benchmarks/soak.py                  # 10 minutes, 100 episodes driven again; exit status 1 if any is wrong
    python benchmarks/soak.py --seconds 30 --replays 10

Counted as wrong: a number that is not finite in what the cars sense, do, are paid or are told; memory that grows after
the first third; an episode that comes out otherwise when it is driven again from its recipe.
"""

from __future__ import annotations

import gc
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from harness import parser
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lateapex.env.race_config import RaceConfig
from lateapex.env.racing import RacingTask
from lateapex.env.recorder import EpisodeRecorder
from lateapex.env.replay import Replay
from lateapex.formats.model_metadata import ModelMetadata, read_metadata
from lateapex.records import EpisodeRecord

CARS: Final = 4
STEPS: Final = 150  # of one task, before the next one is made
HOLD: Final = 12  # steps for which an action is held, on average: others even out, and the car stays on the road
GROWTH: Final = 0.03  # share of memory after the first third that may come on top
ROOM: Final = 24.0  # MB that may come on top whatever the share: the allocator's own to and fro

_TRACKS: Final = ("oval", "kidney", "chicane", "hairpin", "flowing", "folded", "narrow", "generated:hard:7")
_CAMERAS: Final = ("FRONT_FACING_CAMERA", "LEFT_CAMERA", "STEREO_CAMERAS", "observation")
_LIDARS: Final = (None, "LIDAR", "SECTOR_LIDAR", "DISCRETIZED_SECTOR_LIDAR")
_SCENES: Final = ("none", "original", "mild", "sim2real")
_RACES: Final[dict[str, dict[str, Any]]] = {
    "TIME_TRIAL": {},
    "OBJECT_AVOIDANCE": {"randomize_obstacle_locations": True},
    "HEAD_TO_BOT": {"randomize_bot_car_locations": True, "is_lane_change": True},
    "HEAD_TO_MODEL": {},
}
_RULES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"number_of_resets": 3, "enable_mercy_reset": True, "max_resets_after_crash": 1},
    {"number_of_resets": 100, "is_continuous": True, "number_of_trials": 2},
)


class Mix(NamedTuple):
    """What one task is made of."""

    track: str
    race_type: str
    rules: int
    camera: str
    lidar: str | None
    scene: str
    quirks: str
    continuous: bool
    seed: int

    def task(self, cars: int = CARS, first: int = 0) -> RacingTask:
        """Make it, or some cars of it."""
        kind = {"race_type": self.race_type, **_RACES[self.race_type], **_RULES[self.rules]}
        race = RaceConfig.model_validate(kind)
        return RacingTask(
            self.track,
            cars,
            metadata=self.metadata(),
            reward="centre_line",
            seed=self.seed,
            quirks=self.quirks,  # type: ignore[arg-type] # one of the two
            race=race,
            scene=self.scene,
            first_car=first,
            threads=1,
        )

    def metadata(self) -> ModelMetadata:
        """Sensors and actions."""
        ranges = {"steering_angle": {"low": -30.0, "high": 30.0}, "speed": {"low": 0.5, "high": 4.0}}
        listed = [{"steering_angle": angle, "speed": speed} for angle in (-30, -10, 0, 10, 30) for speed in (0.8, 2.5)]
        content = {
            "action_space": ranges if self.continuous else listed,
            "action_space_type": "continuous" if self.continuous else "discrete",
            "sensor": [self.camera, *([self.lidar] if self.lidar else [])],
            "version": "5",
        }
        return read_metadata(json.dumps(content), "soak")


class Kept(NamedTuple):
    """An episode that will be driven again: those of all cars of its world."""

    mix: Mix
    records: list[EpisodeRecord]


@dataclass
class Soak:
    """What was seen so far."""

    steps: int = 0
    episodes: int = 0
    tasks: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    """Tasks by what they were made of."""
    wrong: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    worlds: int = 0
    """Whole worlds' episodes among which `kept` was drawn."""
    memory: list[float] = field(default_factory=list)
    """MB after each task."""


def mixes(seed: int) -> Iterator[Mix]:
    """Yield mixes without end: each race type, camera, lidar, scene and track in turn, so that all meet each other."""
    draw = random.Random(seed)
    for number in itertools.count():
        yield Mix(
            track=_TRACKS[number % len(_TRACKS)],
            race_type=list(_RACES)[(number + number // len(_TRACKS)) % len(_RACES)],
            rules=number // len(_RACES) % len(_RULES),
            camera=draw.choice(_CAMERAS),
            lidar=draw.choice(_LIDARS),
            scene=draw.choice(_SCENES),
            quirks=draw.choice(("original", "fixed")),
            continuous=draw.random() < 0.5,
            seed=number,
        )


def soak(seconds: float, replays: int, seed: int = 0, clock: Callable[[], float] = time.monotonic) -> Soak:
    """Drive for so long, then drive some episodes again."""
    found, draw, end = Soak(), np.random.default_rng(seed), clock() + seconds
    for mix in mixes(seed):
        drive(mix, found, draw, replays)
        gc.collect()
        found.memory.append(resident())
        if clock() >= end and found.tasks >= len(_RACES):
            break
    for kept in found.kept:
        if difference := replayed(kept):
            found.wrong.append(difference)
    if (grown := growth(found.memory)) is not None:
        found.wrong.append(grown)
    return found


def drive(mix: Mix, found: Soak, draw: np.random.Generator, replays: int) -> None:
    """Drive one task at random, and look at every number."""
    task = mix.task()
    recorder, cars = EpisodeRecorder(task, "training"), np.arange(CARS)
    task.begin(cars)
    each = 1 if task.race is None else task.race.config.cars
    for value in (mix.track, mix.race_type, mix.camera, mix.lidar or "no lidar", mix.scene, mix.quirks):
        found.seen[value] = found.seen.get(value, 0) + 1
    actions = drawn(mix, draw)
    for _ in range(STEPS):
        anew = draw.random(CARS) < 1.0 / HOLD
        actions[anew] = drawn(mix, draw)[anew]
        task.advance(actions)
        if bad := not_finite(task):
            found.wrong.append(f"{bad} is not finite after {found.steps} steps: {mix}")
            return
        records = recorder.take()
        _keep(found, mix, records, each, draw, replays)
        task.begin(np.array([record.car for record in records], np.int64))
        found.steps += CARS
        found.episodes += len(records)
    found.tasks += 1


def drawn(mix: Mix, draw: np.random.Generator) -> NDArray[Any]:
    """Random actions of all cars."""
    return draw.uniform(-1.0, 1.0, (CARS, 2)) if mix.continuous else draw.integers(0, 10, CARS)


def _keep(found: Soak, mix: Mix, records: list[EpisodeRecord], each: int, draw: np.random.Generator, most: int) -> None:
    """Keep some episodes, each with the same chance, whenever it ends."""
    worlds: dict[int, list[EpisodeRecord]] = {}
    for record in records:
        worlds.setdefault(record.car // each, []).append(record)
    for mates in worlds.values():
        found.worlds += 1
        if len(found.kept) < most:
            found.kept.append(Kept(mix, mates))
        elif most and (place := int(draw.integers(found.worlds))) < most:
            found.kept[place] = Kept(mix, mates)


def not_finite(task: RacingTask) -> str | None:
    """Name of the first thing that is no number."""
    values: dict[str, Any] = {f"sensor {name}": seen for name, seen in task.observations.items()}
    for name in task.simulator.cars.dtype.names or ():
        values[f"car's {name}"] = task.simulator.cars[name]
    for name in ("x", "y", "yaw", "reward", "progress", "sim_time", "steering_angle", "speed"):
        values[f"row's {name}"] = task.rows[name]
    if task.simulator.traffic is not None:
        things = task.simulator.traffic.things
        values |= {f"thing's {name}": things[name] for name in ("x", "y", "yaw", "along", "speed")}
    return next((name for name, value in values.items() if not np.isfinite(value).all()), None)


def replayed(kept: Kept) -> str | None:
    """Drive an episode again; what differs, if anything."""
    recipes = [record.recipe for record in kept.records if record.recipe is not None]
    task = kept.mix.task(len(recipes), kept.records[0].car)
    again = Replay(task, recipes, "training").run()
    for was, now in zip(recipes, (record.recipe for record in again), strict=True):
        if now is None or (was.digest, was.seen) != (now.digest, now.seen):
            return (
                f"episode {was.episode} of car {kept.records[0].car} came out otherwise when driven again: {kept.mix}"
            )
    return None


def growth(memory: list[float]) -> str | None:
    """Say so if memory grew: the mean of the last third against that of the second, both after the warm-up."""
    third = len(memory) // 3
    if third < 2:
        return None
    middle, last = np.mean(memory[third : 2 * third]), np.mean(memory[2 * third :])
    if last - middle > max(GROWTH * middle, ROOM):
        return f"memory grew from {middle:.0f} to {last:.0f} MB"
    return None


def resident() -> float:
    """MB of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def show(found: Soak, seconds: float) -> None:
    """Print what was seen."""
    table = Table("what", "found", title=f"soak, {seconds:.0f} s")
    third = len(found.memory) // 3
    rows = [
        ("steps of cars", f"{found.steps:,}"),
        ("episodes", f"{found.episodes:,}"),
        ("tasks", f"{found.tasks:,}"),
        ("of each kind", ", ".join(f"{name} {count}" for name, count in sorted(found.seen.items()))),
        ("driven again", f"{len(found.kept)}"),
        (
            "memory, MB",
            f"{found.memory[0]:.0f} first, {found.memory[third]:.0f} after a third, {found.memory[-1]:.0f} last",
        ),
        ("wrong", f"{len(found.wrong)}"),
    ]
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
    for line in found.wrong:
        print(line)


def main() -> None:
    """Soak."""
    made = parser("Random actions over everything that there is.")
    made.add_argument("--seconds", type=float, default=600.0, help="for how long")
    made.add_argument("--replays", type=int, default=100, help="episodes to drive again")
    made.add_argument("--seed", type=int, default=0)
    options = made.parse_args()
    found = soak(options.seconds, options.replays, options.seed)
    show(found, options.seconds)
    if options.json:
        kept = {"steps": found.steps, "episodes": found.episodes, "replays": len(found.kept), "wrong": found.wrong}
        options.json.write_text(json.dumps({**kept, "memory_mb": found.memory}) + "\n")
    sys.exit(1 if found.wrong else 0)


if __name__ == "__main__":
    main()
