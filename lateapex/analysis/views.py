"""What cameras see of a recorded drive: pictures redrawn from the poses of its rows, so that nobody has to keep any."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.simulator import Simulator
from lateapex.world.vehicle import Vehicle

if TYPE_CHECKING:
    from lateapex.world.track import Track

View: TypeAlias = Callable[[int], NDArray[np.uint8]]
"""From a row of an episode to a picture of the moment before its action, `[H, W]` or `[H, W, 3]`."""


def front_view(
    track: Track, steps: NDArray[Any], *, height: int = 120, width: int = 160, vehicle: Vehicle | None = None
) -> View:
    """Return what the front camera sees, grey `[H, W]`.

    At 160x120 it is what the model saw, but for a few pixels by a shade: a row tells the front point, from which the
    car's centre is found within the last digit.

    Args:
        steps: rows of `STEP_DTYPE`.
    """
    car = vehicle or Vehicle()
    simulator = Simulator([track], [0], vehicle=car, height=height, width=width, threads=1)
    first = np.zeros(1, np.int64)
    out = np.zeros((1, height, width), np.uint8)

    def view(row: int) -> NDArray[np.uint8]:
        x, y, yaw = (float(steps[name][row]) for name in ("x", "y", "yaw"))
        centre = x - car.front_point * np.cos(yaw), y - car.front_point * np.sin(yaw)
        simulator.place(first, *centre, yaw)
        simulator.render(out)
        picture: NDArray[np.uint8] = out[0].copy()
        return picture

    return view
