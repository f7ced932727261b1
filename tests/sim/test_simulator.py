"""The clock of all cars: the same bytes for any threads, batches and company; snapshots; refused arguments."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import numpy as np
import pytest
from made_routes import route_bytes
from numpy.typing import NDArray

from lateapex.errors import ConfigError
from lateapex.sim.simulator import Simulator
from lateapex.world.scene import Scene
from lateapex.world.track import Track, load_track, track_from_route
from lateapex.world.vehicle import STEP_SECONDS, CameraMount, Vehicle

SIZE = (24, 32)
CARS = 20


def simulator(tracks: list[Track], track_of_car: Any, **settings: Any) -> Simulator:
    return Simulator(tracks, track_of_car, **{"height": SIZE[0], "width": SIZE[1], "threads": 1, **settings})


@pytest.fixture(scope="module")
def oval() -> Track:
    return load_track("oval")


@pytest.fixture(scope="module")
def narrow() -> Track:
    return load_track("narrow")


def begin(sim: Simulator, shares: NDArray[np.float64]) -> None:
    poses = [sim.tracks[car["track"]].pose_at(share) for car, share in zip(sim.cars, shares, strict=True)]
    sim.place(np.arange(sim.count), *np.array(poses).T)


def commands(count: int, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Draw steering, speed and which cars are held, `[steps, count]` each."""
    draw = np.random.default_rng(3)
    shape = (steps, count)
    return draw.uniform(-0.5, 0.5, shape), draw.uniform(0.3, 4.0, shape), draw.random(shape) < 0.1


def drive(
    sim: Simulator, orders: tuple[NDArray[Any], ...], meanwhile: Any = None
) -> tuple[list[list[Any]], NDArray[np.uint8]]:
    """Advance by `[steps, N]` orders; returns the states of all cars and the pictures, `[steps, N, H, W]`."""
    states, pictures = [], []
    for steering, speed, held in zip(*orders, strict=True):
        sim.step(np.ascontiguousarray(steering), np.ascontiguousarray(speed), np.ascontiguousarray(held))
        out = np.full((sim.count, *SIZE), 77, np.uint8)
        sim.render(out, meanwhile)
        states.append(sim.cars.tolist())
        pictures.append(out)
    return states, np.array(pictures)


SHARES = np.linspace(0.0, 0.95, CARS)


def test_any_number_of_threads_gives_the_same_states_and_pictures(oval: Track) -> None:
    orders = commands(CARS, 10)
    results = []
    for threads in (1, 2, 3):
        sim = simulator([oval], [0] * CARS, threads=threads)
        begin(sim, SHARES)
        results.append(drive(sim, orders, (lambda: None) if threads == 3 else None))
    for states, pictures in results[1:]:
        assert states == results[0][0]
        assert pictures.tobytes() == results[0][1].tobytes()


def test_a_batch_is_the_same_as_its_cars_alone(oval: Track) -> None:
    orders = commands(CARS, 8)
    together = simulator([oval], [0] * CARS)
    begin(together, SHARES)
    states, pictures = drive(together, orders)
    alone = simulator([oval], [0])
    for car in range(CARS):
        begin(alone, SHARES[car : car + 1])
        single_states, single_pictures = drive(alone, tuple(order[:, car : car + 1] for order in orders))
        assert [state[0][:13] for state in single_states] == [state[car][:13] for state in states]
        assert [state[0][15:] for state in single_states] == [state[car][15:] for state in states]
        assert single_pictures[:, 0].tobytes() == pictures[:, car].tobytes()


def test_cars_on_several_tracks_are_as_on_each_track_alone(oval: Track, narrow: Track) -> None:
    sprint = load_track("sprint")
    tracks = [oval, narrow, sprint]
    places = np.arange(CARS) % 3
    orders = commands(CARS, 8)
    mixed = simulator(tracks, places)
    begin(mixed, SHARES)
    states, pictures = drive(mixed, orders)
    for k, track in enumerate(tracks):
        mine = np.flatnonzero(places == k)
        single = simulator([track], [0] * len(mine))
        begin(single, SHARES[mine])
        own_states, own_pictures = drive(single, tuple(order[:, mine] for order in orders))
        assert own_pictures.tobytes() == pictures[:, mine].tobytes()
        for own, all_of_them in zip(own_states, states, strict=True):
            assert [(state[:13], state[15:]) for state in own] == [
                (all_of_them[car][:13], all_of_them[car][15:]) for car in mine
            ]


def test_going_on_from_a_snapshot_repeats_the_same_future(oval: Track) -> None:
    sim = simulator([oval], [0] * 4, vehicle=Vehicle(steering_lag=0.42, steering_jump=0.09))
    begin(sim, SHARES[:4])
    first, then = commands(4, 5), commands(4, 12)
    drive(sim, first)
    kept = sim.snapshot()
    states, pictures = drive(sim, then)
    assert sim.clock == 17
    for other in (sim, simulator([oval], [0] * 4, vehicle=sim.vehicle)):
        other.restore(kept)
        assert other.clock == 5
        again_states, again_pictures = drive(other, then)
        assert again_states == states
        assert again_pictures.tobytes() == pictures.tobytes()


def test_a_snapshot_does_not_change_with_the_simulator(oval: Track) -> None:
    sim = simulator([oval], [0])
    begin(sim, SHARES[:1])
    kept = sim.snapshot()
    before = kept["cars"].tolist()
    drive(sim, commands(1, 3))
    assert kept["cars"].tolist() == before
    assert kept["clock"] == 0


def test_time_is_counted_in_fifteenths_of_a_second(oval: Track) -> None:
    sim = simulator([oval], [0, 0])
    drive(sim, commands(2, 30))
    assert sim.clock == 30
    assert sim.time == pytest.approx(2.0)
    assert pytest.approx(0.0667, abs=0.0005) == STEP_SECONDS


def test_placing_a_car_stops_it_and_leaves_the_others_alone(oval: Track) -> None:
    sim = simulator([oval], [0, 0, 0])
    begin(sim, SHARES[:3])
    drive(sim, commands(3, 5))
    before = sim.cars.tolist()
    sim.place(np.array([1]), 0.5, 0.25, -2.0)
    after = sim.cars.tolist()
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1][:8] == (0.5, 0.25, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_render_some_draws_only_what_it_is_asked_for(oval: Track) -> None:
    sim = simulator([oval], [0] * 4)
    begin(sim, SHARES[:4])
    every, some = (np.full((4, *SIZE), 77, np.uint8) for _ in range(2))
    sim.render(every)
    sim.render_some(np.array([3, 1]), some)
    assert some[[1, 3]].tobytes() == every[[1, 3]].tobytes()
    assert (some[[0, 2]] == 77).all()


def test_work_given_to_render_is_done_once_for_any_number_of_threads(oval: Track) -> None:
    for threads in (1, 2):
        sim = simulator([oval], [0], threads=threads)
        begin(sim, SHARES[:1])
        done: list[None] = []
        sim.render(np.zeros((1, *SIZE), np.uint8), partial(done.append, None))
        assert len(done) == 1


def test_an_error_of_the_work_given_to_render_comes_through(oval: Track) -> None:
    sim = simulator([oval], [0] * CARS, threads=2)
    begin(sim, SHARES)

    def fail() -> None:
        raise ArithmeticError("work")

    with pytest.raises(ArithmeticError, match="work"):
        sim.render(np.zeros((CARS, *SIZE), np.uint8), fail)


def test_each_car_has_a_world_of_its_own_unless_told(oval: Track) -> None:
    assert simulator([oval], [0] * 3).cars["world"].tolist() == [0, 1, 2]
    assert simulator([oval], [0] * 3, world=[0, 0, 1]).cars["world"].tolist() == [0, 0, 1]


@pytest.mark.parametrize("places", [[], [1], [-1], [[0]], [0, 2], 0])
def test_a_track_that_is_not_there_is_refused(oval: Track, places: Any) -> None:
    with pytest.raises(ConfigError, match="track_of_car"):
        simulator([oval], places)


@pytest.mark.parametrize(("height", "width"), [(0, 32), (24, 0), (-1, 32)])
def test_pictures_without_pixels_are_refused(oval: Track, height: int, width: int) -> None:
    with pytest.raises(ConfigError, match=f"{width}x{height}"):
        simulator([oval], [0], height=height, width=width)


def test_a_camera_that_looks_behind_the_car_is_refused(oval: Track) -> None:
    with pytest.raises(ConfigError, match="behind the car"):
        simulator([oval], [0], vehicle=Vehicle(camera=CameraMount(pitch=1.4)))


@pytest.mark.parametrize("shape", [(1, *SIZE), (2, *SIZE[::-1]), (2, SIZE[0]), SIZE])
def test_pictures_of_another_shape_are_refused(oval: Track, shape: tuple[int, ...]) -> None:
    sim = simulator([oval], [0, 0])
    with pytest.raises(ConfigError, match="out has shape"):
        sim.render(np.zeros(shape, np.uint8))


def test_a_snapshot_of_another_number_of_cars_is_refused(oval: Track) -> None:
    with pytest.raises(ConfigError, match="snapshot of 2 cars"):
        simulator([oval], [0]).restore(simulator([oval], [0, 0]).snapshot())


@pytest.mark.parametrize(
    ("settings", "found"),
    [({"world": [0, 1, 2]}, "world has shape"), ({"threads": -1}, "-1 threads"), ({"scenes": []}, "0 scenes for 1")],
)
def test_settings_that_do_not_fit_the_cars_are_refused(oval: Track, settings: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        simulator([oval], [0], **settings)


@pytest.mark.parametrize("name", ["steering", "speed", "held"])
def test_commands_for_another_number_of_cars_are_refused(oval: Track, name: str) -> None:
    sim = simulator([oval], [0, 0])
    begin(sim, SHARES[:2])
    orders = {"steering": np.zeros(2), "speed": np.ones(2), "held": np.zeros(2, np.bool_)}
    before = sim.snapshot()
    with pytest.raises(ConfigError, match=rf"{name} has shape \(3,\); one for each of 2 cars"):
        sim.step(**{**orders, name: np.zeros(3)})
    assert sim.clock == 0
    assert sim.cars.tobytes() == before["cars"].tobytes()


def test_commands_may_be_lists_and_slices_of_any_number_type(oval: Track) -> None:
    sims = [simulator([oval], [0, 0]) for _ in range(2)]
    for sim in sims:
        begin(sim, SHARES[:2])
    sims[0].step(np.array([0.25, 0.5]), np.array([1.0, 2.0]), np.array([False, True]))
    sims[1].step(np.array([0.25, 7.0, 0.5], np.float32)[::2], [1, 2], [0, 1])
    assert sims[0].cars.tolist() == sims[1].cars.tolist()


@pytest.mark.parametrize(
    "out", [np.zeros((1, *SIZE), np.float32), np.zeros((1, SIZE[1], SIZE[0]), np.uint8).swapaxes(1, 2)]
)
def test_pictures_of_another_type_or_order_are_refused(oval: Track, out: Any) -> None:
    sim = simulator([oval], [0])
    for render in (sim.render, lambda pictures: sim.render_some(np.array([0]), pictures)):
        with pytest.raises(ConfigError, match=r"numpy\.uint8"):
            render(out)


def test_walls_that_the_camera_sees_over_are_refused(oval: Track) -> None:
    with pytest.raises(ConfigError, match=r"walls of 0.1 m and a camera at 0.1329 m"):
        simulator([oval], [0], scenes=[Scene(wall_height=0.1)])


def test_a_snapshot_of_cars_with_other_fields_is_refused(oval: Track) -> None:
    sim = simulator([oval], [0])
    with pytest.raises(ConfigError, match="other fields"):
        sim.restore({"cars": np.zeros(1, [("x", np.float64)]), "clock": 0})


def test_cars_placed_on_the_line_stand_where_the_track_says() -> None:
    along = np.linspace(0.0, 1.0, 12)
    line = np.column_stack([along, 0.1 * along, along, 0.1 * along + 0.4, along, 0.1 * along - 0.4])
    tracks = [load_track("kidney"), load_track("oval").reverse(), track_from_route(line, "open")]
    draw = np.random.default_rng(5)
    fractions = np.concatenate([draw.uniform(-1.5, 2.5, 300), [0.0, 1.0, -1e-18, 1.0 - 1e-16, 0.5, 2.0]])
    for track in tracks:
        sim = Simulator([track], np.zeros(len(fractions), np.int32), pictures=False)
        sim.cars["u"] = 3.0
        sim.place_on_line(np.arange(len(fractions)), fractions, 0.0, 0.0)
        poses = np.array([track.pose_at(fraction) for fraction in fractions.tolist()])
        np.testing.assert_array_equal(np.stack([sim.cars["x"], sim.cars["y"]], axis=1), poses[:, :2])
        turn = sim.cars["yaw"] - poses[:, 2]
        np.testing.assert_allclose(np.cos(turn), 1.0, atol=1e-15)
        assert not sim.cars["u"].any()


def test_points_that_repeat_are_passed_when_cars_are_placed_on_the_line() -> None:
    rows = track_from_route(np.load(io.BytesIO(route_bytes(40))), "ring")
    twice = np.repeat(np.arange(len(rows.center)), np.where(np.arange(len(rows.center)) % 3 == 0, 2, 1))
    track = Track("twice", rows.center[twice], rows.inner[twice], rows.outer[twice], closed=True)
    fractions = track.along / track.length
    sim = Simulator([track], np.zeros(len(fractions), np.int32), pictures=False)
    sim.place_on_line(np.arange(len(fractions)), fractions, 0.0, 0.0)
    poses = np.array([track.pose_at(fraction) for fraction in fractions.tolist()])
    np.testing.assert_array_equal(np.stack([sim.cars[name] for name in ("x", "y")], axis=1), poses[:, :2])
    np.testing.assert_allclose(np.cos(sim.cars["yaw"] - poses[:, 2]), 1.0, atol=1e-15)


@pytest.mark.parametrize("threads", [2, 3])
def test_many_cars_move_the_same_on_any_number_of_threads(threads: int) -> None:
    count = 1201  # enough to be shared between threads, and not evenly
    tracks, draw = [load_track("oval"), load_track("kidney")], np.random.default_rng(3)
    sims = [Simulator(tracks, np.arange(count) % 2, threads=number, pictures=False) for number in (1, threads)]
    starts = draw.random(count), draw.uniform(-0.4, 0.4, count), draw.uniform(-0.3, 0.3, count)
    for sim in sims:
        sim.place_on_line(np.arange(count), *starts)
    for _ in range(20):
        commands = draw.uniform(-0.5, 0.5, count), draw.uniform(0.1, 4.0, count), draw.random(count) < 0.1
        for sim in sims:
            sim.step(*commands)
    assert sims[0].cars.tobytes() == sims[1].cars.tobytes()


def test_a_simulator_without_pictures_draws_none_and_moves_the_same() -> None:
    seeing, blind = (Simulator([load_track("oval")], [0, 0], threads=1, pictures=kind) for kind in (True, False))
    for sim in (seeing, blind):
        sim.place_on_line(np.arange(2), [0.1, 0.6], 0.0, 0.0)
        sim.step([0.1, -0.1], [2.0, 1.0], [False, False])
    assert seeing.cars.tobytes() == blind.cars.tobytes()
    with pytest.raises(ConfigError, match="pictures=False"):
        blind.render(np.zeros((2, 120, 160), np.uint8))
