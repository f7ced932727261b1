"""What cameras see of a recorded drive: pictures redrawn from the poses of its rows, so that nobody has to keep any."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lateapex.analysis.pictures import JUMP
from lateapex.sim.simulator import Simulator
from lateapex.sim.spectator import Stage, centre_poses

if TYPE_CHECKING:
    from lateapex.world.track import Track
    from lateapex.world.vehicle import Vehicle

View: TypeAlias = Callable[[int], NDArray[np.uint8]]
"""From a row of an episode to a picture of the moment before its action, `[H, W]` or `[H, W, 3]`."""
ViewName: TypeAlias = Literal["chase", "front"]
"""A camera that follows the car, or the car's own. From above a film shows the track as a map already."""


def named_view(
    track: Track,
    steps: NDArray[Any],
    name: ViewName,
    height: int,
    width: int,
    *,
    vehicle: Vehicle,
    things: NDArray[Any] | None = None,
) -> View:
    """Return one of the views in colour, `[H, W, 3]`; rows are to be asked for in their order.

    Args:
        steps: rows of `STEP_DTYPE`.
        vehicle: the one that was driven.
        things: `[T, M]` of THING_DTYPE, what else was in its world before each step; nothing if not given.
    """
    if name == "front":
        return front_view(track, steps, vehicle=vehicle, height=height, width=width, colour=True, things=things)
    return _spectator_view(steps, Stage(track, view=name, height=height, width=width), vehicle, things)


def front_view(
    track: Track,
    steps: NDArray[Any],
    *,
    vehicle: Vehicle,
    height: int = 120,
    width: int = 160,
    colour: bool = False,
    things: NDArray[Any] | None = None,
) -> View:
    """Return what the front camera sees, grey `[H, W]`, or `[H, W, 3]` in colour.

    At 160x120 it is what the model saw, but for a few pixels: a row tells the front point, from which the car's centre
    is found within the last digit.

    Args:
        steps: rows of `STEP_DTYPE`.
        vehicle: the one that was driven; it says where the camera sits.
        things: see `named_view`.
    """
    count = 0 if things is None else things.shape[1]
    simulator = Simulator(
        [track], [0], vehicle=vehicle, height=height, width=width, colour=colour, threads=1, things=count
    )
    out = np.zeros((1, *simulator.picture_shape), np.uint8)
    car = np.zeros(1, np.int64)
    poses = _poses(steps, vehicle)

    def view(row: int) -> NDArray[np.uint8]:
        simulator.place(car, *poses[row])
        if things is not None and simulator.traffic is not None:
            simulator.traffic.others[0] = things[row]
            simulator.traffic.others["car"] = -1  # the simulator's only car is the one that looks
        simulator.render(out)
        picture: NDArray[np.uint8] = out[0].copy()
        return picture

    return view


def _spectator_view(steps: NDArray[Any], stage: Stage, vehicle: Vehicle, things: NDArray[Any] | None = None) -> View:
    poses, steering = _poses(steps, vehicle), np.radians(steps["steering_angle"])
    shown = 0

    def view(row: int) -> NDArray[np.uint8]:
        nonlocal shown
        if math.dist(poses[row, :2], poses[shown, :2]) > JUMP * max(row - shown, 1):
            stage.restart()  # the car was put back on the road
        seconds = float(steps["sim_time"][row] - steps["sim_time"][shown])
        shown = row
        # A row's pose is of its beginning, when the wheels still stood as the row before had asked.
        angle, around = steering[max(row - 1, 0)][None], None if things is None else things[row]
        return stage.draw(poses[row : row + 1], steering=angle, seconds=seconds, things=around)

    return view


def _poses(steps: NDArray[Any], vehicle: Vehicle) -> NDArray[np.float64]:
    return centre_poses(steps["x"], steps["y"], steps["yaw"], vehicle.front_point)
