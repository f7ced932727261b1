"""Classes from a user's own Python file, named as `my_file.py:MyClass`.

The file is handed in as text: a run keeps its own copy, and a model's file never brings code along.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import PurePath
from types import ModuleType
from typing import Any

from lateapex.errors import ConfigError, did_you_mean


def is_reference(text: str) -> bool:
    """Whether a text names a class in a file, not one of a table."""
    return ".py:" in text


def file_of(reference: str) -> str:
    """Path of the file that a reference names."""
    return reference.partition(".py:")[0] + ".py"


def class_of(reference: str) -> str:
    """Name of the class."""
    return reference.partition(".py:")[2]


def in_run(reference: str) -> str:
    """The same with the file's name alone, as it stands in a run folder."""
    return f"{PurePath(file_of(reference)).name}:{class_of(reference)}"


def load_class(reference: str, code: Mapping[str, str]) -> type[Any]:
    """Run a file's text and return the class that is named.

    Args:
        reference: `my_file.py:MyClass`.
        code: texts by the file's name.

    Raises:
        ConfigError: the file or class is not there, or running the file fails; with file and line.
    """
    path, name = file_of(reference), class_of(reference)
    text = code.get(PurePath(path).name)
    if text is None:
        raise ConfigError(f"{path} is not there; {reference!r} needs it: give its path, or bring it back into the run")
    module = ModuleType(PurePath(path).stem)
    module.__file__ = path
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}") from None
    except Exception as error:  # whatever the user's file raises
        raise ConfigError(f"{place_of(error, path)}: {type(error).__name__}: {error}") from None
    found = getattr(module, name, None)
    if not isinstance(found, type):
        classes = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        ]
        raise ConfigError(
            f"{path} has no class {name!r}{did_you_mean(name, classes) or '; it has: ' + ', '.join(classes)}"
        )
    return found


def place_of(error: BaseException, path: str) -> str:
    """File and line of the user's file in which an error came up."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path
