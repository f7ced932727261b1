"""How long a store is waited for that does not answer, or asks to come again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

_LONGEST_PAUSE_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long an operation is waited for."""

    connect_s: float = 5.0
    """For a connection."""
    answer_s: float = 30.0
    """For a connected server to send something."""
    total_s: float = 120.0
    """For the whole operation with its repetitions: none begins later."""
    first_pause_s: float = 0.2
    """Before the first repetition; each pause is up to twice as long as the one before, at most 10 s."""


class Repeater:
    """Repeats what failed, with growing pauses.

    Args:
        patience: until when.
        may_pass: whether the same may succeed later that failed so.
        clock, sleep: the time, s, and how to let it pass.
    """

    def __init__(
        self,
        patience: Patience,
        may_pass: Callable[[Exception], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.patience = patience
        self._may_pass = may_pass
        self._clock, self._sleep = clock, sleep

    def __call__(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt returns, or raise what the last one raised."""
        end = self._clock() + self.patience.total_s
        pause = self.patience.first_pause_s
        while True:
            try:
                return attempt()
            except Exception as error:
                # Workers that a fault stopped together shall not come back together.
                wait = pause * random.uniform(0.5, 1.0)
                if not self._may_pass(error) or self._clock() + wait > end:
                    raise
                self._sleep(wait)
                pause = min(2.0 * pause, _LONGEST_PAUSE_S)
