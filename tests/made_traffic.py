"""Simulators with boxes and bot cars in their worlds, made for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from lateapex.sim.simulator import Simulator
from lateapex.sim.traffic import Traffic
from lateapex.world.bodies import body_place
from lateapex.world.lanes import INNER
from lateapex.world.track import Track, load_track

BOX = body_place("box_obstacle")


def busy_simulator(
    worlds: int = 1, things: int = 1, track: Track | None = None, **settings: Any
) -> tuple[Simulator, Traffic]:
    """Return worlds of one car each with room for so many things, which are brown boxes at the start line."""
    chosen = {"height": 24, "width": 32, "threads": 1, **settings}
    simulator = Simulator([track or load_track("oval")], np.zeros(worlds, np.int64), things=things, **chosen)
    assert simulator.traffic is not None
    simulator.traffic.others["kind"] = BOX
    put(simulator, 0.0)
    return simulator, simulator.traffic


def put(simulator: Simulator, along: Any, lane: Any = INNER, episode: int = 0) -> None:
    """Put the things of all worlds to m along the centre line."""
    assert simulator.traffic is not None
    worlds, spare = simulator.traffic.others.shape
    simulator.traffic.put(
        np.arange(worlds),
        track=np.zeros(worlds, np.int64),
        along=np.broadcast_to(along, (worlds, spare)),
        lane=np.broadcast_to(lane, (worlds, spare)),
        episode=np.full(worlds, episode),
    )


def stand(simulator: Simulator, steps: int = 1) -> None:
    """Let time pass while the cars are held."""
    for _ in range(steps):
        simulator.step(np.zeros(simulator.count), np.zeros(simulator.count), np.ones(simulator.count, np.bool_))
