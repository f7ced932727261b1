"""hyperparameters.json: real files are read, nonsense is refused with its range."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.config import to_toml
from lateapex.errors import HyperparameterError
from lateapex.formats.hyperparameters import Hyperparameters, read_hyperparameters, write_hyperparameters


def read(**values):
    return read_hyperparameters(json.dumps(values), "h.json")


def refusal(text):
    with pytest.raises(HyperparameterError) as caught:
        read_hyperparameters(text, "h.json")
    message = str(caught.value)
    assert message.startswith("h.json")
    assert len(message.splitlines()) == 1
    return message


def test_every_real_file_for_ppo_is_read(shared_data):
    files = [*shared_data.glob("hyperparameters/*.json"), *shared_data.glob("logs/*/ip/hyperparameters.json")]
    assert len(files) >= 10
    for path in files:
        if path.name != "on_the_spot_sac.json":
            values = json.loads(path.read_text())
            read = read_hyperparameters(path.read_text(), path.name).model_dump()
            assert values == {key: value for key, value in read.items() if key in values} | (
                {"pretrained": "false"} if "pretrained" in values else {}
            ), path.name


def test_a_resolved_dump_of_the_original_is_written_byte_for_byte(shared_data):
    for path in [*shared_data.glob("hyperparameters/ip_*.json"), *shared_data.glob("logs/*/ip/hyperparameters.json")]:
        assert write_hyperparameters(read_hyperparameters(path.read_text(), path.name)) == path.read_text()


def test_a_file_for_sac_is_read_and_written_as_it_was(shared_data):
    text = (shared_data / "hyperparameters" / "on_the_spot_sac.json").read_text()
    file = read_hyperparameters(text, "h.json")
    assert file.warnings("sac") == ()
    written = json.loads(write_hyperparameters(file, "sac"))
    assert {key: written[key] for key in json.loads(text)} == json.loads(text)
    assert not {"num_epochs", "beta_entropy"} & written.keys()
    # Trained with PPO it says what is not what it seems.
    assert [line.partition(" ")[0] for line in file.warnings()] == ["sac_alpha", "exploration_type"]


def test_left_out_keys_have_the_values_of_deepracer_for_cloud_but_no_limit(shared_data):
    shipped = read_hyperparameters((shared_data / "hyperparameters" / "drfc_default.json").read_text(), "drfc")
    limits = {"term_cond_max_episodes": 100_000, "term_cond_avg_score": 100_000.0}
    assert read() == shipped.model_copy(update=limits)


def test_numbers_may_be_texts_or_whole_floats():
    values = read(batch_size="128", lr="1e-4", num_epochs=3.0, epsilon_steps="1e4", discount_factor=1, stack_size=" 1 ")
    assert (values.batch_size, values.lr, values.num_epochs) == (128, 1e-4, 3)
    assert (values.epsilon_steps, values.discount_factor, values.stack_size) == (10_000, 1.0, 1)


@pytest.mark.parametrize("word", ["Huber", "huber", "HUBER "])
def test_words_are_read_in_any_case_of_letters(word):
    assert read(loss_type=word, exploration_type="Categorical").loss_type == "huber"


@pytest.mark.parametrize("value", [1, 64, 100, 1024, 65536])
def test_a_batch_need_not_be_a_power_of_two_of_the_consoles_form(value):
    assert read(batch_size=value).batch_size == value


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("batch_size", 0, "a whole number from 1 and up to 65536 (64 is usual)"),
        ("batch_size", 64.5, "a whole number from 1 and up to 65536 (64 is usual)"),
        ("batch_size", "many", "a whole number from 1 and up to 65536 (64 is usual)"),
        ("num_epochs", True, "a whole number from 1 and up to 1000 (5 is usual)"),
        ("num_epochs", None, "a whole number from 1 and up to 1000 (5 is usual)"),
        ("lr", 0, "a number above 0 and up to 1 (0.0003 is usual)"),
        ("lr", "-3e-4", "a number above 0 and up to 1 (0.0003 is usual)"),
        ("lr", [3e-4], "a number above 0 and up to 1 (0.0003 is usual)"),
        ("beta_entropy", -0.01, "a number from 0 and up to 1 (0.01 is usual)"),
        ("discount_factor", 1.01, "a number from 0 and up to 1 (0.99 is usual)"),
        ("discount_factor", "nan", "a number from 0 and up to 1 (0.99 is usual)"),
        ("num_episodes_between_training", 0, "a whole number from 1 and up to 100000 (20 is usual)"),
        ("term_cond_avg_score", float("inf"), "a number (100000.0 is usual)"),
        ("e_greedy_value", False, "a number from 0 and up to 1 (0.05 is usual)"),
        ("loss_type", "mse", '"huber" or "mean squared error"'),
        ("loss_type", 2, '"huber" or "mean squared error"'),
        ("exploration_type", "curious", '"categorical" or "e-greedy" or "additive_noise"'),
        ("exploration_type", [], '"categorical" or "e-greedy" or "additive_noise"'),
        ("job_duration_in_seconds", 0, "a number above 0"),
        ("job_duration_in_seconds", "soon", "a number above 0"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_key_and_range(key, value, expected):
    message = refusal(json.dumps({key: value}))
    assert message == f"h.json: {key} is {json.dumps(value)}; expected {expected}"


def test_what_will_not_happen_as_written_is_said_and_nothing_else():
    assert read(exploration_type="e-greedy", stack_size=1, term_cond_avg_score=350.0).warnings() == ()
    (frames,) = read(stack_size="4").warnings()
    assert frames == "stack_size 4 has no effect, as in the original: the network sees one frame"
    (temperature,) = read(sac_alpha=0.2).warnings()
    assert temperature.startswith("sac_alpha has no effect: it belongs to SAC")
    (epochs,) = read(num_epochs=3).warnings("sac")
    assert epochs == "num_epochs has no effect: SAC does not use it"
    (both,) = read(num_epochs=3, beta_entropy=0.1).warnings("sac")
    assert both == "beta_entropy, num_epochs have no effect: SAC does not use them"


def test_a_duration_may_be_a_text_and_is_no_part_of_the_originals_dump():
    values = read(job_duration_in_seconds="3600")
    assert values.job_duration_in_seconds == 3600.0
    assert "job_duration_in_seconds" not in json.loads(write_hyperparameters(values))


def test_an_unknown_key_is_refused_with_the_nearest_known_one():
    message = "h.json: no hyperparameter is called 'batchsize'; did you mean 'batch_size'?"
    assert refusal('{"batchsize": 64}') == message
    assert "known: batch_size, beta_entropy" in refusal('{"x": 64}')


def test_a_broken_file_is_refused_with_its_place():
    assert refusal('{"lr": 0.001,}') == "h.json is not JSON: line 1, column 13: a comma before '}'; remove the comma"
    assert "expected an object" in refusal("64")


def test_sac_alpha_is_taken_but_not_written_for_ppo():
    values = read(sac_alpha=0.5)
    assert values.sac_alpha == 0.5
    assert "sac_alpha" not in json.loads(write_hyperparameters(values))


def test_the_settings_go_into_the_runs_toml():
    assert 'loss_type = "huber"' in to_toml(Hyperparameters())


@given(
    st.builds(
        Hyperparameters,
        batch_size=st.integers(1, 65536),
        lr=st.floats(0, 1, exclude_min=True),
        discount_factor=st.floats(0, 1),
        loss_type=st.sampled_from(["huber", "mean squared error"]),
        term_cond_avg_score=st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_what_is_written_reads_back_with_every_digit(values):
    assert read_hyperparameters(write_hyperparameters(values), "h.json") == values


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(10**400)


@given(st.dictionaries(st.sampled_from(list(Hyperparameters.model_fields)), scalars | st.lists(scalars, max_size=2)))
def test_any_values_are_read_or_refused_in_one_line(values):
    message = ""
    try:
        read(**values)
    except HyperparameterError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
