"""A racer's files are checked in every layout, each fault with its line; the JSON files by what training reads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rewards import HABITS

from lateapex.errors import ConfigError, LateapexError, TrackError
from lateapex.formats.hyperparameters import read_hyperparameters
from lateapex.formats.model_metadata import read_metadata
from lateapex.jobs.check import check
from lateapex.jobs.init import init

METADATA = """{
    "action_space": [
        {"steering_angle": -30, "speed": 1},
        {"steering_angle": 0, "speed": 1}
    ],
    "sensor": ["FRONT_FACING_CAMERA"],
    "version": "5"
}
"""


def faults(folder, **files):
    """Severity, file, line and message of what is found in files with these texts; _ stands for the dot."""
    for name, text in files.items():
        (folder / name.replace("_json", ".json")).write_text(text)
    found = check(str(folder)).findings
    assert all(len(finding.message.splitlines()) == 1 for finding in found)
    return [(finding.severity, finding.place.removeprefix(f"{folder}/"), finding.message) for finding in found]


def test_what_init_writes_has_no_faults(tmp_path):
    init(tmp_path)
    report = check(str(tmp_path))
    assert report.findings == []
    assert report.errors == 0
    names = ["reward_function.py", "model_metadata.json", "hyperparameters.json"]
    assert report.files == [f"{tmp_path}/{name}" for name in names]


def test_every_layout_of_the_files_is_found(tmp_path):
    (tmp_path / "custom_files").mkdir()
    names = [
        "reward_function.py",
        "custom_files/customer_reward_function.py",
        "custom_files/model_metadata.json",
        "custom_files/hyperparameters.json",
        "training_params.yaml",
        "training_params_2.yml",
        "eval_params_1101a978.yaml",
        "evaluation_params.yaml",
        "run.env",
        "system.env",
        "worker-2.env",
    ]
    for name in [*names, "notes.py", "config.yaml", "other.json"]:
        (tmp_path / name).write_text("")
    report = check(str(tmp_path))
    assert sorted(report.files) == sorted(f"{tmp_path}/{name}" for name in names)
    assert {finding.file for finding in report.findings} <= set(report.files)


def test_a_folder_with_nothing_to_check_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds none of reward_function.py, .*; lateapex init .* writes them"):
        check(str(tmp_path))
    with pytest.raises(ConfigError, match=r"is no folder; give the one that holds reward_function\.py"):
        check(str(tmp_path / "no"))


def test_a_track_that_is_none_is_refused(tmp_path):
    init(tmp_path)
    with pytest.raises(TrackError):
        check(str(tmp_path), "kidny")


def test_a_file_that_is_no_text_is_an_error_and_the_others_are_checked(tmp_path):
    (tmp_path / "reward_function.py").write_bytes(b"\xff\xfe\x00")
    found = faults(tmp_path, hyperparameters_json='{"lr": 7}')
    assert [place for _, place, _ in found] == ["reward_function.py", "hyperparameters.json:1"]
    assert found[0][2].startswith("cannot be read: 'utf-8' codec can't decode byte 0xff")


def test_a_reward_in_the_encoding_that_it_names_is_read_as_when_training(tmp_path):
    (tmp_path / "reward_function.py").write_bytes(HABITS["latin_1"])
    assert faults(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ('": 0, "speed"', '": 0, "sped"', 4, "action_space[1] has no 'speed'; rename 'sped'"),
        ('-30, "speed": 1', '-30, "speed": "1"', 3, 'action_space[0].speed is "1"; expected a finite number'),
        ('"FRONT_FACING_CAMERA"', '"FRONT_CAMERA"', 6, "no sensor is called 'FRONT_CAMERA'; did you mean"),
        ('"version": "5"', '"version": "five"', 7, 'version is "five"; expected a number'),
        ('"speed": 1}\n', '"speed": 1},\n', 4, "is not JSON: column "),
        ('"sensor"', '"sensors"', 6, "has no 'sensor'; rename 'sensors'"),
    ],
)
def test_a_fault_of_the_metadata_comes_with_its_line(tmp_path, old, new, place, message):
    assert old in METADATA
    ((severity, where, told),) = faults(tmp_path, model_metadata_json=METADATA.replace(old, new))
    assert severity == "error"
    assert where == f"model_metadata.json:{place}"
    assert told.startswith(message)


def test_what_the_car_does_otherwise_than_written_is_a_warning(tmp_path):
    text = METADATA.replace("-30", "\t-45").replace('"version"', '"colour": "red",\n"version"')
    found = faults(tmp_path, model_metadata_json=text)
    assert [(severity, place) for severity, place, _ in found] == [
        ("warning", "model_metadata.json:3"),
        ("warning", "model_metadata.json:7"),
    ]
    assert found[0][2].startswith("steering_angle -45 of action_space[0] lies beyond 30 degrees")


def test_every_fault_of_the_hyperparameters_is_told_not_only_the_first(tmp_path):
    text = '{\n  "batch_size": 0,\n  "lr": "fast",\n  "discount_facter": 0.9,\n  "lr": 9\n}\n'
    found = faults(tmp_path, hyperparameters_json=text)
    assert [(severity, place) for severity, place, _ in found] == [
        ("error", "hyperparameters.json:2"),
        ("error", "hyperparameters.json:4"),
        ("error", "hyperparameters.json:5"),
        ("warning", "hyperparameters.json:5"),
    ]
    assert found[0][2].startswith("batch_size is 0; expected a whole number from 1")
    assert found[1][2].startswith("no hyperparameter is called 'discount_facter'; did you mean 'discount_factor'")
    assert found[3][2] == "'lr' stands on line 3 already; this one counts"


def test_hyperparameters_that_are_not_json_are_told_with_line_and_column(tmp_path):
    (found,) = faults(tmp_path, hyperparameters_json='{\n  "lr": 0.001,\n}\n')
    assert found == (
        "error",
        "hyperparameters.json:2",
        "is not JSON: column 14: a comma before '}'; remove the comma",
    )


def test_real_files_are_refused_only_where_training_refuses_them(tmp_path, shared_data):
    readers = {"model_metadata": read_metadata, "hyperparameters": read_hyperparameters}
    refused = 0
    for kind, read in readers.items():
        for path in sorted((shared_data / kind).glob("*.json")):
            text = path.read_text()
            (tmp_path / f"{kind}.json").write_text(text)
            try:
                read(text, path.name)
            except LateapexError:
                refused += 1
                assert check(str(tmp_path)).errors, path
            else:
                assert not check(str(tmp_path)).errors, path
            (tmp_path / f"{kind}.json").unlink()
    assert refused < 8


def test_invalid_metadata_is_an_error_and_what_is_clipped_a_warning(tmp_path, shared_data):
    for path in sorted((shared_data / "model_metadata" / "invalid").glob("*.json")):
        (tmp_path / "model_metadata.json").write_text(path.read_text())
        report = check(str(tmp_path))
        assert report.errors == ("out_of_range" not in path.name), path
        assert report.findings, path


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(key=st.sampled_from(["lr", "action_space", "sensor", "version", "x"]), value=values, cut=st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_whatever_the_json_files_hold_there_is_a_report(tmp_path_factory, key, value, cut):
    folder = tmp_path_factory.mktemp("any")
    text = json.dumps({**json.loads(METADATA), key: value})
    faults(folder, model_metadata_json=text, hyperparameters_json=json.dumps({key: value})[:cut])
