"""Names of things that can be swapped, each imported only when asked for.

A table entry is "package.module:Attribute", or "package.module:Attribute [extra]" where an optional dependency is
needed. Other packages add entries through the entry-point group `lateapex.<kind>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from lateapex.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Table of names of one kind, such as "network" or "sink"."""

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def names(self) -> list[str]:
        """All names, our own first, then those of installed packages."""
        others = (point.name for point in entry_points(group=f"lateapex.{self.kind}"))
        return [*self._entries, *(name for name in others if name not in self._entries)]

    def get(self, name: str) -> T:
        """Import and return what `name` stands for.

        Raises:
            ConfigError: the name is unknown, or the extra that it needs is not installed.
        """
        target, _, extra = self._target(name).partition(" ")
        module, _, attribute = target.partition(":")
        try:
            return cast(T, getattr(import_module(module), attribute))
        except ImportError as error:
            if not extra:
                raise
            install = f"pip install 'lateapex{extra}'"
            raise ConfigError(f"the {self.kind} {name!r} needs {error.name}: {install}") from error

    def _target(self, name: str) -> str:
        if name in self._entries:
            return self._entries[name]
        for point in entry_points(group=f"lateapex.{self.kind}"):
            if point.name == name:
                return point.value
        known = self.names()
        guess = did_you_mean(name, known)
        raise ConfigError(f"no {self.kind} is called {name!r}{guess or '; known: ' + ', '.join(known)}")
