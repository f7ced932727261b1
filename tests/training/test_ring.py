"""The bounded memory of steps: what stays, in which order, and that it comes back from its pieces."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lateapex.storage import MemoryStorage
from lateapex.training.ring import Ring

CARS = 2


def rows(first: int, count: int) -> dict[str, torch.Tensor]:
    numbers = torch.arange(first, first + count)[:, None] * 10 + torch.arange(CARS)
    return {"number": numbers, "double": 2.0 * numbers[..., None].float()}


def held(ring: Ring) -> list[int]:
    return ring.columns["number"][torch.from_numpy(ring.in_order()), 0].tolist() if ring.columns else []


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(2, 40), st.lists(st.booleans(), max_size=12))
def test_a_ring_holds_the_newest_rows_in_order_saved_and_read_back_or_not(
    counts: list[int], capacity: int, saves: list[bool]
) -> None:
    storage, ring, total = MemoryStorage(), Ring(capacity, "ring/"), 0
    for place, count in enumerate(counts):
        ring.add(rows(total, count))
        total += count
        # Of a rollout longer than the ring only the last rows are there to be counted.
        if place < len(saves) and saves[place]:
            state = ring.save(storage)
            ring.tidy(storage)
            ring = Ring(capacity, "ring/")
            ring.restore(state, storage)
        most = max(capacity // CARS, 2)
        assert held(ring) == [10 * number for number in range(max(total - most, 0), total)]
        assert torch.equal(ring.columns["double"][..., 0], 2.0 * ring.columns["number"].float())
        assert len(ring) == min(total, most)


def test_a_save_writes_only_what_is_new_and_pieces_that_are_overwritten_go() -> None:
    storage, ring = MemoryStorage(), Ring(10 * CARS, "ring/")
    names = []
    for number in range(4):
        ring.add(rows(4 * number, 4))
        ring.save(storage)
        ring.tidy(storage)
        names.append(sorted(storage.files))
    assert names[1] == ["ring/0-4.pt", "ring/4-8.pt"]
    assert names[3] == ["ring/12-16.pt", "ring/4-8.pt", "ring/8-12.pt"]


def test_a_cleared_ring_is_empty_and_leaves_no_pieces() -> None:
    storage, ring = MemoryStorage(), Ring(100, "ring/")
    ring.add(rows(0, 4))
    ring.save(storage)
    ring.clear()
    assert (len(ring), held(ring), ring.save(storage)["pieces"]) == (0, [], [])
    ring.tidy(storage)
    assert not storage.files
