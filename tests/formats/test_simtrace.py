"""Trace CSV files and SIM_TRACE_LOG lines, against real ones of every generation that the reader takes."""

from __future__ import annotations

import math
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import episode

from lateapex.errors import FormatError
from lateapex.formats.simtrace import read_simtrace, write_log_lines, write_rows, write_simtrace
from lateapex.formats.trace import HEADER
from lateapex.records import STATUSES, EpisodeRecord

GOLDEN = Path(__file__).parents[1] / "golden"
LINE = "3,1.0,0.5,-0.25,90.0,-15.0,1.5,2,0.0,False,True,0.79,0,17.7,4.25,prepare,0.0,0,1772822267.75"


def record(traced):
    return EpisodeRecord(phase="training", track="", track_length=traced.track_length, car=0, steps=traced.steps)


def degrees_restored(episodes, text):
    """The episodes of a CSV with the very yaw that its degrees were made of: one within a few last digits."""
    rows = iter(text.splitlines()[1:])
    for traced in episodes:
        for step in traced.steps:
            degrees = float(next(rows).split(",")[4])
            near = np.array(math.radians(degrees)) + np.arange(-8, 9) * np.spacing(math.radians(degrees))
            step["yaw"] = near[np.flatnonzero(near * 180.0 / math.pi == degrees)[0]]
    return episodes


def csv_files(shared_data):
    return sorted((shared_data / "logs").rglob("*-iteration.csv"))


def test_a_real_training_csv_of_the_newest_generation_is_written_byte_for_byte(shared_data):
    files = [path for path in csv_files(shared_data) if "droa-solution/sim-trace/training" in path.as_posix()]
    assert len(files) == 2
    for path in files:
        text = path.read_text()
        episodes = degrees_restored(read_simtrace(text, path.name), text)
        assert write_simtrace((traced.number, record(traced)) for traced in episodes) == text


def test_a_completed_lap_is_written_byte_for_byte(shared_data):
    # Of the evaluation file one lap has no penalty, which records do not carry.
    path = next(path for path in csv_files(shared_data) if "droa-solution/sim-trace/evaluation" in path.as_posix())
    text = path.read_text()
    lap = degrees_restored(read_simtrace(text, path.name), text)[2]
    rows = write_rows(2, record(lap))
    assert rows == "".join(line + "\n" for line in text.splitlines() if line.startswith("2,"))
    assert ",100,0,59.99785047027138,125.194,lap_complete,0.0,0," in rows.splitlines()[-1]


def test_log_lines_of_a_real_run_are_written_byte_for_byte(shared_data):
    folder = shared_data / "logs" / "console-2021-export"
    log = next(folder.glob("logs/training/*-robomaker.log")).read_text(errors="replace")
    written = [line for line in log.splitlines() if line.startswith("SIM_TRACE_LOG:")]
    lines = []
    for iteration in (0, 1):
        path = folder / f"sim-trace/training/training-simtrace/{iteration}-iteration.csv"
        for traced in read_simtrace(path.read_text(), path.name):
            lines += write_log_lines(traced.number, record(traced)).splitlines()
    assert len(lines) == 9340
    assert lines == written


def test_every_real_csv_is_read_in_full(shared_data):
    for path in csv_files(shared_data):
        text = path.read_text()
        episodes = read_simtrace(text, path.name)
        assert sum(len(traced.steps) for traced in episodes) == text.count("\n") - 1, path
        if "training" in path.as_posix():
            numbers = [traced.number for traced in episodes]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), path
            assert all(traced.steps["done"].sum() == 1 for traced in episodes), path


@pytest.mark.parametrize(
    ("archive", "columns"), [("console-continuous.tar.gz", 19), ("log-guru/sac-short-session-*.tar.gz", 17)]
)
def test_continuous_actions_are_read_with_their_steering_and_speed(shared_data, archive, columns):
    path = next((shared_data / "logs").glob(archive))
    with tarfile.open(path) as tar:
        member = next(name for name in tar.getnames() if name.endswith("training-simtrace/0-iteration.csv"))
        text = tar.extractfile(member).read().decode()
    steps = read_simtrace(text, member)[0].steps
    line = text.splitlines()[1].split(",")
    assert len(line) == columns
    assert steps["action"][0] == -1
    assert (steps["steering_angle"][0], steps["speed"][0]) == (float(line[5]), float(line[6]))


def test_a_continuous_action_is_written_as_steering_and_speed_in_brackets():
    made = episode(length=2)
    made.steps["action"], made.steps["steering_angle"], made.steps["speed"] = -1, -24.5, 1.25
    fields = write_rows(0, made).splitlines()[1].split(",")
    assert fields[5:8] == ["-24.5", "1.25", "[-24.5 1.25]"]
    assert ",-24.50,1.25,[-24.5 1.25]," in write_log_lines(0, made)
    assert read_simtrace(write_simtrace([(0, made)]), "t.csv")[0].steps["action"].tolist() == [-1, -1]


def test_columns_of_later_generations_are_nan_in_older_files(shared_data):
    path = shared_data / "logs/legacy-2020/sim-trace/training/training-simtrace/0-iteration.csv"
    episodes = read_simtrace(path.read_text(), path.name)
    assert len(episodes) == 20
    assert np.isnan(episodes[0].steps["wall_clock"]).all()
    assert episodes[0].steps["sim_time"][0] == 1599095949.1453028


def test_made_episodes_are_byte_for_byte_the_golden_file():
    lap = episode(1, length=4, status="lap_complete")
    assert write_simtrace([(0, episode(0)), (1, lap)]) == (GOLDEN / "0-iteration.csv").read_text()


def test_what_is_written_reads_back_with_every_digit_but_the_yaws_last():
    records = [episode(7, length=5), episode(8, status="lap_complete")]
    episodes = read_simtrace(write_simtrace(enumerate(records, start=7)), "0-iteration.csv")
    assert [traced.number for traced in episodes] == [7, 8]
    for traced, given_record in zip(episodes, records, strict=True):
        assert traced.track_length == given_record.track_length
        for name in traced.steps.dtype.names:
            expected = given_record.steps[name]
            np.testing.assert_allclose(traced.steps[name], expected, rtol=1e-15 if name == "yaw" else 0)


@given(st.floats(-math.pi, math.pi), st.floats(allow_nan=False), st.floats(allow_nan=False), st.sampled_from(STATUSES))
def test_any_numbers_survive_the_file(yaw, x, reward, status):
    made = episode(0, length=1, status=status)
    made.steps["yaw"], made.steps["x"], made.steps["reward"] = yaw, x, reward
    (traced,) = read_simtrace(write_simtrace([(0, made)]), "0-iteration.csv")
    assert traced.steps["yaw"][0] == pytest.approx(yaw, abs=1e-15)
    assert (traced.steps["x"][0], traced.steps["reward"][0]) == (x, reward)
    assert STATUSES[traced.steps["status"][0]] == status


def test_a_file_without_rows_holds_no_episodes():
    assert read_simtrace(HEADER + "\n", "0-iteration.csv") == []
    assert write_simtrace([]) == HEADER + "\n"


def test_line_ends_of_windows_and_actions_with_a_comma_are_taken():
    line = LINE.replace(",2,", ',"[-15.0, 1.5]",')
    (traced,) = read_simtrace(f"{HEADER}\r\n{line}\r\n", "0-iteration.csv")
    assert (traced.number, traced.track_length, traced.steps["action"][0]) == (3, 17.7, -1)
    assert traced.steps["yaw"][0] == math.pi / 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv: line 1 has no column 'episode'; expected episode,steps,X,Y,..."),
        (HEADER.replace(",X,", ",x,"), "t.csv: line 1 has no column 'X'; expected episode,steps,X,Y,..."),
        (f"{HEADER}\n{LINE}\n{LINE},7", "t.csv: line 3 has 20 fields; the header has 19"),
        (f"{HEADER}\n{LINE}\n\n{LINE}", "t.csv: line 3 has 1 fields; the header has 19"),
        (f"{HEADER}\n{LINE[:40]}", "t.csv: line 2 has 10 fields; the header has 19"),
        (f"{HEADER}\n{LINE}\n{LINE.replace('0.5', 'O.5', 1)}", "t.csv: line 3: X is 'O.5'; expected a number"),
        (f"{HEADER}\n{LINE.replace('1.0', 'one')}", "t.csv: line 2: steps is 'one'; expected a whole number"),
        (f"{HEADER}\n{LINE.replace('1.0', '1e99')}", "t.csv: line 2: steps is '1e99'; expected a whole number"),
        (f"{HEADER}\n{LINE.replace('3,1.0', '3.5,1.0')}", "t.csv: line 2: episode is '3.5'; expected a whole number"),
        (f"{HEADER}\n{LINE.replace('False', 'no')}", "t.csv: line 2: done is 'no'; expected True or False"),
        (f"{HEADER}\n{LINE.replace('prepare', 'ready')}", "t.csv: line 2: episode_status is 'ready'; expected one of"),
        (f"{HEADER}\n{LINE.replace('90.0', '')}", "t.csv: line 2: yaw is ''; expected a number"),
        (f"{HEADER}\n{LINE.replace(',2,', ',x,')}", "t.csv: line 2: action is 'x'; expected an action's number"),
    ],
)
def test_a_broken_line_is_named_with_its_number(text, message):
    with pytest.raises(FormatError) as caught:
        read_simtrace(text + "\n", "t.csv")
    assert str(caught.value).startswith(message)
