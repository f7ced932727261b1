"""Waiting for a store that is away: again and again, told once, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from made_bucket import Clock

from lateapex.errors import RunError, StorageError
from lateapex.workers.waiting import UnwantedError, outlast


def away(clock: Clock, until: float, error: type[Exception] = StorageError) -> Callable[[], str]:
    def do() -> str:
        if clock.now < until:
            raise error("the store does not answer")
        return "done"

    return do


def waited(clock: Clock, until: float, said: list[str] | None = None, **words: Any) -> str:
    tell = [].append if said is None else said.append
    return outlast(away(clock, until), 100.0, tell, clock=clock, sleep=clock.sleep, **words)


def test_what_succeeds_is_done_once_and_nothing_is_said() -> None:
    clock, said = Clock(), []
    assert waited(clock, 0.0, said) == "done"
    assert (clock.pauses, said) == ([], [])


def test_a_store_that_comes_back_is_waited_for_with_growing_pauses_and_that_is_said_once() -> None:
    clock, said = Clock(), []
    assert waited(clock, 20.0, said) == "done"
    assert clock.pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert said == ["the store does not answer; trying again for 100 s"]


def test_after_so_long_its_error_is_raised() -> None:
    clock = Clock()
    with pytest.raises(StorageError, match="the store does not answer"):
        waited(clock, 1e9)
    assert clock.now == 100.0


def test_other_faults_are_not_waited_for() -> None:
    clock = Clock()
    with pytest.raises(RunError):
        outlast(away(clock, 20.0, RunError), 100.0, [].append, clock=clock, sleep=clock.sleep)
    assert clock.pauses == []


def test_what_is_no_longer_wanted_ends_the_waiting() -> None:
    clock = Clock()

    def look_up() -> None:
        if clock.now > 3.0:
            raise UnwantedError

    with pytest.raises(UnwantedError):
        waited(clock, 1e9, look_up=look_up)
    assert clock.pauses == [0.25, 0.5, 1.0, 2.0]
