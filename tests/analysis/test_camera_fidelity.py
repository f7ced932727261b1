"""The simulator's camera against frames of the original, and the scores against values worked by hand."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lateapex.analysis.camera_fidelity import camera_fidelity, line_edges, ssim
from lateapex.analysis.camera_fit import Lens, fit_pose, without_grain
from lateapex.sim.ground import paint_grounds
from lateapex.world.scene import scene
from lateapex.world.track import load_track
from lateapex.world.vehicle import camera_mount

pytestmark = pytest.mark.long

FRAMES = ("front_1", "front_1_next", "stereo_1_next_left", "stereo_1_next_right")


@pytest.fixture(scope="module")
def scores(shared_data: Path) -> tuple[list[dict[str, Any]], bytes]:
    track = load_track(shared_data / "tracks" / "reInvent2019_track.npy")
    frames = sorted((shared_data / "camera-frames").glob("*.png"))
    return camera_fidelity(frames, [track])


def values(scores: tuple[list[dict[str, Any]], bytes], what: str) -> list[float]:
    return [row["value"] for row in scores[0] if row["what"] == what]


def test_frames_without_a_track_are_passed_over(scores: Any) -> None:
    assert sorted({row["frame"] for row in scores[0]}) == [f"{name}.png" for name in FRAMES]


def test_the_horizon_of_every_frame_is_where_the_old_mount_has_it(scores: Any) -> None:
    assert np.abs(values(scores, "horizon_off")).max() < 0.3


def test_lines_lie_within_a_pixel_of_the_original(scores: Any) -> None:
    assert len(values(scores, "line_edge_off_95th")) == 4
    assert max(values(scores, "line_edge_off_95th")) < 1.0
    assert max(values(scores, "line_edge_off_median")) < 0.2


@pytest.mark.parametrize("surface", ["road", "field", "dash", "wall"])
def test_each_surface_has_the_original_s_mean_grey(scores: Any, surface: str) -> None:
    assert np.abs(values(scores, f"{surface}_level_off")).max() < 6.0


def test_dashes_lie_where_the_original_has_them(scores: Any) -> None:
    assert min(values(scores, "dash_overlap")) > 0.8


def test_the_road_has_the_original_s_contrast_at_every_scale(scores: Any) -> None:
    for box in (1, 2, 4, 8):
        real, ours = (np.array(values(scores, f"road_contrast_{who}_{box}px")) for who in ("real", "ours"))
        assert ours.mean() == pytest.approx(real.mean(), rel=0.25)


def test_pictures_are_similar_to_the_original_even_with_a_grain_of_other_spots(scores: Any) -> None:
    assert min(values(scores, "ssim")) >= 0.80
    assert min(values(scores, "ssim_without_grain")) > 0.87


def test_the_picture_has_a_line_of_three_for_each_frame(scores: Any) -> None:
    assert Image.open(io.BytesIO(scores[1])).size == (3 * 160 * 3, 4 * (120 * 3 + 22))


def test_a_pose_is_found_again_from_its_own_picture() -> None:
    looks, mount, track = scene("overdriven"), camera_mount("version2"), load_track("oval")
    x, y, yaw = track.pose_at(0.3)
    pose = np.array([x + 0.1, y - 0.05, yaw + 0.2])
    picture = Lens(paint_grounds([track], [without_grain(looks)]), mount, (120, 160)).pictures(pose[None])[0]
    fit = fit_pose(picture, [load_track("kidney"), track], looks, mount)
    assert fit.track is track
    assert fit.pose[:2] == pytest.approx(pose[:2], abs=0.003)
    assert np.cos(fit.pose[2] - pose[2]) > np.cos(0.003)


def test_similarity_is_1_for_equal_pictures_and_worked_by_hand_for_flat_ones() -> None:
    flat = np.full((9, 9), 100)
    assert ssim(flat, flat) == pytest.approx(np.ones((3, 3)))
    # No structure: (2 * 100 * 50 + C1) / (100^2 + 50^2 + C1) with C1 = 2.55^2 = 6.5025.
    assert ssim(flat, flat // 2) == pytest.approx(np.full((3, 3), 10006.5025 / 12506.5025))


def test_noise_that_does_not_agree_lowers_similarity_as_its_variance_says() -> None:
    # Independent spots of variance s2 on the same level: C2 / (2 s2 + C2) in the mean, C2 = 7.65^2 = 58.5.
    draw = np.random.default_rng(1)
    a, b = (100.0 + 5.0 * draw.standard_normal((120, 160)) for _ in range(2))
    assert float(ssim(a, b).mean()) == pytest.approx(58.5 / (2 * 25 + 58.5), abs=0.02)


def test_edges_are_found_to_a_part_of_a_pixel() -> None:
    column = np.array([160, 160, 200, 250, 250, 170, 90, 90], np.uint8)
    # 210 is crossed a fifth of the way from 200 to 250 and half of the way from 250 to 170.
    edges = line_edges(np.repeat(column[:, None], 3, axis=1))
    assert edges[:, 1].tolist() == pytest.approx([2.2, 4.5])
