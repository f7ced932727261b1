"""Where each car's own camera looks: row tables like those of a View, made when a car begins an episode.

A camera that rolls is drawn without, on a larger picture, which is then turned: see `developing`. Its focal length is
longer by 1 / cos(roll), so that turning is no more than moving rows and columns.

`N` cars, `R` rows of the largest picture that is drawn.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.camera import MAX_TAPS
from lateapex.sim.ground import LEVELS, TEXEL
from lateapex.sim.kernel import kernel
from lateapex.world.variation import PLACES, QUANTITIES
from lateapex.world.vehicle import CameraMount

LENS_DTYPE: Final = np.dtype(
    [
        ("forward", np.float64),  # m, lens ahead of the car's centre
        ("left", np.float64),
        ("height", np.float64),
        ("yaw", np.float64),  # rad, of the optical axis against the car's, to the left
        ("focal", np.float64),  # pixels
        ("widest", np.float64),  # see View
        ("pitch_cos", np.float64),
        ("pitch_sin", np.float64),
        ("slope", np.float64),  # tangent of the roll
        ("rows", np.int64),  # of the picture that is drawn
        ("columns", np.int64),
    ]
)
"""One car's camera."""

_MOST_ROLL: Final = math.radians(QUANTITIES[PLACES["camera.roll_deg"]].high)
_FORWARD: Final = PLACES["camera.forward"]
_LEFT: Final = PLACES["camera.left"]
_HEIGHT: Final = PLACES["camera.height"]
_PITCH: Final = PLACES["camera.pitch_deg"]
_YAW: Final = PLACES["camera.yaw_deg"]
_ROLL: Final = PLACES["camera.roll_deg"]
_VIEW: Final = PLACES["camera.field_of_view_deg"]
_TAPS: Final = 2  # at most: half of what the usual camera takes far away pays for the palette, and blurs a little
_LOWEST: Final = 0.02  # m that a lens is above the ground, and below the edge of the walls
_NARROWEST: Final = 0.15  # rad
_WIDEST: Final = 2.6
_STEEPEST: Final = 0.02  # of a direction's forward part; a row that looks steeper down or up is drawn as if it did not


class Lenses(NamedTuple):
    """The cameras of all cars; the tables are as in a View."""

    lens: NDArray[Any]  # [N] LENS_DTYPE
    taps: NDArray[np.int64]  # [N, R]
    above: NDArray[np.int64]
    level: NDArray[np.int64]
    scale: NDArray[np.float64]
    ahead: NDArray[np.float64]  # [N, R, MAX_TAPS]
    inverse_drop: NDArray[np.float64]


def lenses_for(count: int, height: int, width: int) -> Lenses:
    """Make room for the cameras of `count` cars with pictures of `height` x `width`."""
    rows = largest_size(height, width)[0]
    whole, real = (count, rows), (count, rows, MAX_TAPS)
    return Lenses(
        lens=np.zeros(count, LENS_DTYPE),
        taps=np.ones(whole, np.int64),
        above=np.zeros(whole, np.int64),
        level=np.zeros(whole, np.int64),
        scale=np.ones(whole),
        ahead=np.ones(real),
        inverse_drop=np.ones(real),
    )


def largest_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the largest picture that is drawn for one of `height` x `width`."""
    slope = math.tan(_MOST_ROLL)
    return height + 2 * _margin(width, slope), width + 2 * _margin(height, slope)


@kernel
def _margin(pixels, slope):  # type: ignore[no-untyped-def] # numba: int, tangent -> int
    """Rows above and below, or columns left and right, that turning needs besides; `pixels` lie the other way."""
    return math.ceil(0.5 * pixels * abs(slope)) + 1


def mount_numbers(mount: CameraMount) -> NDArray[np.float64]:
    """A mount as `fill_lens` takes it, `[4]`."""
    return np.array([mount.forward, mount.height, mount.pitch, mount.field_of_view])


@kernel
def fill_lens(car, values, mount, size, wall_height, lenses):  # type: ignore[no-untyped-def] # numba: int, [quantities], see mount_numbers, (H, W), m, Lenses
    """Work out one car's camera from its values."""
    height, width = size
    lens = lenses.lens[car]
    lens.forward = mount[0] + values[_FORWARD]
    lens.left = values[_LEFT]
    lens.height = min(max(mount[1] + values[_HEIGHT], _LOWEST), wall_height - _LOWEST)
    lens.yaw = math.radians(values[_YAW])
    roll = math.radians(values[_ROLL])
    lens.slope = math.tan(roll)
    lens.rows, lens.columns = height, width
    if roll != 0.0:
        lens.rows += 2 * _margin(width, lens.slope)
        lens.columns += 2 * _margin(height, lens.slope)
    view = min(max(mount[3] + math.radians(values[_VIEW]), _NARROWEST), _WIDEST)
    lens.focal = 0.5 * width / math.tan(0.5 * view) / math.cos(roll)
    pitch = mount[2] + math.radians(values[_PITCH])
    lens.pitch_cos, lens.pitch_sin = math.cos(pitch), math.sin(pitch)
    lowest = np.inf
    for row in range(lens.rows):
        lowest = min(lowest, _fill_row(car, row, lens, lenses))
    lens.widest = 0.5 * (lens.columns + 1) / (lens.focal * lowest)


@kernel
def _fill_row(car, row, lens, lenses):  # type: ignore[no-untyped-def] # numba: int, int, LENS_DTYPE, Lenses -> the least forward part
    taps, level = _sampling(row, lens)
    lenses.taps[car, row], lenses.level[car, row] = taps, level
    lenses.scale[car, row] = 65536.0 / (TEXEL * 2.0**level)
    lowest = np.inf
    above = 0
    for tap in range(taps):
        ahead, drop = _direction((row + (tap + 0.5) / taps - 0.5 * lens.rows) / lens.focal, lens)
        ahead = max(ahead, _STEEPEST)
        inverse = 1.0 / (drop if abs(drop) > 1e-6 else -1e-6)
        lenses.ahead[car, row, tap], lenses.inverse_drop[car, row, tap] = ahead, inverse
        above += inverse < 0.0
        lowest = min(lowest, ahead)
    lenses.above[car, row] = above
    return lowest


@kernel
def _direction(y, lens):  # type: ignore[no-untyped-def] # numba: focal lengths below the axis, LENS_DTYPE -> forward and downward part
    return lens.pitch_cos - y * lens.pitch_sin, lens.pitch_sin + y * lens.pitch_cos


@kernel
def _sampling(row, lens):  # type: ignore[no-untyped-def] # numba: int, LENS_DTYPE -> taps, level; as camera.view_of, but for _TAPS
    upper_ahead, upper_drop = _direction((row - 0.5 * lens.rows) / lens.focal, lens)
    drop = _direction((row + 0.5 - 0.5 * lens.rows) / lens.focal, lens)[1]
    lower_ahead, lower_drop = _direction((row + 1.0 - 0.5 * lens.rows) / lens.focal, lens)
    if lower_drop <= 0.0:
        return 2, 0
    if upper_drop <= 1e-3:
        return _TAPS, LEVELS - 1
    across = lens.height / drop / lens.focal
    deep = lens.height * (upper_ahead / upper_drop - lower_ahead / lower_drop)
    size = max(across, deep / (1.4 * _TAPS))
    level = int(min(max(np.round(math.log2(size / TEXEL)), 0.0), LEVELS - 1.0))
    wanted = deep / (TEXEL * 2.0**level)
    return (1 if wanted <= 1.2 else _TAPS), level
