"""Classes from a user's own Python file, named as `my_file.py:MyClass`.

The file is handed in as text: a run keeps its own copy, and a model's file never brings code along. It stands alone: it
may import what is installed, but no file beside it, since that would not come along.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from types import CodeType, ModuleType
from typing import Any

from lateapex.env.reward import python_text
from lateapex.env.reward_habits import why_not_python
from lateapex.errors import ConfigError, did_you_mean
from lateapex.storage import is_far, read_far


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


def read_code(path: str) -> str:
    """Text of a user's file; nothing is run.

    Raises:
        ConfigError: it is not there, no Python file, or imports one that lies beside it.
    """
    file = Path(path)
    try:
        text = python_text(read_far(path) if is_far(path) else file.read_bytes())
    except FileNotFoundError:
        names = [other.name for other in file.parent.glob("*.py")] if file.parent.is_dir() else []
        raise ConfigError(f"no file is at {path}{did_you_mean(file.name, names)}") from None
    except (OSError, ValueError, SyntaxError) as error:  # no text, or a zero byte in the path
        raise ConfigError(f"cannot read {path}: {error}; a Python file in UTF-8 is needed") from None
    _compiled(text, path)
    for line, name in _imports(text):
        if (file.parent / f"{name}.py").is_file():
            raise ConfigError(
                f"{path}:{line}: imports {name}.py, which lies beside it; a run keeps a copy of {file.name} alone: "
                f"put what it needs of {name}.py into it, or install that as a package"
            )
    return text


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
    if not name.isidentifier():
        raise ConfigError(f"{reference!r} names no class; write {path}:MyClass")
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
    code = _compiled(text, path)
    module = ModuleType(f"_{PurePath(path).stem}_{hashlib.sha256(text.encode()).hexdigest()[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses look their module up by name
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:  # whatever the user's file raises
        sys.modules.pop(module.__name__, None)
        raise ConfigError(told(error, path)) from None
    return module


def _compiled(text: str, path: str) -> CodeType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # the user's own affair
            warnings.simplefilter("ignore", DeprecationWarning)  # what they were before Python 3.12
            # Without this module's own __future__ imports.
            return compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        line, reason = why_not_python(error, text)
        raise ConfigError(f"{path}:{line}: {reason}" if line else f"{path} {reason}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a zero byte; the last two: nested too deep
        raise ConfigError(f"{path}: {error}; a Python file is needed") from None


def _imports(text: str) -> Iterator[tuple[int, str]]:
    """Line and first name of whatever a text imports, anywhere in it; relative to the file or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # see _compiled
        tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.lineno, name.partition(".")[0]) for name in names)


def told(error: BaseException, path: str) -> str:
    """File, line, type and message of an error that came up in the user's file, on one line."""
    return f"{place_of(error, path)}: {type(error).__name__}: {' '.join(str(error).split())}"


def place_of(error: BaseException, path: str) -> str:
    """File and line of the user's file in which an error came up."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path
