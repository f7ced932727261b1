"""`lateapex line`: the fastest lap that the car could do on a track."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lateapex.commands.terminal import Json, console


class WheelLimit(StrEnum):
    """Which wheels stay on the road."""

    all = "all"
    one = "one"


def find_line(
    track: Annotated[
        str, typer.Argument(help="Name of a track, or path of a route; '@reversed' after it: the other way.")
    ],
    vehicle: Annotated[
        str, typer.Option(help="The car: a name (see lateapex vehicles list) or the path of a file.")
    ] = "version5",
    limit: Annotated[
        WheelLimit, typer.Option(help="Wheels that stay on the road: all, or one at least, as the rules ask.")
    ] = WheelLimit.all,
    slip: Annotated[
        float, typer.Option(help="Degrees between where the car points and where it goes, at most.")
    ] = 20.0,
    out: Annotated[Path, typer.Option(help="Folder of pictures (.png) and tables (.csv).")] = Path("lines"),
    json_line: Json = False,
) -> None:
    """Find the line and the speeds with the least lap time, from a flying and from a standing start."""
    from lateapex.jobs.line import write_lines
    from lateapex.world.track import load_track
    from lateapex.world.vehicles import load_vehicle

    shown = console(json_line)
    files = write_lines(load_track(track), load_vehicle(vehicle), limit.value, slip, out)
    for file in files:
        lap = file.line
        note = "" if lap.method == "optimal" else "    NOT OPTIMAL: the optimiser failed, this is the careful lap"
        shown.print(f"{lap.start} lap {lap.lap_time:.2f} s, up to {lap.speed.max():.2f} m/s{note}", markup=False)
        shown.print(f"saved {file.picture} and {file.table.name}", markup=False)
    if json_line:
        laps = [
            {
                "start": file.line.start,
                "limit": file.line.limit,
                "method": file.line.method,
                "lap_time_s": round(file.line.lap_time, 4),
                "picture": str(file.picture),
                "table": str(file.table),
            }
            for file in files
        ]
        print(json.dumps({"track": files[0].line.track.name, "vehicle": vehicle, "laps": laps}))
