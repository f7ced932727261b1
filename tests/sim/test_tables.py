"""The indices of a track: whatever they leave out could not have been the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lateapex.sim.geometry import CELL
from lateapex.sim.simulator import Simulator
from lateapex.sim.tables import border_edges, segments_between, track_tables
from lateapex.world.track import Track, load_track, track_from_route

CARS = 60
WHEELS = ((0.0823, 0.0796), (0.0823, -0.0796), (-0.0817, 0.0811), (-0.0817, -0.0811))


def located(track: Track, x: Any, y: Any, yaw: Any) -> NDArray[Any]:
    sim = Simulator([track], np.zeros(len(x), np.int32), height=1, width=1, threads=1)
    sim.place(np.arange(len(x)), x, y, yaw)
    return sim.cars


def nearest(points: NDArray[np.float64], segments: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """Search all segments for each of `[M, 2]` points: the first nearest, the place on it, its point, the distance."""
    apart = points[:, None, :] - segments[None, :, :2]
    place = np.clip((apart * segments[:, 2:4]).sum(axis=2) * segments[:, 4], 0.0, 1.0)
    distance = np.hypot(*np.moveaxis(apart - place[..., None] * segments[:, 2:4], 2, 0))
    row = distance.argmin(axis=1)
    share = place[np.arange(len(points)), row]
    return row, share, segments[row, :2] + share[:, None] * segments[row, 2:4], distance.min(axis=1)


def inside(points: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Count for each of `[M, 2]` points the edges that a ray to the east crosses; odd is inside."""
    x, y = points[:, :1], points[:, 1:]
    spans = (edges[:, 1] > y) != (edges[:, 1] + edges[:, 3] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = edges[:, 0] + (y - edges[:, 1]) * edges[:, 2] / edges[:, 3]
    return np.asarray((spans & (x < crossing)).sum(axis=1) % 2 == 1)


def assert_as_by_search_of_everything(track: Track, x: Any, y: Any, yaw: Any) -> None:
    cars = located(track, x, y, yaw)
    fronts = np.column_stack([cars["front_x"], cars["front_y"]])
    row, share, middle, distance = nearest(fronts, segments_between(track.center, track.closed))
    assert cars["distance_from_center"] == pytest.approx(distance, rel=1e-12, abs=1e-12)
    lengths = np.diff([*track.along, *([track.length] if track.closed else [])])
    along = track.along[row] + share * lengths[row]
    # Two stretches may be equally near but for rounding; then either is right.
    same = np.abs(cars["along"] - along) < 1e-9
    assert same.mean() > 0.9
    at_inner, at_outer = (
        nearest(middle, segments_between(line, track.closed))[2] for line in (track.inner, track.outer)
    )
    assert cars["track_width"][same] == pytest.approx(np.hypot(*(at_inner - at_outer).T)[same], rel=1e-9)
    count = np.zeros(len(x), np.int32)
    for ahead, side in WHEELS:
        wheel = np.column_stack(
            [x + ahead * np.cos(yaw) - side * np.sin(yaw), y + ahead * np.sin(yaw) + side * np.cos(yaw)]
        )
        count += inside(wheel, border_edges(track))
    assert cars["wheels_on_road"].tolist() == count.tolist()


radii = st.lists(st.floats(1.0, 3.0), min_size=4, max_size=24)


@settings(max_examples=25, deadline=None)
@given(radii, st.booleans(), st.floats(0.1, 0.9), st.floats(-50.0, 50.0), st.integers(0, 2**32 - 1))
def test_on_any_track_the_indices_find_what_a_search_of_everything_finds(
    around: list[float], closed: bool, width: float, shift: float, seed: int
) -> None:
    angle = np.arange(len(around)) / len(around) * 2.0 * np.pi
    rays = np.column_stack([np.cos(angle), np.sin(angle)])
    middle, half = np.array(around)[:, None], 0.5 * width
    rows = shift + np.hstack([ray * rays for ray in (middle, middle - half, middle + half)])
    track = track_from_route(np.vstack([rows, rows[:1]]) if closed else rows, "star")
    draw = np.random.default_rng(seed)
    spread = draw.choice([0.5, 3.0, 30.0, 1e4], CARS)
    x, y = shift + rays[draw.integers(0, len(rays), CARS)].T * 2.0 + spread * draw.standard_normal((2, CARS))
    assert_as_by_search_of_everything(track, x, y, draw.uniform(-np.pi, np.pi, CARS))


@pytest.mark.parametrize("name", ["Tokyo_Training_track", "Monaco", "Straight_track", "2022_march_open"])
def test_on_real_tracks_the_indices_find_what_a_search_of_everything_finds(name: str, shared_data: Any) -> None:
    track = load_track(shared_data / "tracks" / f"{name}.npy")
    draw = np.random.default_rng(4)
    x0, y0, x1, y1 = track.bounds
    x, y = draw.uniform(x0 - 2.0, x1 + 2.0, 1500), draw.uniform(y0 - 2.0, y1 + 2.0, 1500)
    assert_as_by_search_of_everything(track, x, y, draw.uniform(-np.pi, np.pi, 1500))


def test_on_the_corners_of_cells_the_indices_are_right_too() -> None:
    track = load_track("kidney")
    x0, y0, x1, y1 = track.bounds
    corner = np.array([x0 - 1.5, y0 - 1.5])
    x, y = np.meshgrid(*(np.arange(low, high + 2.0, CELL) for low, high in zip(corner, (x1, y1), strict=True)))
    # The front point, 0.14 m east of the centre, lies on the corner.
    assert_as_by_search_of_everything(track, x.ravel() - 0.14, y.ravel(), np.zeros(x.size))


def test_lists_of_several_tracks_name_rows_of_their_own() -> None:
    tracks = [load_track(name) for name in ("oval", "kidney", "oval")]
    tables = track_tables(tracks)
    edges = 0
    for k, track in enumerate(tracks):
        one = tables.tracks[k]
        lists = range(one["cells"], one["cells"] + one["rows"] * one["columns"] + 1)
        items = tables.near_center.items[tables.near_center.start[lists[0]] : tables.near_center.start[lists[-1] + 1]]
        assert (items >= one["first"]).all()
        assert (items < one["first"] + one["segments"]).all()
        last = tables.near_center.start[lists[-1]]
        assert tables.near_center.items[last : last + one["segments"]].tolist() == list(
            range(one["first"], one["first"] + one["segments"])
        )
        assert one["segments"] == len(track.waypoints) - 1
        rows = tables.near_edges.start[one["edge_rows"] : one["edge_rows"] + one["road_rows"] + 1]
        named = tables.near_edges.items[rows[0] : rows[-1]]
        assert set(named.tolist()) == set(range(edges, edges + len(border_edges(track))))
        edges += len(border_edges(track))
    assert edges == len(tables.edges)


def test_waypoints_carry_the_way_to_them_and_the_last_one_closes_the_loop() -> None:
    track = load_track("oval")
    rows = track_tables([track]).waypoints
    assert rows[:, :2].tolist() == np.array(track.waypoints).tolist()
    assert rows[:-1, 5].tolist() == track.along.tolist()
    assert rows[-1, 5] == track.length
    assert (rows[:-1, 5] + rows[:-1, 6] == rows[1:, 5]).all()
