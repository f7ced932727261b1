"""What makes this machine slow, or what it lacks, and what to type about it.

Nothing is changed; the simulator is compiled if it was not yet, as a run would do.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from lateapex.errors import LateapexError
from lateapex.jobs.machine import processor_name

if TYPE_CHECKING:
    import torch

Mark = Literal["ok", "slow", "missing"]

CPU_TORCH: Final = "pip install --force-reinstall --no-deps --index-url https://download.pytorch.org/whl/cpu torch"

_SHOWN: Final = ("numpy", "numba", "gymnasium", "pydantic")  # packages whose versions a report of a fault needs
_CARS: Final = 64
_TRACK: Final = "kidney"
_SIZE: Final = 512  # rows of the multiplied matrices
_FRAMES: Final = 3000  # a second and core; below it a run takes several times as long as it should
_PRODUCTS: Final = 10.0  # billion operations a second and core, likewise
_FREE_BYTES: Final = 2e9  # room for about a hundred runs


class Diagnosis(NamedTuple):
    """One finding."""

    mark: Mark
    what: str
    detail: str
    fix: str = ""
    """What to type or to do; empty where all is well."""


def diagnose(
    folder: str = "runs",
    *,
    seconds: float = 2.0,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Diagnosis]:
    """Look at one thing after the other, the slow ones last; each finding comes as soon as it is known.

    Args:
        folder: where runs go.
        seconds: time for measuring.
        environ: environment variables.
        clock: gives seconds, to measure speed.
    """
    cores = usable_cores()
    yield Diagnosis("ok", "Python", f"{platform.python_version()}, {sys.executable}")
    yield from _packages()
    yield from _processor(cores)
    yield from _threads(environ)
    yield _disk(Path(folder))
    yield from _kernels()
    yield from _frames(cores, seconds / 2, clock)
    yield from _products(cores, seconds / 4, clock)


def usable_cores(root: Path = Path("/")) -> float:
    """Cores that this process may use: those it is bound to, or its container's share if that is less."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text().split()
        share = float(quota) / float(period)
    except (OSError, ValueError):  # no container, or "max": all of them
        return float(bound)
    return min(share, float(bound))


def _packages() -> Iterator[Diagnosis]:
    try:
        needed = metadata.requires("lateapex") or []
        own = metadata.version("lateapex")
    except metadata.PackageNotFoundError:
        yield Diagnosis("missing", "lateapex", "runs from its sources, not installed", "pip install -e .")
        return
    extras: dict[str, list[str]] = {}
    for requirement in needed:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        marker = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
        extras.setdefault(marker[1] if marker else "", []).append(name)
    versions = ", ".join(f"{name} {_version(name)}" for name in _SHOWN if _version(name))
    yield Diagnosis("ok", "lateapex", f"{own}, with {versions}")
    yield from (
        Diagnosis("missing", name, "is needed and not installed", f"pip install {name}")
        for name in extras.pop("", [])
        if not _version(name)
    )
    yield _torch()
    for extra, names in sorted(extras.items()):
        if "lateapex" not in names:  # that would be a bundle of others
            yield _extra(extra, [name for name in names if not _version(name)])


def _extra(extra: str, absent: list[str]) -> Diagnosis:
    purpose = ", for work on lateapex itself" if extra == "dev" else ""
    if absent:
        detail = f"lacks {', '.join(absent)}{purpose}"
        return Diagnosis("missing", f"extra {extra}", detail, f"pip install 'lateapex[{extra}]'")
    return Diagnosis("ok", f"extra {extra}", f"is installed{purpose}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _torch() -> Diagnosis:
    try:
        import torch
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0]
        return Diagnosis("missing", "torch", f"cannot be imported: {reason}", CPU_TORCH)
    return _torch_build(torch.__version__, torch.version.cuda or getattr(torch.version, "hip", None))


def _torch_build(version: str, gpu: str | None) -> Diagnosis:
    if gpu is None:
        return Diagnosis("ok", "torch", f"{version}, built for processors")
    detail = f"{version} is built for GPUs, which nothing here uses: several GB larger and slower to start"
    return Diagnosis("slow", "torch", detail, CPU_TORCH)


def _processor(cores: float) -> Iterator[Diagnosis]:
    there = os.cpu_count() or 1
    yield Diagnosis("ok", "processor", f"{processor_name()}, {there} core{'s' if there > 1 else ''}")
    if cores < there:
        detail = f"{cores:g} of {there} cores may be used, while threads are counted by all: they wait for each other"
        number = max(int(cores), 1)
        fix = f"give the container {there} cores, or train from Python with threads={number}, torch_threads={number}"
        yield Diagnosis("slow", "cores", detail, fix)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5 * cores:
        yield Diagnosis("slow", "load", f"other programs want {load:.1f} of {cores:g} cores", "see which: top")
    else:
        yield Diagnosis("ok", "load", f"{load:.1f}, the machine is quiet")


def _threads(environ: Mapping[str, str]) -> Iterator[Diagnosis]:
    policy = environ.get("OMP_WAIT_POLICY", "")
    if policy.upper() == "PASSIVE":
        yield Diagnosis("ok", "OMP_WAIT_POLICY", "PASSIVE, threads that wait sleep")
    else:
        found = policy or "not set"
        detail = f"{found}, threads that wait keep cores busy: up to 3 times slower beside other programs"
        yield Diagnosis("slow", "OMP_WAIT_POLICY", detail, "export OMP_WAIT_POLICY=PASSIVE")


def _disk(folder: Path) -> Diagnosis:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    told = f"{free / 1e9:.1f} GB free for {folder}/"
    if not os.access(place, os.W_OK):
        return Diagnosis(
            "missing", "disk", f"{place} cannot be written", "write elsewhere: lateapex train --out FOLDER"
        )
    if free < _FREE_BYTES:
        fix = "free some: lateapex runs list, then lateapex runs prune RUN or lateapex runs delete RUN"
        return Diagnosis("missing", "disk", told, fix)
    return Diagnosis("ok", "disk", told)


def _kernels() -> Iterator[Diagnosis]:
    """Whether the simulator was compiled before, and where that is kept."""
    try:
        import lateapex.sim.simulator  # noqa: F401 - its kernels say where they are kept
    except (ImportError, RuntimeError) as error:  # numba raises the latter where it finds no place
        reason = str(error).splitlines()[0]
        yield Diagnosis("missing", "kernels", f"cannot be kept: {reason}", "export NUMBA_CACHE_DIR=$HOME/.cache/numba")
        return
    places = sorted({Path(kernel.stats.cache_path) for kernel in _all_kernels()})
    kept = sum(1 for place in places for _ in place.glob("*.nbi"))
    where = ", ".join(map(str, places))
    blocked = [place for place in places if place.exists() and not os.access(place, os.W_OK)]
    if kept:
        yield Diagnosis("ok", "kernels", f"are compiled and kept in {where}")
    elif blocked:
        fix = "export NUMBA_CACHE_DIR=$HOME/.cache/numba"
        yield Diagnosis("slow", "kernels", f"are compiled anew for each run: {blocked[0]} cannot be written", fix)
    else:
        detail = f"were not compiled yet, or the program changed; they will be kept in {where}"
        yield Diagnosis("slow", "kernels", detail, "wait a minute now, or at the start of the next run")


def _all_kernels() -> Iterator[Any]:
    modules = [module for name, module in sys.modules.items() if name.startswith("lateapex.sim.")]
    for module in modules:
        for item in vars(module).values():
            if getattr(getattr(item, "stats", None), "cache_path", None):
                yield item


def _frames(cores: float, seconds: float, clock: Callable[[], float]) -> Iterator[Diagnosis]:
    """Drive for a while as training does, without learning."""
    try:
        rate = frames_per_second(seconds, clock)
    except (ImportError, OSError, RuntimeError, LateapexError) as error:
        reason = str(error).splitlines()[0]
        yield Diagnosis("missing", "simulator", f"does not run: {reason}", "mend what is said above, or reinstall")
        return
    told = f"{rate:,.0f} frames/s with {_CARS} cars on {_TRACK}"
    if rate < _FRAMES * cores:
        expected = f"{_FRAMES * cores:,.0f} or more are usual for {cores:g} core{'s' if cores != 1 else ''}"
        yield Diagnosis("slow", "simulator", f"{told}; {expected}", "end what else runs (top), and plug in a laptop")
    else:
        yield Diagnosis("ok", "simulator", told)


def frames_per_second(seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Camera pictures a second of a full racing task: physics, rules, reward and drawing; compiling not counted."""
    import numpy as np

    from lateapex.env.racing import RacingTask

    task = RacingTask(_TRACK, _CARS)
    task.begin(np.arange(_CARS))
    actions = np.arange(_CARS) % len(task.actions)
    task.advance(actions)  # compiles
    steps, begun = 0, clock()
    while True:
        _, terminated, truncated = task.advance(actions)
        steps += 1
        if (done := np.flatnonzero(terminated | truncated)).size:
            task.begin(done)
        if (passed := clock() - begun) >= seconds:
            return steps * _CARS / passed


def _products(cores: float, seconds: float, clock: Callable[[], float]) -> Iterator[Diagnosis]:
    """Multiply matrices, which is what networks take their time for."""
    try:
        import torch
    except (ImportError, OSError):  # told above
        return
    single, half = (_product_rate(torch, kind, seconds, clock) for kind in (torch.float32, torch.bfloat16))
    told = f"{single:,.0f} billion operations/s on {torch.get_num_threads()} threads"
    if single < _PRODUCTS * cores:
        fix = "end what else runs (top); take the small network: lateapex train --network lean"
        yield Diagnosis("slow", "float32", f"{told}; {_PRODUCTS * cores:,.0f} or more are usual", fix)
    else:
        yield Diagnosis("ok", "float32", told)
    told = f"{half / single:.1f} times as fast as float32 ({torch.backends.cpu.get_cpu_capability()})"
    if half < 1.2 * single:
        fix = "leave --precision at auto, and take the small network: lateapex train --network lean"
        yield Diagnosis("slow", "bfloat16", f"{told}: the processor has no instructions for it", fix)
    else:
        yield Diagnosis("ok", "bfloat16", told)


def _product_rate(torch_: Any, kind: torch.dtype, seconds: float, clock: Callable[[], float]) -> float:
    """Billions of multiplications and additions a second."""
    one = torch_.ones(_SIZE, _SIZE, dtype=kind)
    one @ one  # the first call prepares
    count, begun = 0, clock()
    while True:
        one @ one
        count += 1
        if (passed := clock() - begun) >= seconds:
            return 2.0 * _SIZE**3 * count / passed / 1e9
