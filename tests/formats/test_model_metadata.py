"""model_metadata.json: what is read, what is refused, and in which words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.env.actions import actions_of
from lateapex.errors import MetadataError
from lateapex.formats.model_metadata import (
    Action,
    Bounds,
    LidarConfig,
    Range,
    default_metadata,
    read_metadata,
    write_metadata,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def described(**changes):
    """The text of a sound file with some keys changed; None takes a key out."""
    content = {
        "action_space": [{"steering_angle": -30, "speed": 0.6}, {"steering_angle": 30, "speed": 1}],
        "sensor": ["FRONT_FACING_CAMERA"],
        "neural_network": "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
        "training_algorithm": "clipped_ppo",
        "action_space_type": "discrete",
        "version": "5",
    } | changes
    return json.dumps({key: value for key, value in content.items() if value is not None})


def refusal(text):
    with pytest.raises(MetadataError) as caught:
        read_metadata(text, "m.json")
    message = str(caught.value)
    assert message.startswith("m.json")
    assert len(message.splitlines()) == 1
    return message


# Real files: (actions, version, sensors).
REAL = {
    "made_v4_discrete_discretized_lidar.json": (3, "4", "FRONT_FACING_CAMERA", "DISCRETIZED_SECTOR_LIDAR"),
    "made_v4_discrete_stereo_sector_lidar.json": (3, "4", "SECTOR_LIDAR", "STEREO_CAMERAS"),
    "made_v6_int_version.json": (3, "6", "FRONT_FACING_CAMERA"),
    "noversion_discrete5_camera.json": (5, "2", "FRONT_FACING_CAMERA"),
    "v1_discrete10_no_sensor.json": (10, "1", "observation"),
    "v1_discrete15_no_index.json": (15, "1", "observation"),
    "v1_discrete5_no_sensor.json": (5, "1", "observation"),
    "v2_discrete7_camera.json": (7, "2", "FRONT_FACING_CAMERA"),
    "v3_discrete12_no_index.json": (12, "3", "FRONT_FACING_CAMERA"),
    "v3_discrete9_camera.json": (9, "3", "FRONT_FACING_CAMERA"),
    "v4.0_discrete14_lidar_config.json": (14, "4.0", "FRONT_FACING_CAMERA"),
    "v4_discrete15_camera.json": (15, "4", "FRONT_FACING_CAMERA"),
    "v4_sac_drfc_default.json": (0, "4", "FRONT_FACING_CAMERA"),
    "v5_continuous_ppo_drfc_default.json": (0, "5", "FRONT_FACING_CAMERA"),
    "v5_discrete5_drfc_default.json": (5, "5", "FRONT_FACING_CAMERA"),
    "v5_sac_stereo.json": (0, "5", "STEREO_CAMERAS"),
}

INVALID = {
    "action_without_speed.json": "action_space[0] has no 'speed'",
    "continuous_low_above_high.json": "action_space.steering_angle goes from low 30.0 to high -30.0",
    "continuous_missing_speed.json": "action_space.speed is missing",
    "discrete_given_range.json": "action_space is a range, which a discrete action space is not",
    "empty_action_space.json": "action_space is empty",
    "lidar_only.json": "sensor has no camera",
    "lidar_sectors_not_dividing_64.json": "lidar_config.num_sectors is 7; expected a divisor of 64",
    "no_action_space.json": "has no 'action_space'",
    "sac_discrete.json": "training_algorithm sac needs a continuous action space",
    "string_numbers.json": 'action_space[0].steering_angle is "-30"; expected a finite number, without quotes',
    "trailing_comma.json": "line 22, column 17: a comma before '}'; remove the comma",
    "truncated.json": "the text ends too early",
    "two_cameras.json": "sensor has FRONT_FACING_CAMERA and STEREO_CAMERAS; expected exactly one camera",
    "two_lidars.json": "sensor has LIDAR and SECTOR_LIDAR; expected at most one lidar",
    "unknown_action_space_type.json": 'action_space_type is "hybrid"; expected discrete or continuous',
    "unknown_algorithm.json": 'training_algorithm is "dqn"; expected clipped_ppo or sac',
    "unknown_network.json": 'neural_network is "RESNET50"; expected DEEP_CONVOLUTIONAL_NETWORK_SHALLOW or',
    "unknown_sensor.json": "no sensor is called 'FISHEYE'",
}

CLAMPED = {
    "speed_out_of_range.json": "speed 12 of action_space[0] lies outside 0.1 to 4 m/s; the car drives inside it",
    "steering_out_of_range.json": "steering_angle -75 of action_space[0] (and 1 more) lies beyond 30 degrees; "
    "the wheels turn 30 degrees at most",
}


def test_every_real_file_is_read(shared_data):
    folder = shared_data / "model_metadata"
    assert {path.name for path in folder.glob("*.json")} == set(REAL)
    for name, expected in REAL.items():
        text = (folder / name).read_text()
        metadata = read_metadata(text, name)
        assert (len(metadata.actions), metadata.version, *metadata.sensors) == expected, name
        assert isinstance(metadata.action_space, Bounds) == (not metadata.actions)
        assert metadata.text == text
        assert metadata.warnings == ()


def test_every_invalid_file_is_refused_for_its_own_fault(shared_data):
    folder = shared_data / "model_metadata" / "invalid"
    assert {path.name for path in folder.glob("*.json")} == set(INVALID) | set(CLAMPED)
    for name, expected in INVALID.items():
        assert expected in refusal((folder / name).read_text()), name


def test_actions_beyond_the_cars_limits_are_kept_as_written_with_a_warning(shared_data):
    folder = shared_data / "model_metadata" / "invalid"
    for name, warning in CLAMPED.items():
        assert read_metadata((folder / name).read_text(), name).warnings == (warning,), name
    clamped = read_metadata((folder / "speed_out_of_range.json").read_text(), "m.json")
    assert clamped.actions == (Action(0.0, 12.0),)


def test_the_car_gets_values_beyond_its_limits_clamped(shared_data):
    folder = shared_data / "model_metadata" / "invalid"
    for name in CLAMPED:
        actions = actions_of(read_metadata((folder / name).read_text(), name))
        commands = actions.commands(np.arange(len(actions)), len(actions))
        assert np.abs(np.degrees(commands.steering)).max() <= 30.0 + 1e-9
        assert commands.throttle.max() <= 4.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"action_space": "fast"}, 'action_space is "fast"; expected a list'),
        ({"action_space": [3]}, "action_space[0] is 3; expected an object"),
        ({"action_space": [{"steering": 0, "speed": 1}]}, "has no 'steering_angle'; rename 'steering'"),
        ({"action_space": [{"steering_angle": True, "speed": 1}]}, "steering_angle is true; expected a finite number"),
        ({"action_space": [{"steering_angle": 0, "speed": None}]}, "speed is null; expected a finite number"),
        ({"action_space": [{"steering_angle": 0, "speed": float("inf")}]}, "speed is Infinity; expected a finite"),
        ({"action_space": [{"steering_angle": 0, "speed": 10**400}]}, "expected a finite number"),
        ({"action_space": [{"steering_angle": 0, "speed": 1}] * 1001}, "has 1001 actions; expected at most 1000"),
        ({"action_space": [], "action_space_type": "continuous"}, "action_space is []; a continuous one is"),
        ({"sensor": None}, "has no 'sensor'; it has"),
        ({"sensor": None, "sensors": ["FRONT_FACING_CAMERA"]}, "has no 'sensor'; rename 'sensors'"),
        ({"sensor": "FRONT_FACING_CAMERA"}, 'sensor is "FRONT_FACING_CAMERA"; expected a list such as'),
        ({"sensor": []}, "sensor has no camera"),
        ({"sensor": ["FRONT_FACING_CAMERA"] * 2}, "expected exactly one camera"),
        ({"sensor": ["FRONT_FACING_CAMRA"]}, "did you mean 'FRONT_FACING_CAMERA'?"),
        ({"version": "five"}, 'version is "five"; expected a number'),
        ({"version": True}, "version is true; expected a number"),
        ({"version": "nan"}, 'version is "nan"; expected a number'),
        ({"version": [5]}, "version is [5]; expected a number"),
        ({"neural_network": 3}, "neural_network is 3; expected"),
        ({"neural_network": "deep_convolutional_network"}, 'neural_network is "deep_convolutional_network"'),
        ({"lidar_config": 8}, "lidar_config is 8; expected an object"),
        ({"lidar_config": {"num_sectors": 0}}, "num_sectors is 0; expected a divisor of 64"),
        ({"lidar_config": {"num_values_per_sector": 0}}, "num_values_per_sector is 0; expected a whole number"),
        ({"lidar_config": {"num_values_per_sector": 1001}}, "expected a whole number from 1 to 1000"),
        ({"lidar_config": {"clipping_dist": "far"}}, 'clipping_dist is "far"; expected metres'),
    ],
)
def test_a_fault_says_what_was_found_and_what_was_expected(changes, expected):
    assert expected in refusal(described(**changes))


def test_a_text_that_is_no_object_is_refused():
    assert "expected an object" in refusal("[]")


def test_algorithm_and_action_space_type_are_read_in_any_case_of_letters():
    metadata = read_metadata(described(training_algorithm="Clipped_PPO", action_space_type="Discrete"), "m.json")
    assert metadata.training_algorithm == "clipped_ppo"


def test_the_order_of_the_list_counts_and_not_the_index():
    actions = [{"steering_angle": 0, "speed": 1, "index": 1}, {"steering_angle": 10, "speed": 1, "index": 0}]
    metadata = read_metadata(described(action_space=actions), "m.json")
    assert [action.steering_angle for action in metadata.actions] == [0, 10]
    assert metadata.warnings == (
        "action_space[0] (and 1 more) has index 1; the order of the list counts, not the index",
    )


def test_a_key_that_is_not_read_is_warned_of_and_the_consoles_extras_are_not():
    metadata = read_metadata(described(neural_networks="X", preprocess_type="GREY_SCALE"), "m.json")
    assert metadata.warnings == ("'neural_networks' is not read; did you mean 'neural_network'?",)


def test_a_speed_below_a_tenth_is_warned_of():
    metadata = read_metadata(described(action_space=[{"steering_angle": 30, "speed": 0}]), "m.json")
    assert metadata.warnings == ("speed 0 of action_space[0] lies outside 0.1 to 4 m/s; the car drives inside it",)


def test_the_default_is_byte_for_byte_the_golden_file():
    assert default_metadata().text == (GOLDEN / "model_metadata.json").read_text()


def test_the_default_reads_back_as_itself():
    default = default_metadata()
    assert read_metadata(default.text, "m.json") == default
    assert default.actions[3] == Action(-15.0, 1.0)


def test_a_lidar_is_set_as_the_file_says_and_by_its_defaults_for_the_rest():
    metadata = read_metadata(described(lidar_config={"num_sectors": 4, "clipping_dist": 1}), "m.json")
    assert metadata.lidar == LidarConfig(4, 8, 1.0)
    assert read_metadata(write_metadata(metadata), "m.json").lidar == metadata.lidar
    assert read_metadata(described(), "m.json").lidar == LidarConfig(8, 8, 2.0)


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5), st.sampled_from(["1", "4.0", "6"]))
def test_what_is_written_reads_back_with_every_digit(actions, version):
    entries = [{"steering_angle": angle, "speed": speed} for angle, speed in actions]
    metadata = read_metadata(described(action_space=entries, version=version), "m.json")
    again = read_metadata(write_metadata(metadata), "m.json")
    assert again.actions == metadata.actions == tuple(Action(*action) for action in actions)
    assert (again.sensors, again.version, again.warnings) == (metadata.sensors, version, metadata.warnings)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["low", "speed", "x"]), inner),
    max_leaves=6,
)
keys = st.sampled_from(["action_space", "sensor", "version", "neural_network", "training_algorithm", "lidar_config"])


@given(st.dictionaries(keys, values))
def test_any_values_are_read_or_refused_in_one_line(changes):
    message = ""
    try:
        read_metadata(described(**changes), "m.json")
    except MetadataError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


def test_a_continuous_action_space_keeps_its_ranges_and_reads_back():
    ranges = {"steering_angle": {"low": -30.0, "high": 20.0}, "speed": {"low": 0.5, "high": 2.0}}
    metadata = read_metadata(described(action_space=ranges, action_space_type="continuous"), "m.json")
    assert metadata.action_space == Bounds(Range(-30.0, 20.0), Range(0.5, 2.0))
    assert metadata.actions == ()
    assert read_metadata(write_metadata(metadata), "m.json").action_space == metadata.action_space


def test_ranges_that_the_car_cannot_follow_are_noted_not_refused():
    ranges = {"steering_angle": {"low": -45.0, "high": 45.0}, "speed": {"low": 0.5, "high": 9.0}}
    metadata = read_metadata(described(action_space=ranges, action_space_type="continuous"), "m.json")
    assert metadata.warnings == (
        "steering_angle goes from -45 to 45 degrees; the wheels turn 30 degrees at most",
        "speed goes from 0.5 to 9 m/s; the car drives inside 0.1 to 4 m/s",
    )
