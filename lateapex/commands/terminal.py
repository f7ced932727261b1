"""What the commands share: consoles, and flags that mean the same everywhere."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from typing import Annotated, Any

import typer
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print one JSON line on stdout; all else goes to stderr.")]
Sandbox = Annotated[
    bool | None,
    typer.Option("--sandbox", help="Run the reward, a stranger's file, in a process of its own, behind walls (Linux)."),
]

Transforms = Annotated[
    list[str] | None,
    typer.Option(
        "--transform",
        help="What happens to pictures before the network: crop, grey, resize, normalise, stack, difference, edges, "
        "blur, cutout or mask, with options (crop:top=40), or your own (my_file.py:MyTransform); given once for each, "
        "in their order.",
        show_default=False,
    ),
]


def console(to_stderr: bool) -> Console:
    """A console for prose; lines are as long as they are."""
    # Without emoji: rich makes one of the line number in "reward.py:100:".
    return Console(stderr=to_stderr, highlight=False, soft_wrap=True, emoji=False)


def table_console(to_stderr: bool = False) -> Console:
    """A console as wide as its tables: a name that is cut or folded cannot be copied."""
    return Console(stderr=to_stderr, highlight=False, soft_wrap=True, emoji=False, width=1000)


def clean_stdout(json_line: bool) -> AbstractContextManager[Any]:
    """With --json what a racer's reward function prints goes to stderr too."""
    return redirect_stdout(sys.stderr) if json_line else nullcontext()
