"""What driven laps look like: one picture of many laps, and one lap as a moving picture.

Both are drawn into memory and returned as the bytes of a file; nothing here writes, shows or keeps state. Colours
mean measured speed throughout: how far the front point moved in a step, not what the action asked for.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lateapex.records import STATUSES, EpisodeRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from lateapex.world.track import Track

Floats = NDArray[np.float64]

GROUND, PANEL, ROAD = "#10151c", "#1a212b", "#363f4b"
BORDER, CENTRE = "#e8ecf1", "#8d97a5"
TEXT, FAINT, ALARM = "#f2f5f8", "#8f9baa", "#ff4d6d"
FONT = "DejaVu Sans"  # comes with matplotlib, so that the picture is the same everywhere

# Violet is slow, yellow is fast; its lightness rises evenly, so that it also reads in grey.
SPEED_COLOURS = LinearSegmentedColormap.from_list("speed", mpl.colormaps["plasma"](np.linspace(0.24, 1.0, 64)))

JUMP = 0.5
"""m; no car drives this far in a step: it was put back on the road, and no line is drawn."""
FAILED = [STATUSES.index(word) for word in ("off_track", "crashed", "immobilized", "reversed")]


def measured_speed(steps: NDArray[Any]) -> Floats:
    """How fast the car was during each step but the last, whose end no row tells.

    Args:
        steps: rows of `STEP_DTYPE`, `[T]`.

    Returns:
        m/s, `[T - 1]`; NaN where the car was put back on the road.
    """
    moved = np.hypot(np.diff(steps["x"]), np.diff(steps["y"]))
    # A row's pose is of the step's beginning, its time of the step's end: row i lasted from time i-1 to time i.
    between = np.diff(steps["sim_time"])
    lasted = np.concatenate([between[:1], between[:-1]])
    speed = np.divide(moved, lasted, out=np.full_like(moved, np.nan), where=lasted > 0)
    return np.where(moved < JUMP, speed, np.nan)


# ---------------------------------------------------------------------------------------- many laps in one picture

WIDE, SIDE, HEADER, FOOTER = 1400, 50, 120, 100  # pixels


def draw_laps(track: Track, episodes: Sequence[EpisodeRecord], title: str) -> bytes:
    """Draw the driven lines over the track, coloured by measured speed.

    The fastest complete lap lies on top and is widest. A cross marks where an episode broke off: off the track,
    crashed, stuck or driven backwards.

    Returns:
        A PNG, 1400 pixels wide.
    """
    left, bottom, right, top = track.bounds
    wide = WIDE - 2 * SIDE
    tall = min(max(round(wide * (top - bottom) / (right - left)), wide // 4), wide)
    height = HEADER + tall + FOOTER
    figure = Figure(figsize=(WIDE / 100, height / 100), dpi=100, facecolor=GROUND)
    axes = figure.add_axes((SIDE / WIDE, FOOTER / height, wide / WIDE, tall / height))
    axes.set_axis_off()
    pixel = 1.01 * max((right - left) / wide, (top - bottom) / tall)  # m; the borders' own width needs the hundredth
    x, y = (left + right) / 2, (bottom + top) / 2
    axes.set(xlim=(x - pixel * wide / 2, x + pixel * wide / 2), ylim=(y - pixel * tall / 2, y + pixel * tall / 2))
    norm = Normalize(*_speed_range(episodes))
    best = _best(episodes)
    _draw_road(axes, track)
    _draw_start(axes, track, pixel)
    for episode in sorted(episodes, key=lambda episode: episode is best):
        _draw_line(axes, episode, norm, width=5.0 if episode is best else 2.0)
    _draw_breaks(axes, episodes)
    figure.text(SIDE / WIDE, 1 - 58 / height, title, color=TEXT, size=25, weight="bold", family=FONT)
    figure.text(SIDE / WIDE, 1 - 96 / height, _summary(track, episodes), color=FAINT, size=15, family=FONT)
    if episodes:
        _draw_legend(figure, episodes, 44 / height)
        _draw_scale(figure.add_axes((930 / WIDE, 48 / height, (WIDE - SIDE - 930) / WIDE, 12 / height)), norm)
    canvas: Any = FigureCanvasAgg(figure)  # its methods carry no types
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()


def _best(episodes: Sequence[EpisodeRecord]) -> EpisodeRecord | None:
    laps = [episode for episode in episodes if episode.status == "lap_complete"]
    return min(laps, key=lambda lap: lap.lap_time, default=None)


def _summary(track: Track, episodes: Sequence[EpisodeRecord]) -> str:
    words = [track.name, f"{track.length:.2f} m"]
    if episodes:
        laps = sum(episode.status == "lap_complete" for episode in episodes)
        words.append(f"{laps} of {len(episodes)} laps complete")
    best = _best(episodes)
    return "   ·   ".join([*words, f"best lap {best.lap_time:.2f} s"] if best else words)


def _speed_range(episodes: Sequence[EpisodeRecord]) -> tuple[float, float]:
    """Return slowest and fastest in halves of m/s, without the standing start, which would take half the colours."""
    driven = np.concatenate([np.zeros(0), *(measured_speed(episode.steps) for episode in episodes)])
    driven = driven[np.isfinite(driven)]
    if driven.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(driven, [5, 99]) * 2
    return math.floor(low) / 2, max(math.ceil(high), math.floor(low) + 1) / 2


def _draw_road(axes: Axes, track: Track) -> None:
    # The pieces' own edges close the hairlines that antialiasing leaves between neighbours.
    axes.add_collection(PolyCollection(list(_road_pieces(track)), facecolor=ROAD, edgecolor=ROAD, linewidth=1.0))
    for border in (track.inner, track.outer):
        axes.plot(*_line(border, track).T, color=BORDER, linewidth=2.2, solid_joinstyle="round")
    axes.plot(*_line(track.center, track).T, color=CENTRE, linewidth=1.2, linestyle=(0, (7, 7)))


def _line(points: Floats, track: Track) -> Floats:
    return np.concatenate([points, points[:1]]) if track.closed else points


def _road_pieces(track: Track) -> Floats:
    """Four corners of the road between each two waypoints, `[pieces, 4, 2]`."""
    inner, outer = _line(track.inner, track), _line(track.outer, track)
    return np.stack([inner[:-1], inner[1:], outer[1:], outer[:-1]], axis=1)


def _draw_start(axes: Axes, track: Track, pixel: float) -> None:
    """Draw a chequered line where a lap begins and ends, and beside it an arrow that points the way."""
    for i in [0] if track.closed else [0, -1]:
        inner, outer = track.inner[i], track.outer[i]
        along = _ahead(track, abs(i)) * np.hypot(*(outer - inner)) / 8
        ground = np.array([inner - along, outer - along, outer + along, inner + along])
        axes.fill(*ground.T, color=BORDER, linewidth=0, zorder=2, clip_on=False)
        squares = PolyCollection(list(_chequers(inner, outer, along)), facecolor=GROUND, zorder=2, clip_on=False)
        axes.add_collection(squares)
    place, ahead = _beside_start(track, 26 * pixel), _ahead(track, 0) * 72 * pixel
    arrow = {"arrowstyle": "-|>,head_width=0.45,head_length=0.9", "color": TEXT, "linewidth": 2.5}
    axes.annotate("", xy=tuple(place + ahead), xytext=tuple(place), arrowprops=arrow)


def _ahead(track: Track, fraction: float) -> Floats:
    heading = track.pose_at(fraction)[2]
    return np.array([math.cos(heading), math.sin(heading)])


def _chequers(inner: Floats, outer: Floats, along: Floats) -> Floats:
    """Dark squares of the two rows across the road, `[8, 4, 2]`."""
    across = (outer - inner) / 8
    corners = [inner + across * i - along * (i % 2) for i in range(8)]
    return np.array([[corner, corner + across, corner + across + along, corner + along] for corner in corners])


def _beside_start(track: Track, gap: float) -> Floats:
    """Return the point `gap` metres beside the start line, on the side where no other road is near."""
    across = (track.outer[0] - track.inner[0]) / np.hypot(*(track.outer[0] - track.inner[0]))
    places = (track.inner[0] - across * gap, track.outer[0] + across * gap)
    return max(places, key=lambda place: float(np.hypot(*(track.center - place).T).min()))


def _draw_line(axes: Axes, episode: EpisodeRecord, norm: Normalize, width: float) -> None:
    points = np.column_stack([episode.steps["x"], episode.steps["y"]])
    speed = measured_speed(episode.steps)
    driven = np.isfinite(speed)
    pieces = list(np.stack([points[:-1], points[1:]], axis=1)[driven])
    line = LineCollection(pieces, norm=norm, cmap=SPEED_COLOURS, linewidth=width, capstyle="round")
    line.set(array=speed[driven], zorder=3, clip_on=False)
    axes.add_collection(line)


def _breaks(episodes: Sequence[EpisodeRecord]) -> Floats:
    """Where an episode broke off, `[breaks, 2]`."""
    rows = [row for episode in episodes for row in episode.steps if row["status"] in FAILED]
    return np.array([(row["x"], row["y"]) for row in rows]).reshape(-1, 2)


def _draw_breaks(axes: Axes, episodes: Sequence[EpisodeRecord]) -> None:
    x, y = _breaks(episodes).T
    axes.scatter(x, y, s=170, marker="x", color=GROUND, linewidth=7, zorder=5, clip_on=False)
    axes.scatter(x, y, s=130, marker="x", color=ALARM, linewidth=3.5, zorder=6, clip_on=False)


def _draw_legend(figure: Figure, episodes: Sequence[EpisodeRecord], middle: float) -> None:
    colour, best = SPEED_COLOURS(0.6), _best(episodes)
    statuses = np.concatenate([episode.steps["status"] for episode in episodes])
    breaks = statuses[np.isin(statuses, FAILED)]
    lines = [Line2D([], [], color=colour, linewidth=5.0, solid_capstyle="butt", label="best lap")] if best else []
    if len(episodes) > len(lines):
        lines.append(Line2D([], [], color=colour, linewidth=2.0, label="other laps" if best else "driven lines"))
    if breaks.size:
        what = "left the track" if (breaks == STATUSES.index("off_track")).all() else "broke off"
        cross = Line2D([], [], color=ALARM, marker="x", markersize=10, markeredgewidth=3.5, linestyle="")
        cross.set_label(f"{what} ({breaks.size})")
        lines.append(cross)
    figure.legend(
        handles=lines,
        loc="center left",
        bbox_to_anchor=(SIDE / WIDE, middle),
        ncols=len(lines),
        frameon=False,
        labelcolor=TEXT,
        prop=FontProperties(family=FONT, size=14),
        borderaxespad=0,
        borderpad=0,
        columnspacing=2.4,
    )


def _draw_scale(axes: Axes, norm: Normalize) -> None:
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 1.0)
    axes.imshow(np.linspace(0, 1, 512)[None], cmap=SPEED_COLOURS, aspect="auto", extent=(low, high, 0, 1))
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2.5, 5, 10]))
    axes.tick_params(colors=FAINT, labelsize=13, length=0, pad=6, labelfontfamily=FONT)
    axes.set_title("measured speed, m/s", color=FAINT, size=13, family=FONT, loc="left", pad=8)
    axes.spines[:].set_visible(False)


# ------------------------------------------------------------------------------------- one lap as a moving picture

EDGE, TOP, VIEW, READINGS = 16, 46, (480, 360), 88  # pixels
MOST_PICTURES = 450  # a longer drive skips steps: a file that opens at once says more than a smooth one
FINE = 3  # the map is drawn this many times larger and averaged down, so that its lines are smooth
LARGEST = 6_000_000  # bytes; a picture's share of it decides how much of the road's grain is kept
SHADES = 24  # of the camera


def animate_lap(track: Track, episode: EpisodeRecord, frames: Sequence[NDArray[np.uint8]], fps: float = 15.0) -> bytes:
    """Draw one episode as it was driven, in simulated time: what the camera saw, the map, and the readings.

    Args:
        track: the road that the map shows.
        episode: the drive.
        frames: what the camera saw before each step, `[T]` pictures `[H, W]`, or `[H, W, C]` with C = 1 (grey),
            2 (stereo; the first is shown) or 3 (colours).
        fps: steps per second of simulated time.

    Returns:
        A GIF that repeats for ever. It lasts as long as the drive to the nearest hundredth of a second. Steps are
        skipped where there are more than 20 a second, which browsers would slow down, or more than 450 in all. The
        camera's picture has 24 shades, and loses as much of its grain as keeps the file to about 6 MB.

    Raises:
        ValueError: not one frame per step, no step at all, a picture of another shape.
    """
    total = len(episode.steps)
    if len(frames) != total or total == 0:
        raise ValueError(f"{len(frames)} frames for {total} steps; one frame per step is needed, and at least one step")
    stride = max(1, math.ceil(fps / 20), math.ceil(total / MOST_PICTURES))
    shown = range(0, total, stride)
    ends = [round(100 * min(i + stride, total) / fps) for i in shown]
    moments = [int(i) for i in np.linspace(0, total - 1, 8)]
    grain = _grain([frames[i] for i in moments], LARGEST / len(shown))
    film = _Film(track, episode, grain)
    palette = _palette(np.array([film.picture(i, frames[i]) for i in moments]))
    film = _Film(track, episode, grain)
    pictures = (film.picture(i, frames[i]).quantize(palette=palette, dither=Image.Dither.NONE) for i in shown)
    delays = [10 * int(delay) for delay in np.diff([0, *ends])]
    file = io.BytesIO()
    next(pictures).save(file, "GIF", save_all=True, append_images=pictures, duration=delays, loop=0, disposal=1)
    return file.getvalue()


def _grain(samples: Sequence[NDArray[np.uint8]], room: float) -> int:
    """Return the smallest grain whose removal lets camera picture and readings take `room` bytes."""
    for grain in range(0, 16, 2):
        sizes = [len(_gif(_camera_picture(sample, grain))) for sample in samples]
        # Measured: within a film a picture takes a quarter more than alone, map and readings take 2 kB.
        if 1.25 * np.mean(sizes) + 2000 < room:
            return grain
    return 16


def _gif(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "GIF")
    return file.getvalue()


def _palette(samples: NDArray[np.uint8]) -> Image.Image:
    """Choose one palette for all pictures: the shades, then 100 colours of the camera, then 127 of what is drawn."""
    rows, columns = slice(TOP, TOP + VIEW[1]), slice(EDGE, EDGE + VIEW[0])
    camera = samples[:, rows, columns][:, ::3, ::3].reshape(-1, VIEW[0] // 3, 3).copy()
    samples[:, rows, columns] = 0
    # Each drawn colour counts once, or the large plain areas would leave none to the thin coloured trail.
    packed = np.unique(samples[-1].astype(np.int32) @ [65536, 256, 1])
    drawn = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)[None].astype(np.uint8)
    shades = np.round(np.linspace(0, 255, SHADES)).astype(int).repeat(3).tolist()
    palette = Image.new("P", (1, 1))
    palette.putpalette([*shades, *_colours_of(camera, 100), *_colours_of(drawn, 127)])
    return palette


def _colours_of(picture: NDArray[np.uint8], count: int) -> list[int]:
    return Image.fromarray(picture).quantize(count).getpalette() or []


class _Film:
    """Draws the pictures of one episode, in their order: each adds to the trail on the map."""

    def __init__(self, track: Track, episode: EpisodeRecord, grain: int) -> None:
        self.steps = episode.steps
        self.elapsed = episode.steps["sim_time"] - episode.start_time
        speed = measured_speed(episode.steps)
        self.speed = np.nan_to_num(np.concatenate([speed, speed[-1:]]) if speed.size else np.zeros(1))
        self.low, self.high = _speed_range([episode])
        self.hardest = max(30.0, float(np.abs(episode.steps["steering_angle"]).max()))
        self.grain = grain
        self.map = _Map(track)
        self.done = 0
        self.stage = _empty_stage(track, episode)

    def picture(self, i: int, pixels: NDArray[np.uint8]) -> Image.Image:
        """Draw the moment of step `i`."""
        for k in range(self.done, i):
            if math.dist(self._place(k), self._place(k + 1)) < JUMP:
                self.map.add_trail(self._place(k), self._place(k + 1), self._colour(k))
        self.done = max(self.done, i)
        picture, camera = self.stage.copy(), _camera_picture(pixels, self.grain)
        picture.paste(camera, (EDGE + (VIEW[0] - camera.width) // 2, TOP + (VIEW[1] - camera.height) // 2))
        picture.paste(self.map.with_car(self._place(i), float(self.steps["yaw"][i])), (VIEW[0] + 2 * EDGE, TOP))
        self._draw_readings(ImageDraw.Draw(picture), i)
        return picture

    def _place(self, i: int) -> tuple[float, float]:
        return float(self.steps["x"][i]), float(self.steps["y"][i])

    def _colour(self, i: int) -> str:
        share = (self.speed[i] - self.low) / (self.high - self.low)
        # Few colours, since a GIF has 256 for everything.
        return mpl.colors.to_hex(SPEED_COLOURS(round(float(np.clip(share, 0, 1)) * 20) / 20))

    def _draw_readings(self, draw: ImageDraw.ImageDraw, i: int) -> None:
        top, column = TOP + VIEW[1] + EDGE, (2 * VIEW[0] + EDGE) / 4
        steering = float(self.steps["steering_angle"][i])
        progress = min(max(float(self.steps["progress"][i]), 0.0), 100.0)
        side = " left" if steering > 0 else " right" if steering < 0 else ""
        readings = (
            ("time", f"{self.elapsed[i]:.2f} s", (0.0, self.elapsed[i] / max(self.elapsed[-1], 1e-9)), FAINT),
            ("progress", f"{progress:.0f} %", (0.0, progress / 100), BORDER),
            ("speed", f"{self.speed[i]:.2f} m/s", (0.0, self.speed[i] / self.high), self._colour(i)),
            ("steering", f"{abs(steering):.0f}°{side}", (0.5, 0.5 - steering / self.hardest / 2), BORDER),
        )
        for k, (name, value, (begin, end), colour) in enumerate(readings):
            left, right = EDGE + column * k + 20, EDGE + column * (k + 1) - 20
            draw.text((left, top + 24), name, FAINT, _font(14), anchor="lm")
            draw.text((right, top + 24), value, TEXT, _font(20, bold=True), anchor="rm")
            draw.rectangle((left, top + 56, right, top + 63), ROAD)
            ends = sorted(left + (right - left) * min(max(share, 0.0), 1.0) for share in (begin, end))
            draw.rectangle((ends[0], top + 56, ends[1], top + 63), colour)
            if begin:
                draw.line([(left + right) / 2, top + 51, (left + right) / 2, top + 68], FAINT, 2)


def _empty_stage(track: Track, episode: EpisodeRecord) -> Image.Image:
    wide, tall = VIEW
    stage = Image.new("RGB", (2 * wide + 3 * EDGE, TOP + tall + READINGS + 2 * EDGE), GROUND)
    draw = ImageDraw.Draw(stage)
    bold, plain = _font(17, bold=True), _font(15)
    draw.text((EDGE, TOP / 2 + 1), track.name, TEXT, bold, anchor="lm")
    draw.text((EDGE + bold.getlength(track.name) + 14, TOP / 2 + 1), f"{track.length:.2f} m", FAINT, plain, anchor="lm")
    draw.text((2 * wide + 2 * EDGE, TOP / 2 + 1), _outcome(episode), FAINT, plain, anchor="rm")
    draw.rounded_rectangle((EDGE, TOP + tall + EDGE, 2 * wide + 2 * EDGE, TOP + tall + EDGE + READINGS), 6, PANEL)
    return stage


def _outcome(episode: EpisodeRecord) -> str:
    if episode.status == "lap_complete":
        return f"lap complete in {episode.lap_time:.2f} s"
    return f"{episode.status.replace('_', ' ')} after {episode.lap_time:.2f} s"


class _Map:
    """The track from above, and on it a trail that grows; drawn large, shown small."""

    def __init__(self, track: Track) -> None:
        left, bottom, right, top = track.bounds
        wide, tall = (FINE * side for side in VIEW)
        self.scale = min((wide - 24 * FINE) / (right - left), (tall - 24 * FINE) / (top - bottom))
        self.origin = wide / 2 - self.scale * (left + right) / 2, tall / 2 + self.scale * (bottom + top) / 2
        self.large = Image.new("RGB", (wide, tall), GROUND)
        draw = ImageDraw.Draw(self.large)
        for piece in _road_pieces(track):
            draw.polygon(self._pixels(piece), ROAD, ROAD)
        for border in (track.inner, track.outer):
            draw.line(self._pixels(_line(border, track)), BORDER, 2 * FINE, "curve")
        for dash in zip(track.center[:-1:2], track.center[1::2], strict=True):
            draw.line(self._pixels(np.array(dash)), CENTRE, FINE)
        draw.line(self._pixels(np.array([track.inner[0], track.outer[0]])), BORDER, 4 * FINE)
        self.small = self.large.reduce(FINE)

    def _pixels(self, points: Floats) -> list[tuple[float, float]]:
        x, y = self.origin
        return [(x + self.scale * east, y - self.scale * north) for east, north in points]

    def add_trail(self, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        """Add a piece of the driven line, whose ends are in metres."""
        ends, radius = self._pixels(np.array([start, end])), 1.5 * FINE
        draw = ImageDraw.Draw(self.large)
        draw.line(ends, colour, 3 * FINE)
        for x, y in ends:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
        box = self._around(ends, 3 * FINE)
        self.small.paste(self.large.crop(box).reduce(FINE), (box[0] // FINE, box[1] // FINE))

    def with_car(self, front: tuple[float, float], yaw: float) -> Image.Image:
        """Return the map with an arrowhead, larger than the car would be, whose tip is the front point."""
        ahead, left = np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])
        shape = max(0.3, 20 * FINE / self.scale) * np.array([[0.0, 0.0], [-1.0, 0.42], [-0.75, 0.0], [-1.0, -0.42]])
        corners = self._pixels(np.array(front) + shape @ np.array([ahead, left]))
        box = self._around(corners, 3 * FINE)
        patch = self.large.crop(box)
        corners = [(x - box[0], y - box[1]) for x, y in corners]
        ImageDraw.Draw(patch).polygon(corners, "#ffffff")
        ImageDraw.Draw(patch).line([*corners, *corners[:2]], GROUND, 2 * FINE, "curve")
        picture = self.small.copy()
        picture.paste(patch.reduce(FINE), (box[0] // FINE, box[1] // FINE))
        return picture

    def _around(self, points: list[tuple[float, float]], pad: int) -> tuple[int, int, int, int]:
        """Box around points of the large picture whose sides are whole pixels of the small one."""
        (left, top), (right, bottom) = np.min(points, axis=0) - pad, np.max(points, axis=0) + pad
        sides = [math.floor(left / FINE), math.floor(top / FINE), math.ceil(right / FINE), math.ceil(bottom / FINE)]
        return sides[0] * FINE, sides[1] * FINE, sides[2] * FINE, sides[3] * FINE


def _camera_picture(pixels: NDArray[np.uint8], grain: int) -> Image.Image:
    """Return a camera's picture in whole-number enlargement, as large as its place allows."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels not in (1, 2, 3):
        raise ValueError(f"a frame has shape {pixels.shape}; [H, W] or [H, W, C] with 1, 2 or 3 channels is needed")
    plain = _without_grain(pixels.reshape(*pixels.shape[:2], channels)[:, :, : 1 if channels == 2 else 3], grain)
    picture = Image.fromarray(plain.squeeze(2) if plain.shape[2] == 1 else plain).convert("RGB")
    picture.thumbnail(VIEW)
    times = max(1, min(VIEW[0] // picture.width, VIEW[1] // picture.height))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _without_grain(pixels: NDArray[np.uint8], grain: int) -> NDArray[np.uint8]:
    """Repeat, along each row of `[H, W, C]`, a pixel until the next differs by more than `grain`; round to `SHADES`."""
    plain = pixels.astype(np.float64)
    for column in range(1, plain.shape[1]):
        here, before = plain[:, column], plain[:, column - 1]
        same = np.abs(here - before).max(axis=1, keepdims=True) <= grain
        plain[:, column] = np.where(same, before, here)
    step = 255 / (SHADES - 1)
    return np.round(np.round(plain / step) * step).astype(np.uint8)


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", name), size)
