"""Makes what works in another process."""

from __future__ import annotations

from typing import Protocol, TypeVar

Made = TypeVar("Made", covariant=True)


class Maker(Protocol[Made]):
    """Makes something in the process where it is to be; travels there as bytes."""

    def begin(self) -> None:
        """Set up a process that makes nothing else."""
        ...

    def __call__(self) -> Made:
        """Make it.

        Raises:
            LateapexError: it cannot be made.
        """
        ...
