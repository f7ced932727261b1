"""Input transforms by name: what lies between a camera and the networks, as a part of the model.

A transform is written as a text, `crop:top=40:bottom=0`, or `my_file.py:MyTransform:strength=2` for a class of the
user's own; options are the keywords of its constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from torch import Tensor

from lateapex.env.user_code import class_of, file_of, is_reference, load_class
from lateapex.errors import ConfigError
from lateapex.models.option_text import options_of, read_options, written
from lateapex.models.picture_transforms import PictureShape
from lateapex.models.user_transform import UserTransform
from lateapex.registry import Registry


class Transform(Protocol):
    """From pictures to pictures; nothing in it changes from call to call."""

    @property
    def history(self) -> int:
        """K, pictures of the same car that it looks at, the newest last; 1 for most."""
        ...

    @property
    def draws(self) -> int:
        """Uniform numbers for each picture that it takes while training; 0 for most."""
        ...

    def shape(self, shape: PictureShape) -> PictureShape:
        """Shape of what it makes of a picture.

        Raises:
            ConfigError: it cannot take such a picture.
        """
        ...

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """Transform a batch; each picture alone.

        Args:
            pictures: uint8 `[B, H, W, C]`, or `[B, K, H, W, C]` where history is above 1.
            draws: `[B, draws]` uniform in 0..1 while training; None in evaluation: no randomness then.

        Returns:
            `[B, H', W', C']`, uint8; float32 only from the last of a chain.
        """
        ...


TRANSFORMS: Final[Registry[Callable[..., Transform]]] = Registry(
    "transform",
    {
        "crop": "lateapex.models.region_transforms:Crop",
        "grey": "lateapex.models.picture_transforms:Grey",
        "resize": "lateapex.models.picture_transforms:Resize",
        "normalise": "lateapex.models.picture_transforms:Normalise",
        "stack": "lateapex.models.time_transforms:Stack",
        "difference": "lateapex.models.time_transforms:Difference",
        "edges": "lateapex.models.picture_transforms:Edges",
        "blur": "lateapex.models.picture_transforms:Blur",
        "cutout": "lateapex.models.region_transforms:Cutout",
        "mask": "lateapex.models.region_transforms:Mask",
    },
)


class _Read(NamedTuple):
    """A text taken apart; its options are known and of the right type."""

    name: str
    """"crop", or "my_file.py:MyTransform"."""
    kind: Callable[..., Any]
    options: dict[str, Any]
    """In the order of the constructor."""


def parse_transform(text: str, code: Mapping[str, str] | None = None) -> Transform:
    """Build the transform that a text stands for; a user's file is run.

    Args:
        text: `name:option=value...`, or `my_file.py:MyTransform:option=value...`.
        code: texts of users' files, by name.

    Raises:
        ConfigError: no such name, option or file; a value of the wrong type or out of its range.
    """
    name, kind, options = _read(text, code or {})
    if is_reference(name):
        return UserTransform(name, kind, options)
    return kind(**options)  # type: ignore[no-any-return] # of the table's kind


def canonical(text: str, code: Mapping[str, str] | None = None) -> str:
    """The same transform as a text of one form: options in their order, those that say what is so anyway left out.

    Raises:
        ConfigError: as `parse_transform`, but for values out of their range.
    """
    name, kind, options = _read(text, code or {})
    known = options_of(name, kind)
    return ":".join(
        [name, *(f"{key}={written(value)}" for key, value in options.items() if value != known[key].default)]
    )


def _read(text: str, code: Mapping[str, str]) -> _Read:
    if is_reference(text):
        found, *words = (word.strip() for word in class_of(text).split(":"))
        if not found.isidentifier():
            raise ConfigError(f"transform {text!r} names no class; write {file_of(text)}:MyTransform")
        name = f"{file_of(text)}:{found}"
        kind: Callable[..., Any] = load_class(name, code)
    else:
        name, *words = (word.strip() for word in text.split(":"))
        if name.endswith(".py"):
            raise ConfigError(f"transform {text!r} names no class; write {name}:MyTransform")
        kind = TRANSFORMS.get(name)
    return _Read(name, kind, read_options(name, words, options_of(name, kind)))
