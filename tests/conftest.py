"""Fixtures of the whole test set."""

from __future__ import annotations

import importlib
import os
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from made_absent import absent
from made_servers import bucket_url, object_store, redis_server, redis_url  # noqa: F401 - fixtures

import lateapex.registry

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# What is installed stays so, and to look takes a tenth of the time of a small run.
vars(lateapex.registry)["entry_points"] = cache(lateapex.registry.entry_points)

# How long an example takes says more of the machine than of what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Small networks are slower on more; a job that a test ran may have asked for more."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def _grounds_painted_once() -> None:
    """Painting the road is most of what making a task costs; tests of the painters call them themselves."""
    if "lateapex.sim.ground" in sys.modules:
        importlib.import_module("made_grounds").paint_once()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real DeepRacer files beside the project; where it is absent its tests skip, in CI they fail."""
    if not SHARED.is_dir():
        absent(f"NO REAL FILES AT {SHARED}: tests against real tracks and logs do not run")
    return SHARED
