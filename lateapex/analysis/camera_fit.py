"""Where a camera was when it took a picture of a known track: a search over the whole lap, then ever smaller steps.

Candidates are drawn by the simulator's own kernels, coarse pictures first. An error is the mean difference of grey
levels, each pixel's cut off at `CUT`, so that a few wrong edges do not outweigh a whole surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.camera import draw, scratch_for, view_of
from lateapex.sim.ground import Ground, paint_grounds
from lateapex.sim.state import STATE_DTYPE
from lateapex.world.scene import Scene
from lateapex.world.track import Track
from lateapex.world.vehicle import CameraMount

CUT: Final = 60.0
"""Grey levels beyond which a pixel is just wrong."""

_COARSE = 4  # pixels of a picture along each side of one in the search
_SPACING = 0.12  # m along the lap
_ASIDE = np.linspace(-0.8, 0.8, 7)  # of half the width
_TURNED = np.linspace(-0.7, 0.7, 15)  # rad
_BATCH = 2000  # poses drawn at once
_SEEDS = 40  # best poses of the search, from which the small steps start
_STEPS = (0.08, 0.04, 0.02, 0.01, 0.005, 0.0025, 0.001)  # m; times 0.75 rad
_AROUND = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)], np.float64)
_PITCHES = np.linspace(-0.006, 0.006, 7)  # rad, tried about the mount's

Floats = NDArray[np.float64]


class Fit(NamedTuple):
    """Where the lens was."""

    track: Track
    pose: Floats
    """`[3]` x, y in m of the lens itself, yaw in rad"""
    error: float
    """Mean of the cut differences, grey levels"""


class Lens:
    """Draws what a lens sees of one track, from any number of poses."""

    def __init__(self, ground: Ground, mount: CameraMount, size: tuple[int, int]) -> None:
        self._ground, self._size = ground, size
        self._view = view_of(replace(mount, forward=0.0), *size)
        self._scratch = scratch_for(*size, ground)

    def pictures(self, poses: Floats) -> NDArray[np.uint8]:
        """Poses of the lens `[M, 3]` -> grey pictures `[M, H, W]`."""
        cars = np.zeros(len(poses), STATE_DTYPE)
        cars["x"], cars["y"], cars["yaw"] = poses.T
        out = np.zeros((len(poses), *self._size), np.uint8)
        draw(np.arange(len(poses)), cars, self._view, self._ground, out, self._scratch)
        return out

    def errors(self, poses: Floats, picture: Floats) -> Floats:
        """Return how far pictures from these poses are from one `[H, W]`, `[M]`."""
        apart = np.abs(self.pictures(poses).astype(np.float32) - picture.astype(np.float32))
        return np.asarray(np.minimum(apart, np.float32(CUT)).mean(axis=(1, 2)), np.float64)


def without_grain(scene: Scene) -> Scene:
    """Return the same looks with smooth surfaces: a grain that is not the picture's own only misleads the search."""
    return replace(scene, field_grain=0.0, road_grain=0.0)


def fit_pose(picture: NDArray[np.uint8], tracks: Sequence[Track], scene: Scene, mount: CameraMount) -> Fit:
    """Find out on which of some tracks, and where, a grey picture `[H, W]` was taken."""
    fits = [_fit_on(picture.astype(np.float64), track, scene, mount) for track in tracks]
    return min(fits, key=lambda fit: fit.error)


def _fit_on(picture: Floats, track: Track, scene: Scene, mount: CameraMount) -> Fit:
    ground = paint_grounds([track], [without_grain(scene)])
    height, width = picture.shape
    coarse = picture.reshape(height // _COARSE, _COARSE, width // _COARSE, _COARSE).mean(axis=(1, 3))
    lens = Lens(ground, mount, (height // _COARSE, width // _COARSE))
    poses = _poses_along(track)
    errors = np.concatenate([lens.errors(poses[at : at + _BATCH], coarse) for at in range(0, len(poses), _BATCH)])
    lens = Lens(ground, mount, (height, width))
    found = [_approach(lens, picture, poses[n]) for n in np.argsort(errors, kind="stable")[:_SEEDS]]
    error, pose = min(found, key=lambda item: item[0])
    return Fit(track, pose, error)


def _poses_along(track: Track) -> Floats:
    """Poses all over the road, in both directions, `[M, 3]`."""
    count = max(int(track.length / _SPACING), 1)
    x, y, yaw = np.array([track.pose_at(n / count) for n in range(count)]).T
    parts = [
        np.stack([x - aside * np.sin(yaw), y + aside * np.cos(yaw), yaw + direction + turned], axis=1)
        for direction in (0.0, np.pi)
        for aside in _ASIDE * 0.5 * track.width
        for turned in _TURNED
    ]
    return np.concatenate(parts)


def _approach(lens: Lens, picture: Floats, pose: Floats) -> tuple[float, Floats]:
    """Walk to the best of the 27 poses around, again and again, with ever smaller steps."""
    best = np.inf
    for step in _STEPS:
        for _ in range(8):
            around = pose + _AROUND * step * [1.0, 1.0, 0.75]
            errors = lens.errors(around, picture)
            n = int(errors.argmin())
            if errors[n] >= best:
                break
            best, pose = float(errors[n]), around[n]
    return best, pose


def fit_horizon(picture: NDArray[np.uint8], fit: Fit, scene: Scene, mount: CameraMount) -> float:
    """Find the row of the horizon, from the upper edge: the pitch that fits best, to a part of the tried steps."""
    ground = paint_grounds([fit.track], [without_grain(scene)])
    size = (picture.shape[0], picture.shape[1])
    errors = []
    for off in _PITCHES:
        lens = Lens(ground, replace(mount, pitch=mount.pitch + float(off)), size)
        errors.append(_approach(lens, picture.astype(np.float64), fit.pose)[0])
    bend, slope, _ = np.polyfit(_PITCHES, errors, 2)
    pitch = mount.pitch + float(np.clip(-0.5 * slope / bend, _PITCHES[0], _PITCHES[-1]))
    focal = 0.5 * size[1] / np.tan(0.5 * mount.field_of_view)
    return float(0.5 * size[0] - focal * np.tan(pitch))
