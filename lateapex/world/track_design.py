"""How a track is written down as straights and bends, and what its points are.

    width = 0.8              # m
    spacing = 0.15           # m from point to point, about; 0.15 if left out
    closed = true            # false: a sprint with two ends; true if left out
    start = {x = 0.0, y = 0.0, heading = 90.0}   # m and degrees; the origin, eastwards, if left out
    segments = [
        {straight = 4.0},              # m
        {left = 180, radius = 1.3},    # degrees, and m from the bend's centre to the centre line
        {straight = 4.0},
        {left = 180, radius = 1.3},
    ]

The first segment begins at the start line. Inside: curvature in 1/m, left positive; "way" is metres driven.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from lateapex.errors import TrackError, did_you_mean
from lateapex.world.track import Track

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_KEYS = ("width", "spacing", "closed", "start", "segments")
_CLOSING_GAP = 0.001  # m between end and start that is spread over the lap
_CLOSING_TURN = 0.01  # degrees that the bends of a lap may miss the full turn by
_LONGEST = 500.0  # m; the longest official track has 101
_NARROWEST = 0.2  # m, the width of the car
_LARGEST = 1e7  # of any number; beyond it millimetres drown in rounding
_SPACING = 0.15  # m, that of the early official routes
_SPACING_RANGE = (0.02, 0.5)  # m
_FEWEST_POINTS = 8


@dataclass(frozen=True)
class _Segment:
    straight: bool
    turn: float  # rad, left positive; 0 on a straight
    length: float  # m


@dataclass(frozen=True)
class _Design:
    source: str
    width: float
    spacing: float
    closed: bool
    start: tuple[float, float, float]  # m, m, rad
    segments: tuple[_Segment, ...]

    @property
    def length(self) -> float:
        return math.fsum(segment.length for segment in self.segments)


class _Curve:
    """Centre line of a design: any way along it -> point and heading."""

    def __init__(self, design: _Design) -> None:
        lengths = np.array([segment.length for segment in design.segments])
        turns = np.array([segment.turn for segment in design.segments])
        x, y, heading = design.start
        self._curvatures = turns / lengths
        self._ways = np.concatenate([[0.0], np.cumsum(lengths)])  # [S + 1], at the joints
        self._headings = heading + np.concatenate([[0.0], np.cumsum(turns)])
        steps = _chords(lengths, self._headings[:-1], self._curvatures)
        self._joints = np.array([x, y]) + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        self.gap: NDArray[np.float64] = self._joints[-1] - self._joints[0]  # [2] m from the start to the end

    def segment_at(self, ways: NDArray[np.float64]) -> NDArray[np.intp]:
        return np.clip(np.searchsorted(self._ways, ways, side="right") - 1, 0, len(self._curvatures) - 1)

    def at(self, ways: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points [n, 2] and headings [n]."""
        index = self.segment_at(ways)
        rest = ways - self._ways[index]
        points = self._joints[index] + _chords(rest, self._headings[index], self._curvatures[index])
        return points, self._headings[index] + self._curvatures[index] * rest


def design_track(text: str, source: str) -> Track:
    """Make a track of a design.

    Args:
        text: TOML as shown at the top of this module.
        source: the file's name or path, for messages; without folder and ending it is the track's name.

    Returns:
        Points at equal distances along the centre line, the nearest to `spacing` that divides its length. The borders
        lie half the width to either side; the inner one is the enclosed ring, on an open track the left border.

    Raises:
        TrackError: the text is no design; a loop does not close (up to 1 mm is spread over the lap); the road comes
            nearer to itself than its width; a bend is tighter than half the width.
    """
    design = _parse(text, source)
    curve = _Curve(design)
    if design.closed:
        _check_closed(design, curve)
    _check_apart(design, curve)
    ways = _ways(design, design.spacing, _FEWEST_POINTS)
    center, headings = curve.at(ways)
    if design.closed:
        center = center - curve.gap * (ways / design.length)[:, None]
    to_left = np.stack([-np.sin(headings), np.cos(headings)], axis=1) * (design.width / 2)
    left, right = center + to_left, center - to_left
    clockwise = design.closed and sum(segment.turn for segment in design.segments) < 0
    inner, outer = (right, left) if clockwise else (left, right)
    return Track(PurePath(source).stem, center, inner, outer, design.closed)


def _chords(
    lengths: NDArray[np.float64], headings: NDArray[np.float64], curvatures: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[n, 2] from the begin to the end of arcs that begin at a heading; a straight is an arc of no curvature."""
    half_turns = lengths * curvatures / 2
    chord = lengths * np.sinc(half_turns / np.pi)
    return np.stack([chord * np.cos(headings + half_turns), chord * np.sin(headings + half_turns)], axis=1)


def _ways(design: _Design, spacing: float, fewest: int) -> NDArray[np.float64]:
    steps = max(round(design.length / spacing), fewest)
    return np.linspace(0.0, design.length, steps + 1)[: steps if design.closed else None]


# What a design must satisfy


def _check_closed(design: _Design, curve: _Curve) -> None:
    turn = math.degrees(math.fsum(segment.turn for segment in design.segments))
    miss = 360.0 - abs(turn)
    if abs(miss) > _CLOSING_TURN:
        side = "left" if turn >= 0 else "right"
        need = f"{'add' if miss > 0 else 'take away'} {abs(miss):.6g} degrees of {side} bend"
        raise TrackError(
            f"{design.source} does not close: its bends add up to {abs(turn):.6g} degrees to the {side}, a loop needs "
            f"360: {need}, or set closed = false"
        )
    if math.hypot(*curve.gap) > _CLOSING_GAP:
        raise TrackError(f"{design.source} does not close: {_describe_gap(design, curve)}: {_mend_gap(design, curve)}")


def _describe_gap(design: _Design, curve: _Curve) -> str:
    heading = design.start[2]
    ahead = float(curve.gap @ [math.cos(heading), math.sin(heading)])
    left = float(curve.gap @ [-math.sin(heading), math.cos(heading)])
    parts = [
        f"{abs(size):.4g} m {side}"
        for size, side in (
            (ahead, "ahead" if ahead > 0 else "behind"),
            (left, "to the left" if left > 0 else "to the right"),
        )
        if abs(size) > _CLOSING_GAP / 2
    ]
    return f"the end lies {' and '.join(parts)} of the start, {_CLOSING_GAP:g} m is allowed"


def _mend_gap(design: _Design, curve: _Curve) -> str:
    """Say which straights to change, and to what: one if it can be done so, else the two that change least."""
    begins = np.concatenate([[0.0], np.cumsum([segment.length for segment in design.segments])])[:-1]
    _, headings = curve.at(begins)
    straights = [index for index, segment in enumerate(design.segments) if segment.straight]
    ways_to_mend = []
    for count in (1, 2):
        for chosen in combinations(straights, count):
            directions = np.array([[math.cos(headings[i]), math.sin(headings[i])] for i in chosen]).T
            changes = np.linalg.lstsq(directions, -curve.gap, rcond=1e-6)[0]
            lengths = np.round([design.segments[i].length for i in chosen] + changes, 4)
            if np.abs(directions @ changes + curve.gap).max() < _CLOSING_GAP / 4 and lengths.min() > 0:
                ways_to_mend.append((count, float(np.abs(changes).sum()), chosen, lengths))
    if not ways_to_mend:
        return "change a bend, or add a straight"
    _, _, chosen, lengths = min(ways_to_mend, key=lambda way: way[:2])
    changes_of = (f"segment {i + 1} to straight = {new:.10g}" for i, new in zip(chosen, lengths, strict=True))
    return f"set {' and '.join(changes_of)}"


def _check_apart(design: _Design, curve: _Curve) -> None:
    """Refuse a road that overlaps itself.

    Bends wider than half the width keep points apart that are at most half a circle of that radius away (a curve is
    nowhere nearer to itself than the circle of its tightest curvature: Schur's comparison). All others are measured,
    in steps of a part of the width.
    """
    step = min(design.width / 4, max(design.width / 20, design.length / 2000))
    ways = _ways(design, step, _FEWEST_POINTS)
    points, _ = curve.at(ways)
    count = len(points)
    nearest, first, second = math.inf, 0, 0
    for lag in range(math.ceil(math.pi / 2 * design.width / ways[1]), count // 2 + 1 if design.closed else count):
        others = np.roll(points, -lag, axis=0) if design.closed else points[lag:]
        distances = np.hypot(*(others - points[: len(others)]).T)
        here = int(np.argmin(distances))
        if distances[here] < nearest:
            nearest, first, second = float(distances[here]), here, (here + lag) % count
    if nearest < design.width * (1 - 1e-6):
        i, j = sorted(int(index) + 1 for index in curve.segment_at(ways[[first, second]]))
        x, y = points[first]
        raise TrackError(
            f"{design.source} meets itself: segments {i} and {j} come within {nearest:.2f} m of each other near "
            f"({x:.2f}, {y:.2f}); centre lines must stay {design.width:g} m apart, the width: lengthen a straight or "
            "widen a bend"
        )


# From text to numbers


def _parse(text: str, source: str) -> _Design:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TrackError(f"{source} is not TOML: {error}; a track design is needed: mend that place") from None
    _check_keys(table, _KEYS, source)
    width = _number(table, "width", source)
    if width < _NARROWEST:
        raise TrackError(f"{source}: width is {width:g} m; {_NARROWEST:g} m or more is needed, the width of the car")
    design = _Design(
        source=source,
        width=width,
        spacing=_parse_spacing(table, source),
        closed=_parse_closed(table, source),
        start=_parse_start(table, source),
        segments=_parse_segments(table, width, source),
    )
    if design.length > _LONGEST:
        raise TrackError(f"{source} is {design.length:g} m long; {_LONGEST:g} m at most: shorten its segments")
    return design


def _parse_spacing(table: Mapping[str, Any], source: str) -> float:
    spacing = _number(table, "spacing", source, default=_SPACING)
    low, high = _SPACING_RANGE
    if not low <= spacing <= high:
        raise TrackError(
            f"{source}: spacing is {spacing:g} m; it must lie between {low} and {high} ({_SPACING} is usual)"
        )
    return spacing


def _parse_closed(table: Mapping[str, Any], source: str) -> bool:
    closed = table.get("closed", True)
    if not isinstance(closed, bool):
        raise TrackError(f"{source}: closed is {closed!r}; write true for a loop, false for a sprint")
    return closed


def _parse_start(table: Mapping[str, Any], source: str) -> tuple[float, float, float]:
    start = table.get("start", {})
    if not isinstance(start, dict):
        raise TrackError(f"{source}: start is {start!r}; write start = {{x = 0.0, y = 0.0, heading = 0.0}}")
    place = f"{source}: start"
    _check_keys(start, ("x", "y", "heading"), place)
    x, y, heading = (_number(start, key, place, default=0.0) for key in ("x", "y", "heading"))
    return x, y, math.radians(heading)


def _parse_segments(table: Mapping[str, Any], width: float, source: str) -> tuple[_Segment, ...]:
    segments = table.get("segments")
    if not isinstance(segments, list) or not segments:
        found = "is missing" if segments is None else f"is {segments!r}"
        raise TrackError(f"{source}: segments {found}; a list is needed, such as segments = [{{straight = 2.0}}]")
    return tuple(_parse_segment(item, width, f"{source}: segment {i}") for i, item in enumerate(segments, start=1))


def _parse_segment(item: object, width: float, place: str) -> _Segment:
    if not isinstance(item, dict) or len(item.keys() & {"straight", "left", "right"}) != 1:
        raise TrackError(
            f"{place} is {item!r}; one of {{straight = 2.0}}, {{left = 90, radius = 1.0}} and "
            "{right = 90, radius = 1.0} is needed"
        )
    if "straight" in item:
        _check_keys(item, ("straight",), place)
        return _Segment(straight=True, turn=0.0, length=_number(item, "straight", place, above=0.0))
    side = "left" if "left" in item else "right"
    _check_keys(item, (side, "radius"), place)
    degrees = _number(item, side, place, above=0.0)
    if degrees > 360:
        raise TrackError(f"{place}: {side} is {degrees:g} degrees; 360 at most: a longer bend would meet itself")
    radius = _number(item, "radius", place)
    if radius <= width / 2:
        raise TrackError(
            f"{place}: radius is {radius:g} m; more than {width / 2:g} is needed, half the width of the road: "
            "widen the bend"
        )
    turn = math.radians(degrees)
    return _Segment(straight=False, turn=turn if side == "left" else -turn, length=radius * turn)


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in known:
            guess = did_you_mean(key, known) or f"; known: {', '.join(known)}"
            raise TrackError(f"{place}: nothing is called {key!r} here{guess}")


def _number(
    table: Mapping[str, Any], key: str, place: str, *, default: float | None = None, above: float = -math.inf
) -> float:
    value = table.get(key, default)
    if value is None:
        raise TrackError(f"{place}: {key} is missing; a number is needed, such as {key} = 1.0")
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        raise TrackError(f"{place}: {key} is {value!r}; a plain number is needed, such as {key} = 1.0")
    if value <= above:
        raise TrackError(f"{place}: {key} is {value:g}; a number above {above:g} is needed")
    return float(value)
