"""Habits of reward files: what is left of Python 2, tests that never come true, chance that nobody can repeat.

Everything here is read from the text or told from an error; nothing is run.
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

OLD_NAMES: Final = {
    "basestring": "str",
    "cmp": "(a > b) - (a < b)",
    "execfile": "exec(open(name).read())",
    "long": "int",
    "raw_input": "input",
    "reduce": "functools.reduce",
    "unichr": "chr",
    "unicode": "str",
    "xrange": "range",
}
"""Names of Python 2, and what they are called now."""
OLD_METHODS: Final = {
    "has_key": "key in ...",
    "iteritems": ".items()",
    "iterkeys": ".keys()",
    "itervalues": ".values()",
}
"""Methods of Python 2's dictionaries, and what to write now."""
_OLD_ARGUMENTS: Final = {
    "on_track": "params['all_wheels_on_track']",
    "car_orientation": "math.radians(params['heading'])",
    "throttle": "params['speed']",
    "steering": "params['steering_angle'] / 30",
    "closest_waypoint": "params['closest_waypoints']",
}
"""Arguments of the reward function of 2018 that have another name or unit now."""
_OLD_SYNTAX: Final = {
    r"^\s*print\s+[^(=]": "write print(...)",
    r"\bexcept\b[^:]*,\s*\w+\s*:": "write except ... as error:",
    r"<>": "write !=",
    r"^\s*exec\s+[^(]": "write exec(...)",
    r"^\s*raise\s+\w+\s*,": "write raise Error(...)",
    r"`": "write repr(...)",
    r"\b0\d": "write 0o in front of an octal number, or leave out the zero",
    r"\b\d+[lL]\b": "leave out the L",
    r"\bur['\"]": "leave out the u",
}
_MIRRORED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
}
_UNSEEDED: Final = ("default_rng", "RandomState", "Random", "SystemRandom")

Habit = tuple[int, str]
"""Line and message."""


def why_not_python(error: SyntaxError, text: str) -> tuple[int | None, str]:
    """Line and reason of a file that does not compile; what is Python 2 is told with what to write now."""
    lines = text.splitlines()
    number = error.lineno if error.lineno and error.lineno <= len(lines) else None
    line = lines[number - 1] if number else ""
    hints = [hint for pattern, hint in _OLD_SYNTAX.items() if re.search(pattern, line)]
    if isinstance(error, TabError):
        reason = "tabs and blanks are mixed in front of lines; use blanks alone"
    elif hints:
        reason = f"this is Python 2; {hints[0]}"
    else:
        reason = f"{error.msg}: {line.strip()[:60]!r}" if line.strip() else str(error.msg)
    return number, f"is not Python 3: {reason}"


def parsed(text: str) -> ast.Module:
    """The syntax tree of a file that is Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lateapex check tells them
        return ast.parse(text)


def first_step_tests(tree: ast.Module) -> Iterator[Habit]:
    """Tests for the first step that are never true, since the first call of an episode sees 2."""
    names = params_names(tree)
    steps = {
        ast.unparse(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_steps(node.value, names, set())
        for target in node.targets
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right, operator = node.left, node.comparators[0], type(node.ops[0])
            if isinstance(left, ast.Constant):
                left, right, operator = right, left, _MIRRORED.get(operator, operator)
            if _is_steps(left, names, steps) and isinstance(right, ast.Constant) and _never(operator, right.value):
                message = f"{ast.unparse(node)} is never true: the first call of an episode has steps 2"
                yield node.lineno, f"{message}; write {ast.unparse(left)} <= 2, or train with --call-at-step-1"


def unseeded(tree: ast.Module) -> Iterator[Habit]:
    """Random generators of the file's own that begin anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not node.args and not node.keywords:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _UNSEEDED:
                called = ast.unparse(node.func)
                yield node.lineno, f"{called}() begins anywhere, so that two equal runs differ; write {called}(0)"


def params_names(tree: ast.Module) -> set[str]:
    """What the parameters are called: the argument of reward_function, and params wherever else."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    arguments = [node.args.args for node in functions if node.name == "reward_function"]
    return {"params", *(given[0].arg for given in arguments if given)} - {"self"}


def is_params(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is the parameters, by one of these names."""
    return (isinstance(node, ast.Name) and node.id in names) or (isinstance(node, ast.Attribute) and node.attr in names)


def old_arguments(function: Callable[..., Any]) -> str:
    """Why a reward function cannot be called with the parameters alone, and what to write; "" where it can."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a callable that tells nothing of itself
        return ""
    names = list(signature.parameters)
    try:
        signature.bind({})
    except TypeError:
        pass
    else:
        return ""
    mend = "is called with one dictionary; write def reward_function(params):"
    if "track_width" not in names:
        return f"reward_function takes {', '.join(names) or 'nothing'} and {mend}"
    renamed = [f"{name} = {_OLD_ARGUMENTS[name]}" for name in names if name in _OLD_ARGUMENTS]
    lines = "; ".join([*renamed, "x = params['x'], and the others as x"])
    return f"reward_function takes {len(names)} arguments, as in 2018, and {mend} and below it {lines}"


def hint(error: BaseException, params: Mapping[str, Any]) -> str:
    """What an error of a call most likely comes from, with a blank in front; "" where nothing is known."""
    text = str(error)
    if isinstance(error, IndexError):
        waypoints = params.get("waypoints")
        if isinstance(waypoints, list):
            return f" This track has {len(waypoints)} waypoints; are these the indices of another?"
    elif isinstance(error, NameError) and (name := error.name) in OLD_NAMES:
        return f" {name} is Python 2; write {OLD_NAMES[name]}."
    elif isinstance(error, AttributeError) and (name := error.name) in OLD_METHODS:
        return f" .{name} is Python 2; write {OLD_METHODS[name]}."
    elif isinstance(error, TypeError) and re.search(r"indices must be integers|'float' object cannot be interp", text):
        return " In Python 3 / always gives a float; write // for a whole number."
    elif isinstance(error, ModuleNotFoundError):
        return " A reward is one file: what it imports has to be installed, or to stand in it."
    return ""


def _is_steps(node: ast.expr, names: set[str], aliases: set[str]) -> bool:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("int", "float")
        and node.args
    ):
        return _is_steps(node.args[0], names, aliases)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        return is_params(node.func.value, names) and _is_word(node.args[0], "steps")
    if isinstance(node, ast.Subscript):
        return is_params(node.value, names) and _is_word(node.slice, "steps")
    return ast.unparse(node) in aliases


def _is_word(node: ast.expr, word: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == word


def _never(operator: type[ast.cmpop], value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    limits = {ast.Eq: value < 2, ast.LtE: value < 2, ast.Lt: value <= 2}
    return limits.get(operator, False)
