"""`lateapex runs`: the list of runs, one of them from near, runs side by side, and getting rid of them."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from lateapex.commands.terminal import Json, table_console
from lateapex.errors import ConfigError

if TYPE_CHECKING:  # takes as long as all of the help
    from lateapex.jobs.remove_runs import Removable
    from lateapex.jobs.runs import Comparison, RunDetails, RunList, RunSummary

_FOLDER: Final = "runs"

app = typer.Typer(
    name="runs",
    help="List runs, show one, compare them, and free the space that they take.",
    epilog="Example: lateapex runs list --folder runs",
    rich_markup_mode=None,
)

Folder = Annotated[str, typer.Option(help="Folder that holds the runs.")]
Force = Annotated[bool, typer.Option("--force", help="Also if it changed within the last two minutes.")]
Runs = Annotated[list[str], typer.Argument(help="Run folders.", metavar="RUN")]


@app.callback(invoke_without_command=True)
def bare(context: typer.Context, folder: Folder = _FOLDER, json_line: Json = False) -> None:
    """List runs, show one, compare them, and free the space that they take."""
    if context.invoked_subcommand is None:
        list_all(folder, json_line)
    elif folder != _FOLDER or json_line:
        word = context.invoked_subcommand
        raise ConfigError(f"flags go behind the command: lateapex runs {word} ..., then --json or --folder")


@app.command("list", epilog="Example: lateapex runs list --folder runs")
def list_all(folder: Folder = _FOLDER, json_line: Json = False) -> None:
    """List runs, newest first.

    Laps are those of the last evaluation while training, progress is the mean of the best one.
    """
    from lateapex.jobs.runs import RunList, list_runs

    found = RunList([], []) if folder == _FOLDER and not Path(folder).exists() else list_runs(folder)
    if json_line:
        damaged = [{"run": run, "reason": reason} for run, reason in found.damaged]
        print(json.dumps({"runs": [asdict(run) for run in found.runs], "damaged": damaged}))
    else:
        _show_list(table_console(json_line), folder, found)


@app.command(epilog="Example: lateapex runs show runs/kidney-lean-0")
def show(run: Annotated[str, typer.Argument(help="Run folder.", metavar="RUN")], json_line: Json = False) -> None:
    """Show what came of a run, where its time went, and what went wrong in it.

    What each finding means and what to try then stands in docs/diagnosis.md.
    """
    from lateapex.jobs.runs import show_run

    details = show_run(run)
    if json_line:
        findings = [asdict(finding) for finding in details.findings]
        print(json.dumps({**asdict(details.summary), **_phases(details), "findings": findings}))
    else:
        _show_details(table_console(json_line), details)


@app.command(epilog="Example: lateapex runs compare runs/kidney-lean-0 runs/kidney-lean-1")
def compare(runs: Runs, json_line: Json = False) -> None:
    """Show runs side by side.

    Settings and files that differ come first, what came of the runs last.
    """
    from lateapex.jobs.runs import compare_runs

    if len(runs) < 2:
        raise ConfigError(f"one run was given; two or more can be compared: lateapex runs compare {runs[0]} OTHER")
    comparison = compare_runs(runs)
    if json_line:
        summaries = [asdict(run) for run in comparison.runs]
        print(json.dumps({"runs": summaries, "differences": comparison.differences}))
    else:
        _show_comparison(table_console(json_line), comparison)


@app.command(epilog="Example: lateapex runs delete runs/kidney-lean-0 --yes")
def delete(
    runs: Runs,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Force = False,
    json_line: Json = False,
) -> None:
    """Delete run folders, and nothing that is not one."""
    from lateapex.jobs.remove_runs import delete_run, removable
    from lateapex.storage import is_far

    console = table_console(json_line)
    given = dict.fromkeys(run if is_far(run) else str(Path(run)) for run in runs)
    doomed = [removable(run, force=force) for run in given]
    if not yes and not _agreed(doomed):
        console.print("nothing was deleted")
        raise typer.Exit(1)
    freed = 0
    for run in doomed:
        freed += delete_run(run)
        console.print(f"deleted {run.run}, {bytes_text(run.size)}", markup=False)
    if len(doomed) > 1:
        console.print(f"freed {bytes_text(freed)}")
    if json_line:
        print(json.dumps({"deleted": [run.run for run in doomed], "freed": freed}))


@app.command(epilog="Example: lateapex runs prune runs/kidney-lean-0 --keep 1")
def prune(
    run: Annotated[str, typer.Argument(help="Run folder.")],
    keep: Annotated[int, typer.Option(help="Newest versions that stay, beside the best.", min=1)] = 4,
    force: Force = False,
    json_line: Json = False,
) -> None:
    """Delete old versions of a model.

    The newest, the best and the one to go on with stay.
    """
    from lateapex.jobs.remove_runs import prune_run

    console = table_console(json_line)
    pruned = prune_run(run, keep, force=force)
    for name in pruned.removed:
        console.print(f"deleted {run}/model/{name}", markup=False)
    console.print(f"freed {bytes_text(pruned.freed)}, kept {', '.join(pruned.kept)}", markup=False)
    if json_line:
        print(json.dumps(pruned._asdict()))


def _agreed(doomed: list[Removable]) -> bool:
    for run in doomed:
        typer.echo(f"{run.run}: {bytes_text(run.size)}", err=True)
    what = "it" if len(doomed) == 1 else f"these {len(doomed)} runs"
    try:
        return typer.confirm(f"delete {what} for good?", err=True)
    except typer.Abort:
        raise ConfigError("nobody answered, nothing was deleted; add --yes to delete without being asked") from None


def _show_list(console: Console, folder: str, found: RunList) -> None:
    if found.runs:
        helped = any(run.assisted for run in found.runs)
        titles = ("run", "track", "network", *(("assisted",) if helped else ()))
        table = _table(*titles, "steps", "laps", "best lap", "progress", "age", "size", left=len(titles))
        now = time.time()
        for run in found.runs:
            age = _age(now - run.changed)
            network = f"{run.network} (imported)" if run.imported else run.network
            told = (run.run, run.track, network, *((", ".join(run.assisted) or "-",) if helped else ()))
            table.add_row(*told, f"{run.steps:,}", *_outcome(run), age, bytes_text(run.size))
        console.print(table)
    for path, reason in found.damaged:
        console.print(f"damaged {path}: {reason}", markup=False, style="red")
    if trained := [run.run for run in found.runs if not run.imported]:
        console.print(f"next: lateapex evaluate {trained[0]}", markup=False)
    elif found.runs:
        console.print(f"next: lateapex runs compare {' '.join(run.run for run in found.runs[:2])}", markup=False)
    elif not found.damaged:
        console.print(f"no runs in {folder}    next: lateapex train --track kidney --until-laps", markup=False)


def _show_comparison(console: Console, comparison: Comparison) -> None:
    table = _table("", *(run.run for run in comparison.runs), left=1)
    for key, values in comparison.differences.items():
        table.add_row(key, *("-" if value is None else str(value) for value in values))
    if not comparison.differences:
        table.add_row("settings", *("the same" for _ in comparison.runs))
    names = ("laps completed", "best lap", "best progress")
    outcomes = {name: [_outcome(run)[place] for run in comparison.runs] for place, name in enumerate(names)}
    rows = {
        "assisted": [", ".join(run.assisted) or "-" for run in comparison.runs],
        "steps": [f"{run.steps:,}" for run in comparison.runs],
        "training": [f"{run.train_seconds:.1f} s" for run in comparison.runs],
        "best progress": outcomes["best progress"],
        "best lap": outcomes["best lap"],
        "laps completed": outcomes["laps completed"],
    }
    if not any(run.assisted for run in comparison.runs):
        del rows["assisted"]
    for name, cells in rows.items():
        table.add_row(name, *cells, style="bold")
    console.print(table)


def _phases(details: RunDetails) -> dict[str, Any]:
    """Seconds and environment steps a second by phase, and the newest measures; null where there is no number."""
    steps = details.summary.steps
    finite = {name: value if math.isfinite(value) else None for name, value in details.measures.items()}
    return {
        "seconds": {name: round(value, 3) for name, value in details.seconds.items()},
        "steps_per_second": {name: round(steps / value, 1) for name, value in details.seconds.items() if value > 0.0},
        "measures": finite,
    }


def _show_details(console: Console, details: RunDetails) -> None:
    run = details.summary
    laps, lap, progress = _outcome(run)
    console.print(
        f"{run.run}: {run.track} · {run.network} · {run.steps:,} steps in {run.updates} updates", markup=False
    )
    console.print(f"laps completed {laps}, best lap {lap}, best progress {progress}", markup=False)
    if details.seconds:
        table = _table("phase", "seconds", "share", "steps/s", left=1)
        total = math.fsum(details.seconds.values())
        for name, seconds in details.seconds.items():
            rate = f"{run.steps / seconds:,.0f}" if seconds > 0.0 else "-"
            table.add_row(name, f"{seconds:.1f}", f"{seconds / max(total, 1e-9):.0%}", rate)
        console.print(table)
    for name, value in details.measures.items():
        console.print(f"{name} {value:.4g}", markup=False, style="dim")
    for finding in details.findings:
        console.print(f"update {finding.iteration}, {finding.code}: {finding.found}", markup=False, style="yellow")
        console.print(f"    try: {finding.advice}", markup=False)
    if not details.findings and run.updates:
        console.print("diagnosis: nothing found", style="green")


def _table(*titles: str, left: int = 3) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place < left else "right")
    return table


def _outcome(run: RunSummary) -> tuple[str, str, str]:
    """Laps of the last evaluation, best lap, best progress; a dash where there is none."""
    laps = "-" if run.laps is None else f"{run.laps} of {run.trials}"
    lap = "-" if run.best_lap is None else f"{run.best_lap:.2f} s"
    return laps, lap, "-" if run.best_progress is None else f"{run.best_progress:.0f}%"


def _age(seconds: float) -> str:
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"


def bytes_text(count: int) -> str:
    """A count of bytes with three digits and its unit."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.0f} GB" if size >= 999.5 else f"{size:.3g} GB"
