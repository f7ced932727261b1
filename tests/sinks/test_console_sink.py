"""The table of a run: plain lines into a pipe, a live table on a terminal."""

from __future__ import annotations

import io
import math
import re

import pytest
from made_records import episode, evaluation, update
from rich.console import Console

from lateapex.records import SINKS, FindingRecord, TrackEvaluation
from lateapex.sinks.console import ConsoleSink

HEADER = "reinvent_base 17.71 m · 64 cars · 10 actions · front camera 160x120 · seed 7"
TITLES = " update    steps   laps done   mean progress   best lap   steps/s"


class Clock:
    """Seconds that stand still until told otherwise."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def piped():
    return Console(file=io.StringIO(), force_terminal=False, width=60)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    return Console(file=io.StringIO(), force_terminal=True, width=90, height=40)


def lines(console):
    return console.file.getvalue().splitlines()


def pictures(console):
    """What a terminal showed, one text for each picture, without colours."""
    text = re.sub(r"\x1b\[[0-9;?]*[hlm]", "", console.file.getvalue())
    return [part for part in re.split(r"(?:\r|\x1b\[\d?[A-K])+", text) if part]


def cells(row):
    return re.split(r"\s{2,}", row.strip())


def drive(iteration, **values):
    return update(iteration, finished=100, seconds={"collect": 2.0, "update": 5.8}, **values)


def test_piped_output_is_the_header_the_titles_and_a_line_for_each_update(piped, clock):
    sink = ConsoleSink(piped, HEADER, clock)
    sink.write(drive(10, steps=164_000, laps=3, mean_progress=41.4))
    clock.now = 8.0
    sink.write(drive(20, steps=328_000, laps=37, mean_progress=78.1, best_lap=11.42))
    sink.write(evaluation(20, laps_completed=20, trials=20, best_lap=18.421))
    sink.close()
    assert lines(piped) == [
        HEADER,
        TITLES,
        "     10     164k          3%             41%          -       21k",
        "     20     328k         37%             78%    11.42 s       21k",
        "  evaluation: 20 of 20 laps, best 18.42 s  * best so far",
    ]


def test_of_several_tracks_each_has_a_line_below_the_evaluation_and_of_one_none(piped, clock):
    parts = (
        TrackEvaluation(track="oval", laps_completed=2, trials=2, mean_progress=100.0, best_lap=11.5),
        TrackEvaluation(track="kidney@reversed", laps_completed=0, trials=2, mean_progress=41.6, best_lap=None),
    )
    sink = ConsoleSink(piped, HEADER, clock)
    sink.write(evaluation(20, laps_completed=2, trials=4, best_lap=11.5, is_best=False, tracks=parts))
    sink.write(evaluation(30, laps_completed=2, trials=2, best_lap=11.5, is_best=False, tracks=parts[:1]))
    sink.close()
    assert lines(piped)[2:] == [
        "  evaluation: 2 of 4 laps, best 11.50 s",
        "    oval             2 of 2 laps, mean progress 100%, best 11.50 s",
        "    kidney@reversed  0 of 2 laps, mean progress 42%",
        "  evaluation: 2 of 2 laps, best 11.50 s",
    ]


def test_the_sink_is_known_by_name():
    assert SINKS.get("console") is ConsoleSink


def test_the_header_is_there_before_the_first_record(piped, clock):
    ConsoleSink(piped, HEADER, clock)
    assert lines(piped) == [HEADER]


def test_what_is_not_known_is_a_dash(piped, clock):
    sink = ConsoleSink(piped, HEADER, clock)
    sink.write(update(1, steps=950, finished=0, laps=0, mean_progress=math.nan, best_lap=None, seconds={}))
    assert cells(lines(piped)[-1]) == ["1", "950", "-", "-", "-", "-"]


@pytest.mark.parametrize(
    ("steps", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (9_949, "9.9k"), (9_960, "10k"), (164_000, "164k"), (1_250_000, "1.2M")],
)
def test_counts_fit_into_their_column(piped, clock, steps, shown):
    sink = ConsoleSink(piped, HEADER, clock)
    sink.write(drive(1, steps=steps))
    assert cells(lines(piped)[-1])[1] == shown


def test_an_evaluation_without_a_lap_shows_its_progress_and_no_mark(piped, clock):
    sink = ConsoleSink(piped, HEADER, clock)
    sink.write(evaluation(1, laps_completed=0, trials=5, mean_progress=43.4, best_lap=None, is_best=False))
    assert lines(piped)[-1] == "  evaluation: 0 of 5 laps, mean progress 43%"


def test_a_pipe_gets_a_line_a_second_and_every_evaluation_with_its_update(piped, clock):
    sink = ConsoleSink(piped, HEADER, clock)
    for iteration in range(1, 41):
        clock.now += 0.25
        sink.write(drive(iteration))
        if iteration == 6:
            sink.write(evaluation(iteration))
    sink.close()
    rows = [cells(row) for row in lines(piped)[2:]]
    assert [row[0] for row in rows] == [
        *("1", "5", "6", "evaluation: 1 of 2 laps, best 18.42 s"),
        *map(str, range(10, 41, 4)),
        "40",
    ]


def test_the_speed_of_a_row_is_that_of_its_own_update(piped, clock):
    sink = ConsoleSink(piped, HEADER, clock)
    sink.write(update(1, steps=1000, seconds={"collect": 1.0}))
    sink.write(update(2, steps=5000, seconds={"collect": 1.0}))
    sink.close()
    assert [cells(row)[-1] for row in lines(piped)[2:]] == ["1.0k", "4.0k"]


def test_a_resumed_run_counts_its_speed_from_the_checkpoint(piped, clock):
    first = ConsoleSink(piped, HEADER, clock)
    first.write(update(1, steps=1_000_000))
    second = ConsoleSink(piped, HEADER, clock)
    second.restore(first.state())
    second.write(update(2, steps=1_004_000, seconds={"collect": 0.5, "update": 1.5}))
    assert cells(lines(piped)[-1])[-1] == "2.0k"


def test_episodes_and_pictures_are_not_shown(piped, clock):
    sink = ConsoleSink(piped, HEADER, clock)
    sink.write(episode(0))
    sink.close()
    assert lines(piped) == [HEADER]


def test_a_terminal_shows_the_newest_rows_and_gets_its_cursor_back(terminal, clock):
    sink = ConsoleSink(terminal, HEADER, clock)
    for iteration in range(1, 31):
        clock.now += 1
        sink.write(drive(iteration))
    sink.write(evaluation(30))
    sink.close()
    output = terminal.file.getvalue()
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") == 1
    last = [line for line in "\n".join(pictures(terminal)).splitlines() if line.strip()][-13:]
    assert last[0] == TITLES
    assert [cells(row)[0] for row in last[1:-1]] == [str(iteration) for iteration in range(20, 31)]
    assert last[-1] == "  evaluation: 1 of 2 laps, best 18.42 s  * best so far"


def test_a_low_terminal_keeps_the_newest_row(monkeypatch, clock):
    monkeypatch.setenv("TERM", "xterm-256color")
    low = Console(file=io.StringIO(), force_terminal=True, width=90, height=6)
    sink = ConsoleSink(low, HEADER, clock)
    for iteration in range(1, 31):
        clock.now += 1
        sink.write(drive(iteration))
    sink.close()
    text = "\n".join(pictures(low))
    assert cells(text.strip().splitlines()[-1])[0] == "30"
    assert "..." not in text


def test_a_terminal_is_not_repainted_more_than_ten_times_a_second(terminal, clock):
    sink = ConsoleSink(terminal, HEADER, clock)
    for iteration in range(1, 101):
        clock.now += 0.01
        sink.write(drive(iteration))
    sink.close()
    assert sum(TITLES in picture for picture in pictures(terminal)) <= 14


def test_closing_before_the_first_update_leaves_the_header_alone(terminal, clock):
    sink = ConsoleSink(terminal, HEADER, clock)
    sink.close()
    assert [line for line in "".join(pictures(terminal)).splitlines() if line] == [HEADER]


FINDING = FindingRecord(code="kl_large", iteration=1, steps=1000, found="too much changed " * 6, advice="lower lr")


def test_a_finding_is_a_line_of_its_own_at_once_and_whole(piped, clock):
    sink = ConsoleSink(piped, HEADER, clock)
    sink.write(update(1))
    sink.write(update(2))
    sink.write(FINDING)
    assert lines(piped)[-2].split()[0] == "2"
    assert lines(piped)[-1] == f"  diagnosis: {FINDING.found}; lower lr  [kl_large]"


def test_a_finding_stays_whole_on_a_terminal_when_newer_rows_push_out_the_old(terminal, clock):
    sink = ConsoleSink(terminal, HEADER, clock)
    sink.write(update(1))
    sink.write(FINDING)
    sink.close()
    shown = " ".join(" ".join(pictures(terminal)).split())
    assert f"diagnosis: {FINDING.found}; lower lr [kl_large]" in shown
