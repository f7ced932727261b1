"""An exchange at two places: which file is where."""

from __future__ import annotations

from lateapex.storage import MemoryStorage
from lateapex.workers.keys import KeyedStorage


def test_keys_of_batches_are_in_the_database_and_nothing_else() -> None:
    store, keys = MemoryStorage(), MemoryStorage()
    both = KeyedStorage(store, keys)
    for name in ("pointer.json", "batches/0.npz", "announced/0.json", "models/1.pt"):
        both.write(name, name.encode())
    assert sorted(store.files) == ["batches/0.npz", "models/1.pt", "pointer.json"]
    assert list(keys.files) == ["announced/0.json"]
    assert both.list() == ["announced/0.json", "batches/0.npz", "models/1.pt", "pointer.json"]
    assert both.list("announced/") == both.list("a") == ["announced/0.json"]
    assert both.list("b") == ["batches/0.npz"]
    both.copy("announced/0.json", "copy")
    assert store.read("copy") == b"announced/0.json"
