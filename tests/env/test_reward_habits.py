"""What is told of habits that do not work here: Python 2, first steps, other tracks, unowned chance."""

from __future__ import annotations

import numpy as np
import pytest

from lateapex.env.reward import RewardFunction
from lateapex.env.reward_habits import first_step_tests, parsed, unseeded
from lateapex.errors import RewardError


def called(body: str, before: str = "", **settings: object) -> list[float]:
    text = f"{before}\ndef reward_function(params):\n    {body}\n    return 1.0\n"
    reward = RewardFunction(text, "my.py", **settings)
    params = {"steps": np.array([1.0, 2.0]), "x": np.array([0.5, 0.25])}
    return reward(params, {"waypoints": [[(0.0, 0.0)] * 24] * 2}, np.array([False, True]), np.zeros(2, int)).tolist()


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("print 'hello'", "write print(...)"),
        ("print", None),
        ("try: pass\n    except ValueError, error: pass", "write except ... as error:"),
        ("x = 1 <> 2", "write !="),
        ("x = `3`", "write repr(...)"),
        ("exec 'x = 1'", "write exec(...)"),
        ("raise ValueError, 'x'", "write raise Error(...)"),
        ("x = 0777", "write 0o in front of an octal number, or leave out the zero"),
        ("x = 10L", "leave out the L"),
        ("x = ur'a'", "leave out the u"),
    ],
)
def test_syntax_of_python_2_is_told_with_line_and_what_to_write(line: str, mend: str | None) -> None:
    if mend is None:
        assert called(line) == [0.0, 1.0]
        return
    with pytest.raises(RewardError, match=r"^my\.py:[34]: is not Python 3: this is Python 2; ") as caught:
        called(line)
    assert mend in str(caught.value)


def test_tabs_mixed_with_blanks_are_told() -> None:
    with pytest.raises(RewardError, match=r"^my\.py:4: is not Python 3: tabs and blanks are mixed in front of lines"):
        called("if True:\n\treturn 2.0")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "xrange(3)",
            "NameError name 'xrange' is not defined, at step 2 of episode 0. xrange is Python 2; write range.",
        ),
        ("unicode('x')", "unicode is Python 2; write str."),
        ("params.has_key('x')", ".has_key is Python 2; write key in ...."),
        ("for k, v in params.iteritems(): pass", ".iteritems is Python 2; write .items()."),
        ("params['waypoints'][len(params['waypoints']) / 2]", "write // for a whole number."),
        ("range(7 / 2)", "write // for a whole number."),
        ("params['waypoints'][117]", "This track has 24 waypoints; are these the indices of another?"),
    ],
)
def test_an_error_that_a_habit_explains_is_told_with_the_reason(body: str, told: str) -> None:
    with pytest.raises(RewardError, match=r"^my\.py:3: ") as caught:
        called(body)
    assert told in str(caught.value)


def test_a_module_beside_the_file_is_told_to_belong_into_it() -> None:
    with pytest.raises(
        RewardError, match=r"when the file was loaded\. A reward is one file: what it imports has to be"
    ):
        called("pass", "import my_racing_line")


def test_a_test_for_the_first_step_is_noted_and_one_that_comes_true_is_not() -> None:
    text = "def reward_function(params):\n    if params['steps'] == 1: pass\n    if params['steps'] <= 2: pass\n"
    assert [line for line, _ in first_step_tests(parsed(text))] == [2]


@pytest.mark.parametrize("call", ["np.random.default_rng()", "random.Random()", "np.random.RandomState()"])
def test_a_generator_that_begins_anywhere_is_noted_and_a_seeded_one_is_not(call: str) -> None:
    ((line, message),) = unseeded(parsed(f"\nrng = {call}\n"))
    assert line == 2
    assert message.endswith(f"write {call[:-2]}(0)")
    assert list(unseeded(parsed(f"rng = {call[:-1]}3)\n"))) == []


INITIALISING = """
first = None
def reward_function(params):
    global first
    if params["steps"] == 1:
        first = params["x"]
        return 100.0
    return 0.0 if first is None else first
"""


def test_called_at_step_1_a_file_sees_it_and_is_not_paid_for_it() -> None:
    steps = [np.array([1.0, 1.0]), np.array([2.0, 2.0])]
    for switch, paid in ((False, [0.0, 0.0]), (True, [0.5, 0.25])):
        reward = RewardFunction(INITIALISING, "my.py", call_at_step_1=switch)
        rewards = [
            reward(
                {"steps": step, "x": np.array([0.5, 0.25])}, {"waypoints": [[]] * 2}, step > 1, np.zeros(2, np.int64)
            ).tolist()
            for step in steps
        ]
        assert rewards == [[0.0, 0.0], paid]


OF_2018 = """
def reward_function(on_track, x, y, distance_from_center, car_orientation, progress, steps, throttle, steering,
                    track_width, waypoints, closest_waypoints):
    return 1.0
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (OF_2018, "takes 12 arguments, as in 2018, and is called with one dictionary; write def reward_function("),
        (OF_2018, " and below it on_track = params['all_wheels_on_track']; car_orientation = math.radians("),
        (OF_2018.replace("closest_waypoints", "closest_waypoint"), "closest_waypoint = params['closest_waypoints'];"),
        ("\ndef reward_function(): return 1.0", "takes nothing and is called with one dictionary; write def"),
        ("\ndef reward_function(self, params): return 1.0", "takes self, params and is called with one dictionary"),
        ("\nclass R:\n    def reward_function(p): pass\nreward_function = R().reward_function", "takes nothing and"),
    ],
)
def test_a_function_of_other_arguments_is_told_when_it_is_loaded(text: str, told: str) -> None:
    with pytest.raises(RewardError, match=r"^my\.py:[23]: reward_function takes ") as caught:
        RewardFunction(text, "my.py")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("callable_", ["max", "dict", "print", "type('R', (), {'__call__': lambda self, p: 1.0})()"])
def test_a_function_that_tells_little_of_its_arguments_is_loaded(callable_: str) -> None:
    RewardFunction(f"reward_function = {callable_}", "my.py")
