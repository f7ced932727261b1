"""Cameras, colours and light of each car's own: against cameras that are made so, and levels worked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lateapex.sim.camera import view_of
from lateapex.sim.developing import blur
from lateapex.sim.lens import fill_lens, lenses_for, mount_numbers
from lateapex.sim.simulator import Simulator
from lateapex.world.scene import Scene
from lateapex.world.track import load_track
from lateapex.world.variation import QUANTITIES, SURFACES, neutral
from lateapex.world.vehicle import MOUNTS, CameraMount, Vehicle

OVAL = load_track("oval")
MIDDLE = (100, 100, 100)
FLAT = Scene(
    field=MIDDLE, road=MIDDLE, line=MIDDLE, dash=MIDDLE, wall=MIDDLE, wall_shade=MIDDLE, sky=MIDDLE,
    field_grain=0.0, road_grain=0.0,
)  # fmt: skip
"""A world in which every level is 100."""
INERT = {"object.red": 1.0}
"""Changes nothing where there are no objects, but lets the car's picture be drawn as a varied one."""
PLACES = [0.02, 0.3, 0.55, 0.8]


def seen(values: dict[str, float], scene: Scene | None = None, turn: float = 0.0, **settings: Any) -> NDArray[np.int64]:
    """What four cars on the oval see when these quantities are not neutral."""
    scenes = None if scene is None else [scene]
    sim = Simulator([OVAL], [0] * 4, scenes=scenes, **{"threads": 1, **settings})
    sim.place_on_line(np.arange(4), np.array(PLACES), 0.1, 0.2 + turn)
    vary(sim, values)
    out = sim.blank()
    sim.render(out)
    return out.astype(np.int64)


def vary(sim: Simulator, values: dict[str, float], cars: Any = None) -> None:
    which = np.arange(sim.count) if cars is None else np.asarray(cars)
    drawn = neutral(len(which))
    for name, value in values.items():
        drawn[name] = value
    sim.vary_pictures(which, drawn, which.astype(np.uint64))


def mounted(**changes: float) -> Vehicle:
    mount = CameraMount()
    return Vehicle(camera=replace(mount, **{name: getattr(mount, name) + more for name, more in changes.items()}))


# ------------------------------------------------------------------------------------------------------- the camera


@pytest.mark.parametrize("mount", MOUNTS.values(), ids=MOUNTS)
def test_a_row_looks_where_that_of_the_usual_camera_does(mount: CameraMount) -> None:
    lenses, view = lenses_for(1, 120, 160), view_of(mount, 120, 160)
    fill_lens(0, np.array(neutral(1).tolist()[0]), mount_numbers(mount), (120, 160), 1.0, lenses)
    for row in range(120):
        count = min(view.taps[row], 2)
        assert lenses.taps[0, row] == count
        if view.taps[row] == count:
            assert lenses.level[0, row] == view.level[row]
            np.testing.assert_allclose(lenses.ahead[0, row, :count], view.ahead[row, :count], rtol=1e-12)
            np.testing.assert_allclose(lenses.inverse_drop[0, row, :count], view.inverse_drop[row, :count], rtol=1e-9)
    assert lenses.lens[0]["focal"] == pytest.approx(view.focal)


@pytest.mark.parametrize("colour", [False, True])
def test_a_picture_that_varies_in_nothing_is_close_to_the_usual_one(colour: bool) -> None:
    plain, other = seen({}, colour=colour), seen(INERT, colour=colour)
    away = np.abs(plain - other)
    assert 0.0 < away.mean() < 2.0
    assert np.median(away) == 0.0
    assert (away > 20).mean() < 0.02


@pytest.mark.parametrize(
    ("name", "value", "change"),
    [
        ("camera.forward", 0.1, {"forward": 0.1}),
        ("camera.height", 0.1, {"height": 0.1}),
        ("camera.pitch_deg", 6.0, {"pitch": np.radians(6.0)}),
        ("camera.field_of_view_deg", 15.0, {"field_of_view": np.radians(15.0)}),
        ("camera.field_of_view_deg", -15.0, {"field_of_view": np.radians(-15.0)}),
    ],
)
def test_a_moved_camera_sees_what_one_that_is_mounted_there_sees(name: str, value: float, change: Any) -> None:
    np.testing.assert_array_equal(seen({name: value}), seen(INERT, vehicle=mounted(**change)))


def test_a_camera_moved_to_the_left_sees_what_a_left_eye_sees() -> None:
    np.testing.assert_array_equal(seen({"camera.left": 0.05}), seen(INERT, eyes=(0.05,)))


def test_a_turned_camera_sees_what_a_turned_car_sees() -> None:
    at_the_centre = mounted(forward=-CameraMount().forward)
    turned = seen({"camera.yaw_deg": 10.0}, vehicle=at_the_centre)
    expected = seen(INERT, vehicle=at_the_centre, turn=np.radians(10.0))
    assert (turned != expected).mean() < 0.01


@pytest.mark.parametrize("degrees", [-8.0, 3.0])
@pytest.mark.parametrize("colour", [False, True])
def test_a_camera_that_rolls_sees_the_picture_turned(degrees: float, colour: bool) -> None:
    smooth = Scene(field_grain=0.0, road_grain=0.0)
    straight, rolled = (
        seen(values, smooth, colour=colour)
        for values in ({**INERT, "picture.blur": 1.0}, {"camera.roll_deg": degrees, "picture.blur": 1.0})
    )
    row, column = np.mgrid[0:120, 0:160]
    inside = np.hypot(row - 59.5, column - 79.5) < 55
    for before, after in zip(straight, rolled, strict=True):
        # Pillow turns to the left, as a picture does whose camera leans to the right.
        turned, wrong = (
            np.asarray(Image.fromarray(before.astype(np.uint8)).rotate(way, Image.Resampling.BILINEAR), np.int64)
            for way in (degrees, -degrees)
        )
        assert np.abs(turned - after)[inside].mean() < 1.5
        assert np.abs(turned - after)[inside].mean() < 0.4 * np.abs(wrong - after)[inside].mean()


# ------------------------------------------------------------------------------------------------------- the colours


def test_a_tint_reaches_its_own_channel_and_together_they_reach_every_pixel_once() -> None:
    plain = seen(INERT, FLAT, colour=True)
    np.testing.assert_array_equal(plain, np.full_like(plain, 100))
    total = np.zeros(plain.shape[:3])
    for surface in SURFACES:
        change = seen({f"colour.{surface}_green": 80.0}, FLAT, colour=True) - plain
        assert not change[..., [0, 2]].any()
        assert change[..., 1].min() == 0
        assert change[..., 1].max() == 80 or surface == "dash"
        total += change[..., 1]
    # Each part of an edge is rounded by itself, to a level for each of up to three surfaces.
    assert np.abs(total - 80.0).max() <= 3.0


@pytest.mark.parametrize("surface", SURFACES)
def test_a_strength_is_times_the_colour_of_its_surface(surface: str) -> None:
    tinted = seen({f"colour.{surface}_{channel}": 50.0 for channel in ("red", "green", "blue")}, FLAT, colour=True)
    np.testing.assert_array_equal(seen({f"colour.{surface}": 1.5}, FLAT, colour=True), tinted)


def test_light_reaches_everything_but_the_sky() -> None:
    lit, blue = (seen(values, FLAT, colour=True) for values in ({"light.blue": 0.5}, {"colour.sky_blue": 50.0}))
    sky = blue[..., 2] == 150
    assert sky.any()
    assert (lit[..., :2] == 100).all()
    assert (lit[..., 2][blue[..., 2] == 100] == 50).all()
    assert (lit[..., 2][sky] == 100).all()


def test_grain_grows_with_its_strength_and_0_leaves_none() -> None:
    below = (slice(None), slice(70, 120))
    smooth, usual, strong = (seen({**INERT, "picture.grain": times})[below] for times in (0.0, 1.0, 3.0))
    np.testing.assert_array_equal(smooth, seen(INERT, Scene(field_grain=0.0, road_grain=0.0))[below])
    ratio = np.abs(strong - smooth).mean() / np.abs(usual - smooth).mean()
    assert 2.5 < ratio < 3.2


# --------------------------------------------------------------------------------------------------- the development


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ({"picture.exposure": 1.0}, 200),
        ({"picture.exposure": 2.0}, 255),
        ({"picture.gamma": 2.0}, 39),  # 255 (100 / 255)**2
        ({"picture.contrast": 2.0}, 72),  # 128 - 2 * 28
        ({"picture.brightness": 30.0}, 130),
        ({"picture.brightness": -130.0}, 0),
        # 2 * 100 = 200, 255 (200 / 255)**2 = 156.9, 128 + 28.9 / 2 = 142.4, and 10.
        ({"picture.exposure": 1.0, "picture.gamma": 2.0, "picture.contrast": 0.5, "picture.brightness": 10.0}, 152),
        ({"picture.blur": 2.0}, 100),
    ],
)
@pytest.mark.parametrize("colour", [False, True])
def test_levels_are_those_worked_by_hand(values: dict[str, float], level: int, colour: bool) -> None:
    found = seen(values, FLAT, colour=colour)
    assert set(found.ravel().tolist()) == {level}


def test_a_vignette_takes_its_share_at_the_corners_and_nothing_in_the_middle() -> None:
    found = seen({"picture.vignette": 0.6}, FLAT)[0]
    assert found[59:61, 79:81].tolist() == [[100, 100], [100, 100]]
    assert found[[0, 0, -1, -1], [0, -1, 0, -1]] == pytest.approx([40, 40, 40, 40], abs=2)
    # At the middle of an edge above: a share of 60**2 / (60**2 + 80**2) of that.
    assert found[0, 79] == pytest.approx(100 - 60 * 0.36, abs=2)


def test_noise_has_its_deviation_and_is_another_in_every_row_and_car() -> None:
    found = seen({"picture.noise": 6.0}, FLAT) - 100
    assert found.mean() == pytest.approx(0.0, abs=0.1)
    assert found.std() == pytest.approx(6.0, rel=0.02)
    rows = found.reshape(-1, 160)
    # Rows begin anywhere in a table of 2**16 numbers: of 480, a pair or two may begin at the same.
    assert (np.abs(np.corrcoef(rows) - np.eye(len(rows))) > 0.5).sum() <= 8
    np.testing.assert_array_equal(found, seen({"picture.noise": 6.0}, FLAT) - 100)


@pytest.mark.parametrize("deviation", [0.4, 0.7, 1.5, 2.0])
@pytest.mark.parametrize("shape", [(40, 48), (40, 16, 3)])
def test_a_blur_spreads_an_edge_by_its_deviation_both_ways(deviation: float, shape: tuple[int, ...]) -> None:
    for axis in (0, 1):
        picture = np.zeros(shape, np.uint8)
        np.moveaxis(picture, axis, 0)[picture.shape[axis] // 2 :] = 200
        blur(picture, deviation, np.zeros((3, 60), np.uint8))
        across = np.moveaxis(picture, axis, 0).reshape(picture.shape[axis], -1).astype(np.float64)
        assert (across == across[:, :1]).all()
        step = np.diff(across[:, 0])
        place = np.arange(len(step))
        mean = (place * step).sum() / step.sum()
        assert mean == pytest.approx(picture.shape[axis] // 2 - 1, abs=0.05)
        assert (((place - mean) ** 2 * step).sum() / step.sum()) ** 0.5 == pytest.approx(deviation, rel=0.05)


# ------------------------------------------------------------------------------------------------------ all together

EVERY = {
    "camera.roll_deg": 3.0, "camera.yaw_deg": -4.0, "camera.height": 0.03, "colour.field_red": 50.0, "light.green": 0.8,
    "picture.gamma": 1.3, "picture.blur": 0.6, "picture.vignette": 0.3, "picture.noise": 6.0,
}  # fmt: skip


@pytest.mark.parametrize("settings", [{}, {"colour": True}, {"eyes": (0.03, -0.03)}])
def test_pictures_do_not_depend_on_threads_or_on_the_other_cars(settings: Any) -> None:
    sims = [Simulator([OVAL], [0] * 21, threads=threads, **settings) for threads in (1, 2)]
    pictures = []
    for sim in sims:
        sim.place_on_line(np.arange(21), np.linspace(0.0, 0.95, 21), 0.0, 0.1)
        vary(sim, EVERY, np.arange(0, 21, 2))
        pictures.append(sim.blank())
        sim.render(pictures[-1])
    np.testing.assert_array_equal(*pictures)
    alone = sims[0].blank()
    sims[0].render_some(np.array([4, 5]), alone)
    np.testing.assert_array_equal(alone[4:6], pictures[0][4:6])
    # A car that does not vary sees what it always sees, to the last bit.
    plain = Simulator([OVAL], [0] * 21, threads=1, **settings)
    plain.place_on_line(np.arange(21), np.linspace(0.0, 0.95, 21), 0.0, 0.1)
    usual = plain.blank()
    plain.render(usual)
    np.testing.assert_array_equal(pictures[0][1::2], usual[1::2])
    assert (pictures[0][::2] != usual[::2]).mean() > 0.9


def test_a_single_coloured_picture_varies_as_the_coloured_ones_do() -> None:
    sims = [Simulator([OVAL], [0] * 3, threads=1, colour=colour) for colour in (False, True)]
    out = sims[1].blank()
    for sim in sims:
        sim.place_on_line(np.arange(3), np.array(PLACES[:3]), 0.0, 0.0)
        vary(sim, EVERY)
    sims[1].render(out)
    for sim in sims:
        np.testing.assert_array_equal(sim.colour_picture(2), out[2])


@pytest.mark.parametrize("name", ["camera.pitch_deg", "camera.field_of_view_deg", "camera.height", "camera.roll_deg"])
@pytest.mark.parametrize("size", [(120, 160), (30, 40), (160, 120), (1, 1)])
def test_at_every_limit_of_the_camera_there_is_a_picture(name: str, size: tuple[int, int]) -> None:
    item = next(item for item in QUANTITIES if item.name == name)
    for value in (item.low, item.high):
        others = {"camera.pitch_deg": 15.0, "camera.field_of_view_deg": 40.0} if value == item.high else {}
        found = seen({**others, name: value}, FLAT, height=size[0], width=size[1])
        assert (found == 100).all()
