"""Parameter YAML of training and evaluation: read, written, and world names."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lateapex.errors import FormatError
from lateapex.formats.job_yaml import first, is_true, read_parameters, world_of, write_parameters

GOLDEN = Path(__file__).parents[1] / "golden"
MADE = {
    "JOB_TYPE": "TRAINING",
    "WORLD_NAME": "reinvent_base",
    "RACE_TYPE": "TIME_TRIAL",
    "CHANGE_START_POSITION": "true",
    "OBJECT_POSITIONS": ["0.25,1", "0.5,-1"],
    "PARK_POSITIONS": [],
    "RACER_NAME": 'café "quick" #1',
}


def real_files(shared_data):
    return sorted([*(shared_data / "params_yaml").glob("*.yaml"), *(shared_data / "logs").rglob("*.yaml")])


def test_every_real_file_is_read_and_written_as_the_same(shared_data):
    files = real_files(shared_data)
    assert len(files) == 8
    for path in files:
        text = path.read_text()
        parameters = read_parameters(text, path.name)
        assert parameters == yaml.load(text, yaml.BaseLoader), path.name
        assert read_parameters(write_parameters(parameters), "again") == parameters
        if "\n\n" not in text and text.endswith("\n"):
            assert write_parameters(parameters) == text, path.name


def test_made_parameters_are_byte_for_byte_the_golden_file():
    text = (GOLDEN / "training_params.yaml").read_text()
    assert write_parameters(MADE) == text
    assert read_parameters(text, "p.yaml") == MADE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A: true\nB: 1.50\nC:\nD: ~\nE: '~'", {"A": "true", "B": "1.50", "C": "", "D": "", "E": "~"}),
        ("'A': 'x'\n'B':\n- 'y'\n- z", {"A": "x", "B": ["y", "z"]}),
        ("\ufeff---\nA: [1, 2]", {"A": ["1", "2"]}),
        ("A: 1\nA: 2", {"A": "2"}),
        ("--- {}", {}),
    ],
)
def test_values_are_texts_whatever_yaml_would_make_of_them(text, expected):
    assert read_parameters(text, "p.yaml") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p.yaml is empty; write WORLD_NAME: reinvent_base"),
        ("- a", "p.yaml holds no KEY: value lines"),
        ("A: b: c", "p.yaml is not YAML: line 1: mapping values are not allowed here"),
        ("A:\n\tB: 1", "p.yaml is not YAML: line 2"),
        ("A: 1\nB: {x: 1}", "p.yaml: line 2: B is a list or table; expected one value"),
        ("A: [[1]]", "p.yaml: line 1: a value of A is a list or table"),
        ("[" * 5000, "p.yaml"),
        ("A: \x00", "p.yaml"),
        ("A: !!python/object:os.system x", {"A": "x"}),
    ],
)
def test_what_is_no_parameter_file_is_refused_in_one_line_and_nothing_is_run(text, message):
    if isinstance(message, dict):
        assert read_parameters(text, "p.yaml") == message
        return
    with pytest.raises(FormatError) as caught:
        read_parameters(text, "p.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), max_size=12)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), texts | st.lists(texts, max_size=3), max_size=4
    )
)
def test_any_parameters_read_back(parameters):
    assert read_parameters(write_parameters(parameters), "p.yaml") == parameters


def test_the_simulator_takes_four_words_as_true_and_all_else_as_false():
    assert [word for word in ("Yes", "true", "T", "1", "no", "on", "2", "") if is_true(word)] == [
        "Yes",
        "true",
        "T",
        "1",
    ]


@pytest.mark.parametrize(
    ("parameters", "world"),
    [
        ({"WORLD_NAME": "Oval_track"}, "Oval_track"),
        ({"WORLD_NAME": "arctic_open", "TRACK_DIRECTION_CLOCKWISE": "true"}, "arctic_open_cw"),
        ({"WORLD_NAME": "arctic_open", "TRACK_DIRECTION_CLOCKWISE": "False"}, "arctic_open_ccw"),
        ({"WORLD_NAME": "arctic_open_cw", "TRACK_DIRECTION_CLOCKWISE": "true"}, "arctic_open_cw"),
        ({"TRACK_DIRECTION_CLOCKWISE": "true"}, ""),
    ],
)
def test_the_direction_belongs_to_the_name_of_the_world(parameters, world):
    assert world_of(parameters) == world


def test_of_a_list_the_first_car_counts():
    assert (first({"A": ["x", "y"]}, "A"), first({"A": []}, "A", "z"), first({}, "A")) == ("x", "z", "")
