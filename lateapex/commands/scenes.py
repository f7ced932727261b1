"""`lateapex scenes`: what can vary from episode to episode, and what each scene lets vary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from lateapex.commands.terminal import Json, table_console

app = typer.Typer(
    name="scenes",
    help="List and show scenes: what varies from episode to episode of training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command("list", epilog="Example: lateapex scenes list")
def list_scenes(json_line: Json = False) -> None:
    """List the presets, and all that can vary."""
    from lateapex.world.scene_files import load_scene, scene_names
    from lateapex.world.variation import QUANTITIES

    found = [load_scene(name) for name in scene_names()]
    if json_line:
        quantities = [quantity._asdict() for quantity in QUANTITIES]
        print(json.dumps({"scenes": [scene.to_values() for scene in found], "quantities": quantities}))
        return
    console = table_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("scene", "varies", "what for"):
        table.add_column(title)
    for scene in found:
        table.add_row(scene.name, str(len(scene.ranges)), scene.about)
    console.print(table)
    console.print()
    console.print(_quantities())
    console.print("next: lateapex scenes show sim2real, or lateapex train --track kidney --scene mild", markup=False)


def _quantities() -> Table:
    from lateapex.world.variation import QUANTITIES

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("can vary", "usual", "from", "to", "unit", "what"):
        table.add_column(title, justify="right" if title in ("usual", "from", "to") else "left")
    for item in QUANTITIES:
        numbers = (f"{number:g}" for number in (item.neutral, item.low, item.high))
        table.add_row(item.name, *numbers, item.unit, item.what)
    return table


@app.command(epilog="Example: lateapex scenes show sim2real --out sim2real.png")
def show(
    name: Annotated[
        str, typer.Argument(help="Name as listed, path of a file (.toml), or a class of one (my_file.py:MyScene).")
    ],
    toml: Annotated[bool, typer.Option("--toml", help="Print it as a file to start your own from.")] = False,
    out: Annotated[Path | None, typer.Option(help="Draw what 24 cars see in it into this file (.png).")] = None,
    track: Annotated[str, typer.Option(help="Track of that picture: name or path.")] = "kidney",
    json_line: Json = False,
) -> None:
    """Show the ranges of a scene, or what cars see in it."""
    from lateapex.env.scenes import UserScenes, load_scenes
    from lateapex.world.scene_files import write_scene
    from lateapex.world.variation import QUANTITIES

    found = load_scenes(name)
    own = isinstance(found, UserScenes) and found.samples
    scene = found.ranges if isinstance(found, UserScenes) else found
    if out is not None:
        from lateapex.jobs.scene_sheet import scene_sheet

        samples = scene_sheet(found, track, out)
        print(json.dumps({"picture": str(out), "values": samples}) if json_line else f"{len(samples)} episodes: {out}")
        return
    if toml:
        lost = f"# without what sample of {name} draws\n" if own else ""
        print(lost + write_scene(scene), end="")
        return
    if json_line:
        print(json.dumps(scene.to_values() | ({"sample": name} if own else {})))
        return
    console = table_console()
    console.print(f"{scene.name}: {scene.about}" if scene.about else scene.name, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("varies", "from ... to", "unit", "what"):
        table.add_column(title)
    for item in QUANTITIES:
        if (drawn := scene.ranges.get(item.name)) is not None:
            table.add_row(item.name, str(drawn), item.unit, item.what)
    if scene.ranges or not own:
        console.print(table if scene.ranges else "nothing varies", markup=False)
    if own:
        console.print(f"and what sample of {name} draws; --out sheet.png shows some of it", markup=False)
    console.print(f"next: lateapex train --track kidney --scene {name}", markup=False)
