"""Pictures with things in them, against a renderer that follows a ray through every sample."""

import numpy as np
import pytest
from made_traffic import busy_simulator, put

from lateapex.sim.bodies import NEAR
from lateapex.sim.simulator import Simulator
from lateapex.sim.solids import AMBIENT, LIGHT, STRONGEST
from lateapex.sim.traffic import NOTHING, OPAQUE
from lateapex.world.bodies import BODIES, CAR, PAINTED, PAINTS
from lateapex.world.scene import LUMINANCE
from lateapex.world.track import load_track
from lateapex.world.vehicle import CameraMount, Vehicle

KIDNEY = load_track("kidney")
SCENES = 24
H, W = 60, 80


def sample_rays(mount, height, width):
    """Lines of sight through 2 x 2 samples a pixel in the car's frame, 1 deep each: `[2 H, 2 W, 3]`."""
    focal = 0.5 * width / np.tan(0.5 * mount.field_of_view)
    right = ((np.arange(2 * width) + 0.5) / 2 - 0.5 * width) / focal
    down = ((np.arange(2 * height) + 0.5) / 2 - 0.5 * height) / focal
    c, s = np.cos(mount.pitch), np.sin(mount.pitch)
    down, right = np.meshgrid(down, right, indexing="ij")
    return np.stack([c - down * s, -right, -s - down * c], axis=-1)


def half_spaces(block):
    """The six sides of a block as `normal . point <= limit`, normals of any length, and the colour of each."""
    floor, roof = block.floor, block.roof
    rise = roof.height - floor.height
    found = []
    for sign, name in ((1.0, "front"), (-1.0, "back")):
        at, to = getattr(floor, name), getattr(roof, name)
        lean = (to - at) / rise
        found.append((np.array([sign, 0.0, -sign * lean]), sign * (at - lean * floor.height), block.side))
    lean = (roof.half_width - floor.half_width) / rise
    for sign in (1.0, -1.0):
        limit = floor.half_width - lean * floor.height + sign * block.y
        found.append((np.array([0.0, sign, -lean]), limit, block.side))
    found.append((np.array([0.0, 0.0, 1.0]), roof.height, block.top))
    found.append((np.array([0.0, 0.0, -1.0]), -floor.height, None))
    return found


def first_hits(block, eye, rays):
    """How deep each ray enters a block, infinite where it does not, and through which side: `[2 H, 2 W]` each."""
    enter = np.full(rays.shape[:2], -np.inf)
    leave = np.full(rays.shape[:2], np.inf)
    side = np.zeros(rays.shape[:2], int)
    for place, (normal, limit, _) in enumerate(half_spaces(block)):
        along, room = rays @ normal, limit - normal @ eye
        with np.errstate(divide="ignore", invalid="ignore"):
            at = room / along
        side = np.where((along < 0) & (at > enter), place, side)
        enter = np.where(along < 0, np.maximum(enter, at), enter)
        leave = np.where(along > 0, np.minimum(leave, at), leave)
        leave = np.where((along == 0) & (room < 0), -np.inf, leave)
    return np.where((enter < leave) & (enter > NEAR), enter, np.inf), side


def lit(colour, normal, yaw, grey):
    c, s = np.cos(yaw), np.sin(yaw)
    turned = np.array([c * normal[0] - s * normal[1], s * normal[0] + c * normal[1], normal[2]])
    facing = max(turned @ LIGHT / np.linalg.norm(turned) / np.linalg.norm(LIGHT), 0.0)
    shown = np.minimum(np.array(colour) * (AMBIENT + (STRONGEST - AMBIENT) * facing), 255.0)
    return np.array([shown @ LUMINANCE if grey else shown]).ravel() + 0.5


def reference(simulator, car, background, left=0.0):
    """The picture of one car, slowly; and how deep the nearest thing is in each sample."""
    assert simulator.traffic is not None
    grey = background.ndim == 2
    mount, state = simulator.vehicle.camera, simulator.cars[car]
    height, width = background.shape[:2]
    rays = sample_rays(mount, height, width)
    samples = np.repeat(np.repeat(background.reshape(height, width, -1), 2, axis=0), 2, axis=1).astype(int)
    nearest = np.full(rays.shape[:2], np.inf)
    c, s = np.cos(state["yaw"]), np.sin(state["yaw"])
    lens = np.array([state["x"] + mount.forward * c - left * s, state["y"] + mount.forward * s + left * c])
    for thing in simulator.traffic.things[state["world"]]:
        if thing["kind"] == NOTHING or thing["car"] == car:
            continue
        away, turn = lens - [thing["x"], thing["y"]], state["yaw"] - thing["yaw"]
        c, s = np.cos(thing["yaw"]), np.sin(thing["yaw"])
        eye = np.array([c * away[0] + s * away[1], c * away[1] - s * away[0], mount.height])
        c, s = np.cos(turn), np.sin(turn)
        turned = np.stack(
            [c * rays[..., 0] - s * rays[..., 1], s * rays[..., 0] + c * rays[..., 1], rays[..., 2]], axis=-1
        )
        for block in BODIES[thing["kind"]].blocks:
            deep, side = first_hits(block, eye, turned)
            for place, (normal, _, colour) in enumerate(half_spaces(block)):
                here = (side == place) & (deep < nearest)
                if colour is None or not here.any():
                    continue
                paint = list(PAINTS.values())[thing["paint"]] if colour == PAINTED else colour
                samples[here] = lit(paint, normal, thing["yaw"], grey).astype(int)
                nearest[here] = deep[here]
    pixels = samples.reshape(height, 2, width, 2, -1).sum(axis=(1, 3))
    covered = np.isfinite(nearest).reshape(height, 2, width, 2).any(axis=(1, 3))
    mixed = ((pixels + 2) >> 2).reshape(background.shape)
    return np.where(covered.reshape(covered.shape + (1,) * (background.ndim - 2)), mixed, background), nearest


def crowded(colour=False, mount=None, **settings):
    """24 worlds with boxes of all kinds and cars of all paints near the car."""
    vehicle = Vehicle(camera=mount or CameraMount())
    simulator, traffic = busy_simulator(
        SCENES, 8, KIDNEY, height=H, width=W, colour=colour, vehicle=vehicle, **settings
    )
    draw = np.random.default_rng(5)
    traffic.others["kind"] = draw.integers(0, len(BODIES), (SCENES, 8))
    traffic.others["paint"] = draw.integers(0, len(PAINTS), (SCENES, 8))
    start = draw.uniform(0.0, KIDNEY.length, SCENES)
    put(simulator, start[:, None] + draw.uniform(0.1, 4.0, (SCENES, 8)), draw.choice([-1, 1], (SCENES, 8)))
    traffic.others["yaw"] += draw.uniform(-1.0, 1.0, (SCENES, 8))
    simulator.place_on_line(
        np.arange(SCENES), start / KIDNEY.length, draw.uniform(-0.3, 0.3, SCENES), draw.uniform(-0.3, 0.3, SCENES)
    )
    return simulator, traffic


def drawn(simulator):
    out = simulator.blank()
    simulator.render(out)
    return out


def without_things(simulator, traffic):
    kinds = traffic.others["kind"].copy()
    traffic.others["kind"] = NOTHING
    pictures = drawn(simulator)
    traffic.others["kind"] = kinds
    return pictures


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
