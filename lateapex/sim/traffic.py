"""What else is in a world: boxes, bot cars, and the cars of others, as one record a thing.

Bot cars drive without forces, as in the original: along the lane at one speed, now and then over to the other lane. All
that a bot does is a function of the time for which it drove, so that one that was stopped goes on where it was.

Symbols: `W` worlds of `M` things: first the cars of the world, then what was put there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.errors import ConfigError
from lateapex.sim.geometry import project_on_line
from lateapex.sim.kernel import kernel
from lateapex.sim.random import LANE_CHANGE, uniforms
from lateapex.sim.tables import TrackTables
from lateapex.world.bodies import CAR
from lateapex.world.lanes import INNER, lanes_of
from lateapex.world.track import Track
from lateapex.world.vehicle import STEP_SECONDS

NOTHING: Final = -1
"""Kind of a place in the list that is empty."""
OPAQUE: Final = 4
"""Samples of each pixel, of 4, in which a thing that is not blinking is seen."""

THING_DTYPE: Final = np.dtype(
    [
        ("x", np.float64),  # m, its middle
        ("y", np.float64),
        ("yaw", np.float64),  # rad, -pi..pi
        ("along", np.float64),  # m, projection of its middle on the centre line
        ("distance_from_center", np.float64),  # m
        ("speed", np.float64),  # m/s that it drives when nothing stops it
        ("start", np.float64),  # m along the centre line where a bot began
        ("change_begin", np.float64),  # s of driving, of a bot's next change of lane; infinite: none
        ("change_end", np.float64),
        ("episode", np.int64),  # of the world, whose draws a bot uses
        ("kind", np.int32),  # place in BODIES, or NOTHING
        ("paint", np.int32),  # place in PAINTS
        ("opacity", np.int32),  # samples of each pixel in which it is seen, of OPAQUE
        ("car", np.int32),  # of the simulator; -1: no car of its own will
        ("track", np.int32),
        ("lane", np.int32),  # INNER or OUTER; of a bot the one that it left or is in
        ("driven", np.int32),  # steps that a bot drove
        ("changes", np.int32),  # of lane, that a bot has made
        ("wait", np.int32),  # steps for which a bot still stands
        ("is_left_of_line", np.int32),  # 1 or 0
    ]
)
"""One thing; no byte lies between the fields, so that equal things have equal bytes."""


class LaneTables(NamedTuple):
    """The lanes of all tracks of a simulator; see `world.lanes`."""

    first: NDArray[np.int64]  # [K] its first piece
    pieces: NDArray[np.int64]  # [K]
    stops: NDArray[np.float64]  # [P] m where each piece begins
    length: NDArray[np.float64]  # [K] m
    powers: NDArray[np.float64]  # [P, 2, 2, 4]


def lane_tables(tracks: Sequence[Track]) -> LaneTables:
    """Fit the lanes of all tracks."""
    parts = [lanes_of(track) for track in tracks]
    counts = np.array([len(part.powers) for part in parts], np.int64)
    return LaneTables(
        np.cumsum(counts) - counts,
        counts,
        np.concatenate([part.stops[:-1] for part in parts]),
        np.array([part.stops[-1] for part in parts]),
        np.concatenate([part.powers for part in parts]),
    )


def lane_poses(
    lanes: LaneTables, tables: TrackTables, track: ArrayLike, along: ArrayLike, lane: ArrayLike
) -> NDArray[np.float64]:
    """Return x, y (m) and yaw (rad) on lanes, `[3, V]`, at V places: track, m along its centre line, lane."""
    parts = np.broadcast_arrays(np.asarray(track, np.int64), np.asarray(along, np.float64), np.asarray(lane, np.int64))
    out = np.empty((3, parts[0].size))
    _poses_of(*(part.ravel() for part in parts), lanes, tables, out)
    return out


class LaneChanges(NamedTuple):
    """When bots change lanes."""

    lower: float  # s of driving between two changes, at least
    upper: float  # at most
    distance: float  # m that a change takes


class Traffic:
    """The things of all worlds.

    Args:
        lanes: of all tracks.
        tables: of the same tracks.
        world: `[N]` world of each car.
        spare: things that each world has room for besides its cars.
    """

    def __init__(self, lanes: LaneTables, tables: TrackTables, world: NDArray[np.int32], spare: int) -> None:
        self._tables = tables
        self._lanes = lanes
        worlds = int(world.max()) + 1
        self.cars_each = int(np.bincount(world).max())
        """Places at the beginning of each world's list that are cars."""
        self.things = np.zeros((worlds, self.cars_each + spare), THING_DTYPE)
        """`[W, M]` of THING_DTYPE."""
        self.things["kind"], self.things["car"], self.things["opacity"] = NOTHING, -1, OPAQUE
        self._seat = np.array([np.count_nonzero(world[:car] == world[car]) for car in range(len(world))], np.int64)
        self.things["car"][world, self._seat] = np.arange(len(world))
        self.things["kind"][world, self._seat] = CAR
        self.changes: LaneChanges | None = None
        """Of the bots; None: they stay in their lanes."""
        self.seed = 0
        """Of when they change."""
        self.first_world = 0
        """Number of the first world, to which that belongs as well."""

    @property
    def others(self) -> NDArray[Any]:
        """`[W, spare]` the things that are no cars of the simulator, a view."""
        return self.things[:, self.cars_each :]

    def put(
        self, worlds: NDArray[np.int64], *, track: ArrayLike, along: ArrayLike, lane: ArrayLike, episode: ArrayLike
    ) -> None:
        """Put what some worlds have besides cars to its places, each thing heading along its lane.

        Kind, paint and speed stay what they are in `others`; bots begin to drive.

        Args:
            worlds: `[V]` which.
            track: `[V]` the track that each is driven on.
            along: `[V, spare]` m along the centre line.
            lane: `[V, spare]` INNER or OUTER.
            episode: `[V]` of each world, whose draws its bots use.
        """
        fresh = self.others[worlds]
        fresh["track"], fresh["episode"] = np.asarray(track)[:, None], np.asarray(episode)[:, None]
        fresh["start"], fresh["lane"] = along, lane
        fresh["driven"] = fresh["changes"] = fresh["wait"] = 0
        fresh["change_begin"] = fresh["change_end"] = np.inf
        if self.changes is not None:
            _next_changes(fresh, self.first_world + worlds, 0.0, self.changes, self.seed, fresh["speed"] > 0.0)
        _place_all(fresh, self._lanes, self._tables)
        self.others[worlds] = fresh

    def step(self) -> None:
        """Drive all bots for 1/15 s."""
        others = self.others
        if not others.size:
            return
        _drive_all(others, self._lanes, self._tables)
        if self.changes is not None:
            due = others["driven"] * STEP_SECONDS >= others["change_end"]
            if due.any():
                others["lane"][due] *= -1
                others["changes"][due] += 1
                worlds = self.first_world + np.arange(len(others))
                _next_changes(others, worlds, others["change_end"], self.changes, self.seed, due)

    def follow(self, cars: NDArray[Any]) -> None:
        """Take over where the simulator's cars are."""
        _follow_all(cars, self._seat, self.things, self._tables)

    def rectangles(self, sizes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return all things of each world as rectangles on the ground, for rays and other tests.

        Args:
            sizes: `[kinds, 2]` length and width to take for each kind, m.

        Returns:
            `[W, M, 5]` x, y, yaw, length, width, and `[W, M]` the car of each: -1 of things that are no cars, -2 of
            empty places, which are nowhere.
        """
        out = np.zeros((*self.things.shape, 5))
        for place, name in enumerate(("x", "y", "yaw")):
            out[..., place] = self.things[name]
        out[..., 3:] = sizes[self.things["kind"]]
        empty = self.things["kind"] == NOTHING
        out[empty] = np.nan
        return out, np.where(empty, -2, self.things["car"]).astype(np.int64)

    def restore(self, things: NDArray[Any]) -> None:
        """Return to a copy of `things`.

        Raises:
            ConfigError: it is of another number of things, or of another version of their records.
        """
        if things.shape != self.things.shape or things.dtype != self.things.dtype:
            raise ConfigError(
                f"snapshot of {things.shape} things; this simulator has {self.things.shape} of this version's fields"
            )
        self.things[:] = things


def _next_changes(
    bots: NDArray[Any], worlds: NDArray[np.int64], now: Any, changes: LaneChanges, seed: int, which: NDArray[np.bool_]
) -> None:
    """Draw when those bots of `[V, B]` in `which` change lanes next, from `now`, s of driving, on."""
    rows, places = np.nonzero(which)
    some = bots[rows, places]
    draws = uniforms(seed, worlds[rows], some["episode"], LANE_CHANGE, places * 65536 + some["changes"])[:, 0]
    begin = np.broadcast_to(now, bots.shape)[rows, places] + changes.lower + draws * (changes.upper - changes.lower)
    bots["change_begin"][rows, places] = begin
    bots["change_end"][rows, places] = begin + changes.distance / some["speed"]


@kernel
def lane_point(along, lane, k, lanes, tables):  # type: ignore[no-untyped-def] # numba: m, INNER or OUTER, int, tables -> x, y, dx, dy
    """Place on a lane and its direction, m and m a metre of centre line; loops wrap, open tracks end."""
    length = lanes.length[k]
    way = along % length if tables.tracks[k].closed else min(max(along, 0.0), length)
    low = lanes.first[k]
    high = low + lanes.pieces[k] - 1
    while low < high:
        middle = (low + high + 1) // 2
        if lanes.stops[middle] <= way:
            low = middle
        else:
            high = middle - 1
    t = way - lanes.stops[low]
    a = lanes.powers[low, 0 if lane == INNER else 1]
    x = ((a[0, 0] * t + a[0, 1]) * t + a[0, 2]) * t + a[0, 3]
    y = ((a[1, 0] * t + a[1, 1]) * t + a[1, 2]) * t + a[1, 3]
    dx = (3.0 * a[0, 0] * t + 2.0 * a[0, 1]) * t + a[0, 2]
    dy = (3.0 * a[1, 0] * t + 2.0 * a[1, 1]) * t + a[1, 2]
    return x, y, dx, dy


@kernel
def _poses_of(track, along, lane, lanes, tables, out):  # type: ignore[no-untyped-def] # numba: [V] each, tables, [3, V]
    for v in range(track.size):
        x, y, dx, dy = lane_point(along[v], lane[v], track[v], lanes, tables)
        out[0, v], out[1, v], out[2, v] = x, y, np.arctan2(dy, dx)


@kernel
def _place(thing, lanes, tables):  # type: ignore[no-untyped-def] # numba: THING_DTYPE, LaneTables, TrackTables
    """Put a thing where its lane, its start and its driving bring it."""
    k = thing.track
    seconds = thing.driven * STEP_SECONDS
    along = thing.start + thing.speed * seconds
    x, y, dx, dy = lane_point(along, thing.lane, k, lanes, tables)
    if seconds > thing.change_begin:
        span = thing.change_end - thing.change_begin
        part = min((seconds - thing.change_begin) / span, 1.0)
        share = part * part * (3.0 - 2.0 * part)
        slope = 6.0 * part * (1.0 - part) / (span * thing.speed)
        to_x, to_y, to_dx, to_dy = lane_point(along, -thing.lane, k, lanes, tables)
        dx += share * (to_dx - dx) + slope * (to_x - x)
        dy += share * (to_dy - dy) + slope * (to_y - y)
        x += share * (to_x - x)
        y += share * (to_y - y)
    thing.x, thing.y, thing.yaw = x, y, np.arctan2(dy, dx)
    _locate(thing, tables)


@kernel
def _locate(thing, tables):  # type: ignore[no-untyped-def] # numba: THING_DTYPE, TrackTables
    along, aside, left = project_on_line(thing.x, thing.y, thing.track, tables)
    thing.along, thing.distance_from_center, thing.is_left_of_line = along, aside, left


@kernel
def _place_all(things, lanes, tables):  # type: ignore[no-untyped-def] # numba: [V, B] THING_DTYPE, LaneTables, TrackTables
    for v in range(things.shape[0]):
        for b in range(things.shape[1]):
            _place(things[v, b], lanes, tables)


@kernel
def _drive_all(things, lanes, tables):  # type: ignore[no-untyped-def] # numba: as _place_all
    for w in range(things.shape[0]):
        for b in range(things.shape[1]):
            thing = things[w, b]
            if thing.wait > 0:
                thing.wait -= 1
            elif thing.speed > 0.0 and thing.kind != NOTHING:
                thing.driven += 1
                _place(thing, lanes, tables)


@kernel
def _follow_all(cars, seat, things, tables):  # type: ignore[no-untyped-def] # numba: [N] STATE_DTYPE, int64[N], [W, M] THING_DTYPE
    for n in range(cars.size):
        thing = things[cars[n].world, seat[n]]
        thing.x, thing.y, thing.yaw = cars[n].x, cars[n].y, cars[n].yaw
        thing.track, thing.speed = cars[n].track, cars[n].u
        _locate(thing, tables)
