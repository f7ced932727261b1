"""What a racer watches while training: one row for each update, one line for each evaluation and each finding.

On a terminal the newest rows stand in a live table; into a pipe or a file go plain lines, about one a second.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from lateapex.records import EvaluationRecord, FindingRecord, TrackEvaluation, UpdateRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

    from lateapex.records import Record

_COLUMNS = {"update": 7, "steps": 9, "laps done": 12, "mean progress": 16, "best lap": 11, "steps/s": 10}  # widths
_ROWS = 12
_PLAIN_SECONDS = 1.0  # between two lines
_LIVE_SECONDS = 0.1  # between two pictures


class ConsoleSink:
    """Shows a run on a rich console; `close` must be called, it gives the terminal its cursor back."""

    def __init__(self, console: Console, header: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Print `header`, one line on what will happen; `clock` gives seconds, for the rate of lines."""
        self._console = console
        self._clock = clock
        self._rows: deque[Text] = deque(maxlen=_ROWS)
        self._waiting: Text | None = None
        self._shown_at = -math.inf
        self._steps = 0
        self._best_lap: float | None = None
        is_screen = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False) if is_screen else None
        self._begun = False
        self._print(Text(header, style="bold"))

    def write(self, record: Record) -> None:
        """Show an update, now or with a later one, or an evaluation, at once."""
        if isinstance(record, UpdateRecord):
            self._waiting = self._update_row(record)
            self._steps = record.steps
            self._best_lap = record.best_lap
            if self._clock() - self._shown_at >= (_PLAIN_SECONDS if self._live is None else _LIVE_SECONDS):
                self._show_waiting()
        elif isinstance(record, EvaluationRecord):
            self._show_waiting()
            self._show(_evaluation_row(record))
            for row in _track_rows(record):
                self._show(row)
        elif isinstance(record, FindingRecord):
            self._show_waiting()
            self._print(_finding_text(record))

    def state(self) -> dict[str, int]:
        """Return the steps so far, from which the next row's speed is counted."""
        return {"steps": self._steps}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on from `state`; what was shown before stays."""
        self._steps = state.get("steps", 0)

    def close(self) -> None:
        """Show the last row, if it was held back, and leave the terminal as it was."""
        self._show_waiting()
        if self._live is not None:
            self._live.stop()

    def _show_waiting(self) -> None:
        if self._waiting is not None:
            row, self._waiting = self._waiting, None
            self._shown_at = self._clock()
            self._show(row)

    def _show(self, row: Text) -> None:
        if not self._begun:
            self._begin()
        if self._live is None:
            self._print(row)
        else:
            self._rows.append(row)
            fitting = max(1, self._console.height - 2)  # of a picture that is too high rich cuts the newest rows
            self._live.update(Group(_titles(), *list(self._rows)[-fitting:]), refresh=True)

    def _begin(self) -> None:
        self._begun = True
        if self._live is None:
            self._print(_titles())
        else:
            self._live.start()

    def _print(self, text: Text) -> None:
        """Print for good, above a live table: that one cuts off long lines and pushes out old ones."""
        self._console.print(text, soft_wrap=self._live is None)

    def _update_row(self, record: UpdateRecord) -> Text:
        seconds = sum(record.seconds.values())
        new_best = record.best_lap is not None and record.best_lap != self._best_lap
        cells = (
            (str(record.iteration), "dim"),
            (_count(record.steps), ""),
            (f"{record.laps / record.finished:.0%}" if record.finished else "-", "green" if record.laps else "dim"),
            (_percent(record.mean_progress), ""),
            ("-" if record.best_lap is None else f"{record.best_lap:.2f} s", "bold green" if new_best else ""),
            (_count((record.steps - self._steps) / seconds) if seconds > 0 else "-", "dim"),
        )
        row = _row(cells)
        return row.append("  taught", style="dim") if "imitation_loss" in record.losses else row


def _titles() -> Text:
    return _row(tuple((title, "bold dim") for title in _COLUMNS))


def _row(cells: tuple[tuple[str, str], ...]) -> Text:
    placed = zip(cells, _COLUMNS.values(), strict=True)
    return Text("", no_wrap=True, overflow="ellipsis").join(
        [Text(text.rjust(width), style=style) for (text, style), width in placed]
    )


def _evaluation_row(record: EvaluationRecord) -> Text:
    if record.best_lap is None:
        result = f"mean progress {_percent(record.mean_progress)}"
    else:
        result = f"best {record.best_lap:.2f} s"
    row = Text("  evaluation: ", style="cyan", no_wrap=True, overflow="ellipsis")
    row.append(f"{record.laps_completed} of {record.trials} laps, {result}")
    return row.append("  * best so far", style="bold green") if record.is_best else row


def _finding_text(record: FindingRecord) -> Text:
    text = Text("  diagnosis: ", style="bold yellow")
    text.append(f"{record.found}; {record.advice}", style="yellow")
    return text.append(f"  [{record.code}]", style="dim")


def _track_rows(record: EvaluationRecord) -> list[Text]:
    """Each track's part, where there are several."""
    if len(record.tracks) < 2:
        return []
    width = max(len(part.track) for part in record.tracks)
    return [_track_row(part, width) for part in record.tracks]


def _track_row(part: TrackEvaluation, width: int) -> Text:
    best = "" if part.best_lap is None else f", best {part.best_lap:.2f} s"
    laps = f"{part.laps_completed} of {part.trials} laps"
    text = f"    {part.track.ljust(width)}  {laps}, mean progress {_percent(part.mean_progress)}{best}"
    return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


def _percent(value: float) -> str:
    return f"{value:.0f}%" if math.isfinite(value) else "-"


def _count(number: float) -> str:
    """Return a count in at most five characters: 950, 9.5k, 164k, 1.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.1f}{letter}" if scaled < 9.95 else f"{scaled:.0f}{letter}"
    return f"{number:.0f}"
