"""A reward function is checked by its text and by what it does with made states."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
from made_tasks import small_task, watched_reward

from lateapex.env.reward import load_reward, reward_names
from lateapex.jobs.check_reward import check_reward, samples
from lateapex.jobs.check_reward_text import PARAMS, check_text
from lateapex.world.track import load_track, track_names

KIDNEY = load_track("kidney")


def faults(text, **settings):
    found = check_reward(textwrap.dedent(text).lstrip("\n"), "reward.py", KIDNEY, **settings)
    assert all(len(finding.message.splitlines()) == 1 for finding in found)
    return [(finding.severity, finding.line, finding.message) for finding in found]


def body(lines, **settings):
    """Faults of a reward function with this body; its first line is line 2."""
    return faults(
        "def reward_function(params):\n" + textwrap.indent(textwrap.dedent(lines).strip("\n"), "    "), **settings
    )


# ------------------------------------------------------------------------------------------------------ made states


def test_the_known_parameters_are_those_that_a_task_gives():
    reward, calls = watched_reward()
    task = small_task(reward=reward)
    task.begin(np.arange(2))
    for _ in range(2):
        task.advance([5, 5])
    assert set(calls[0]) == set(PARAMS)
    seen = set()
    for _, params in samples(KIDNEY):
        reward(params, {"waypoints": [[]]}, np.ones(1, bool), np.zeros(1))
        seen |= set(calls[-1])
    assert seen == set(PARAMS)


@pytest.mark.parametrize("name", track_names())
def test_made_states_lie_on_the_track_as_they_say(name):
    track = load_track(name)
    for word, params in samples(track):
        state = {key: values.tolist()[0] for key, values in params.items()}
        before, after = state["closest_waypoints"]
        assert 0 <= before <= after < len(track.waypoints)
        ends = np.array([track.waypoints[before], track.waypoints[after]])
        middle = np.linalg.norm(ends - [state["x"], state["y"]], axis=1).min()
        assert middle <= np.linalg.norm(ends[1] - ends[0]) + state["distance_from_center"] + 1e-9, word
        assert state["is_offtrack"] == (state["distance_from_center"] > track.width / 2 + 0.08)
        assert not (state["is_offtrack"] and state["all_wheels_on_track"])
    states = [params for _, params in samples(track)]
    assert {bool(state["is_left_of_center"][0]) for state in states} == {True, False}
    assert {bool(state["is_offtrack"][0]) for state in states} == {True, False}
    assert states[0]["steps"][0] == 2
    assert max(state["progress"][0] for state in states) == 100


@pytest.mark.parametrize("name", reward_names())
def test_rewards_that_come_with_the_package_have_no_faults(name):
    assert faults(load_reward(name).text) == []


def test_states_are_tried_in_the_order_of_two_episodes(capsys):
    text = """
    last = []

    def reward_function(params):
        last.append(params['steps'])
        assert last == sorted(last) or params['steps'] == 2 or last[-1] > last[-2], last
        print(last)
        return 1.0
    """
    assert faults(text) == []
    assert capsys.readouterr().out == ""


# -------------------------------------------------------------------------------------------------- what it does


def test_an_error_is_told_with_its_line_and_the_state_and_once():
    ((severity, line, message),) = body("x = 1.0\nreturn x / params['x'] / 0")
    assert (severity, line) == ("error", 3)
    assert message == "ZeroDivisionError float division by zero in the sample 'the start'."


def test_an_error_off_the_track_alone_is_found():
    ((_, line, message),) = body("if params['is_offtrack']:\n    return 1 / 0\nreturn 1.0")
    assert (line, "in the sample 'off the track'" in message) == (3, True)


@pytest.mark.parametrize("value", ["'good'", "float('nan')", "1e6", "[1]"])
def test_what_is_no_reward_is_an_error(value):
    ((severity, line, message),) = body(f"return {value}")
    assert (severity, line) == ("error", 1)
    assert message.startswith("reward_function returned ")
    assert message.endswith("a finite number from -1e5 to 1e5 is needed on every path.")


def test_a_path_without_a_reward_is_proven_by_the_state_that_takes_it():
    ((severity, line, message),) = body("if params['is_left_of_center']:\n    return 1.0")
    assert (severity, line) == ("error", 1)
    assert message.startswith("reward_function returned None in the sample 'the start';")


def test_a_path_without_a_reward_that_no_state_takes_is_a_warning():
    ((severity, line, message),) = body("if params['steps'] < 90000:\n    return 1.0")
    assert (severity, line) == ("warning", 1)
    assert message == "reward_function can come to its end, line 3, without a return; return a number there"


def test_an_index_beyond_the_waypoints_names_the_track_of_the_states():
    ((_, line, message),) = body("return params['waypoints'][5000][0]")
    assert line == 2
    count = len(KIDNEY.waypoints)
    assert message.endswith(f"; the made states lie on kidney, which has {count} waypoints: give yours with --track")


def test_a_loop_that_never_ends_is_given_up_with_its_line():
    ((severity, line, message),) = body(
        "while True:\n    try:\n        pass\n    except Exception:\n        pass", limit=0.05
    )[-1:]
    assert severity == "error"
    assert 2 <= line <= 6
    assert message == "did not come to an end within 0.05 s, in the sample 'the start'; look for a loop that never ends"
    ((_, line, message),) = faults("while 1:\n    a = 2\ndef reward_function(params):\n    return 1.0", limit=0.05)
    assert (line in (1, 2), "while the file was loaded" in message) == (True, True)


def test_a_slow_call_is_a_warning_but_not_the_first_which_may_import():
    times = [0.0, 9.0] + [10.0, 10.05] * 3 + [20.0, 20.35] + [30.0, 30.0] * 4
    ((severity, line, message),) = body("return 1.0", clock=iter(times).__next__)
    assert (severity, line) == ("warning", None)
    assert message.startswith(
        "a call took 0.35 s, in the sample 'the last metre'; every car waits for 15 such a second"
    )
    assert body("return 1.0", clock=iter([0.0, 9.0] + [0.0, 0.05] * 8).__next__) == []


def test_a_file_that_fails_when_loaded_is_told_with_its_line():
    ((severity, line, message),) = faults("import math\nmath.sqrt(-1)\ndef reward_function(params):\n    return 1.0\n")
    assert (severity, line) == ("error", 2)
    assert message.startswith("ValueError ")
    assert "when the file was loaded" in message


def test_a_file_without_the_function_is_an_error():
    ((severity, line, message),) = faults("def reward(params):\n    return 1.0\n")
    assert (severity, line) == ("error", None)
    assert message == "has no reward_function(params); it defines reward"


def test_a_batched_reward_that_pays_otherwise_is_an_error():
    text = """
    def reward_function(params):
        return params['speed']

    def reward_batch(params):
        return params['speed'] * FACTOR
    """
    assert faults(text.replace("FACTOR", "1.0")) == []
    severity, _, message = faults(text.replace("FACTOR", "2.0"))[0]
    assert severity == "error"
    assert message.startswith("reward_batch gives 2 and reward_function 1 in the sample 'the start'; make them agree")


BATCH_ALONE = "reward_batch stands alone: AWS's console calls reward_function(params) only; write that beside it"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import math\n\ndef reward_batch(params):\n    return params['speed']\n", [("warning", 3, BATCH_ALONE)]),
        ("reward_batch = lambda params: params['speed']\n", [("warning", 1, BATCH_ALONE)]),
        ("def reward_batch(params):\n    return params['speed']\n\nreward_function = reward_batch\n", []),
        ("def reward_function(params):\n    reward_batch = 1.0\n    return reward_batch\n", []),
    ],
)
def test_a_reward_batch_without_reward_function_is_a_warning(text, told):
    assert faults(text) == told


# ------------------------------------------------------------------------------------------------ what its text says


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('print "hello"', "this is Python 2; write print(...)"),
        ("raise ValueError, 'no'", "this is Python 2; write raise Error(...)"),
        ("a = 1 <> 2", "this is Python 2; write !="),
        ("a = `1`", "this is Python 2; write repr(...)"),
        ("a = 10L", "this is Python 2; leave out the L"),
        ("a = 010", "this is Python 2; write 0o in front of an octal number, or leave out the zero"),
        ("a = (1", "'(' was never closed: 'a = (1'"),
    ],
)
def test_what_python_3_does_not_take_is_told_with_what_to_write(line, hint):
    assert body(f"{line}\nreturn 1.0") == [("error", 2, f"is not Python 3: {hint}")]


def test_an_old_except_and_mixed_tabs_are_told():
    ((_, line, message),) = body("try:\n    a = 1\nexcept ValueError, error:\n    a = 2\nreturn a")
    assert (line, message) == (4, "is not Python 3: this is Python 2; write except ... as error:")
    ((_, line, message),) = faults("def reward_function(params):\n    a = 1\n\treturn a\n")
    assert (line, "tabs and blanks are mixed" in message) == (3, True)


def test_names_and_methods_of_python_2_are_errors_even_where_no_state_comes_by():
    found = body(
        """
        if params['steps'] > 90000:
            for i in xrange(3):
                params.iteritems()
        return 1.0
        """
    )
    assert found == [
        ("error", 3, "xrange is Python 2; write range"),
        ("error", 4, ".iteritems is Python 2; write .items()"),
    ]


def test_a_name_that_nothing_defines_is_an_error_with_its_line():
    found = body("speed = params['speed']\nif params['steps'] > 90000:\n    return sped + np.pi\nreturn speed")
    assert found == [
        ("error", 4, "nothing defines sped; did you mean 'speed'?"),
        ("error", 4, "np is not imported; put import numpy as np at the top"),
    ]


def test_a_name_that_is_another_functions_own_is_told_so():
    text = (
        "def helper():\n    best = 1.0\n    return best\n\ndef reward_function(params):\n    return helper() + best\n"
    )
    assert faults(text) == [("error", 6, "nothing defines best; another function has it to itself")]


@pytest.mark.parametrize(
    "text",
    [
        "from math import *\ndef reward_function(params):\n    return cos(0.0)\n",
        "def set_up():\n    global best\n    best = 1.0\nset_up()\ndef reward_function(params):\n    return best\n",
        "class Reward:\n    k = 1.0\n    def go(self, params):\n        return self.k\nr = Reward()\n"
        "def reward_function(params):\n    return r.go(params)\n",
        "def reward_function(params):\n    return max(w[0] for w in params['waypoints'])\n",
        "def reward_function(params):\n    def inner(a):\n        return a * k\n    k = 2.0\n    return inner(1.0)\n",
        "try:\n    import numpy as np\nexcept ImportError:\n    np = None\ndef reward_function(params):\n"
        "    return float(np.pi)\n",
        "def reward_function(params):\n    try:\n        return 1.0\n    finally:\n        pass\n",
        "def reward_function(params):\n    while True:\n        return 1.0\n",
        "def reward_function(params):\n    with open('/dev/null'):\n        return 1.0\n",
        "def reward_function(params):\n    if params['x'] > -1e9:\n        return 1.0\n    raise SystemError\n",
        "def reward_function(params):\n    match params['steps']:\n        case 2:\n            return 1.0\n"
        "        case _:\n            return 2.0\n",
        "reward_function = lambda params: 1.0\n",
        "def reward_function(params):\n    if 'lap' in params:\n        return params['lap']\n    return 1.0\n",
        "def reward_function(params):\n    params['mine'] = 2.0\n    return params['mine']\n",
    ],
)
def test_what_is_right_in_python_is_not_complained_of(text):
    assert faults(text) == []


def test_a_parameter_that_never_existed_is_told_under_any_name_of_the_argument():
    found = faults(
        """
        def helper(params):
            return params.get('steering', 0.0)

        def reward_function(state):
            if state['steps'] > 90000:
                return state['heading_angle'] + state['zzzz']
            return 1.0 + helper(state)
        """
    )
    assert found[0] == ("warning", 2, "params has no 'steering'; did you mean 'steering_angle'?")
    assert found[1] == ("error", 6, "params has no 'heading_angle'; did you mean 'heading'?")
    assert found[2][2].startswith("params has no 'zzzz'; it has all_wheels_on_track, ")
    assert len(found) == 3


@pytest.mark.parametrize(
    "test",
    [
        "params['steps'] == 1",
        "1 == params['steps']",
        "params.get('steps') <= 1",
        "params['steps'] < 2",
        "2 > params['steps']",
        "int(params['steps']) == 0",
        "steps == 1.0",
        "self.steps <= 1",
    ],
)
def test_a_test_for_a_first_step_that_never_comes_is_a_warning(test):
    prefix = "class S:\n    pass\n\nself = S()\n\ndef reward_function(params):\n"
    lines = f"steps = params['steps']\nself.steps = params['steps']\nif {test}:\n    return 0.5\nreturn 1.0"
    ((severity, line, message),) = faults(prefix + textwrap.indent(lines, "    "))
    assert (severity, line) == ("warning", 9)
    assert "is never true: the first call of an episode has steps 2; write " in message
    assert message.endswith(" <= 2, or train with --call-at-step-1")


@pytest.mark.parametrize(
    "test", ["steps <= 2", "steps == 2", "steps < 3", "steps > 1", "1 < steps", "n == 1", "steps != 1"]
)
def test_other_tests_of_steps_are_fine(test):
    assert body(f"steps = params['steps']\nn = 1\nif {test}:\n    return 0.5\nreturn 1.0") == []


def test_a_return_without_a_value_is_an_error_where_it_stands():
    ((severity, line, message),) = body("if params['steps'] > 90000:\n    return\nreturn 1.0")
    assert (severity, line) == ("error", 3)
    assert message == "returns no reward here; return a number on every path"
    ((severity, line, message),) = body("reward = 1.0")
    assert (severity, line) == ("error", 1)
    assert message == "reward_function never returns a reward; end it with return float(reward)"


def test_a_doubtful_comparison_is_a_warning_of_pythons_own():
    ((severity, line, message),) = body("if params['steps'] is 3:\n    return 0.5\nreturn 1.0")
    assert (severity, line) == ("warning", 2)
    assert message.startswith('"is" with ')


def test_a_text_that_python_cannot_even_parse_is_told():
    assert check_text("x = " + "(" * 500, "reward.py")[0].message.startswith("is not Python")
    assert check_text("a\x00b", "reward.py")[0].message.startswith("is not Python")
    assert check_text("\ufeffdef reward_function(params):\n    return 1.0\n", "reward.py") == []
