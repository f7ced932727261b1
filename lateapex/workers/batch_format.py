"""Batches of experience as they travel from a worker to the trainer: one npz file each, never pickled.

A file holds its arrays uncompressed, and a header: the schema's number, which version of the model acted, what the
episodes' rows belong to, and a digest of all of it. `T` steps, `N` cars, `K` steps that do not lead to the next one.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from lateapex.errors import FormatError
from lateapex.formats.recipes import plain_recipe, recipe_of
from lateapex.records import STEP_DTYPE, EpisodeRecord

SCHEMA: Final = 1

Arrays = Mapping[str, NDArray[Any]]

_GROUPS: Final = ("observation", "next_observation", "extra")
_SINGLE: Final = ("action", "log_prob", "reward", "terminated", "truncated", "next_rows")
_PER_STEP: Final = ("log_prob", "reward", "terminated", "truncated")


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Experience of N cars over T steps.

    Raises:
        FormatError: arrays that do not fit together.
    """

    version: int
    """Of the model that acted."""
    observation: Arrays
    """By name `[T, N, ...]`, what the policy keeps of what it saw."""
    action: NDArray[Any]
    """`[T, N]`, or `[T, N, D]` numbers as they were drawn."""
    log_prob: NDArray[np.float32]
    """`[T, N]` of the action under the policy that took it, the behaviour."""
    reward: NDArray[np.float32]
    """`[T, N]`"""
    terminated: NDArray[np.bool_]
    """`[T, N]`"""
    truncated: NDArray[np.bool_]
    """`[T, N]`"""
    next_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """`[K]` steps, as t * N + n, of which `next_observation` tells what they led to; empty where nobody asks."""
    next_observation: Arrays = field(default_factory=dict)
    """By name `[K, ...]`"""
    extra: Arrays = field(default_factory=dict)
    """Whatever else the algorithm needs, by name, of any shape."""
    episodes: tuple[EpisodeRecord, ...] = ()
    """Those that ended, in order."""

    def __post_init__(self) -> None:
        shape = self.reward.shape
        if len(shape) != 2 or 0 in shape:
            raise FormatError(f"a batch's reward has shape {shape}; [T, N] is needed")
        stepped = {name: getattr(self, name).shape for name in _PER_STEP}
        stepped |= {f"observation/{name}": array.shape[:2] for name, array in self.observation.items()}
        stepped["action"] = self.action.shape[:2]
        for name, found in stepped.items():
            if found != shape:
                raise FormatError(f"a batch's {name} has {found} steps and cars, its reward {shape}")
        for name, array in self.next_observation.items():
            if array.shape[:1] != self.next_rows.shape:
                raise FormatError(
                    f"a batch's next_observation/{name} has shape {array.shape}; {len(self.next_rows)} rows are needed"
                )


class Packed(NamedTuple):
    """A packed batch."""

    data: bytes
    digest: str


def pack(batch: Batch) -> Packed:
    """Return the bytes of a batch, and its digest.

    Raises:
        FormatError: an array of Python objects.
    """
    arrays = {name: getattr(batch, name) for name in _SINGLE}
    for group in _GROUPS:
        arrays |= {f"{group}/{name}": array for name, array in getattr(batch, group).items()}
    empty = np.zeros(0, STEP_DTYPE)
    arrays["episode_rows"] = np.concatenate([empty, *(episode.steps for episode in batch.episodes)])
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise FormatError(f"a batch's {name} holds Python objects, which do not travel")
    head = {"schema": SCHEMA, "version": batch.version, "episodes": [_about(episode) for episode in batch.episodes]}
    digest = _digest(head, arrays)
    text = json.dumps({**head, "digest": digest}).encode()
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, header=np.frombuffer(text, np.uint8), **arrays)
    return Packed(file.getvalue(), digest)


def unpack(data: bytes, where: str, digest: str | None = None) -> Batch:
    """Return the batch of some bytes.

    Args:
        data: what `pack` gave.
        where: how errors call it.
        digest: what the batch was announced with.

    Raises:
        FormatError: torn or changed on its way, another batch than was announced, or of another schema.
    """
    try:
        arrays = _arrays(data)
        head = json.loads(arrays.pop("header").tobytes())
        found = head.pop("digest")
        schema = head["schema"]
    except Exception as error:  # a damaged file makes zipfile and NumPy raise whatever their readers meet
        _torn(where, str(error) or type(error).__name__)
    if schema != SCHEMA:
        raise FormatError(
            f"{where} is a batch of schema {schema}, not {SCHEMA}: run one release of lateapex everywhere"
        )
    if found != _digest(head, arrays):
        _torn(where, "its digest is another than its contents'")
    if digest is not None and found != digest:
        _torn(where, "it is not the batch that was announced")
    try:
        return _batch(head, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{where} was packed by another release of lateapex: {error}") from None


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # What was packed by us is not compressed, so that nothing unpacks to more than it is.
        if sum(part.file_size for part in archive.infolist()) > len(data):
            raise ValueError("it claims to hold more than it is long")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _batch(head: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> Batch:
    groups: dict[str, dict[str, NDArray[Any]]] = {group: {} for group in _GROUPS}
    for name in [name for name in arrays if "/" in name]:
        group, _, part = name.partition("/")
        groups[group][part] = arrays.pop(name)
    rows = arrays.pop("episode_rows")
    if rows.dtype != STEP_DTYPE:
        raise ValueError("its episodes have other columns")
    ends = np.cumsum([about["rows"] for about in head["episodes"]], dtype=np.int64)
    if (int(ends[-1]) if len(ends) else 0) != len(rows):
        raise ValueError("its episodes have other lengths")
    parts = np.split(rows, ends[:-1]) if len(ends) else []
    episodes = tuple(_episode(about, part) for about, part in zip(head["episodes"], parts, strict=True))
    parts_of_batch: dict[str, Any] = {**groups, **arrays}
    return Batch(version=int(head["version"]), episodes=episodes, **parts_of_batch)


def _about(episode: EpisodeRecord) -> dict[str, Any]:
    about = {each.name: getattr(episode, each.name) for each in fields(episode) if each.name != "steps"}
    recipe = episode.recipe and plain_recipe(episode.recipe)
    return {**about, "recipe": recipe, "rows": len(episode.steps)}


def _episode(about: Mapping[str, Any], rows: NDArray[Any]) -> EpisodeRecord:
    known = {name: value for name, value in about.items() if name not in ("rows", "recipe")}
    recipe = about.get("recipe")
    return EpisodeRecord(**known, steps=rows, recipe=recipe and recipe_of(recipe, "an episode"))


def _digest(head: Mapping[str, Any], arrays: Arrays) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.descr} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _torn(where: str, why: str) -> NoReturn:
    raise FormatError(f"{where} is no whole batch: {why}")
