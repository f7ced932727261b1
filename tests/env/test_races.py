"""Scripted scenes of races, worked by hand from what the original does (sections 1.6 and 6 of its facts).

The track is 0.9 m wide and counter-clockwise; all scenes are on its first straight, from 2 m before the start line to
12 m beyond it, where x is the way along the lap and the inner lane is 0.225 m to the left of the centre line.
"""

from typing import Any

import numpy as np
import pytest
from made_tasks import at, small_task, watched_reward
from made_traffic import stand

from lateapex.env.placement import min_distance, places
from lateapex.env.race_config import RaceConfig
from lateapex.env.races import worlds_of
from lateapex.errors import ConfigError
from lateapex.records import STATUSES
from lateapex.world.lanes import INNER, OUTER
from lateapex.world.track import Track


def stadium() -> Track:
    """Two straights of 14 m and half circles of 1.5 m, a point every 10 cm or so."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 49)[1:-1]

    def line(half_width: float) -> Any:
        r = 1.5 - half_width
        there, back = np.linspace(0.0, 12.0, 121), np.linspace(12.0, -2.0, 141)
        return np.concatenate(
            [
                np.stack([there, np.full(121, 1.5 - r)], axis=1),
                np.stack([12.0 + r * np.cos(turn), 1.5 + r * np.sin(turn)], axis=1),
                np.stack([back, np.full(141, 1.5 + r)], axis=1),
                np.stack([-2.0 - r * np.cos(turn), 1.5 - r * np.sin(turn)], axis=1),
                np.stack([np.linspace(-2.0, -0.1, 20), np.full(20, 1.5 - r)], axis=1),
            ]
        )

    return Track("stadium", line(0.0), line(0.45), line(-0.45), True)


TRACK = stadium()
L = TRACK.length
AHEAD = 5
QUIRKS = ["original", "fixed"]


def share(metres):
    return metres / L


def avoidance(*positions, **settings):
    """Boxes at m along the lap, each in a lane."""
    listed = [(share(along), lane) for along, lane in positions]
    return RaceConfig(race_type="OBJECT_AVOIDANCE", object_positions=listed, **settings)


def bots(*positions, **settings):
    return RaceConfig(
        race_type="HEAD_TO_BOT", object_positions=[(share(along), lane) for along, lane in positions], **settings
    )


def race_task(race, cars=1, quirks="original", **settings):
    task = small_task(TRACK, cars, race=race, quirks=quirks, pictures=False, **settings)
    task.begin(np.arange(cars))
    if quirks == "original":
        task.advance(np.full(cars, AHEAD))  # the prepare step
    return task


def put_car(task, along, aside=0.0, turn=0.0, car=0):
    """Put a car's middle beside the centre line, m, and forget how it came there."""
    x, y, yaw = TRACK.pose_at(share(along))
    task.simulator.place(np.array([car]), x - aside * np.sin(yaw), y + aside * np.cos(yaw), yaw + turn)
    # What the rules compare with: as if it had stood there.
    task.episodes["previous_progress"][car] = task.episodes["progress"][car] = 100.0 * share(along + 0.14)
    task.episodes["origin"][car] = task.episodes["start"][car] = 0.0
    if task.race is not None:
        task.race.mishaps["progress"][car] = 100.0 * share(along + 0.14)


def status_of(task, car=0):
    return STATUSES[int(task.rows["status"][car])]


# ------------------------------------------------------------------------------------------------- who crashed


# The box's rectangle is 0.5 x 0.4 about (3, 0.225), the car's 0.32352 x 0.1961: its corners are 0.16176 ahead of and
# 0.09805 beside its middle. Car: m along, m aside, turned (rad); whether original rules see a crash, and fixed ones.
WITH_A_BOX = [
    ("short of it", (2.58, 0.225, 0.0), False, False),  # its nose is at 2.742, the rectangle begins at 2.75
    ("nose in its back", (2.60, 0.225, 0.0), True, True),  # 2.762
    ("beside it in the other lane", (3.0, -0.225, 0.0), False, False),
    ("side by side with a gap", (3.0, -0.08, 0.0), False, False),  # its left side is at 0.018, the box begins at 0.025
    ("side by side touching", (3.0, -0.06, 0.0), True, True),  # 0.038
    ("tail in its front", (3.40, 0.225, 0.0), True, True),  # 3.238; the rectangle ends at 3.25
    ("beyond it", (3.42, 0.225, 0.0), False, False),  # 3.258
    # Its nose points to the right by 45 degrees. The rectangle's corner (2.75, 0.025) is 0.088 ahead and 0.095 left of
    # its middle, inside; its own front corners are at (2.80, -0.03) and (2.67, -0.16), the left rear (2.58, 0.20).
    ("its corner in the car's side", (2.62, 0.02, -0.785), False, True),
]


@pytest.mark.parametrize(("what", "pose", "original", "fixed"), WITH_A_BOX, ids=[row[0] for row in WITH_A_BOX])
@pytest.mark.parametrize("quirks", QUIRKS)
def test_a_car_crashes_into_a_box_with_its_corners(what, pose, original, fixed, quirks):
    task = race_task(avoidance((3.0, INNER)), quirks=quirks)
    put_car(task, *pose)
    _, terminated, _ = task.advance([AHEAD])
    expected = fixed if quirks == "fixed" else original
    assert (status_of(task) == "crashed") == expected
    assert terminated[0] == expected


# A bot at 3 m in the inner lane, and where the car is in it, m along. Who is behind is told by the front point of the
# car, 0.14 m ahead of its middle, and the bot's middle.
WITH_A_BOT = [
    ("runs into its back", 3.0, 2.70, "crashed", False),
    ("is run into", 3.0, 3.30, "in_progress", True),
    ("is beside it and further", 3.0, 2.90, "in_progress", True),  # its front point is at 3.04
    ("far behind", 3.0, 2.50, "in_progress", False),
]


@pytest.mark.parametrize(("what", "bot", "car", "expected", "waits"), WITH_A_BOT, ids=[row[0] for row in WITH_A_BOT])
@pytest.mark.parametrize("quirks", QUIRKS)
def test_the_one_behind_is_guilty_and_a_guilty_bot_stops_for_2_s(what, bot, car, expected, waits, quirks):
    reward, calls = watched_reward()
    task = race_task(bots((bot, INNER)), quirks=quirks, reward=reward)
    assert task.simulator.traffic is not None
    task.simulator.traffic.put(np.zeros(1, int), track=[0], along=[[bot]], lane=[[INNER]], episode=[0])
    put_car(task, car, 0.225)
    task.advance([AHEAD])
    assert status_of(task) == expected
    assert calls[-1]["is_crashed"] == (expected == "crashed")
    # The wait is 30 steps; the step in which it was told took one.
    assert task.simulator.traffic.others["wait"][0, 0] == (29 if waits else 0)


@pytest.mark.parametrize(("quirks", "expected"), [("original", "in_progress"), ("fixed", "crashed")])
def test_across_the_start_line_the_original_takes_the_car_behind_for_the_one_ahead(quirks, expected):
    task = race_task(bots((1.0, INNER)), quirks=quirks)
    assert task.simulator.traffic is not None
    task.simulator.traffic.put(np.zeros(1, int), track=[0], along=[[0.10]], lane=[[INNER]], episode=[0])
    put_car(task, L - 0.20, 0.225)  # its front point is 0.06 m before the line, and 0.16 m behind the bot's middle
    task.advance([AHEAD])
    assert status_of(task) == expected


def test_cars_of_one_world_crash_into_each_other_and_the_race_is_over_for_both():
    task = race_task(RaceConfig(race_type="HEAD_TO_MODEL"), cars=4)
    put_car(task, 3.0, 0.0, car=0)
    put_car(task, 2.7, 0.0, car=1)
    put_car(task, 3.0, 0.0, car=2)
    put_car(task, 5.0, 0.0, car=3)
    _, terminated, truncated = task.advance(np.full(4, AHEAD))
    assert [status_of(task, car) for car in range(4)] == ["in_progress", "crashed", "in_progress", "in_progress"]
    assert terminated.tolist() == [False, True, False, False]
    assert truncated.tolist() == [True, False, False, False]
    assert task.rows["done"].tolist() == [True, True, False, False]


# ------------------------------------------------------------------------------------- penalties and respawns


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [("off_track", 2.0), ("crashed", 5.0)],
)
def test_a_penalty_of_2_s_is_one_row_of_the_mishap_and_31_of_pause(fault, seconds):
    reward, calls = watched_reward()
    task = race_task(avoidance((3.0, INNER), number_of_resets=10), reward=reward)
    put_car(task, *((2.62, 0.225) if fault == "crashed" else (6.0, 0.7)))
    before = len(calls)
    found = []
    for _ in range(100):
        paid, terminated, _ = task.advance([AHEAD])
        assert not terminated[0]
        found.append(status_of(task))
        assert paid[0] == (0.0 if found[-1] == "pause" else 1.0)
    pauses = round(seconds * 15) + 1
    assert found[: pauses + 2] == [fault, *["pause"] * pauses, "in_progress"]
    assert len(calls) - before == 100 - pauses
    assert task.race is not None
    assert task.race.mishaps[f"{fault.replace('crashed', 'crash')}_count"][0] == 1
    assert task.race.mishaps["resets"][0] == 1


def where(task, car=0):
    """m along the centre line of the middle of a car, and m to the left of the line."""
    state = task.simulator.cars[car]
    x, y, yaw = TRACK.pose_at(share(state["along"] - 0.14))
    aside = np.cos(yaw) * (state["y"] - y) - np.sin(yaw) * (state["x"] - x)
    return state["along"] - 0.14, aside


# What happens, where the car is (m along, m aside), and where it goes on: m along and the lane.
RESPAWNS = [
    ("crash: 1 m before the box, in the other lane", (3.62, 0.225), (3.0, OUTER)),
    ("off track: where it was, nearer lane", (6.0, 0.7), (6.14, INNER)),
    ("off track to the right", (6.0, -0.7), (6.14, OUTER)),
    ("off track beside the box: 1 m before it, in the other lane", (4.5, 0.7), (3.0, OUTER)),
    ("off track 1.1 m beyond the box", (4.96, 0.7), (5.10, INNER)),
]


@pytest.mark.parametrize(("what", "pose", "expected"), RESPAWNS, ids=[row[0] for row in RESPAWNS])
@pytest.mark.parametrize("quirks", QUIRKS)
def test_a_car_goes_on_where_the_race_puts_it(what, pose, expected, quirks):
    task = race_task(avoidance((4.0, INNER), number_of_resets=10), quirks=quirks)
    put_car(task, *pose)
    task.race._remember(task.episodes)  # as the step before would have: the nearer lane, the progress
    task.advance([AHEAD])
    along, aside = where(task)
    assert along == pytest.approx(expected[0], abs=0.01)
    assert aside == pytest.approx(0.225 * expected[1], abs=0.01)
    assert task.simulator.cars["u"][0] == 0.0


@pytest.mark.parametrize(("quirks", "expected"), [("original", 1.14), ("fixed", 6.14)])
def test_the_original_forgets_the_start_when_it_puts_a_car_back(quirks, expected):
    task = race_task(avoidance((9.0, INNER), number_of_resets=1), quirks=quirks)
    put_car(task, 6.0, 0.7)
    task.episodes["start"] = task.episodes["origin"] = share(5.0)
    task.episodes["progress"] = task.episodes["previous_progress"] = 100.0 * share(1.14)
    task.race._remember(task.episodes)
    task.advance([AHEAD])
    assert where(task)[0] == pytest.approx(expected, abs=0.01)


def test_a_car_that_ran_into_a_bot_stays_where_it_is():
    task = race_task(bots((3.0, INNER), number_of_resets=1))
    task.simulator.traffic.put(np.zeros(1, int), track=[0], along=[[3.0]], lane=[[INNER]], episode=[0])
    put_car(task, 2.7, 0.225)
    task.advance([AHEAD])
    assert status_of(task) == "crashed"
    assert where(task) == pytest.approx((2.7, 0.225), abs=0.01)


def test_the_next_mishap_after_the_last_reset_ends_the_episode():
    task = race_task(avoidance((9.0, INNER), number_of_resets=1, off_track_penalty=0.0))
    put_car(task, 6.0, 0.7)
    assert not task.advance([AHEAD])[1][0]
    put_car(task, 6.0, 0.7)
    assert task.advance([AHEAD])[1][0]
    assert status_of(task) == "off_track"


def test_after_three_crashes_into_one_box_mercy_puts_the_car_beyond_it():
    settings = {"number_of_resets": 10, "enable_mercy_reset": True, "collision_penalty": 0.0}
    task = race_task(avoidance((4.0, INNER), **settings))
    reached = []
    for _ in range(4):
        put_car(task, 3.62, 0.225)
        task.advance([AHEAD])
        reached.append(round(where(task)[0], 1))
    assert reached == [3.0, 3.0, 3.0, 5.0]


def test_a_waiting_car_can_not_be_touched_and_blinks():
    task = race_task(RaceConfig(race_type="HEAD_TO_MODEL", number_of_resets=5), cars=2)
    put_car(task, 6.0, 0.7, car=0)
    put_car(task, 3.0, car=1)
    task.advance([AHEAD, AHEAD])
    shown = []
    for _ in range(8):
        put_car(task, where(task)[0] - 0.2, where(task)[1], car=1)
        task.advance([AHEAD, AHEAD])
        assert status_of(task, 1) == "in_progress"
        shown.append(int(task.simulator.traffic.things["opacity"][0, 0]))
    assert sorted(set(shown)) == [1, 2, 3, 4]
    assert (task.simulator.traffic.things["opacity"][0, 1] == 4).all()


def test_laps_follow_on_the_fly_in_a_continuous_race():
    task = race_task(RaceConfig(is_continuous=True, number_of_trials=2))
    found = []
    for _ in range(2):
        put_car(task, L - 0.15)
        task.episodes["previous_progress"] = 99.9
        for _ in range(4):
            _, terminated, _ = task.advance([AHEAD])
            found.append((status_of(task), bool(task.rows["progress"][0] == 100.0), bool(terminated[0])))
            if terminated[0]:
                break
    laps = [row for row in found if row[1]]
    assert laps == [("in_progress", True, False), ("lap_complete", True, True)]
    after = found[found.index(laps[0]) + 1]
    assert after == ("in_progress", False, False)


@pytest.mark.parametrize(
    ("aside", "expected"),
    [
        (0.225, "crashed"),
        (0.44, "crashed"),
        (0.58, "off_track"),
    ],  # the box's rectangle ends at 0.425 m, the road at 0.45
)
def test_a_crash_outweighs_leaving_the_road(aside, expected):
    task = race_task(avoidance((4.0, INNER)))
    put_car(task, 4.0, aside)
    task.advance([AHEAD])
    assert status_of(task) == expected


# ------------------------------------------------------------------------------------------------ where things are


def test_boxes_are_evenly_spaced_in_alternating_lanes_from_the_least_distance_to_1_m_before_the_end():
    along, lane = places(RaceConfig(race_type="OBJECT_AVOIDANCE", number_of_obstacles=3), 20.0, 0, 0, 0)
    assert along == pytest.approx([2.0, 10.5, 19.0])
    assert lane.tolist() == [INNER, OUTER, INNER]


@pytest.mark.parametrize("race_type", ["OBJECT_AVOIDANCE", "HEAD_TO_BOT"])
def test_random_places_keep_the_least_distance_and_use_both_lanes(race_type):
    config = RaceConfig(
        race_type=race_type,
        number_of_bot_cars=6,
        randomize_obstacle_locations=True,
        randomize_bot_car_locations=True,
    )
    lanes, spread = set(), []
    for episode in range(200):
        along, lane = places(config, 23.12, 7, episode % 5, episode)
        assert (np.diff(along) >= 2.0 - 1e-9).all()
        assert along.min() >= 2.0 - 1e-9
        assert along.max() <= 22.12 + 1e-9
        lanes.add(tuple(lane))
        spread.append(along[2])
    assert len(lanes) > 30
    assert np.std(spread) > 0.5


def test_places_depend_on_seed_world_and_episode_alone():
    config = RaceConfig(race_type="OBJECT_AVOIDANCE", randomize_obstacle_locations=True)
    first = places(config, 20.0, 3, 4, 5)[0]
    assert np.array_equal(places(config, 20.0, 3, 4, 5)[0], first)
    for other in ((2, 4, 5), (3, 5, 5), (3, 4, 6)):
        assert not np.array_equal(places(config, 20.0, *other)[0], first)


def test_a_percentage_shrinks_with_every_episode():
    config = RaceConfig(race_type="OBJECT_AVOIDANCE", min_distance_unit="percent")
    assert [round(min_distance(config, 17.709, episode), 3) for episode in range(3)] == [0.354, 0.063, 0.011]


def test_listed_positions_outweigh_number_and_randomising():
    config = RaceConfig(
        race_type="OBJECT_AVOIDANCE", object_positions=["0.25,1", "0.5, -1"], randomize_obstacle_locations=True
    )
    assert config.things == 2
    along, lane = places(config, 20.0, 0, 0, 9)
    assert (along.tolist(), lane.tolist()) == ([5.0, 10.0], [INNER, OUTER])


def test_a_start_within_1_m_of_a_box_is_moved_to_the_other_lane():
    task = small_task(TRACK, cars=3, race=avoidance((4.0, INNER)), pictures=False)
    task.begin(np.arange(3), at([share(3.1), share(4.9), share(2.9)], offset=0.1, heading=0.2))
    asides = [where(task, car)[1] for car in range(3)]
    assert asides[:2] == pytest.approx([-0.225, -0.225], abs=0.01)
    assert asides[2] == pytest.approx(0.1 * TRACK.width, abs=0.03)


def test_cars_that_race_each_other_line_up_75_cm_apart_the_odd_ones_in_the_inner_lane():
    task = small_task(TRACK, cars=6, race=RaceConfig(race_type="HEAD_TO_MODEL", cars_per_world=3), pictures=False)
    assert task.simulator.cars["world"].tolist() == [0, 0, 0, 1, 1, 1]
    task.begin(np.arange(6))
    for world in range(2):
        found = [where(task, 3 * world + seat) for seat in range(3)]
        gaps = np.diff([along if along < L / 2 else along - L for along, _ in found])
        assert gaps == pytest.approx([-0.75, -0.75], abs=0.02)
        assert [round(aside, 2) for _, aside in found] == pytest.approx([-0.22, 0.22, -0.22], abs=0.02)


def test_boxes_move_with_each_episode_of_their_own_world_alone():
    race = RaceConfig(race_type="OBJECT_AVOIDANCE", randomize_obstacle_locations=True)
    task = small_task(TRACK, cars=2, race=race, pictures=False)
    task.begin(np.arange(2))
    first = task.simulator.traffic.others["along"].copy()
    task.begin(np.array([1]))
    second = task.simulator.traffic.others["along"]
    assert np.array_equal(second[0], first[0])
    assert not np.array_equal(second[1], first[1])


def test_bots_and_boxes_stand_on_the_road_that_is_driven_backwards():
    race = avoidance((4.0, INNER))
    task = small_task(TRACK, cars=1, race=race, alternate_direction=True, pictures=False)
    lefts = []
    for _ in range(3):
        task.begin(np.arange(1))
        lefts.append(int(task.simulator.traffic.others["is_left_of_line"][0, 0]))
    assert lefts == [1, 0, 1]


# ----------------------------------------------------------------------------------------------- sameness


@pytest.mark.parametrize("quirks", QUIRKS)
@pytest.mark.parametrize(
    "race",
    [
        RaceConfig(race_type="OBJECT_AVOIDANCE", randomize_obstacle_locations=True, number_of_resets=3),
        RaceConfig(race_type="HEAD_TO_BOT", is_lane_change=True, randomize_bot_car_locations=True),
        RaceConfig(race_type="HEAD_TO_MODEL", number_of_resets=2, is_continuous=True),
    ],
    ids=lambda race: race.race_type,
)
def test_a_race_goes_on_from_its_snapshot_to_the_same_bytes(race, quirks):
    def drive(task, seed):
        draw = np.random.default_rng(seed)
        steps = []
        for _ in range(60):
            reward, terminated, truncated = task.advance(draw.integers(0, 10, 4))
            steps.append((reward.tobytes(), task.pictures.tobytes(), task.simulator.cars.tobytes()))
            task.begin(np.flatnonzero(terminated | truncated))
        return steps

    task = small_task(TRACK, cars=4, race=race, quirks=quirks)
    task.begin(np.arange(4))
    drive(task, 1)
    snapshot = task.snapshot()
    there = drive(task, 2)
    again = small_task(TRACK, cars=4, race=race, quirks=quirks, threads=2)
    again.restore(snapshot)
    assert drive(again, 2) == there
    task.restore(snapshot)
    assert drive(task, 2) == there


def test_a_world_without_things_is_the_time_trial_bit_for_bit():
    empty = RaceConfig(race_type="OBJECT_AVOIDANCE", number_of_obstacles=0)
    plain, race = small_task(TRACK, cars=3), small_task(TRACK, cars=3, race=empty)
    for task in (plain, race):
        task.begin(np.arange(3))
        for _ in range(20):
            task.advance(np.full(3, AHEAD))
    assert race.race is None
    assert plain.pictures.tobytes() == race.pictures.tobytes()


def test_settings_that_fit_nothing_are_refused():
    with pytest.raises(ConfigError, match="5 cars in worlds of 2; a multiple of 2 is needed"):
        worlds_of(RaceConfig(race_type="HEAD_TO_MODEL"), 5)
    for wrong, message in (
        ({"object_positions": ["0.25,0"]}, "a share of the lap from 0 to 1 and a lane"),
        ({"object_positions": ["1.5,1"]}, "a share of the lap from 0 to 1 and a lane"),
        ({"obstacle_type": "bocks_obstacle"}, "did you mean 'box_obstacle'"),
        ({"lower_lane_change_time": 6.0}, "lower_lane_change_time is above upper_lane_change_time"),
    ):
        with pytest.raises(ValueError, match=message):
            RaceConfig(**wrong)


def test_held_cars_let_bots_drive_on():
    task = race_task(bots((3.0, INNER)))
    before = task.simulator.traffic.others["along"][0, 0].copy()
    stand(task.simulator, 15)
    assert task.simulator.traffic.others["along"][0, 0] - before == pytest.approx(0.2, abs=2e-3)


# ------------------------------------------------------------------------------- what the tables above leave out


@pytest.mark.parametrize("quirks", QUIRKS)
def test_an_immobilized_car_goes_on_at_once_in_the_nearer_lane_without_a_penalty(quirks):
    task = race_task(avoidance((9.0, INNER), number_of_resets=10), quirks=quirks)
    put_car(task, 6.0, 0.1)
    task.advance([AHEAD])
    put_car(task, 6.0, 0.1)  # where the step before found it
    task.episodes["still"] = 14
    task.advance([AHEAD])
    assert status_of(task) == "immobilized"
    assert where(task) == pytest.approx((6.14, 0.225), abs=0.01)
    assert task.race.mishaps["immobilized_count"][0] == 1
    assert task.race.mishaps["pause"][0] == 0
    task.advance([AHEAD])
    assert status_of(task) == "in_progress"


def test_a_reversed_car_waits_as_one_that_left_the_road():
    task = race_task(avoidance((9.0, INNER), number_of_resets=10, off_track_penalty=2.0))
    put_car(task, 6.0, -0.1)
    task.race._remember(task.episodes)
    task.episodes["falling"] = 14
    task.episodes["previous_progress"] = task.episodes["progress"] = 100.0 * share(6.5)
    task.advance([AHEAD])
    assert status_of(task) == "reversed"
    assert task.race.mishaps["reversed_count"][0] == 1
    assert task.race.mishaps["pause"][0] == 31
    assert where(task)[1] == pytest.approx(-0.225, abs=0.01)


def test_boxes_and_bots_that_are_listed_are_put_where_the_list_says():
    for race in (avoidance((3.0, INNER), (7.0, OUTER)), bots((3.0, INNER), (7.0, OUTER))):
        task = race_task(race, quirks="fixed")
        others = task.simulator.traffic.others[0]
        assert others["along"] == pytest.approx([3.0, 7.0], abs=0.02)
        assert others["lane"].tolist() == [INNER, OUTER]
        assert others["y"] == pytest.approx([0.225, -0.225], abs=0.01)


def test_the_time_of_a_trial_counts_its_penalties():
    task = race_task(avoidance((9.0, INNER), number_of_resets=10))
    put_car(task, 6.0, 0.7)
    before = float(task.rows["sim_time"][0])
    for _ in range(33):
        task.advance([AHEAD])
    assert status_of(task) == "in_progress"
    assert float(task.rows["sim_time"][0]) - before == pytest.approx(33 / 15)
    assert task.episodes["steps"][0] == 34
