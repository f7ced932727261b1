"""`lateapex check`: a racer's files, before they are trained with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from lateapex.commands.terminal import Json, console

if TYPE_CHECKING:  # takes as long as all of the help
    from lateapex.jobs.check import Report


def check(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder with your files, or with custom_files/ in it.")],
    track: Annotated[str, typer.Option(help="Track to try the reward on: name, or path of a route file.")] = "kidney",
    json_line: Json = False,
) -> None:
    """Check your reward function, metadata, hyperparameters, parameter YAML and .env files before a run.

    The reward function is run on made states: start, both sides, finish, off the track. Errors give exit code 2.
    """
    from lateapex.jobs import check as job

    report = job.check(folder, track)
    _show(console(json_line), report)
    if json_line:
        findings = [finding._asdict() for finding in report.findings]
        errors, warnings = report.errors, len(findings) - report.errors
        counts = {"errors": errors, "warnings": warnings}
        print(json.dumps({"folder": folder, "files": report.files, **counts, "findings": findings}))
    if report.errors:
        raise typer.Exit(2)


def _show(console: Console, report: Report) -> None:
    for finding in report.findings:
        style = "bold red" if finding.severity == "error" else "yellow"
        line = Text.assemble((f"{finding.severity:<8}", style), f"{finding.place}: {finding.message}")
        console.print(line)
    warnings = len(report.findings) - report.errors
    files, wrong, doubtful = (
        _counted(count, noun)
        for count, noun in ((len(report.files), "file"), (report.errors, "error"), (warnings, "warning"))
    )
    console.print(f"{files} checked: {wrong}, {doubtful}", markup=False)
    if not report.errors:
        console.print(f"next: {_next(report)}", markup=False)


def _next(report: Report) -> str:
    """The command that trains with these files."""
    words = ["lateapex train"]
    for flag, ending in (
        ("--reward", "reward_function.py"),
        ("--model-metadata", "model_metadata.json"),
        ("--hyperparameters", "hyperparameters.json"),
    ):
        name = next((name for name in report.files if name.endswith(ending)), None)
        words += [flag, name] if name else []
    return " ".join(words)


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'s' if count != 1 else ''}"
