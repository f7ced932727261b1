"""Small training runs for tests, the command line called in this process, and runs compared file by file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lateapex import cli
from lateapex.jobs import train as job
from lateapex.jobs.film import FilmFile
from lateapex.models.model_file import unpack
from lateapex.records import STEP_DTYPE
from lateapex.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

TRAINER = {
    "steps": 128,
    "rollout_steps": 16,
    "evaluation_trials": 2,
    "evaluation_interval": 2,
    "save_seconds": 1e-9,  # after every update
}


def small_config(out: Path | str, **changes: Any) -> job.TrainConfig:
    """Four updates of two cars with an evaluation after every other; `trainer` and `ppo` are merged in."""
    trainer = {**TRAINER, **changes.pop("trainer", {})}
    values = {"cars": 2, "seed": 7, "threads": 1, "torch_threads": 1, "out": str(out), "trainer": trainer, **changes}
    return job.train_config(values)


def small_run(out: Path | str, **changes: Any) -> Path:
    """Train a small run; returns its folder."""
    return Path(job.train(small_config(out, **changes)).url)


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr of a command that refused what it was given."""
        lines = self.err.splitlines()
        assert self.code == 2, self
        assert len(lines) == 1, self
        assert lines[0].startswith("error: "), self
        return lines[0].removeprefix("error: ")


def command(capsys: pytest.CaptureFixture[str], *words: Any) -> Said:
    """Call the command line with these words; a traceback fails the test by itself."""
    before, sys.argv = sys.argv, ["lateapex", *map(str, words)]
    threads = torch.get_num_threads()
    capsys.readouterr()
    code: Any = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = before
        torch.set_num_threads(threads)
    return Said(code, *capsys.readouterr())


def without_films(patch: pytest.MonkeyPatch) -> None:
    """What a film shows is tested elsewhere; to draw one takes longer than all else of an evaluation."""
    patch.setattr("lateapex.jobs.evaluate.draw_film", lambda *_, **__: FilmFile(".mp4", b"film"))


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file by its name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def far_files(url: str) -> dict[str, bytes]:
    """The same of a place that a URL names."""
    storage = open_storage(url)
    return {name: storage.read(name) for name in storage.list()}


def timeless(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Contents of a run's files without what two equal runs differ in: wall clock, seconds, the folder's own name."""
    return {name: _timeless(name, data) for name, data in files.items()}


def _timeless(name: str, data: bytes) -> Any:
    if name.endswith(".csv"):
        return [line.rpartition(",")[0] for line in data.decode().splitlines()]
    if name == "logs/training.jsonl":
        records = [json.loads(line) for line in data.decode().splitlines()]
        return [{key: value for key, value in record.items() if key != "seconds"} for record in records]
    if name == "run.toml":
        return [line for line in data.decode().splitlines() if not line.startswith(("out =", "load ="))]
    if name == "model/training_state.pt":
        return _timeless_state(unpack(data, name))
    return data


def _timeless_state(state: dict[str, Any]) -> Any:
    progress = state["progress"]
    del progress["train_seconds"], progress["evaluation_seconds"]
    del progress["sinks"]["files"]["update_bytes"]  # seconds have more digits or fewer
    recorder = state["collector"]["recorder"]
    rows = recorder["rows"]["array"].numpy().view(STEP_DTYPE).reshape(recorder["rows"]["shape"])
    rows["wall_clock"] = 0.0
    return _plain(state)


def _plain(value: Any) -> Any:
    """The same with bytes in place of tensors, which do not compare as a whole."""
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
