"""`lateapex replay`: any recorded episode, driven again and compared."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lateapex.commands.terminal import Json, clean_stdout, console

if TYPE_CHECKING:  # heavy: torch and numba
    from lateapex.jobs.replay import ReplayResult


def replay(
    run: Annotated[str, typer.Argument(help="Run folder.")],
    episode: Annotated[int, typer.Option(help="Number in the trace, from 0.", min=0)],
    evaluation: Annotated[
        str | None,
        typer.Option(
            help="Folder of an evaluation within the run, or its 14 digits; of one while training its update.",
            show_default=False,
        ),
    ] = None,
    reward: Annotated[bool, typer.Option("--reward", help="Call the reward function too.")] = False,
    view: Annotated[str, typer.Option(help="What fills the film: chase or front.")] = "chase",
    out: Annotated[
        str | None, typer.Option(help="File to write: .csv, the trace; .mp4 or .gif, a film.", show_default=False)
    ] = None,
    json_line: Json = False,
) -> None:
    """Drive a recorded episode again from its seed and actions; exit with 1 unless all is as it was."""
    from lateapex.config import parse
    from lateapex.jobs import replay as job

    given = {"evaluation": evaluation, "out": out}
    values = {"run": run, "episode": episode, "reward": reward, "view": view}
    values |= {name: value for name, value in given.items() if value is not None}
    with clean_stdout(json_line):
        result = job.replay(parse(job.ReplayConfig, values, "command line"))
    _show(console(json_line), result)
    if json_line:
        print(json.dumps({**asdict(result), "same": result.same}))
    if not result.same:
        raise typer.Exit(1)


def _show(console: Console, result: ReplayResult) -> None:
    words = result.status.replace("_", " ")
    lines = [
        f"episode {result.episode} of {result.source} on {result.track}, car {result.car}: {words} after "
        f"{result.seconds:.2f} s, {result.progress:.0f}%",
        f"motion  {_verdict(result.same_motion)}, {result.steps} steps, sha256 {result.digest}",
        f"sensors {_verdict(result.same_senses)} at the end",
    ]
    if result.same_trace is not None:
        lines.append(f"trace   {_verdict(result.same_trace)}")
    if result.difference:
        lines.append(f"        {result.difference}")
    if result.same_rewards is not None:
        why = "" if result.same_rewards else ": it keeps something from episode to episode, or was changed"
        lines.append(f"rewards {_verdict(result.same_rewards)}{why}")
    if result.out:
        lines.append(f"saved   {result.out}")
    for line in lines:
        console.print(line, markup=False)


def _verdict(same: bool) -> str:
    return "the same" if same else "DIFFERENT"
