"""The record of what was measured names every benchmark, and every page that names one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORD = (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8")
ROWS = [line for line in RECORD.splitlines() if "`python benchmarks/" in line]
SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py") if path.name != "harness.py")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_benchmark_has_a_row(script: str) -> None:
    assert any(f"`python benchmarks/{script}" in row for row in ROWS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_that_names_a_benchmark_is_in_a_row_of_it(page: Path) -> None:
    for script in set(re.findall(r"benchmarks/(\w+\.py)", page.read_text(encoding="utf-8"))):
        link = f"(../{page.relative_to(ROOT).as_posix()})"
        assert any(link in row and f"benchmarks/{script}" in row for row in ROWS), (script, link)


def test_what_it_names_is_there_and_each_row_names_pages_that_name_its_script_back() -> None:
    for link in re.findall(r"\]\(\.\./([^)]+)\)", RECORD):
        assert (ROOT / link).is_file(), link
    for row in ROWS:
        (script,) = re.findall(r"benchmarks/(\w+\.py)", row)
        assert script in SCRIPTS
        for link in re.findall(r"\]\(\.\./([^)]+)\)", row):
            assert f"benchmarks/{script}" in (ROOT / link).read_text(encoding="utf-8"), (script, link)


def test_flags_that_it_names_are_those_of_the_scripts() -> None:
    found = [(script, flag) for row in ROWS for script, flag in re.findall(r"benchmarks/(\w+\.py) (--[\w-]+)", row)]
    assert found
    for script, flag in found:
        assert f'"{flag}"' in (ROOT / "benchmarks" / script).read_text(encoding="utf-8"), (script, flag)
