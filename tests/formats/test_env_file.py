"""run.env, system.env and worker-N.env: what a shell would read, and rewriting that keeps the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.errors import FormatError
from lateapex.formats.env_file import read_env, write_env

GOLDEN = (Path(__file__).parents[1] / "golden" / "run.env").read_text()


def real_files(shared_data):
    return sorted((shared_data / "params_yaml").glob("*.env"))


def test_every_real_file_is_written_again_byte_for_byte(shared_data):
    files = real_files(shared_data)
    assert len(files) == 9
    for path in files:
        text = path.read_text()
        file = read_env(text, path.name)
        assert write_env(file) == text
        assert len(file.raw) == sum("=" in line and not line.startswith("#") for line in text.splitlines())


def test_the_template_of_drfc_gives_its_values_with_references_replaced(shared_data):
    values = read_env((shared_data / "params_yaml/drfc_template-run.env").read_text(), "run.env").values()
    assert values["DR_WORLD_NAME"] == "reinvent_base"
    assert (values["DR_DISPLAY_NAME"], values["DR_EVAL_OPP_RACER_NAME"]) == ("FastCar", "FasterCar")
    assert values["DR_LOCAL_S3_METRICS_PREFIX"] == "rl-deepracer-sagemaker/metrics"
    assert values["DR_OA_OBJECT_POSITIONS"] == ""
    assert "DR_TRAIN_RTF" not in values


def test_the_golden_file_is_read_as_a_shell_reads_it():
    file = read_env(GOLDEN, "run.env")
    assert file.raw["DR_DISPLAY_NAME"] == "$DR_CAR_NAME"
    assert file.values() == {
        "DR_WORLD_NAME": "reinvent_base",
        "DR_CAR_NAME": "Fast Car",
        "DR_DISPLAY_NAME": "Fast Car",
        "DR_OA_OBJECT_POSITIONS": "",
        "DR_NOT_KNOWN_TO_ANYONE": "a $b",
    }


def test_references_reach_values_from_outside_and_end_at_what_is_not_set():
    file = read_env("export A=${OUT}-$NONE-x\nA=$A$A\nB=$C\nC=1\n", "run.env")
    assert file.values({"OUT": "o"}) == {"A": "o--xo--x", "B": "", "C": "1"}


def test_rewriting_changes_one_value_and_leaves_every_other_byte():
    changed = write_env(read_env(GOLDEN, "run.env").updated({"DR_WORLD_NAME": "Oval_track", "DR_NEW": "two words"}))
    assert changed == GOLDEN.replace("reinvent_base", "Oval_track") + "DR_NEW='two words'\n"
    windows = read_env("\ufeffA=1\r\n B=2 \r\nA=3", "run.env").updated({"A": "4", "B": "$A's", "C": "5"})
    assert write_env(windows) == '\ufeffA=1\r\n B="$A\'s" \r\nA=4\nC=5\n'


@pytest.mark.parametrize(("key", "value"), [("A B", "1"), ("", "1"), ("A", "1\n2"), ("A", "'\"")])
def test_what_cannot_stand_on_one_line_is_not_written(key, value):
    with pytest.raises(FormatError, match="expected KEY=value on one line"):
        read_env("", "run.env").updated({key: value})


@pytest.mark.parametrize("line", ["DR_WORLD_NAME", "A = 1", "1A=2", "=3", "A: b"])
def test_a_line_that_is_no_assignment_is_named_with_its_number(line):
    with pytest.raises(FormatError, match=r"run\.env: line 2 is '.*'; expected KEY=value"):
        read_env(f"# first\n{line}\n", "run.env")


values = st.text(st.characters(codec="utf-8", exclude_characters="\n\r'\"$"), max_size=8).map(str.strip)


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]*", fullmatch=True), values, max_size=4))
def test_any_values_read_back(settings):
    file = read_env("# head\nDR_A=1\n", "run.env").updated(settings)
    again = read_env(write_env(file), "run.env")
    assert again.values() == file.values() == {"DR_A": "1", **settings}


@given(st.text(max_size=40))
def test_any_text_is_refused_in_one_line_or_written_as_it_was(text):
    message, written = "", text
    try:
        written = write_env(read_env(text, "run.env"))
    except FormatError as error:
        message = str(error)
    assert written == text
    assert len(message.splitlines()) <= 1
