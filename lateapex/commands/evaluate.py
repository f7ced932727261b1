"""`lateapex evaluate`: greedy laps of a trained model against the clock."""

from __future__ import annotations

import json
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lateapex.commands.terminal import Json, Sandbox, clean_stdout, console

if TYPE_CHECKING:  # heavy: torch and numba
    from lateapex.jobs.evaluate import EvaluateResult, TrackTrials


def evaluate(
    run: Annotated[str, typer.Argument(help="Run folder.")],
    track: Annotated[str | None, typer.Option(help="Other tracks than the run's: names or paths, as a,b.")] = None,
    vehicle: Annotated[str | None, typer.Option(help="Another vehicle than the run's: name or path.")] = None,
    trials: Annotated[int, typer.Option(help="Laps of each track, from starts spread round it.", min=1)] = 5,
    checkpoint: Annotated[str, typer.Option(help="best or last")] = "best",
    film: Annotated[str, typer.Option(help="Trials to film: best, all or none.")] = "best",
    view: Annotated[str, typer.Option(help="What fills the film: chase or front.")] = "chase",
    require: Annotated[int, typer.Option(help="Exit with 1 if fewer laps than this are complete.", min=0)] = 0,
    sandbox: Sandbox = None,
    json_line: Json = False,
) -> None:
    """Drive a trained model; write traces and pictures."""
    from lateapex.config import parse
    from lateapex.jobs import evaluate as job

    values = {"run": run, "trials": trials, "checkpoint": checkpoint, "film": film, "view": view}
    values |= {name: value for name, value in (("track", track), ("vehicle", vehicle)) if value}
    config = parse(job.EvaluateConfig, {**values, "sandbox": sandbox}, "command line")
    with clean_stdout(json_line):
        result = job.evaluate(config, tell=lambda line: console(True).print(f"note: {line}", markup=False))
    _show_trials(console(json_line), result)
    if json_line:
        print(json.dumps(_evaluate_line(result)))
    if result.laps_completed < require:
        raise typer.Exit(1)


def _show_trials(console: Console, result: EvaluateResult) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ("trial", "start", "completed", "time", "status")
    several = len(result.tracks) > 1
    for title in ("track", *titles) if several else titles:
        table.add_column(title, justify="left" if title in ("track", "status") else "right")
    for part in result.tracks:
        for trial, episode in enumerate(part.episodes, 1):
            start = f"{100.0 * (trial - 1) / len(part.episodes):.0f}%"
            words = episode.status.replace("_", " ")
            cells = (str(trial), start, f"{episode.progress:.0f}%", f"{episode.lap_time:.2f} s", words)
            table.add_row(*((part.track if trial == 1 else "", *cells) if several else cells))
    console.print(f"{', '.join(part.track for part in result.tracks)} · {result.model} of {result.run}", markup=False)
    console.print(table)
    if result.assisted:
        console.print(f"assisted: {', '.join(result.assisted)}", markup=False)
    for part in result.tracks:
        _show_track(console, part, several)
    if several:
        console.print(f"{result.laps_completed} of {len(result.episodes)} laps on all tracks", markup=False)
    if any(path.endswith(".gif") for path in result.films):
        from lateapex.jobs.film import NO_VIDEO

        console.print(f"note: {NO_VIDEO}", markup=False)
    again = "--trials 20" if any(part.track == "oval" for part in result.tracks) else "--track oval"
    console.print(f"next: lateapex evaluate {quote(result.run)} {again}", markup=False)


def _show_track(console: Console, part: TrackTrials, named: bool) -> None:
    """What came of the trials of one track, and where its pictures are."""
    times = part.lap_times
    best = f", best {min(times):.2f} s, mean {sum(times) / len(times):.2f} s" if times else ""
    name = f"{part.track}: " if named else ""
    console.print(f"{name}{part.laps_completed} of {len(part.episodes)} laps{best}", markup=False)
    console.print(f"lines {part.laps_picture}", markup=False)
    for path in part.films:
        console.print(f"film  {path}", markup=False)


def _evaluate_line(result: EvaluateResult) -> dict[str, Any]:
    return {
        **_trials_line(result),
        "train_seconds": round(result.train_seconds, 3),
        "assisted": list(result.assisted),
        "track": result.track,
        "model": result.model,
        "run": result.run,
        "tracks": [{"track": part.track, **_trials_line(part)} for part in result.tracks],
    }


def _trials_line(found: EvaluateResult | TrackTrials) -> dict[str, Any]:
    return {
        "laps_completed": found.laps_completed,
        "trials": len(found.episodes),
        "best_lap": min(found.lap_times, default=None),
        "mean_progress": sum(episode.progress for episode in found.episodes) / len(found.episodes),
        "laps_picture": found.laps_picture,
        "lap_animation": found.lap_animation,
        "films": list(found.films),
    }
