"""`lateapex import`: a model of the console, deepracer-for-cloud or DeepRacer on AWS becomes a run to look at."""

from __future__ import annotations

import json
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lateapex.commands.terminal import Json, console

if TYPE_CHECKING:  # takes as long as all of the help
    from lateapex.jobs.import_run import ImportResult


def import_run(
    source: Annotated[str, typer.Argument(help="Model's folder, its archive (.tar.gz, .zip), or one log.")],
    out: Annotated[
        str | None, typer.Option(help="Run folder, or s3://bucket/prefix; a free name under runs/ if not given.")
    ] = None,
    json_line: Json = False,
) -> None:
    """Import settings, steps, metrics and logs of a model that DeepRacer trained.

    Console, deepracer-for-cloud and DeepRacer on AWS are known. Weights are not converted.
    """
    from lateapex.jobs import import_run as job

    result = job.import_run(job.ImportConfig(source=source, out=out))
    _show(console(json_line), result)
    if json_line:
        passed = [file._asdict() for file in result.passed]
        print(json.dumps({**{key: value for key, value in vars(result).items() if key != "passed"}, "passed": passed}))


def _show(console: Console, result: ImportResult) -> None:
    told = {"track": result.world, "race type": result.race_type, "model": result.model}
    words = (value if value != "unknown" else f"{name} unknown" for name, value in told.items())
    console.print(f"{result.family}: {', '.join(words)}", markup=False)
    if result.taken:
        counts = (f"{count:,} {name if count != 1 else name.removesuffix('s')}" for name, count in result.taken.items())
        console.print("took " + ", ".join(counts), markup=False)
    for note in result.notes:
        console.print(f"note: {note}", markup=False)
    for name, reason in result.passed:
        console.print(f"not taken: {name}: {reason}", markup=False, style="yellow")
    console.print("no model was imported: weights are not converted, so the run can be looked at but not driven")
    console.print(f"saved {result.run}    next: {_next(result)}", markup=False)


def _next(result: ImportResult) -> str:
    """What to type to see the best drive; the list of runs where there is none, or no track to see it on."""
    drives = result.taken.get("evaluations", 0) or ("workers" not in result.taken and "training steps" in result.taken)
    if not drives or result.world == "unknown":
        return f"lateapex runs list --folder {quote(result.run.rpartition('/')[0] or '.')}"
    world = quote(result.world)
    return f"lateapex tracks get {world}, then lateapex film {quote(result.run)} --track {world}"
