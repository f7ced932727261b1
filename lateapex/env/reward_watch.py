"""Watches calls of a reward function from beside, and names the line where one hangs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from lateapex.env.reward_base import Reward

HANGING: Final = 1.0
"""Seconds after which a call that has not come back is told."""
_AGAIN: Final = 10.0  # times as long until it is told again


class Watch:
    """A context in which hanging calls are told, while they hang.

    Args:
        tell: gets one line, from another thread.
        hanging: seconds.
    """

    def __init__(
        self,
        reward: Reward,
        tell: Callable[[str], None],
        *,
        hanging: float = HANGING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reward = reward
        self._tell = tell
        self._hanging = hanging
        self._clock = clock
        self._call = -1
        self._since = 0.0
        self._told_at = hanging
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reward watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def place(self) -> str | None:
        """File and line at which a call hangs now; None: none hangs."""
        thread, call = self._reward.running
        if thread is None or call != self._call or self._clock() - self._since < self._hanging:
            return None
        line = _line(sys._current_frames().get(thread), self._reward.source)
        return f"{self._reward.source}:{line}" if line else self._reward.source

    def look(self) -> None:
        """Look once, and tell what hangs."""
        thread, call = self._reward.running
        if thread is None or call != self._call:
            self._call, self._since, self._told_at = call, self._clock(), self._hanging
        elif (seconds := self._clock() - self._since) >= self._told_at and (place := self.place):
            self._told_at *= _AGAIN
            self._tell(f"{place}: a call of the reward has not come back for {seconds:.0f} s; Ctrl-C ends the run here")

    def _run(self) -> None:
        while not self._over.wait(self._hanging / 4):
            self.look()


def _line(frame: FrameType | None, source: str) -> int | None:
    """Line of the innermost frame of a file."""
    while frame is not None and frame.f_code.co_filename != source:
        frame = frame.f_back
    return frame.f_lineno if frame else None
