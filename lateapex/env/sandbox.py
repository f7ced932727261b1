"""A stranger's reward function in a process of its own, behind walls.

`SandboxedReward` is called like a `RewardFunction` and pays the same, bit for bit: the same code runs the file there.
One round trip a step for all cars. Whatever the file does instead of paying (an endless loop, a fork, a look at other
files, the end of its process) ends in one RewardError that names it, and the process is killed.

`docs/rewards.md` says what the system enforces and what the interpreter does.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.env.reward_base import LIMIT, Reward
from lateapex.env.reward_prints import Prints
from lateapex.env.sandbox_frames import HEAD, MAGIC, frame, packed
from lateapex.errors import RewardError

_CHILD = Path(__file__).with_name("sandbox_child.py")
_LONGEST: Final = 1 << 22  # bytes of an answer's header
_STARTING: Final = 60.0  # s, to start Python and import what the file names
_SILENCE: Final = 0.5  # s in which a process that hangs may still say where


class Limits(NamedTuple):
    """What a sandboxed reward may take."""

    seconds: float = 10.0
    """For one step of all cars, and for loading the file; what the copies for further cars take is added."""
    memory: int = 1 << 30
    """Bytes, on top of what the interpreter and its packages take."""


class SandboxedReward(Reward):
    """A reward file in a process of its own.

    The process ends with `close`, with this object, and with the thread that made it.

    Args:
        limits: what it may take.
        others: as RewardFunction.

    Raises:
        RewardError: the file cannot be loaded, or does what the sandbox does not allow; or this is not Linux.
    """

    def __init__(
        self,
        text: str,
        source: str,
        *,
        batched: bool = True,
        seed: int = 0,
        first_car: int = 0,
        call_at_step_1: bool = False,
        prints: Prints | None = None,
        limits: Limits | None = None,
    ) -> None:
        if sys.platform != "linux":
            raise RewardError(f"a sandbox needs Linux, this is {sys.platform}; use a container, or leave --sandbox out")
        super().__init__(text, source, call_at_step_1=call_at_step_1, prints=prints)
        self._limits = limits = limits or Limits()
        self._fault = ""
        self._roads: dict[int, tuple[int, Any]] = {}  # by identity, which the reference keeps from being used again
        self._process, self._request, self._reply, folder = _start()
        pipes = self._request, self._reply
        self._end = weakref.finalize(self, _end, self._process, pipes, folder)
        setup = {
            "text": text,
            "source": source,
            "batched": batched,
            "seed": seed,
            "first_car": first_car,
            "call_at_step_1": call_at_step_1,
            "memory": limits.memory,
        }
        if prints is not None:
            prints.tick()
        answer, _ = self._ask(frame(setup), 0, _STARTING + limits.seconds)
        self.walls: list[str] = answer["walls"]
        """What the system enforces."""
        self.missing: list[str] = answer["missing"]
        """What it does not offer here."""
        self.load_seconds = min(float(answer["load_seconds"]), limits.seconds)
        self._loaded = 1  # cars whose copy of the file is there

    def __call__(
        self,
        params: Mapping[str, Any],
        shared: Mapping[str, Any],
        needed: NDArray[np.bool_],
        episode: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """See Reward.

        Raises:
            RewardError: as any reward; or it took too long, or did what the sandbox does not allow.
        """
        begun = time.perf_counter()
        count = len(needed)
        arrays: dict[str, NDArray[Any]] = {**params, " needed": needed, " episode": episode}
        fresh, road = self._roads_of(shared["waypoints"])
        arrays.update(fresh)
        kinds, raw = packed(arrays)
        header = {
            "arrays": kinds,
            "new_roads": list(fresh),
            "road": road,
            "shared": {name: items for name, items in shared.items() if name != "waypoints"},
        }
        if self.prints is not None:
            self.prints.tick()
        seconds = self._limits.seconds + 2.0 * self.load_seconds * max(count - self._loaded, 0)
        _, paid = self._ask(frame(header, raw), 8 * count, seconds)
        self._loaded = max(self._loaded, count)
        rewards = np.frombuffer(paid, np.float64).copy()
        if not (np.abs(rewards) <= LIMIT).all():
            self._stop(f"{self.source} wrote rewards of its own into the pipe of the sandbox")
        rewards[~needed] = 0.0
        self.calls += int(np.count_nonzero(needed))
        self.seconds += time.perf_counter() - begun
        return rewards

    def close(self) -> None:
        """End the process."""
        self._fault = self._fault or f"{self.source}: the sandbox is closed"
        self._end()

    def _roads_of(self, waypoints: list[Any]) -> tuple[dict[str, NDArray[Any]], list[int]]:
        """Waypoints that the process does not know yet, and each car's place among all."""
        fresh = {}
        for points in waypoints:
            if id(points) not in self._roads:
                place = len(self._roads)
                self._roads[id(points)] = place, points
                fresh[f" road {place}"] = np.array(points, np.float64).reshape(-1, 2)
        return fresh, [self._roads[id(points)][0] for points in waypoints]

    def _ask(self, asked: bytes, length: int, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Send a frame and wait for the answer, which has so many raw bytes where all went well."""
        if self._fault:
            raise RewardError(self._fault)
        until = time.monotonic() + seconds
        try:
            _write(self._request, asked, until)
            answer, raw = self._answer(length, until)
        except TimeoutError:
            given = f"{round(seconds, 1):g} s, which is all the sandbox gives"
            self._stop(f"{self._hanging_at()}: did not come back within {given}")
        except (EOFError, BrokenPipeError):
            self._stop(self._how_it_ended())
        except (ValueError, KeyError, TypeError):
            self._stop(f"{self.source} wrote something of its own into the pipe of the sandbox")
        printed = _plain(str(answer["printed"]))
        if self.prints is not None:
            self.prints.add_counted(printed, int(answer["left_out"]))
        elif printed:
            print(printed, end="")
        if error := str(answer["error"]):
            room = f"; the sandbox gives {self._limits.memory >> 20} MB" if "MemoryError" in error else ""
            self._stop(" ".join(_plain(error).split())[:2000] + room)
        return answer, raw

    def _answer(self, length: int, until: float) -> tuple[dict[str, Any], bytes]:
        head = _read(self._reply, HEAD.size, until)
        magic, text_length, raw_length = HEAD.unpack(head)
        if magic != MAGIC or text_length > _LONGEST or raw_length not in (0, length):
            raise ValueError
        answer = json.loads(_read(self._reply, text_length, until))
        raw = _read(self._reply, raw_length, until)
        if len(raw) != length and not answer["error"]:
            raise ValueError
        return answer, raw

    def _stop(self, fault: str) -> Any:
        """Kill the process; whoever calls again is told the same."""
        self._fault = fault
        self.close()
        raise RewardError(fault) from None

    def _hanging_at(self) -> str:
        """File and line at which the process hangs: its handler for the signal writes the stack."""
        try:
            self._process.send_signal(signal.SIGUSR1)
        except OSError:
            return self.source
        return self._place(_SILENCE)

    def _place(self, wait: float) -> str:
        """The innermost line of the file in a stack that the process wrote to its stderr."""
        assert self._process.stderr is not None
        pipe = self._process.stderr.fileno()
        text, until = "", time.monotonic() + wait
        pattern = re.compile(rf'File "{re.escape(self.source)}", line (\d+)')
        while len(text) < _LONGEST and not pattern.search(text):
            try:
                text += _read_some(pipe, 4096, until).decode(errors="replace")
            except (TimeoutError, EOFError):
                break
        found = pattern.search(text)
        return f"{self.source}:{found[1]}" if found else self.source

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(_SILENCE)
        except subprocess.TimeoutExpired:
            return f"{self.source} closed the pipe of the sandbox"
        if code < 0:
            return f"{self._place(_SILENCE)}: the process was ended by {signal.Signals(-code).name}"
        return f"{self.source}: the process ended itself, with exit code {code}"


def _start() -> tuple[subprocess.Popen[bytes], int, int, str]:
    """Begin the process; returns it, the pipe to it, the pipe from it, and its empty folder."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    folder = tempfile.mkdtemp(prefix="lateapex-")
    root = str(Path(__file__).parents[2])
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_CHILD), root, str(theirs_in), str(theirs_out)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(theirs_in, theirs_out),
            cwd=folder,
            env={"LANG": "C.UTF-8", **threads},
            start_new_session=True,
        )
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    assert process.stderr is not None
    for pipe in (ours_out, ours_in, process.stderr.fileno()):
        os.set_blocking(pipe, False)
    return process, ours_out, ours_in, folder


def _end(process: subprocess.Popen[bytes], pipes: tuple[int, ...], folder: str) -> None:
    """Kill the whole session, and leave nothing of it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with contextlib.suppress(OSError):
        Path(folder).rmdir()
    if process.stderr is not None:
        process.stderr.close()
    for pipe in pipes:
        os.close(pipe)


def _write(pipe: int, data: bytes, until: float) -> None:
    left = memoryview(data)
    while left:
        _wait(pipe, select.POLLOUT, until)
        left = left[os.write(pipe, left) :]


def _read(pipe: int, length: int, until: float) -> bytes:
    parts = b""
    while len(parts) < length:
        parts += _read_some(pipe, length - len(parts), until)
    return parts


def _read_some(pipe: int, length: int, until: float) -> bytes:
    _wait(pipe, select.POLLIN, until)
    part = os.read(pipe, min(length, 1 << 20))
    if not part:
        raise EOFError
    return part


def _wait(pipe: int, event: int, until: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(until - time.monotonic(), 0.0) * 1000.0):
        raise TimeoutError


def _plain(text: str) -> str:
    """Text without what would steer a terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)
