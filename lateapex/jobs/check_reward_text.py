"""What the text of a reward function gives away, without running it.

Names that nothing defines, parameters that never existed, the test for a first step that never comes, a way out
without a reward, a `reward_batch` that AWS would not call, and what is left of Python 2.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterator
from typing import Final

from lateapex.env.reward_habits import (
    OLD_METHODS,
    OLD_NAMES,
    first_step_tests,
    is_params,
    params_names,
    unseeded,
    why_not_python,
)
from lateapex.env.reward_numpy import former_names
from lateapex.errors import did_you_mean
from lateapex.jobs.findings import Finding

PARAMS: Final = (
    "all_wheels_on_track",
    "closest_objects",
    "closest_waypoints",
    "distance_from_center",
    "heading",
    "is_crashed",
    "is_left_of_center",
    "is_offtrack",
    "is_reversed",
    "object_in_camera",
    "objects_distance",
    "objects_distance_from_center",
    "objects_heading",
    "objects_left_of_center",
    "objects_location",
    "objects_speed",
    "progress",
    "projection_distance",
    "sim_time",
    "speed",
    "steering_angle",
    "steps",
    "track_length",
    "track_width",
    "waypoints",
    "x",
    "y",
)
"""What a reward function is given."""

_IMPORTS: Final = {"math": "math", "np": "numpy as np", "numpy": "numpy", "random": "random", "time": "time"}


def check_text(text: str, file: str) -> list[Finding]:
    """Find what is wrong in the text of a reward file; `file` is its name, for the findings."""
    text = text.removeprefix("\ufeff")
    try:
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            tree = compile(text, file, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
            compile(text, file, "exec", dont_inherit=True)
            table = symtable.symtable(text, file, "exec")
    except SyntaxError as error:
        number, reason = why_not_python(error, text)
        return [Finding("error", file, number, reason)]
    except (ValueError, RecursionError, MemoryError) as error:
        return [Finding("error", file, None, f"is not Python: {error}; a text file in UTF-8 is needed")]
    assert isinstance(tree, ast.Module)
    habits = {(note.lineno, str(note.message)) for note in noted if issubclass(note.category, SyntaxWarning)}
    found = [Finding("warning", file, line, message) for line, message in habits]
    for check in (_undefined, _old_methods, _unknown_params, _habits, _ways_out, _batch_alone):
        found += [
            Finding("error" if wrong else "warning", file, line, message) for line, wrong, message in check(tree, table)
        ]
    return sorted(found, key=lambda finding: (finding.line or 0, finding.message))


_Fault = tuple[int, bool, str]
"""Line, whether it is an error, message."""


def _undefined(tree: ast.Module, table: symtable.SymbolTable) -> Iterator[_Fault]:
    scopes = list(_scopes(table))
    if _imports_all(tree):
        return
    defined = {item.get_name() for item in table.get_symbols() if _gives(item)}
    defined |= {item.get_name() for scope in scopes for item in scope.get_symbols() if item.is_declared_global()}
    known = defined | set(dir(builtins)) | {"__builtins__", "__doc__", "__file__", "__name__"}
    used = {
        item.get_name()
        for scope in scopes
        for item in scope.get_symbols()
        if item.is_referenced() and (item.is_global() or scope is table) and item.get_name() not in known
    }
    certain = not used or "globals" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in sorted(used):
        line = _line_of_use(name, tree, scopes)
        if name in OLD_NAMES:
            yield line, certain, f"{name} is Python 2; write {OLD_NAMES[name]}"
        elif name in _IMPORTS:
            yield line, certain, f"{name} is not imported; put import {_IMPORTS[name]} at the top"
        else:
            inner = _locals(scopes)
            near = "; another function has it to itself" if name in inner else did_you_mean(name, {*defined, *inner})
            yield line, certain, f"nothing defines {name}{near or '; set it before it is used'}"


def _imports_all(tree: ast.Module) -> bool:
    """Whether names come in that the text does not show."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return any(alias.name == "*" for node in imports for alias in node.names)


def _line_of_use(name: str, tree: ast.Module, scopes: list[symtable.SymbolTable]) -> int:
    """The first line where a name is used that is not a function's own."""
    owners = {(scope.get_name(), scope.get_lineno()) for scope in scopes if name in _locals([scope])}
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    owned = {inner for node in functions if (node.name, node.lineno) in owners for inner in ast.walk(node)}
    uses = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name and node not in owned)
    return min((node.lineno for node in uses if isinstance(node.ctx, ast.Load)), default=1)


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for inner in table.get_children():
        yield from _scopes(inner)


def _gives(item: symtable.Symbol) -> bool:
    return item.is_assigned() or item.is_imported() or item.is_namespace()


def _locals(scopes: list[symtable.SymbolTable]) -> set[str]:
    items = (item for scope in scopes for item in scope.get_symbols())
    return {item.get_name() for item in items if item.is_local() or item.is_parameter()}


def _old_methods(tree: ast.Module, _: symtable.SymbolTable) -> Iterator[_Fault]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in OLD_METHODS:
            yield node.lineno, True, f".{node.attr} is Python 2; write {OLD_METHODS[node.attr]}"


def _unknown_params(tree: ast.Module, _: symtable.SymbolTable) -> Iterator[_Fault]:
    """Keys that are looked up in the parameters and that no state has; what the file puts there itself is known."""
    names = params_names(tree)
    looked_up: list[tuple[int, bool, object]] = []
    known: set[object] = set(PARAMS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and is_params(node.value, names) and isinstance(node.slice, ast.Constant):
            if isinstance(node.ctx, ast.Load):
                looked_up.append((node.lineno, True, node.slice.value))
            else:
                known.add(node.slice.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            if is_params(node.func.value, names) and node.args and isinstance(node.args[0], ast.Constant):
                looked_up.append((node.lineno, False, node.args[0].value))
        elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
            known.add(node.left.value)  # 'key' in params: looked up with care
    for line, wrong, key in looked_up:
        if key not in known:
            yield line, wrong, f"params has no {key!r}{_near(str(key))}"


def _near(key: str) -> str:
    """What was meant: the name that begins as the key does, or else the most similar."""
    same = [name for name in PARAMS if len(name) > 1 and key and (key.startswith(name) or name.startswith(key))]
    return did_you_mean(same[0], same) if same else did_you_mean(key, PARAMS) or f"; it has {', '.join(PARAMS)}"


def _habits(tree: ast.Module, _: symtable.SymbolTable) -> Iterator[_Fault]:
    for line, message in (*first_step_tests(tree), *unseeded(tree), *former_names(tree)):
        yield line, False, message


def _ways_out(tree: ast.Module, _: symtable.SymbolTable) -> Iterator[_Fault]:
    """Ways through reward_function that end without a reward."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "reward_function"]
    for function in functions[-1:]:
        bare = [node for node in _own(function) if isinstance(node, ast.Return) and _is_nothing(node.value)]
        for node in bare:
            yield node.lineno, True, "returns no reward here; return a number on every path"
        if not bare and not any(isinstance(node, ast.Return) for node in _own(function)):
            yield function.lineno, True, "reward_function never returns a reward; end it with return float(reward)"
        elif _falls_through(function.body):
            last = function.body[-1].end_lineno or function.lineno
            message = f"reward_function can come to its end, line {last}, without a return; return a number there"
            yield function.lineno, False, message


def _batch_alone(tree: ast.Module, table: symtable.SymbolTable) -> Iterator[_Fault]:
    """A reward_batch without the function that AWS's simulator calls."""
    given = {item.get_name() for item in table.get_symbols() if _gives(item)}
    if "reward_batch" in given and "reward_function" not in given and not _imports_all(tree):
        lines = [node.lineno for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "reward_batch"]
        message = "reward_batch stands alone: AWS's console calls reward_function(params) only; write that beside it"
        yield lines[-1] if lines else 1, False, message


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def _is_nothing(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _falls_through(body: list[ast.stmt]) -> bool:
    """Whether what follows these statements can be reached."""
    return all(_passes(statement) for statement in body)


def _passes(node: ast.stmt) -> bool:
    if isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break):
        return False
    if isinstance(node, ast.If):
        return _falls_through(node.body) or _falls_through(node.orelse)
    if isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value:
        return any(isinstance(inner, ast.Break) for inner in ast.walk(node))
    if isinstance(node, ast.With):
        return _falls_through(node.body)
    if isinstance(node, ast.Try):
        ends = _falls_through(node.finalbody)
        tried = _falls_through([*node.body, *node.orelse])
        return ends and (tried or any(_falls_through(handler.body) for handler in node.handlers))
    if isinstance(node, ast.Match):
        whole = any(isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None for case in node.cases)
        return not whole or any(_falls_through(case.body) for case in node.cases)
    return True
