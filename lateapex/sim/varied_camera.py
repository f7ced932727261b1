"""Pictures of cars whose cameras, colours and light are their own: like those of `camera`, from tables for each car.

All that belongs to a car is worked out once, when its episode begins. A car whose values change nothing is not drawn
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.bodies import BodyScratch, BodyTables, body_scratch, draw_around
from lateapex.sim.camera import MAX_TAPS, Scratch, View, draw_one, scratch_for
from lateapex.sim.developing import blur, darken, disturb, mixed, noise_table, turn
from lateapex.sim.ground import Ground
from lateapex.sim.kernel import kernel, take
from lateapex.sim.lens import fill_lens, largest_size, lenses_for, mount_numbers
from lateapex.sim.state import STATE_DTYPE
from lateapex.sim.tones import Tones, fill_tones, surfaces_of, tones_for
from lateapex.world.scene import Scene
from lateapex.world.variation import NEUTRAL, PICTURE_TABLES, PLACES, as_table, neutral
from lateapex.world.vehicle import CameraMount

_PLACES: Final = np.array([place for name, place in PLACES.items() if name.partition(".")[0] in PICTURE_TABLES])
_BLUR: Final = PLACES["picture.blur"]
_VIGNETTE: Final = PLACES["picture.vignette"]
_NOISE: Final = PLACES["picture.noise"]
_BLOCK: Final = 8  # cars that a thread draws at a time, as in the simulator
_EYE: Final = np.uint64(0xD1B54A32D192ED03)
_AGE: Final = np.uint64(0x8CB92BA72F3D8DD7)


def changes_pictures(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether values, `[M]` of VARIATION_DTYPE, let a car see anything otherwise than usual, `[M]`."""
    changed: NDArray[np.bool_] = (as_table(values)[:, _PLACES] != NEUTRAL[_PLACES]).any(axis=1)
    return changed


class Development(NamedTuple):
    """What becomes of each car's picture after it is drawn."""

    blur: NDArray[np.float64]  # [N] pixels
    vignette: NDArray[np.float64]  # [N] share
    noise: NDArray[np.float64]  # [N] levels
    key: NDArray[np.uint64]  # [N] of the noise
    table: NDArray[np.int8]  # see noise_table


class _Room(NamedTuple):
    """Memory that drawing works in; each thread needs its own."""

    lens: NDArray[Any]  # [1] STATE_DTYPE: where the lens is
    large: NDArray[np.uint8]  # flat: a picture before it is turned
    lines: NDArray[Any]  # see Scratch
    texel: NDArray[np.uint32]
    looks: NDArray[Any]  # flat
    mean: NDArray[np.uint32]
    place: NDArray[np.float64]
    wall: NDArray[np.int64]
    rows: NDArray[np.uint8]  # [3, bytes of a row and one more column]
    weight: NDArray[np.uint16]  # [bytes of that]
    moved: NDArray[np.int64]  # [W + 1]
    ends: NDArray[np.int64]  # [W + 1]
    nearest: NDArray[np.float32]  # flat, see BodyScratch; all 0 between pictures
    samples: NDArray[np.uint32]  # flat
    polygon: NDArray[np.float64]
    touched: NDArray[np.int64]


class VariedCamera:
    """The cameras of N cars.

    Args:
        codes: the ground of all tracks, see `ground_codes`.
        scenes: looks, one a track.
        mount: of the camera, before it varies.
        size: rows and columns of a picture.
        colour: whether pictures are coloured.
        eyes: m to the left of the mount, one for each lens.
        count: N.
        threads: that draw at the same time.
        bodies: what things look like; None: there are none.
    """

    def __init__(
        self,
        codes: Ground,
        scenes: Sequence[Scene],
        mount: CameraMount,
        size: tuple[int, int],
        *,
        colour: bool,
        eyes: Sequence[float],
        count: int,
        threads: int,
        bodies: BodyTables | None,
    ) -> None:
        height, width = size
        self.codes, self.bodies = codes, bodies
        self.varied = np.zeros(count, np.bool_)
        """`[N]` cars that are drawn here."""
        self._size, self._eyes = size, eyes
        self._values = neutral(count)
        self._mount = mount_numbers(mount)
        self._surfaces = surfaces_of(scenes)
        self._tones, self._lenses = tones_for(count, colour), lenses_for(count, height, width)
        self._development = Development(
            np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count, np.uint64), noise_table(3 * width)
        )
        self._rooms = [_room(height, width, colour, codes, self._tones) for _ in range(threads)]
        self.begin(np.zeros(0, np.int64), self._values[:0], np.zeros(0, np.uint64), np.zeros(0, np.int64))

    def begin(
        self, cars: NDArray[np.int64], values: NDArray[Any], keys: NDArray[np.uint64], tracks: NDArray[Any]
    ) -> None:
        """Give some cars, `[M]`, what their episodes have.

        Args:
            values: `[M]` of VARIATION_DTYPE.
            keys: `[M]` of their noise.
            tracks: `[M]` that they drive on.
        """
        table = as_table(values)
        self.varied[cars] = changes_pictures(values)
        self._values[cars] = values
        self._development.key[cars] = keys
        new = self.varied[cars]
        heights = self.codes.wall_height
        places = tracks[new].astype(np.int64)
        _begin_all(
            cars[new], table[new], places, self._mount, self._size, heights, self._surfaces,
            self._lenses, self._tones, self._development, np.zeros((7, 3)),
        )  # fmt: skip

    def alone(self, car: int, track: int) -> VariedCamera:
        """The coloured camera of one car, its first lens alone, on this track."""
        other = object.__new__(VariedCamera)
        other.__dict__.update(self.__dict__)
        other._eyes = self._eyes[:1]
        other.varied, other._values = np.zeros(1, np.bool_), neutral(1)
        other._tones, other._lenses = tones_for(1, colour=True), lenses_for(1, *self._size)
        other._development = Development(
            np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1, np.uint64), self._development.table
        )
        other._rooms = [_room(*self._size, True, self.codes, other._tones)]
        one = slice(car, car + 1)
        other.begin(np.zeros(1, np.int64), self._values[one], self._development.key[one], np.array([track]))
        return other

    def draw_taken(
        self,
        counter: NDArray[np.int64],
        which: NDArray[np.int64],
        cars: NDArray[Any],
        ages: NDArray[np.int64],
        things: NDArray[Any] | None,
        out: NDArray[np.uint8],
        *,
        eye: int,
        thread: int,
    ) -> None:
        """Draw blocks of the cars in `which` until all are taken, see `camera.draw`.

        Args:
            counter: `[1]` of the blocks.
            cars: `[N]` of STATE_DTYPE.
            ages: `[N]` steps of each car's episode, to which the noise of its picture belongs.
            things: of all worlds; None where there are none.
            out: what this eye's pictures are drawn into.
        """
        among = None if things is None else (things, self.bodies)
        tables = (self._lenses, self._tones, self._development)
        seen = (self._eyes[eye], np.uint64(eye), ages)
        _draw_all(counter, which, cars, seen, self.codes, tables, among, out, self._rooms[thread])


def _room(height: int, width: int, colour: bool, codes: Ground, tones: Tones) -> _Room:
    rows, columns = largest_size(height, width)
    channels = 3 if colour else 1
    plain, things = scratch_for(rows, columns, codes), body_scratch(rows, columns)
    return _Room(
        lens=np.zeros(1, STATE_DTYPE),
        large=np.zeros(rows * columns * channels, np.uint8),
        lines=plain.lines,
        texel=plain.texel,
        looks=np.zeros(MAX_TAPS * columns, tones.palette.dtype),
        mean=plain.mean,
        place=plain.place,
        wall=plain.wall,
        rows=np.zeros((3, (width + 1) * channels), np.uint8),
        weight=np.zeros((width + 1) * channels, np.uint16),
        moved=np.zeros(width + 1, np.int64),
        ends=np.zeros(width + 1, np.int64),
        nearest=things.nearest.ravel(),
        samples=things.looks.ravel(),
        polygon=things.polygon,
        touched=things.touched,
    )


@kernel
def _begin_all(cars, values, tracks, mount, size, heights, surfaces, lenses, tones, development, colours):  # type: ignore[no-untyped-def] # numba: int64[M], [M, quantities], int64[M], see fill_lens and fill_tones
    for n in range(cars.size):
        car = cars[n]
        fill_lens(car, values[n], mount, size, heights[tracks[n]], lenses)
        fill_tones(car, values[n], surfaces, tracks[n], tones, colours)
        development.blur[car] = values[n, _BLUR]
        development.vignette[car] = values[n, _VIGNETTE]
        development.noise[car] = values[n, _NOISE]


@kernel
def _draw_all(counter, which, cars, seen, codes, tables, among, out, room):  # type: ignore[no-untyped-def] # numba: see draw_taken
    first = take(counter, _BLOCK)
    while first < which.size:
        for n in range(first, min(first + _BLOCK, which.size)):
            _draw_car(which[n], cars, seen, codes, tables, among, out, room)
        first = take(counter, _BLOCK)


@kernel
def _draw_car(i, cars, seen, codes, tables, among, out, room):  # type: ignore[no-untyped-def] # numba: int, see draw_taken
    lenses, _, development = tables
    eye_left, eye, ages = seen
    lens = lenses.lens[i]
    c, s = np.cos(cars[i].yaw), np.sin(cars[i].yaw)
    left = lens.left + eye_left
    at = room.lens[0]
    at.x = cars[i].x + lens.forward * c - left * s
    at.y = cars[i].y + lens.forward * s + left * c
    at.yaw = cars[i].yaw + lens.yaw
    at.track = cars[i].track
    at.world = cars[i].world
    if lens.slope == 0.0:
        _draw_straight(out[i], i, at, codes, tables, among, room)
    else:
        channels = out[i].size // (out.shape[1] * out.shape[2])
        flat = room.large[: lens.rows * lens.columns * channels]
        large = flat.reshape((lens.rows, lens.columns, *out.shape[3:]))
        _draw_straight(large, i, at, codes, tables, among, room)
        turn(large, out[i], lens.slope, room.rows, room.weight, room.moved, room.ends)
    if development.blur[i] > 0.0:
        blur(out[i], development.blur[i], room.rows)
    if development.vignette[i] > 0.0:
        darken(out[i], development.vignette[i], room.weight)
    if development.noise[i] > 0.0:
        key = development.key[i] + np.uint64(ages[i]) * _AGE + eye * _EYE
        disturb(out[i], development.noise[i], mixed(key), development.table)


@kernel
def _draw_straight(picture, i, at, codes, tables, among, room):  # type: ignore[no-untyped-def] # numba: uint8[rows, columns] or coloured, see _draw_car
    """Draw what there is, before the picture is developed."""
    lenses, tones, _ = tables
    lens = lenses.lens[i]
    rows, columns = lens.rows, lens.columns
    view = View(
        0.0,
        0.0,
        lens.height,
        lens.focal,
        lenses.taps[i, :rows],
        lenses.above[i, :rows],
        lenses.level[i, :rows],
        lenses.scale[i, :rows],
        lenses.ahead[i, :rows],
        lenses.inverse_drop[i, :rows],
        lens.widest,
        lens.pitch_cos,
        lens.pitch_sin,
    )
    looks = room.looks[: MAX_TAPS * columns].reshape((MAX_TAPS, columns))
    scratch = Scratch(room.lines, room.texel, looks, room.mean[:columns], room.place, room.wall)
    colours = tones.walls[i], tones.sky[i], tones.palette[i]
    draw_one(picture, at.x, at.y, np.cos(at.yaw), np.sin(at.yaw), view, codes, at.track, colours, scratch)
    if among is not None:  # decided when it is compiled: the type says it
        things, bodies = among
        of_things = tones.curve[i], tones.light[i], tones.tint[i]
        size = (2 * rows, 2 * columns)
        nearest, samples = room.nearest[: 4 * rows * columns], room.samples[: 4 * rows * columns]
        memory = BodyScratch(nearest.reshape(size), samples.reshape(size), room.polygon, room.touched)
        draw_around(picture, i, at, things[at.world], view, codes, bodies, memory, of_things)
