"""What cars see: every sensor that a model's metadata can name, and all those of a task together.

A camera's pictures are what its lenses see at that moment. A lidar turns at 10 Hz while a step is 1/15 s, so that every
third reading repeats the one before; the first of an episode is always fresh.

Source: `markov/sensors` and `markov/filters/observation` of aws-deepracer-community/deepracer-simapp.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from lateapex.errors import ConfigError
from lateapex.formats.model_metadata import LidarConfig
from lateapex.registry import Registry
from lateapex.sim.lidar import BEAMS, LONGEST, SHORTEST, Lidar
from lateapex.sim.simulator import Simulator, lens_pictures

Observation = dict[str, NDArray[Any]]
"""What each sensor gives, by its name: pictures uint8 `[..., H, W, C]`, lidar float32 `[..., R]`."""


class SensorSettings(NamedTuple):
    """What sensors are made from."""

    height: int = 120
    """Rows of a picture."""
    width: int = 160
    colour: bool = False
    lidar: LidarConfig = LidarConfig()


class Look(NamedTuple):
    """A moment at which some cars look around."""

    simulator: Simulator
    cars: NDArray[np.int64]
    """`[M]` which."""
    seed: int
    episodes: NDArray[Any]
    """`[N]` of all cars, and so are steps: those since the episode began."""
    steps: NDArray[Any]
    progress: NDArray[Any]
    """`[N]` percent of the lap."""
    first_car: int = 0
    """Number of the first of all cars, to which draws belong."""
    meanwhile: Callable[[], None] | None = None
    """To be called once while threads that need no lock of Python's are at work."""


class Sensor(ABC):
    """One sensor of all cars of a task."""

    eyes: ClassVar[Sequence[float]] = ()
    """Lenses that it looks through, m to the left of the camera's mount; none if it needs no camera."""
    space: Box
    """Of what it gives for one car."""

    @abstractmethod
    def __init__(self, settings: SensorSettings) -> None: ...

    def blank(self, count: int) -> NDArray[Any]:
        """Make room for what it gives for `count` cars, `[N, *space.shape]`."""
        return np.zeros((count, *self.space.shape), self.space.dtype)

    @abstractmethod
    def fill(self, out: NDArray[Any], look: Look) -> None:
        """Write what the cars that look around sense into their rows of `out`, see `blank`.

        A row that is left as it is repeats what was sensed before.
        """

    def filled(self, look: Look) -> NDArray[np.int64]:
        """Those of the cars that look around whose rows `fill` writes."""
        return look.cars

    def mirrored(self, values: NDArray[Any]) -> NDArray[Any]:
        """What would be sensed in a world where left is right, for what was sensed in ours, `[M, *space.shape]`."""
        del values
        raise ConfigError(f"{type(self).__name__} has no mirror image; leave mirror out")


class Camera(Sensor):
    """The camera of most cars: pictures `[H, W, 1]` in grey, `[H, W, 3]` in colour."""

    eyes: ClassVar[Sequence[float]] = (0.0,)

    def __init__(self, settings: SensorSettings) -> None:
        channels = 3 if settings.colour else len(self.eyes)
        self.space = Box(0, 255, (settings.height, settings.width, channels), np.uint8)

    def blank(self, count: int) -> NDArray[Any]:
        """As the simulator draws it."""
        height, width, channels = self.space.shape
        return super().blank(count) if len(self.eyes) == 1 else lens_pictures(count, height, width, channels)

    def fill(self, out: NDArray[Any], look: Look) -> None:
        """Draw."""
        pictures = out.reshape(len(out), *look.simulator.picture_shape)
        look.simulator.render_some(look.cars, pictures, look.meanwhile)

    def mirrored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Left columns for right ones, and one eye for the other."""
        return values[:, :, ::-1, ::-1] if len(self.eyes) > 1 else values[:, :, ::-1]


class LeftCamera(Camera):
    """What the original calls the left camera: its car gets a second lens for STEREO_CAMERAS alone.

    So this one sits in the middle, on the mount of the front camera, and sees the same.
    """


class StereoCameras(Camera):
    """Two cameras 6 cm apart: grey pictures `[H, W, 2]`, left and right."""

    eyes = (0.03, -0.03)


class LidarSensor(Sensor):
    """What lidars of all kinds have in common; they differ in what they give for a scan."""

    def __init__(self, space: Box) -> None:
        self.space = space
        self._lidar: Lidar | None = None
        self._ranges = np.zeros((0, BEAMS), np.float32)

    @abstractmethod
    def shown(self, ranges: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is given for some scans, `[M, BEAMS]` m -> `[M, *space.shape]`."""

    def fill(self, out: NDArray[Any], look: Look) -> None:
        """Measure with those cars whose scanner finished a turn since they looked last."""
        if self._lidar is None:
            self._lidar = Lidar(look.simulator.tracks, look.simulator.scenes)
            self._ranges = np.zeros((len(out), BEAMS), np.float32)
        cars = self.filled(look)
        ranges = self._ranges[: len(cars)]
        bodies = look.simulator.bodies()
        self._lidar.scan(
            look.simulator.cars,
            cars,
            bodies,
            ranges,
            seed=look.seed,
            episodes=look.episodes,
            steps=look.steps,
            first_car=look.first_car,
        )
        out[cars] = self.shown(ranges)

    def filled(self, look: Look) -> NDArray[np.int64]:
        """Those whose scanner finished a turn."""
        cars: NDArray[np.int64] = look.cars[is_fresh(look.steps[look.cars])]
        return cars

    def mirrored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Beams, or sectors, go round the other way: they lie evenly about the car's axis."""
        return values[:, ::-1]


class LidarRanges(LidarSensor):
    """The ranges of all beams, clipped to 0.15-1.0 m, from front left over the rear to front right."""

    farthest = 1.0
    """m"""

    def __init__(self, settings: SensorSettings) -> None:
        del settings
        super().__init__(Box(SHORTEST, self.farthest, (BEAMS,), np.float32))

    def shown(self, ranges: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clip."""
        return np.clip(ranges, self.space.low, self.space.high)


class SectorLidar(LidarSensor):
    """8 sectors of 8 beams: 1 where something is nearer than half a metre, else 0."""

    sectors = 8
    near = 0.5
    """m"""

    def __init__(self, settings: SensorSettings) -> None:
        del settings
        super().__init__(Box(0.0, 1.0, (self.sectors,), np.float32))

    def shown(self, ranges: NDArray[np.float32]) -> NDArray[np.float32]:
        """Look at the nearest of each sector."""
        return (_nearest(ranges, self.sectors) < self.near).astype(np.float32)


class DiscretizedSectorLidar(LidarSensor):
    """Sectors that each tell in which of several equal parts of the clipping distance their nearest point lies.

    That part is 1, all others 0; none is 1 where nothing is nearer than the clipping distance.
    """

    def __init__(self, settings: SensorSettings) -> None:
        self._sectors, self._values, distance = settings.lidar
        self._part = min(max(distance, SHORTEST), LONGEST) / self._values
        super().__init__(Box(0.0, 1.0, (self._sectors * self._values,), np.float32))

    def shown(self, ranges: NDArray[np.float32]) -> NDArray[np.float32]:
        """Look at the nearest of each sector."""
        part = np.floor(_nearest(ranges, self._sectors) / self._part)
        shown: NDArray[np.bool_] = part[..., None] == np.arange(self._values)
        return shown.reshape(len(ranges), *self.space.shape).astype(np.float32)

    def mirrored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sectors go round the other way, each as it is."""
        return values.reshape(-1, self._sectors, self._values)[:, ::-1].reshape(values.shape)


def _nearest(ranges: NDArray[np.float32], sectors: int) -> NDArray[np.float64]:
    """Nearest point of each sector, `[M, sectors]` m."""
    nearest: NDArray[np.float64] = ranges.reshape(len(ranges), sectors, BEAMS // sectors).min(axis=2).astype(np.float64)
    return nearest


def is_fresh(steps: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a lidar that began to turn with the episode finished a turn since the step before: 2 turns in 3 steps."""
    fresh: NDArray[np.bool_] = steps % 3 != 1
    return fresh


SENSORS: Final[Registry[type[Sensor]]] = Registry(
    "sensor",
    {
        "observation": "lateapex.env.sensors:Camera",
        "FRONT_FACING_CAMERA": "lateapex.env.sensors:Camera",
        "LEFT_CAMERA": "lateapex.env.sensors:LeftCamera",
        "STEREO_CAMERAS": "lateapex.env.sensors:StereoCameras",
        "LIDAR": "lateapex.env.sensors:LidarRanges",
        "SECTOR_LIDAR": "lateapex.env.sensors:SectorLidar",
        "DISCRETIZED_SECTOR_LIDAR": "lateapex.env.sensors:DiscretizedSectorLidar",
    },
)
"""By the names of model_metadata.json."""


class Senses:
    """All sensors of all cars.

    Args:
        names: of the sensors, one camera among them.
        settings: what they are made from.
        count: N.
        pictures: False: cameras stay shut, and what they give is empty.
        more: sensors beside those, by name.
        mirror: `[N]` cars that see a world where left is right; nobody if not given.
    """

    def __init__(
        self,
        names: Sequence[str],
        settings: SensorSettings,
        count: int,
        *,
        pictures: bool = True,
        more: Mapping[str, Sensor] | None = None,
        mirror: NDArray[np.bool_] | None = None,
    ) -> None:
        made = {**{name: SENSORS.get(name)(settings) for name in names}, **(more or {})}
        self._mirror = mirror
        self.camera = next(name for name, sensor in made.items() if sensor.eyes)
        """Name of the camera."""
        self.eyes = made[self.camera].eyes
        """Lenses that a simulator needs for them."""
        self._open = {name: sensor for name, sensor in made.items() if pictures or not sensor.eyes}
        self.spaces = {name: sensor.space for name, sensor in made.items()}
        """Of each sensor, for one car."""
        self.observations: Observation = {
            name: sensor.blank(count) if name in self._open else np.zeros((count, 0, 0, 1), np.uint8)
            for name, sensor in made.items()
        }
        """What was sensed last, `[N, ...]` each."""
        seen = self.observations[self.camera]
        self.pictures: NDArray[np.uint8] = seen if settings.colour and pictures else seen[..., 0]
        """What the camera's first lens saw, `[N, H, W]`, or `[N, H, W, 3]` in colour; a view."""

    def draws(self, name: str) -> bool:
        """Whether a sensor gives pictures."""
        return bool(self._open[name].eyes)

    def filled(self, name: str, look: Look) -> NDArray[np.int64]:
        """Those of the cars that look around to whom a sensor gives something new."""
        return self._open[name].filled(look)

    def look(self, look: Look) -> None:
        """Let some cars look around; `look.meanwhile` is called while pictures are drawn, if any are."""
        for name, sensor in self._open.items():
            out = self.observations[name]
            sensor.fill(out, look if name == self.camera else look._replace(meanwhile=None))
            if self._mirror is not None:
                cars = sensor.filled(look)
                cars = cars[self._mirror[cars]]
                out[cars] = sensor.mirrored(out[cars])
        if self.camera not in self._open and look.meanwhile is not None:
            look.meanwhile()
