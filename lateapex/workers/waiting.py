"""How a job outlasts a store that is away: what failed is done again, until it succeeds or takes too long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from lateapex.errors import StorageError

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0


class UnwantedError(Exception):
    """What was waited for is no longer wanted."""


def outlast(
    do: Callable[[], T],
    patience_s: float,
    tell: Callable[[str], None],
    *,
    look_up: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what `do` returns, done again with growing pauses while the store does not answer.

    Args:
        do: may be done again whatever part of it was done.
        patience_s: after so long the error of the last time is raised.
        tell: gets one line when the waiting begins.
        look_up: called before each pause; raises whatever shall end the waiting, such as `UnwantedError`.
        clock, sleep: this machine's time, s, and how to let it pass.

    Raises:
        StorageError: it does not answer for too long.
    """
    end, pause, told = clock() + patience_s, _FIRST_PAUSE_S, False
    while True:
        try:
            return do()
        except StorageError as error:
            look_up()
            if (left := end - clock()) <= 0.0:
                raise
            if not told:
                told = True
                tell(f"{error}; trying again for {patience_s:g} s")
            sleep(min(pause, left))
            pause = min(2.0 * pause, _LONGEST_PAUSE_S)
