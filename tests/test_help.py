"""The help of every command: each option says what it is, and each has an example, which runs as it stands.

An example runs in a folder of its own, where the files are that its words name; `FILES` says how they come about. A new
command whose example names a file of another kind needs a line there. What would take minutes is cut short by the
options of `BUDGETS`, which are put behind the example's own words; nothing else is changed.
"""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
import tarfile
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import typer
from made_routes import serving
from made_runs import make_old
from made_tables import as_csv, driven
from small_runs import command, small_run

from lateapex import cli
from lateapex.jobs.init import init
from lateapex.storage import DiskStorage
from lateapex.workers.exchange import ExchangeSettings
from lateapex.workers.trainer_side import open_exchange
from lateapex.world.track import load_track
from lateapex.world.vehicle import Vehicle

BUDGETS = {
    "train": ("--steps", "64", "--cars", "2"),
    "evaluate": ("--trials", "2", "--film", "none"),
}


def words_of_commands():
    """The words of every command and group, by walking the tree that the command line is."""

    def walk(item, words):
        yield words, item
        for name, inner in sorted(getattr(item, "commands", {}).items()):
            yield from walk(inner, (*words, name))

    return dict(walk(typer.main.get_command(cli.app), ()))


TREE = words_of_commands()
COMMANDS = [words for words, item in TREE.items() if not hasattr(item, "commands")]
LONG = {("line",), ("film",)}
"""Commands whose examples take more than a few seconds."""
GROUPS_WITH_EXAMPLES = [words for words, item in TREE.items() if hasattr(item, "commands") and item.epilog]
named = pytest.mark.parametrize("words", [*COMMANDS, *GROUPS_WITH_EXAMPLES], ids=" ".join)
run = pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, marks=[pytest.mark.long] * (words in LONG), id=" ".join(words))
        for words in (*COMMANDS, *GROUPS_WITH_EXAMPLES)
    ],
)


def example(capsys, words):
    """The words of the example that a command's help shows, without the first."""
    said = command(capsys, *words, "--help")
    assert said.code == 0
    found = re.search(r"Example: lateapex (.*?)\s*\Z", said.out, re.DOTALL)
    assert found, f"the help of {' '.join(words)} ends with no example:\n{said.out}"
    return shlex.split(found[1])


# ------------------------------------------------------------------------------------------ what the examples name


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small run on kidney, with several episodes."""
    return small_run(tmp_path_factory.mktemp("examples") / "run", trainer={"steps": 640})


def copy_of_run(path, trained):
    make_old(shutil.copytree(trained, path))  # what changes now may be in training, and is not deleted


def racers_files(path, _):
    init(path)


def route(path, _):
    track = load_track("kidney")
    rows = np.concatenate([track.center, track.inner, track.outer], axis=1)
    np.save(path, np.concatenate([rows, rows[:1]]))


def step_table(path, _):
    """Steps of a car that drives on a straight line, as logs of the original tell them."""
    path.write_bytes(gzip.compress(as_csv(driven(Vehicle(), 1, 60)).encode()))


def ended_meeting(path, _):
    """A place where training has ended: a worker leaves it at once."""
    side = open_exchange(DiskStorage(path), ExchangeSettings(run="run"), "trainer", lambda: None)
    side.finish()
    side.leave()


def archive(path, _):
    init(Path("model"))
    with tarfile.open(path, "w:gz") as file:
        file.add("model")


FILES = {
    "runs": lambda path, trained: copy_of_run(path / "kidney-lean-0", trained),
    "runs/*": copy_of_run,
    "my-car": racers_files,
    "meeting-place": ended_meeting,
    "*.npy": route,
    "*.csv.gz": step_table,
    "*.tar.gz": archive,
}
"""How a file or folder that an example reads comes about, by its name."""
WRITTEN = ("--out",)
"""Options whose file is written, not read."""


def prepare(words, trained):
    """Make what the words of an example name."""
    for before, word in zip(("", *words), words, strict=False):
        makers = [make for pattern, make in FILES.items() if fnmatch(word, pattern)]
        if makers and before not in WRITTEN and words[0] != "init" and not Path(word).exists():
            makers[0](Path(word), trained)


# ------------------------------------------------------------------------------------------------------------ tests


def test_the_tree_is_walked_to_its_leaves():
    assert {("train",), ("evaluate",), ("init",), ("film",), ("tracks", "get"), ("runs", "prune")} <= set(COMMANDS)


def test_a_command_without_an_example_is_seen(capsys, monkeypatch):
    bare = typer.Typer()
    bare.callback()(lambda: None)
    bare.command("bare", epilog="See lateapex train.")(lambda: None)
    monkeypatch.setattr(cli, "app", bare)
    with pytest.raises(AssertionError, match="ends with no example"):
        example(capsys, ("bare",))


@named
def test_every_option_says_what_it_is(capsys, words):
    for line in command(capsys, *words, "--help").out.splitlines():
        if re.match(r"  --[a-z-]+", line):
            assert len(line.split()) > 2, line


@run
def test_the_example_runs_as_it_stands(capsys, words, trained, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATEAPEX_CACHE", str(tmp_path / "cache"))
    typed = example(capsys, words)
    assert tuple(typed[: len(words)]) == words, "the example is of another command"
    prepare(typed, trained)
    if words == ("tracks", "get"):
        with mirror(monkeypatch, request.getfixturevalue("shared_data") / "tracks" / f"{typed[-1]}.npy"):
            said = command(capsys, *typed)
    else:
        said = command(capsys, *typed, *BUDGETS.get(" ".join(words), ()))
    assert said.code == 0, f"lateapex {shlex.join(typed)}\n{said.out}{said.err}"
    assert said.out


@contextmanager
def mirror(monkeypatch, path):
    """A server on this machine in place of the community's, which holds one route."""
    with serving({"routes": path.read_bytes()}) as server:
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setenv("LATEAPEX_TRACKS_URL", f"{server.url}/routes")
        yield


def test_the_examples_files_are_what_they_seem(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(["check", "runs/a", "my-car", "x.npy", "--out", "runs/b", "y.mp4"], trained)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my-car", "runs", "x.npy"]
    assert [path.name for path in Path("runs").iterdir()] == ["a"]
    assert load_track("x.npy").length == pytest.approx(load_track("kidney").length)
    assert json.loads(Path("my-car/model_metadata.json").read_text())["action_space"]
