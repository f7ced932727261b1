"""Models as files: read back whole, or refused; nothing that a file brings along is run."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import warnings
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import made_policy

from lateapex.errors import ConfigError, FormatError
from lateapex.models.model_file import FORMAT, in_short, pack, read_model, unpack, write_model
from lateapex.models.policy import state_of

MODEL = write_model(made_policy(seed=5))


class Payload:
    """Runs a command when it is unpickled, if anybody lets it."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def content(**changes):
    policy = made_policy()
    described = policy.blueprint.model_dump()
    whole = {"format": FORMAT, "blueprint": {**described, **changes.pop("blueprint", {})}, "weights": state_of(policy)}
    return pack({**whole, **changes})


@pytest.mark.parametrize("networks", [("lean", "lean"), ("lean", "shallow"), ("shallow", "lean")])
@pytest.mark.parametrize("continuous", [False, True])
def test_a_model_comes_back_as_it_was(networks, continuous):
    head = "gaussian" if continuous else "categorical"
    policy = made_policy(60, 60, 1, 2, head=head, network=networks[0], critic=networks[1], seed=11)
    found = read_model(write_model(policy), "x.pt")
    assert found.blueprint == policy.blueprint
    assert [type(part.network) for part in (found.actor, found.critic)] == [
        type(part.network) for part in (policy.actor, policy.critic)
    ]
    expected = policy.state_dict()
    assert found.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.state_dict().items())


def test_the_same_weights_are_the_same_bytes():
    assert write_model(made_policy(seed=5)) == MODEL
    assert write_model(made_policy(seed=6)) != MODEL
    assert write_model(read_model(MODEL, "x.pt")) == MODEL
    assert write_model(made_policy(network="".join(["le", "an"]), critic="".join(["l", "ean"]), seed=5)) == MODEL


@given(st.integers(0, len(MODEL) - 1))
@settings(max_examples=60, deadline=None)
def test_a_model_that_was_cut_off_is_refused(size):
    with pytest.raises(FormatError, match=r"^x\.pt is damaged, or no file of ours: .*; bring it back"):
        read_model(MODEL[:size], "x.pt")


def weights_in(model):
    """Bytes of each tensor; zeros, which are not to be found in the file by their bytes, are left out."""
    with zipfile.ZipFile(io.BytesIO(model)) as file:
        found = [file.read(name) for name in file.namelist() if "/data/" in name]
    return [data for data in found if model.count(data) == 1]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_in_a_weight_is_seen(data):
    weights = data.draw(st.sampled_from(weights_in(MODEL)))
    place = MODEL.index(weights) + data.draw(st.integers(0, len(weights) - 1))
    damaged = bytearray(MODEL)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(FormatError, match="damaged"):
        read_model(bytes(damaged), "x.pt")


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_refused_and_raise_nothing_else(data):
    with pytest.raises(FormatError):
        unpack(data, "x.pt")


@given(st.integers(0, len(MODEL) - 1), st.binary(min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_model_with_overwritten_bytes_is_read_or_refused_and_raises_nothing_else(place, data):
    with contextlib.suppress(FormatError):
        read_model(MODEL[:place] + data + MODEL[place + len(data) :], "x.pt")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrapped", ["plain pickle", "torch file", "torch file of 2019", "among weights"])
def test_a_model_that_brings_code_along_is_refused_and_the_code_does_not_run(tmp_path, wrapped, protocol):
    payload = Payload(f"touch {tmp_path}/ran")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # protocols that torch does not like
        if wrapped == "plain pickle":
            pickle.dump({"format": FORMAT, "weights": payload}, buffer, protocol=protocol)
        elif wrapped == "among weights":
            weights = {**state_of(made_policy()), "actor.head.linear.bias": payload}
            torch.save({"format": FORMAT, "weights": weights}, buffer, pickle_protocol=max(protocol, 2))
        else:
            zipped = wrapped == "torch file"
            torch.save(payload, buffer, pickle_protocol=max(protocol, 2), _use_new_zipfile_serialization=zipped)
    with pytest.raises(FormatError):
        read_model(buffer.getvalue(), "x.pt")
    assert not (tmp_path / "ran").exists()
    assert buffer.getvalue().count(b"touch") == 1


def test_an_object_of_any_class_is_refused():
    class_of_ours = pack({"format": FORMAT, "blueprint": made_policy().blueprint})
    with pytest.raises(FormatError, match="damaged, or no file of ours"):
        unpack(class_of_ours, "x.pt")


@pytest.mark.parametrize(
    "foreign", [[1, 2], {"weights": {}}, {"format": FORMAT + 1}, {"format": str(FORMAT)}, 1, torch.zeros(3)]
)
def test_a_file_of_something_else_is_refused(foreign):
    with pytest.raises(FormatError, match=r"x\.pt is no model of ours, or one of another version of lateapex"):
        unpack(pack(foreign), "x.pt")


@pytest.mark.parametrize(
    "changes",
    [
        {"blueprint": {"actions": 4}},
        {"blueprint": {"actions": "3"}},
        {"blueprint": {"sensors": {"FRONT_FACING_CAMERA": (8, 8)}}},
        {"blueprint": {"sensors": {"FRONT_FACING_CAMERA": ("8", 8, 1)}}},
        {"blueprint": {"sensors": {"FRONT_FACING_CAMERA": (8, -8, 1)}}},
        {"blueprint": {"sensors": {}}},
        {"blueprint": {"head": "gaussian"}},
        {"blueprint": {"colour": True}},
        {"weights": {}},
        {"weights": []},
        {"weights": {"actor.head.linear.bias": torch.zeros(3)}},
        {"blueprint": {"critic": "shallow", "sensors": {"FRONT_FACING_CAMERA": (60, 60, 1)}}},
        {"blueprint": {"network": 3}},
        {"blueprint": {"network": ["lean"]}},
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(changes):
    with pytest.raises(FormatError, match=r"^x\.pt: the weights do not fit the network: ") as told:
        read_model(content(**changes), "x.pt")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


@pytest.mark.parametrize("part", ["blueprint", "weights"])
def test_a_model_that_lacks_a_part_is_refused(part):
    whole = unpack(content(), "x.pt")
    del whole[part]
    with pytest.raises(FormatError, match=part):
        read_model(pack(whole), "x.pt")


def test_a_network_that_nobody_knows_is_named():
    with pytest.raises(ConfigError, match=r"no network is called 'vast'"):
        read_model(content(blueprint={"network": "vast"}), "x.pt")


def test_long_reasons_are_cut_to_one_line():
    assert in_short(RuntimeError("a\n  b\tc")) == "a b c"
    assert in_short(RuntimeError()) == "RuntimeError"
    assert len(in_short(RuntimeError("x" * 1000))) == 160
