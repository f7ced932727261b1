"""Broken JSON: every fault names its place and what to change."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.errors import FormatError
from lateapex.formats.json_text import is_number, parse_json, parse_object, shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.json is not JSON: line 1, column 1: the file is empty"),
        ("  \n ", "f.json is not JSON: line 1, column 1: the file is empty"),
        ('{"a": 1,\n}', "f.json is not JSON: line 1, column 8: a comma before '}'; remove the comma"),
        ('{"a": [1,\n\n 2,  ]}', "f.json is not JSON: line 3, column 3: a comma before ']'; remove the comma"),
        ('{"a": 1 "b": 2}', "f.json is not JSON: line 1, column 9: found '\"'; a comma is missing before it"),
        ("{'a': 1}", "f.json is not JSON: line 1, column 2: a single quote; JSON wants double quotes"),
        ('{"a": 1} # end', "f.json is not JSON: line 1, column 10: JSON has no comments; remove it"),
        ('{"a": "b}', "f.json is not JSON: line 1, column 7: a text begins here and does not end; "),
        ('{"a": [1', "f.json is not JSON: line 1, column 9: the text ends too early; "),
        ("{a: 1}", "f.json is not JSON: line 1, column 2: found 'a'; expecting property name"),
    ],
)
def test_a_slip_is_named_with_line_and_column(text, message):
    with pytest.raises(FormatError) as caught:
        parse_json(text, "f.json", FormatError)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_json_beyond_the_parsers_limits_is_the_same_error(text):
    with pytest.raises(FormatError, match=r"f\.json"):
        parse_json(text, "f.json", FormatError)


def test_a_byte_order_mark_is_passed_over():
    assert parse_object('\ufeff{"a": 1}', "f.json", FormatError) == {"a": 1}


@pytest.mark.parametrize("text", ["[]", "3", '"text"', "null"])
def test_a_value_that_is_no_object_is_refused(text):
    with pytest.raises(FormatError, match=r"f\.json holds .* expected an object"):
        parse_object(text, "f.json", FormatError)


@given(st.text())
def test_any_text_is_parsed_or_refused_in_one_line(text):
    message = ""
    try:
        parse_json(text, "f.json", FormatError)
    except FormatError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


@pytest.mark.parametrize("value", [True, False, None, "1", [], float("nan"), float("inf"), 10**400])
def test_what_is_no_finite_number_is_no_number(value):
    assert not is_number(value)


@pytest.mark.parametrize("value", [0, -3, 2.5, 10**20])
def test_finite_numbers_are_numbers(value):
    assert is_number(value)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)))
def test_a_shown_value_fits_into_a_line(value):
    text = shown(value)
    assert len(text) <= 60
    assert len(text.splitlines()) == 1
    assert text.isascii()


def test_a_shown_value_reads_as_in_the_file():
    assert shown({"a": [True, None, "x"]}) == '{"a": [true, null, "x"]}'
    assert json.loads(shown("x" * 10)) == "x" * 10
