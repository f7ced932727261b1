"""One real run, trained in a second, of which tests take copies."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

import torch

from lateapex.jobs.train import train, train_config

STEPS, UPDATES = 320, 5
LONG_AGO = 1_700_000_000.0
"""When all files of a copied run were last changed, s since 1970."""


@functools.cache
def _trained() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="lateapex-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    bounds = {"steps": STEPS, "rollout_steps": 32, "evaluation_trials": 2, "evaluation_interval": 3}
    values = {"track": "oval", "cars": 2, "threads": 1, "torch_threads": 1, "out": str(folder / "run")}
    try:
        train(train_config({**values, "trainer": bounds}))
    finally:
        torch.use_deterministic_algorithms(False)
    return folder / "run"


def copy_run(to: Path, **settings: str) -> Path:
    """Copy the run, all of it as old as LONG_AGO; `settings` replace texts of run.toml."""
    shutil.copytree(_trained(), to)
    toml = to / "run.toml"
    text = toml.read_text()
    for old, new in settings.items():
        assert old in text
        text = text.replace(old, new)
    toml.write_text(text)
    make_old(to)
    return to


def make_old(folder: Path, when: float = LONG_AGO) -> None:
    """Set the time of change of every file."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (when, when))


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or path.is_file())
