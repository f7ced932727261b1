"""Lines of what episodes are driven again from: they come back to the bit, in few bytes, or are refused."""

import base64
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_records import episode

from lateapex.errors import FormatError
from lateapex.formats.recipes import read_recipes, recipe_line
from lateapex.records import Recipe

PLACES = np.array([0, 9, 3], np.int32)


def recipe(actions=PLACES, start=(0.1, -0.25, 1 / 3), **changes):
    values = {"seed": 2**64 - 1, "episode": 4, "clock": 812, "max_steps": 300, "digest": "9f", "seen": "a", "paid": "b"}
    return Recipe(**{**values, **changes}, start=start, actions=actions)


def line_of(made, number=7, **changes):
    return recipe_line(number, dataclasses.replace(episode(car=3, **changes), recipe=made))


def back(made):
    (found,) = read_recipes(line_of(made), "it")
    return found


@pytest.mark.parametrize("start", [None, (0.1, -0.25, 1 / 3)])
def test_a_line_says_which_episode_it_is_and_all_of_its_recipe(start):
    found = back(recipe(start=start))
    assert (found.phase, found.number, found.car, found.track) == ("training", 7, 3, "reinvent_base")
    for name, value in vars(recipe(start=start)).items():
        assert np.array_equal(getattr(found.recipe, name), value)
        assert type(getattr(found.recipe, name)) is type(value)


@pytest.mark.parametrize(
    ("actions", "each", "kind"),
    [
        (np.array([0, 255, 3], np.int32), 1, "|u1"),
        (np.array([0, 256, 3], np.int32), 4, "<i4"),
        (np.full((3, 2), np.float64(np.float32(0.1))), 8, "<f4"),
        (np.full((3, 2), 0.1), 16, "<f8"),
    ],
)
def test_actions_take_as_few_bytes_as_hold_them_exactly(actions, each, kind):
    values = json.loads(line_of(recipe(actions)))
    assert values["type"] == kind
    assert len(base64.b64decode(values["actions"])) == 3 * each
    found = back(recipe(actions)).recipe.actions
    assert found.dtype == actions.dtype
    assert np.array_equal(found, actions)


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.just(2)), elements=st.floats(allow_nan=False)))
def test_numbers_come_back_to_the_bit(actions):
    assert back(recipe(actions)).recipe.actions.tobytes() == actions.tobytes()


def test_an_episode_without_a_recipe_has_no_line():
    assert recipe_line(0, episode()) == ""


def test_only_what_is_asked_for_is_read_and_a_line_that_was_being_written_is_not():
    text = line_of(recipe(), 1) + line_of(recipe(), 2, phase="evaluation") + line_of(recipe(), 3)[:-9]
    assert [noted.number for noted in read_recipes(text, "it")] == [1, 2]
    assert [noted.number for noted in read_recipes(text, "it", lambda line: line["number"] == 2)] == [2]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("actions", "AA=", "it:1 tells of no whole episode: .*padding"),
        ("type", "|O8", r"type is '\|O8'; one of \|u1, <i4, <f4, <f8 is known"),
        ("start", [1.0], "it:1 tells of no whole episode"),
        ("seed", None, "it:1 tells of no whole episode"),
        ("number", "7", "it:1 does not say which episode it is"),
        ("phase", "racing", "it:1 does not say which episode it is"),
    ],
)
def test_a_damaged_line_is_told_with_its_place(name, value, message):
    values = {**json.loads(line_of(recipe())), name: value}
    with pytest.raises(FormatError, match=message):
        list(read_recipes(json.dumps(values) + "\n", "it"))
    del values[name]
    with pytest.raises(FormatError, match="it:1 "):
        list(read_recipes(json.dumps(values) + "\n", "it"))
