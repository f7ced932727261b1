"""Kernels never reach beyond their arrays: the same code, compiled with bounds checks, drives and draws wild cars."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lateapex.sim

WILD = """
import numpy as np
from lateapex.sim.kernel import kernel
from lateapex.sim.simulator import Simulator
from lateapex.world.track import load_track, track_from_route

@kernel
def read(values, place):
    return values[place]

try:
    read(np.zeros(3), 3)
    raise SystemExit("bounds are not checked")
except IndexError:
    pass
along = np.linspace(0.0, 2.0, 9)
zero, half = np.zeros(9), np.full(9, 0.4)
tracks = [load_track("kidney"), track_from_route(np.column_stack([along, zero, along, half, along, -half]), "open")]
count = 300
for height, width in ((24, 32), (7, 5), (1, 1)):
    sim = Simulator(tracks, np.arange(count) % 2, height=height, width=width, threads=1)
    draw = np.random.default_rng(height)
    edges = np.concatenate([track.bounds for track in tracks])
    out = np.zeros((count, height, width), np.uint8)
    for scale in (1.0, 5.0, 1e3, 1e7, 1e300):
        x, y = scale * draw.standard_normal((2, count))
        x[::7] = draw.choice(edges, len(x[::7])) + draw.choice([-1.5, -0.9, 0.0, 0.9, 1.5], len(x[::7]))
        yaw = draw.uniform(-np.pi, np.pi, count)
        yaw[::5] = np.pi / 2.0 * draw.integers(-2, 3, len(yaw[::5]))
        x[1], y[2], yaw[3] = np.nan, np.inf, np.inf
        sim.place(np.arange(count), x, y, yaw)
        sim.render(out)
        for _ in range(3):
            sim.step(draw.uniform(-1e3, 1e3, count), draw.uniform(-1e9, 1e9, count), draw.random(count) < 0.1)
        sim.render(out)
print("all within bounds")
"""


def test_wild_poses_and_commands_stay_within_all_arrays(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    script = tmp_path / "wild.py"
    script.write_text(WILD)
    sources = b"".join(path.read_bytes() for path in sorted(Path(lateapex.sim.__path__[0]).glob("*.py")))
    # Checked kernels must not mix with the others, which are kept beside the sources.
    name = f"checked-kernels-{hashlib.sha256(sources).hexdigest()[:16]}"
    kept = request.config.cache.mkdir(name) if request.config.cache else tmp_path
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(kept)}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "all within bounds\n"
