"""Parameter YAML and .env files: real ones have no errors, slips are told with their line and what to write."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lateapex.jobs.check_params import check_env, check_yaml


def yaml_faults(text, file="training_params.yaml"):
    found = list(check_yaml(text, file))
    assert all(len(finding.message.splitlines()) == 1 for finding in found)
    return [(finding.severity, finding.line, finding.message) for finding in found]


def env_faults(text, file="run.env"):
    found = list(check_env(text, file))
    assert all(len(finding.message.splitlines()) == 1 for finding in found)
    return [(finding.severity, finding.line, finding.message) for finding in found]


def of_value(line):
    """The one fault of a YAML line."""
    ((severity, number, message),) = yaml_faults(f"WORLD_NAME: a\n{line}\n")
    assert number == 2
    return severity, message


# ------------------------------------------------------------------------------------------------------------ YAML


def test_every_real_parameter_file_is_without_a_fault(shared_data):
    files = sorted(shared_data.rglob("*.yaml"))
    assert len(files) >= 8
    for path in files:
        assert yaml_faults(path.read_text(), path.name) == [], path


def test_the_form_of_deepracer_for_cloud_with_lists_is_without_a_fault():
    text = """---
'CAR_COLOR':
- 'Purple'
- 'Orange'
'BODY_SHELL_TYPE': ['deepracer', 'deepracer']
'METRICS_S3_BUCKET': ['bucket', 'bucket']
'MP4_S3_BUCKET': 'bucket'
'IS_CONTINUOUS': 'True'
'ENABLE_MERCY_RESET': on
'OBJECT_POSITIONS': ['0.25, 1', '0.5,-1']
'FIREHOSE_S3_BUCKET': 'x'
'WORLD_NAME': 'reinvent_base'
"""
    assert yaml_faults(text, "evaluation_params.yaml") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('IS_CONTINUOUS: "ture"', "IS_CONTINUOUS is 'ture', which counts as false; did you mean 'true'?"),
        ('IS_CONTINUOUS: "on"', "IS_CONTINUOUS is 'on', which counts as false; write True or False"),
        ("IS_CONTINUOUS:", "IS_CONTINUOUS is empty, which counts as false; write True or False"),
        ("NUMBER_OF_TRIALS: 0", "NUMBER_OF_TRIALS is '0'; expected a whole number from 1 to 1000"),
        ('NUMBER_OF_TRIALS: "5.0"', "NUMBER_OF_TRIALS is '5.0'; expected a whole number from 1 to 1000"),
        ("NUMBER_OF_RESETS: -1", "NUMBER_OF_RESETS is '-1'; expected a whole number from 0"),
        ("OFF_TRACK_PENALTY: .nan", "OFF_TRACK_PENALTY is '.nan'; expected a number from 0 to 600"),
        ("BOT_CAR_SPEED: fast", "BOT_CAR_SPEED is 'fast'; expected a number from 0 to 4"),
        ("RACE_TYPE: TIME_TRAIL", "RACE_TYPE is 'TIME_TRAIL'; expected TIME_TRIAL, OBJECT_AVOIDANCE, HEAD_TO_BOT"),
        ("JOB_TYPE: [TRAINING]", "JOB_TYPE is a list; expected one value"),
        ("JOB_TYPE: {a: b}", "JOB_TYPE is a table; expected one value"),
        ("CAR_COLOR: [[Red]]", "CAR_COLOR holds a list or table within its list; expected texts"),
        ("JOB_TYPE: EVALUATION", "JOB_TYPE is EVALUATION in a file for training; write JOB_TYPE: TRAINING"),
        ('OBJECT_POSITIONS: ["1.25,1"]', "OBJECT_POSITIONS is '1.25,1'; expected the share of the lap and the lane"),
        ('OBJECT_POSITIONS: ["0.25,2"]', "OBJECT_POSITIONS is '0.25,2'; expected the share of the lap and the lane"),
    ],
)
def test_a_value_that_cannot_be_meant_is_an_error(line, message):
    severity, told = of_value(line)
    assert severity == "error"
    assert told.startswith(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("NUMBER_OF_TRIAL: 5", "NUMBER_OF_TRIAL is not read; did you mean 'NUMBER_OF_TRIALS'?"),
        ("RACE_TYPE: time_trial", "RACE_TYPE is 'time_trial'; write it as TIME_TRIAL"),
        ("CAR_COLOR: Pink", "CAR_COLOR is 'Pink'; expected Black, Grey, Blue, Red, Orange, White or Purple"),
        ("WORLD_NAME: b", "WORLD_NAME stands on line 1 already; this one counts"),
    ],
)
def test_what_runs_but_hardly_as_meant_is_a_warning(line, message):
    severity, told = of_value(line)
    assert severity == "warning"
    assert told.startswith(message)


def test_a_job_needs_a_track_and_its_name_has_no_ending():
    assert yaml_faults("JOB_TYPE: TRAINING\n") == [
        ("error", None, "has no WORLD_NAME, the track; write WORLD_NAME: reinvent_base")
    ]
    ((_, line, message),) = yaml_faults("# mine\nWORLD_NAME: reinvent_base.npy\n")
    assert (line, "without .npy" in message) == (2, True)


def test_lists_of_cars_are_equally_long():
    text = "WORLD_NAME: a\nCAR_COLOR: [Red, Blue]\nBODY_SHELL_TYPE:\n- deepracer\n"
    assert yaml_faults(text) == [
        ("error", 4, "BODY_SHELL_TYPE has 1 values where others have 2; one for each car is needed")
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("WORLD_NAME: a\n\tJOB_TYPE: b\n", 2, "is not YAML: found character '\\t' that cannot start any token; indent"),
        ("WORLD_NAME: [a\n", 2, "is not YAML: "),
        ("WORLD_NAME: a\n---\nWORLD_NAME: b\n", 2, "is not YAML: "),
        ("WORLD_NAME: \x07\n", None, "is not YAML: "),
        ("", None, "is empty; at least WORLD_NAME is needed"),
        ("- WORLD_NAME\n", None, "holds no KEY: value lines; at least WORLD_NAME is needed"),
        ("[" * 5000, None, "is nested too deep"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text, line, message):
    ((severity, number, told),) = yaml_faults(text)
    assert (severity, number) == ("error", line)
    assert told.startswith(message)


@given(st.text(alphabet="AB:-[]{}'\"#&*!|>%@` \n\t,0é\x00", max_size=40) | st.text(max_size=20))
@example("? [a]\n: b\n")
@example("&a WORLD_NAME: *a\n")
@example("!!python/object/apply:os.system [ls]: 1\n")
def test_whatever_a_yaml_or_env_file_holds_there_is_a_report(text):
    yaml_faults(text)
    env_faults(text)


# ------------------------------------------------------------------------------------------------------------- env


def test_every_real_env_file_of_deepracer_for_cloud_is_without_a_fault(shared_data):
    files = [*shared_data.rglob("*run.env"), *shared_data.rglob("*system.env"), *shared_data.rglob("*worker*.env")]
    assert len(files) >= 7
    for path in files:
        assert env_faults(path.read_text(), path.name.rpartition("_")[2].rpartition("template-")[2]) == [], path


@pytest.mark.parametrize(
    ("line", "severity", "message"),
    [
        ("DR_WORLD_NAME = oval", "error", "blanks stand around the =; write DR_WORLD_NAME=oval"),
        ("a note", "error", "'a note' is no KEY=value; begin a comment with #"),
        ("DR_RACE_TYPE=HEAD_TO_BOTS", "error", "DR_RACE_TYPE is 'HEAD_TO_BOTS'; expected TIME_TRIAL"),
        ("DR_EVAL_IS_CONTINUOUS=Ture", "error", "DR_EVAL_IS_CONTINUOUS is 'Ture', which counts as false; did you mean"),
        ("DR_TRAIN_MIN_EVAL_TRIALS=", "error", "DR_TRAIN_MIN_EVAL_TRIALS is empty; expected a whole number from 0"),
        ("DR_CAR_COLOR=Red # mine", "error", "the comment becomes part of the value of DR_CAR_COLOR; put it"),
        ("DR_OA_OBJECT_POSITIONS=0.2,1;0.4", "error", "DR_OA_OBJECT_POSITIONS is '0.2,1;0.4'; expected shares"),
        ("DR_WORLD_NAME=oval.npy", "error", "DR_WORLD_NAME is 'oval.npy'; expected a track's name without .npy"),
        ("DR_CAR_NAME=$DR_CAR_NAMEE", "error", "DR_CAR_NAME takes $DR_CAR_NAMEE, which nothing sets; did you mean"),
        ("DR_TRAIN_EPISODES=5", "warning", "DR_TRAIN_EPISODES is not read"),
        ("WORLD_NAME=oval", "warning", "WORLD_NAME is not read; did you mean 'DR_WORLD_NAME'?"),
        ("export DR_WORLD_NAME=oval", "warning", "deepracer-for-cloud exports by itself; write DR_WORLD_NAME=oval"),
        ("DR_CAR_NAME=My car", "warning", "DR_CAR_NAME has a blank in its value; put quotes around it"),
        ("DR_EVAL_COLLISION_PENALTY=2", "warning", "DR_EVAL_COLLISION_PENALTY is not read, 5 s hold; set DR_COLLI"),
    ],
)
def test_a_slip_in_an_env_file_is_told_with_what_to_write(line, severity, message):
    ((found, number, told),) = env_faults(f"# a comment\n\n{line}\n")
    assert (found, number) == (severity, 3)
    assert told.startswith(message)


def test_values_in_quotes_and_references_to_what_the_file_sets_are_fine():
    text = "MY_OWN=1\nDR_CAR_NAME=\"My car\"\nDR_DISPLAY_NAME='$DR_CAR_NAME'\nDR_RUN_ID=${DR_RUN_ID}\n"
    assert env_faults(text) == [("warning", 1, "MY_OWN is not read")]
    assert env_faults("DR_OA_OBJECT_POSITIONS=0.23,-1;0.46,1\n") == []


def test_a_value_that_is_given_twice_is_a_warning():
    assert env_faults("DR_RUN_ID=0\nDR_RUN_ID=1\n") == [
        ("warning", 2, "DR_RUN_ID stands on line 1 already; this one counts")
    ]


def test_line_ends_of_windows_are_told_once():
    ((severity, line, message),) = env_faults("DR_RUN_ID=0\r\nDR_WORLD_NAME=oval\r\n")
    assert (severity, line) == ("error", 1)
    assert message.endswith("mend it: sed -i 's/\\r$//' run.env")


def test_an_equals_sign_in_a_value_cuts_worker_files_alone():
    assert env_faults("DR_DROA_URL=http://x/?a=b\n") == []
    ((severity, _, message),) = env_faults("DR_DROA_URL=http://x/?a=b\n", "my-workers/worker-2.env")
    assert (severity, message.startswith("DR_DROA_URL has a = in its value")) == ("error", True)
    assert env_faults("DR_DROA_URL=http://x/?a=b\n", "worker-cars/run.env") == []
