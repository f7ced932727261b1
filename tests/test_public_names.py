"""The promised names: few, all there, loaded on first use."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lateapex

DOCUMENTED = re.compile(r"lateapex\.([A-Za-z_]+)")


def test_there_are_at_most_20():
    assert len(lateapex.__all__) <= 20
    assert len(set(lateapex.__all__)) == len(lateapex.__all__)


@pytest.mark.parametrize("name", lateapex.__all__)
def test_every_name_stands_for_what_its_own_module_calls_so(name):
    found = getattr(lateapex, name)
    if name == "__version__":
        assert re.fullmatch(r"\d+\.\d+\.\d+", found)
    else:
        assert getattr(importlib.import_module(found.__module__), name) is found
        assert found.__doc__


def test_names_can_be_listed_and_imported_with_a_star():
    assert set(lateapex.__all__) <= set(dir(lateapex))
    names: dict[str, object] = {}
    exec("from lateapex import *", names)
    assert set(lateapex.__all__) <= set(names)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(AttributeError, match=r"module 'lateapex' has no attribute 'trian'"):
        lateapex.trian  # noqa: B018 - the access is what is tested
    assert not hasattr(lateapex, "_private")


def test_the_quickstart_uses_only_names_that_are_there():
    docstring = lateapex.__doc__ or ""
    code = docstring.partition("\n\n")[2]
    ast.parse(code)
    assert set(DOCUMENTED.findall(code)) <= set(lateapex.__all__)


def test_the_version_is_that_of_the_installed_package():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert f'version = "{lateapex.__version__}"' in text


def test_python_m_lateapex_is_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "lateapex", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"lateapex {lateapex.__version__}\n"
