"""Tables of names: imported when asked for, with the nearest name when there is none."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from lateapex import registry as module
from lateapex.errors import ConfigError
from lateapex.registry import Registry

TABLE = {
    "ratio": "fractions:Fraction",
    "missing": "no_such_module_anywhere:Thing [video]",
    "broken": "no_such_module_anywhere:Thing",
}


@pytest.fixture
def table():
    return Registry("sink", TABLE)


@pytest.fixture
def elsewhere(monkeypatch):
    """Another package that brings a sink of its own, and one with a name that is taken."""
    points = [EntryPoint("theirs", "decimal:Decimal", "lateapex.sink"), EntryPoint("ratio", "decimal:Decimal", "")]
    monkeypatch.setattr(module, "entry_points", lambda group: points if group == "lateapex.sink" else [])


def test_a_name_stands_for_what_its_module_holds(table):
    assert table.get("ratio") is sys.modules["fractions"].Fraction


def test_names_come_in_the_order_of_the_table(table):
    assert table.names() == ["ratio", "missing", "broken"]


def test_other_packages_add_names_and_cannot_take_ours(table, elsewhere):
    assert table.names() == ["ratio", "missing", "broken", "theirs"]
    assert table.get("theirs") is sys.modules["decimal"].Decimal
    assert table.get("ratio") is sys.modules["fractions"].Fraction
    with pytest.raises(ConfigError, match="known: ratio, missing, broken, theirs"):
        table.get("zzzzz")


def test_a_slip_is_recognised(table):
    with pytest.raises(ConfigError, match=r"^no sink is called 'ration'; did you mean 'ratio'\?$"):
        table.get("ration")


def test_names_that_resemble_none_are_answered_with_all(table):
    with pytest.raises(ConfigError, match=r"^no sink is called 'zzzzz'; known: ratio, missing, broken$"):
        table.get("zzzzz")


def test_what_needs_an_extra_says_how_to_install_it(table):
    message = r"^the sink 'missing' needs no_such_module_anywhere: pip install 'lateapex\[video\]'$"
    with pytest.raises(ConfigError, match=message):
        table.get("missing")


def test_a_module_of_our_own_that_cannot_be_imported_is_a_defect(table):
    with pytest.raises(ImportError):
        table.get("broken")
