"""`lateapex race`: models against the clock, or against each other."""

from __future__ import annotations

import json
from dataclasses import asdict
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lateapex.commands.terminal import Json, clean_stdout, console
from lateapex.errors import ConfigError

if TYPE_CHECKING:  # heavy: torch and numba
    from lateapex.jobs.race import RaceResult
    from lateapex.jobs.race_ranking import Standing


def race(
    runs: Annotated[list[str] | None, typer.Argument(help="Run folders, or NAME=FOLDER.", show_default=False)] = None,
    track: Annotated[str | None, typer.Option(help="Name or path of the track.", show_default=False)] = None,
    mode: Annotated[str, typer.Option(help="time-trial, head-to-head or tournament")] = "time-trial",
    together: Annotated[
        bool, typer.Option("--together", help="head-to-head: all in one world, not pair by pair.")
    ] = False,
    trials: Annotated[
        int, typer.Option("--trials", "--laps", help="Starts, spread evenly round the track.", min=1)
    ] = 3,
    resets: Annotated[
        int | None,
        typer.Option(
            help="Mishaps after which a car waits and goes on; 0 in a time trial, else 10000.",
            min=0,
            show_default=False,
        ),
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="best or last")] = "best",
    quirks: Annotated[str, typer.Option(help="Rules: fixed or original.")] = "fixed",
    out: Annotated[
        str | None, typer.Option(help="Folder; a free name under races/ if not given.", show_default=False)
    ] = None,
    video: Annotated[bool, typer.Option("--video", help="Film the best drive of the winner.")] = False,
    verify: Annotated[
        str | None,
        typer.Option(
            help="Folder of a race: drive it again and compare; exit with 1 if it differs.", show_default=False
        ),
    ] = None,
    json_line: Json = False,
) -> None:
    """Race trained models: a league of laps, heats in one world, or a tournament."""
    if verify is not None:
        if runs or track:
            raise ConfigError("--verify takes a race's folder and nothing else: lateapex race --verify FOLDER")
        _verify(verify, json_line)
        return
    if not runs or not track:
        what = "no run folder" if not runs else "no --track"
        raise ConfigError(f"{what} is given; lateapex race RUN RUN --track NAME, or --verify FOLDER")
    given = {"resets": resets, "out": out}
    values: dict[str, Any] = {"runs": tuple(runs), "track": track, "mode": mode, "together": together}
    values |= {"trials": trials, "checkpoint": checkpoint, "quirks": quirks, "video": video}
    _race({**values, **{name: value for name, value in given.items() if value is not None}}, json_line)


def _race(values: dict[str, Any], json_line: bool) -> None:
    from lateapex.config import parse
    from lateapex.jobs import race as job
    from lateapex.jobs.race_folder import RaceJobConfig

    shown = console(json_line)
    with clean_stdout(json_line):
        result = job.race(parse(RaceJobConfig, values, "command line"), lambda line: shown.print(line, markup=False))
    _show(shown, result)
    if json_line:
        print(json.dumps(_line(result)))


def _show(console: Console, result: RaceResult) -> None:
    alone = result.mode == "time-trial"
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ("", "entry", "best", "mean", "laps", "progress", "resets", *(() if alone else ("heats", "matches")))
    for title in titles:
        table.add_column(title, justify="left" if title == "entry" else "right")
    for row in result.standings:
        table.add_row(*_cells(row, alone))
    console.print(f"{result.mode} on {result.track}", markup=False)
    console.print(table)
    for entry in result.entries:
        if assisted := entry.rival.policy.blueprint.assisted:
            console.print(f"{entry.name} was assisted: {', '.join(assisted)}", markup=False)
    console.print(f"winner {result.winner}", markup=False)
    console.print(f"page   {result.folder}/race.html", markup=False)
    if result.film:
        console.print(f"film   {result.film}", markup=False)
    console.print(f"next: lateapex race --verify {quote(result.folder)}", markup=False)


def _cells(row: Standing, alone: bool) -> tuple[str, ...]:
    times = ("-" if value is None else f"{value:.2f} s" for value in (row.best, row.mean))
    cells = (str(row.place), row.name, *times, f"{row.laps}/{row.drives}", f"{row.progress:.1f}%", str(row.resets))
    return cells if alone else (*cells, str(row.heats_won), str(row.matches_won))


def _line(result: RaceResult) -> dict[str, Any]:
    return {
        "folder": result.folder,
        "mode": result.mode,
        "track": result.track,
        "winner": result.winner,
        "standings": [asdict(row) for row in result.standings],
        "film": result.film,
    }


def _verify(folder: str, json_line: bool) -> None:
    from lateapex.jobs.race_verify import verify_race

    with clean_stdout(json_line):
        verdicts = verify_race(folder)
    shown, same = console(json_line), True
    for verdict in verdicts:
        fine = verdict.same == verdict.drives and verdict.trace
        same &= fine
        trace = "the same" if verdict.trace else "DIFFERENT"
        shown.print(
            f"{verdict.entry}: {verdict.same} of {verdict.drives} drives the same, traces {trace}", markup=False
        )
        if verdict.difference:
            shown.print(f"  {verdict.difference}", markup=False)
    if json_line:
        print(json.dumps({"folder": folder, "same": same, "entries": [asdict(verdict) for verdict in verdicts]}))
    if not same:
        raise typer.Exit(1)
