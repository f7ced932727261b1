"""Rules of the house that a machine can check on the source of the package."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lateapex"
MODULES = sorted(PACKAGE.rglob("*.py"))
ALL_SOURCE = sorted(
    path for folder in ("lateapex", "tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")
)

LONGEST_FILE, LONGEST_FUNCTION, MOST_NAMES = 500, 60, 20
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
# "noqa: E501 - why" and "type: ignore[no-untyped-call]  # why".
WAIVER = re.compile(r"#\s*(noqa|type:\s*ignore)")
REASONED = re.compile(r"#\s*(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)* - \w{2}|type: ignore\[[a-z, -]+\]\s*# \w{2})")

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def dangers(code: ast.Module) -> list[str]:
    """Name what could run a stranger's code: unpickling, evaluating text, loading weights of any type.

    To catch the error of somebody else's unpickling is no danger.
    """
    found = []
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            found += [
                alias.name for alias in node.names if _loads(alias.name) and (alias.asname or alias.name != "pickle")
            ]
        elif isinstance(node, ast.ImportFrom) and _loads(node.module or ""):
            found += [f"{node.module}.{alias.name}" for alias in node.names if alias.name != "UnpicklingError"]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle" and node.attr != "UnpicklingError":
            found.append(f"pickle.{node.attr}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "eval":
            found.append("eval")
        elif isinstance(node, ast.keyword) and (node.arg, ast.unparse(node.value)) in TRUSTING:
            found.append(f"{node.arg}={ast.unparse(node.value)}")
    return found


def _loads(module: str) -> bool:
    return module.partition(".")[0] in {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


TRUSTING = {("weights_only", "False"), ("allow_pickle", "True")}


def unexplained(text: str) -> list[str]:
    """Lines that switch a checker off without a reason."""
    return [line.strip() for line in text.splitlines() if WAIVER.search(line) and not REASONED.search(line)]


def test_the_package_is_found() -> None:
    assert {path.name for path in MODULES} >= {"errors.py", "records.py", "storage.py", "config.py"}


@each_module
def test_module_says_what_it_answers(path: Path) -> None:
    assert (ast.get_docstring(tree(path)) or "").strip()


@each_module
def test_file_is_not_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@each_module
def test_no_function_is_too_long(path: Path) -> None:
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in functions]
    assert [(name, length) for name, length in lengths if length > LONGEST_FUNCTION] == []


@each_module
def test_module_runs_no_code_that_a_file_brings_along(path: Path) -> None:
    assert dangers(tree(path)) == []


@each_module
def test_module_holds_nothing_unfinished(path: Path) -> None:
    assert UNFINISHED.findall(path.read_text()) == []


@pytest.mark.parametrize("path", ALL_SOURCE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_waiver_carries_its_reason(path: Path) -> None:
    if path != Path(__file__):
        assert unexplained(path.read_text()) == []


@pytest.mark.parametrize("folder", sorted(path.parent for path in PACKAGE.glob("*/**/__init__.py")))
def test_sub_package_holds_a_docstring_only(folder: Path) -> None:
    body = tree(folder / "__init__.py").body
    assert [type(node) for node in body] == [ast.Expr]


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES} - {PACKAGE}))
def test_folder_of_modules_is_a_package(folder: Path) -> None:
    assert (folder / "__init__.py").is_file() or folder.is_relative_to(PACKAGE / "data")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, lateapex; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"torch", "numba", "numpy", "matplotlib", "pydantic", "gymnasium"} == set()


def test_public_names_are_few() -> None:
    import lateapex

    assert len(lateapex.__all__) <= MOST_NAMES


# --------------------------------------------------------------------------------------- the checks themselves work


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import pickle; pickle.loads(b'')", ["pickle.loads"]),
        ("import pickle as p", ["pickle"]),
        ("import pickle\ntry: f()\nexcept pickle.UnpicklingError: g()", []),
        ("import numpy, cloudpickle as c", ["cloudpickle"]),
        ("from pickle import loads, UnpicklingError", ["pickle.loads"]),
        ("eval('1')", ["eval"]),
        ("torch.load(f, weights_only=False)", ["weights_only=False"]),
        ("np.load(f, allow_pickle=True)", ["allow_pickle=True"]),
        ("model.eval(); torch.load(f, weights_only=True); np.load(f, allow_pickle=False)", []),
        ("from lateapex.storage import pickle_free", []),
    ],
)
def test_dangers_are_seen(code: str, found: list[str]) -> None:
    assert dangers(ast.parse(code)) == found


@pytest.mark.parametrize(
    ("line", "explained"),
    [
        ("x = 1  # noqa", False),
        ("x = 1  # noqa: E501", False),
        ("x = 1  # noqa: E501 -", False),
        ("x = 1  # noqa: PTH105 - aside is a str", True),
        ("x = 1  # noqa: PTH105, E501 - aside is a str", True),
        ("x = f()  # type: ignore", False),
        ("x = f()  # type: ignore[no-untyped-call]", False),
        ("x = f()  # type: ignore[no-untyped-call] # numba has no types", True),
        ("x = f()  # type: ignore[no-untyped-call, misc]  # numba: [N] floats", True),
        ("x = 1", True),
    ],
)
def test_waivers_without_a_reason_are_seen(line: str, explained: bool) -> None:
    assert (unexplained(line) == []) is explained
