"""`lateapex evaluate`: greedy laps of a trained model against the clock."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from lateapex.commands.terminal import Json, Sandbox, clean_stdout, console

if TYPE_CHECKING:  # heavy: torch and numba
    from lateapex.jobs.evaluate import EvaluateResult, TrackTrials

_FEW: Final = 3  # tracks of which every trial is shown


def evaluate(
    run: Annotated[str, typer.Argument(help="Run folder.")],
    track: Annotated[
        str | None, typer.Option(help="Other tracks than the run's: names, paths or folders of routes, as a,b.")
    ] = None,
    both_ways: Annotated[bool, typer.Option("--both-ways", help="Drive each track the other way as well.")] = False,
    vehicle: Annotated[str | None, typer.Option(help="Another vehicle than the run's: name or path.")] = None,
    scene: Annotated[
        str | None,
        typer.Option(help="What varies from trial to trial: name, file or my_file.py:MyScene; else nothing."),
    ] = None,
    trials: Annotated[int, typer.Option(help="Laps of each track, from starts spread round it.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Of where boxes and bots are; never as in training.", min=0)] = 0,
    checkpoint: Annotated[str, typer.Option(help="best or last")] = "best",
    film: Annotated[
        str | None, typer.Option(help="Trials to film: best, all or none; best of up to 3 tracks if not given.")
    ] = None,
    view: Annotated[str, typer.Option(help="What fills the film: chase or front.")] = "chase",
    require: Annotated[int, typer.Option(help="Exit with 1 if fewer laps than this are complete.", min=0)] = 0,
    sandbox: Sandbox = None,
    json_line: Json = False,
) -> None:
    """Drive a trained model; write traces and pictures."""
    from lateapex.config import parse
    from lateapex.jobs import evaluate as job

    values = {
        "run": run,
        "trials": trials,
        "checkpoint": checkpoint,
        "view": view,
        "both_ways": both_ways,
        "seed": seed,
    }
    given = {"track": track, "vehicle": vehicle, "scene": scene, "film": film}
    values |= {name: value for name, value in given.items() if value}
    config = parse(job.EvaluateConfig, {**values, "sandbox": sandbox}, "command line")
    with clean_stdout(json_line):
        result = job.evaluate(config, tell=lambda line: console(True).print(f"note: {line}", markup=False))
    _show_trials(console(json_line), result)
    if json_line:
        print(json.dumps(_evaluate_line(result)))
    if result.laps_completed < require:
        raise typer.Exit(1)


def _show_trials(console: Console, result: EvaluateResult) -> None:
    few = len(result.tracks) <= _FEW
    names = ", ".join(part.track for part in result.tracks) if few else f"{len(result.tracks)} tracks"
    varied = "" if result.scene == "none" else f" · scene {result.scene}"
    console.print(f"{names} · {result.model} of {result.run}{varied}", markup=False)
    console.print(_table_of_trials(result) if few else _table_of_tracks(result))
    if result.assisted:
        console.print(f"assisted: {', '.join(result.assisted)}", markup=False)
    if few:
        for part in result.tracks:
            _show_track(console, part, len(result.tracks) > 1)
    if len(result.tracks) > 1:
        _show_shares(console, result)
    if not few:
        console.print(f"lines and traces {result.run}/{result.folder}", markup=False)
    if any(path.endswith(".gif") for path in result.films):
        from lateapex.jobs.film import NO_VIDEO

        console.print(f"note: {NO_VIDEO}", markup=False)
    again = "--trials 20" if any(part.track == "oval" for part in result.tracks) else "--track oval"
    console.print(f"next: lateapex evaluate {quote(result.run)} {again}", markup=False)


def _table_of_trials(result: EvaluateResult) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ("trial", "start", "completed", "time", "status")
    several = len(result.tracks) > 1
    for title in ("track", *titles) if several else titles:
        table.add_column(title, justify="left" if title in ("track", "status") else "right")
    for part in result.tracks:
        for trial, episode in enumerate(part.episodes, 1):
            start = f"{100.0 * part.starts[trial - 1]:.0f}%"
            words = episode.status.replace("_", " ")
            cells = (str(trial), start, f"{episode.progress:.0f}%", f"{episode.lap_time:.2f} s", words)
            table.add_row(*((part.track if trial == 1 else "", *cells) if several else cells))
    return table


def _table_of_tracks(result: EvaluateResult) -> Table:
    """A row for each track, families together; where every trial ended otherwise than in a lap, how most did."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("track", "trained on", "laps", "completed", "best", "others ended"):
        table.add_column(title, justify="right" if title in ("laps", "completed", "best") else "left")
    for part in sorted(result.tracks, key=lambda part: part.family):
        ends = Counter(each.status.replace("_", " ") for each in part.episodes if each.status != "lap_complete")
        table.add_row(
            part.track,
            "yes" if part.trained else "no",
            f"{part.laps_completed} of {len(part.episodes)}",
            f"{sum(each.progress for each in part.episodes) / len(part.episodes):.0f}%",
            f"{min(part.lap_times):.2f} s" if part.lap_times else "",
            ", ".join(f"{words} {count}" for words, count in ends.most_common()),
        )
    return table


def _show_shares(console: Console, result: EvaluateResult) -> None:
    """Laps of all tracks, and of those that training knew nothing of."""
    console.print(f"{_share_text(result.tracks)} laps on all tracks", markup=False)
    if (unseen := result.unseen) and len(unseen) < len(result.tracks):
        families = len({part.family for part in unseen})
        console.print(
            f"{_share_text(unseen)} laps on the {len(unseen)} tracks of {families} families that training did not know",
            markup=False,
        )


def _share_text(parts: Sequence[TrackTrials]) -> str:
    from lateapex.analysis.intervals import wilson

    laps, trials = sum(part.laps_completed for part in parts), sum(len(part.episodes) for part in parts)
    low, high = wilson(laps, trials)
    return f"{laps} of {trials} ({100 * laps / trials:.1f}%, 95% interval {100 * low:.1f} to {100 * high:.1f}%)"


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
        "scene": result.scene,
        "model": result.model,
        "run": result.run,
        "tracks": [
            {"track": part.track, "family": part.family, "trained": part.trained, **_trials_line(part)}
            for part in result.tracks
        ],
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
