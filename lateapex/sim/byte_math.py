"""Arithmetic on bytes that runs in vectors of 16 bits: Numba by itself would widen every number to 64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]  # ships no types
from numba import types
from numba.extending import intrinsic

_WORD: Final = ir.IntType(16)
_BYTE: Final = ir.IntType(8)


def _number(value: int) -> Any:
    return ir.Constant(_WORD, value)


def _widened(builder: Any, values: Any, arguments: Any) -> list[Any]:
    """All arguments as 16 bits, signed ones with their sign."""
    found = []
    for value, kind in zip(values, arguments, strict=True):
        if value.type.width < _WORD.width:
            found.append(builder.sext(value, _WORD) if kind.signed else builder.zext(value, _WORD))
        else:
            found.append(builder.trunc(value, _WORD) if value.type.width > _WORD.width else value)
    return found


def _between(builder: Any, values: list[Any]) -> Any:
    one, other, weight = values
    rest = builder.sub(_number(256), weight)
    total = builder.add(builder.mul(one, rest), builder.mul(other, weight))
    return builder.lshr(builder.add(total, _number(128)), _number(8))


def _smoothed(builder: Any, values: list[Any]) -> Any:
    before, middle, after, weight = values
    rest = builder.sub(_number(256), builder.add(weight, weight))
    total = builder.add(builder.mul(builder.add(before, after), weight), builder.mul(middle, rest))
    return builder.lshr(builder.add(total, _number(128)), _number(8))


def _dimmed(builder: Any, values: list[Any]) -> Any:
    level, kept, taken = values
    total = builder.mul(level, builder.sub(kept, taken))
    return builder.lshr(builder.add(total, _number(128)), _number(8))


def _disturbed(builder: Any, values: list[Any]) -> Any:
    level, noise, strength = values
    moved = builder.ashr(builder.add(builder.mul(noise, strength), _number(64)), _number(7))
    found = builder.add(level, moved)
    low = builder.select(builder.icmp_signed("<", found, _number(0)), _number(0), found)
    return builder.select(builder.icmp_signed(">", low, _number(255)), _number(255), low)


def _generator(build: Callable[[Any, list[Any]], Any]) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context
        return builder.trunc(build(builder, _widened(builder, arguments, signature.args)), _BYTE)

    return generate


def _take_between(typing_context: Any, one: Any, other: Any, weight: Any) -> Any:
    del typing_context
    return types.uint8(one, other, weight), _generator(_between)


def _take_smoothed(typing_context: Any, before: Any, middle: Any, after: Any, weight: Any) -> Any:
    del typing_context
    return types.uint8(before, middle, after, weight), _generator(_smoothed)


def _take_dimmed(typing_context: Any, level: Any, kept: Any, taken: Any) -> Any:
    del typing_context
    return types.uint8(level, kept, taken), _generator(_dimmed)


def _take_disturbed(typing_context: Any, level: Any, noise: Any, strength: Any) -> Any:
    del typing_context
    return types.uint8(level, noise, strength), _generator(_disturbed)


between: Final[Any] = intrinsic(_take_between)
"""In a kernel, between(one, other, weight): `weight` 256ths, 0 to 256, of the way from one byte to another."""

smoothed: Final[Any] = intrinsic(_take_smoothed)
"""In a kernel, smoothed(before, middle, after, weight): `weight` 256ths, 0 to 64, of both neighbours of a byte."""

dimmed: Final[Any] = intrinsic(_take_dimmed)
"""In a kernel, dimmed(level, kept, taken): `kept` less `taken` 256ths, 0 to 256, of a byte."""

disturbed: Final[Any] = intrinsic(_take_disturbed)
"""In a kernel, disturbed(level, noise, strength): a byte and `strength` 128ths, 0 to 255, of an int8, kept in 0-255."""
