"""`lateapex fidelity`: how far the simulator's cars end up from those of the original's logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lateapex.commands.terminal import Json, table_console
from lateapex.errors import ConfigError

if TYPE_CHECKING:
    from lateapex.analysis.fidelity import Row
    from lateapex.jobs.fidelity import Fidelity

Traces = Annotated[
    list[Path] | None,
    typer.Option(help="Step tables (.csv, .csv.gz) or folders of them; several may follow.", show_default=False),
]
More = Annotated[list[Path] | None, typer.Argument(help="Further step tables.", show_default=False)]


def fidelity(
    more: More = None,
    traces: Traces = None,
    logs: Annotated[
        Path | None, typer.Option(help="List of logs; logs.csv beside each table if not given.", show_default=False)
    ] = None,
    physics: Annotated[
        int | None, typer.Option(help="Generation of all logs, whatever a list says.", show_default=False)
    ] = None,
    vehicle: Annotated[
        str | None,
        typer.Option(help="Score this preset or file; for each log its own preset if not given.", show_default=False),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder of sim-traces/, tracks/ and logs/: write the whole report.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the report goes; its pictures into a folder beside it.")] = Path(
        "docs/fidelity.md"
    ),
    json_line: Json = False,
) -> None:
    """Drive the commands of logs again, and say how far the cars end up from the logged ones."""
    tables = [*(traces or []), *(more or [])]
    console = table_console()
    if report is not None:
        if tables or json_line:
            raise ConfigError("--report takes a folder alone; leave --traces and --json out")
        from lateapex.jobs.fidelity_report import write_report

        for name in write_report(report, out):
            console.print(f"wrote {name}", markup=False)
        return
    if not tables:
        raise ConfigError("no step tables are given; name some: lateapex fidelity --traces steps.csv.gz")
    from lateapex.jobs.fidelity import fidelity as job

    result = job(tables, log_list=logs, physics=physics, vehicle=vehicle)
    if json_line:
        print(json.dumps(_line(result)))
    else:
        _show(console, result)


def _line(result: Fidelity) -> dict[str, Any]:
    return {
        "rows": [row._asdict() for row in result.rows],
        "bicycle": [row._asdict() for row in result.bicycle],
        "repeatability": [
            {
                "physics": pairs.physics,
                "start": pairs.start,
                "steps": pairs.steps,
                "pairs": pairs.pairs,
                "simulator_position_cm": round(pairs.simulator[0], 4),
                "simulator_yaw_deg": round(pairs.simulator[1], 4),
                "model_position_cm": round(pairs.model[0], 4),
                "model_yaw_deg": round(pairs.model[1], 4),
            }
            for pairs in result.repeatability
        ],
        "vehicles": {str(physics): name for physics, name in result.vehicles.items()},
    }


def _show(console: Console, result: Fidelity) -> None:
    console.print("error of position in cm and of yaw in degrees: median / 90th percentile", markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("physics", "start", "windows", "driven by", "1 step", "5 steps", "15 (1 s)", "30 (2 s)"):
        table.add_column(title, justify="left" if title in ("start", "driven by") else "right")
    keys = dict.fromkeys((row.physics, row.start) for row in result.rows)
    for physics, start in keys:
        for name, rows in ((result.vehicles[physics], result.rows), ("kinematic bicycle", result.bicycle)):
            mine = [row for row in rows if (row.physics, row.start) == (physics, start)]
            table.add_row(str(physics), start, str(mine[0].windows), name, *_cells(mine))
    console.print(table)
    if result.repeatability:
        console.print("\nwhere the original was given the same commands twice: medians", markup=False)
        console.print(_repeatability_table(result))


def _cells(rows: list[Row]) -> list[str]:
    """One cell for each number of steps: "0.70 / 1.8 cm; 0.56 / 1.6 deg"."""
    cells: dict[int, list[Row]] = {}
    for row in rows:
        cells.setdefault(row.steps, []).append(row)
    return ["{:.2f} / {:.1f}; {:.2f} / {:.1f}".format(*(row.value for row in some)) for some in cells.values()]


def _repeatability_table(result: Fidelity) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("physics", "start", "steps", "pairs", "original against itself", "ours"):
        table.add_column(title, justify="left" if title == "start" else "right")
    for pairs in result.repeatability:
        theirs, ours = (f"{cm:.1f} cm; {deg:.1f} deg" for cm, deg in (pairs.simulator, pairs.model))
        table.add_row(str(pairs.physics), pairs.start, str(pairs.steps), str(pairs.pairs), theirs, ours)
    return table
