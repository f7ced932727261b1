"""Pictures with things in them, against a renderer that follows a ray through every sample."""

import numpy as np
import pytest
from made_rays import KIDNEY, SCENES, H, W, crowded, drawn, reference, without_things
from made_traffic import busy_simulator

from lateapex.sim.simulator import Simulator
from lateapex.sim.traffic import NOTHING, OPAQUE
from lateapex.world.bodies import CAR
from lateapex.world.vehicle import CameraMount


@pytest.mark.parametrize("mount", [CameraMount(), CameraMount(forward=0.0, height=0.3, pitch=0.5)])
@pytest.mark.parametrize("colour", [False, True])
def test_999_of_1000_pixels_of_24_scenes_are_those_of_rays_through_every_sample(colour, mount):
    simulator, traffic = crowded(colour, mount)
    background, pictures = without_things(simulator, traffic), drawn(simulator)
    expected = np.stack([reference(simulator, car, background[car])[0] for car in range(SCENES)])
    same = (expected == pictures).reshape(SCENES, H, W, -1).all(axis=-1)
    assert same.mean() >= 0.999
    assert (expected != background).reshape(SCENES, -1).any(axis=1).sum() >= 20  # there was something to see


def test_each_eye_of_two_sees_things_from_its_own_place():
    eyes = (0.03, -0.03)
    simulator, traffic = crowded(eyes=eyes)
    background, pictures = without_things(simulator, traffic), drawn(simulator)
    for place, left in enumerate(eyes):
        expected = [reference(simulator, car, background[car, ..., place], left)[0] for car in range(SCENES)]
        assert (np.stack(expected) == pictures[..., place]).mean() >= 0.999
    assert (pictures[..., 0] != pictures[..., 1]).mean() > 0.05


def test_no_thing_hides_behind_a_wall_or_before_its_place():
    simulator, traffic = crowded()
    walls = simulator.coloured_ground.walls[0]
    for car in range(SCENES):
        _, nearest = reference(simulator, car, without_things(simulator, traffic)[car])
        state = simulator.cars[car]
        away = [abs(wall - state[axis]) for wall, axis in zip(walls, ("x", "y", "x", "y"), strict=True)]
        assert nearest[np.isfinite(nearest)].max(initial=0.0) < np.hypot(max(away[::2]), max(away[1::2]))


def test_a_thing_beyond_the_walls_is_not_seen():
    simulator, traffic = crowded()
    background = without_things(simulator, traffic)
    traffic.others["x"] += 100.0
    assert np.array_equal(drawn(simulator), background)


def test_empty_places_and_things_without_opacity_change_no_pixel():
    simulator, traffic = crowded()
    bare = Simulator([KIDNEY], np.zeros(SCENES, np.int64), height=H, width=W, threads=1)
    bare.place(np.arange(SCENES), *(simulator.cars[name] for name in ("x", "y", "yaw")))
    assert np.array_equal(without_things(simulator, traffic), drawn(bare))
    traffic.others["opacity"] = 0
    assert np.array_equal(drawn(simulator), drawn(bare))


def test_a_blinking_thing_lets_as_many_samples_through_as_it_is_faint():
    simulator, traffic = crowded()
    background = without_things(simulator, traffic).astype(int)
    traffic.others["kind"][:, 1:] = NOTHING
    full = drawn(simulator).astype(int)
    shares = []
    for opacity in range(OPAQUE + 1):
        traffic.others["opacity"] = opacity
        shares.append(np.abs(drawn(simulator) - background).sum() / np.abs(full - background).sum())
    assert np.abs(np.array(shares) - [0.0, 0.25, 0.5, 0.75, 1.0]).max() < 0.02


def test_pictures_do_not_depend_on_threads_or_on_the_other_worlds():
    simulator, traffic = crowded()
    alone = drawn(simulator)
    twice, others = busy_simulator(SCENES, 8, KIDNEY, height=H, width=W, threads=3)
    others.things[:] = traffic.things
    twice.cars[:] = simulator.cars
    assert np.array_equal(drawn(twice), alone)
    some = np.zeros_like(alone)
    simulator.render_some(np.array([3, 7]), some)
    assert np.array_equal(some[[3, 7]], alone[[3, 7]])


def test_a_single_coloured_picture_shows_the_things_too():
    grey, traffic = crowded()
    coloured, others = crowded(colour=True)
    assert np.array_equal(others.things, traffic.things)
    pictures = drawn(coloured)
    for car in (0, 11):
        assert np.array_equal(grey.colour_picture(car), pictures[car])


def test_cars_of_one_world_see_each_other_but_not_themselves():
    simulator = Simulator([KIDNEY], [0, 0], world=[0, 0], height=H, width=W, threads=1)
    alone = Simulator([KIDNEY], [0, 0], height=H, width=W, threads=1)
    for one in (simulator, alone):
        one.place_on_line(np.arange(2), [0.1, 0.1 + 0.8 / KIDNEY.length], 0.0, 0.0)
    behind, ahead = drawn(simulator) != drawn(alone)
    assert behind.sum() > 50
    assert not ahead.any()
    assert simulator.traffic is not None
    assert (simulator.traffic.things["kind"] == CAR).all()
