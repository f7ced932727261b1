"""Options written as texts, `name=value`, for a class whose constructor says which there are and of what type."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from lateapex.errors import ConfigError, did_you_mean

Options: TypeAlias = Mapping[str, inspect.Parameter]
"""By name, in the order of the constructor."""

_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_TRUTHS: Final = {"true": True, "false": False}


def options_of(name: str, kind: Callable[..., Any]) -> Options:
    """The options of a class.

    Raises:
        ConfigError: its constructor cannot be read.
    """
    try:
        found = inspect.signature(kind, eval_str=True)
    except Exception:  # an annotation may be any expression
        try:
            found = inspect.signature(kind)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name}: {error}; a class is needed") from None
    return {key: option for key, option in found.parameters.items() if option.kind in _NAMED}


def read_options(name: str, words: Sequence[str], options: Options) -> dict[str, Any]:
    """Values of the options that are given.

    Args:
        name: whose options, for messages.
        words: `option=value` each.

    Returns:
        In the order of `options`.

    Raises:
        ConfigError: an option is unknown, given twice, missing, or of the wrong type.
    """
    given: dict[str, Any] = {}
    for word in words:
        option, equals, value = (part.strip() for part in word.partition("="))
        if not equals:
            raise ConfigError(f"{name}: {word!r} is no option; write it as name=value")
        if option not in options:
            known = f"; its options: {', '.join(options)}" if options else "; it has none"
            raise ConfigError(f"{name} has no option {option!r}{did_you_mean(option, options) or known}")
        if option in given:
            raise ConfigError(f"{name}: {option} is given twice; give it once")
        given[option] = _value(value, _type_of(options[option]), f"{name}: {option}")
    if missing := [key for key, option in options.items() if option.default is option.empty and key not in given]:
        example = ":".join([name, *(f"{key}=..." for key in missing)])
        raise ConfigError(f"{name} needs {' and '.join(missing)}; write {example}")
    return {key: given[key] for key in options if key in given}


def written(value: Any) -> str:
    """A value as the text that gives it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return ",".join(written(item) for item in value) if isinstance(value, tuple) else str(value)


def _type_of(option: inspect.Parameter) -> Any:
    """What is annotated, or else the type of the default."""
    if option.annotation in (int, float, bool, str, tuple[float, ...]):
        return option.annotation
    return type(option.default) if isinstance(option.default, int | float | str) else None


def _value(text: str, kind: Any, place: str) -> Any:
    """A text as a value of that type; as what it looks like where the type is not known."""
    try:
        if kind is bool:
            return _TRUTHS[text.lower()]
        if kind is int:
            return int(text)
        if kind is float:
            return _finite(text)
        if kind == tuple[float, ...]:
            return tuple(_finite(part) for part in text.split(","))
    except (KeyError, ValueError):
        needed = {bool: "true or false is", int: "a whole number is", float: "a number is"}
        what = needed.get(kind, "numbers with commas between are")
        raise ConfigError(f"{place} is {text!r}; {what} needed") from None
    return text if kind is str else _looks_like(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _looks_like(text: str) -> bool | int | float | str:
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    for kind in (int, _finite):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
