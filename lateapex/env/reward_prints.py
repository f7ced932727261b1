"""What a reward function prints: caught, cut to a rate that a log can hold, and counted beyond it.

The rate counts steps of all cars, not seconds, so that equal runs have equal logs.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

LINES: Final = 30
"""Lines that are kept of each `STEPS` steps, over all cars."""
STEPS: Final = 15
"""A second of driving."""
WIDTH: Final = 500
"""Characters that are kept of a line."""


class Prints:
    """Holds what was printed until `take` fetches it."""

    def __init__(self) -> None:
        self.left_out = 0
        """Lines that were printed beyond the rate, since the beginning."""
        self._kept: list[str] = []
        self._begun = ""  # of a line that has no end yet
        self._steps = 0
        self._room = LINES
        self._over = 0  # left out in this second

    @contextmanager
    def step(self) -> Iterator[None]:
        """Catch what this thread prints; what others print goes where it went."""
        self.tick()
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = _Caught(self.add, before[0]), _Caught(self.add, before[1])
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before

    def add(self, text: str) -> None:
        """Take text as it comes, in pieces or whole lines."""
        if not self._room:
            self._over += text.count("\n")
            self._begun = "" if "\n" in text else self._begun
            return
        *lines, self._begun = f"{self._begun}{text}".split("\n")
        self._begun = self._begun[:WIDTH]
        self._kept += [f"{line[:WIDTH]}\n" for line in lines[: self._room]]
        self._over += max(len(lines) - self._room, 0)
        self._room = max(self._room - len(lines), 0)

    def tick(self) -> None:
        """Count a step."""
        if self._steps % STEPS == 0:
            self._tell_over()
            self._room = LINES
        self._steps += 1

    def add_counted(self, text: str, left_out: int) -> None:
        """Take what `fetch` gave in another process, in the same step."""
        self._kept.append(text)
        self._over += left_out

    def fetch(self) -> tuple[str, int]:
        """Whole lines that came since the last time, and how many were left out."""
        text, over = "".join(self._kept), self._over
        self._kept, self._over = [], 0
        return text, over

    def take(self) -> str:
        """Whole lines that came since the last time, and a line on those that were left out."""
        self._tell_over()
        return self.fetch()[0]

    def _tell_over(self) -> None:
        if self._over:
            self.left_out += self._over
            self._kept.append(f"... and {self._over} lines more\n")
            self._over = 0


class _Caught(io.TextIOBase):
    """Stands in for stdout or stderr."""

    def __init__(self, add: Any, outer: Any) -> None:
        self._add = add
        self._thread = threading.get_ident()
        self.outer = outer
        self.buffer = _Bytes(self)
        # Of a stream that stands in for another, rich asks where to write itself.
        self.rich_proxied_file = getattr(outer, "rich_proxied_file", outer)

    @property
    def encoding(self) -> str:  # type: ignore[override] # read-only here
        return "utf-8"

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            self.outer.write(text)
        else:
            self._add(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits here."""

    def writable(self) -> bool:
        return True


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`."""

    def __init__(self, text: _Caught) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        self._text.write(bytes(data).decode(errors="replace"))
        return len(data)

    def writable(self) -> bool:
        return True
