"""A memory of steps that never grows beyond its bound: the newest rows of all cars, on disk in pieces.

A row is one step of N cars. Rows that are on disk are not written again: each save adds one piece with what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lateapex.models.model_file import FORMAT, pack, unpack
from lateapex.storage import Storage

_FIRST_ROWS = 64


class Ring:
    """Columns of rows; the oldest rows give way.

    Args:
        capacity: steps that are remembered at most, over all cars.
        folder: of the pieces, within a run folder; ends with "/".
    """

    def __init__(self, capacity: int, folder: str) -> None:
        self.columns: dict[str, Tensor] = {}
        """`[rows, N, ...]` each; until the ring is full its first rows are those in use, in order"""
        self._capacity = capacity
        self._folder = folder
        self._head = 0  # rows ever written
        self._saved: list[tuple[int, int]] = []  # pieces on disk: first row and row behind the last

    def __len__(self) -> int:
        """Rows in use."""
        return min(self._head, self._size)

    def add(self, columns: Mapping[str, Tensor]) -> None:
        """Remember rows, `[T, N, ...]` each; of more than there is room for the last."""
        steps, cars = next(iter(columns.values())).shape[:2]
        most = max(self._capacity // cars, 2)
        kept = min(steps, most)
        needed = min(self._head + kept, most)
        if needed > self._size:  # a ring that never was full has its rows in order
            self._allocate(min(max(2 * self._size, needed, _FIRST_ROWS), most), columns)
        rows = self._rows(self._head, self._head + kept)
        for name, value in columns.items():
            self.columns[name][rows] = value[-kept:]
        self._head += kept

    def in_order(self) -> NDArray[np.int64]:
        """Places of the rows in use, the oldest first."""
        return self._rows(self._oldest, self._head)

    def clear(self) -> None:
        """Forget all rows; `tidy` deletes their pieces once the next state is on disk."""
        self.columns, self._head, self._saved = {}, 0, []

    def save(self, storage: Storage) -> dict[str, Any]:
        """Write the rows that are not on disk yet as one more piece; returns what names all pieces."""
        begun = max(self._saved[-1][1] if self._saved else 0, self._oldest)
        if begun < self._head:
            rows = self._rows(begun, self._head)
            content = {name: value[rows].clone() for name, value in self.columns.items()}
            storage.write(self._piece(begun, self._head), pack({"format": FORMAT, **content}))
            self._saved.append((begun, self._head))
        self._saved = [(first, end) for first, end in self._saved if end > self._oldest]
        return {"head": self._head, "rows": self._size, "pieces": [list(piece) for piece in self._saved]}

    def tidy(self, storage: Storage) -> None:
        """Delete pieces that the saved state no longer names."""
        named = {self._piece(*piece) for piece in self._saved}
        for name in storage.list(self._folder):
            if name not in named:
                storage.delete(name)

    def restore(self, state: Mapping[str, Any], storage: Storage) -> None:
        """Read back what `save` named.

        Raises:
            FormatError, StorageError: a piece is damaged or missing.
        """
        self.columns, self._head = {}, int(state["head"])
        self._saved = [(int(first), int(end)) for first, end in state["pieces"]]
        for first, end in self._saved:
            name = self._piece(first, end)
            content = unpack(storage.read(name), f"{storage.url}/{name}")
            columns = {key: value for key, value in content.items() if key != "format"}
            if not self.columns:
                self._allocate(int(state["rows"]), columns)
            kept = max(first, self._oldest)
            rows = self._rows(kept, end)
            for key, value in columns.items():
                self.columns[key][rows] = value[kept - first :]

    @property
    def _size(self) -> int:
        """Rows that there is room for at the moment."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    @property
    def _oldest(self) -> int:
        """Number of the oldest row that is still there."""
        return max(self._head - self._size, 0)

    def _rows(self, first: int, end: int) -> NDArray[np.int64]:
        return np.arange(first, end) % max(self._size, 1)

    def _allocate(self, rows: int, columns: Mapping[str, Tensor]) -> None:
        for name, value in columns.items():
            wider = torch.zeros(rows, *value.shape[1:], dtype=value.dtype)
            if name in self.columns:
                wider[: self._head] = self.columns[name][: self._head]
            self.columns[name] = wider

    def _piece(self, first: int, end: int) -> str:
        return f"{self._folder}{first}-{end}.pt"
