"""Generated circuits: hundreds are sound roads, a seed is one circuit, and settings that cannot be are told."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_roads import assert_apart, assert_drivable, curvatures, follow
from pydantic import ValidationError

from lateapex.config import parse
from lateapex.errors import ConfigError, TrackError
from lateapex.world.track import load_track
from lateapex.world.track_design import design_track
from lateapex.world.track_generator import (
    CIRCUITS,
    CircuitSettings,
    circuit_by_name,
    generate_circuit,
    generate_design,
)

if TYPE_CHECKING:
    from lateapex.world.track import Track

SEEDS = 70
"""Of each difficulty; 334 make the thousand."""
MADE = {"length": (20, 30), "width": (0.8, 0.9), "minimum_radius": 1.0, "bends": (5, 8)}


def assert_as_set(track: Track, limits: CircuitSettings) -> None:
    assert track.closed
    assert limits.length[0] * 0.99 < track.length <= limits.length[1]
    # The width is a distance of points again, right to a few last digits.
    assert limits.width[0] - 1e-12 <= track.width <= limits.width[1] + 1e-12
    assert track.along[1] == pytest.approx(limits.spacing, rel=0.02)
    # two headings of chords between three points on an arc of radius r differ by 2 asin(step / 2r)
    assert np.abs(curvatures(track)).max() < 1.002 / limits.minimum_radius
    assert_drivable(track)
    assert_apart(track)


@pytest.mark.parametrize("difficulty", CIRCUITS)
def test_all_circuits_are_closed_wide_enough_never_tighter_than_set_and_never_near_themselves(difficulty: str) -> None:
    for seed in range(SEEDS):
        assert_as_set(generate_circuit(seed, CIRCUITS[difficulty]), CIRCUITS[difficulty])


@example(seed=4, length=25.0, more=0.0, width=0.5921303527088027, gap=0.5, bends=3, spacing=0.25)
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    length=st.floats(25, 45),
    more=st.floats(0, 10),
    width=st.floats(0.4, 1.0),
    gap=st.floats(0.1, 0.5),
    bends=st.integers(3, 9),
    spacing=st.floats(0.1, 0.3),
)
def test_circuits_keep_to_whatever_settings_they_are_given(
    seed: int, length: float, more: float, width: float, gap: float, bends: int, spacing: float
) -> None:
    limits = CircuitSettings(
        length=(length, length + more),
        width=(width, width + 0.1),
        minimum_radius=(width + 0.1 + gap) / 2 + 0.05,
        bends=(bends, bends + 2),
        gap=gap,
        spacing=spacing,
    )
    assert_as_set(generate_circuit(seed, limits), limits)


def test_harder_circuits_are_longer_narrower_and_turn_more_and_tighter() -> None:
    easy, medium, hard = (
        [generate_circuit(seed, CIRCUITS[name]) for seed in range(20)] for name in ("easy", "medium", "hard")
    )
    for softer, harder in ((easy, medium), (medium, hard)):
        assert np.mean([track.length for track in softer]) < np.mean([track.length for track in harder])
        assert np.mean([track.width for track in softer]) > np.mean([track.width for track in harder])
        turned = [[np.abs(curvatures(track)).sum() for track in tracks] for tracks in (softer, harder)]
        assert np.mean(turned[0]) < np.mean(turned[1])
        tightest = [[np.abs(curvatures(track)).max() for track in tracks] for tracks in (softer, harder)]
        assert np.mean(tightest[0]) < np.mean(tightest[1])


def test_wide_circuits_are_broader_than_all_others_and_tight_ones_bend_more_sharply() -> None:
    found = {name: [generate_circuit(seed, CIRCUITS[name]) for seed in range(20)] for name in CIRCUITS}
    wide, tight = found.pop("wide"), found.pop("tight")
    assert min(track.width for track in wide) >= max(track.width for tracks in found.values() for track in tracks)
    sharpest = np.mean([np.abs(curvatures(track)).max() for track in tight])
    assert sharpest > max(np.mean([np.abs(curvatures(each)).max() for each in tracks]) for tracks in found.values())


def test_circuits_go_both_ways_round_and_hard_ones_bend_to_both_sides() -> None:
    tracks = [generate_circuit(seed, CIRCUITS["hard"]) for seed in range(20)]
    assert 5 <= sum(track.is_ccw for track in tracks) <= 15
    for track in tracks:
        assert curvatures(track).min() < -0.1
        assert curvatures(track).max() > 0.1


def test_a_circuit_starts_eastwards_in_the_middle_of_its_longest_straight() -> None:
    track = generate_circuit(4, CIRCUITS["hard"])
    assert track.pose_at(0.0) == pytest.approx((0, 0, 0), abs=1e-3)
    straight = np.abs(curvatures(track)) < 1e-3
    begins = np.flatnonzero(np.diff(straight.astype(int)) != 0)
    runs = np.diff(begins)[~straight[begins[:-1]]] if straight[0] else np.diff(begins)
    around_start = begins[0] + len(straight) - begins[-1]
    assert around_start >= runs.max()
    assert begins[0] == pytest.approx(around_start / 2, abs=2)


def test_a_car_at_1_m_per_s_follows_hard_circuits_with_all_wheels_on_the_road() -> None:
    driven, wheels = follow([load_track(f"generated:hard:{seed}") for seed in range(4)], speed=1.0, seconds=75)
    assert driven.min() == 1.0
    assert wheels.min() == 4


# A seed is one circuit


def test_a_seed_gives_the_same_circuit_in_another_process() -> None:
    code = "from lateapex.world.track import load_track; print(load_track('generated:hard:7').waypoints)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(load_track("generated:hard:7").waypoints)


def test_the_design_of_a_seed_is_always_this_one() -> None:
    assert generate_design(11, CIRCUITS["easy"]) == EASY_11


def test_other_seeds_give_other_circuits_and_nothing_else_random_matters() -> None:
    np.random.seed(0)  # noqa: NPY002 - the global generator that must not matter
    first = generate_design(5, CIRCUITS["medium"])
    np.random.seed(1)  # noqa: NPY002 - as above
    assert generate_design(5, CIRCUITS["medium"]) == first
    assert len({generate_design(seed, CIRCUITS["medium"]) for seed in range(30)}) == 30


def test_a_circuit_can_be_saved_as_a_design_and_loaded_again(tmp_path: Any) -> None:
    (tmp_path / "mine.toml").write_text(generate_design(3, CIRCUITS["hard"]))
    assert load_track(tmp_path / "mine.toml").waypoints == generate_circuit(3, CIRCUITS["hard"]).waypoints


def test_the_name_of_a_circuit_suits_a_file_and_may_be_chosen() -> None:
    assert load_track("generated:medium:042").name == "generated-medium-42"
    assert generate_circuit(9, CIRCUITS["easy"]).name == "generated-9"
    assert generate_circuit(9, CIRCUITS["easy"], "v1.5 ring").name == "v1.5 ring"


def test_a_name_stands_for_the_seed_and_the_settings_of_its_difficulty() -> None:
    for difficulty, limits in CIRCUITS.items():
        assert circuit_by_name(f"generated:{difficulty}:21").waypoints == generate_circuit(21, limits).waypoints
    largest = load_track(f"generated:easy:{2**64 - 1}")
    assert largest.waypoints == generate_circuit(2**64 - 1, CIRCUITS["easy"]).waypoints


# What cannot be


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("generated:", r"no difficulty is called ''; known: easy, medium, hard, wide, tight Write generated:medium:42"),
        ("generated:meduim:3", r"no difficulty is called 'meduim'; did you mean 'medium'\? Write generated:medium:42"),
        ("generated:hard", r"the seed is ''; a whole number from 0 to 18446744073709551615 .* generated:hard:42"),
        ("generated:hard:-1", "the seed is '-1'"),
        ("generated:hard:1.5", "the seed is '1.5'"),
        ("generated:hard:²", "the seed is '²'"),
        ("generated:hard:1:2", "the seed is '1:2'"),
        (f"generated:hard:{2**64}", "the seed is '18446744073709551616'"),
        ("generated:hard:" + "9" * 5000, "the seed is '9999"),
    ],
)
def test_a_name_that_is_no_circuit_says_what_to_write(name: str, message: str) -> None:
    with pytest.raises(TrackError, match=message) as caught:
        load_track(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": (30, 20)}, "length is 30 to 20; smallest first, and 5 or more, is needed"),
        ({"length": (20, math.inf)}, "length is 20 to inf"),
        ({"width": (0.1, 0.9)}, "width is 0.1 to 0.9; .* 0.2 or more"),
        ({"bends": (2, 8)}, "bends is 2 to 8; .* 3 or more"),
        ({"minimum_radius": 0.5}, "minimum_radius is 0.5 m; 0.6 or more is needed, half of width and gap"),
        ({"minimum_radius": -1.0}, "minimum_radius is -1.0; input should be greater than 0"),
        ({"gap": 0.01}, "gap is 0.01; input should be greater than or equal to 0.1"),
        ({"spacing": 2.0}, "spacing is 2.0"),
        ({"radius": 1.0}, "no setting is called 'radius'"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(CircuitSettings, {**MADE, **change})


def test_settings_may_come_as_lists_from_a_file_and_cannot_be_changed() -> None:
    limits = parse(CircuitSettings, {**MADE, "length": [20, 30], "bends": [5, 8]})
    assert limits == CircuitSettings(**MADE)
    with pytest.raises(ValidationError, match="frozen"):
        limits.gap = 0.2  # type: ignore[misc]  # what is tested


def test_settings_without_room_for_any_circuit_end_with_advice() -> None:
    cramped = CircuitSettings(length=(10, 12), width=(0.5, 0.6), minimum_radius=1.5, bends=(12, 14))
    with pytest.raises(ConfigError, match=r"no circuit of 10 to 12 m with 12 to 14 bends of 1\.5 m .* lengthen it, or"):
        generate_circuit(0, cramped)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_outside_64_bits_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match=f"seed is {seed}; a whole number from 0"):
        generate_circuit(seed, CIRCUITS["easy"])


def test_every_design_is_one_that_a_file_may_hold() -> None:
    text = generate_design(0, CIRCUITS["hard"])
    assert design_track(text, "any.toml").closed
    assert text.startswith("# The circuit of seed 0.\nwidth = ")


EASY_11 = """\
# The circuit of seed 11.
width = 0.9254
spacing = 0.15

segments = [
    { straight = 1.03759 },
    { left = 19.77902, radius = 2.03620 },
    { straight = 1.66995 },
    { right = 103.06331, radius = 1.64732 },
    { straight = 1.40368 },
    { right = 66.22002, radius = 2.13801 },
    { straight = 1.32527 },
    { right = 67.38123, radius = 2.62224 },
    { straight = 1.90475 },
    { right = 8.64611, radius = 1.44254 },
    { straight = 1.34070 },
    { right = 134.46835, radius = 1.42644 },
    { straight = 1.03759 },
]
"""
