"""Which traces and logs of a folder are recomputed, as which vehicle, and what is left out."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from made_drives import drive, ring

from lateapex.formats.model_metadata import default_metadata
from lateapex.formats.simtrace import write_log_lines, write_simtrace
from lateapex.jobs.recomputed import LeftOut, LogAgreement, recompute
from lateapex.sim.replay import locate_poses
from lateapex.world.track import Track, load_track
from lateapex.world.vehicle import Vehicle

Recomputed = tuple[list[LogAgreement], list[LeftOut]]
ONE_ROW_BETWEEN_TWO_PLACES = {
    "p2-5",
    "console-2021-export/logs/leaderboard/leaderboard-20211101022828-Y8Gz8Zy4SKKO4YVRmuTT6Q-robomaker.log",
}


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Recomputed:
    return recompute(shared_data)


@pytest.mark.long
def test_real_logs_of_all_generations_agree(real: Recomputed) -> None:
    found, _ = real
    assert {log.vehicle for log in found} == {f"version{physics}" for physics in (2, 3, 4, 5, 6)}
    for log in found:
        shares = log.agreement.shares()
        assert shares["closest_waypoint"] >= 0.9999, log
        # 5 of the 911 rows of the only job of generation 3 have a wheel within a centimetre of the border.
        assert shares["all_wheels_on_track"] >= (0.994 if log.vehicle == "version3" else 0.995), log


def test_progress_of_every_row_of_real_logs_agrees_but_of_two_that_lie_between_two_places(real: Recomputed) -> None:
    apart = {log.log: log.agreement for log in real[0] if log.agreement.progress < log.agreement.progress_rows}
    assert apart.keys() == ONE_ROW_BETWEEN_TWO_PLACES
    for agreement in apart.values():
        assert (agreement.progress_rows - agreement.progress, agreement.progress_near) == (1, 1)


@pytest.mark.parametrize(
    ("route", "pose", "logged", "found"),
    [
        ("legacy/reinvent_base_71wp", (2.0827, 1.0269), 10.3194, 9.8345),  # p2-5, episode 83, step 19
        ("AmericasGeneratedInclStart", (-4.3148, -0.8774), 18.4899, 18.4372),  # the leaderboard's log, step 46
    ],
)
def test_the_two_rows_are_logged_at_the_other_place_within_the_rounding_of_their_pose(
    shared_data: Path, route: str, pose: tuple[float, float], logged: float, found: float
) -> None:
    track = load_track(shared_data / "tracks" / f"{route}.npy")
    poses = np.array([(*pose, 0.0), (pose[0] + 5e-5, pose[1], 0.0)])
    here, beside = 100.0 * locate_poses([track], 0, poses, Vehicle(front_point=0.0))["along"] / track.length
    assert beside - here == pytest.approx(logged - found, abs=2e-4)


def test_logs_are_left_out_only_for_want_of_their_route(real: Recomputed) -> None:
    found, left_out = real
    job = "log-guru/try-continuous-action-space-training_job_dY6qyhqlQi2LlSh97kPYiw_logs.tar.gz"
    folder = f"{job}/1d7ead09-c79e-43c7-a65d-d9973591f77d"
    assert left_out == [
        ("p4-90", "no route of 68.90 m is there"),
        ("p5-88", "no route of 58.61 m is there"),
        (f"{folder}/sim-trace/training/training-simtrace", "no route of 60.18 m is there"),
        (
            f"{folder}/logs/training/training-20220905173453-dY6qyhqlQi2LlSh97kPYiw-robomaker.log",
            "no route of 60.18 m is there",
        ),
    ]
    assert not {name for name, _ in left_out} & {log.log for log in found}


def test_the_log_of_2019_agrees_on_the_route_of_its_time(real: Recomputed) -> None:
    found = {log.log: log for log in real[0]}
    log = found["legacy-2019/deepracer-eval-sim-sample.log"]
    assert (log.track, log.vehicle, log.agreement.rows) == ("reinvent_base_71wp", "version2", 480)
    assert log.agreement.shares()["progress"] == log.agreement.shares()["closest_waypoint"] == 1.0


def route_of(track: Track) -> np.ndarray:
    rows = np.column_stack([track.center, track.inner, track.outer])
    return np.vstack([rows, rows[:1]])


def lines(count: int) -> str:
    """The log of a drive round the ring."""
    return write_log_lines(0, drive(count))


def job_of(folder: Path, logs: dict[str, str]) -> Path:
    """A folder of data with one job on a track of ours, which has these files, and no tables."""
    for name in ("sim-traces", "tracks"):
        (folder / name).mkdir(parents=True)
    (folder / "sim-traces/logs.csv").write_text("log,physics,track_len\n")
    np.save(folder / "tracks/ring.npy", route_of(ring()))
    for name, text in logs.items():
        path = folder / "logs" / "job" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_log_counts_only_where_no_trace_of_its_job_tells_of_the_same_drive(tmp_path: Path) -> None:
    trace, same, other = write_simtrace([(0, drive(20))]), lines(20), lines(30)
    place = "sim-trace/training/training-simtrace/0-iteration.csv"
    names = ("logs/training/training-1-robomaker.log", "logs/leaderboard/leaderboard-1-robomaker.log")
    found, left_out = recompute(job_of(tmp_path, {place: trace, names[0]: same, names[1]: other}))
    assert [(log.log, log.agreement.rows) for log in found] == [
        ("job/sim-trace/training/training-simtrace", 20),
        (f"job/{names[1]}", 30),
    ]
    assert left_out == []


def test_an_archive_is_read_as_a_folder_is_and_broken_lines_of_a_log_are_told(tmp_path: Path) -> None:
    name = "logs/training/training-1-robomaker.log"
    text = lines(20) + "SIM_TRACE_LOG:0,1,what\n"
    folder = job_of(tmp_path, {name: text})
    in_folder, _ = recompute(folder)
    with tarfile.open(folder / "logs" / "job.tar.gz", "w:gz") as archive:
        archive.add(folder / "logs" / "job", ".")
    shutil.rmtree(folder / "logs" / "job")
    found, left_out = recompute(folder)
    assert [log.agreement for log in found] == [log.agreement for log in in_folder]
    assert left_out == [(f"job.tar.gz/{name}", "broken lines, 1")]


def test_the_vehicle_is_that_of_the_metadata_else_of_the_log_else_the_newest(tmp_path: Path) -> None:
    name = "logs/training/training-1-robomaker.log"
    text = lines(20)
    metadata = json.dumps(json.loads(default_metadata().text) | {"version": "4.0"})
    old = "\n".join(",".join(line.split(",")[:15]) for line in text.splitlines()) + "\n"
    for place, (files, vehicle) in enumerate(
        (
            ({name: text}, "version6"),
            ({name: old}, "version2"),
            ({name: text, "model/model_metadata.json": metadata}, "version4"),
        )
    ):
        found, _ = recompute(job_of(tmp_path / str(place), files))
        assert [log.vehicle for log in found] == [vehicle]
