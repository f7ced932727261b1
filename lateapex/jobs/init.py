"""Writes the files that a racer starts from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from lateapex.env.reward import read_reward
from lateapex.formats.hyperparameters import Hyperparameters, write_hyperparameters
from lateapex.formats.model_metadata import default_metadata
from lateapex.jobs.new_files import write_new


def init(folder: Path) -> list[Path]:
    """Write reward_function.py, model_metadata.json, hyperparameters.json and train.toml; return their paths.

    Raises:
        RunError: one of them is there already; nothing is written then.
        StorageError: the folder cannot be written.
    """
    files = {
        "reward_function.py": read_reward("quick_laps")[0],
        "model_metadata.json": default_metadata().text,
        "hyperparameters.json": write_hyperparameters(
            Hyperparameters(batch_size=256, num_epochs=4, lr=1e-3, discount_factor=0.97)
        ),
        "train.toml": (resources.files("lateapex") / "data" / "train.toml").read_text(encoding="utf-8"),
    }
    return write_new(folder, files, "choose another folder")
