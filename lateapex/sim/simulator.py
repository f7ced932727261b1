"""The one clock: N cars in W worlds, moved, located and drawn together.

A step is 1/15 s. Nothing here knows of episodes, rewards or actions. Cars see the others of their world, and what else
is there, but do not push them: any number of threads, and any split of the cars into batches, gives the same bytes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from threading import Semaphore
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.errors import ConfigError
from lateapex.sim.bodies import BodyScratch, body_scratch, body_tables, draw_bodies, real_sizes
from lateapex.sim.camera import Scratch, draw, scratch_for, view_of
from lateapex.sim.dynamics import drive, wheel_speed
from lateapex.sim.geometry import locate, pose_at
from lateapex.sim.ground import Ground, paint_grounds
from lateapex.sim.ground_codes import paint_codes
from lateapex.sim.kernel import kernel, take
from lateapex.sim.lidar import Bodies, no_bodies
from lateapex.sim.random import words
from lateapex.sim.state import STATE_DTYPE, vehicle_records
from lateapex.sim.tables import track_tables
from lateapex.sim.traffic import NOTHING, LaneTables, Traffic, lane_tables
from lateapex.sim.varied_camera import VariedCamera, changes_pictures
from lateapex.world.scene import Scene, scene_of
from lateapex.world.track import Track
from lateapex.world.vehicle import STEP_SECONDS, Vehicle

_BLOCK = 8  # cars that a thread draws at a time: small enough to share evenly, large enough to hide the taking
_PATIENCE = 0.001  # s, for a thread to begin to draw; more than that it needs on a busy machine alone
_SHARED = 1000  # cars from which on moving them is shared between threads: fewer take less time than waking one


class Simulator:
    """N cars, each on one of K tracks.

    Args:
        tracks: the tracks, K of them.
        track_of_car: `[N]` which track each car drives on.
        world: `[N]` which world each car is in; a world of its own for each if not given.
        vehicle: the cars.
        height, width: rows and columns of the camera's pictures.
        colour: whether pictures are red, green and blue, `[N, H, W, 3]`, or grey, `[N, H, W]`.
        eyes: m to the left of the camera's mount, one for each lens; pictures of several are grey, see `lens_pictures`.
        threads: threads that draw; 0: one for each core.
        scenes: looks, one a track; those of the tracks' names if not given.
        pictures: False: nothing will be drawn, so that no ground is painted.
        things: boxes and bot cars that each world has room for; `traffic` says what they are.

    Raises:
        ConfigError: an argument does not fit the others, or the camera sees over the walls or behind the car.
        TrackError: a track is too large to be painted.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        track_of_car: ArrayLike,
        *,
        world: ArrayLike | None = None,
        vehicle: Vehicle | None = None,
        height: int = 120,
        width: int = 160,
        colour: bool = False,
        eyes: Sequence[float] = (0.0,),
        threads: int = 0,
        scenes: Sequence[Scene] | None = None,
        pictures: bool = True,
        things: int = 0,
    ) -> None:
        self.tracks = list(tracks)
        self.vehicle = vehicle or Vehicle()
        looks = [scene_of(track.name) for track in self.tracks] if scenes is None else list(scenes)
        places = np.asarray(track_of_car)
        _check(self.tracks, places, looks, self.vehicle, threads)
        self.cars = np.zeros(len(places), STATE_DTYPE)
        self.cars["track"] = places
        self.cars["world"] = (
            np.arange(len(places)) if world is None else _of_cars("world", world, np.int32, len(places))
        )
        self._nothing = no_bodies(int(self.cars["world"].max()) + 1)
        self.clock = 0
        """Steps since the beginning."""
        self.tables = track_tables(self.tracks)
        """The tracks as the kernels know them."""
        self.traffic: Traffic | None = None
        """What there is in the worlds besides each car itself; None: nothing."""
        if things or len(np.unique(self.cars["world"])) < len(places):
            self.traffic = Traffic(self.lanes, self.tables, self.cars["world"], things)
        self.scenes = looks
        self._ground: Ground | None = None
        self._eyes = tuple(eyes)
        self._views = [view_of(self.vehicle.camera, height, width, left) for left in eyes]
        self.vehicles = vehicle_records([self.vehicle] * len(places))
        """`[N]` of VEHICLE_DTYPE: what each car is; whoever changes it keeps it."""
        self.ages = np.zeros(len(places), np.int64)
        """`[N]` steps of each car's episode, to which its picture's noise belongs; whoever counts them keeps it."""
        self._varied: VariedCamera | None = None
        self._colour = colour
        self.picture_shape = _picture_shape(height, width, colour, len(self._views))
        """Shape of one car's picture."""
        self._threads = threads or os.cpu_count() or 1
        self._scratches: list[Scratch] = []
        self._body_scratches: list[BodyScratch] = []
        self._bodies = body_tables()
        if pictures:
            self._ground = ground = _painted_once(self.tracks, looks, partial(paint_grounds, colour=colour))
            self._scratches = [scratch_for(height, width, ground) for _ in range(self._threads)]
            if self.traffic is not None:
                self._body_scratches = [body_scratch(height, width) for _ in range(self._threads)]
        self._pool = ThreadPoolExecutor(self._threads - 1, "draw") if self._threads > 1 else None
        self._compile()

    def _compile(self) -> None:
        """Compile all kernels now, or load them, so that no step has to wait for it."""
        none, cars, vehicles = np.zeros(0), self.cars[:0], self.vehicles[:0]
        nobody = np.zeros(0, np.int64)
        self.place(nobody, 0.0, 0.0, 0.0)
        self.place_on_line(nobody, 0.0, 0.0, 0.0)
        _step_all(cars, vehicles, self.tables, none, none, np.zeros(0, np.bool_), STEP_SECONDS)
        if self._ground is not None:
            self._draw_shared(nobody, np.zeros((0, *self.picture_shape), np.uint8), None)
        words(0, none, none, 0)

    @property
    def count(self) -> int:
        """N, the number of cars."""
        return len(self.cars)

    @property
    def time(self) -> float:
        """Simulated time, s."""
        return self.clock * STEP_SECONDS

    def place(self, cars: NDArray[np.int64], x: ArrayLike, y: ArrayLike, yaw: ArrayLike) -> None:
        """Put some cars down at rest: centre x, y in metres and yaw in radians, `[len(cars)]` each."""
        which = np.ascontiguousarray(cars, np.int64)
        poses = np.empty((3, len(which)))
        poses[0], poses[1], poses[2] = x, y, yaw
        _place_some(which, poses, self.cars, self.vehicles, self.tables)
        self._let_follow()

    def place_on_line(
        self, cars: NDArray[np.int64], fraction: ArrayLike, offset: ArrayLike, heading: ArrayLike
    ) -> None:
        """Put some cars down at rest relative to their centre lines, `[len(cars)]` each.

        Args:
            cars: which.
            fraction: share of the line's length; wraps on a loop.
            offset: share of the track's width there, positive to the left.
            heading: rad off the line's direction, positive to the left.
        """
        which = np.ascontiguousarray(cars, np.int64)
        poses = np.empty((3, len(which)))
        poses[0], poses[1], poses[2] = fraction, offset, heading
        _place_some_on_line(which, poses, self.cars, self.vehicles, self.tables)
        self._let_follow()

    def _let_follow(self) -> None:
        if self.traffic is not None:
            self.traffic.follow(self.cars)

    def step(self, steering: ArrayLike, speed: ArrayLike, held: ArrayLike) -> None:
        """Drive all cars for 1/15 s.

        Args:
            steering: `[N]` commanded angle, rad, left positive.
            speed: `[N]` commanded speed, m/s.
            held: `[N]` cars that stand still whatever the command.

        Raises:
            ConfigError: an argument has another shape.
        """
        angles = _of_cars("steering", steering, np.float64, self.count)
        speeds = _of_cars("speed", speed, np.float64, self.count)
        standing = _of_cars("held", held, np.bool_, self.count)
        size = self.count
        if self._pool is not None and size >= _SHARED:
            size = -(-size // self._threads)

        def move(first: int) -> None:
            part = slice(first, first + size)
            state, vehicles = self.cars[part], self.vehicles[part]
            _step_all(state, vehicles, self.tables, angles[part], speeds[part], standing[part], STEP_SECONDS)

        others = [self._pool.submit(move, first) for first in range(size, self.count, size)] if self._pool else []
        move(0)
        for other in others:
            other.result()
        if self.traffic is not None:
            self.traffic.step()
            self.traffic.follow(self.cars)
        self.clock += 1

    def blank(self) -> NDArray[np.uint8]:
        """Make black pictures of all cars to draw into, `[N, *picture_shape]`."""
        if len(self._views) == 1:
            return np.zeros((self.count, *self.picture_shape), np.uint8)
        return lens_pictures(self.count, *self.picture_shape)

    def render(self, out: NDArray[np.uint8], meanwhile: Callable[[], None] | None = None) -> None:
        """Draw what all cars see.

        Args:
            out: `[N, *picture_shape]`, overwritten.
            meanwhile: called once while other threads draw; the kernels hold no lock.

        Raises:
            ConfigError: `out` has another shape or type, or the bytes of a lens do not lie one after the other.
        """
        self.render_some(np.arange(self.count), out, meanwhile)

    def render_some(
        self, cars: NDArray[np.int64], out: NDArray[np.uint8], meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Draw what some cars see into their rows of `out`; see `render`."""
        self._check_pictures(out)
        self._draw_shared(np.ascontiguousarray(cars, np.int64), out, meanwhile)

    def colour_picture(self, car: int) -> NDArray[np.uint8]:
        """Draw what one car sees through its first lens in colour, uint8 `[H, W, 3]`, whatever `render` draws."""
        height, width = self.picture_shape[:2]
        out = np.zeros((1, height, width, 3), np.uint8)
        state, one, things = self.cars[[car]], np.zeros(1, np.int64), None
        if self.traffic is not None:
            things = self.traffic.things[state["world"]].copy()
            things["kind"][things["car"] == car] = NOTHING
            state["world"] = 0
        if self._varied is not None and self._varied.varied[car]:
            alone = self._varied.alone(car, int(state["track"][0]))
            alone.draw_taken(np.zeros(1, np.int64), one, state, self.ages[[car]], things, out, eye=0, thread=0)
        else:
            ground = self.coloured_ground
            draw(one, state, self._views[0], ground, out, scratch_for(height, width, ground))
            if things is not None:
                bodies, scratch = self._bodies, body_scratch(height, width)
                draw_bodies(one, state, things, self._views[0], ground, bodies, out, scratch)
        picture: NDArray[np.uint8] = out[0]
        return picture

    def vary_pictures(self, cars: NDArray[np.int64], values: NDArray[Any], keys: NDArray[np.uint64]) -> None:
        """Let some cars see the world they are in as their episodes have it, until this is called for them again.

        The first that sees it otherwise lets all tracks be painted anew.

        Args:
            cars: `[M]` which.
            values: `[M]` of VARIATION_DTYPE.
            keys: `[M]` of the noise in their pictures.
        """
        if self._ground is None:
            return
        if self._varied is None:
            if not changes_pictures(values).any():
                return
            self._varied = VariedCamera(
                _painted_once(self.tracks, self.scenes, paint_codes),
                self.scenes,
                self.vehicle.camera,
                (self.picture_shape[0], self.picture_shape[1]),
                colour=self._colour,
                eyes=self._eyes,
                count=self.count,
                threads=self._threads,
                bodies=None if self.traffic is None else self._bodies,
            )
            self._draw_shared(np.zeros(0, np.int64), np.zeros((0, *self.picture_shape), np.uint8), None)
        self._varied.begin(cars, values, keys, self.cars["track"][cars])

    @cached_property
    def lanes(self) -> LaneTables:
        """The lanes of all tracks."""
        return lane_tables(self.tracks)

    @cached_property
    def coloured_ground(self) -> Ground:
        """All tracks in colour; painted when first asked for, which takes as long as making the simulator."""
        if self._ground is not None and self._colour:
            return self._ground
        return _painted_once(self.tracks, self.scenes, partial(paint_grounds, colour=True))

    def _draw_shared(
        self, cars: NDArray[np.int64], out: NDArray[np.uint8], meanwhile: Callable[[], None] | None
    ) -> None:
        """Draw in blocks that all threads take from one counter, so that none waits long for another."""
        helpers: list[Future[None]] = []
        lenses = self._lenses(out)
        counters, started = np.zeros((2, len(self._views), 1), np.int64), Semaphore(0)
        plain, varied, things = cars, self._varied, None if self.traffic is None else self.traffic.things
        if varied is not None:
            plain, others = cars[~varied.varied[cars]], cars[varied.varied[cars]]

        def work(thread: int) -> None:
            scratch = self._scratches[thread]
            for eye, view in enumerate(self._views):
                if varied is not None:
                    seen = (others, self.cars, self.ages, things, lenses[eye])
                    varied.draw_taken(counters[1, eye], *seen, eye=eye, thread=thread)
                counter = counters[0, eye]
                if things is None:
                    _draw_taken(counter, plain, self.cars, view, self._ground, lenses[eye], scratch)
                else:
                    among = (things, self._bodies, self._body_scratches[thread])
                    _draw_taken_among(counter, plain, self.cars, view, self._ground, lenses[eye], scratch, among)

        def help_draw(thread: int) -> None:
            started.release()
            work(thread)

        if self._pool is not None and (len(cars) > _BLOCK or meanwhile is not None):
            helpers = [self._pool.submit(help_draw, thread) for thread in range(1, self._threads)]
        try:
            if meanwhile is not None:
                # Python's lock is let go here: else a helper waits 5 ms for it before it draws its first picture.
                for _ in helpers:
                    started.acquire(timeout=_PATIENCE)
                meanwhile()
            work(0)
        finally:
            for helper in helpers:
                helper.result()

    def _check_pictures(self, out: NDArray[np.uint8]) -> None:
        if self._ground is None:
            raise ConfigError("this simulator was made with pictures=False and draws nothing; leave that out")
        needed = (self.count, *self.picture_shape)
        fits = out.shape == needed and out.dtype == np.uint8
        if not fits or not all(pictures.flags.c_contiguous for pictures in self._lenses(out)):
            made = f"numpy.zeros({needed}, numpy.uint8)" if len(self._views) == 1 else f"lens_pictures{needed}"
            raise ConfigError(f"out has shape {out.shape} and type {out.dtype}; {made} is needed")

    def _lenses(self, out: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """What each lens draws into, a view."""
        lenses = len(self._views)
        return [out] if lenses == 1 else [out[..., eye] for eye in range(lenses)]

    def bodies(self) -> Bodies:
        """What stands or drives between the walls of each world."""
        return self._nothing if self.traffic is None else Bodies(*self.traffic.rectangles(real_sizes()))

    def snapshot(self) -> dict[str, Any]:
        """Everything that changes with time, as copies."""
        things = {} if self.traffic is None else {"things": self.traffic.things.copy()}
        return {"cars": self.cars.copy(), "clock": self.clock, **things}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Return to a snapshot of a simulator of the same tracks and cars.

        Raises:
            ConfigError: it is of another number of cars, or of another version of their state.
        """
        if snapshot["cars"].shape != self.cars.shape:
            raise ConfigError(f"snapshot of {len(snapshot['cars'])} cars; this simulator has {self.count}")
        if snapshot["cars"].dtype != self.cars.dtype:
            raise ConfigError("the snapshot's cars have other fields than those of this version; start the run anew")
        if self.traffic is not None:
            self.traffic.restore(snapshot["things"])
        self.cars[:] = snapshot["cars"]
        self.clock = int(snapshot["clock"])


def _check(
    tracks: Sequence[Track], places: NDArray[Any], scenes: Sequence[Scene], vehicle: Vehicle, threads: int
) -> None:
    fits = places.ndim == 1 and places.size > 0 and np.issubdtype(places.dtype, np.integer)
    if not fits or places.min() < 0 or places.max() >= len(tracks):
        raise ConfigError(
            f"track_of_car is {places.tolist()!r}; for each car one of 0 to {len(tracks) - 1} is needed, "
            "its place in the list of tracks"
        )
    if len(scenes) != len(tracks):
        raise ConfigError(f"{len(scenes)} scenes for {len(tracks)} tracks; one a track is needed")
    if threads < 0:
        raise ConfigError(f"{threads} threads; 1 or more are needed, or 0 for one a core")
    lowest = min(scene.wall_height for scene in scenes)
    if lowest <= vehicle.camera.height:
        raise ConfigError(
            f"walls of {lowest} m and a camera at {vehicle.camera.height} m, which sees over them; "
            "higher walls are needed (1.0 is usual)"
        )


def lens_pictures(count: int, height: int, width: int, lenses: int) -> NDArray[np.uint8]:
    """Make grey pictures of several lenses, `[N, H, W, lenses]`, in which those of one lie together in memory."""
    pictures: NDArray[np.uint8] = np.moveaxis(np.zeros((lenses, count, height, width), np.uint8), 0, -1)
    return pictures


def _picture_shape(height: int, width: int, colour: bool, eyes: int) -> tuple[int, ...]:
    if colour and eyes > 1:
        raise ConfigError(f"{eyes} lenses and colour; pictures of several lenses are grey: leave colour out")
    return (height, width, 3) if colour else (height, width) if eyes == 1 else (height, width, eyes)


def _painted_once(
    tracks: Sequence[Track], scenes: Sequence[Scene], painter: Callable[[Sequence[Track], Sequence[Scene]], Ground]
) -> Ground:
    """Paint each road once: one that is driven both ways, or named twice, has one look."""
    places: dict[tuple[bytes, str, Scene], int] = {}
    of_track = [
        places.setdefault((_points(track), track.lines, scene), len(places))
        for track, scene in zip(tracks, scenes, strict=True)
    ]
    chosen = [of_track.index(place) for place in range(len(places))]
    ground = painter([tracks[k] for k in chosen], [scenes[k] for k in chosen])
    of_roads = {name: part for name, part in ground._asdict().items() if name != "texels"}
    return ground._replace(**{name: part[of_track] for name, part in of_roads.items()})


def _points(track: Track) -> bytes:
    """All points of a road, in an order that does not depend on its direction."""
    rows = np.hstack([track.center, track.inner, track.outer])
    order: NDArray[np.intp] = np.lexsort(rows.T)
    return rows[order].tobytes()


def _of_cars(name: str, values: ArrayLike, kind: type[np.generic], count: int) -> NDArray[Any]:
    """Return `values` as one of a type for each of `count` cars."""
    array = np.ascontiguousarray(values, kind)
    if array.shape != (count,):
        raise ConfigError(f"{name} has shape {np.shape(values)}; one for each of {count} cars is needed")
    return array


@kernel
def _stand(state, x, y, yaw):  # type: ignore[no-untyped-def] # numba: STATE_DTYPE, m, m, rad
    state.u = state.v = state.r = state.steering = state.steering_command = 0.0
    state.x, state.y, state.yaw = x, y, yaw


@kernel
def _place_some(which, poses, cars, vehicles, tables):  # type: ignore[no-untyped-def] # numba: int64[M], [3, M], [N] records, TrackTables
    for n in range(which.size):
        car = which[n]
        _stand(cars[car], poses[0, n], poses[1, n], poses[2, n])
        locate(cars[car], vehicles[car], tables)


@kernel
def _place_some_on_line(which, poses, cars, vehicles, tables):  # type: ignore[no-untyped-def] # numba: as _place_some
    """The width is that at a car in the middle of its start, so each is located there first."""
    for n in range(which.size):
        car = which[n]
        state = cars[car]
        x, y, yaw = pose_at(poses[0, n], tables.tracks[state.track], tables.waypoints)
        _stand(state, x, y, yaw)
        locate(state, vehicles[car], tables)
        aside = poses[1, n] * state.track_width
        turned = yaw + poses[2, n]
        turned -= 2.0 * math.pi * math.floor((turned + math.pi) / (2.0 * math.pi))
        _stand(state, x - aside * math.sin(yaw), y + aside * math.cos(yaw), turned)
        locate(state, vehicles[car], tables)


@kernel
def _step_all(cars, vehicles, tables, steering, speed, held, seconds):  # type: ignore[no-untyped-def] # numba: see Simulator.step
    for n in range(cars.size):
        if not held[n]:
            drive(cars[n], vehicles[n], steering[n], wheel_speed(speed[n], vehicles[n]), seconds)
            locate(cars[n], vehicles[n], tables)


@kernel
def _draw_taken(counter, which, cars, view, ground, out, scratch):  # type: ignore[no-untyped-def] # numba: int64[1], see draw
    """Draw blocks of cars until all are taken; while it draws, another thread may hold Python's lock."""
    first = take(counter, _BLOCK)
    while first < which.size:
        draw(which[first : first + _BLOCK], cars, view, ground, out, scratch)
        first = take(counter, _BLOCK)


@kernel
def _draw_taken_among(counter, which, cars, view, ground, out, scratch, among):  # type: ignore[no-untyped-def] # numba: as _draw_taken; see draw_bodies
    """As `_draw_taken`, in worlds where there is something to see besides the track."""
    things, bodies, body_scratch = among
    first = take(counter, _BLOCK)
    while first < which.size:
        some = which[first : first + _BLOCK]
        draw(some, cars, view, ground, out, scratch)
        draw_bodies(some, cars, things, view, ground, bodies, out, body_scratch)
        first = take(counter, _BLOCK)
