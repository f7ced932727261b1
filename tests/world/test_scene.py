"""Looks and camera mounts by name."""

from __future__ import annotations

import pytest

from lateapex.errors import ConfigError
from lateapex.world.scene import GRAIN_WAVES, SCENES, Scene, grey, scene, scene_of
from lateapex.world.vehicle import MOUNTS, CameraMount, camera_mount


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_is_found_by_its_name_and_shares_its_grain_out_over_all_bands(name: str) -> None:
    found = scene(name)
    assert found is SCENES[name]
    for bands in (found.field_bands, found.road_bands):
        assert len(bands) == len(GRAIN_WAVES)
        assert min(bands) >= 0.0
        assert sum(bands) == pytest.approx(1.0, abs=0.01)


def test_the_overdriven_light_is_a_third_stronger_and_clips_the_line() -> None:
    strong, usual = scene("overdriven"), Scene()
    assert grey(strong.road) / grey(usual.road) == pytest.approx(1.33, abs=0.05)
    assert grey(strong.field) / grey(usual.field) == pytest.approx(1.30, abs=0.05)
    assert round(grey(strong.line)) == 254


def test_only_reinvent_base_has_looks_of_its_own() -> None:
    assert scene_of("reinvent_base") is scene("reinvent")
    assert scene_of("oval") is scene("standard")


def test_the_old_mount_is_level_and_higher() -> None:
    assert camera_mount("version2") == CameraMount(forward=0.2, height=0.164, pitch=0.2618)
    assert camera_mount("standard") == MOUNTS["standard"] == CameraMount()


def test_unknown_names_are_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match="no scene is called 'overdrive'; did you mean 'overdriven'"):
        scene("overdrive")
    with pytest.raises(ConfigError, match="no camera mount is called 'version1'; did you mean 'version2'"):
        camera_mount("version1")
