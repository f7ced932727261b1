"""What is wrong in a reward function: what its text gives away, and what it does with states made up for it.

The file is run, in this process, as it is when training: only check what you would train with.
"""

from __future__ import annotations

import contextlib
import io
import re
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

import numpy as np

from lateapex.env.reward import RewardFunction
from lateapex.errors import RewardError
from lateapex.jobs.check_reward_text import check_text
from lateapex.jobs.findings import Finding
from lateapex.world.track import Track

SLOW: Final = 0.1
"""Seconds; a call that takes longer holds training up: there are 15 a second for each car."""
LIMIT: Final = 5.0
"""Seconds after which a call is given up."""

_HALF_WIDTH: Final = 0.08  # m, of the car


class Sample(NamedTuple):
    """A state made up for a check."""

    name: str
    params: dict[str, Any]
    """What differs from car to car, as arrays over one car."""


class _TooLongError(BaseException):
    """Not an Exception: a racer's own `except Exception` must not swallow it."""


def check_reward(
    text: str,
    file: str,
    track: Track,
    *,
    limit: float = LIMIT,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Finding]:
    """Find what is wrong in a reward file.

    Args:
        file: its name, for the findings.
        track: where the made states lie.
        limit: seconds after which a call, or loading, is given up.
    """
    found = check_text(text, file)
    if not any(finding.message.startswith("is not Python") for finding in found):
        quiet = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            warnings.simplefilter("ignore")
            blamed = {finding.line for finding in found if finding.severity == "error"}
            tried = [item for item in _trial(text, file, track, limit, clock) if item.line not in blamed]
        proven = {item.line for item in tried if item.message.startswith("reward_function returned")}
        found = [finding for finding in found if finding.line not in proven] + tried
    return found


def samples(track: Track) -> list[Sample]:
    """States of two episodes: a lap on both sides of the centre line to the finish, and one that leaves the track."""
    wide = track.width / 2
    return [
        Sample("the start", _state(track, along=0.01, progress=0.5, steps=2, speed=1.0)),
        Sample("left of the centre line", _state(track, along=0.3, left=0.5 * wide, progress=30.0, steps=60)),
        Sample("right of the centre line", _state(track, along=0.55, left=-0.5 * wide, progress=55.0, steps=110)),
        Sample("full steering", _state(track, along=0.7, progress=70.0, steps=140, angle=-30.0, speed=0.5)),
        Sample("the last metre", _state(track, along=0.98, progress=98.0, steps=198, speed=4.0)),
        Sample("the finish", _state(track, along=0.001, progress=100.0, steps=202, speed=4.0)),
        Sample("the next start", _state(track, along=0.5, progress=0.4, steps=2, angle=30.0)),
        Sample("two wheels off", _state(track, along=0.55, left=wide, progress=5.0, steps=12)),
        Sample("off the track", _state(track, along=0.57, left=-1.3 * wide - 0.1, progress=7.0, steps=16)),
    ]


def _state(
    track: Track,
    *,
    along: float,
    progress: float,
    steps: int,
    left: float = 0.0,
    angle: float = 0.0,
    speed: float = 2.0,
) -> dict[str, Any]:
    x, y, yaw = track.pose_at(along)
    before = int(np.searchsorted(track.along, along * track.length, side="right")) - 1
    values = {
        "all_wheels_on_track": abs(left) + _HALF_WIDTH <= track.width / 2,
        "x": x - left * np.sin(yaw),
        "y": y + left * np.cos(yaw),
        "heading": np.degrees(yaw),
        "distance_from_center": abs(left),
        "projection_distance": along * track.length,
        "progress": progress,
        "steps": float(steps),
        "speed": speed,
        "steering_angle": angle,
        "track_width": track.width,
        "track_length": track.length,
        "closest_waypoints": [before, min(before + 1, len(track.waypoints) - 1)],
        "closest_objects": [0, 0],
        "is_left_of_center": left > 0.0,
        "is_reversed": track.reversed,
        "is_offtrack": abs(left) - _HALF_WIDTH > track.width / 2,
        "is_crashed": False,
        "object_in_camera": False,
        "sim_time": steps / 15.0,
    }
    return {name: np.array([value]) for name, value in values.items()}


def _trial(text: str, file: str, track: Track, limit: float, clock: Callable[[], float]) -> Iterator[Finding]:
    """Load the file and call it; what is wrong at one line is told once."""
    told: set[tuple[int | None, str]] = set()
    for finding in _calls(text, file, track, limit, clock):
        if finding.message.startswith("IndexError"):
            road = f"the made states lie on {track.name}, which has {len(track.waypoints)} waypoints"
            finding = finding._replace(message=f"{finding.message.rstrip('.')}; {road}: give yours with --track")
        key = (finding.line, re.sub(r" in the sample '.*?'", "", finding.message))
        if key not in told:
            told.add(key)
            yield finding


def _calls(text: str, file: str, track: Track, limit: float, clock: Callable[[], float]) -> Iterator[Finding]:
    where = "while the file was loaded"
    slowest, slow_sample = 0.0, ""
    try:
        with _time_limit(limit):
            single = RewardFunction(text, file, batched=False)
            batched = RewardFunction(text, file) if "reward_batch" in text else None
        shared = {"waypoints": [track.waypoints]}
        for number, (name, params) in enumerate(samples(track)):
            where = f"in the sample '{name}'"
            begun = clock()
            with _time_limit(limit):
                reward, finding = _reward(single, file, name, params, shared)
            seconds = clock() - begun
            if number and seconds > slowest:  # the first call may import something
                slowest, slow_sample = seconds, name
            if finding is not None:
                yield finding
            elif batched is not None:
                with _time_limit(limit):
                    finding = _disagreement(batched, file, name, params, shared, reward)
                if finding is not None:
                    yield finding
    except RewardError as error:
        yield _told(error, file)
    except _TooLongError as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        message = f"did not come to an end within {limit:g} s, {where}; look for a loop that never ends"
        yield Finding("error", file, lines[-1] if lines else None, message)
    if slowest > SLOW:
        message = f"a call took {slowest:.2f} s, in the sample '{slow_sample}'; every car waits for 15 such a second"
        yield Finding("warning", file, None, f"{message}: move what does not change out of the function")


def _reward(
    function: RewardFunction, file: str, name: str, params: Mapping[str, Any], shared: Mapping[str, Any]
) -> tuple[float, Finding | None]:
    try:
        rewards = function(dict(params), shared, np.ones(1, np.bool_), np.zeros(1, np.int64))
    except RewardError as error:
        return 0.0, _told(error, file, name)
    return float(rewards[0]), None


def _disagreement(
    function: RewardFunction,
    file: str,
    name: str,
    params: Mapping[str, Any],
    shared: Mapping[str, Any],
    expected: float,
) -> Finding | None:
    reward, finding = _reward(function, file, name, params, shared)
    if finding is not None or np.isclose(reward, expected, rtol=1e-6, atol=1e-9):
        return finding
    message = f"reward_batch gives {reward:g} and reward_function {expected:g} in the sample '{name}'"
    return Finding("error", file, None, f"{message}; make them agree, or remove reward_batch")


def _told(error: RewardError, file: str, sample: str | None = None) -> Finding:
    """An error of the reward as a finding: the line apart, the sample's name in place of step and episode."""
    text = re.sub(r"\s*params: .*$", "", str(error).removeprefix(file), flags=re.DOTALL)
    text = re.sub(r",? at step \d+ of episode \d+", "" if sample is None else f" in the sample '{sample}'", text)
    match = re.match(r":(\d+): ", text)
    return Finding("error", file, int(match[1]) if match else None, text[match.end() :] if match else text.lstrip(": "))


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise _TooLongError in what runs longer; where no signals reach (other threads, Windows) there is no limit."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(_: int, __: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
