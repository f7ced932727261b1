"""Runs with a user's own network and transform: they keep their own copy, and need the user's file no more."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
import torch
from made_networks import BRIGHTER, TINY, write_tiny
from small_runs import files_of, small_config, small_run, timeless

from lateapex.errors import ConfigError, LateapexError, RunError
from lateapex.jobs import train as job
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.models.policy import Policy
from lateapex.records import Sink
from lateapex.storage import DiskStorage, Storage
from lateapex.training.checkpoint import load_version
from lateapex.training.trainer import Trainer

SHORT = {"steps": 32, "rollout_steps": 8, "evaluation_interval": 100, "evaluation_trials": 1}


def own(folder: Path) -> dict[str, object]:
    """Settings of a run with a network and a transform from files in a folder."""
    (folder / "brighter.py").write_text(BRIGHTER)
    network = write_tiny(folder)
    return {
        "network": network,
        "critic": network,
        "transforms": (f"{folder / 'brighter.py'}:Brighter:by=3", "stack:frames=2"),
        "trainer": SHORT,
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two updates, made from files that are gone since; to be read only."""
    folder = tmp_path_factory.mktemp("own")
    files = folder / "files"
    files.mkdir()
    out = small_run(folder / "run", **own(files))
    shutil.rmtree(files)
    return out


def test_a_run_has_a_copy_of_the_files_and_names_them_as_it_has_them(whole: Path) -> None:
    assert (whole / "code" / "tiny.py").read_text() == TINY
    assert (whole / "code" / "brighter.py").read_text() == BRIGHTER
    settings = (whole / "run.toml").read_text()
    assert 'network = "tiny.py:Tiny"' in settings
    assert "brighter.py:Brighter:by=3" in settings
    assert str(whole.parent) not in settings.replace(f'out = "{whole}"', "")


def test_a_moved_run_goes_on_by_its_own_copy_as_if_it_had_never_stopped(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    values = own(tmp_path / "files")
    short = small_run(tmp_path / "short", **{**values, "trainer": {**SHORT, "steps": 16}})
    # What lies where the settings once pointed is another network now.
    write_tiny(tmp_path / "files", text=TINY.replace("8", "3"))
    moved = Path(shutil.move(short, tmp_path / "moved"))
    job.resume(str(moved), {"trainer": {"steps": 32}})
    state = "model/training_state.pt"
    one, two = (timeless({state: files_of(run)[state]})[state] for run in (moved, whole))
    for part in ("weights", "algorithm"):
        same = one[part] == two[part]
        assert same, part
    assert files_of(moved)["code/tiny.py"] == TINY.encode()


def test_a_moved_run_can_be_evaluated(whole: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(whole, tmp_path / "elsewhere"))
    assert len(evaluate(EvaluateConfig(run=str(moved), trials=2, film="none")).episodes) == 2


def test_a_run_starts_from_another_with_its_network_and_weights(whole: Path, tmp_path: Path) -> None:
    config = job.train_config({"pretrained": str(whole), "out": str(tmp_path / "new"), "trainer": {"steps": 16}})
    assert config.network == f"{whole}/code/tiny.py:Tiny"
    first: list[Policy] = []

    def observe(trainer: Trainer, storage: Storage, config: job.TrainConfig) -> dict[str, Sink]:
        first.append(copy.deepcopy(trainer.policy))
        return {}

    new = Path(job.train(config, observe).url)
    assert (new / "code" / "tiny.py").read_text() == TINY
    _, best = load_version(DiskStorage(whole), "best")
    for name, weight in best.state_dict().items():
        assert torch.equal(weight, first[0].state_dict()[name])


def test_a_run_of_another_class_does_not_start_from_it(whole: Path, tmp_path: Path) -> None:
    other = write_tiny(tmp_path, "other.py")
    config = job.train_config({"pretrained": str(whole), "network": other, "out": str(tmp_path / "new")})
    with pytest.raises(
        ConfigError, match=r"was trained with network tiny.py:Tiny, not .*other.py:Tiny, and its weights"
    ):
        job.train(config)


def test_two_different_files_of_one_name_are_refused(tmp_path: Path) -> None:
    one, two = write_tiny(tmp_path / "a"), write_tiny(tmp_path / "b", text=TINY.replace("8", "9"))
    with pytest.raises(ConfigError, match=r"two different files are called tiny.py; .*rename one"):
        job.train(small_config(tmp_path / "run", network=one, critic=two))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "reference", "message"),
    [
        ("class My(:\n", "tiny.py:Tiny", "tiny.py:1: is not Python 3"),
        ("import nothing_like_it\n", "tiny.py:Tiny", "tiny.py:1: ModuleNotFoundError"),
        (TINY, "tiny.py:Tinny", "has no class 'Tinny'; did you mean 'Tiny'?"),
        (TINY.replace("Sizes().features", "'x'"), "tiny.py:Tiny", "tiny.py:[0-9]+: TypeError"),
        (TINY.replace("torch.tanh(", "("), "nowhere.py:Tiny", "no file is at .*nowhere.py"),
        (
            TINY.replace("return torch.tanh", "return 1 or torch.tanh"),
            "tiny.py:Tiny",
            "returned int for 2 observations",
        ),
    ],
)
def test_a_network_that_does_not_work_leaves_no_run_behind(
    tmp_path: Path, text: str, reference: str, message: str
) -> None:
    write_tiny(tmp_path, text=text)
    with pytest.raises(ConfigError, match=message):
        job.train(small_config(tmp_path / "run", network=f"{tmp_path}/{reference}"))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.py"]


def test_a_network_that_fails_in_the_first_update_leaves_no_run_behind(tmp_path: Path) -> None:
    failing = TINY.replace("parts = [", "assert not torch.is_grad_enabled(), 'not while learning'\n        parts = [")
    reference = write_tiny(tmp_path, text=failing)
    with pytest.raises(LateapexError, match=r"tiny.py:[0-9]+: AssertionError: not while learning"):
        job.train(small_config(tmp_path / "run", network=reference, trainer=SHORT))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.py"]


def test_a_run_that_lost_its_copy_says_so(whole: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(whole, tmp_path / "lost"))
    (moved / "code" / "tiny.py").unlink()
    with pytest.raises((ConfigError, RunError), match=r"tiny.py is not there; .*bring it back into the run"):
        job.resume(str(moved), {"trainer": {"steps": 64}})


def test_a_network_of_the_table_cannot_be_taken_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"network 'tiny.py' names no class; write tiny.py:MyNet"):
        small_config(tmp_path / "run", network="tiny.py")
