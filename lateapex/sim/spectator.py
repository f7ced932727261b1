"""What a spectator sees: a camera that follows a car, or the whole track from above, with the cars on it.

`Spectator` shows a running simulator, `Stage` any poses on a track, such as those of a record. Both draw the ground
with the kernels and the paint of the cars' own cameras.

    stage = Stage(track, view="chase")
    pictures = [stage.draw([pose]) for pose in poses]  # uint8 [480, 640, 3] each
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.errors import ConfigError
from lateapex.sim.camera import draw, scratch_for, view_of
from lateapex.sim.ground import LEVELS, TEXEL, Ground, looks_at, paint_grounds
from lateapex.sim.simulator import Simulator
from lateapex.sim.solids import PAINTS, Eye, car_solid, draw_solid, placed, shadow_solid
from lateapex.sim.state import STATE_DTYPE
from lateapex.sim.thing_solids import draw_thing
from lateapex.world.scene import Scene, scene_of
from lateapex.world.track import Track
from lateapex.world.vehicle import STEP_SECONDS, CameraMount

ViewName = Literal["chase", "top"]

CHASE_PITCH: Final = 0.314
"""rad downwards"""
CHASE_BEHIND: Final = 1.5 * float(np.cos(CHASE_PITCH))
"""m behind the car: 1.5 m along the pitched axis"""
CHASE_HEIGHT: Final = 1.0
"""m"""
FIELD_OF_VIEW: Final = 1.13
"""rad, horizontal, of the chase camera"""
TOP_HEIGHT: Final = 6.0
"""m"""
TOP_MARGIN: Final = 1.25
"""The top camera shows this multiple of the track's bounds."""

_FROM_WALL = 0.05  # m that the chase camera keeps from the walls
_FINE = 3  # samples along each side of a pixel of the top view
_SHADES = ((0.012, 0.22), (-0.004, 0.30))  # m larger than the car, opacity
_SHOWN_STEERING = 0.6  # rad; no joint turns further


@dataclass
class _Chaser:
    """Where the camera is that follows a car."""

    x: float
    y: float
    yaw: float


class Stage:
    """One track with cars at any poses, seen by one spectator.

    Args:
        track: the track.
        scene: its looks; those of its name if not given.
        view: "chase" follows a car, "top" shows the whole track from straight above, east to the right.
        width, height: of the pictures.
        damping: 1/s, how quickly the chase camera goes where it belongs; 1 in the original.
        ground: the painted track, if it has been painted already, and its place in there.

    Raises:
        ConfigError: an unknown view, or no pixels.
        TrackError: the track is too large to be painted.
    """

    def __init__(
        self,
        track: Track,
        scene: Scene | None = None,
        *,
        view: ViewName = "chase",
        width: int = 640,
        height: int = 480,
        damping: float = 1.0,
        ground: tuple[Ground, int] | None = None,
    ) -> None:
        if view not in get_args(ViewName):
            raise ConfigError(f"view is {view!r}; one of {', '.join(map(repr, get_args(ViewName)))} is needed")
        looks = scene or scene_of(track.name)
        self.view: ViewName = view
        self._ground, self._place = ground or (paint_grounds([track], [looks], colour=True), 0)
        self._size = (height, width)
        self._damping = damping
        self._chaser: _Chaser | None = None
        eye_height = min(CHASE_HEIGHT, looks.wall_height)
        self._mount = CameraMount(forward=0.0, height=eye_height, pitch=CHASE_PITCH, field_of_view=FIELD_OF_VIEW)
        self._camera = view_of(self._mount, height, width)
        self._scratch = scratch_for(height, width, self._ground)
        if view == "top":
            self._eye = _top_eye(track, height, width)
            self._backdrop = _from_above(self._ground, self._place, self._eye, height, width)

    def restart(self) -> None:
        """Put the chase camera straight behind the car before the next picture, as after a jump to another place."""
        self._chaser = None

    def draw(
        self,
        poses: ArrayLike,
        car: int = 0,
        steering: ArrayLike | None = None,
        seconds: float = STEP_SECONDS,
        things: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw the next picture, uint8 `[H, W, 3]`.

        Args:
            poses: `[M, 3]` x, y of the cars' centres in m, yaw in rad; see `centre_poses` for those of records.
            car: which of them the chase camera follows.
            steering: `[M]` angles of the front wheels, rad, left positive.
            seconds: since the last picture.
            things: `[M]` of THING_DTYPE, what else there is; cars of `poses` are not among it.

        Raises:
            ConfigError: poses of another shape, or no such car.
        """
        places = np.asarray(poses, np.float64)
        if places.ndim != 2 or places.shape[1:] != (3,) or not 0 <= car < len(places):
            raise ConfigError(f"poses of shape {places.shape} and car {car}; [M, 3] and one of 0 to M - 1 are needed")
        angles = np.zeros(len(places)) if steering is None else np.asarray(steering, np.float64)
        if self.view == "top":
            eye, picture = self._eye, self._backdrop.copy()
        else:
            eye = self._follow(places[car], seconds)
            picture = self._panorama(eye)
        around = np.zeros((0, 2)) if things is None else np.stack([things["x"], things["y"]], axis=1)
        away = np.hypot(*(np.concatenate([places[:, :2], around]) - [eye.x, eye.y]).T)
        for n in np.argsort(-away, kind="stable").tolist():
            if n < len(places):
                self._draw_car(picture, places[n], float(angles[n]), n, eye)
            elif things is not None:
                draw_thing(picture, things[n - len(places)], eye)
        return picture

    def _draw_car(self, picture: NDArray[np.uint8], pose: NDArray[np.float64], angle: float, n: int, eye: Eye) -> None:
        x, y, yaw = pose.tolist()
        for grow, opacity in _SHADES:
            draw_solid(picture, placed(shadow_solid(grow), x, y, yaw), eye, opacity)
        angle = min(max(angle, -_SHOWN_STEERING), _SHOWN_STEERING)
        draw_solid(picture, placed(car_solid(PAINTS[n % len(PAINTS)], angle), x, y, yaw), eye)

    def _follow(self, pose: NDArray[np.float64], seconds: float) -> Eye:
        """Move the chase camera; it looks at the car from wherever it is."""
        x, y, yaw = pose.tolist()
        share = 1.0 - float(np.exp(-self._damping * seconds))
        old = self._chaser
        turned = yaw if old is None else old.yaw + share * _wrapped(yaw - old.yaw)
        wanted = x - CHASE_BEHIND * np.cos(turned), y - CHASE_BEHIND * np.sin(turned)
        if old is None:
            new = _Chaser(*wanted, turned)
        else:
            new = _Chaser(old.x + share * (wanted[0] - old.x), old.y + share * (wanted[1] - old.y), turned)
        self._chaser = new
        x0, y0, x1, y1 = self._ground.walls[self._place]
        at_x = float(np.clip(new.x, x0 + _FROM_WALL, x1 - _FROM_WALL))
        at_y = float(np.clip(new.y, y0 + _FROM_WALL, y1 - _FROM_WALL))
        looks = float(np.arctan2(y - at_y, x - at_x)) if np.hypot(x - at_x, y - at_y) > 0.1 else turned
        return Eye(at_x, at_y, self._mount.height, looks, CHASE_PITCH, self._camera.focal)

    def _panorama(self, eye: Eye) -> NDArray[np.uint8]:
        """Draw the world without cars."""
        state = np.zeros(1, STATE_DTYPE)
        state["x"], state["y"], state["yaw"], state["track"] = eye.x, eye.y, eye.yaw, self._place
        out = np.zeros((1, *self._size, 3), np.uint8)
        draw(np.zeros(1, np.int64), state, self._camera, self._ground, out, self._scratch)
        picture: NDArray[np.uint8] = out[0]
        return picture


class Spectator:
    """Watches the cars of a running simulator that share a track and a world with one of them.

    Args:
        simulator: whose cars are shown.
        view, width, height, damping: see Stage.
        car: the car that is followed, and whose track is shown.
        everyone: whether all cars on that track are shown, or only those of the car's world.
    """

    def __init__(
        self,
        simulator: Simulator,
        view: ViewName = "chase",
        car: int = 0,
        width: int = 640,
        height: int = 480,
        *,
        damping: float = 1.0,
        everyone: bool = False,
    ) -> None:
        if not 0 <= car < simulator.count:
            raise ConfigError(f"car {car}; one of 0 to {simulator.count - 1} is needed")
        place = int(simulator.cars["track"][car])
        self._simulator, self._car = simulator, car
        together = simulator.cars["track"] == place
        if not everyone:
            together &= simulator.cars["world"] == simulator.cars["world"][car]
        self._shown = np.flatnonzero(together)
        self._stage = Stage(
            simulator.tracks[place],
            simulator.scenes[place],
            view=view,
            width=width,
            height=height,
            damping=damping,
            ground=(simulator.coloured_ground, place),
        )
        self._clock = simulator.clock

    def restart(self) -> None:
        """See Stage; to be called when the followed car was put somewhere else."""
        self._stage.restart()

    def draw(self) -> NDArray[np.uint8]:
        """Draw the simulator as it is now, uint8 `[H, W, 3]`."""
        cars = self._simulator.cars[self._shown]
        poses = np.stack([cars["x"], cars["y"], cars["yaw"]], axis=1)
        seconds = max(self._simulator.clock - self._clock, 0) * STEP_SECONDS
        self._clock = self._simulator.clock
        followed = int(np.searchsorted(self._shown, self._car))
        traffic = self._simulator.traffic
        world = self._simulator.cars["world"][self._car]
        return self._stage.draw(
            poses, followed, cars["steering"], seconds, None if traffic is None else traffic.others[world]
        )


def centre_poses(x: ArrayLike, y: ArrayLike, yaw: ArrayLike, front_point: float = 0.14) -> NDArray[np.float64]:
    """Return poses `[M, 3]` for `Stage.draw` from what records hold: the point `front_point` m ahead of the centre."""
    angle = np.asarray(yaw, np.float64)
    return np.stack(
        [
            np.asarray(x, np.float64) - front_point * np.cos(angle),
            np.asarray(y, np.float64) - front_point * np.sin(angle),
            angle,
        ],
        axis=-1,
    )


def _wrapped(angle: float) -> float:
    return float((angle + np.pi) % (2.0 * np.pi) - np.pi)


def _top_eye(track: Track, height: int, width: int) -> Eye:
    """Place the camera above the middle of the track so that the bounds and their margin fit."""
    x0, y0, x1, y1 = track.bounds
    wide = TOP_MARGIN * max(x1 - x0, (y1 - y0) * width / height)
    return Eye(0.5 * (x0 + x1), 0.5 * (y0 + y1), TOP_HEIGHT, 0.5 * np.pi, 0.5 * np.pi, width * TOP_HEIGHT / wide)


def _from_above(ground: Ground, k: int, eye: Eye, height: int, width: int) -> NDArray[np.uint8]:
    """Draw the ground as the top camera sees it; what lies beyond the walls is wall."""
    pixel = eye.z / eye.focal  # m
    level = int(np.clip(np.floor(np.log2(max(pixel / _FINE / TEXEL, 1.0))), 0, LEVELS - 1))
    size = TEXEL * 2.0**level
    x = eye.x + ((np.arange(width * _FINE) + 0.5) / _FINE - 0.5 * width) * pixel
    y = eye.y - ((np.arange(height * _FINE) + 0.5) / _FINE - 0.5 * height) * pixel
    x0, y0, x1, y1 = ground.walls[k]
    inside = ((y > y0) & (y < y1))[:, None] & ((x > x0) & (x < x1))
    columns = ((np.clip(x, x0, x1) - ground.origin[k, 0]) / size).astype(np.int64)
    rows = ((np.clip(y, y0, y1) - ground.origin[k, 1]) / size).astype(np.int64)
    looks = np.where(inside, looks_at(ground, k, level, rows[:, None], columns), ground.wall_look[k, 2])
    channels = np.stack([looks & 255, looks >> 8 & 255, looks >> 16 & 255], axis=-1).astype(np.float32)
    means = channels.reshape(height, _FINE, width, _FINE, 3).mean(axis=(1, 3))
    return np.asarray(np.rint(means), np.uint8)
