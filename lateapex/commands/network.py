"""`lateapex network`: which networks there are, what they are made of and what they cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from lateapex.commands.runs import bytes_text
from lateapex.commands.terminal import Json, Transforms, table_console

if TYPE_CHECKING:  # heavy: torch
    from rich.console import Console

    from lateapex.jobs.network import NetworkResult, Part

app = typer.Typer(
    name="network",
    help="List and show networks: layers, weights, arithmetic, time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command("list", epilog="Example: lateapex network list")
def list_all(json_line: Json = False) -> None:
    """List the networks that there are, as large as they are for grey pictures of 160x120 and 10 actions."""
    from lateapex.jobs.network import list_networks

    found = list_networks()
    if json_line:
        print(json.dumps({"networks": [asdict(network) for network in found]}))
        return
    table = _table("network", "in model_metadata.json", right=("parameters", "MFLOP"), last="")
    for network in found:
        mega = f"{network.multiply_adds / 5e5:.1f}"
        table.add_row(network.name, network.original or "", f"{network.parameters:,}", mega, network.about)
    console = table_console()
    console.print(table)
    console.print("next: lateapex network show shallow, or one of your own: docs/networks.md", markup=False)


@app.command(epilog="Example: lateapex network show shallow")
def show(
    network: Annotated[
        str, typer.Argument(help="Name as listed, class in your own file (my_file.py:MyNet), or run folder.")
    ],
    model_metadata: Annotated[
        str | None, typer.Option(help="Path of model_metadata.json: sensors and actions.", show_default=False)
    ] = None,
    transform: Transforms = None,
    colour: Annotated[
        bool | None, typer.Option("--colour/--grey", help="What the camera gives; grey if not said.")
    ] = None,
    json_line: Json = False,
) -> None:
    """Show a network layer by layer with what it costs; of a run its actor and critic."""
    from lateapex.config import parse
    from lateapex.jobs import network as job

    given = {"model_metadata": model_metadata, "transforms": transform or None, "colour": colour}
    values = {"network": network, **{name: value for name, value in given.items() if value is not None}}
    result = job.show_network(parse(job.NetworkConfig, values, "command line"))
    if json_line:
        line = {"sensors": result.sensors, "actions": result.actions, "transforms": result.transforms}
        parts = [part.line() for part in result.parts]
        print(json.dumps({**line, "torch_threads": result.torch_threads, "parts": parts}))
        return
    console = table_console()
    for part in result.parts:
        _print_part(console, part, result)


def _print_part(console: Console, part: Part, result: NetworkResult) -> None:
    found = part.figures
    inputs = ", ".join(f"{name} {_shape(_as_picture(shape))}" for name, shape in part.inputs.items())
    outputs = f"{result.actions} actions" if part.role == "actor" else "1 value"
    console.print(f"{part.role}: {part.network} · {inputs} · {outputs}", style="bold", markup=False)
    if result.transforms:
        console.print(f"behind {', '.join(result.transforms)}", markup=False)
    table = _table("layer", "kind", right=("output", "parameters", "multiply-adds"))
    for layer in found.layers:
        table.add_row(
            layer.name, layer.kind, _shape(layer.output), _number(layer.parameters), _number(layer.multiply_adds)
        )
    table.add_row("all", "", "", f"{found.parameters:,}", f"{found.multiply_adds:,}", style="bold")
    console.print(table)
    console.print()
    times = ", ".join(f"{count} in {taken:.2f} ms" for count, taken in part.milliseconds.items())
    threads = "1 thread" if result.torch_threads == 1 else f"{result.torch_threads} threads"
    for title, fact in (
        ("arithmetic", f"{found.flops / 1e6:,.1f} MFLOP for an observation"),
        ("time", f"{times}: observations at once, measured here, median, {threads}"),
        ("weights", f"{bytes_text(found.weight_bytes)}; with Adam {bytes_text(4 * found.weight_bytes)}"),
        ("per sample", f"{bytes_text(found.stored_bytes)} stored, {bytes_text(found.output_bytes)} while learned from"),
        *([("memory", f"{found.memory} numbers from step to step")] if found.memory else []),
    ):
        console.print(f"{title:<12}{fact}", markup=False)
    console.print()


def _table(*left: str, right: tuple[str, ...], last: str | None = None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in left:
        table.add_column(title)
    for title in right:
        table.add_column(title, justify="right")
    if last is not None:
        table.add_column(last)
    return table


def _as_picture(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Width before height, as sizes of pictures are told."""
    return (shape[1], shape[0], shape[2]) if len(shape) == 3 else shape


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _number(value: Any) -> str:
    return f"{value:,}" if value else ""
