"""The command line: mounts the commands, and turns what is wrong into one line and an exit code.

Heavy modules are imported inside the commands, so that help and mistakes answer at once.

Exit codes: 0 done; 1 done, but not what was required (`--require`); 2 something given is wrong, in one line.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lateapex.commands.check import check
from lateapex.commands.cluster import cluster
from lateapex.commands.doctor import doctor
from lateapex.commands.evaluate import evaluate
from lateapex.commands.fidelity import fidelity
from lateapex.commands.film import film
from lateapex.commands.import_run import import_run
from lateapex.commands.init import init
from lateapex.commands.inputs import app as inputs_app
from lateapex.commands.line import find_line
from lateapex.commands.network import app as network_app
from lateapex.commands.race import race
from lateapex.commands.replay import replay
from lateapex.commands.rewards import app as rewards_app
from lateapex.commands.runs import app as runs_app
from lateapex.commands.scenes import app as scenes_app
from lateapex.commands.terminal import console
from lateapex.commands.tracks import app as tracks_app
from lateapex.commands.train import TrainCommand, train
from lateapex.commands.vehicles import app as vehicles_app
from lateapex.commands.worker import worker
from lateapex.errors import LateapexError


class _InOrder(TyperGroup):
    """Shows the commands in the order in which a racer meets them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names as `_ORDER` has them."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


_ORDER = [
    *("init", "check", "train", "worker", "cluster", "evaluate", "race", "film", "replay", "runs", "import"),
    *("tracks", "rewards", "vehicles", "scenes", "inputs", "network", "line", "fidelity", "doctor"),
]

app = typer.Typer(
    name="lateapex",
    help="Train, evaluate and race models for AWS DeepRacer in a fast, deterministic simulator.",
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command(epilog="Example: lateapex init my-car")(init)
app.command(epilog="Example: lateapex check my-car")(check)
app.command(cls=TrainCommand, epilog="Example: lateapex train --track kidney --until-laps")(train)
app.command(epilog="Example: lateapex worker --exchange meeting-place")(worker)
app.command(epilog="Example: lateapex cluster kuberay --workers 16 --out my-cluster")(cluster)
app.command(epilog="Example: lateapex evaluate runs/kidney-lean-0 --trials 5")(evaluate)
app.command(epilog="Example: lateapex race runs/one runs/other --track kidney")(race)
app.command(epilog="Example: lateapex film runs/kidney-lean-0 --episode 3")(film)
app.command(epilog="Example: lateapex replay runs/kidney-lean-0 --episode 3")(replay)
app.command("import", epilog="Example: lateapex import my-model.tar.gz --out runs/my-model")(import_run)
app.command("line", epilog="Example: lateapex line oval")(find_line)
app.command(epilog="Example: lateapex fidelity --traces steps.csv.gz --physics 5")(fidelity)
app.command(epilog="Example: lateapex doctor")(doctor)
for _group in (runs_app, tracks_app, rewards_app, vehicles_app, scenes_app, inputs_app, network_app):
    app.add_typer(_group)


def main() -> None:
    """Run the command line."""
    # Threads that wait for each other by spinning are several times slower as soon as anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except LateapexError as error:
        console(True).print("error:", " ".join(str(error).splitlines()), markup=False)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from lateapex import __version__

        print(f"lateapex {__version__}")
        raise typer.Exit
