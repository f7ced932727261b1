"""Who won what: the league of laps, matches between entries, their table and their bracket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from lateapex.jobs.race_heats import Drive, Heat


@dataclass(frozen=True, kw_only=True)
class Match:
    """Heats of the same entries; of one in a time trial."""

    entries: tuple[str, ...]
    heats: list[Heat]
    """None of a bye."""
    round: int = 0
    """Of a tournament, from 1."""

    @property
    def wins(self) -> dict[str, int]:
        """Heats won, by entry."""
        return {name: sum(heat.winner == name for heat in self.heats) for name in self.entries}

    @property
    def winner(self) -> str:
        """Whoever won most heats; of equals the one that came further on average, then the faster, then the first."""
        wins, order = self.wins, list(self.entries)
        drives = {name: drives_of(self.heats, name) for name in order}

        def rank(name: str) -> tuple[float, float, float, int]:
            best = min((drive.record.lap_time for drive in drives[name] if drive.completed), default=float("inf"))
            far = mean([drive.record.progress for drive in drives[name]]) if drives[name] else 0.0
            return -wins[name], -far, best, order.index(name)

        return min(order, key=rank)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One line of the table."""

    place: int
    name: str
    best: float | None
    """s, of the fastest whole lap."""
    mean: float | None
    """s, of all whole laps."""
    laps: int
    """Whole laps."""
    drives: int
    progress: float
    """Percent of the lap, mean of all drives."""
    resets: int
    heats_won: int
    matches_won: int


def drives_of(heats: Sequence[Heat], name: str) -> list[Drive]:
    """All drives of one entry."""
    return [drive for heat in heats for drive in heat.drives if drive.entry == name]


def standings(names: Sequence[str], matches: Sequence[Match], mode: str) -> list[Standing]:
    """Return the table from the first to the last.

    A time trial goes by the best lap, then the mean lap, then how far the drives came. Matches go by matches won, then
    heats won, then how far the drives came; a tournament by the round that was reached.
    """
    heats = [heat for match in matches for heat in match.heats]
    rows = [_row(name, heats, matches) for name in names]
    reached = {name: max((match.round for match in matches if name in match.entries), default=0) for name in names}
    far = float("inf")

    def by_laps(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["best"] or far, row["mean"] or far, -row["laps"], -row["progress"]

    def by_matches(row: dict[str, Any]) -> tuple[Any, ...]:
        return -row["matches_won"], -row["heats_won"], -row["progress"]

    def by_rounds(row: dict[str, Any]) -> tuple[Any, ...]:
        return -reached[row["name"]], *by_matches(row)

    orders: dict[str, Callable[[dict[str, Any]], tuple[Any, ...]]] = {
        "time-trial": by_laps,
        "head-to-head": by_matches,
        "tournament": by_rounds,
    }
    rows.sort(key=orders[mode])
    return [Standing(place=place, **row) for place, row in enumerate(rows, 1)]


def _row(name: str, heats: Sequence[Heat], matches: Sequence[Match]) -> dict[str, Any]:
    drives = drives_of(heats, name)
    times = [drive.record.lap_time for drive in drives if drive.completed]
    return {
        "name": name,
        "best": min(times, default=None),
        "mean": mean(times) if times else None,
        "laps": len(times),
        "drives": len(drives),
        "progress": mean([drive.record.progress for drive in drives]) if drives else 0.0,
        "resets": sum(drive.resets for drive in drives),
        "heats_won": sum(heat.winner == name for heat in heats if len(heat.drives) > 1),
        "matches_won": sum(match.winner == name for match in matches if len(match.entries) > 1),
    }


def bracket(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the pairs of the first round; a pair of one is a bye.

    The first and the second of the list can meet in the last round alone, and byes go to the first ones.
    """
    places = [0]
    while len(places) < len(names):
        size = 2 * len(places)
        places = [place for seed in places for place in (seed, size - 1 - seed)]
    pairs = zip(places[::2], places[1::2], strict=True) if len(places) > 1 else ()
    return [tuple(names[place] for place in pair if place < len(names)) for pair in pairs]
