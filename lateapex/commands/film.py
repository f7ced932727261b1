"""`lateapex film`: any recorded drive as a film."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from lateapex.commands.terminal import Json, console


def film(
    run: Annotated[str, typer.Argument(help="Run folder, or a trace file (.csv).")],
    episode: Annotated[
        int | None,
        typer.Option(
            help="Number in the trace, from 0; if not given the best of the newest evaluation, else of the last trace.",
            min=0,
            show_default=False,
        ),
    ] = None,
    evaluation: Annotated[
        str | None, typer.Option(help="Folder of an evaluation within the run.", show_default=False)
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="Track that was driven, where it is not the run's.", show_default=False)
    ] = None,
    vehicle: Annotated[
        str | None,
        typer.Option(help="Vehicle that was driven, where it is not the run's: name or path.", show_default=False),
    ] = None,
    view: Annotated[str, typer.Option(help="What fills the picture: chase or front.")] = "chase",
    out: Annotated[
        str | None,
        typer.Option(help="File to write, .mp4 or .gif; in the run's videos/ if not given.", show_default=False),
    ] = None,
    json_line: Json = False,
) -> None:
    """Film any drive that a run recorded while training or evaluating, or that a trace file tells of."""
    from lateapex.config import parse
    from lateapex.jobs import film as job

    given = {"evaluation": evaluation, "episode": episode, "track": track, "vehicle": vehicle, "out": out}
    values = {"run": run, "view": view, **{name: value for name, value in given.items() if value is not None}}
    result = job.film(parse(job.FilmConfig, values, "command line"))
    shown = console(json_line)
    words = result.status.replace("_", " ")
    shown.print(
        f"episode {result.episode} of {result.source} on {result.track}: {words} after {result.seconds:.2f} s, "
        f"{result.progress:.0f}%",
        markup=False,
    )
    if result.not_shown is not None:
        shown.print(f"note: not shown: {result.not_shown}", markup=False)
    shown.print(f"saved {result.film}", markup=False)
    if out is None and result.film.endswith(".gif"):
        shown.print(f"note: {job.NO_VIDEO}", markup=False)
    if json_line:
        print(json.dumps(asdict(result)))
