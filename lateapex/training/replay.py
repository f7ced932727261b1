"""What off-policy learning remembers: the newest steps of all cars, on disk in pieces.

Each rollout is stored as its T rows of N cars and one more, of what was seen after the last step; so the state that a
step led to is always the row below. That last row, and steps that were cut off, lead nowhere and are never drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lateapex.models.model_file import FORMAT, pack, unpack
from lateapex.models.networks import Stem
from lateapex.storage import Storage
from lateapex.training.collect import Rollout

FOLDER: Final = "model/replay/"
_FIRST_ROWS: Final = 64

_Columns = Mapping[str, Tensor]


class Transitions(NamedTuple):
    """`B` steps, drawn from the memory."""

    actor_stem: Stem
    """`[B, ...]` each"""
    critic_stem: Stem
    next_critic_stem: Stem
    actor_memory: Tensor
    """`[B, M]`"""
    actions: Tensor
    """`[B]`, or `[B, D]`"""
    rewards: Tensor
    """`[B]`"""
    goes_on: Tensor
    """`[B]` 0 where a rule ended the episode with the step, 1 elsewhere"""


class Replay:
    """A ring of rows.

    Args:
        capacity: steps that are remembered at most, over all cars.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._columns: dict[str, Tensor] = {}
        self._leads_on = np.zeros((0, 0), np.bool_)
        self._head = 0  # rows ever written
        self._saved: list[tuple[int, int]] = []  # pieces on disk: first row and row behind the last

    def __len__(self) -> int:
        """Steps that can be drawn."""
        return int(self._leads_on.sum())

    def add(self, rollout: Rollout) -> None:
        """Remember a rollout; the oldest rows give way."""
        steps = len(rollout.rewards)
        columns = {
            **{
                f"actor/{name}": _with(value, rollout.last.actor_stem[name])
                for name, value in rollout.actor_stem.items()
            },
            **{
                f"critic/{name}": _with(value, rollout.last.critic_stem[name])
                for name, value in rollout.critic_stem.items()
            },
            # What was remembered when an episode began is forgotten then.
            "memory": _with(rollout.actor_memory.masked_fill(rollout.fresh[:, :, None], 0.0)),
            "actions": _with(rollout.actions),
            "rewards": _with(torch.from_numpy(rollout.rewards)),
            "goes_on": _with(torch.from_numpy((~rollout.terminated).astype(np.float32))),
        }
        leads_on = np.concatenate([~rollout.truncated, np.zeros((1, rollout.rewards.shape[1]), np.bool_)])
        most = max(self._capacity // rollout.rewards.shape[1], 2)
        kept = min(steps + 1, most)
        self._make_room(kept, most, columns)
        rows = self._rows(self._head, self._head + kept)
        for name, value in columns.items():
            self._columns[name][rows] = value[-kept:]
        self._leads_on[rows] = leads_on[-kept:]
        self._head += kept

    def draw(self, count: int, random: np.random.Generator) -> Transitions:
        """Draw steps, each as likely as any other, with repetition."""
        places = np.flatnonzero(self._leads_on)
        chosen = places[random.integers(0, len(places), count)]
        cars = self._leads_on.shape[1]
        row, car = torch.from_numpy(chosen // cars), torch.from_numpy(chosen % cars)
        below = (row + 1) % len(self._leads_on)
        columns = self._columns

        def stem(part: str, at: Tensor) -> Stem:
            return {name.removeprefix(part): value[at, car] for name, value in columns.items() if name.startswith(part)}

        return Transitions(
            stem("actor/", row),
            stem("critic/", row),
            stem("critic/", below),
            *(columns[name][row, car] for name in ("memory", "actions", "rewards", "goes_on")),
        )

    def save(self, storage: Storage) -> dict[str, Any]:
        """Write the rows that are not on disk yet as one more piece; returns what names all pieces."""
        begun = max(self._saved[-1][1] if self._saved else 0, self._oldest)
        if begun < self._head:
            rows = self._rows(begun, self._head)
            content = {name: value[rows].clone() for name, value in self._columns.items()}
            storage.write(
                _piece(begun, self._head),
                pack({"format": FORMAT, **content, "leads_on": torch.from_numpy(self._leads_on[rows].copy())}),
            )
            self._saved.append((begun, self._head))
        self._saved = [(first, end) for first, end in self._saved if end > self._oldest]
        return {"head": self._head, "rows": len(self._leads_on), "pieces": [list(piece) for piece in self._saved]}

    def tidy(self, storage: Storage) -> None:
        """Delete pieces that the saved state no longer names."""
        named = {_piece(*piece) for piece in self._saved}
        for name in storage.list(FOLDER):
            if name not in named:
                storage.delete(name)

    def restore(self, state: Mapping[str, Any], storage: Storage) -> None:
        """Read back what `save` named.

        Raises:
            FormatError, StorageError: a piece is damaged or missing.
        """
        self._head, self._saved = int(state["head"]), [(int(first), int(end)) for first, end in state["pieces"]]
        self._columns, self._leads_on = {}, np.zeros((0, 0), np.bool_)
        for first, end in self._saved:
            name = _piece(first, end)
            content = unpack(storage.read(name), f"{storage.url}/{name}")
            leads_on = content.pop("leads_on").numpy()
            columns = {key: value for key, value in content.items() if key != "format"}
            if not self._columns:
                self._allocate(int(state["rows"]), columns)
            kept = max(first, self._oldest)
            rows = self._rows(kept, end)
            for key, value in columns.items():
                self._columns[key][rows] = value[kept - first :]
            self._leads_on[rows] = leads_on[kept - first :]

    @property
    def _oldest(self) -> int:
        """Number of the oldest row that is still there."""
        return max(self._head - len(self._leads_on), 0)

    def _rows(self, first: int, end: int) -> NDArray[np.int64]:
        return np.arange(first, end) % max(len(self._leads_on), 1)

    def _make_room(self, rows: int, most: int, columns: _Columns) -> None:
        """Let the ring grow while it may; one that never was full has its rows in order."""
        needed = min(self._head + rows, most)
        if needed > len(self._leads_on):
            self._allocate(min(max(2 * len(self._leads_on), needed, _FIRST_ROWS), most), columns)

    def _allocate(self, rows: int, columns: _Columns) -> None:
        kept = len(self._leads_on)
        for name, value in columns.items():
            wider = torch.zeros(rows, *value.shape[1:], dtype=value.dtype)
            if kept:
                wider[:kept] = self._columns[name]
            self._columns[name] = wider
        leads_on = np.zeros((rows, next(iter(columns.values())).shape[1]), np.bool_)
        if kept:
            leads_on[:kept] = self._leads_on
        self._leads_on = leads_on


def _with(values: Tensor, last: Tensor | None = None) -> Tensor:
    """Rows `[T, N, ...]` and one more; of zeros if not given."""
    return torch.cat([values, torch.zeros_like(values[:1]) if last is None else last[None]])


def _piece(first: int, end: int) -> str:
    return f"{FOLDER}{first}-{end}.pt"
