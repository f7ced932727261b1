"""Step tables as a simulator of a known vehicle would have logged them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lateapex.formats.step_table import COLUMNS, STEP_TABLE_DTYPE, StepTable
from lateapex.sim.replay import replay
from lateapex.world.vehicle import Vehicle


def blank(steps: int, *, log: int = 0, episode: int = 0, first: int = 1, apart: float = 0.1) -> NDArray[np.void]:
    """Rows of one episode that drives straight east, a fixed way each step, all in progress."""
    rows = np.zeros(steps, STEP_TABLE_DTYPE)
    rows["log"], rows["episode"] = log, episode
    rows["step"] = np.arange(first, first + steps)
    rows["x"] = apart * np.arange(steps)
    rows["speed"] = 1.5
    rows["driving"] = True
    return rows


def table(*episodes: NDArray[np.void], logs: tuple[str, ...] = ("p5-1",)) -> StepTable:
    return StepTable(logs=logs, rows=np.concatenate(episodes))


def driven(vehicle: Vehicle, episodes: int, steps: int, *, seed: int = 0, hold: int = 5) -> StepTable:
    """Episodes from rest on which a vehicle drove commands that change every `hold` steps."""
    drawn = np.random.default_rng(seed)
    shape = (episodes, -(-steps // hold))
    steering = np.repeat(np.radians(drawn.choice([-30.0, -15.0, 0.0, 15.0, 30.0], shape)), hold, axis=1)[:, :steps]
    speed = np.repeat(drawn.uniform(0.8, 1.6, shape), hold, axis=1)[:, :steps]
    rest = np.zeros((episodes, steps + 1, 3))
    poses = np.concatenate([rest[:, :1], replay(vehicle, rest, steering, speed, 0)], axis=1)
    parts = []
    for episode in range(episodes):
        rows = blank(steps, episode=episode)
        for place, name in enumerate(("x", "y", "yaw")):
            rows[name] = poses[episode, :steps, place]
        rows["steering"], rows["speed"] = steering[episode], speed[episode]
        parts.append(rows)
    return table(*parts)


def as_csv(found: StepTable) -> str:
    """The text of a table."""
    lines = [",".join(COLUMNS)]
    for row in found.rows:
        status = "in_progress" if row["driving"] else "prepare" if row["held"] else "off_track"
        angles = (float(np.degrees(row[name])) for name in ("yaw", "steering"))
        cells = [found.logs[row["log"]], row["episode"], row["step"], row["time"], row["x"], row["y"], *angles]
        cells += [row["speed"], row["progress"], row["closest_waypoint"], int(row["all_wheels_on_track"]), status]
        lines.append(",".join(map(str, cells)))
    return "\n".join(lines) + "\n"
