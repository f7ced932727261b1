"""What every benchmark shares: which machine, how quiet it is, how long work takes, where the numbers go.

A benchmark first waits for a quiet machine, then measures with `median_of`, makes a `row` of each number, and ends
with `print_table` and, where `--json FILE` is given, `write_rows`.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import platform
import statistics
import time
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lateapex.jobs.machine import processor_name
from lateapex.storage import DiskStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROC = Path("/proc")


@dataclass(frozen=True)
class Quiet:
    """How quiet the machine was before the measurement: during it, the load is the benchmark's own."""

    idle: bool
    """Whether both figures lay below the limit."""
    load: float
    """Mean number of running processes over the last minute."""
    others: float
    """Cores that other processes were using at that moment; NaN where the system does not tell."""


# -------------------------------------------------------------------------------------------------------- the machine


@cache
def machine() -> str:
    """Name processor, cores, Python, and the packages that do the arithmetic, in one line."""
    packages = [f"{name} {_version(name)}" for name in ("numpy", "numba", "torch")]
    return ", ".join([processor_name(), f"{os.cpu_count()} cores", f"Python {platform.python_version()}", *packages])


def load() -> float:
    """Return the mean number of running processes over the last minute."""
    return os.getloadavg()[0]


def others(window: float = 0.5, *, sleep: Callable[[float], None] = time.sleep, proc: Path = PROC) -> float:
    """Return how many cores other processes are using.

    Args:
        window: seconds between the two readings that are compared; the system counts in hundredths.
        sleep: waits that long.
        proc: where the kernel tells its figures.

    Returns:
        Cores, without this process and the children that it waited for; what a hypervisor gave to other machines
        counts as used. NaN where there is no /proc.
    """
    try:
        busy, own = _busy_seconds(proc), sum(os.times()[:4])
        sleep(window)
        used = _busy_seconds(proc) - busy - (sum(os.times()[:4]) - own)
    except OSError:
        return math.nan
    return max(0.0, used / window)


def look(limit: float) -> Quiet:
    """Judge the machine at this moment."""
    now, using = load(), others()
    return Quiet(idle=now < limit and not using >= limit, load=now, others=using)


def wait_for_idle(
    limit: float = 0.3,
    timeout: float = 180.0,
    *,
    look: Callable[[float], Quiet] = look,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Quiet:
    """Wait until load and use by other processes both lie below `limit`; after `timeout` seconds, say that they do not.

    The mean over a minute needs two minutes to forget two busy cores, hence the timeout of three.
    """
    end = clock() + timeout
    quiet = look(limit)
    if not quiet.idle and timeout > 0:
        print(f"waiting for load < {limit} (now {quiet.load:.2f}), at most {timeout:.0f} s", flush=True)
    while not quiet.idle and clock() < end:
        sleep(2.0)
        quiet = look(limit)
    if not quiet.idle:
        figures = f"load {quiet.load:.2f}, others use {quiet.others:.2f} cores"
        print(f"NOT IDLE: {figures}; the numbers below may be too low", flush=True)
    return quiet


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _busy_seconds(proc: Path) -> float:
    """Return the time that all cores have worked since the system started (proc(5), /proc/stat)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(ticks) for ticks in (proc / "stat").read_text().split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------------------ the stop-watch


def median_of(
    work: Callable[[], object],
    *,
    runs: int = 7,
    seconds: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return how many seconds a call of `work` takes: the median over `runs` runs, after one call that is not counted.

    Args:
        work: what is measured; the call before the first run compiles it and fills the caches.
        runs: how often.
        seconds: a run repeats `work` until this much time is over, and counts the mean of its calls.
        clock: seconds that never go back.
    """
    work()
    return statistics.median(_one_run(work, seconds, clock) for _ in range(runs))


def _one_run(work: Callable[[], object], seconds: float, clock: Callable[[], float]) -> float:
    start, calls, passed = clock(), 0, 0.0
    while calls == 0 or passed < seconds:
        work()
        calls += 1
        passed = clock() - start
    return passed / calls


class Stopwatch:
    """How the time of some work divides into parts.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        """By part."""
        self._clock = clock
        self._inner: list[float] = []

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Count the time of a method of one object from now on; what it spends in others that are watched is theirs."""
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def timed(*arguments: Any, **named: Any) -> Any:
            start = self._clock()
            self._inner.append(0.0)
            try:
                return plain(*arguments, **named)
            finally:
                passed = self._clock() - start
                self.seconds[part] = self.seconds.get(part, 0.0) + passed - self._inner.pop()
                if self._inner:
                    self._inner[-1] += passed

        setattr(owner, name, timed)


# ---------------------------------------------------------------------------------------------------------- the numbers


def parser(description: str) -> argparse.ArgumentParser:
    """Make a parser of the flags that every benchmark has: `--json FILE` and `--timeout SECONDS`."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, as a JSON list")
    made.add_argument(
        "--timeout", type=float, default=180.0, metavar="SECONDS", help="longest wait for a quiet machine"
    )
    return made


def row(what: str, value: float | None, unit: str, quiet: Quiet, **parameters: Any) -> dict[str, Any]:
    """Make one row: {what, value, unit, machine, load, others, idle, **parameters}; None: the goal was not reached.

    Raises:
        ValueError: the value is not a finite number, or a parameter has the name of a field.
    """
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{what} is {value}; a finite number is needed")
    using = quiet.others if math.isfinite(quiet.others) else None
    fields = {"what": what, "value": value, "unit": unit, "machine": machine()}
    fields |= {"load": round(quiet.load, 2), "others": using if using is None else round(using, 2), "idle": quiet.idle}
    taken = sorted(fields.keys() & parameters.keys())
    if taken:
        raise ValueError(f"{what} has a parameter called {taken[0]!r}, which is a field of every row; rename it")
    return fields | parameters


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows as one JSON list; the file is whole or as it was.

    Raises:
        StorageError: the place is full or read-only.
    """
    DiskStorage(path.parent).write(path.name, (json.dumps(rows, indent=1, allow_nan=False) + "\n").encode())


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print machine, load and the rows, as a Markdown table with a column for each parameter."""
    if not rows:
        print("no rows")
        return
    fixed = ("machine", "load", "others", "idle")
    places = (f"{r['machine']} · load {r['load']}{'' if r['idle'] else ', NOT IDLE'}" for r in rows)
    print("\n".join(dict.fromkeys(places)))
    names = list(dict.fromkeys(name for r in rows for name in r if name not in (*fixed, "value", "unit")))
    lines = [[*names, "value", "unit"]]
    lines += [[*(str(r.get(name, "")) for name in names), _short(r["value"]), r["unit"]] for r in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in [lines[0], ["-" * width for width in widths], *lines[1:]]:
        first, *rest = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        print("| " + " | ".join(cells) + " |")


def _short(value: float | None) -> str:
    if value is None:
        return "not reached"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
