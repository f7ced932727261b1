"""Which tracks are one circuit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lateapex.world.track import Track, load_track, track_names
from lateapex.world.track_families import ALIKE, distance, families_of, shape_of


def moved(track: Track, *, turn=0.0, scale=1.0, flip=False, first=0, name="other") -> Track:
    """The same circuit at another place, turned, larger, in the mirror, with another start line."""
    turned = scale * np.exp(1j * turn)
    lines = []
    for points in (track.center, track.inner, track.outer):
        place = points[:, 0] + 1j * points[:, 1]
        place = turned * (place.conj() if flip else place) + 7.0 - 3.0j
        lines.append(np.roll(np.stack([place.real, place.imag], axis=1), first, axis=0))
    return replace(track, name=name, center=lines[0], inner=lines[1], outer=lines[2])


LOOPS = [name for name in track_names() if load_track(name).closed]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(LOOPS),
    st.floats(-3.2, 3.2),
    st.floats(0.3, 4.0),
    st.booleans(),
    st.booleans(),
    st.integers(0, 50),
)
def test_place_size_side_direction_and_start_line_do_not_make_another_circuit(name, turn, scale, flip, back, first):
    track = load_track(name)
    other = moved(track, turn=turn, scale=scale, flip=flip, first=first)
    assert families_of([track, other.reverse() if back else other]) == [0, 0]


def test_every_shipped_track_is_a_circuit_of_its_own():
    assert families_of([load_track(name) for name in track_names()]) == list(range(8))


def test_generated_circuits_of_many_bends_are_none_of_each_other():
    names = [f"generated:{kind}:{seed}" for kind in ("medium", "hard") for seed in range(8)]
    assert len(set(families_of([load_track(name) for name in names]))) == 16


@settings(max_examples=20, deadline=None)
@given(st.floats(-3.2, 3.2), st.floats(0.3, 4.0), st.booleans(), st.booleans())
def test_neither_do_they_make_another_road_with_two_ends(turn, scale, flip, back):
    track = load_track("sprint")
    other = moved(track, turn=turn, scale=scale, flip=flip)
    assert families_of([track, other.reverse() if back else other]) == [0, 0]


def test_a_wider_road_on_the_same_way_is_the_same_circuit():
    track = load_track("hairpin")
    middle = 0.5 * (track.inner + track.outer)
    wide = replace(
        track, name="wide", inner=middle + 1.2 * (track.inner - middle), outer=middle + 1.2 * (track.outer - middle)
    )
    assert families_of([track, wide]) == [0, 0]


def test_names_that_tell_the_direction_alone_make_a_family_of_different_shapes():
    oval, hairpin = load_track("oval"), load_track("hairpin")
    found = families_of([replace(oval, name="x_cw"), replace(hairpin, name="x_ccw"), replace(hairpin, name="y")])
    assert found == [0, 0, 0], "y has the shape of the one, that the name of the other"
    assert families_of([replace(oval, name="x_cw"), replace(hairpin, name="x_mini")]) == [0, 1]


def test_numbers_go_by_the_first_of_each_family():
    names = ["oval", "kidney", "oval@reversed", "hairpin", "kidney"]
    assert families_of([load_track(name) for name in names]) == [0, 1, 0, 2, 1]
    assert families_of([]) == []


def test_a_road_with_two_ends_is_no_loop_that_goes_the_same_way():
    track = load_track("oval")
    opened = replace(track, name="cut", closed=False)
    assert families_of([track, opened, opened.reverse(), load_track("sprint")]) == [0, 1, 1, 2]


def test_the_official_routes_fall_apart_into_their_circuits(shared_data):
    tracks = [load_track(path) for path in sorted((shared_data / "tracks").glob("*.npy"))]
    families: dict[int, set[str]] = {}
    for track, family in zip(tracks, families_of(tracks), strict=True):
        families.setdefault(family, set()).add(track.name)
    sets = list(families.values())
    ways = {"", "_cw", "_ccw"}
    assert {f"reInvent2019_track{way}" for way in ways} in sets
    assert {f"2022_summit_speedway{way}" for way in ways} | {
        "2024_reinvent_champ_cw",
        "2024_reinvent_champ_ccw",
    } in sets, "the same way on a narrower road"
    assert {f"reInvent2019_wide{way}" for way in (*ways, "_mirrored")} | {"reinvent_base"} in sets
    assert {"2022_summit_speedway_mini"} in sets
    assert len(sets) == 27


@pytest.mark.parametrize("name", ["oval", "flowing"])
def test_the_distance_is_that_of_the_best_match(name):
    shape = shape_of(load_track(name))
    assert np.mean(np.abs(shape) ** 2) == pytest.approx(1.0)
    assert distance(shape, 1j * np.roll(shape[::-1], 9).conj()) < 1e-6
    other = shape_of(load_track("kidney"))
    best = min(
        np.sqrt(np.mean(np.abs(shape - np.exp(1j * angle) * np.roll(look, shift)) ** 2))
        for look in (other, other[::-1], other.conj(), other[::-1].conj())
        for shift in range(0, 256, 2)
        for angle in np.linspace(0.0, 2.0 * np.pi, 90)
    )
    assert distance(shape, other) == pytest.approx(best, abs=0.02)
    assert distance(shape, other) > ALIKE
