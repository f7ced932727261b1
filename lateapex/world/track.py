"""Where the road lies: centre line and borders of a track, their direction and length.

A track is immutable geometry. Where a car is on it, what is off the road and how far a lap has come are computed by
the simulator; a track made of straights and bends is designed in `track_design`, a random one in `track_generator`.

Symbols: `P` centre-line points. Metres and radians, x east, y north.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from lateapex.errors import TrackError, did_you_mean
from lateapex.world.preset_files import names_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

REVERSED: Final = "@reversed"
"""Behind the name or path of a track: driven the other way."""

_COLUMNS = ("centre x", "centre y", "inner x", "inner y", "outer x", "outer y")
_LAYOUT = "6 columns are needed: centre x y, inner x y, outer x y"
_MIN_POINTS = 4
_GENERATED = "generated:"
# m, the largest coordinate: map projections reach it, a distance lost in rounding does not.
_FARTHEST = 1e7
# Official tracks whose white lines are painted beyond the border; where nothing is known they lie on the road.
_LINES_OUTSIDE = frozenset({"Oval_track"})


@dataclass(frozen=True, eq=False)
class Track:
    """Centre line and borders of a road, in driving order.

    The arrays are copied, converted to float64 and made read-only. Repeated points are kept, since racers' reward
    functions count on the index of a waypoint.
    """

    name: str
    center: NDArray[np.float64]
    """[P, 2] m; a loop does not repeat its first point at the end. May lie off the middle of the borders."""
    inner: NDArray[np.float64]
    """[P, 2] m, the enclosed (smaller) ring: left of driving on a counter-clockwise track, right on a clockwise one."""
    outer: NDArray[np.float64]
    """[P, 2] m."""
    closed: bool
    """A loop; False: a line with two ends, such as Straight_track."""
    reversed: bool = False
    """Driven against the row order of its file; `params["is_reversed"]` of a reward function."""
    lines: Literal["inside", "outside"] = "inside"
    """Where the white border lines are painted, seen from the border: on the road or beyond it."""

    def __post_init__(self) -> None:
        for field in ("center", "inner", "outer"):
            points = np.array(getattr(self, field), dtype=np.float64, order="C")
            object.__setattr__(self, field, _read_only(points))

    @cached_property
    def along(self) -> NDArray[np.float64]:
        """[P] m, way along the centre line to each of its points; the first is 0."""
        return _read_only(self._stops[: len(self.center)])

    @cached_property
    def length(self) -> float:
        """Length of the centre line in m: once round a loop, from end to end of an open track.

        Straight_track is 5.71 m long, as in the original, which measures an open route as a line
        (`markov/track_geom/track_data.py`). Tools that close every route into a ring show 11.415 m for it.
        """
        return float(self._stops[-1])

    @cached_property
    def width(self) -> float:
        """Median distance of inner and outer border in m; the width at one place may differ."""
        return float(np.median(_norms(self.inner - self.outer)))

    @cached_property
    def is_ccw(self) -> bool:
        """Whether the inner border is on the driver's left.

        On a loop that is counter-clockwise driving. An open track counts as counter-clockwise unless it is reversed, as
        in the original, so that its inner border is the left one forwards and the right one backwards.
        """
        return signed_area(self.center) > 0 if self.closed else not self.reversed

    @cached_property
    def waypoints(self) -> list[tuple[float, float]]:
        """Points of the centre line as a reward function sees them; on a loop the last equals the first."""
        return [(float(x), float(y)) for x, y in self._line]

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest x and y, largest x and y of both borders, m."""
        borders = np.concatenate([self.inner, self.outer])
        (x_min, y_min), (x_max, y_max) = borders.min(axis=0), borders.max(axis=0)
        return float(x_min), float(y_min), float(x_max), float(y_max)

    @property
    def rings(self) -> list[NDArray[np.float64]]:
        """Closed lines around the road, [., 2] m each: both borders of a loop, or the one around an open track."""
        return [self.inner, self.outer] if self.closed else [np.concatenate([self.outer, self.inner[::-1]])]

    def pose_at(self, fraction: float) -> tuple[float, float, float]:
        """Return x, y (m) and heading (rad) on the centre line.

        Args:
            fraction: share of the length, 0 at the first point. It wraps on a loop (1.25 and -0.75 are 0.25) and stops
                at the ends of an open track.

        The heading is that towards the next point, in (-pi, pi]; points that repeat the one before have none.
        """
        # A second remainder, since that of a tiny negative number rounds to 1.
        share = fraction % 1.0 % 1.0 if self.closed else min(max(fraction, 0.0), 1.0)
        way = share * self.length
        last = int(np.searchsorted(self._stops, self.length, side="left"))
        ahead = min(int(np.searchsorted(self._stops, way, side="right")), last)
        start, end = self._stops[ahead - 1], self._stops[ahead]
        (x0, y0), (x1, y1) = self._line[ahead - 1], self._line[ahead]
        part = (way - start) / (end - start)
        return float(x0 + part * (x1 - x0)), float(y0 + part * (y1 - y0)), math.atan2(y1 - y0, x1 - x0)

    def reverse(self) -> Track:
        """Return the same road driven the other way: a loop from the same first point, a line from its other end."""
        shift = 1 if self.closed else 0
        center, inner, outer = (
            np.roll(points[::-1], shift, axis=0) for points in (self.center, self.inner, self.outer)
        )
        return replace(self, center=center, inner=inner, outer=outer, reversed=not self.reversed)

    @cached_property
    def _line(self) -> NDArray[np.float64]:
        """[P + 1, 2] with the closing point of a loop, [P, 2] of an open track."""
        return np.concatenate([self.center, self.center[:1]]) if self.closed else self.center

    @cached_property
    def _stops(self) -> NDArray[np.float64]:
        """Way along the centre line to each point of `_line`, m."""
        return np.concatenate([[0.0], np.cumsum(_norms(np.diff(self._line, axis=0)))])


def track_names() -> list[str]:
    """Names of the tracks that come with the package, sorted."""
    return names_in("tracks")


def load_track(name_or_path: str | Path, cache: Path | None = None) -> Track:
    """Load a track by its name, or one from a file.

    Args:
        name_or_path: one of

            * a track that comes with the package, `track_names()`
            * an official route by its DeepRacer name, once it was fetched (`lateapex tracks get reinvent_base`)
            * `generated:<difficulty>:<seed>`, such as `generated:medium:42`: a random circuit, see `track_generator`
            * the path of a DeepRacer route (`.npy`, see `track_from_route`) or of a design (`.toml`, see
              `track_design`). Text is a path if it has a separator, begins with `~` or ends in `.npy` or `.toml`. A
              file gives its track the name that it has without the ending.

            Each of them, followed by `@reversed`, is driven the other way: `kidney@reversed`. The name stays.
        cache: folder of fetched official routes; that of `official.default_cache()` if not given.

    Raises:
        TrackError: no such name or file; the file cannot be read; it holds no track.
    """
    text, backwards = _split_direction(str(name_or_path))
    path = Path(text) if isinstance(name_or_path, Path) or is_path(text) else _route_of(text, cache)
    if path is not None:
        track = _load_file(_without_tilde(path))
    elif text.startswith(_GENERATED):
        track = _generate(text)
    else:
        track = _load_shipped(text)
    return track.reverse() if backwards else track


def is_path(text: str) -> bool:
    """Whether `load_track` takes a text for the path of a file, not for a name."""
    return "/" in text or "\\" in text or text.startswith("~") or text.lower().endswith((".npy", ".toml"))


def track_from_route(route: NDArray[Any], name: str) -> Track:
    """Make a track of a DeepRacer route.

    Args:
        route: [rows, 6] numbers, m: x, y of the centre, the inner and the outer border, in driving order. If the last
            row repeats the first it is a loop and that row is dropped (reinvent_base: 119 rows, 118 points), else a
            line with two ends. Borders may touch themselves and lie unevenly about the centre: some official ones do.
        name: the official name where it has one; that of Oval_track says that its lines lie beyond the border.

    Raises:
        TrackError: shape, type or values are not those of a route; a border has no width or the two are swapped.

    Source: the routes of aws-deepracer-community/deepracer-simapp and how its `markov/track_geom/track_data.py` reads
    them; place of the white lines: measured on its meshes.
    """
    return _build(np.asarray(route), name, f"route {name!r}")


def signed_area(ring: NDArray[np.float64]) -> float:
    """Area in m² that the points [P, 2] go round, taken as a ring; negative if they go clockwise."""
    # About a point of the ring: far from the origin the products would swallow the area.
    x, y = (ring - ring[0]).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _build(route: NDArray[Any], name: str, source: str) -> Track:
    _check_numbers(route, source)
    rows = np.array(route, dtype=np.float64)
    closed = len(rows) > 1 and bool(np.array_equal(rows[0], rows[-1]))
    rows = rows[:-1] if closed else rows
    center, inner, outer = rows[:, 0:2], rows[:, 2:4], rows[:, 4:6]
    _check_geometry(center, inner, outer, closed, source)
    lines: Literal["inside", "outside"] = "outside" if name in _LINES_OUTSIDE else "inside"
    return Track(name, center, inner, outer, closed, lines=lines)


def _check_numbers(route: NDArray[Any], source: str) -> None:
    if route.ndim != 2 or route.shape[1] != len(_COLUMNS):
        raise TrackError(f"{source} has shape {route.shape}; {_LAYOUT}")
    if route.dtype.kind not in "fiu":
        kind = "Python objects" if route.dtype.hasobject else f"values of type {route.dtype}"
        raise TrackError(f"{source} holds {kind}; numbers are needed: save it as numpy.save(path, array.astype(float))")
    wrong = np.argwhere(~(np.abs(route.astype(np.float64)) <= _FARTHEST))
    if len(wrong):
        row, column = wrong[0]
        raise TrackError(
            f"{source} has {route[row, column]} at row {row}, column {_COLUMNS[column]} ({len(wrong)} such values); "
            f"finite metres up to {_FARTHEST:.0e} are needed: mend those rows or leave them out"
        )


def _check_geometry(
    center: NDArray[np.float64], inner: NDArray[np.float64], outer: NDArray[np.float64], closed: bool, source: str
) -> None:
    distinct = len(np.unique(center, axis=0))
    if distinct < _MIN_POINTS:
        raise TrackError(
            f"{source} has {distinct} different centre points; {_MIN_POINTS} or more are needed: "
            "give a point every 0.1 to 0.3 m"
        )
    flat = np.flatnonzero(np.all(inner == outer, axis=1))
    if len(flat):
        raise TrackError(
            f"{source} has no width at row {flat[0]}: inner and outer border are one point; {_LAYOUT}, in metres"
        )
    if closed and abs(signed_area(inner)) > abs(signed_area(outer)):
        raise TrackError(
            f"{source} has its inner border around its outer one; the inner is the enclosed ring: "
            "swap columns 3-4 with columns 5-6"
        )


def _split_direction(text: str) -> tuple[str, bool]:
    """Return the track without its direction, and whether that is backwards."""
    backwards = text.endswith(REVERSED)
    text = text.removesuffix(REVERSED)
    track, at, word = text.rpartition("@")
    if at and not is_path(word) and "/" not in track and "\\" not in track:
        only = "only one" if backwards else "only"
        raise TrackError(
            f"{text} ends in '@{word}'; {only} {REVERSED!r} can stand there: write {track or 'kidney'}{REVERSED}"
        )
    return text, backwards


def _route_of(name: str, cache: Path | None) -> Path | None:
    """File of a fetched official route; nothing for a name that is not official.

    Raises:
        TrackError: it was not fetched.
    """
    # Imported for a plain name alone, since a path needs no table.
    from lateapex.world.official import default_cache, official_routes

    if name not in official_routes():
        return None
    path = (default_cache() if cache is None else cache) / f"{name}.npy"
    if not path.exists():
        raise TrackError(
            f"{name} is an official track whose route is not in {path.parent}; get it: lateapex tracks get {name}, "
            f"or give the path of a route file, such as ./{name}.npy"
        )
    return path


def _load_file(path: Path) -> Track:
    data = _read_bytes(path)
    if path.suffix.lower() == ".toml":
        return _design(data, str(path))
    return _build(_parse_npy(data, str(path)), path.stem, str(path))


def _generate(name: str) -> Track:
    # Imported when it is asked for, since circuits are built on Track.
    from lateapex.world.track_generator import circuit_by_name

    return circuit_by_name(name)


def _load_shipped(name: str) -> Track:
    from lateapex.world.official import official_routes

    names = track_names()
    if name not in names:
        guess = did_you_mean(name, [*names, *official_routes()])
        others = f"; those that come with lateapex are {', '.join(names)}, and `lateapex tracks list` shows all."
        example = f"./{name or 'my_track'}.npy"
        raise TrackError(
            f"no track is called {name!r}{guess or others} A route file is given by its path, such as {example}"
        )
    file = resources.files("lateapex") / "data" / "tracks" / f"{name}.toml"
    return _design(file.read_bytes(), f"{name}.toml")


def _design(data: bytes, source: str) -> Track:
    # Imported when a design is met, since designs are built on Track.
    from lateapex.world.track_design import design_track

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrackError(
            f"{source} is not text: byte {error.start} is no UTF-8; a track design is TOML: save it as UTF-8"
        ) from None
    return design_track(text, source)


def _without_tilde(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise TrackError(f"{path} begins with a home folder that does not exist; give the path in full") from None


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TrackError(_not_found(path)) from None
    except IsADirectoryError:
        raise TrackError(
            f"{path} is a folder; one file is needed: add its name, such as {path / 'reinvent_base.npy'}"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or error
        raise TrackError(
            f"{path} cannot be read: {reason}; a route file (.npy) or a design (.toml) is needed: "
            "check the path and its permissions"
        ) from None
    if not data:
        raise TrackError(f"{path} is empty; a route file (.npy) or a design (.toml) is needed: fetch it again")
    return data


def _not_found(path: Path) -> str:
    neighbours = sorted(file.name for file in path.parent.iterdir()) if path.parent.is_dir() else []
    guess = did_you_mean(path.name, neighbours)
    if guess:
        return f"there is no file {path}{guess}"
    names = ", ".join(track_names())
    return f"there is no file {path}; give the path of a route (.npy) or a design (.toml), or one of the names {names}"


def _parse_npy(data: bytes, source: str) -> NDArray[Any]:
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise TrackError(
            f"{source} is no .npy file (it begins with {data[:8]!r}); a NumPy array is needed: "
            "save it with numpy.save(path, array)"
        )
    try:
        read = np.lib.format.read_array
        return np.asarray(read(BytesIO(data), allow_pickle=False))  # type: ignore[no-untyped-call] # typed since NumPy 2.4
    except Exception as error:  # a damaged header makes NumPy raise whatever its parser meets
        if "Object arrays" in str(error):
            raise TrackError(
                f"{source} holds pickled Python objects, which could run code and are not opened; numbers are needed: "
                "save it with numpy.save(path, array.astype(float))"
            ) from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TrackError(
            f"{source} is cut off or damaged ({reason}); a whole .npy file is needed: fetch it again"
        ) from None


def _norms(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(vectors[:, 0], vectors[:, 1])


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values.setflags(write=False)
    return values
