"""Settings: what is wrong is named with its place, what is right goes out as TOML and comes back."""

from __future__ import annotations

import tomllib
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from lateapex.config import Config, parse, read_toml, to_toml
from lateapex.errors import ConfigError


class Engine(Config):
    """Inner settings."""

    power: float = Field(default=1.5, gt=0.0)
    fuel: Literal["petrol", "air"] = "air"


class Car(Config):
    """Outer settings."""

    wheels: int = Field(default=4, ge=1)
    name: str | None = None
    fast: bool = False
    engine: Engine = Engine()


def test_what_is_left_out_has_its_default():
    assert parse(Car, {"engine": {"power": 2.0}}) == Car(engine=Engine(power=2.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weels": 4}, "mine.toml: no setting is called 'weels'; did you mean 'wheels'?"),
        ({"xyz": 4}, "mine.toml: no setting is called 'xyz'; known: wheels, name, fast, engine"),
        ({"engine": {"pwer": 4.0}}, "mine.toml: no setting is called 'engine.pwer'; did you mean 'power'?"),
        ({"wheels": 0}, "mine.toml: wheels is 0; input should be greater than or equal to 1"),
        ({"wheels": 4.0}, "mine.toml: wheels is 4.0; input should be a valid integer"),
        ({"wheels": "4"}, "mine.toml: wheels is '4'; input should be a valid integer"),
        ({"wheels": True}, "mine.toml: wheels is True; input should be a valid integer"),
        ({"fast": 1}, "mine.toml: fast is 1; input should be a valid boolean"),
        ({"fast": "yes"}, "mine.toml: fast is 'yes'; input should be a valid boolean"),
        ({"engine": {"power": float("nan")}}, "mine.toml: engine.power is nan; input should be greater than 0"),
        ({"engine": {"fuel": "water"}}, "mine.toml: engine.fuel is 'water'; input should be 'petrol' or 'air'"),
        ({"engine": 5}, "mine.toml: engine is 5; input should be a valid dictionary or instance of Engine"),
    ],
)
def test_what_is_wrong_is_named_with_place_value_and_what_was_expected(values, message):
    with pytest.raises(ConfigError) as told:
        parse(Car, values, "mine.toml")
    assert str(told.value) == message


def test_a_whole_number_is_a_number():
    assert parse(Engine, {"power": 2}).power == 2.0


def test_settings_do_not_change_once_read():
    with pytest.raises(ValidationError, match="frozen"):
        Car().wheels = 3


@given(
    st.builds(
        Car,
        wheels=st.integers(1, 2**63 - 1),
        name=st.none() | st.text(),
        fast=st.booleans(),
        engine=st.builds(Engine, power=st.floats(min_value=5e-324), fuel=st.sampled_from(["petrol", "air"])),
    )
)
@settings(max_examples=100)
def test_settings_come_back_from_toml_as_they_were(car):
    assert parse(Car, read_toml(to_toml(car), "mine.toml")) == car


def test_what_is_not_set_has_no_place_in_toml_and_notes_stand_beside():
    found = tomllib.loads(to_toml(Car(), versions={"python": "3.11", "rust": None}))
    assert found == {
        "wheels": 4,
        "fast": False,
        "engine": {"power": 1.5, "fuel": "air"},
        "versions": {"python": "3.11"},
    }


@pytest.mark.parametrize("text", ["a = ", "[a", "a = 1\na = 2", "\x00"])
def test_what_is_no_toml_is_told_with_its_place(text):
    with pytest.raises(ConfigError, match=r"^mine\.toml is not TOML: .*(line \d+, column \d+|end of document)"):
        read_toml(text, "mine.toml")
