"""`lateapex vehicles`: which cars there are, and what they can do."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from lateapex.commands.terminal import Json, table_console

if TYPE_CHECKING:
    from lateapex.analysis.vehicle_figures import VehicleFigures
    from lateapex.world.vehicle import Vehicle

app = typer.Typer(
    name="vehicles",
    help="List and show vehicles: a preset for every measured generation of the car, or a file of your own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_SHOWN = (0.5, 1.0, 2.0, 3.0)  # m/s, commands whose turning radius the list tells


@app.command("list", epilog="Example: lateapex vehicles list")
def list_vehicles(json_line: Json = False) -> None:
    """List the presets with their figures."""
    from lateapex.jobs.vehicles import presets

    found = presets()
    if json_line:
        print(json.dumps({"vehicles": [_line(vehicle, figures) for vehicle, figures in found]}))
        return
    console = table_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    radii = [f"at {speed:g} m/s" for speed in _SHOWN]
    for title in ("vehicle", "top speed", "after 1 s", "braking", "steering lag", *radii):
        table.add_column(title, justify="left" if title == "vehicle" else "right")
    for vehicle, figures in found:
        table.add_row(
            vehicle.name,
            f"{figures.top_speed:.2f} m/s",
            f"{figures.launch:.1f} m/s",
            f"{figures.braking:.1f} m/s2",
            f"{figures.lag:.2f} s",
            *(_radius(figures.radius[speed]) for speed in _SHOWN),
        )
    console.print(table)
    console.print("the last columns: radius of the turn at full lock, by commanded speed", markup=False)
    console.print(
        "next: lateapex vehicles show version5, or lateapex train --track kidney --vehicle version4", markup=False
    )


@app.command(epilog="Example: lateapex vehicles show version4")
def show(
    name: Annotated[str, typer.Argument(help="Name as listed, or path of a file (.toml).")],
    toml: Annotated[bool, typer.Option("--toml", help="Print it as a file to start your own from.")] = False,
    json_line: Json = False,
) -> None:
    """Show what a vehicle can do, and how fast it may take the tightest bend of each track."""
    from lateapex.world.vehicles import load_vehicle, write_vehicle

    if toml:
        print(write_vehicle(load_vehicle(name)), end="")
        return
    from lateapex.jobs.vehicles import describe, suits

    vehicle, figures = describe(name)
    if json_line:
        print(json.dumps(_line(vehicle, figures)))
        return
    console = table_console()
    console.print(vehicle.name, style="bold", markup=False)
    for title, fact in _facts(figures):
        console.print(f"{title:<17}{fact}", markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("track", "tightest bend", "holds it at full lock up to a command of"):
        table.add_column(title, justify="left" if title == "track" else "right")
    for suit in suits(figures):
        fastest = "none: cut the bend" if suit.fastest is None else f"{suit.fastest:.2f} m/s"
        bend = "none" if math.isinf(suit.tightest_radius) else f"{suit.tightest_radius:.2f} m"
        table.add_row(suit.track, bend, fastest)
    console.print()
    console.print(table)
    console.print(f"next: lateapex train --track kidney --vehicle {name}", markup=False)


def _facts(figures: VehicleFigures) -> list[tuple[str, str]]:
    turning = (f"{_radius(radius)} at {speed:g} m/s" for speed, radius in figures.radius.items() if speed in _SHOWN)
    return [
        ("top speed", f"{figures.top_speed:.2f} m/s"),
        ("launch", f"{figures.launch:.2f} m/s after a second at the highest command"),
        ("braking", f"{figures.braking:.2f} m/s2"),
        ("steering lag", f"{figures.lag:.2f} s to 63 % of the yaw rate"),
        ("turning radius", ", ".join(turning)),
    ]


def _line(vehicle: Vehicle, figures: VehicleFigures) -> dict[str, Any]:
    return {
        "vehicle": asdict(vehicle),
        "top_speed": round(figures.top_speed, 3),
        "speed_after_1_s": round(figures.launch, 3),
        "braking": round(figures.braking, 3),
        "steering_lag": round(figures.lag, 3),
        "radius": {
            f"{speed:g}": None if math.isinf(radius) else round(radius, 3) for speed, radius in figures.radius.items()
        },
    }


def _radius(metres: float) -> str:
    return "spins" if math.isinf(metres) else f"{metres:.2f} m"
