"""Settings from a file, from a run, from flags: which outweighs which, where paths lead, what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from small_runs import files_of, small_config, small_run, timeless

from lateapex.errors import ConfigError, HyperparameterError, LateapexError, MetadataError, RunError
from lateapex.formats.model_metadata import default_metadata
from lateapex.jobs.train import resume, train, train_config
from lateapex.world.track import load_track


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, text):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name


def filed(text, values=None, name="my.toml"):
    return train_config(values or {}, "command line", write(name, text))


# ------------------------------------------------------------------------------------------------ a file


def test_a_file_may_hold_every_setting_in_nested_tables():
    config = filed(
        """
        track = "oval,kidney@reversed"
        reward = "centre_line"
        critic = "lean"
        seed = 9
        cars = 3
        [trainer]
        steps = 77
        keep = 2
        [exploration]
        exploration_type = "e-greedy"
        [ppo]
        clip = 0.125
        max_gradient_norm = inf
        """
    )
    assert (config.track, config.reward, config.seed, config.cars) == ("oval,kidney@reversed", "centre_line", 9, 3)
    assert (config.trainer.steps, config.trainer.keep, config.ppo.clip) == (77, 2, 0.125)
    assert config.exploration.exploration_type == "e-greedy"
    assert config.ppo.max_gradient_norm == math.inf
    assert config.ppo.batch_size == 256  # the preset of lean, where nothing is said


def test_flags_outweigh_the_file_and_the_file_the_preset():
    config = filed("seed = 9\ncars = 3\n[trainer]\nsteps = 5", {"seed": 1, "trainer": {"steps": None, "duration": 2.0}})
    assert (config.seed, config.cars, config.trainer.steps, config.trainer.duration) == (1, 3, 5, 2.0)


def test_tracks_may_be_a_list():
    assert filed('track = ["oval", "my/route.npy"]', name="car/my.toml").track == "oval,car/my/route.npy"
    with pytest.raises(ConfigError, match=r"my\.toml: track is \['oval', 3\]; input should be a valid string"):
        filed('track = ["oval", 3]')


def test_paths_are_relative_to_the_file_and_names_are_not():
    metadata = str(Path("m.json").resolve())
    write("m.json", default_metadata().text)
    config = filed(
        'track = "oval,r.npy@reversed"\nreward = "my.py"\nout = "../runs/x"\n'
        f'model_metadata = "{metadata}"\nnetwork = "my_net.py:Net"\ntransforms = ["grey", "own.py:Mine:size=2"]',
        name="car/my.toml",
    )
    assert config.track == "oval,car/r.npy@reversed"
    assert (config.reward, config.out, config.model_metadata) == ("car/my.py", "car/../runs/x", metadata)
    assert config.network == "car/my_net.py:Net"
    assert config.transforms == ("grey", "car/own.py:Mine:size=2")
    assert filed('reward = "quick_laps"', name="car/my.toml").reward == "quick_laps"


def test_a_comma_in_a_path_beside_the_file_is_part_of_it():
    write("car/a,b.npy", "")
    assert filed('track = "oval,a,b.npy"', name="car/my.toml").track == "oval,car/a,b.npy"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 3", r"my\.toml: no setting is called 'sed'; did you mean 'seed'\?"),
        ("[trainer]\nstep = 3", r"my\.toml: no setting is called 'trainer\.step'; did you mean 'steps'\?"),
        ("[training]\nsteps = 3", r"my\.toml: no setting is called 'training'; did you mean 'trainer'\?"),
        ("cars = '4'", r"my\.toml: cars is '4'; input should be a valid integer"),
        ("trainer = 4", r"my\.toml: trainer is 4; input should be"),
        ("[ppo]\nclip = 2.0", r"my\.toml: ppo\.clip is 2\.0; input should be less than 1"),
        ("[trainer]\nkeep = 0", r"my\.toml: trainer\.keep is 0; input should be greater than or equal to 1"),
        ("[exploration]\nexploration_type = 'bold'", r"my\.toml: exploration\.exploration_type is 'bold'"),
        ("cars = ", r"my\.toml is not TOML: Invalid value \(at end of document\)"),
    ],
)
def test_what_is_wrong_in_a_file_is_refused_with_its_place(text, message):
    with pytest.raises(ConfigError, match=message) as told:
        filed(text)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_or_no_text_is_refused():
    write("train.toml", "")
    with pytest.raises(ConfigError, match=r"no file is at trian\.toml; did you mean 'train\.toml'\?"):
        train_config({}, "command line", "trian.toml")
    with pytest.raises(ConfigError, match=r"no file is at nowhere/x\.toml; lateapex init DIR writes one"):
        train_config({}, "command line", "nowhere/x.toml")
    Path("train.toml").unlink()
    with pytest.raises(ConfigError, match=r"\. holds none of reward_function\.py, .*; lateapex init \. writes files"):
        train_config({}, "command line", ".")
    Path("bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot read bytes\.toml"):
        train_config({}, "command line", "bytes.toml")


@pytest.mark.parametrize("text", ["job_duration_in_seconds = 7", "[trainer]\njob_duration_in_seconds = 7.0"])
def test_the_originals_word_for_the_duration_is_understood(text):
    assert filed(text).trainer.duration == 7.0


@pytest.mark.parametrize(
    "text",
    [
        "[trainer]\njob_duration_in_seconds = 7.0\nduration = 7.0",
        "job_duration_in_seconds = 7\n[trainer]\njob_duration_in_seconds = 7",
        "job_duration_in_seconds = 7\n[trainer]\nduration = 7.0",
    ],
)
def test_a_duration_given_by_both_its_words_is_refused(text):
    with pytest.raises(ConfigError, match=r"my\.toml: job_duration_in_seconds and trainer\.duration are one setting"):
        filed(text)


# ------------------------------------------------------------------------------------------------ hyperparameters


def hyperparameters(name, **values):
    return write(name, json.dumps(values))


def test_hyperparameters_outweigh_what_stands_in_less_weighty_places_and_nothing_beside_them():
    hyperparameters("car/h.json", lr=0.5, batch_size=32)
    text = 'hyperparameters = "h.json"\n[ppo]\nbatch_size = 7'
    beside = filed(text, name="car/my.toml")
    assert (beside.ppo.learning_rate, beside.ppo.batch_size) == (0.5, 7)
    flag = filed("[ppo]\nbatch_size = 7\nclip = 0.3", {"hyperparameters": "car/h.json"})
    assert (flag.ppo.learning_rate, flag.ppo.batch_size, flag.ppo.clip) == (0.5, 32, 0.3)


def test_every_hyperparameter_reaches_the_settings_and_the_runs_own_file():
    file = hyperparameters(
        "h.json",
        exploration_type="e-greedy",
        e_greedy_value=0.25,
        epsilon_steps="500",
        stack_size=4,
        term_cond_avg_score=350.0,
        job_duration_in_seconds=33,
        sac_alpha=0.5,
    )
    config = train_config({"hyperparameters": file})
    assert config.exploration.model_dump() == {
        "exploration_type": "e-greedy",
        "e_greedy_value": 0.25,
        "epsilon_steps": 500,
    }
    assert config.trainer.duration == 33.0
    told = []
    train(small_config("run", hyperparameters=file, trainer={"steps": 32}), tell=told.append)
    assert [line.partition(" ")[0] for line in told] == ["stack_size", "sac_alpha"]
    own = json.loads(Path("run/ip/hyperparameters.json").read_text())
    assert (own["exploration_type"], own["epsilon_steps"], own["stack_size"]) == ("e-greedy", 500, 4)
    assert own["term_cond_avg_score"] == 350.0
    assert not {"sac_alpha", "job_duration_in_seconds"} & own.keys()


def test_e_greedy_of_a_continuous_action_space_is_refused_and_leaves_no_run():
    content = {
        "action_space": {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 0.5, "high": 1.0}},
        "action_space_type": "continuous",
        "sensor": ["FRONT_FACING_CAMERA"],
        "version": "5",
    }
    metadata = write("m.json", json.dumps(content))
    with pytest.raises(ConfigError, match='exploration_type is "e-greedy", which needs a list of actions'):
        small_run("run", model_metadata=metadata, exploration={"exploration_type": "e-greedy"})
    assert not Path("run").exists()


def test_an_e_greedy_run_repeats_itself_and_goes_on_to_the_same_files():
    e_greedy = {"exploration": {"exploration_type": "e-greedy", "epsilon_steps": 100}}
    whole = small_run("whole", **e_greedy)
    half = small_run("half", **e_greedy, trainer={"steps": 64})
    resume(str(half), {"trainer": {"steps": 128}})
    assert timeless(files_of(half)) == timeless(files_of(whole))
    assert timeless(files_of(whole)) != timeless(files_of(small_run("other")))


# ------------------------------------------------------------------------------------------------ the network


def metadata_of(network):
    content = json.loads(default_metadata().text)
    del content["neural_network"]
    return write("m.json", json.dumps({**content, **({"neural_network": network} if network else {})}))


def told_by(**values):
    told = []
    train(
        small_config("run", trainer={"steps": 2, "rollout_steps": 1, "evaluation_trials": 1}, **values),
        None,
        told.append,
    )
    return told


def test_the_network_that_the_metadata_name_is_trained_and_that_is_said():
    file = metadata_of("DEEP_CONVOLUTIONAL_NETWORK_SHALLOW")
    config = train_config({"model_metadata": file})
    assert (config.network, config.ppo.batch_size) == ("shallow", 128)
    (line,) = told_by(model_metadata=file)
    assert line.startswith("m.json names DEEP_CONVOLUTIONAL_NETWORK_SHALLOW, so the network shallow is trained; ")


def test_a_network_that_was_asked_for_outweighs_the_metadata_and_that_is_said():
    file = metadata_of("DEEP_CONVOLUTIONAL_NETWORK_SHALLOW")
    assert train_config({"model_metadata": file, "network": "lean"}).network == "lean"
    (line,) = told_by(model_metadata=file, network="lean")
    assert line == (
        "the network lean is trained, though m.json names DEEP_CONVOLUTIONAL_NETWORK_SHALLOW; "
        "--network shallow trains that one"
    )


def test_metadata_that_name_no_network_leave_it_at_ours():
    file = metadata_of(None)
    assert train_config({"model_metadata": file}).network == "lean"
    assert told_by(model_metadata=file) == []


def test_without_metadata_nothing_is_said():
    assert told_by() == []


def test_metadata_that_cannot_be_read_are_refused_when_settings_are_made():
    with pytest.raises(MetadataError, match=r"no file is at missing\.json"):
        train_config({"model_metadata": "missing.json"})
    with pytest.raises(HyperparameterError, match=r"no file is at missing\.json"):
        train_config({"hyperparameters": "missing.json"})


# ------------------------------------------------------------------------------------- a run as a file, a run again


def own_files():
    """A racer's reward, actions, hyperparameters and route, and the settings that name them."""
    track = load_track("oval")
    rows = np.concatenate([track.center, track.inner, track.outer], axis=1)
    np.save("line.npy", np.concatenate([rows, rows[:1]]))
    write("my.py", "def reward_function(params):\n    return params['speed']\n")
    metadata_of(None)
    hyperparameters("h.json", lr=0.002, num_episodes_between_training=3)
    names = {"track": "line.npy@reversed,kidney", "reward": "my.py", "model_metadata": "m.json"}
    return {**names, "hyperparameters": "h.json", "trainer": {"rollout_steps": 16}}


def test_a_run_can_be_repeated_from_its_run_toml_without_the_files_it_was_made_from():
    first = small_run("first", **own_files())
    for name in ("line.npy", "my.py", "m.json", "h.json"):
        Path(name).unlink()
    config = train_config({"out": "second"}, "command line", "first/run.toml")
    train(config)
    one, two = (timeless(files_of(Path(name))) for name in ("first", "second"))
    del one["run.toml"], two["run.toml"]
    assert one == two
    third = train_config({"out": "third"}, "command line", "second/run.toml")  # and so can the repetition
    assert third.model_dump(exclude={"track", "reward", "model_metadata", "out"}) == config.model_dump(
        exclude={"track", "reward", "model_metadata", "out"}
    )
    train(third)
    assert {**timeless(files_of(first.parent / "third")), "run.toml": 0} == {**two, "run.toml": 0}


def test_a_runs_own_place_is_not_taken_from_its_run_toml(small):
    config = train_config({}, "command line", f"{small}/run.toml")
    assert config.out is None
    assert (config.track, config.reward, config.model_metadata) == ("kidney", "quick_laps", None)


def test_a_run_toml_alone_is_a_file_like_any_other(small):
    config = filed((small / "run.toml").read_text(), name="elsewhere/run.toml")
    assert (config.seed, config.out, config.trainer.steps) == (7, None, 128)


# ------------------------------------------------------------------------------------------------ going on


def test_the_bounds_of_a_resumed_run_are_its_own_from_then_on(copied):
    before = (copied / "run.toml").read_text()
    assert resume(str(copied), {"trainer": {"steps": 160, "keep": 2}}).steps == 160
    after = (copied / "run.toml").read_text()
    assert after == before.replace("steps = 128", "steps = 160").replace("keep = 4", "keep = 2")
    assert resume(str(copied)).steps == 160


def test_a_resumed_run_that_is_refused_keeps_its_bounds(copied):
    (copied / "model" / "training_state.pt").write_bytes(b"PK")
    before = files_of(copied)
    with pytest.raises(LateapexError):
        resume(str(copied), {"trainer": {"steps": 160}})
    assert files_of(copied) == before


def test_a_run_that_clips_no_gradients_goes_on_to_clip_none():
    seen = []

    def observe(trainer, storage, config):
        seen.append(trainer._algorithm.config.max_gradient_norm)
        return {}

    train(small_config("run", ppo={"max_gradient_norm": math.inf}, trainer={"steps": 32}), observe)
    resume("run", {"trainer": {"steps": 64}}, observe)
    assert seen == [math.inf, math.inf]


def test_a_run_far_from_any_other_in_name_is_not_taken_for_one(copied):
    near = copied.parent / "copeid"
    with pytest.raises(RunError, match=r"copeid does not exist; did you mean '.*/copied'\?"):
        resume(str(near))
    with pytest.raises(RunError, match=r"does not exist; give the folder that lateapex train named"):
        resume(str(copied.parent / "kidney"))
