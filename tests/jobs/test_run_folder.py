"""The run folder: what it is made from comes back as it was; nothing of a failed attempt stays, nothing is replaced."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import files_of, small_config

from lateapex.config import parse
from lateapex.env.reward import load_reward
from lateapex.errors import ConfigError, LateapexError, MetadataError, RewardError, RunError, StorageError
from lateapex.formats.hyperparameters import Hyperparameters, write_hyperparameters
from lateapex.formats.model_metadata import default_metadata
from lateapex.jobs import run_folder
from lateapex.jobs.run_folder import (
    HYPERPARAMETERS,
    METADATA,
    REWARD,
    SETTINGS,
    Inputs,
    create_run,
    drop_run,
    drop_unfinished,
    open_run,
    read_settings,
    read_tracks,
    run_hyperparameters,
    run_metadata,
    run_reward,
)
from lateapex.jobs.run_tracks import TRACK
from lateapex.jobs.train import TrainConfig, train_config
from lateapex.storage import DiskStorage
from lateapex.training.exploration import ExplorationConfig
from lateapex.training.ppo import PPOConfig
from lateapex.training.trainer import TrainerConfig
from lateapex.world.track import load_track, track_names

PARAMETERS = "training_params.yaml"
FILES = {REWARD, METADATA, HYPERPARAMETERS, PARAMETERS, TRACK, SETTINGS}


def inputs(track="kidney", reward="quick_laps"):
    hyperparameters = write_hyperparameters(Hyperparameters())
    tracks = [load_track(name) for name in ([track] if isinstance(track, (str, Path)) else track)]
    return Inputs(
        tracks, load_reward(reward).text, default_metadata(), hyperparameters, {"training_params.yaml": "---\n"}
    )


def read_track(storage):
    (track,) = read_tracks(storage)
    return track


def made(folder, config=None, **changes):
    return create_run(str(folder), "stem", config or small_config(folder), inputs(**changes))


# --------------------------------------------------------------------------------------------------- there and back


def test_a_run_is_whole_in_itself(tmp_path):
    storage = made(tmp_path / "run")
    assert set(files_of(tmp_path / "run")) == FILES
    assert run_metadata(storage) == default_metadata()
    assert run_reward(storage).text == load_reward("quick_laps").text
    assert run_hyperparameters(storage) == Hyperparameters()


@pytest.mark.parametrize("name", track_names())
def test_every_track_comes_back_bit_for_bit(tmp_path, name):
    track, found = load_track(name), read_track(made(tmp_path, track=name))
    for field in ("center", "inner", "outer"):
        assert np.array_equal(getattr(found, field), getattr(track, field))
    assert (found.name, found.closed, found.reversed, found.lines) == (name, track.closed, track.reversed, track.lines)


def test_every_real_route_comes_back_bit_for_bit(tmp_path, shared_data):
    routes = sorted((shared_data / "tracks").rglob("*.npy"))
    assert routes
    for number, path in enumerate(routes):
        track = load_track(path)
        found = read_track(made(tmp_path / str(number), track=path))
        assert (found.name, found.closed, found.lines) == (track.name, track.closed, track.lines)
        assert np.array_equal(found.center, track.center)
        assert np.array_equal(found.inner, track.inner)


def test_settings_come_back_as_they_were(tmp_path):
    config = small_config(tmp_path / "run", track="oval", precision="float32", ppo={"clip": 0.125})
    storage = made(tmp_path / "run", config)
    assert parse(TrainConfig, read_settings(storage)) == config


numbers = st.floats(1e-9, 1.0, exclude_max=True)
whole = st.integers(1, 2**31)
trainers = st.builds(
    TrainerConfig,
    duration=st.floats(1e-3, 1e9) | st.just(float("inf")),
    steps=st.none() | whole,
    updates=st.none() | whole,
    until_laps=st.booleans(),
    rollout_steps=whole,
    rollout_episodes=st.none() | whole,
    save_seconds=st.floats(1e-9, 1e6),
)
ppos = st.builds(
    PPOConfig,
    learning_rate=numbers,
    discount=numbers,
    clip=numbers,
    max_gradient_norm=numbers | st.none() | st.just(float("inf")),
)
explorations = st.builds(
    ExplorationConfig,
    exploration_type=st.sampled_from(["categorical", "e-greedy"]),
    e_greedy_value=st.floats(0.0, 1.0),
    epsilon_steps=whole,
)
configs = st.builds(
    TrainConfig,
    track=st.text(max_size=20),
    out=st.none() | st.text(max_size=20),
    seed=st.integers(0, 2**63 - 1),
    cars=whole,
    threads=st.integers(0, 99),
    precision=st.sampled_from(["auto", "float32", "bfloat16"]),
    trainer=trainers,
    ppo=ppos,
    exploration=explorations,
)


@given(configs)
@settings(max_examples=50, deadline=None)
def test_any_settings_come_back_from_run_toml_as_they_were(config):
    text = run_folder._settings(config, inputs("oval"))
    values = {key: value for key, value in tomllib.loads(text).items() if key in TrainConfig.model_fields}
    assert parse(TrainConfig, values) == config


def test_run_toml_names_every_setting_that_has_a_value_and_the_versions_and_the_machine(tmp_path):
    content = tomllib.loads(made(tmp_path / "run").read(SETTINGS).decode())
    config = small_config(tmp_path / "run")
    assert {key for key, value in config if value is not None} <= content.keys()
    for part in ("trainer", "ppo"):
        assert {key for key, value in getattr(config, part) if value is not None} == content[part].keys()
    assert content["versions"].keys() == {"python", "lateapex", "numpy", "numba", "torch", "gymnasium"}
    assert content["machine"]["cores"] == os.cpu_count()
    assert content["machine"]["processor"]
    assert content["track_name"] == "kidney"


# ------------------------------------------------------------------------------------------ new runs, failed attempts


def test_runs_without_a_name_get_free_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = train_config({})
    urls = [create_run(None, "kidney-lean-0", config, inputs()).url for _ in range(3)]
    assert urls == ["runs/kidney-lean-0", "runs/kidney-lean-0-2", "runs/kidney-lean-0-3"]


def test_a_folder_that_holds_a_run_is_left_as_it_is(tmp_path):
    made(tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(RunError, match=r"already holds a run; go on with it: lateapex train --resume .*--out"):
        made(tmp_path, track="oval")
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("name", sorted(FILES - {SETTINGS}))
def test_a_file_of_the_racers_is_never_replaced(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match=f"already has {name}, which a run would replace; choose another --out"):
        made(tmp_path)
    assert files_of(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("failing", sorted(FILES))
@pytest.mark.parametrize("before", ["nothing", "a folder", "a folder with files"])
def test_nothing_stays_of_a_run_that_could_not_be_made(tmp_path, monkeypatch, failing, before):
    root = tmp_path / "run"
    if before != "nothing":
        root.mkdir()
    if before == "a folder with files":
        (root / "model").mkdir()
        (root / "model" / "notes.txt").write_text("mine")
        (root / "empty").mkdir()
    there = sorted(root.rglob("*"))
    write = DiskStorage.write

    def full(self, name, data):
        if name == failing:
            raise StorageError("full")
        write(self, name, data)

    monkeypatch.setattr(DiskStorage, "write", full)
    with pytest.raises(StorageError, match="full"):
        made(root)
    assert root.exists() is (before != "nothing")
    assert sorted(root.rglob("*")) == there


def test_a_run_that_is_dropped_leaves_what_it_did_not_bring(tmp_path):
    storage = made(tmp_path / "alone")
    drop_run(storage)
    assert not (tmp_path / "alone").exists()
    storage = made(tmp_path / "shared")
    (tmp_path / "shared" / "notes.txt").write_text("mine")
    drop_run(storage)
    assert files_of(tmp_path / "shared") == {"notes.txt": b"mine"}


def test_what_a_crash_left_half_written_is_removed_and_nothing_else(tmp_path):
    storage = made(tmp_path)
    whole_files = files_of(tmp_path)
    for torn in (".writing-abc", "model/.writing-def"):
        (tmp_path / torn).write_bytes(b"half")
    drop_unfinished(storage)
    assert files_of(tmp_path) == whole_files


# ------------------------------------------------------------------------------------------- existing runs, damage


@pytest.mark.parametrize("url", ["missing", "missing/deeper", "x" * 300, ""])
def test_a_run_that_is_not_there_is_refused(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="give the folder that lateapex train named"):
        open_run(url)


def test_a_folder_and_a_file_that_are_no_runs_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(RunError, match=r"is no run folder: it has no run\.toml"):
            open_run(str(path))


def test_a_slip_in_a_runs_name_is_recognised(tmp_path):
    made(tmp_path / "kidney-lean-0")
    with pytest.raises(RunError, match=r"kidney-laen-0 does not exist; did you mean '.*/kidney-lean-0'\?"):
        open_run(str(tmp_path / "kidney-laen-0"))


READERS = {
    SETTINGS: (read_settings, LateapexError),
    TRACK: (read_track, LateapexError),
    METADATA: (run_metadata, MetadataError),
    HYPERPARAMETERS: (run_hyperparameters, LateapexError),
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_was_cut_off_anywhere_is_refused_or_whole(tmp_path, name):
    storage = made(tmp_path)
    data = storage.read(name)
    read, error = READERS[name]
    expected = read(storage)
    for size in sorted({0, 1, *range(0, len(data), max(1, len(data) // 60)), len(data) - 1}):
        storage.write(name, data[:size])
        try:
            found = read(storage)
        except error as told:
            assert str(Path(storage.url) / name) in str(told)  # noqa: PT017 - some cuts lose nothing: line ends, notes
        else:
            same = np.array_equal(found.center, expected.center) if name == TRACK else found == expected
            assert same, data[:size]


@pytest.mark.parametrize("name", [*READERS, REWARD])
def test_a_file_of_other_bytes_is_refused_in_one_line(tmp_path, name):
    storage = made(tmp_path)
    for data in (
        b"\xff\xfe\x00\x01",
        b"\x80abc",
        bytes(range(128, 256)),
        b"\x93NUMPY\x01\x00v\x00{'descr': ((((" + b" " * 99,
    ):
        storage.write(name, data)
        with pytest.raises(LateapexError, match=name) as told:
            READERS.get(name, (run_reward, RewardError))[0](storage)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", [*READERS, REWARD])
def test_a_file_that_is_gone_is_named(tmp_path, name):
    storage = made(tmp_path)
    storage.delete(name)
    with pytest.raises(RunError, match=f"has no {name}"):
        READERS.get(name, (run_reward, RewardError))[0](storage)


def test_settings_that_nobody_knows_are_refused_with_their_place(tmp_path):
    storage = made(tmp_path)
    text = storage.read(SETTINGS).decode()
    storage.write(SETTINGS, text.replace("rollout_steps", "rolout_steps").encode())
    with pytest.raises(ConfigError, match=r"no setting is called 'trainer.rolout_steps'; did you mean 'rollout_steps'"):
        parse(TrainConfig, read_settings(storage), "run.toml")
