"""What tests ask of any road: sound borders, bends that are wide enough, and a car that gets round."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import shapely  # type: ignore[import-untyped]  # ships no types

from lateapex.sim.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lateapex.world.track import Track


def assert_drivable(track: Track) -> None:
    """Constant width, equal steps, and borders that neither cross nor leave their order."""
    np.testing.assert_allclose(np.hypot(*(track.inner - track.outer).T), track.width, rtol=1e-9)
    np.testing.assert_allclose((track.inner + track.outer) / 2, track.center, atol=1e-9)
    assert np.diff(track.along).max() - np.diff(track.along).min() < 0.003
    inner, outer = shapely.Polygon(track.inner), shapely.Polygon(track.outer)
    assert inner.is_valid
    assert outer.is_valid
    assert outer.contains_properly(inner)
    assert outer.contains_properly(shapely.Polygon(track.center))
    assert shapely.Polygon(track.center).contains_properly(inner)


def assert_apart(track: Track) -> None:
    """No two places of the centre line are nearer than the width, but those less than half a circle of it apart."""
    points, step = track.center, track.length / len(track.center)
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    lags = np.abs(np.subtract.outer(range(len(points)), range(len(points))))
    lags = np.minimum(lags, len(points) - lags) if track.closed else lags
    assert distances[lags * step >= math.pi / 2 * track.width].min() >= track.width


def curvatures(track: Track) -> NDArray[np.float64]:
    """Turn per metre at each point of a loop with equal steps; left positive."""
    line = np.array([*track.waypoints, track.waypoints[1]])
    headings = np.unwrap(np.arctan2(*np.diff(line, axis=0).T[::-1]))
    return np.asarray(np.diff(headings) / (track.length / len(track.center)))


def follow(tracks: Sequence[Track], speed: float, seconds: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Drive along the centre lines, each car steering for a point 45 cm ahead of it.

    Returns:
        Lengths driven, as shares of a lap, or of an open track less its ends, at most 1; the fewest wheels that were
        on the road until then.
    """
    simulator = Simulator(tracks, range(len(tracks)), threads=1)
    cars, lengths = simulator.cars, np.array([track.length for track in tracks])
    poses = [track.pose_at(0.2 / track.length) for track in tracks]  # an open track has no road behind its start
    simulator.place(np.arange(len(tracks)), *np.array(poses).T)
    enough = np.array([track.length - (0.0 if track.closed else 0.8) for track in tracks])  # an end is for stopping
    begun, driven, fewest = cars["along"].copy(), np.zeros(len(tracks)), np.full(len(tracks), 4)
    going = np.full(len(tracks), speed)
    for _ in range(round(15 * seconds)):
        ahead = [track.pose_at((at + 0.45) / track.length) for track, at in zip(tracks, cars["along"], strict=True)]
        x, y, _ = np.array(ahead).T
        turn = np.arctan2(y - cars["y"], x - cars["x"]) - cars["yaw"]
        steering = np.clip(1.5 * np.arctan2(np.sin(turn), np.cos(turn)), -math.radians(30), math.radians(30))
        simulator.step(steering, going, np.zeros(len(tracks), np.bool_))
        driven += (cars["along"] - begun + lengths / 2) % lengths - lengths / 2
        begun = cars["along"].copy()
        going = np.where(driven < enough, speed, 0.0)
        fewest = np.where(going > 0, np.minimum(fewest, cars["wheels_on_road"]), fewest)
        if not going.any():
            break
    return np.minimum(driven / enough, 1.0), fewest
