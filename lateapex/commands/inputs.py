"""`lateapex inputs`: what lies between camera and network."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from lateapex.commands.terminal import Json, Transforms, console

app = typer.Typer(name="inputs", help="Show what the network sees.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `show` a word of its own."""


@app.command(epilog="Example: lateapex inputs show --track kidney --transform stack:frames=3")
def show(
    run: Annotated[
        str | None, typer.Argument(help="Run folder, whose track, sensors and transforms are shown.")
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="Names or paths of tracks; the run's, or kidney.", show_default=False)
    ] = None,
    model_metadata: Annotated[
        str | None, typer.Option(help="Path of model_metadata.json: the sensors.", show_default=False)
    ] = None,
    transform: Transforms = None,
    colour: Annotated[
        bool | None, typer.Option("--colour/--grey", help="What the camera gives; as the run, or grey.")
    ] = None,
    places: Annotated[int, typer.Option(help="How many places along the track.")] = 4,
    training: Annotated[bool, typer.Option("--training", help="Show the random parts too, as while training.")] = False,
    out: Annotated[str, typer.Option(help="The picture, .png.")] = "inputs.png",
    json_line: Json = False,
) -> None:
    """Draw what the network sees: the camera's pictures of some places, and what each transform makes of them."""
    from lateapex.config import parse
    from lateapex.jobs import inputs as job

    given = {"run": run, "track": track, "model_metadata": model_metadata, "transforms": transform, "colour": colour}
    values = {"places": places, "training": training, "out": out}
    values |= {name: value for name, value in given.items() if value is not None}
    result = job.show_inputs(parse(job.InputsConfig, values, "command line"))
    shown = console(json_line)
    for sensor, stages in result.sensors.items():
        wide = max(len(stage.transform or sensor) for stage in stages)
        for stage in stages:
            size = "{1} x {0} x {2}".format(*stage.shape)
            words = f"{stage.transform or sensor:<{wide}}  {size:<14} {stage.dtype}"
            shown.print(words, markup=False)
    shown.print(f"saved {result.picture}", markup=False)
    if json_line:
        print(json.dumps(asdict(result)))
