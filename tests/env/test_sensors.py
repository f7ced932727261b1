"""What sensors give: lidars of all kinds by hand, when they turn, and where a stereo camera's eyes sit."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from made_tasks import STRAIGHT_ON, at, crowded, random_actions, small_task
from numpy.typing import NDArray

import lateapex.sim.simulator
from lateapex.env.race_config import RaceConfig
from lateapex.env.racing import RacingTask
from lateapex.env.sensors import DiscretizedSectorLidar, LidarRanges, SectorLidar, SensorSettings
from lateapex.env.starts import RandomStarts
from lateapex.errors import ConfigError
from lateapex.formats.model_metadata import LidarConfig, ModelMetadata, default_metadata, read_metadata
from lateapex.sim.lidar import Lidar
from lateapex.sim.simulator import Simulator
from lateapex.world.track import Track, load_track


def sensing(*sensors: str, **more: Any) -> ModelMetadata:
    content = {**json.loads(default_metadata().text), "sensor": list(sensors), **more}
    return read_metadata(json.dumps(content), "made.json")


def scan(far: float = 12.0, **beams: float) -> NDArray[np.float32]:
    """One scan `[1, 64]`: everything far away but some beams, `b12=0.3`."""
    ranges = np.full((1, 64), far, np.float32)
    for name, value in beams.items():
        ranges[0, int(name[1:])] = value
    return ranges


# ------------------------------------------------------------------------------------------------------ kinds of lidar


def test_the_lidar_clips_what_it_measures_to_a_metre() -> None:
    shown = LidarRanges(SensorSettings()).shown(scan(b0=0.15, b1=0.5, b62=0.999, b63=1.001))
    assert shown[0, [0, 1, 2, 62, 63]].tolist() == np.array([0.15, 0.5, 1.0, 0.999, 1.0], np.float32).tolist()


def test_a_sector_is_one_where_a_beam_of_its_eight_is_nearer_than_half_a_metre() -> None:
    shown = SectorLidar(SensorSettings()).shown(scan(b7=0.49, b8=0.5, b23=0.2, b24=0.6, b63=0.15))
    assert shown.tolist() == [[1, 0, 1, 0, 0, 0, 0, 1]]


def test_a_discretised_sector_tells_which_part_of_the_distance_its_nearest_point_lies_in() -> None:
    # Two sectors of 32 beams, 4 parts of 0.5 m: 0.7 m is in the second, 1.99 m in the last, 2 m in none.
    sensor = DiscretizedSectorLidar(SensorSettings(lidar=LidarConfig(2, 4, 2.0)))
    assert sensor.shown(scan(b3=0.7, b30=1.2, b32=1.99)).tolist() == [[0, 1, 0, 0, 0, 0, 0, 1]]
    assert sensor.shown(scan(b3=2.0)).tolist() == [[0, 0, 0, 0, 0, 0, 0, 0]]
    assert sensor.shown(scan(b40=0.15)).tolist() == [[0, 0, 0, 0, 1, 0, 0, 0]]


def test_eight_sectors_of_eight_parts_of_two_metres_are_usual() -> None:
    sensor = DiscretizedSectorLidar(SensorSettings())
    assert sensor.space.shape == (64,)
    assert np.flatnonzero(sensor.shown(scan(b0=0.25, b63=0.6))).tolist() == [1, 56 + 2]


@pytest.mark.parametrize(("distance", "taken"), [(0.01, 0.15), (100.0, 12.0)])
def test_a_clipping_distance_beyond_the_range_is_the_end_of_the_range(distance: float, taken: float) -> None:
    settings = [SensorSettings(lidar=LidarConfig(8, 3, metres)) for metres in (distance, taken)]
    for reach in (0.15, 0.2, 3.9, 4.1, 11.9, 12.0):
        shown = [DiscretizedSectorLidar(one).shown(scan(reach)) for one in settings]
        np.testing.assert_array_equal(*shown)


def test_the_metadatas_lidar_config_reaches_the_sensor() -> None:
    config = {"num_sectors": 4, "num_values_per_sector": 5, "clipping_dist": 1.5}
    metadata = sensing("FRONT_FACING_CAMERA", "DISCRETIZED_SECTOR_LIDAR", lidar_config=config)
    task = small_task("oval", 1, metadata=metadata)
    assert task.observations["DISCRETIZED_SECTOR_LIDAR"].shape == (1, 20)


def test_a_box_beside_the_car_is_in_the_sectors_of_its_side_and_a_car_alone_is_in_none() -> None:
    for lane, offset, near in ((1, -0.3, range(4)), (-1, 0.3, range(4, 8))):
        race = RaceConfig(race_type="OBJECT_AVOIDANCE", object_positions=[(0.3, lane)])
        task = small_task("oval", 2, metadata=sensing("SECTOR_LIDAR", "FRONT_FACING_CAMERA"), race=race)
        task.begin(np.arange(2), at([0.3, 0.8], offset))
        shown = task.observations["SECTOR_LIDAR"]
        assert task.tracks[0].is_ccw  # so that the inner lane, 1, is the left one
        assert set(np.flatnonzero(shown[0])) <= set(near)
        assert shown[0].any()
        assert not shown[1].any()


# ------------------------------------------------------------------------------------------------------ 10 and 15 Hz


def test_every_third_reading_repeats_the_one_before_and_an_episodes_first_is_fresh() -> None:
    task = crowded(small_task("oval", 2, metadata=sensing("FRONT_FACING_CAMERA", "LIDAR")))
    task.begin(np.arange(2), at([0.0, 0.3]))
    scans = [task.observations["LIDAR"].copy()]
    assert (scans[0] > 0.0).all()
    for step in range(1, 8):
        if step == 5:
            task.begin(np.array([1]), at(0.3))
        task.advance([STRAIGHT_ON] * 2)
        scans.append(task.observations["LIDAR"].copy())
    repeats = [(now == before).all(axis=1) for before, now in pairwise(scans)]
    # The second car's next episode begins before step 5: its reading 0 is not kept here, and 1 repeats that.
    assert [bool(row[0]) for row in repeats] == [True, False, False, True, False, False, True]
    assert [bool(row[1]) for row in repeats[:4]] == [True, False, False, True]
    assert [bool(row[1]) for row in repeats[5:]] == [False, False]


def test_a_reading_between_two_turns_is_that_of_the_last_after_a_restore_too() -> None:
    task = crowded(small_task("oval", 3, metadata=sensing("LIDAR", "STEREO_CAMERAS"), starts=RandomStarts()))
    task.begin(np.arange(3))
    actions = random_actions(1, 9, 3)
    for row in actions[:3]:
        task.advance(row)
    kept = task.snapshot()
    runs = []
    for _ in range(2):
        seen = []
        for row in actions[3:]:
            task.advance(row)
            seen.append({name: values.tobytes() for name, values in task.observations.items()})
        runs.append(seen)
        task.restore(kept)
        assert (task.observations["LIDAR"] == kept["observations"]["LIDAR"]).all()
    assert runs[0] == runs[1]


# ----------------------------------------------------------------------------------------------------------- two eyes


@pytest.fixture(scope="module")
def oval() -> Track:
    return load_track("oval")


def seen_from(track: Track, poses: NDArray[np.float64], eyes: tuple[float, ...] = (0.0,)) -> NDArray[np.uint8]:
    simulator = Simulator([track], [0] * len(poses), threads=1, eyes=eyes)
    simulator.place(np.arange(len(poses)), *poses.T)
    out = simulator.blank()
    simulator.render(out)
    return out


def test_each_eye_sees_what_a_single_camera_placed_there_sees(oval: Track) -> None:
    poses = np.array([(*oval.pose_at(0.1 * n)[:2], 0.7 * n) for n in range(10)])
    pairs = seen_from(oval, poses, (0.03, -0.03))
    for eye, left in enumerate((0.03, -0.03)):
        moved = poses + np.column_stack([-left * np.sin(poses[:, 2]), left * np.cos(poses[:, 2]), np.zeros(10)])
        alone = seen_from(oval, moved)
        # The place of the lens rounds otherwise, by less than a texel's 65536th.
        assert (pairs[..., eye] != alone).mean() < 1e-3
        assert (pairs[..., 1 - eye] != alone).mean() > 0.1
        np.testing.assert_array_equal(pairs[..., eye], seen_from(oval, poses, (left,)))


def test_the_stereo_cameras_are_six_centimetres_apart_the_left_one_first(oval: Track) -> None:
    task = RacingTask(oval, 1, metadata=sensing("STEREO_CAMERAS"), threads=1)
    task.begin(np.arange(1), at(0.0))
    x, y, yaw = oval.pose_at(0.0)
    assert abs(yaw) < 1e-12
    pair = task.observations["STEREO_CAMERAS"]
    assert pair.shape == (1, 120, 160, 2)
    for eye, aside in enumerate((0.03, -0.03)):
        np.testing.assert_array_equal(pair[..., eye], seen_from(oval, np.array([(x, y + aside, yaw)])))
    np.testing.assert_array_equal(task.pictures, pair[..., 0])


def test_the_left_camera_sees_what_the_front_camera_sees_as_in_the_original() -> None:
    seen = []
    for name in ("observation", "FRONT_FACING_CAMERA", "LEFT_CAMERA"):
        metadata = sensing(name, version="1") if name == "observation" else sensing(name)
        task = small_task("oval", 2, metadata=metadata, vehicle="version5")
        task.begin(np.arange(2))
        seen.append(task.observations[name])
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])


def test_pictures_whose_lenses_do_not_lie_apart_in_memory_are_refused(oval: Track) -> None:
    simulator = Simulator([oval], [0], height=8, width=12, threads=1, eyes=(0.03, -0.03))
    with pytest.raises(ConfigError, match=r"lens_pictures\(1, 8, 12, 2\) is needed"):
        simulator.render(np.zeros((1, 8, 12, 2), np.uint8))


def test_two_eyes_in_colour_are_refused() -> None:
    with pytest.raises(ConfigError, match="pictures of several lenses are grey: leave colour out"):
        small_task("oval", 1, metadata=sensing("STEREO_CAMERAS"), colour=True)


# --------------------------------------------------------------------------------------------------- threads and work


def test_threads_change_nothing_of_what_is_sensed() -> None:
    runs = []
    for threads in (1, 2, 3):
        metadata = sensing("STEREO_CAMERAS", "LIDAR")
        task = crowded(small_task(["oval", "kidney"], 19, metadata=metadata, threads=threads, starts=RandomStarts()))
        task.begin(np.arange(19))
        seen = []
        for row in random_actions(5, 20, 19):
            task.advance(row)
            seen.append([values.tobytes() for values in task.observations.values()])
        runs.append(seen)
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize(
    ("sensors", "drawn", "scans"),
    [
        (["FRONT_FACING_CAMERA"], 1, 0),
        (["STEREO_CAMERAS"], 2, 0),
        (["LEFT_CAMERA", "SECTOR_LIDAR"], 1, 1),
    ],
)
def test_nothing_is_drawn_or_measured_that_is_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, sensors: list[str], drawn: int, scans: int
) -> None:
    task = small_task("oval", 2, metadata=sensing(*sensors))
    task.begin(np.arange(2))
    task.advance([STRAIGHT_ON] * 2)
    work: list[str] = []
    draw, measure = lateapex.sim.simulator._draw_taken, Lidar.scan
    monkeypatch.setattr(lateapex.sim.simulator, "_draw_taken", lambda *args: [work.append("draw"), draw(*args)])
    monkeypatch.setattr(Lidar, "scan", lambda *args, **more: [work.append("scan"), measure(*args, **more)])
    task.advance([STRAIGHT_ON] * 2)
    assert (work.count("draw"), work.count("scan")) == (drawn, scans)


def test_without_pictures_a_lidar_still_measures_and_cameras_stay_shut() -> None:
    task = small_task("oval", 2, metadata=sensing("STEREO_CAMERAS", "LIDAR"), pictures=False)
    task.begin(np.arange(2))
    assert task.pictures.size == task.observations["STEREO_CAMERAS"].size == 0
    assert task.observations["LIDAR"].min() >= 0.15
