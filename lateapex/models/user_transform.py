"""A user's own transform: whatever it does wrong is told in one line, with its file and line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lateapex.env.user_code import file_of, told
from lateapex.errors import ConfigError, LateapexError
from lateapex.models.picture_transforms import PictureShape


class UserTransform:
    """A user's transform; `history`, `draws` and `shape` need not be defined.

    Args:
        name: "my_file.py:MyTransform".
        kind: the class.
        options: of its constructor.

    Raises:
        ConfigError: it cannot be built, or says of itself what cannot be.
    """

    def __init__(self, name: str, kind: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self._name = name
        self._path = file_of(name)
        self._made = self._call(kind, **options)
        if not callable(self._made):
            raise ConfigError(f"{name} cannot be called; define __call__(self, pictures, draws)")
        self.history = self._whole("history", 1)
        self.draws = self._whole("draws", 0)

    def shape(self, shape: PictureShape) -> PictureShape:
        """What it says itself; otherwise that of what it makes of a black picture."""
        if hasattr(self._made, "shape"):
            found = self._call(self._made.shape, shape)
        else:
            frames = (self.history,) if self.history > 1 else ()
            found = tuple(self(torch.zeros(1, *frames, *shape, dtype=torch.uint8), None).shape[1:])
        try:
            height, width, channels = map(int, found)
        except (TypeError, ValueError):
            raise ConfigError(f"{self._name}: the shape is {found!r}; (height, width, channels) is needed") from None
        return height, width, channels

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """What the user's code returns, if it is a tensor with a picture for each."""
        made = self._call(self._made, pictures, draws)
        if not isinstance(made, Tensor):
            raise ConfigError(f"{self._name} returned {type(made).__name__}; a tensor [B, H, W, C] is needed")
        if made.ndim != 4 or len(made) != len(pictures):
            raise ConfigError(
                f"{self._name} made {list(made.shape)} of {list(pictures.shape)}; "
                f"[{len(pictures)}, height, width, channels] is needed"
            )
        return made

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except LateapexError:
            raise
        except Exception as error:  # whatever the user's class raises
            raise ConfigError(told(error, self._path)) from None

    def _whole(self, word: str, least: int) -> int:
        value = getattr(self._made, word, least)
        if not isinstance(value, int) or value < least:
            raise ConfigError(f"{self._name}: {word} is {value!r}; a whole number of {least} or more is needed")
        return value
