"""The process of a sandboxed reward: a program of its own, begun by `sandbox.py` and never imported by it.

Reads frames from one pipe and answers each on another; ends when the pipe does. All modules that the file may need
are imported first, then the walls go up, and only then does the file run.
"""

from __future__ import annotations

import ast
import contextlib
import faulthandler
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

sys.path.insert(0, sys.argv[1])  # isolated from the user's own settings, Python does not know where lateapex is

from lateapex.env import sandbox_frames as frames
from lateapex.env import sandbox_walls as walls
from lateapex.env.reward import RewardFunction
from lateapex.env.reward_prints import Prints
from lateapex.errors import LateapexError

_KNOWN = frozenset(
    (
        "abc",
        "bisect",
        "cmath",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "heapq",
        "itertools",
        "json",
        "logging",
        "math",
        "numpy",
        "operator",
        "os",
        "pandas",
        "random",
        "re",
        "scipy",
        "shapely",
        "sklearn",
        "statistics",
        "string",
        "sys",
        "time",
        "traceback",
        "types",
        "typing",
        "warnings",
    )
)
"""Packages that are imported before the walls go up, where the file names them."""


def main(request: int, reply: int) -> None:
    """Serve until the pipe ends."""
    faulthandler.enable(2, all_threads=False)
    faulthandler.register(signal.SIGUSR1, 2, all_threads=False)
    walls.die_with_parent()
    asked = frames.receive(request)
    if asked is None:
        return
    setup, _ = asked
    prints = Prints()
    deeds: list[str] = []
    import_known(setup["text"])
    standing, missing = walls.raise_walls(setup["memory"])
    walls.watch_deeds(setup["source"], deeds.append)
    rewards = b""
    with _told(setup["source"]) as faults:
        served = RewardFunction(
            setup["text"],
            setup["source"],
            batched=setup["batched"],
            seed=setup["seed"],
            first_car=setup["first_car"],
            call_at_step_1=setup["call_at_step_1"],
            prints=prints,
        )
    seconds = 0.0 if faults else served.load_seconds
    answer: dict[str, Any] = {"walls": standing, "missing": missing, "load_seconds": seconds}
    roads: list[list[tuple[float, float]]] = []
    while True:
        printed, left_out = prints.fetch()
        answer |= {"error": [*deeds, *faults, ""][0], "printed": printed, "left_out": left_out}
        frames.send(reply, answer, rewards)
        asked = frames.receive(request)
        if asked is None:
            return
        answer, rewards = {}, b""
        with _told(setup["source"]) as faults:
            rewards = _step(served, *asked, roads).tobytes()


@contextlib.contextmanager
def _told(source: str) -> Iterator[list[str]]:
    """Turn whatever is raised into a line."""
    faults: list[str] = []
    try:
        yield faults
    except LateapexError as error:
        faults.append(str(error))
    except BaseException as error:  # the stranger may raise anything
        faults.append(f"{source}: reward_function raised {type(error).__name__}")


def import_known(text: str) -> None:
    """Import what a file names and is known to be harmless; what is missing is left for the file itself to miss."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            for name in _named(ast.parse(text)):
                if name.partition(".")[0] in _KNOWN:
                    with contextlib.suppress(ImportError):
                        importlib.import_module(name)


def _named(tree: ast.Module) -> dict[str, None]:
    """What may be a module among the names of a file, in order, each once."""
    nodes = list(ast.walk(tree))
    imports = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names = [alias.name for alias in imports]
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    # scipy loads scipy.stats when it is first used, which is too late here.
    called = {alias.asname or alias.name.partition(".")[0]: alias.name for alias in imports}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in called:
            names.append(f"{called[node.value.id]}.{node.attr}")
    return dict.fromkeys(names)


def _step(
    served: RewardFunction, header: dict[str, Any], raw: bytes, roads: list[list[tuple[float, float]]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rewards of one step."""
    arrays = frames.unpacked(header["arrays"], raw)
    roads += [[(x, y) for x, y in arrays.pop(name).tolist()] for name in header["new_roads"]]
    needed, episode = arrays.pop(" needed"), arrays.pop(" episode")
    shared = {**header["shared"], "waypoints": [roads[place] for place in header["road"]]}
    return served(arrays, shared, needed, episode)


if __name__ == "__main__":
    main(int(sys.argv[2]), int(sys.argv[3]))
    os._exit(0)  # what the stranger left to be done at the end is not done
