"""Batches of experience as files."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_batches import made_batch
from made_records import episode

from lateapex.errors import FormatError
from lateapex.records import Recipe
from lateapex.workers.batch_format import Batch, pack, unpack


def same(one: Batch, other: Batch) -> bool:
    def plain(batch):
        arrays = {}
        for field in dataclasses.fields(Batch):
            value = getattr(batch, field.name)
            group = value if isinstance(value, dict) else {"": value}
            arrays |= {
                f"{field.name}/{name}": np.asarray(item) for name, item in group.items() if field.name != "episodes"
            }
        return arrays

    first, second = plain(one), plain(other)
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and np.array_equal(first[name], second[name]) for name in first
    )


@given(steps=st.integers(1, 5), cars=st.integers(1, 4), numbers=st.sampled_from([None, 1, 2]), seed=st.integers(0, 99))
def test_a_batch_comes_back_as_it_was_packed(steps, cars, numbers, seed):
    batch = made_batch(version=7, steps=steps, cars=cars, numbers=numbers, seed=seed)
    packed = pack(batch)
    assert same(unpack(packed.data, "it", packed.digest), batch)
    assert pack(batch) == packed


@pytest.mark.parametrize("actions", [np.array([3, 0, 9], np.int32), np.random.default_rng(1).normal(size=(3, 2))])
def test_what_an_episode_is_driven_again_from_comes_back_to_the_bit(actions):
    values = {"seed": 5, "episode": 2, "clock": 40, "max_steps": 9, "digest": "a", "seen": "b", "paid": "c"}
    recipe = Recipe(**values, start=(0.1, 0.0, 1 / 3), actions=actions)
    (found,) = unpack(
        pack(dataclasses.replace(made_batch(), episodes=(dataclasses.replace(episode(), recipe=recipe),))).data, "it"
    ).episodes
    assert found.recipe.actions.tobytes() == actions.tobytes()
    assert dataclasses.replace(found.recipe, actions=None) == dataclasses.replace(recipe, actions=None)


def test_episodes_come_back_with_all_that_they_know():
    batch = dataclasses.replace(made_batch(), episodes=(episode(), dataclasses.replace(episode(), car=3, track="oval")))
    found = unpack(pack(batch).data, "it").episodes
    assert [(each.track, each.car, each.phase) for each in found] == [
        (each.track, each.car, each.phase) for each in batch.episodes
    ]
    for one, other in zip(found, batch.episodes, strict=True):
        assert one.steps.tobytes() == other.steps.tobytes()
        assert one.lap_time == other.lap_time


@example(place=102_601, flip=64, cut=False)  # flags of a zip entry: encrypted, patched, of a later version
@example(place=102_601, flip=32, cut=False)
@example(place=102_601, flip=1, cut=False)
@example(place=102_599, flip=64, cut=False)
@given(place=st.integers(0, 10_000_000), flip=st.integers(1, 255), cut=st.booleans())
def test_a_file_that_was_torn_or_changed_is_no_batch_or_says_the_same(place, flip, cut):
    packed = pack(made_batch())
    place %= len(packed.data)
    changed = bytearray(packed.data)
    changed[place] ^= flip
    data = packed.data[:place] if cut else bytes(changed)
    try:
        found = unpack(data, "it", packed.digest)
    except FormatError:
        return
    assert not cut
    assert same(found, made_batch())


def test_a_batch_that_was_announced_as_another_is_refused():
    with pytest.raises(FormatError, match="it is no whole batch: it is not the batch that was announced"):
        unpack(pack(made_batch(seed=1)).data, "it", pack(made_batch(seed=2)).digest)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x04N.", json.dumps({}).encode()])
def test_what_is_no_npz_is_refused(data):
    with pytest.raises(FormatError, match="it is no whole batch"):
        unpack(data, "it")


def test_a_file_that_unpacks_to_more_than_it_is_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", bytes(10_000_000))
    with pytest.raises(FormatError, match="it claims to hold more than it is long"):
        unpack(file.getvalue(), "it")


def test_a_file_of_pickled_objects_is_not_opened():
    file = io.BytesIO()
    np.savez(file, header=np.array([print], dtype=object))
    with pytest.raises(FormatError, match="it is no whole batch: Object arrays cannot be loaded"):
        unpack(file.getvalue(), "it")
    with pytest.raises(FormatError, match="a batch's extra/x holds Python objects"):
        pack(dataclasses.replace(made_batch(), extra={"x": np.array([None])}))


def test_a_batch_of_another_schema_is_told(monkeypatch):
    data = pack(made_batch()).data
    monkeypatch.setattr("lateapex.workers.batch_format.SCHEMA", 2)
    with pytest.raises(FormatError, match="it is a batch of schema 1, not 2: run one release"):
        unpack(data, "it")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reward": np.zeros(3, np.float32)}, r"reward has shape \(3,\); \[T, N\] is needed"),
        ({"reward": np.zeros((0, 2), np.float32)}, r"reward has shape \(0, 2\)"),
        ({"log_prob": np.zeros((2, 2), np.float32)}, r"log_prob has \(2, 2\) steps and cars, its reward \(3, 2\)"),
        ({"action": np.zeros(3)}, r"action has \(3,\) steps"),
        ({"observation": {"CAMERA": np.zeros((3, 1, 4))}}, r"observation/CAMERA has \(3, 1\) steps"),
        ({"next_rows": np.zeros(5, np.int64)}, r"next_observation/CAMERA has shape .* 5 rows are needed"),
    ],
)
def test_arrays_that_do_not_fit_together_are_told(change, told):
    with pytest.raises(FormatError, match=told):
        dataclasses.replace(made_batch(), **change)
