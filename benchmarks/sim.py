"""How many steps with their pictures the simulator makes in a second, and where its time goes.

A frame is one step of one car: action, rules, physics, place on the track, reward, picture; a car whose episode ends
is put at its next start and drawn again within the same step, which is not counted as a frame. Actions are random, so
episodes are short and resets frequent. A car-step is physics and place on the track alone. The profile measures one
part at a time, on one thread.

    python benchmarks/sim.py --json sim.json
    python benchmarks/sim.py --only camera_frames
    python benchmarks/sim.py --only scenes
    python benchmarks/sim.py --only scene_draws
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from statistics import median
from typing import Any, ClassVar

import numpy as np
from harness import Quiet, median_of, parser, print_table, row, wait_for_idle, write_rows

from lateapex.env.racing import RacingTask
from lateapex.env.reward import load_reward
from lateapex.env.scenes import GivenScene, scenes_of

CARS = (1, 16, 64, 256)
THREADS = (1, 2)
SIZES = ((120, 160), (60, 80))
ACTIONS = 1024  # rows of random actions, used in turn
PROFILED = 64  # cars
SCENES = ("original", "mild", "sim2real")


def main() -> None:
    """Measure every combination."""
    made = parser("Frames a second of the simulator, resets included.")
    made.add_argument("--track", default="kidney", help="name of a track, or path of a route file")
    made.add_argument("--seconds", type=float, default=0.4, help="length of one run")
    made.add_argument("--runs", type=int, default=7, help="runs of which the median is taken")
    made.add_argument("--only", choices=PARTS, help="measure this alone")
    options = made.parse_args()
    quiet = wait_for_idle(timeout=options.timeout)
    rows = [found for name, part in PARTS.items() if options.only in (None, name) for found in part(options, quiet)]
    print_table(rows)
    if options.json:
        write_rows(options.json, rows)


def _camera_frames(options: argparse.Namespace, quiet: Quiet) -> list[dict[str, Any]]:
    """All numbers of cars at the usual size and in grey; smaller and coloured pictures for two of them."""
    plain = itertools.product(CARS, THREADS, SIZES[:1], (False,), ("builtin", "python"))
    others = [(SIZES[1], False), (SIZES[0], True), (SIZES[1], True)]
    more = [(cars, threads, *kind, "builtin") for cars in (64, 256) for threads in THREADS for kind in others]
    return [_frames(options, quiet, *case) for case in (*plain, *more)]


def _frames(
    options: argparse.Namespace,
    quiet: Quiet,
    cars: int,
    threads: int,
    size: tuple[int, int],
    colour: bool,
    reward: str,
) -> dict[str, Any]:
    task = _task(options, cars, threads, size, colour, reward)
    seconds = median_of(_stepper(task), runs=options.runs, seconds=options.seconds)
    return row(
        "camera_frames",
        cars / seconds,
        "frames/s",
        quiet,
        cars=cars,
        threads=threads,
        size=_name(size),
        colour="rgb" if colour else "grey",
        reward=reward,
        randomisation="none",
        track=task.tracks[0].name,
    )


def _task(
    options: argparse.Namespace,
    cars: int,
    threads: int,
    size: tuple[int, int],
    colour: bool,
    reward: str = "builtin",
    scene: GivenScene = "none",
) -> RacingTask:
    paid = load_reward("centre_line", batched=reward == "builtin")
    height, width = size
    sizes = {"height": height, "width": width, "colour": colour}
    task = RacingTask(options.track, cars, seed=1, threads=threads, reward=paid, scene=scene, **sizes)
    task.begin(np.arange(cars))
    return task


def _name(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _car_steps(options: argparse.Namespace, quiet: Quiet) -> list[dict[str, Any]]:
    """Physics and place on the track, without pictures, rules or rewards."""
    found = []
    for cars, threads in itertools.product(CARS, THREADS):
        simulator = _task(options, cars, threads, (1, 1), False).simulator
        draw = np.random.default_rng(7)
        steering, speed = draw.uniform(-0.5, 0.5, cars), draw.uniform(0.5, 3.0, cars)
        begun, held, turn = simulator.snapshot(), np.zeros(cars, np.bool_), itertools.count(1)

        def step() -> None:
            simulator.step(steering, speed, held)  # noqa: B023 - called before the loop goes on
            if next(turn) % 30 == 0:  # noqa: B023 - two seconds: cars that circle far from the road are no use
                simulator.restore(begun)  # noqa: B023 - as above

        seconds = median_of(step, runs=options.runs, seconds=0.5 * options.seconds)
        found.append(row("car_steps", cars / seconds, "car-steps/s", quiet, cars=cars, threads=threads))
    return found


def _profile(options: argparse.Namespace, quiet: Quiet) -> list[dict[str, Any]]:
    """Microseconds a frame of each part, on one thread."""
    found = []
    everyone = np.arange(PROFILED)
    for size, colour in itertools.product(SIZES, (False, True)):
        task = _task(options, PROFILED, 1, size, colour)
        whole = _stepper(task)
        actions = np.zeros(PROFILED, np.int64)
        simulator, pictures = task.simulator, task.pictures
        steering, speed, held = np.zeros(PROFILED), np.full(PROFILED, 1.0), np.ones(PROFILED, np.bool_)
        parts: dict[str, Callable[[], object]] = {
            "step with resets": whole,
            "pictures": lambda: simulator.render(pictures),  # noqa: B023 - called before the loop goes on
            "physics and place": lambda: simulator.step(steering, speed, ~held),  # noqa: B023 - as above
            "all of a step but resets": lambda: task.advance(actions),  # noqa: B023 - as above
            "reset with picture": lambda: task.begin(everyone),  # noqa: B023 - as above
        }
        for part, work in parts.items():
            task.begin(everyone)
            seconds = median_of(work, runs=options.runs, seconds=0.3 * options.seconds)
            kind = {"size": _name(size), "colour": "rgb" if colour else "grey", "cars": PROFILED, "threads": 1}
            found.append(row("profile", 1e6 * seconds / PROFILED, "us/frame", quiet, part=part, **kind))
    return found


def _stepper(task: RacingTask) -> Callable[[], None]:
    """One step of all cars, with resets."""
    actions = np.random.default_rng(7).integers(0, len(task.actions), (ACTIONS, task.simulator.count))
    places = itertools.cycle(range(ACTIONS))

    def step() -> None:
        _, terminated, truncated = task.advance(actions[next(places)])
        done = np.flatnonzero(terminated | truncated)
        if len(done):
            task.begin(done)

    return step


def _scenes(options: argparse.Namespace, quiet: Quiet) -> list[dict[str, Any]]:
    """What each scene leaves of the frames a second of `none`, in percent; on one thread.

    Runs of all scenes take turns, and each is set against the run of `none` beside it: others on the machine slow both.
    """
    found = []
    for cars in (64, 256):
        steps = {name: _stepper(_task(options, cars, 1, SIZES[0], False, scene=name)) for name in ("none", *SCENES)}
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(3 * options.runs + 1):
            for name, step in steps.items():
                start, calls = time.process_time(), 0
                while (passed := time.process_time() - start) < 0.25 * options.seconds:
                    step()
                    calls += 1
                taken[name].append(passed / calls)
        for name in SCENES:  # the first runs fill the caches
            left = median(plain / other for plain, other in zip(taken["none"][1:], taken[name][1:], strict=True))
            kind = {"cars": cars, "threads": 1, "size": _name(SIZES[0]), "colour": "grey", "randomisation": name}
            found.append(row("scene_frames", 100.0 * left, "% of none", quiet, **kind))
    return found


class Dusk:
    """A room in the evening: the scene class of docs/scenes.md."""

    base = "mild"
    car: ClassVar = {"grip": [0.6, 1.4]}

    def sample(self, rng: np.random.Generator, car: int, episode: int) -> dict[str, float]:
        """Draw how dark it is."""
        del car, episode
        dark = rng.uniform(0.25, 1.0)
        return {"light.red": dark, "light.green": dark, "light.blue": dark, "picture.noise": 2.0 / dark}


class Ranges:
    """The same without `sample`."""

    base = Dusk.base
    car = Dusk.car


def _scene_draws(options: argparse.Namespace, quiet: Quiet) -> list[dict[str, Any]]:
    """Microseconds of processor time in which the values of an episode are drawn, and in which one begins."""
    scenes: dict[str, GivenScene] = {"mild": "mild", "sim2real": "sim2real", "a class": Ranges, "with sample": Dusk}
    found = []
    for cars, (name, scene) in itertools.product((1, PROFILED), scenes.items()):
        task = _task(options, cars, 1, SIZES[0], False, scene=scene)
        drawn, everyone, numbers = scenes_of(scene), np.arange(cars), itertools.count()
        assert drawn is not None
        parts: dict[str, Callable[[], object]] = {
            "draw": lambda: drawn.draw(1, everyone, np.full(cars, next(numbers))),  # noqa: B023 - called at once
            "begin": lambda: task.begin(everyone),  # noqa: B023 - as above
        }
        for part, work in parts.items():
            seconds = median_of(work, runs=options.runs, seconds=0.5 * options.seconds, clock=time.process_time)
            kind = {"part": part, "cars": cars, "threads": 1, "size": _name(SIZES[0]), "colour": "grey"}
            found.append(row("scene_draws", 1e6 * seconds / cars, "us/episode", quiet, randomisation=name, **kind))
    return found


def _copies(options: argparse.Namespace, quiet: Quiet) -> list[dict[str, Any]]:
    """The floor: copying as many bytes as the pictures have, on one thread."""
    found = []
    for cars in CARS:
        source = np.random.default_rng(3).integers(0, 255, (cars, 120, 160), np.uint8)
        target = np.empty_like(source)
        seconds = median_of(
            lambda: np.copyto(target, source),  # noqa: B023 - called before the loop goes on
            runs=options.runs,
            seconds=0.2 * options.seconds,
        )
        kind = {"cars": cars, "threads": 1, "size": "160x120", "colour": "grey"}
        found.append(row("copy_floor", cars / seconds, "frames/s", quiet, **kind))
    return found


PARTS: dict[str, Callable[[argparse.Namespace, Quiet], list[dict[str, Any]]]] = {
    "camera_frames": _camera_frames,
    "car_steps": _car_steps,
    "profile": _profile,
    "scenes": _scenes,
    "scene_draws": _scene_draws,
    "copy_floor": _copies,
}


if __name__ == "__main__":
    main()
