"""How close the simulator's pictures are to frames of the original: geometry, grey levels, contrast, similarity.

For each frame the pose is fitted first (`camera_fit`), since the frames do not tell it. The grain of road and field is
drawn at random here and a photograph there: its strength and its scales can agree, its spots cannot.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lateapex.analysis.camera_fit import Fit, Lens, fit_horizon, fit_pose, without_grain
from lateapex.sim.ground import paint_grounds
from lateapex.world.scene import Scene, grey
from lateapex.world.scene import scene as scene_named
from lateapex.world.track import Track
from lateapex.world.vehicle import CameraMount, camera_mount

BOXES: Final = (1, 2, 4, 8)
"""Pixels along each side of the squares over whose means the contrast is taken."""

_LINE_LEVEL = 210.0  # between the line's grey and all others
_LEAST_ROAD = 0.02  # of the lower half of a frame that has a track in it
_WINDOW = 7  # pixels, of SSIM
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
_FLAT = 2  # pixels around one of a surface that must be of it, too
_ENLARGED = 3
_HEADING = 22  # pixels

Floats = NDArray[np.float64]
Row = dict[str, Any]


def camera_fidelity(
    frames: Sequence[Path], tracks: Sequence[Track], scene: Scene | None = None, mount: CameraMount | None = None
) -> tuple[list[Row], bytes]:
    """Score the simulator's camera against real grey frames.

    Args:
        frames: image files, all of one size; those that show no road are passed over.
        tracks: on which they may have been taken.
        scene, mount: looks and camera; those of the old frames, "overdriven" and "version2", if not given.

    Returns:
        Rows {what, frame, value, unit}, and a PNG: real, ours, and the difference about grey, a line for each frame.
    """
    looks, camera = scene or scene_named("overdriven"), mount or camera_mount("version2")
    rows: list[Row] = []
    strips = []
    for path in frames:
        real = np.asarray(Image.open(path).convert("L"))
        if not _shows_road(real, looks):
            continue
        fit = fit_pose(real, tracks, looks, camera)
        smooth, ours = (
            Lens(paint_grounds([fit.track], [item]), camera, (real.shape[0], real.shape[1])).pictures(fit.pose[None])[0]
            for item in (without_grain(looks), looks)
        )
        values = _scores(real, smooth, ours, looks)
        horizon = fit_horizon(real, fit, looks, camera)
        focal = 0.5 * real.shape[1] / np.tan(0.5 * camera.field_of_view)
        values = [("horizon_off", float(horizon - (0.5 * real.shape[0] - focal * np.tan(camera.pitch))), "px"), *values]
        rows += [{"what": what, "frame": path.name, "value": value, "unit": unit} for what, value, unit in values]
        strips.append((f"{path.stem}   {_place(fit)}", real, ours))
    return rows, _side_by_side(strips)


def _shows_road(real: NDArray[np.uint8], scene: Scene) -> bool:
    dark = real[len(real) // 2 :] < 0.5 * (grey(scene.road) + grey(scene.field))
    return bool(dark.mean() >= _LEAST_ROAD)


def _place(fit: Fit) -> str:
    x, y, yaw = fit.pose
    return f"{fit.track.name}  x {x:.3f}  y {y:.3f}  yaw {np.degrees(yaw):.1f} deg"


# ---------------------------------------------------------------------------------------------------------- the scores


def _scores(
    real: NDArray[np.uint8], smooth: NDArray[np.uint8], ours: NDArray[np.uint8], scene: Scene
) -> list[tuple[str, float, str]]:
    """Scores of one frame, `[H, W]` each: the original's, ours without grain, ours."""
    levels = {name: grey(getattr(scene, name)) for name in ("road", "field", "line", "dash", "wall")}
    values: list[tuple[str, float, str]] = []
    for name, level in levels.items():
        where = _surface(smooth, level)
        if where.sum() >= 20:
            values.append((f"{name}_level_off", float(ours[where].mean() - real[where].mean()), "grey levels"))
    for name in ("road", "field"):
        where = _surface(smooth, levels[name])
        for box in BOXES:
            spreads = [_contrast(picture.astype(np.float64), where, box) for picture in (real, ours)]
            if np.isfinite(spreads).all():
                values += [
                    (f"{name}_contrast_{who}_{box}px", spread, "grey levels")
                    for who, spread in zip(("real", "ours"), spreads, strict=True)
                ]
    off = np.abs(line_edges(real) - line_edges(smooth))
    off = off[np.isfinite(off)]
    values += [
        ("line_edge_off_median", float(np.median(off)), "px"),
        ("line_edge_off_95th", float(np.percentile(off, 95)), "px"),
    ]
    values.append(("dash_overlap", _overlap(real, smooth, levels), "share"))
    values += [
        ("ssim", float(ssim(real, ours).mean()), ""),
        ("ssim_without_grain", float(ssim(real, smooth).mean()), ""),
    ]
    return values


def _surface(smooth: NDArray[np.uint8], level: float) -> NDArray[np.bool_]:
    """Pixels well inside a surface, `[H, W]`: those around have its grey, too."""
    same = np.abs(smooth.astype(np.float64) - level) <= 1.0
    padded = np.pad(same, _FLAT)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * _FLAT + 1, 2 * _FLAT + 1))
    return np.asarray(windows.all(axis=(2, 3)))


def _contrast(picture: Floats, where: NDArray[np.bool_], box: int) -> float:
    """Standard deviation within rows of the means over squares that lie in a surface whole; NaN: too few do."""
    height, width = (size // box * box for size in picture.shape)
    shape = (height // box, box, width // box, box)
    means = picture[:height, :width].reshape(shape).mean(axis=(1, 3))
    whole = np.asarray(where[:height, :width].reshape(shape).all(axis=(1, 3)))
    least = max(4, 16 // box)
    spreads = [
        float(row[inside].var(ddof=1)) for row, inside in zip(means, whole, strict=True) if inside.sum() >= least
    ]
    return float(np.sqrt(np.mean(spreads))) if spreads else float("nan")


def line_edges(picture: NDArray[np.uint8]) -> Floats:
    """Return the rows of the upper and lower edge of the topmost white line in each column, `[2, W]`; NaN: none."""
    values = picture.astype(np.float64)
    edges = np.full((2, values.shape[1]), np.nan)
    for c, column in enumerate(values.T):
        bright = np.flatnonzero(column > _LINE_LEVEL)
        if len(bright) == 0:
            continue
        top = int(bright[0])
        dark = np.flatnonzero(column[top:] <= _LINE_LEVEL)
        if top == 0 or len(dark) == 0 or dark[0] < 2:
            continue
        low = top + int(dark[0])
        edges[0, c] = top - (column[top] - _LINE_LEVEL) / (column[top] - column[top - 1])
        edges[1, c] = low - (_LINE_LEVEL - column[low]) / (column[low - 1] - column[low])
    return edges


def _overlap(real: NDArray[np.uint8], smooth: NDArray[np.uint8], levels: dict[str, float]) -> float:
    """Pixels that are dash in both pictures, as a share of those that are in one; only near dashes of ours count."""
    low = 0.5 * (levels["road"] + levels["dash"])
    near = np.abs(smooth.astype(np.float64) - levels["dash"]) <= 1.0
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(near, 3), (7, 7))
    around = np.asarray(windows.any(axis=(2, 3)))
    both = [(picture > low) & (picture < _LINE_LEVEL) & around for picture in (real, smooth)]
    return float((both[0] & both[1]).sum() / max(int((both[0] | both[1]).sum()), 1))


def ssim(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Structural similarity around each pixel whose window of 7 x 7 lies in the picture, `[H - 6, W - 6]`; 1: equal.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", 2004, with uniform windows and sample covariances; levels 0-255.
    """
    a, b = (
        np.lib.stride_tricks.sliding_window_view(item.astype(np.float64), (_WINDOW, _WINDOW))
        for item in (first, second)
    )
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    mean_a, mean_b = a.mean(axis=(2, 3)), b.mean(axis=(2, 3))
    var_a, var_b = (a * a).mean(axis=(2, 3)) - mean_a**2, (b * b).mean(axis=(2, 3)) - mean_b**2
    shared = (a * b).mean(axis=(2, 3)) - mean_a * mean_b
    light = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * unbiased * shared + _C2) / (unbiased * (var_a + var_b) + _C2)
    return np.asarray(light * structure)


# --------------------------------------------------------------------------------------------------------- the picture


def _side_by_side(strips: Sequence[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]) -> bytes:
    """Draw real, ours and difference (twice as strong, about grey) of each frame under its name, as a PNG."""
    height, width = strips[0][1].shape if strips else (1, 1)
    high, wide = height * _ENLARGED, width * _ENLARGED
    sheet = Image.new("L", (3 * wide, max(len(strips) * (high + _HEADING), 1)), 20)
    pen = ImageDraw.Draw(sheet)
    for n, (name, real, ours) in enumerate(strips):
        top = n * (high + _HEADING)
        apart = np.clip(128 + 2 * (ours.astype(np.int64) - real), 0, 255).astype(np.uint8)
        for k, (word, picture) in enumerate((("real", real), ("ours", ours), ("difference x 2", apart))):
            pen.text((k * wide + 6, top + 5), f"{word}   {name}" if k == 0 else word, 235)
            enlarged = Image.fromarray(picture).resize((wide, high), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (k * wide, top + _HEADING))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()
