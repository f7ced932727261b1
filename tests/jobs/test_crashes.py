"""Whatever ends a run in the middle, it goes on as if nothing had happened: the same weights, the same files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_runs import command, files_of, small_run, timeless

from lateapex.errors import StorageError
from lateapex.jobs import train as job
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.storage import DiskStorage
from lateapex.training.checkpoint import STATE, load_version

HERE = Path(__file__).parents[1]
CLOCK_FREE = {"trainer": {"evaluation_interval": 1}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Files of the run that nothing stops."""
    return timeless(files_of(small_run(tmp_path_factory.mktemp("whole") / "run", **CLOCK_FREE)))


def gone_on(run: Path) -> dict[str, Any]:
    job.resume(str(run))
    return timeless(files_of(run))


# ---------------------------------------------------------------------------- killed anywhere, in this process


class Killed(BaseException):
    """Ends the process, as far as the code under test can tell: no handler for errors catches it."""


def killed_at(monkeypatch: pytest.MonkeyPatch, number: int, after: bool) -> None:
    """Let the storage kill the process at its operation `number`, before it is done or after."""
    left = iter(range(number, -1, -1))

    def deadly(name: str) -> Any:
        operation = getattr(DiskStorage, name)

        def call(self: DiskStorage, *words: Any) -> None:
            fatal = next(left, 1) == 0
            if not fatal or after:
                operation(self, *words)
            if fatal:
                raise Killed

        return call

    for name in ("write", "append", "truncate", "delete"):
        monkeypatch.setattr(DiskStorage, name, deadly(name))


def operations(monkeypatch: pytest.MonkeyPatch, folder: Path, settings: dict[str, Any] | None = None) -> int:
    """How many operations of its storage a small run takes after it was made."""
    killed_at(monkeypatch, 10_000, False)
    counted = []
    for name in ("write", "append", "truncate", "delete"):
        operation = getattr(DiskStorage, name)
        monkeypatch.setattr(
            DiskStorage, name, lambda self, *words, do=operation: (counted.append(words[0]), do(self, *words))
        )
    small_run(folder, **(settings or CLOCK_FREE))
    return len(counted)


@pytest.mark.chaos
def test_a_run_killed_at_any_moment_goes_on_to_the_same_files(tmp_path, monkeypatch, whole):
    with monkeypatch.context() as counting:
        count = operations(counting, tmp_path / "counted")
    assert count > 40
    for number in range(6, count, 8):  # a sample; the first five make the run folder
        run = tmp_path / str(number)
        with monkeypatch.context() as patched:
            killed_at(patched, number, after=number % 2 == 0)
            with pytest.raises(Killed):
                small_run(run, **CLOCK_FREE)
        assert gone_on(run) == whole, number


def test_a_run_killed_again_and_again_goes_on_to_the_same_files(tmp_path, monkeypatch, whole):
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        killed_at(patched, 20, after=True)
        with pytest.raises(Killed):
            small_run(run, **CLOCK_FREE)
    for number in (4, 13):
        with monkeypatch.context() as patched:
            killed_at(patched, number, after=False)
            with pytest.raises(Killed):
                job.resume(str(run))
    assert gone_on(run) == whole


@pytest.mark.chaos
@pytest.mark.parametrize(
    "settings",
    [
        {"track": "oval,kidney@reversed", "exploration": {"exploration_type": "e-greedy", "epsilon_steps": 100}},
        {"pretrained": "parent"},
    ],
    ids=["several tracks, e-greedy", "from a trained model"],
)
def test_a_run_of_another_kind_killed_at_any_moment_goes_on_to_the_same_files(tmp_path, monkeypatch, settings):
    monkeypatch.chdir(tmp_path)
    small_run("parent", trainer={"steps": 32})
    given = {**settings, "trainer": {"evaluation_interval": 1, "keep": 2}}
    whole = timeless(files_of(small_run(tmp_path / "whole", **given)))
    with monkeypatch.context() as counting:
        count = operations(counting, tmp_path / "counted", given)
    for number in range(8, count, 17):
        run = tmp_path / str(number)
        with monkeypatch.context() as patched:
            killed_at(patched, number, after=number % 2 == 0)
            with pytest.raises(Killed):
                small_run(run, **given)
        assert gone_on(run) == whole, number


def test_a_run_killed_while_it_is_made_leaves_no_run_that_could_be_taken_for_one(tmp_path, monkeypatch):
    for number in range(5):
        run = tmp_path / str(number)
        with monkeypatch.context() as patched:
            killed_at(patched, number, after=False)
            with pytest.raises(Killed):
                small_run(run)
        assert not (run / "run.toml").exists()


# ------------------------------------------------------------------------------------------------ kill -9, for real

CHILD = """
import os, sys
from small_runs import small_config
from lateapex.jobs import train as job
from lateapex.records import UpdateRecord

run, action, place, number, save_seconds = sys.argv[1:]
number = int(number)

def halt():
    print("here", flush=True)
    sys.stdin.readline()  # until the parent kills

class Marks:
    def write(self, record):
        if place == "update" and isinstance(record, UpdateRecord) and record.iteration == number:
            halt()
    def state(self):
        return {}
    def restore(self, state):
        pass
    def close(self):
        pass

replace, replaced = os.replace, []
def halting(aside, path):
    if place == "replace" and str(path).endswith("training_state.pt"):
        replaced.append(path)
        if len(replaced) == number:
            halt()
    replace(aside, path)
os.replace = halting

observe = lambda trainer, storage, config: {"marks": Marks()}
if action == "train":
    job.train(small_config(run, trainer={"evaluation_interval": 1, "save_seconds": float(save_seconds)}), observe)
else:
    job.resume(run, None, observe)
"""


def kill_in_the_middle(run: Path, action: str, place: str, number: int, save_seconds: float = 1e-9) -> None:
    """Start a real process, wait until it says that it has come to the place, and kill it there."""
    words = [sys.executable, "-c", CHILD, str(run), action, place, str(number), str(save_seconds)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.kill()
        assert child.wait() == -signal.SIGKILL


@pytest.mark.chaos
def test_a_process_killed_twice_once_in_the_middle_of_saving_goes_on_to_the_same_files(tmp_path, whole):
    run = tmp_path / "run"
    kill_in_the_middle(run, "train", "update", 3)
    assert (run / STATE).exists()
    kill_in_the_middle(run, "resume", "replace", 1)
    assert list((run / "model").glob(".writing-*"))
    assert gone_on(run) == whole


@pytest.mark.chaos
def test_a_process_killed_before_it_saved_anything_goes_on_to_the_same_files(tmp_path, whole):
    run = tmp_path / "run"
    kill_in_the_middle(run, "train", "update", 2, save_seconds=1e9)
    assert not (run / STATE).exists()
    assert {name: data for name, data in gone_on(run).items() if name != "run.toml"} == {
        name: data for name, data in whole.items() if name != "run.toml"
    }


# ------------------------------------------------------------------------------------------- asked to stop, politely

STOPPER = """
import os, pathlib
calls = 0

def reward_function(params):
    global calls
    calls += 1
    if calls >= 40 and pathlib.Path({flag!r}).exists():
        pathlib.Path({flag!r}).unlink()
        os.kill(os.getpid(), {number})
    return params["speed"]
"""


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_that_is_asked_to_stop_is_saved_and_goes_on_as_if_nothing_had_stopped_it(tmp_path, capsys, number):
    flag = tmp_path / "flag"
    (tmp_path / "r.py").write_text(STOPPER.format(flag=str(flag), number=int(number)))
    words = ("train", "--cars", 2, "--steps", 256, "--seed", 3, "--reward", tmp_path / "r.py", "--out")
    assert command(capsys, *words, tmp_path / "whole").code == 0
    flag.touch()
    before = signal.getsignal(number)
    said = command(capsys, *words, tmp_path / "stopped")
    assert said.code == 0, said
    assert "stopped as asked: 128 steps, 1 updates" in said.out
    assert said.err == ""
    assert signal.getsignal(number) == before
    assert load_version(DiskStorage(tmp_path / "stopped"), "best")[0] == "1_Step-128.pt"
    evaluate(EvaluateConfig(run=str(tmp_path / "stopped"), trials=1, threads=1, film="none"))
    assert command(capsys, "train", "--resume", tmp_path / "stopped").code == 0
    whole, stopped = (timeless(files_of(tmp_path / name)) for name in ("whole", "stopped"))
    kept = {
        name: data
        for name, data in stopped.items()
        if not name.startswith(("evaluation-", "metrics/evaluation", "eval_params"))
    }
    assert kept == whole


@pytest.mark.chaos
def test_ctrl_c_stops_a_real_process_after_its_update_and_keeps_the_model(tmp_path):
    words = ["-m", "lateapex", "train", "--cars", "2", "--duration", "300", "--out", str(tmp_path / "run")]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        header, titles, first = (child.stdout.readline() for _ in range(3))
        child.send_signal(signal.SIGINT)
        rest, err = child.communicate()
    assert child.returncode == 0, err
    assert header.startswith("kidney 19.45 m · 2 cars")
    assert titles.split()[:2] == ["update", "steps"]
    assert first.split()[0] == "1"
    assert "stopped as asked" in rest
    assert err == ""
    load_version(DiskStorage(tmp_path / "run"), "best")


# ------------------------------------------------------------------------------------------------------- full disks


def test_a_disk_that_is_full_from_the_start_is_told_in_one_line_and_nothing_stays(tmp_path, tiny_disk, capsys):
    disk = tiny_disk("8k")
    said = command(capsys, "train", "--cars", 2, "--steps", 64, "--out", disk / "run")
    assert said.error.startswith(f"cannot write {disk}/run/")
    assert "No space left on device; free some space or choose another place" in said.error
    assert list(disk.iterdir()) == []


def test_a_run_whose_disk_fills_keeps_what_it_had_and_goes_on_once_there_is_room(tmp_path, tiny_disk, whole, capsys):
    disk = tiny_disk("8m")
    run = disk / "run"
    with pytest.raises(StorageError, match=r"No space left on device; free some space") as told:
        small_run(run, **CLOCK_FREE)
    assert "\n" not in str(told.value)
    assert load_version(DiskStorage(run), "best")[0].endswith(".pt")
    assert (run / STATE).exists()
    assert not list(run.rglob(".writing-*"))
    assert f"cannot write {run}" in command(capsys, "train", "--resume", run).error
    tiny_disk("64m")
    assert gone_on(run) == whole


def test_a_disk_that_may_not_be_written_is_told_in_one_line(tmp_path, tiny_disk, capsys):
    disk = tiny_disk("64m")
    shutil.copytree(small_run(tmp_path / "run"), disk / "run")
    before = files_of(disk)
    tiny_disk("64m", "ro")
    for words in (
        ("train", "--cars", 2, "--steps", 64, "--out", disk),
        ("train", "--cars", 2, "--steps", 64, "--out", disk / "new"),
        ("train", "--resume", disk / "run", "--steps", 512),
        ("evaluate", disk / "run", "--trials", 1),
        ("init", disk / "car"),
    ):
        assert "Read-only file system" in command(capsys, *words).error
    assert files_of(disk) == before


def test_an_evaluation_that_finds_no_room_leaves_the_run_as_it_was(tmp_path, tiny_disk, capsys):
    disk = tiny_disk("64m")
    run = disk / "run"
    shutil.copytree(small_run(tmp_path / "run"), run)
    before = files_of(run)
    (disk / "ballast").write_bytes(b"x" * (64 * 2**20 - sum(map(len, before.values())) - 200 * 1024))
    tiny_disk(f"{sum(path.stat().st_blocks * 512 for path in disk.rglob('*')) + 30_000}")
    said = command(capsys, "evaluate", run, "--trials", 2)
    assert "No space left on device" in said.error
    after = files_of(run)
    assert {name: after[name] for name in before} == before
    assert not [name for name in after if ".writing-" in name]
