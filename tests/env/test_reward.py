"""What becomes of what a reward function returns or raises, how its file is loaded, and that cars do not share it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_tasks import at, small_task, watched_reward
from numpy.typing import NDArray

from lateapex.env.reward import RewardFunction, load_reward, reward_names
from lateapex.errors import RewardError


def called(text: str, cars: int = 1, *, needed: list[bool] | None = None, batched: bool = True) -> NDArray[np.float64]:
    """Rewards of one call of a reward file with parameters of step 31, episode 2."""
    return call(RewardFunction(text, "my.py", batched=batched), cars, needed)


def call(reward: RewardFunction, cars: int = 1, needed: list[bool] | None = None) -> NDArray[np.float64]:
    params = {"steps": np.full(cars, 31.0), "heading": np.arange(cars) / 8, "all_wheels_on_track": np.ones(cars, bool)}
    paid = np.array(needed if needed is not None else [True] * cars)
    return reward(params, {"waypoints": [[(0.0, 0.0), (1.0, 0.0)]] * cars}, paid, np.full(cars, 2))


def returning(expression: str) -> str:
    return f"import math, numpy as np\ndef reward_function(params):\n    return {expression}\n"


# ------------------------------------------------------------------------------------------ what it returns


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1", 1.0),
        ("-0.25", -0.25),
        ("True", 1.0),
        ("np.float32(0.5)", 0.5),
        ("np.float64(0.1)", 0.1),
        ("np.int64(-3)", -3.0),
        ("np.array(2.5)", 2.5),
        ("np.bool_(False)", 0.0),
        ("1e5", 1e5),
        ("-100000", -1e5),
    ],
)
def test_numbers_of_any_kind_are_rewards(expression: str, value: float) -> None:
    assert called(returning(expression)).tolist() == [value]


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("None", "None"),
        ("math.nan", "nan"),
        ("math.inf", "inf"),
        ("-np.inf", "-inf"),
        ("np.float32('nan')", "np.float32(nan)"),
        ("2e5", "200000.0"),
        ("-100001", "-100001"),
        ("10 ** 400", "1000000"),
        ("'one'", "'one'"),
        ("'nan'", "'nan'"),
        ("[1.0]", "[1.0]"),
        ("1j", "1j"),
        ("params", "{"),
        ("np.zeros((40, 40))", "array("),
    ],
)
def test_what_is_no_reward_is_refused_on_one_line(expression: str, shown: str) -> None:
    with pytest.raises(RewardError) as caught:
        called("\n\n" + returning(expression))
    message = str(caught.value)
    assert message.startswith(f"my.py:4: reward_function returned {shown}")
    assert "at step 31 of episode 2; a finite number from -1e5 to 1e5 is needed on every path." in message
    assert "params: steps: 31, heading: 0, all_wheels_on_track: True, waypoints: 2 points" in message
    assert "\n" not in message
    assert len(message) < 500


# ------------------------------------------------------------------------------------------ what it raises


def failure(body: str, before: str = "") -> str:
    with pytest.raises(RewardError) as caught:
        called(f"{before}\ndef reward_function(params):\n    {body}\n    return 1.0\n")
    message = str(caught.value)
    assert "\n" not in message
    assert "params: steps: 31, heading: 0" in message
    return message


def test_an_exception_is_told_with_line_step_episode_and_parameters() -> None:
    assert failure("1 / 0").startswith("my.py:3: ZeroDivisionError division by zero, at step 31 of episode 2. params: ")


def test_a_parameter_that_does_not_exist_is_told_with_the_nearest() -> None:
    message = failure("params['headin']")
    assert (
        "my.py:3: KeyError 'headin', at step 31 of episode 2. params has no 'headin'; did you mean 'heading'? params: "
        in message
    )


@pytest.mark.parametrize("key", ["7", "'heading'", "(1, 2)", "None"])
def test_a_key_that_the_racers_own_table_lacks_is_not_blamed_on_params(key: str) -> None:
    assert "params has" not in failure(f"{{'a': 1}}[{key}]")


def test_the_line_is_the_innermost_of_the_racers_own() -> None:
    before = "import math\ndef root(x):\n    return math.sqrt(x)\n"
    assert failure("root(-1)", before).startswith("my.py:3: ValueError")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise SystemExit(3)", "SystemExit 3"),
        ("exit('enough')", "SystemExit enough"),
        ("reward_function(params)", "RecursionError maximum recursion depth exceeded"),
        ("raise ValueError('two\\nlines')", "ValueError two lines,"),
        ("raise KeyError", "KeyError, at step"),
        ("assert params['heading'] > 0", "AssertionError, at step"),
    ],
)
def test_whatever_is_raised_is_told_on_one_line(body: str, told: str) -> None:
    assert told in failure(body)


def test_parameters_that_the_function_spoilt_do_not_spoil_the_message() -> None:
    spoil = "params['mine'] = np.zeros((9, 9)); params['waypoints'] = 3; "
    spoil += "params['heading'] = 0.0; params['long'] = 'x' * 999"
    assert len(failure(f"{spoil}; 1 / 0", "import numpy as np")) < 500


def test_the_error_of_any_car_ends_the_step() -> None:
    with pytest.raises(RewardError, match=r"heading: 0\.375"):
        called("def reward_function(params):\n    return 1 / (params['heading'] - 0.375)\n", 5)


# ------------------------------------------------------------------------------------------ loading


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x = 1\ndef reward_function(params)\n    return 1\n",
            r"^my\.py:2: is not Python 3: expected ':': 'def reward_function\(params\)'$",
        ),
        ("def reward_function(params):\nreturn 1\n", r"^my\.py:2: is not Python 3: expected an indented block"),
        ("print 'hello'\n", r"^my\.py:1: is not Python 3: this is Python 2; write print\(\.\.\.\)$"),
        ("x = 1\0\n", r"^my\.py(:1)? is not Python 3: source code string cannot contain null bytes$"),
        ("x = " + "-" * 100_000 + "1", r"^my\.py: .*; a Python file is needed$"),
        ("", r"^my\.py has no reward_function\(params\); it defines no function$"),
        (
            "def reward(params):\n    return 1\n",
            r"^my\.py has no reward_function\(params\); it defines reward$",
        ),
        ("reward_function = 3\n", r"^my\.py has no reward_function\(params\); it defines no function$"),
        (
            "\nimport no_such_module\n",
            r"^my\.py:2: ModuleNotFoundError No module named 'no_such_module', when the file",
        ),
        ("def f():\n    1 / 0\nf()\n", r"^my\.py:2: ZeroDivisionError division by zero, when the file was loaded$"),
        ("raise SystemExit\n", r"^my\.py:1: SystemExit, when the file was loaded$"),
        ("raise ValueError('two\\nlines')\n", r"^my\.py:1: ValueError two lines, when the file was loaded$"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_told_on_one_line(text: str, message: str) -> None:
    with pytest.raises(RewardError, match=message) as caught:
        RewardFunction(text, "my.py")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_file_may_define_dataclasses_and_look_at_its_own_name() -> None:
    text = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Weights:
    pace: float = 0.5

WEIGHTS = Weights()

def reward_function(params):
    return WEIGHTS.pace if __name__ == "reward_function" else 0.0
"""
    assert called(text, 3).tolist() == [0.5, 0.5, 0.5]


def test_a_file_is_read_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_bytes(b"def reward_function(params):\r\n    return 0.75 # \xc3\xa4\r\n")
    reward = load_reward(path)
    assert call(reward).tolist() == [0.75]
    assert reward.source == str(path)
    assert reward.text == "def reward_function(params):\n    return 0.75 # ä\n"


def test_the_byte_order_mark_of_some_editors_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_bytes(b"\xef\xbb\xbf" + returning("2.0").encode())
    assert call(load_reward(path)).tolist() == [2.0]


def test_a_shipped_reward_is_loaded_by_its_name() -> None:
    assert "centre_line" in reward_names()
    assert "def reward_function(params):" in load_reward("centre_line").text


@pytest.mark.parametrize(
    ("make", "word", "message"),
    [
        (None, "centre_lin", r"no reward file is at centre_lin; did you mean 'centre_line'\?; give the path"),
        (
            None,
            "{}/absent.py",
            r"no reward file is at .*/absent\.py; give the path of a Python file, or one of: .*centre_line",
        ),
        ("folder", "{}/my.py", r"^cannot read .*/my\.py: .*[Ii]s a directory.*; a Python file in UTF-8 is needed$"),
        (
            b"# \xe4\n",
            "{}/my.py",
            r"^cannot read .*/my\.py: .*can't decode byte 0xe4.*; a Python file in UTF-8 is needed$",
        ),
        (None, "my\0.py", r"^cannot read my.*\.py: embedded null byte; a Python file in UTF-8 is needed$"),
        (b"", "{}/my.py/more.py", r"^cannot read .*/more\.py: .*Not a directory.*; a Python file in UTF-8 is needed$"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, make: bytes | str | None, word: str, message: str) -> None:
    path = tmp_path / "my.py"
    if isinstance(make, bytes):
        path.write_bytes(make)
    elif make:
        path.mkdir()
    with pytest.raises(RewardError, match=message):
        load_reward(word.format(tmp_path))


# ------------------------------------------------------------------------------------------ many cars

COUNTING = """
calls = 0
first = []

def reward_function(params):
    global calls
    calls += 1
    first.append(params["heading"])
    return calls + first[0]
"""


def test_what_the_module_remembers_belongs_to_one_car() -> None:
    reward = RewardFunction(COUNTING, "my.py")
    assert call(reward, 3).tolist() == [1, 1.125, 1.25]
    assert call(reward, 3, [True, False, True]).tolist() == [2, 0, 2.25]
    assert call(reward, 3).tolist() == [3, 2.125, 3.25]
    assert call(RewardFunction(COUNTING, "my.py"), 3).tolist() == [1, 1.125, 1.25]


def test_a_car_that_is_not_paid_gets_nothing_and_no_call() -> None:
    assert called(
        "def reward_function(params):\n    return 1 / params['heading']\n", 3, needed=[False, True, True]
    ).tolist() == [
        0,
        8,
        4,
    ]


SPOILING = """
import numpy as np

def reward_function(params):
    seen = len(params["waypoints"]) + params["track_length"] + params["closest_waypoints"][0] + params["x"]
    params["waypoints"].clear()
    params["closest_waypoints"][0] = 10_000
    params["objects_location"].append((1, 2))
    params.clear()
    return seen
"""

SPOILING_BATCH = """
import numpy as np

def reward_batch(params):
    points = np.array([len(waypoints) for waypoints in params["waypoints"]])
    seen = points + params["track_length"] + params["closest_waypoints"][:, 0] + params["x"] + params["is_reversed"]
    for waypoints in params["waypoints"]:
        waypoints.clear()
    for values in params.values():
        if isinstance(values, np.ndarray):
            values[:] = 77
    return seen
"""


@pytest.mark.parametrize("text", [SPOILING, SPOILING_BATCH])
def test_what_a_reward_does_to_its_parameters_reaches_nobody(text: str) -> None:
    kind = RewardFunction(text, "spoiling.py")
    honest, _ = watched_reward(
        "len(params['waypoints']) + params['track_length'] + params['closest_waypoints'][0] + params['x']"
    )
    outcomes = []
    for reward in (kind, honest):
        task = small_task(["oval", "kidney"], 4, reward=reward)
        task.begin(np.arange(4), at([0.0, 0.1, 0.2, 0.3]))
        results = [task.advance([5, 6, 5, 6])[0] for _ in range(5)]
        outcomes.append((np.array(results), task.rows["progress"].copy(), task.episodes.copy()))
    for spoilt, kept in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(spoilt, kept)


BATCH = """
def reward_function(params):
    return params["heading"]

def reward_batch(params):
    return {}
"""


def test_reward_batch_is_used_where_it_is_there_and_wanted() -> None:
    text = BATCH.format("params['heading']")
    assert called(text, 3).tolist() == [0, 0.125, 0.25]
    # 1e-7 of itself more is equal enough, and tells which of the two was used
    text = BATCH.format("params['heading'] * (1 + 1e-7)")
    assert called(text, 3, needed=[True, False, True]).tolist() == [0, 0, 0.25 * (1 + 1e-7)]
    assert called(text, 3, batched=False).tolist() == [0, 0.125, 0.25]


def test_reward_batch_may_stand_alone() -> None:
    text = "def reward_batch(params):\n    return params['heading'] + 100\n"
    assert called(text, 3).tolist() == [100, 100.125, 100.25]
    assert called(text, 1, batched=False).tolist() == [100]


def test_reward_batch_that_disagrees_is_told_with_both_values_and_the_place() -> None:
    message = (
        r"^my\.py: reward_batch gives 100\.25 and reward_function 0\.25, at step 31 of episode 2; "
        r"make them agree, or remove reward_batch$"
    )
    with pytest.raises(RewardError, match=message):
        called(BATCH.format("params['heading'] + 100"), 3, needed=[False, False, True])


def test_reward_batch_is_compared_on_the_first_ten_steps_and_sixteen_cars_alone() -> None:
    late = """
steps = 0
def reward_function(params):
    return 0.0
def reward_batch(params):
    global steps
    steps += 1
    return [float(steps > 10 or car >= 16) for car in range(len(params["heading"]))]
"""
    reward = RewardFunction(late, "my.py")
    assert [call(reward, 18).sum() for _ in range(12)] == [2.0] * 10 + [18.0] * 2


def test_what_reward_batch_remembers_is_not_what_the_compared_function_remembers() -> None:
    text = """
calls = 0
def reward_function(params):
    global calls
    calls += 1
    return calls
def reward_batch(params):
    global calls
    calls += 1
    return [calls] * len(params["heading"])
"""
    reward = RewardFunction(text, "my.py")
    assert [call(reward, 3).tolist() for _ in range(12)] == [[n] * 3 for n in range(1, 13)]


def test_reward_batch_gets_every_parameter_that_reward_function_gets_and_equal_values() -> None:
    from made_tasks import CALLS

    CALLS.append([])
    text = f"""
from made_tasks import CALLS
def reward_batch(params):
    CALLS[{len(CALLS) - 1}].append(params)
    return params["steps"]
"""
    single, calls = watched_reward()
    for reward in (RewardFunction(text, "my.py"), single):
        task = small_task(["oval", "kidney"], 3, reward=reward)
        task.begin(np.arange(3), at([0.1, 0.4, 0.8], 0.1))
        for _ in range(2):
            task.advance([5, 6, 7])
    (batch,) = CALLS[-2] if CALLS[-1] is calls else CALLS[-1]
    assert set(batch) == set(calls[0])
    assert "speed" in batch
    assert batch.get("no such") is None
    for car, params in enumerate(calls):
        for name, value in params.items():
            found = batch[name][car]
            assert (found.tolist() if isinstance(found, np.ndarray | np.generic) else found) == value, name


def test_parameters_that_a_batch_does_not_ask_for_are_not_made() -> None:
    class Counting(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            made.append(name)
            return super().__getitem__(name)

    made: list[str] = []
    params = Counting(steps=np.ones(2), heading=np.zeros(2), x=np.zeros(2))
    reward = RewardFunction("def reward_batch(params):\n    return params['x'] + params['x']\n", "my.py")
    reward(params, {"waypoints": [[], []]}, np.ones(2, bool), np.zeros(2, np.int64))
    assert made == ["x"]


def test_calls_and_their_time_are_counted() -> None:
    reward = RewardFunction(returning("1.0"), "my.py")
    call(reward, 3, [True, False, True])
    call(reward, 3)
    assert reward.calls == 5
    assert 0.0 < reward.seconds < 60.0


def test_reward_batch_is_not_judged_for_cars_that_are_not_paid() -> None:
    text = "import numpy as np\ndef reward_batch(params):\n    return np.where(params['heading'] > 0, 1.0, np.nan)\n"
    assert called(text, 3, needed=[False, True, True]).tolist() == [0, 1, 1]
    assert called("def reward_function(p): pass\ndef reward_batch(p): 1 / 0", 2, needed=[False, False]).tolist() == [
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1.0", r"^my\.py: reward_batch returned shape \(\)"),
        ("None", r"^my\.py: reward_batch returned shape \(\)"),
        ("params['heading'][:2]", r"^my\.py: reward_batch returned shape \(2,\)"),
        ("[1.0, 2.0, float('nan')]", r"values \[1\.0, 2\.0, nan\]; 3 finite numbers from -1e5 to 1e5 are needed$"),
        ("[1.0, 2e5, 3.0]", r"3 finite numbers from -1e5 to 1e5 are needed$"),
        ("'text'", r"^my\.py: ValueError could not convert string to float: 'text', in reward_batch$"),
        ("params['no_such']", r"^my\.py:6: KeyError 'no_such', in reward_batch$"),
        ("exit(1)", r"^my\.py:6: SystemExit 1, in reward_batch$"),
    ],
)
def test_a_reward_batch_that_fails_is_told(expression: str, message: str) -> None:
    with pytest.raises(RewardError, match=message) as caught:
        called(BATCH.format(expression), 3)
    assert re.search(r"\n", str(caught.value)) is None
