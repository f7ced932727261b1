"""Traces of every generation, tolerantly read: against real files, cut files and broken lines."""

from __future__ import annotations

import io
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lateapex.errors import FormatError
from lateapex.formats.simtrace import episodes_of
from lateapex.formats.trace import (
    COLUMNS,
    HEADER,
    TRACE_DTYPE,
    Trace,
    read_log_trace,
    read_trace,
    write_trace,
    write_trace_log,
)
from lateapex.records import STATUSES

GOLDEN = Path(__file__).parents[1] / "golden"

# One step of each generation, as its own simulator prints it.
OF_2019 = "0,1,3.0554,0.6766,-0.0500,-0.52,2.50,0,1.0000,False,True,0.8227,0,17.67,1555730996.4312932"
OF_2020 = "0,1,3.0554,0.6766,-2.8648,-30.00,2.50,0,1.0000,False,True,0.8227,0,17.67,1599095949.1,in_progress"
OF_2021 = "0,1,-5.7505,3.8519,-130.2067,25.00,2.50,13,0.0000,False,True,0.3586,1,39.07,6.322,prepare,0.00"
OF_LOGS = f"{OF_2021},1772822267.7927"
OF_2026 = f"{OF_2021},2,1772822267.7927"
MARK = "SIM_TRACE_LOG:"


def log(*lines, end="\n"):
    return read_log_trace(io.BytesIO(("\n".join(lines) + end).encode()))


def csv(text):
    return read_trace(io.BytesIO(text.encode()), "t.csv")


def same(one, other):
    """Whether two traces tell the same, the yaw's last digits apart where it was once in radians."""
    equal = all(np.array_equal(one.rows[name], other.rows[name], equal_nan=True) for name in COLUMNS)
    return equal and one.columns == other.columns and one.more == other.more


def real_csvs(shared_data):
    for path in sorted((shared_data / "logs").rglob("*-iteration.csv")):
        yield path.relative_to(shared_data).as_posix(), path.read_bytes()
    for path in sorted((shared_data / "logs").rglob("*.tar.gz")):
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                if member.name.endswith("-iteration.csv"):
                    yield f"{path.name}/{member.name}", archive.extractfile(member).read()


def real_logs(shared_data):
    for path in sorted((shared_data / "logs").rglob("*.log")):
        yield path.relative_to(shared_data).as_posix(), path.read_bytes()


def test_every_real_csv_is_written_again_byte_for_byte(shared_data):
    generations = {}
    for name, data in real_csvs(shared_data):
        trace = read_trace(io.BytesIO(data), name)
        assert trace.skipped == 0, (name, trace.faults[:3])
        written = write_trace(trace)
        if np.any(trace.rows["action"] < 0) and len(trace.columns) < 19:
            # NumPy's text of a continuous action has fewer digits than steer and throttle have: it cannot come back.
            assert same(read_trace(io.BytesIO(written.encode()), name), trace), name
        else:
            assert written.encode() == data, name
        generations[len(trace.columns)] = generations.get(len(trace.columns), 0) + 1
    assert generations == {16: 1, 17: 61, 18: 1, 19: 19}


def test_every_step_of_every_real_log_is_read_and_written_again_as_the_same(shared_data):
    lengths = {}
    for name, data in real_logs(shared_data):
        trace = read_log_trace(io.BytesIO(data))
        marks = data.count(b"SIM_TRACE_LOG:")
        assert (len(trace), trace.skipped) == (marks, 0), (name, trace.faults[:3])
        fields = 19 if len(trace.columns) == 19 else 17
        lines = [line[line.index(b"SIM_") :].rstrip() for line in data.splitlines() if b"SIM_TRACE_LOG:" in line]
        if marks and len(trace.columns) > 15:
            assert write_trace_log(trace, fields).encode().splitlines() == lines, name
        if marks:
            lengths.setdefault(len(trace.columns), set()).add(name.rpartition("/")[2])
    assert set(lengths) == {15, 17, 19}


def test_a_log_and_the_csv_of_the_same_run_tell_the_same_to_the_digits_of_the_log(shared_data):
    folder = shared_data / "logs" / "console-2021-export"
    told = read_log_trace(io.BytesIO(next(folder.glob("logs/training/*robomaker.log")).read_bytes())).rows
    files = [folder / f"sim-trace/training/training-simtrace/{n}-iteration.csv" for n in (0, 1)]
    stored = np.concatenate([read_trace(io.BytesIO(path.read_bytes()), path.name).rows for path in files])
    assert len(told) == len(stored) == 9340
    for name in ("episode", "steps", "action", "done", "all_wheels_on_track", "closest_waypoint", "episode_status"):
        np.testing.assert_array_equal(told[name], stored[name])
    for name in ("X", "Y", "yaw", "reward", "progress", "tstamp"):
        np.testing.assert_allclose(told[name], stored[name], rtol=0, atol=0.50001e-4)


@pytest.mark.parametrize(
    ("fields", "columns", "filled"),
    [
        (OF_2019, 15, {"episode_status": "in_progress", "pause_duration": 0.0, "obstacle_crash_counter": 0}),
        (OF_2020, 16, {"episode_status": "in_progress", "pause_duration": 0.0, "obstacle_crash_counter": 0}),
        (OF_2021, 17, {"episode_status": "prepare", "obstacle_crash_counter": 0, "wall_clock": math.nan}),
        (OF_LOGS, 18, {"episode_status": "prepare", "obstacle_crash_counter": 0, "wall_clock": 1772822267.7927}),
        (OF_2026, 19, {"episode_status": "prepare", "obstacle_crash_counter": 2, "wall_clock": 1772822267.7927}),
    ],
)
def test_each_generation_of_log_line_is_known_by_its_number_of_fields(fields, columns, filled):
    trace = log(MARK + fields)
    assert (len(trace.columns), trace.skipped) == (columns, 0)
    (row,) = trace.rows
    for name, value in filled.items():
        found = STATUSES[row[name]] if name == "episode_status" else row[name]
        assert found == value or (math.isnan(value) and math.isnan(found)), name


def test_a_csv_of_18_columns_has_the_crash_counter_and_a_log_line_of_18_the_wall_clock():
    stored = csv(f"{HEADER.rpartition(',')[0]}\n{OF_2021},3\n")
    told = log(MARK + OF_2021 + ",3")
    assert (stored.rows["obstacle_crash_counter"][0], math.isnan(stored.rows["wall_clock"][0])) == (3, True)
    assert (told.rows["obstacle_crash_counter"][0], told.rows["wall_clock"][0]) == (0, 3.0)
    assert (stored.columns[-1], told.columns[-1]) == ("obstacle_crash_counter", "wall_clock")


def test_radians_of_2019_become_degrees_and_others_stay():
    assert log(MARK + OF_2019).rows["yaw"][0] == pytest.approx(math.degrees(-0.05))
    assert log(MARK + OF_2019).rows["steer"][0] == pytest.approx(math.degrees(-0.52))
    assert log(MARK + OF_2020).rows["yaw"][0] == -2.8648
    old = csv(",".join(COLUMNS[:15]) + "\n" + OF_2019 + "\n")
    assert old.rows["yaw"][0] == pytest.approx(math.degrees(-0.05))


def test_lines_of_several_generations_in_one_log_are_each_read_as_their_own():
    trace = log(MARK + OF_2021, MARK + OF_2019, MARK + OF_2026)
    assert trace.rows["yaw"].tolist() == pytest.approx([-130.2067, math.degrees(-0.05), -130.2067])
    assert len(trace.columns) == 19


@pytest.mark.parametrize("action", ["[-24.62170029   0.97231483]", "[-25.0 1.3310375874989868]", "[30.0, 0.56]"])
def test_each_spelling_of_a_continuous_action_is_read(action):
    (row,) = log(MARK + OF_2021.replace(",13,", f",{action},")).rows
    assert (row["action"], row["reward"], STATUSES[row["episode_status"]]) == (-1, 0.0, "prepare")
    quoted = OF_2026.replace(",13,", f',"{action}",')
    assert csv(f"{HEADER}\n{quoted}\n").rows["action"][0] == -1


def test_prefixes_tabs_prints_and_colours_around_a_step_do_not_matter():
    trace = log(
        "[agent-9] [x-1] " + MARK + OF_2026,
        "reward so far 0.5" + MARK + OF_2021 + "\tstreamed",
        "\x1b[0m" + MARK + OF_2021 + "\r",
        "DRG-OBJECTS:[[1,2]]",
        MARK + OF_2021 + MARK + OF_2021,
    )
    assert (len(trace), trace.skipped) == (5, 0)


def test_a_broken_step_is_reported_with_its_line_and_the_others_are_read():
    trace = log(MARK + OF_2021, MARK + "0,1,2", MARK + OF_2021.replace("prepare", "ready"), MARK + OF_2021 + "print")
    assert len(trace) == 1
    assert [fault.line for fault in trace.faults] == [2, 3, 4]
    assert trace.faults[0].message == "has 3 fields; a step has 15 to 19"
    assert trace.faults[1].message.startswith("episode_status is 'ready'; expected one of prepare, in_progress")
    assert trace.faults[2].message == "pause_duration is '0.00print'; expected a number"


def test_faults_beyond_a_hundred_are_counted_and_not_told():
    trace = csv(HEADER + "\n" + "no step\n" * 150 + OF_2026 + "\n")
    assert (len(trace), len(trace.faults), trace.skipped) == (1, 100, 150)


def test_unknown_columns_are_kept_and_written_last():
    text = f"{HEADER},gear,\n{OF_2026},3,x\n{OF_2026},4,\n"
    trace = csv(text)
    assert trace.more == {"gear": ["3", "4"], "": ["x", ""]}
    assert csv(write_trace(trace)).more == trace.more
    told = log(MARK + OF_2026, MARK + OF_2026 + ",7", MARK + OF_2026)
    assert told.more == {"field_20": ["", "7", ""]}


@pytest.mark.parametrize(("fields", "golden"), [(17, "simtrace-17.log"), (19, "simtrace-19.log")])
def test_log_lines_of_both_generations_are_byte_for_byte_the_golden_files(fields, golden):
    turned = OF_2026.replace(",13,", ",[-25.0 1.3310375874989868],").replace("25.00,2.50", "-25.00,1.3310375874989868")
    trace = log(MARK + OF_2026, MARK + turned.replace("0,1,", "0,2,", 1).replace("prepare", "in_progress"))
    text = (GOLDEN / golden).read_text()
    assert write_trace_log(trace, fields) == text
    again = read_log_trace(io.BytesIO(text.encode()))
    assert (len(again), len(again.columns)) == (2, fields)
    with pytest.raises(ValueError, match="17 or 19"):
        write_trace_log(trace, 18)


def test_fields_beyond_the_newest_generation_stay_with_their_steps_in_later_blocks():
    lines = [MARK + OF_2026] * 5000
    lines[10] += ",a"
    lines[4500] += ",b,c"
    more = log(*lines).more
    assert {name: len(texts) for name, texts in more.items()} == {"field_20": 5000, "field_21": 5000}
    told = {name: {place: text for place, text in enumerate(texts) if text} for name, texts in more.items()}
    assert told == {"field_20": {10: "a", 4500: "b"}, "field_21": {4500: "c"}}


def test_an_old_trace_can_be_written_with_all_columns_of_the_newest():
    trace = log(MARK + OF_2021)
    header, row = write_trace(trace, COLUMNS).splitlines()
    assert header == HEADER
    assert row.endswith(",6.322,prepare,0.0,0,nan")


def test_a_file_that_is_no_trace_is_refused_by_its_first_line():
    for text in ("", "a,b\n1,2\n", "\x00\x01\n"):
        with pytest.raises(FormatError, match="line 1 has no column"):
            csv(text)
    with pytest.raises(FormatError, match="line 1 has two columns 'X'"):
        csv(HEADER + ",X\n")


def test_blocks_are_joined_in_order_and_faults_between_them_keep_their_lines():
    lines = [OF_2026.replace("0,1,", f"0,{place},", 1) for place in range(10_000)]
    lines[5000] = "broken"
    trace = csv("\n".join([HEADER, *lines]) + "\n")
    assert np.array_equal(trace.rows["steps"], np.delete(np.arange(10_000), 5000))
    assert [fault.line for fault in trace.faults] == [5002]


def test_a_line_without_an_end_never_fills_the_memory():
    trace = read_log_trace(io.BytesIO(b"x" * 3_000_000 + b"\n" + MARK.encode() + OF_2021.encode() + b"\n"))
    assert len(trace) == 1
    broken = read_log_trace(io.BytesIO(b"x" * 3_000_000 + b"\n" + MARK.encode() + b"1\n"))
    assert broken.faults[0].line == 2


def test_a_line_of_many_fields_is_no_step_and_a_long_value_is_told_in_short():
    trace = log(MARK + OF_2026 + ",x" * 46, MARK + OF_2026.replace("-5.7505", "y" * 100_000))
    assert [fault.message for fault in trace.faults] == [
        "has 65 fields; a step has 15 to 19",
        f"X is '{'y' * 57}...'; expected a number",
    ]


# A log of 200 bytes before and between two steps of different kinds, cut anywhere.
CUT = (
    "noise\n[agent-9] " + MARK + OF_2026 + "\nuser print\n" + MARK + OF_2021.replace("0,1,", "0,2,", 1) + "\n"
).encode()


@given(st.integers(0, len(CUT)))
def test_a_log_cut_at_any_byte_reads_up_to_its_last_whole_row(size):
    trace = read_log_trace(io.BytesIO(CUT[:size]))
    whole = sum(MARK.encode() in line for line in CUT[:size].splitlines(keepends=True) if line.endswith(b"\n"))
    assert len(trace) == whole
    assert trace.rows["steps"].tolist() == [1, 2][:whole]
    began = MARK.encode() in CUT[:size].rpartition(b"\n")[2]
    assert trace.skipped == began


def test_a_csv_cut_at_any_byte_reads_up_to_its_last_whole_row():
    text = f"{HEADER}\n{OF_2026}\n{OF_2026}\n".encode()
    for size in range(len(HEADER) + 1, len(text) + 1):
        trace = read_trace(io.BytesIO(text[:size]), "t.csv")
        assert len(trace) == text[:size].count(b"\n") - 1
        assert trace.skipped == (text[size - 1 : size] != b"\n")


rows = st.lists(
    st.tuples(
        st.integers(0, 99),
        st.integers(1, 9999),
        *([st.floats(allow_nan=False)] * 5),
        st.integers(-1, 107),
        st.floats(allow_nan=False),
        st.booleans(),
        st.booleans(),
        st.floats(-5, 100) | st.just(100.0),
        st.integers(0, 400),
        st.floats(0, 100),
        st.floats(0, 2e9),
        st.integers(0, len(STATUSES) - 1),
        st.floats(-1, 9),
        st.integers(0, 9),
        st.floats(0, 2e9),
    ),
    max_size=6,
)


@given(rows, st.sampled_from([16, 17, 18, 19]))
def test_any_trace_reads_back_from_its_csv(values, count):
    table = np.array(values, TRACE_DTYPE)
    columns = COLUMNS[:count]
    for name, filling in {"pause_duration": 0.0, "obstacle_crash_counter": 0, "wall_clock": math.nan}.items():
        if name not in columns:
            table[name] = filling
    trace = Trace(rows=table, columns=columns)
    assert same(csv(write_trace(trace)), trace)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[-24.62170029   0.97231483]", (-24.62170029, 0.97231483)),
        ("[-24.617 0.97231483]", (-24.617, 0.97231483)),
        ('"[-24.62170029, 0.97231483]"', (-24.62170029, 0.97231483)),
        ("[-24.62170029 0.98231483]", (-24.62, 0.97)),
        ("[0.5 0.97231483]", (-24.62, 0.97)),
        ("[-24.62170029]", (-24.62, 0.97)),
        ("[left fast]", (-24.62, 0.97)),
    ],
)
def test_a_continuous_action_has_the_digits_that_its_fields_are_rounded_from(text, told):
    fields = OF_2026.split(",")
    fields[5:8] = "-24.62", "0.97", text
    trace = log(MARK + ",".join(fields))
    assert [(row["action"], row["steer"], row["throttle"]) for row in trace.rows] == [(-1, *told)]


def test_a_csv_with_digits_of_its_own_keeps_them():
    fields = OF_2026.split(",")
    fields[5:8] = "-24.62170029411", "0.97", "[-24.62170029 0.97]"
    assert csv(f"{HEADER}\n{','.join(fields)}\n").rows["steer"].tolist() == [-24.62170029411]


@example([(0, 1, *[0.0] * 3, -1.2e-7, 4.4e-227, -1, 0.0, True, True, 1.0, 0, 1.0, 0.0, 0, 0.0, 0, 0.0)])
@example([(0, 1, *[0.0] * 3, 0.125, math.inf, -1, 0.0, True, True, 1.0, 0, 1.0, 0.0, 0, 0.0, 0, 0.0)])
@settings(max_examples=50)
@given(rows)
def test_any_trace_reads_back_from_its_log_lines_to_their_digits(values):
    table = np.array(values, TRACE_DTYPE)
    lines = write_trace_log(Trace(rows=table), 19)
    again = read_log_trace(io.BytesIO(lines.encode()))
    assert write_trace_log(again, 19) == lines
    assert again.rows["tstamp"].tolist() == table["tstamp"].tolist()


def test_episodes_begin_where_the_number_changes_or_the_steps_start_again():
    lines = [MARK + OF_2021.replace("0,1,", start, 1) for start in ("0,1,", "0,2,", "1,1,", "1,2,", "1,1,")]
    assert [(episode.number, len(episode.steps)) for episode in episodes_of(log(*lines))] == [(0, 2), (1, 2), (1, 1)]
    assert episodes_of(log("nothing")) == []


def test_how_an_episode_of_2019_ended_follows_from_its_progress():
    lap = OF_2019.replace(",False,True,0.8227", ",True,True,100.0")
    off = OF_2019.replace("0,1,", "1,1,", 1).replace(",False,True,0.8227", ",True,False,40.0")
    cut = OF_2019.replace("0,1,", "2,1,", 1)
    ends = [
        episode.record("evaluation", "reinvent_base").status
        for episode in episodes_of(log(*map(MARK.__add__, (lap, off, cut))))
    ]
    assert ends == ["lap_complete", "off_track", "in_progress"]


def test_a_real_log_of_2019_gives_three_episodes_of_our_own_kind(shared_data):
    data = (shared_data / "logs/legacy-2019/deepracer-eval-sim-sample.log").read_bytes()
    records = [
        episode.record("evaluation", "reinvent_base") for episode in episodes_of(read_log_trace(io.BytesIO(data)))
    ]
    assert sum(len(record.steps) for record in records) == 480
    assert all(np.abs(record.steps["yaw"]).max() <= math.pi for record in records)
    assert np.abs(records[0].steps["steering_angle"]).max() == pytest.approx(30.0, abs=0.3)
