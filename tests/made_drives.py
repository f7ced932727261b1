"""Drives made for tests of pictures: round a ring at one speed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageColor

from lateapex.records import STATUSES, STEP_DTYPE, EpisodeRecord
from lateapex.world.track import Track

if TYPE_CHECKING:
    from numpy.typing import NDArray

TURN = np.linspace(0, 2 * np.pi, 88, endpoint=False)
RING = np.column_stack([np.cos(TURN), np.sin(TURN)])


def ring() -> Track:
    return Track("ring", 2.0 * RING, 1.6 * RING, 2.4 * RING, closed=True)


def drive(count: int = 40, speed: float = 1.5, status: str = "lap_complete", radius: float = 2.0) -> EpisodeRecord:
    """Make a drive round the ring at one speed, 15 steps a second."""
    steps = np.zeros(count, STEP_DTYPE)
    angle = np.arange(count) * speed / 15 / radius
    steps["x"], steps["y"], steps["yaw"] = radius * np.cos(angle), radius * np.sin(angle), angle + np.pi / 2
    steps["steering_angle"] = 10.0
    steps["sim_time"] = 7.0 + (np.arange(count) + 1) / 15
    steps["progress"] = np.linspace(0, 100 if status == "lap_complete" else 40, count)
    steps["status"] = STATUSES.index("in_progress")
    steps["status"][-1] = STATUSES.index(status)
    return EpisodeRecord(phase="evaluation", track="ring", track_length=2 * np.pi * radius, car=0, steps=steps)


def pixels(picture: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def count_colour(picture: NDArray[np.uint8], colour: Any) -> int:
    rgb = ImageColor.getrgb(colour) if isinstance(colour, str) else [round(255 * part) for part in colour[:3]]
    return int((np.abs(picture.astype(int) - rgb[:3]).max(axis=2) <= 2).sum())
