"""What a run keeps of itself: versions of the model, their names, and the trainer's memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import made_policy

from lateapex.env.rules import EPISODE_DTYPE
from lateapex.errors import FormatError, RunError
from lateapex.formats.checkpoints import CheckpointEntry
from lateapex.models.model_file import FORMAT, pack, write_model
from lateapex.records import STEP_DTYPE
from lateapex.sim.state import STATE_DTYPE
from lateapex.storage import MemoryStorage
from lateapex.training.checkpoint import (
    NAMES,
    STATE,
    drop_versions,
    load_state,
    load_version,
    save_state,
    save_version,
    version_name,
)

PARTS = {"progress": {}, "weights": {}, "algorithm": {}, "collector": {}}


def entry(name, metric=50.0):
    return CheckpointEntry(name, metric, 1.0)


def model(seed):
    return write_model(made_policy(seed=seed))


def round_trip(collector):
    storage = MemoryStorage()
    save_state(storage, {**PARTS, "collector": collector})
    state = load_state(storage)
    assert state is not None
    return state["collector"]


# ---------------------------------------------------------------------------------------------------- versions


def test_a_version_is_named_by_its_update_and_steps():
    assert version_name(19, 4592) == "19_Step-4592.pt"


def test_the_best_and_the_last_version_come_back_by_these_names():
    storage = MemoryStorage()
    save_version(storage, "1_Step-64.pt", model(1), entry("1_Step-64.pt"), entry("1_Step-64.pt"))
    save_version(storage, "2_Step-128.pt", model(2), entry("1_Step-64.pt"), entry("2_Step-128.pt"))
    for which, name, seed in (("best", "1_Step-64.pt", 1), ("last", "2_Step-128.pt", 2)):
        found, policy = load_version(storage, which)
        assert found == name
        expected = made_policy(seed=seed)
        assert torch.equal(policy.actor.head.linear.weight, expected.actor.head.linear.weight)


def test_the_model_is_there_before_it_is_named():
    class Log(MemoryStorage):
        names: tuple[str, ...] = ()

        def write(self, name, data):
            self.names = (*self.names, name)

    storage = Log()
    save_version(storage, "1_Step-64.pt", b"", entry("1_Step-64.pt"), entry("1_Step-64.pt"))
    assert storage.names == ("model/1_Step-64.pt", NAMES)


def test_a_run_without_a_model_says_how_to_get_one():
    with pytest.raises(RunError, match=r"memory has no model yet; train it further: lateapex train --resume memory"):
        load_version(MemoryStorage(), "best")


def test_a_version_that_is_named_and_gone_is_named_in_the_message():
    storage = MemoryStorage()
    save_version(storage, "1_Step-64.pt", model(1), entry("9_Step-9.pt"), entry("1_Step-64.pt"))
    with pytest.raises(RunError, match=r"has no model/9_Step-9\.pt"):
        load_version(storage, "best")


@pytest.mark.parametrize("damaged", [b"", b"{", b"\xff\xfe\x00", b"[]", b"{}"])
def test_damaged_names_are_refused_with_their_place(damaged):
    storage = MemoryStorage()
    storage.write(NAMES, damaged)
    with pytest.raises(FormatError, match=r"memory/model/deepracer_checkpoints\.json"):
        load_version(storage, "best")


def test_dropping_versions_leaves_all_that_is_no_version():
    storage = MemoryStorage()
    others = ("model/model_metadata.json", NAMES, STATE, "logs/3_Step-3.pt")
    for name in ("model/1_Step-1.pt", "model/2_Step-2.pt", "model/10_Step-10.pt", *others):
        storage.write(name, b"")
    drop_versions(storage, {"2_Step-2.pt"})
    assert set(storage.files) == {"model/2_Step-2.pt", *others}


# ------------------------------------------------------------------------------------------- the trainer's memory


def test_a_run_that_never_saved_has_no_state():
    assert load_state(MemoryStorage()) is None


@given(
    st.sampled_from(["cars", "rows", "array", "length"]),
    st.sampled_from(["<f8", "<f4", "<i8", "<i4", "|u1", "|b1", "<u8"]),
    st.lists(st.integers(0, 3), min_size=0, max_size=4),
    st.binary(min_size=81 * 8, max_size=81 * 8),
)
@settings(max_examples=60, deadline=None)
def test_arrays_come_back_bit_for_bit_under_any_name(name, kind, shape, data):
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    array = np.frombuffer(data[:size], kind).reshape(shape)
    found = round_trip({name: array})[name]
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert found.flags.writeable


@pytest.mark.parametrize(("name", "dtype"), [("cars", STATE_DTYPE), ("episodes", EPISODE_DTYPE), ("rows", STEP_DTYPE)])
def test_records_come_back_as_records(name, dtype):
    records = np.zeros((2, 3), dtype)
    records[dtype.names[0]] = np.arange(6).reshape(2, 3)
    assert np.array_equal(round_trip({name: records})[name], records)


def test_the_same_records_are_the_same_bytes_whatever_lies_between_their_fields():
    files = []
    for filler in (0, 255):
        storage = MemoryStorage()
        cars = np.full(4 * STATE_DTYPE.itemsize, filler, np.uint8).view(STATE_DTYPE)
        for name in STATE_DTYPE.names or ():
            cars[name] = 1
        save_state(storage, {**PARTS, "collector": {"cars": cars}})
        files.append(storage.read(STATE))
    assert files[0] == files[1]


def test_arrays_in_any_order_of_memory_come_back_in_theirs():
    array = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)
    assert np.array_equal(round_trip({"array": array})["array"], array)


def test_numbers_texts_tensors_and_nesting_come_back():
    value = {"a": {"b": [1, 2.5, "c", None, True]}, "t": torch.arange(3), "inf": float("-inf")}
    found = round_trip(value)
    assert found["a"] == value["a"]
    assert torch.equal(found["t"], value["t"])
    assert found["inf"] == float("-inf")


def test_the_state_shares_no_memory_with_what_was_saved():
    array = np.zeros(3)
    found = round_trip({"array": array})["array"]
    found += 1.0
    assert array.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("part", list(PARTS))
def test_a_state_that_lacks_a_part_is_refused(part):
    storage = MemoryStorage()
    storage.write(STATE, pack({"format": FORMAT, **{name: {} for name in PARTS if name != part}}))
    with pytest.raises(FormatError, match=f"memory/model/training_state.pt is no saved state: it has no {part}"):
        load_state(storage)


def test_records_of_another_version_are_refused():
    storage = MemoryStorage()
    save_state(storage, {**PARTS, "collector": {"rows": np.zeros(3, STEP_DTYPE)}})
    content = {
        **PARTS,
        "format": FORMAT,
        "collector": {"rows": {"array": torch.zeros(7, dtype=torch.uint8), "kind": "rows", "shape": [3]}},
    }
    storage.write(STATE, pack(content))
    with pytest.raises(FormatError, match="written by another version of lateapex"):
        load_state(storage)


@pytest.mark.parametrize("size", [0, 1, 100, 700, -1])
def test_a_state_that_was_cut_off_is_refused(size):
    storage = MemoryStorage()
    save_state(storage, PARTS)
    storage.truncate(STATE, size % len(storage.read(STATE)))
    with pytest.raises(FormatError, match=r"memory/model/training_state\.pt is damaged"):
        load_state(storage)
