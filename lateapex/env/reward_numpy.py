"""NumPy as reward files know it, with the names that have left it since AWS's simulator was built.

The simulator has NumPy 1, in which `np.float` is Python's float and `from numpy import *` leaves `max` alone. So a file
that imports numpy is given a module of its own: all that NumPy has now, and beside it what it had. The rest of the
process, other packages that the file imports among it, keeps NumPy as it is; what the file sets in it is its own.

What NumPy 1 did and NumPy 2 still does under protest, such as taking an array of one element for a number, is done
without a word.

Source: the release notes of NumPy 1.18 to 2.4.
"""

from __future__ import annotations

import ast
import builtins
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

import numpy as np

_PLAIN: Final = ("bool", "complex", "float", "int", "object", "str")  # were Python's own
_RENAMED: Final = {
    "Inf": "inf",
    "Infinity": "inf",
    "NAN": "nan",
    "NaN": "nan",
    "PINF": "inf",
    "alltrue": "all",
    "bool8": "bool_",
    "bytes0": "bytes_",
    "cfloat": "complex128",
    "clongfloat": "clongdouble",
    "complex_": "complex128",
    "cumproduct": "cumprod",
    "float_": "float64",
    "infty": "inf",
    "int0": "intp",
    "longcomplex": "clongdouble",
    "longfloat": "longdouble",
    "mat": "asmatrix",
    "object0": "object_",
    "product": "prod",
    "rank": "ndim",
    "round_": "round",
    "row_stack": "vstack",
    "singlecomplex": "complex64",
    "sometrue": "any",
    "str0": "str_",
    "string_": "bytes_",
    "trapz": "trapezoid",
    "uint0": "uintp",
    "unicode_": "str_",
    "void0": "void",
}
_OTHERS: Final[Mapping[str, tuple[Any, str]]] = {
    "NINF": (-np.inf, "-np.inf"),
    "NZERO": (-0.0, "-0.0"),
    "PZERO": (0.0, "0.0"),
    "alen": (lambda a: len(np.atleast_1d(a)), "len"),
    "asfarray": (lambda a, dtype=np.float64: np.asarray(a, dtype), "np.asarray(..., float)"),
    "asscalar": (lambda a: np.asarray(a).item(), ".item()"),
    "in1d": (lambda ar1, ar2, **options: np.isin(np.ravel(ar1), ar2, **options), "np.isin"),
    "long": (int, "int"),
    "math": (math, "import math"),
    "msort": (lambda a: np.sort(a, axis=0), "np.sort(..., axis=0)"),
    "unicode": (str, "str"),
}
_LATER: Final = ("abs", "bool", "long", "max", "min", "pow", "round")  # that import * gives since NumPy 2

FORMER: Final[Mapping[str, tuple[Any, str]]] = {
    **{name: (getattr(builtins, name), name) for name in _PLAIN},
    **{name: (getattr(np, now), f"np.{now}") for name, now in _RENAMED.items()},
    **_OTHERS,
}
"""Each name of old: what it stands for, and what to write now."""


class _Numpy(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)  # what NumPy itself loads when it is asked for


def numpy_of_old() -> ModuleType:
    """Make a module like numpy that has its former names too."""
    module = _Numpy("numpy")
    vars(module).update(vars(np))
    vars(module).update({name: value for name, (value, _) in FORMER.items()})
    loaded = vars(np).keys() & np.__all__  # the others are packages, which nobody means by import *
    module.__all__ = sorted({*loaded, *_RENAMED}.difference(_LATER))  # type: ignore[attr-defined] # made here, without a type
    return module


def builtins_with(modules: Mapping[str, ModuleType]) -> dict[str, Any]:
    """Make builtins for a file that gets these modules by its imports, in place of what the process has."""
    original: Callable[..., Any] = builtins.__import__

    def importing(name: str, *called: Any, **options: Any) -> Any:
        if name in modules:  # what else is imported by name is looked for in it, not in files
            return modules[name]
        module = original(name, *called, **options)
        return modules.get("numpy", module) if module is np else module  # import numpy.linalg

    return {**vars(builtins), "__import__": importing}


def pardon_old_calls(module: str) -> None:
    """Let the code of a module, by its name, do what is to leave NumPy without a warning, or an error where those are.

    This holds from then on: a filter set and taken back around each call would make Python forget which other warnings
    it has shown, and show them at every step.
    """
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=rf"{re.escape(module)}\Z")


def former_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and message of each name of numpy that only a module of old has."""
    imports = [alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    called = {alias.asname or alias.name for alias in imports if alias.name == "numpy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in called:
            found, prefix = [node.attr], f"{node.value.id}."
        elif isinstance(node, ast.ImportFrom) and node.module == "numpy":
            found, prefix = [alias.name for alias in node.names], "numpy."
        else:
            continue
        for name in found:
            if name in FORMER and name not in vars(np):
                yield node.lineno, f"{prefix}{name} has left NumPy and works in rewards alone; write {FORMER[name][1]}"
