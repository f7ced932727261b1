"""A slow renderer of things that follows a ray through every sample, and worlds crowded with things."""

from __future__ import annotations

import numpy as np
from made_traffic import busy_simulator, put

from lateapex.sim.bodies import NEAR
from lateapex.sim.solids import AMBIENT, LIGHT, STRONGEST
from lateapex.sim.traffic import NOTHING
from lateapex.world.bodies import BODIES, PAINTED, PAINTS
from lateapex.world.scene import LUMINANCE
from lateapex.world.track import load_track
from lateapex.world.vehicle import CameraMount, Vehicle

KIDNEY = load_track("kidney")
SCENES = 24
H, W = 60, 80


def sample_rays(mount, height, width, roll=0.0):
    """Lines of sight through 2 x 2 samples a pixel in the car's frame, 1 deep each: `[2 H, 2 W, 3]`.

    `roll` in rad leans the camera to the right.
    """
    focal = 0.5 * width / np.tan(0.5 * mount.field_of_view)
    right = ((np.arange(2 * width) + 0.5) / 2 - 0.5 * width) / focal
    down = ((np.arange(2 * height) + 0.5) / 2 - 0.5 * height) / focal
    c, s = np.cos(mount.pitch), np.sin(mount.pitch)
    down, right = np.meshgrid(down, right, indexing="ij")
    right, down = right * np.cos(roll) - down * np.sin(roll), right * np.sin(roll) + down * np.cos(roll)
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


def lit(colour, normal, yaw, grey, whole):
    c, s = np.cos(yaw), np.sin(yaw)
    turned = np.array([c * normal[0] - s * normal[1], s * normal[0] + c * normal[1], normal[2]])
    facing = max(turned @ LIGHT / np.linalg.norm(turned) / np.linalg.norm(LIGHT), 0.0)
    shown = np.minimum(np.array(colour) * (AMBIENT + (STRONGEST - AMBIENT) * facing), 255.0)
    shown = np.floor(shown + 0.5) if whole else shown
    return np.array([shown @ LUMINANCE if grey else shown]).ravel() + 0.5


def reference(simulator, car, background, left=0.0, *, mount=None, turn=0.0, roll=0.0, whole=False):
    """The picture of one car, slowly; and how deep the nearest thing is in each sample.

    Args:
        mount: of its camera, if not that of all.
        turn, roll: rad that it is turned to the left, and leant to the right.
        whole: whether grey is made of whole levels of red, green and blue, as where cameras vary.
    """
    assert simulator.traffic is not None
    grey = background.ndim == 2
    mount, state = mount or simulator.vehicle.camera, simulator.cars[car]
    height, width = background.shape[:2]
    rays = sample_rays(mount, height, width, roll)
    samples = np.repeat(np.repeat(background.reshape(height, width, -1), 2, axis=0), 2, axis=1).astype(int)
    nearest = np.full(rays.shape[:2], np.inf)
    c, s = np.cos(state["yaw"]), np.sin(state["yaw"])
    lens = np.array([state["x"] + mount.forward * c - left * s, state["y"] + mount.forward * s + left * c])
    for thing in simulator.traffic.things[state["world"]]:
        if thing["kind"] == NOTHING or thing["car"] == car:
            continue
        away, ahead = lens - [thing["x"], thing["y"]], state["yaw"] + turn - thing["yaw"]
        c, s = np.cos(thing["yaw"]), np.sin(thing["yaw"])
        eye = np.array([c * away[0] + s * away[1], c * away[1] - s * away[0], mount.height])
        c, s = np.cos(ahead), np.sin(ahead)
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
                samples[here] = lit(paint, normal, thing["yaw"], grey, whole).astype(int)
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
