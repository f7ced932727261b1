"""Random closed circuits: which road a seed stands for.

A circuit is a random polygon with rounded corners, written down as a design of straights and bends:

1. Points are scattered in a box, each the farthest from the others among a few candidates.
2. The shortest tour that swapping pairs of edges finds joins them. Such a tour never crosses itself, and unlike a star
   drawn round a centre it folds: it has bends to both sides, stretches that run back beside each other, hairpins.
3. Every corner becomes an arc. Two corners share the edge between them so that both could have the same radius, which
   is the fairest split; of what it may have, each corner takes a random part. Scaling brings the lap to its length.
4. A circuit with too tight a bend, or that comes near itself, is thrown away, and the next one drawn.
5. The rest is `track_design`, with its proof that the loop closes and keeps its own width away from itself.

So the shortest radius is known and not measured, borders are exactly parallel, and a circuit can be saved as a `.toml`
file and changed by hand. Smooth curves through perturbed points were the other choice: their curvature has to be
repaired afterwards, and what was repaired is no design any more.

Only uniform numbers of a Philox generator keyed by the seed are drawn, and a design is rounded to 0.01 mm, so that a
seed means the same circuit on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lateapex.config import Config
from lateapex.errors import ConfigError, TrackError, did_you_mean
from lateapex.world.track import Track
from lateapex.world.track_design import design_track

Floats = NDArray[np.float64]
Range = Annotated[tuple[float, float], Field(strict=False)]  # TOML has lists only

_CANDIDATES = 4  # for each point
_LONGEST_BOX = 1.8  # times its other side
_SMALLEST_PART = 0.6  # of the radius that a corner may have
_MOST_TRIES = 2000
_SEEDS = 2**64


class CircuitSettings(Config):
    """What random circuits have in common."""

    length: Range
    """m, shortest and longest lap"""
    width: Range
    """m, narrowest and widest road; one circuit has one width"""
    minimum_radius: float = Field(gt=0)
    """m from a bend's centre to the centre line; the car's full lock turns on 0.7 m at 1 m/s"""
    bends: Annotated[tuple[int, int], Field(strict=False)]
    """Fewest and most corners of the polygon."""
    gap: float = Field(default=0.3, ge=0.1)
    """m of field, at least, between two stretches of the road"""
    spacing: float = Field(default=0.15, ge=0.02, le=0.5)
    """m from waypoint to waypoint, about"""

    @model_validator(mode="after")
    def _check(self) -> CircuitSettings:
        for name, (low, high), least in (
            ("length", self.length, 5),
            ("width", self.width, 0.2),
            ("bends", self.bends, 3),
        ):
            if not least <= low <= high < math.inf:
                raise ValueError(f"{name} is {low:g} to {high:g}; smallest first, and {least:g} or more, is needed")
        needed = (self.width[1] + self.gap) / 2
        if self.minimum_radius < needed:
            raise ValueError(
                f"minimum_radius is {self.minimum_radius:g} m; {needed:g} or more is needed, half of width and gap: "
                "in a tighter hairpin the road would meet itself"
            )
        return self


CIRCUITS: Final = {
    "easy": CircuitSettings(length=(14, 24), width=(0.9, 1.1), minimum_radius=1.2, bends=(4, 6)),
    "medium": CircuitSettings(length=(20, 36), width=(0.75, 1.0), minimum_radius=0.95, bends=(6, 9)),
    "hard": CircuitSettings(length=(30, 60), width=(0.6, 0.8), minimum_radius=0.75, bends=(10, 14)),
    "wide": CircuitSettings(length=(30, 60), width=(1.1, 1.5), minimum_radius=0.9, bends=(7, 12)),
    "tight": CircuitSettings(length=(18, 40), width=(0.75, 1.07), minimum_radius=0.6, bends=(9, 14), gap=0.1),
}
"""Settings by difficulty. wide: as broad a road as those of Austin, Monaco and Singapore; tight: hairpins round a
point, as in many circuits of 2022."""


class _Circuit(NamedTuple):
    straights: Floats  # [C] m, straights[i] before bend i
    radii: Floats  # [C] m
    turns: Floats  # [C] rad, left positive


def generate_circuit(seed: int, settings: CircuitSettings, name: str | None = None) -> Track:
    """Make the circuit of a seed.

    Args:
        seed: 0 <= seed < 2**64.
        settings: one of `CIRCUITS`, or your own.
        name: of the track; `generated-<seed>` if not given.

    Returns:
        A closed track that starts at the origin, to the east, in the middle of its longest straight.

    Raises:
        ConfigError: the seed lies outside its range; the settings leave no room for a circuit.
    """
    text = generate_design(seed, settings)
    return replace(design_track(text, f"circuit of seed {seed}"), name=name or f"generated-{seed}")


def generate_design(seed: int, settings: CircuitSettings) -> str:
    """Write the circuit of a seed as a track design (TOML); arguments and errors as for `generate_circuit`."""
    if not 0 <= seed < _SEEDS:
        raise ConfigError(f"seed is {seed}; a whole number from 0 to {_SEEDS - 1} is needed")
    random = np.random.Generator(np.random.Philox(key=seed))
    width = float(np.clip(round(_between(random, settings.width), 5), *settings.width))
    for _ in range(_MOST_TRIES):
        circuit = _draw(random, settings)
        if circuit.radii.min() >= settings.minimum_radius and _keeps_apart(circuit, width, settings.gap):
            return _write(circuit, width, settings, seed)
    raise ConfigError(
        f"no circuit of {settings.length[0]:g} to {settings.length[1]:g} m with {settings.bends[0]} to "
        f"{settings.bends[1]} bends of {settings.minimum_radius:g} m or more was found in {_MOST_TRIES} tries; "
        "lengthen it, or take fewer bends or a smaller minimum_radius"
    )


def circuit_by_name(name: str) -> Track:
    """Make the circuit that `generated:<difficulty>:<seed>` stands for; its name has "-" for ":", to suit files.

    Raises:
        TrackError: there is no such difficulty, or the seed is none.
    """
    _, _, rest = name.partition(":")
    difficulty, _, seed = rest.partition(":")
    if difficulty not in CIRCUITS:
        guess = did_you_mean(difficulty, CIRCUITS) or f"; known: {', '.join(CIRCUITS)}"
        raise TrackError(f"{name}: no difficulty is called {difficulty!r}{guess} Write generated:medium:42")
    if not (seed.isascii() and seed.isdigit() and len(seed) <= 20 and int(seed) < _SEEDS):
        raise TrackError(
            f"{name[:60]}: the seed is {seed[:30]!r}; a whole number from 0 to {_SEEDS - 1} is needed: "
            f"write generated:{difficulty}:42"
        )
    return generate_circuit(int(seed), CIRCUITS[difficulty], f"generated-{difficulty}-{int(seed)}")


def _draw(random: np.random.Generator, settings: CircuitSettings) -> _Circuit:
    """Draw a circuit that closes and has its length; it may be too tight and may come near itself."""
    fewest, most = settings.bends
    corners = _tour(_scatter(random, fewest + int(random.random() * (most - fewest + 1))))
    edges = np.roll(corners, -1, axis=0) - corners  # from corner i to the next
    headings = np.arctan2(edges[:, 1], edges[:, 0])
    turns = (headings - np.roll(headings, 1) + math.pi) % (2 * math.pi) - math.pi
    # An arc of radius r that turns by an angle begins and ends r * tan(angle / 2) away from its corner.
    tangents = np.tan(np.abs(turns) / 2)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    shared = lengths / (tangents + np.roll(tangents, -1))
    radii = np.minimum(shared, np.roll(shared, 1)) * (_SMALLEST_PART + (1 - _SMALLEST_PART) * random.random(len(turns)))
    straights = np.roll(lengths - radii * tangents - np.roll(radii * tangents, -1), 1)
    scale = _between(random, settings.length) / float(straights.sum() + (radii * np.abs(turns)).sum())
    side = math.copysign(1.0, float(turns.sum())) * (1.0 if random.random() < 0.5 else -1.0)
    return _Circuit(straights * scale, radii * scale, turns * side)


def _scatter(random: np.random.Generator, count: int) -> Floats:
    """Points [count, 2] in a box of height 1."""
    box = np.array([1.0 + (_LONGEST_BOX - 1.0) * random.random(), 1.0])
    points = box * random.random((1, 2))
    while len(points) < count:
        candidates = box * random.random((_CANDIDATES, 2))
        distances = np.hypot(*(candidates[:, None] - points[None]).transpose(2, 0, 1)).min(axis=1)
        points = np.concatenate([points, candidates[[distances.argmax()]]])
    return points


def _tour(points: Floats) -> Floats:
    """Order the points so that no swap of two edges shortens the way round them (2-opt)."""
    count = len(points)
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)).tolist()
    order = list(range(count))
    while pair := next(_shorter(order, distances), None):
        i, j = pair
        order[i + 1 : j + 1] = order[i + 1 : j + 1][::-1]
    return points[order]


def _shorter(order: list[int], distances: list[list[float]]) -> Iterator[tuple[int, int]]:
    count = len(order)
    for i in range(count - 2):
        for j in range(i + 2, count - (i == 0)):
            a, b, c, d = order[i], order[i + 1], order[j], order[(j + 1) % count]
            if distances[a][c] + distances[b][d] < distances[a][b] + distances[c][d] - 1e-12:
                yield i, j


def _keeps_apart(circuit: _Circuit, width: float, gap: float) -> bool:
    """Whether two stretches of the road have `gap` between them, judged at points half a gap apart.

    Between such points the road can come nearer by half a gap, so that it never touches itself. Neighbours on the way,
    up to half a circle of width and gap, are kept apart by the radius of the bends.
    """
    points, step = _points(circuit, gap / 2)
    squares = np.square(points[:, None] - points[None]).sum(axis=2)
    lags = np.abs(np.arange(len(points))[:, None] - np.arange(len(points))[None])
    far = np.minimum(lags, len(points) - lags) * step >= math.pi / 2 * (width + gap)
    return bool(squares[far].min(initial=math.inf) >= (width + gap) ** 2)


def _points(circuit: _Circuit, spacing: float) -> tuple[Floats, float]:
    """Points [n, 2] on the centre line, and the way from each to the next."""
    arcs = circuit.radii * np.abs(circuit.turns)
    lengths = np.stack([circuit.straights, arcs], axis=1).ravel()
    curvatures = np.stack([np.zeros_like(arcs), np.sign(circuit.turns) / circuit.radii], axis=1).ravel()
    step = float(lengths.sum()) / math.ceil(lengths.sum() / spacing)
    ways = np.arange(0.0, lengths.sum() - step / 2, step)
    ends = np.cumsum(lengths)
    segment = np.minimum(np.searchsorted(ends, ways, side="right"), len(ends) - 1)
    begins = np.concatenate([[0.0], np.cumsum(lengths * curvatures)])[segment]
    headings = begins + curvatures[segment] * (ways - (ends - lengths)[segment])
    # A chord has the heading of its middle; where a straight meets a bend that is a few millimetres out.
    middles = headings + curvatures[segment] * step / 2
    steps = step * np.stack([np.cos(middles), np.sin(middles)], axis=1)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)[:-1]]), step


def _write(circuit: _Circuit, width: float, settings: CircuitSettings, seed: int) -> str:
    first = int(circuit.straights.argmax())
    straights = np.roll(circuit.straights, -first)
    half = straights[0] / 2
    lines = [f"    {{ straight = {half:.5f} }},"]
    for radius, turn, straight in zip(
        np.roll(circuit.radii, -first), np.roll(circuit.turns, -first), [*straights[1:], half], strict=True
    ):
        side = "left" if turn > 0 else "right"
        lines.append(f"    {{ {side} = {math.degrees(abs(turn)):.5f}, radius = {radius:.5f} }},")
        lines.append(f"    {{ straight = {straight:.5f} }},")
    rows = "\n".join(line for line in lines if "= 0.00000" not in line)
    return (
        f"# The circuit of seed {seed}.\nwidth = {width!r}\nspacing = {settings.spacing:g}\n\nsegments = [\n{rows}\n]\n"
    )


def _between(random: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = limits
    return low + (high - low) * float(random.random())
