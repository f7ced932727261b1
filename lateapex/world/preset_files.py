"""Presets that are TOML files of the package, and files of users that stand in their place."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from lateapex.errors import ConfigError, did_you_mean


class PresetText(NamedTuple):
    """What a name or path stands for."""

    text: str
    """TOML"""
    source: str
    """The file's name, for messages."""
    name: str | None
    """Of the preset; None: it is a user's file."""


class PresetFiles(NamedTuple):
    """The presets of one kind."""

    kind: str
    """What each is, for messages."""
    folder: str
    """Within the package's data."""
    example: str
    """Name of a user's file, for messages."""
    start: str
    """What to type for one to start from."""

    def names(self) -> list[str]:
        """Names of the presets, sorted."""
        return names_in(self.folder)

    def read(self, name_or_path: str | Path) -> PresetText:
        """Read a preset by its name, or a user's file.

        Args:
            name_or_path: text is a path where `is_path` says so.

        Raises:
            ConfigError: no such name or file, or it cannot be read.
        """
        text = str(name_or_path)
        if isinstance(name_or_path, Path) or is_path(text):
            path = Path(name_or_path)
            return PresetText(self._text_of(path), str(path), None)
        if text not in self.names():
            other = f"give the path of a file such as {self.example}"
            raise ConfigError(f"no {self.kind} is called {text!r}{self._guess(text)}, or {other}")
        file = resources.files("lateapex") / "data" / self.folder / f"{text}.toml"
        return PresetText(file.read_text(encoding="utf-8"), file.name, text)

    def check_base(self, base: object, source: str) -> None:
        """See that what a file builds on is a preset; `source` is the file's name.

        Raises:
            ConfigError: it is none.
        """
        if base not in self.names():
            raise ConfigError(f"{source}: base is {base!r}, which is no preset{self._guess(str(base))}")

    def _guess(self, name: str) -> str:
        return did_you_mean(name, self.names()) or "; known: " + ", ".join(self.names())

    def _text_of(self, path: Path) -> str:
        try:
            return path.expanduser().read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ConfigError(f"there is no {self.kind} file {path}; {self.start} prints one to start from") from None
        except (
            OSError,
            RuntimeError,
            ValueError,
        ) as error:  # RuntimeError: ~ of nobody; ValueError: no UTF-8, a zero byte
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot read {path}: {reason}; a TOML file is needed") from None


def names_in(folder: str) -> list[str]:
    """Names of the TOML files in a folder of the package's data, sorted."""
    files = (resources.files("lateapex") / "data" / folder).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def is_path(text: str) -> bool:
    """Whether a text is the path of a file, not the name of a preset: it has a separator, `~`, or ends in .toml."""
    return "/" in text or text.startswith("~") or text.endswith(".toml")
