"""Things in pictures of moved, turned, leaning and other cameras, against rays through every sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_rays import SCENES, H, W, crowded, drawn, reference, without_things
from numpy.typing import NDArray

from lateapex.sim.simulator import Simulator
from lateapex.world.variation import PLACES, QUANTITIES, neutral

CAMERA = ("forward", "left", "height", "pitch_deg", "yaw_deg", "roll_deg", "field_of_view_deg")
UPRIGHT = tuple(name for name in CAMERA if name != "roll_deg")
FEW = 3
"""Levels."""


def cameras(share: float, *names: str) -> dict[str, NDArray[np.float64]]:
    """A camera for each car, somewhere within a share of the limits of what is named."""
    draw = np.random.default_rng(8)
    found = {}
    for name in CAMERA:
        item = QUANTITIES[PLACES[f"camera.{name}"]]
        values = draw.uniform(share * item.low, share * item.high, SCENES)
        found[name] = values if name in names else np.zeros(SCENES)
    found["height"] = np.abs(found["height"])  # the mount is 0.15 m above the ground, and walls are not much higher
    return found


def vary(simulator: Simulator, values: dict[str, NDArray[np.float64]]) -> None:
    drawn_values = neutral(SCENES)
    for name, each in values.items():
        drawn_values[f"camera.{name}"] = each
    drawn_values["picture.grain"] = 0.999999  # lets the pictures of all be drawn as varied ones
    simulator.vary_pictures(np.arange(SCENES), drawn_values, np.arange(SCENES, dtype=np.uint64))


def seen_by_rays(simulator, background, values, left=0.0):
    """What each car sees, `[N, H, W]` or coloured."""
    return np.stack([_by_rays(simulator, car, background[car], values, left) for car in range(SCENES)])


def _by_rays(simulator, car, background, values, left):
    of = {name: float(each[car]) for name, each in values.items()}
    mount = simulator.vehicle.camera
    moved = replace(
        mount,
        forward=mount.forward + of["forward"],
        height=mount.height + of["height"],
        pitch=mount.pitch + np.radians(of["pitch_deg"]),
        field_of_view=mount.field_of_view + np.radians(of["field_of_view_deg"]),
    )
    turn, roll = np.radians(of["yaw_deg"]), np.radians(of["roll_deg"])
    return reference(simulator, car, background, left + of["left"], mount=moved, turn=turn, roll=roll, whole=True)[0]


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(
    "names", [("forward", "left", "height"), ("pitch_deg",), ("yaw_deg",), ("field_of_view_deg",), UPRIGHT]
)
def test_999_of_1000_pixels_are_those_of_rays_from_where_each_camera_is(names: tuple[str, ...], colour: bool) -> None:
    simulator, traffic = crowded(colour)
    usual, values = drawn(simulator), cameras(0.6, *names)
    vary(simulator, values)
    background, pictures = without_things(simulator, traffic), drawn(simulator)
    expected = seen_by_rays(simulator, background, values)
    assert (expected == pictures).reshape(SCENES, H, W, -1).all(axis=-1).mean() >= 0.999
    assert (expected != background).reshape(SCENES, -1).any(axis=1).sum() >= 20  # there was something to see
    assert (usual != pictures).mean() > 0.3


def test_each_eye_of_two_that_are_moved_sees_things_from_its_own_place() -> None:
    eyes = (0.03, -0.03)
    simulator, traffic = crowded(eyes=eyes)
    values = cameras(0.6, *UPRIGHT)
    vary(simulator, values)
    background, pictures = without_things(simulator, traffic), drawn(simulator)
    for place, left in enumerate(eyes):
        expected = seen_by_rays(simulator, background[..., place], values, left)
        assert (expected == pictures[..., place]).mean() >= 0.999


@pytest.mark.parametrize("colour", [False, True])
def test_a_camera_that_leans_sees_things_lean_with_the_ground(colour: bool) -> None:
    simulator, traffic = crowded(colour)
    values = cameras(0.6, *CAMERA)
    vary(simulator, values)
    background, pictures = without_things(simulator, traffic), drawn(simulator)
    expected = seen_by_rays(simulator, background, values)
    assert (expected != background).reshape(SCENES, -1).any(axis=1).sum() >= 20
    # Turned pictures are mixed anew from their neighbours: each level lies between those that rays find around it.
    assert between_neighbours(pictures, expected).mean() >= 0.999
    wrong = seen_by_rays(simulator, background, {**values, "roll_deg": -values["roll_deg"]})
    assert between_neighbours(pictures, wrong).mean() < 0.98


def between_neighbours(pictures: NDArray[np.uint8], around: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each pixel is within a few levels of the range of the nine pixels there, `[N, H, W]`."""
    flat, near = (found.reshape(SCENES, H, W, -1).astype(int) for found in (pictures, around))
    padded = np.pad(near, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    nine = [padded[:, row : row + H, column : column + W] for row in range(3) for column in range(3)]
    inside = (flat >= np.min(nine, axis=0) - FEW) & (flat <= np.max(nine, axis=0) + FEW)
    return inside.all(axis=-1)
