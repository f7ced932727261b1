"""Planned laps are kept: one plan for each track, vehicle and planner, and no damage to the cache stops a run."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from lateapex.errors import StorageError
from lateapex.storage import MemoryStorage
from lateapex.world import planned_lap as module
from lateapex.world.planned_lap import lap_digest, planned_lap
from lateapex.world.raceline import Raceline
from lateapex.world.track import load_track
from lateapex.world.vehicle import Vehicle

OVAL, CAR = load_track("oval"), Vehicle()


@pytest.fixture
def planned(monkeypatch):
    """Laps asked of a planner that takes no time."""
    asked = []

    def plan(track, vehicle, *, start):
        asked.append((track.name, track.reversed, vehicle.name, start))
        numbers = {name: np.linspace(0.0, 1.0, 5) + place for place, name in enumerate(ARRAYS)}
        return Raceline(track, vehicle, start, "all", "held", 9.5, 11.0, 42, **numbers)

    monkeypatch.setattr(module, "drivable", plan)
    return asked


ARRAYS = ("way", "time", "x", "y", "yaw", "u", "v", "r", "joint", "steering", "throttle")


def assert_same(one, two):
    for item in fields(Raceline):
        ours, theirs = getattr(one, item.name), getattr(two, item.name)
        if item.name in ARRAYS:
            np.testing.assert_array_equal(ours, theirs)
        else:
            assert ours == theirs
            assert type(ours) is type(theirs)


def test_a_lap_is_planned_once_and_comes_back_as_it_was(planned):
    storage = MemoryStorage()
    first, again = (planned_lap(OVAL, CAR, storage) for _ in range(2))
    assert planned == [("oval", False, CAR.name, "flying")]
    assert_same(first, again)


def test_another_road_vehicle_or_direction_is_another_lap():
    others = [
        (OVAL.reverse(), CAR),
        (load_track("kidney"), CAR),
        (OVAL, replace(CAR, friction=0.5)),
        (replace(OVAL, outer=OVAL.outer + 1e-6), CAR),
        (replace(OVAL, closed=False), CAR),
    ]
    digests = {lap_digest(track, vehicle) for track, vehicle in [(OVAL, CAR), *others]}
    assert len(digests) == 6
    assert lap_digest(replace(OVAL, name="renamed"), CAR) in digests


def test_an_open_track_is_driven_from_rest(planned):
    planned_lap(load_track("sprint"), CAR, MemoryStorage())
    assert planned == [("sprint", False, CAR.name, "standing")]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off", b"no zip at all"])
def test_a_damaged_file_is_planned_anew_and_replaced(planned, damage):
    storage = MemoryStorage()
    lap = planned_lap(OVAL, CAR, storage)
    (name,) = storage.files
    storage.files[name] = damage
    assert_same(planned_lap(OVAL, CAR, storage), lap)
    assert len(planned) == 2
    planned_lap(OVAL, CAR, storage)
    assert len(planned) == 2


def test_a_cache_that_cannot_be_written_costs_no_run(planned):
    class Full(MemoryStorage):
        def write(self, name, data):
            raise StorageError("cannot write: No space left on device")

    assert planned_lap(OVAL, CAR, Full()).lap_time == 9.5
