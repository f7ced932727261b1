"""A call that hangs is told with its line while it hangs; what merely takes long is not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from lateapex.env.reward import RewardFunction
from lateapex.env.reward_watch import Watch

WAITING = """
from test_reward_watch import GATES

def inner():
    entered, go_on = GATES[-1]
    entered.release()
    go_on.acquire()

def reward_function(params):
    inner()
    return 1.0
"""
GATES: list[tuple[threading.Semaphore, threading.Semaphore]] = []


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(check: Callable[[Watch, Clock, list[str], Callable[[], None]], None]) -> None:
    """Hand over a watch, its clock, what it told, and what lets the waiting call return and the next begin."""
    entered, go_on = threading.Semaphore(0), threading.Semaphore(0)
    GATES.append((entered, go_on))
    told: list[str] = []
    clock = Clock()
    reward = RewardFunction(WAITING, "waiting.py")
    watch = Watch(reward, told.append, clock=clock)  # not entered: it looks when the test lets it
    params: dict[str, Any] = {"steps": np.full(2, 31.0)}
    caller = threading.Thread(
        target=lambda: reward(params, {"waypoints": [[], []]}, np.ones(2, np.bool_), np.zeros(2, np.int64))
    )
    caller.start()
    entered.acquire()

    def next_call() -> None:
        go_on.release()
        entered.acquire()

    check(watch, clock, told, next_call)
    go_on.release(2)
    caller.join()
    watch.look()
    assert watch.place is None


def test_a_call_is_told_once_it_hangs_for_a_second_and_again_after_ten() -> None:
    def check(watch: Watch, clock: Clock, told: list[str], _: Any) -> None:
        for clock.now in (0.0, 0.5, 0.99):
            watch.look()
            assert watch.place is None
        clock.now = 1.0
        watch.look()
        assert watch.place == "waiting.py:7"
        for clock.now in (1.0, 5.0, 9.9):
            watch.look()
        assert told == [
            "waiting.py:7: a call of the reward has not come back for 1 s; Ctrl-C ends the run here",
        ]
        clock.now = 10.0
        watch.look()
        assert told[1:] == [
            "waiting.py:7: a call of the reward has not come back for 10 s; Ctrl-C ends the run here",
        ]

    watched(check)


def test_many_calls_that_together_take_long_are_not_told() -> None:
    def check(watch: Watch, clock: Clock, told: list[str], next_call: Callable[[], None]) -> None:
        watch.look()
        clock.now = 0.9
        next_call()
        watch.look()
        clock.now = 1.8
        watch.look()
        assert told == []
        assert watch.place is None

    watched(check)


def test_between_steps_nothing_hangs() -> None:
    told: list[str] = []
    clock = Clock()
    watch = Watch(RewardFunction("def reward_function(params):\n    return 1.0\n", "my.py"), told.append, clock=clock)
    for clock.now in (0.0, 10.0, 100.0):
        watch.look()
    assert told == []
    assert watch.place is None


def test_the_thread_ends_with_the_context() -> None:
    before = threading.active_count()
    with Watch(RewardFunction("def reward_function(params):\n    return 1.0\n", "my.py"), print):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
