"""NumPy in reward files has its former names; everywhere else it is as it is."""

from __future__ import annotations

import builtins
import math
import pickle
import sys
import warnings
from contextlib import closing, nullcontext
from typing import Literal

import numpy as np
import pytest

from lateapex.env.reward import RewardFunction
from lateapex.env.reward_habits import parsed
from lateapex.env.reward_numpy import FORMER, former_names, numpy_of_old
from lateapex.env.sandbox import SandboxedReward


def paid(text: str, cars: int = 1) -> list[float]:
    params = {"steps": np.full(cars, 2.0)}
    reward = RewardFunction(text, "my.py")
    return reward(params, {"waypoints": [[(0.0, 0.0)]] * cars}, np.ones(cars, bool), np.zeros(cars, np.int64)).tolist()


def test_all_that_numpy_has_is_there_and_the_same_but_for_two_names() -> None:
    old, ours = numpy_of_old(), vars(np)
    apart = {name for name in ours if vars(old)[name] is not ours[name]} - {"__name__", "__all__"}
    assert apart - {name for name in ours if name.startswith("__")} <= {"bool", "long", "row_stack", "trapz", "in1d"}
    assert old.bool is bool
    assert old.testing is np.testing  # which numpy loads when it is asked for
    with pytest.raises(AttributeError, match="module 'numpy' has no attribute 'flaot'"):
        old.flaot  # noqa: B018 - the look-up is what is tried


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("np.float('1.5')", 1.5),
        ("np.array([1, 2], np.int).sum()", 3.0),
        ("np.zeros(2, dtype=np.bool).sum()", 0.0),
        ("len(np.str(12)) + len(np.unicode(1))", 3.0),
        ("np.array([None], np.object).size + np.complex(2).real", 3.0),
        ("np.float_(2) + np.int0(1)", 3.0),
        ("np.product([2, 3]) + np.cumproduct([2, 3])[1]", 12.0),
        ("np.alltrue([1, 0]) + np.sometrue([1, 0])", 1.0),
        ("1.0 / np.Inf + 1.0 / np.NINF + 1.0 / np.infty + np.isnan(np.NaN) + np.isnan(np.NAN)", 2.0),
        ("np.in1d([[1, 2], [3, 4]], [2, 3]).tolist().index(True)", 1.0),
        ("np.in1d([1, 2], [2], invert=True).tolist().index(True)", 0.0),
        ("np.asscalar(np.array([4])) + np.alen([1, 2])", 6.0),
        ("np.msort([[2, 1], [0, 3]])[0, 0] + np.asfarray([1])[0] / 2", 0.5),
        ("np.trapz([1, 3]) + np.row_stack([[1, 2], [3, 4]])[1, 0] + np.rank([[1]])", 7.0),
        ("np.math.hypot(3, 4) + np.round_(2.6)", 8.0),
    ],
)
def test_a_former_name_gives_what_it_gave(call: str, value: float) -> None:
    assert paid(f"import numpy as np\ndef reward_function(params):\n    return {call}\n") == [value]


ONE_ELEMENT = "import numpy as np\ndef reward_function(params):\n    return float(np.array([1.5]))\n"


@pytest.mark.parametrize("action", ["error", "always"])
def test_an_array_of_one_element_is_a_number_without_a_word(action: Literal["error", "always"]) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter(action)
        with pytest.raises(DeprecationWarning) if action == "error" else nullcontext():
            float(np.array([1.5]))
        shown.clear()
        assert paid(ONE_ELEMENT, cars=3) == [1.5] * 3
        assert shown == []


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
def test_it_is_a_number_in_the_sandbox_too(capfd: pytest.CaptureFixture[str]) -> None:
    with closing(SandboxedReward(ONE_ELEMENT, "my.py")) as reward:
        params = {"steps": np.full(2, 2.0)}
        rewards = reward(params, {"waypoints": [[(0.0, 0.0)]] * 2}, np.ones(2, bool), np.zeros(2, np.int64))
    assert rewards.tolist() == [1.5, 1.5]
    assert capfd.readouterr() == ("", "")


def test_what_else_a_reward_warns_of_is_shown_once_however_often_it_is_called() -> None:
    text = "import numpy as np\ndef reward_function(params):\n    return 1.0 + 0.0 * np.isinf(np.float64(1.0) / 0.0)\n"
    params, shared = {"steps": np.full(2, 2.0)}, {"waypoints": [[(0.0, 0.0)]] * 2}
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        reward = RewardFunction(text, "my.py")
        for _ in range(3):
            assert reward(params, shared, np.ones(2, bool), np.zeros(2, np.int64)).tolist() == [1.0, 1.0]
    assert [(warning.category, warning.lineno) for warning in shown] == [
        (RuntimeWarning, 3)
    ] * 2  # a module for each car


def test_the_process_and_other_packages_keep_numpy_as_it_is() -> None:
    before, importing = dict(vars(np)), builtins.__import__
    text = """
import numpy as np
np.float = lambda text: 7.0
np.mine = getattr(np, "mine", 0) + 1
import numpy
def reward_function(params):
    return np.float("1") + np.mine + (numpy is np)
"""
    assert paid(text, cars=3) == [9.0] * 3
    assert vars(np) == before
    assert builtins.__import__ is importing
    assert not hasattr(np, "mine")


def test_arrays_of_a_file_are_arrays_of_the_process() -> None:
    old = numpy_of_old()
    assert type(old.array([1.0])) is np.ndarray
    assert pickle.loads(pickle.dumps(old.array([1.0]))) == np.array([1.0])
    assert old.random is np.random


def test_a_former_name_is_noted_with_its_line_and_one_that_numpy_has_is_not() -> None:
    text = "import numpy as np\nfrom numpy import Inf, sqrt\nx = np.float(np.float64(1)) + other.float\n"
    assert sorted(former_names(parsed(text))) == [
        (2, "numpy.Inf has left NumPy and works in rewards alone; write np.inf"),
        (3, "np.float has left NumPy and works in rewards alone; write float"),
    ]


@pytest.mark.parametrize("name", sorted(FORMER))
def test_what_a_note_says_to_write_is_there(name: str) -> None:
    mend = FORMER[name][1].partition("(")[0]
    if mend not in (".item", "import math"):
        assert eval(mend, {"np": np}) is not None
    assert FORMER["math"][0] is math
