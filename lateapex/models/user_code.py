"""Classes from a user's own Python file, named as `my_file.py:MyClass`.

The file is handed in as text: a run keeps its own copy, and a model's file never brings code along.
"""

from __future__ import annotations

import hashlib
import sys
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
    module = _run(text, path)
    found = getattr(module, name, None)
    if not isinstance(found, type):
        own = [key for key, item in vars(module).items() if getattr(item, "__module__", None) == module.__name__]
        classes = [key for key in own if isinstance(vars(module)[key], type)]
        has = f"; it has: {', '.join(classes)}" if classes else "; it defines none"
        raise ConfigError(f"{path} has no class {name!r}{did_you_mean(name, classes) or has}")
    return found


def _run(text: str, path: str) -> ModuleType:
    """Run a file as a module under a name that no other has."""
    try:
        # Without this module's own __future__ imports.
        code = compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}") from None
    except ValueError as error:  # a zero byte
        raise ConfigError(f"{path}: {error}; a Python file is needed") from None
    module = ModuleType(f"_{PurePath(path).stem}_{hashlib.sha256(text.encode()).hexdigest()[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses look their module up by name
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:  # whatever the user's file raises
        raise ConfigError(told(error, path)) from None
    return module


def told(error: BaseException, path: str) -> str:
    """File, line, type and message of an error that came up in the user's file, on one line."""
    return f"{place_of(error, path)}: {type(error).__name__}: {' '.join(str(error).split())}"


def place_of(error: BaseException, path: str) -> str:
    """File and line of the user's file in which an error came up."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path
