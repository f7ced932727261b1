"""What a check has to say of a racer's file: where, what is wrong, and how to mend it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Finding(NamedTuple):
    """One line of a check."""

    severity: Severity
    """error: a run fails or does something else than written; warning: it runs, but hardly as meant."""
    file: str
    line: int | None
    """From 1; None where no single line is to blame."""
    message: str
    """What is wrong and how to mend it."""

    @property
    def place(self) -> str:
        """File and line, as editors take them."""
        return self.file if self.line is None else f"{self.file}:{self.line}"
