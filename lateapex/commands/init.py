"""`lateapex init`: files to start from."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from lateapex.commands.terminal import console


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write into; made if it does not exist.")],
) -> None:
    """Write files to start from: reward, actions, hyperparameters, and all settings of a training run."""
    from lateapex.jobs.init import init as job

    shown = console(False)
    for path in job(folder):
        shown.print(f"wrote {path}", markup=False)
    shown.print(f"next: lateapex train --config {quote(str(folder / 'train.toml'))}", markup=False)
