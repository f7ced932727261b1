"""Settings: frozen, validated objects, from files and overrides.

A settings class lives beside the code that it sets; this module holds what they share: unknown keys and wrong types
are refused with their place, nothing changes after it was read, and the same object goes out as TOML.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from lateapex.errors import ConfigError, did_you_mean

C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


def parse(kind: type[C], values: Mapping[str, Any], source: str = "settings") -> C:
    """Validate `values` as `kind`.

    Args:
        source: where the values come from, for the message: a file's name, or "command line".

    Raises:
        ConfigError: the first thing that is wrong, with its place, what was found and what was expected.
    """
    try:
        # The round trip through Python values is lax about int for float alone; strict about all else.
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(_first_fault(error, kind, source)) from None


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ConfigError: the text is not TOML; with line and column.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML: {error}") from None


def to_toml(config: Config, **more: Any) -> str:
    """Write a config, and further tables beside it, as TOML; None (not set) has no place in TOML and is left out."""
    return tomli_w.dumps(_without_none({**config.model_dump(mode="json"), **more}))


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _first_fault(error: ValidationError, kind: type[Config], source: str) -> str:
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"]) or "settings"
    if fault["type"] == "extra_forbidden":
        known = list(_fields_at(kind, fault["loc"][:-1]))
        word = str(fault["loc"][-1])
        return f"{source}: no setting is called {place!r}{did_you_mean(word, known) or '; known: ' + ', '.join(known)}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{source}: {place} is {fault['input']!r}; {message[:1].lower()}{message[1:]}"


def _fields_at(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        field = kind.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        kind = inner
    return list(kind.model_fields)
