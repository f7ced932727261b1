"""Step tables and their lists of logs: read to the digit, refused with their line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from lateapex.errors import FormatError
from lateapex.formats.step_table import COLUMNS, LogNote, read_log_list, read_step_table

HEADER = ",".join(COLUMNS)
ROWS = (
    "p5-1,0,1,0.07,1.5,-2.0,180.0,-30.0,1.25,0.5,3,1,prepare",
    "p5-1,0,2,,1.6,-2.0,-90,15,2,0.6,3,0,in_progress",
    "p2-9,4,1,9.0,0,0,0,0,1,0,0,1,",
    "p2-9,4,2,9.1,0,0,0,0,1,0,0,1,off_track",
)


def table(*rows: str) -> bytes:
    return "\n".join([HEADER, *(rows or ROWS), ""]).encode()


def test_rows_come_out_in_radians_with_the_log_by_its_place() -> None:
    found = read_step_table(table(), "steps.csv")
    assert found.logs == ("p5-1", "p2-9")
    rows = found.rows
    assert rows["log"].tolist() == [0, 0, 1, 1]
    assert rows["episode"].tolist() == [0, 0, 4, 4]
    assert rows["yaw"] == pytest.approx([np.pi, -np.pi / 2, 0.0, 0.0])
    assert rows["steering"] == pytest.approx(np.radians([-30.0, 15.0, 0.0, 0.0]))
    assert rows["speed"].tolist() == [1.25, 2.0, 1.0, 1.0]
    assert rows["all_wheels_on_track"].tolist() == [True, False, True, True]
    assert np.isnan(rows["time"]).tolist() == [False, True, False, False]


def test_an_empty_status_of_an_old_log_is_driving_and_prepare_is_held() -> None:
    rows = read_step_table(table(), "steps.csv").rows
    assert rows["driving"].tolist() == [False, True, True, False]
    assert rows["held"].tolist() == [True, False, False, False]


def test_a_gzipped_table_reads_as_the_plain_one() -> None:
    plain, packed = read_step_table(table(), "a"), read_step_table(gzip.compress(table()), "b")
    assert packed.logs == plain.logs
    assert packed.rows.tobytes() == plain.rows.tobytes()


def test_columns_may_stand_in_another_order_with_others_between() -> None:
    order = [*reversed(COLUMNS), "reward"]
    line = dict(zip(COLUMNS, ROWS[0].split(","), strict=True)) | {"reward": "7"}
    text = ",".join(order) + "\n" + ",".join(line[name] for name in order)
    assert read_step_table(text.encode(), "x").rows.tobytes() == read_step_table(table(ROWS[0]), "x").rows.tobytes()


def test_a_table_without_rows_is_empty() -> None:
    found = read_step_table(HEADER.encode(), "x")
    assert found.logs == ()
    assert len(found.rows) == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "steps.csv: line 1 has no column 'log'; expected log,ep,step,"),
        (table().replace(b"yaw_deg", b"yaw"), "steps.csv: line 1 has no column 'yaw_deg'"),
        (table(ROWS[0], "p5-1,0,2"), "steps.csv: line 3 has 3 fields; the header has 13"),
        (table(ROWS[0], ROWS[1].replace("1.6", "east")), "steps.csv: line 3: x is 'east'; expected a finite number"),
        (table(ROWS[0].replace("1.5", "nan")), "steps.csv: line 2: x is 'nan'; expected a finite number"),
        (table(ROWS[0].replace("1,prepare", "2,prepare")), "steps.csv: line 2: on_track is '2'; expected 1 or 0"),
        (table(ROWS[0].replace("p5-1,0,1", "p5-1,0,inf")), "steps.csv: line 2: step is 'inf'; expected a whole number"),
        (table(ROWS[0].replace("p5-1", '"p5-1')), "steps.csv: line 2 is no CSV"),
        (gzip.compress(table())[:-9], "steps.csv is a cut off or damaged .gz file"),
        (b"\x1f\x8bjunk", "steps.csv is a cut off or damaged .gz file"),
        (b"\xff\xfe\x00", "steps.csv is no text; a CSV with the columns log,ep,step,t,... is needed"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_step_table(data, "steps.csv")
    assert str(caught.value).startswith(message)


def test_a_list_of_logs_says_generation_and_length() -> None:
    text = b'log,physics,track,track_len\np5-1,5,"reinvent_base (2020, long)",17.67\np2-9,2,Oval,\n'
    found = read_log_list(text, "logs.csv")
    assert found["p5-1"] == LogNote(physics=5, track_length=17.67)
    assert found["p2-9"].physics == 2
    assert np.isnan(found["p2-9"].track_length)
    assert read_log_list(b"log,physics\na,6\n", "x")["a"].physics == 6


def test_a_broken_list_of_logs_is_refused() -> None:
    with pytest.raises(FormatError, match=r"logs\.csv: line 1 has no column 'physics'"):
        read_log_list(b"log,kind\n", "logs.csv")
    with pytest.raises(FormatError, match=r"logs\.csv: line 2: physics is 'new'; expected a whole number"):
        read_log_list(b"log,physics\na,new\n", "logs.csv")


def test_the_real_tables_read_whole(shared_data: Path) -> None:
    notes = read_log_list((shared_data / "sim-traces" / "logs.csv").read_bytes(), "logs.csv")
    for physics, rows in {2: 18374, 3: 911, 4: 21914, 5: 9369, 6: 10693}.items():
        path = shared_data / "sim-traces" / f"cal_physics{physics}.csv.gz"
        found = read_step_table(path.read_bytes(), path.name)
        assert len(found.rows) == rows
        assert {notes[log].physics for log in found.logs} == {physics}
