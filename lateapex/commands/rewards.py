"""`lateapex rewards`: the reward functions that come with the package."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lateapex.commands.terminal import Json, console

app = typer.Typer(name="rewards", help="List and show the rewards that come with lateapex.", no_args_is_help=True)


@app.command("list", epilog="Example: lateapex rewards list")
def list_rewards(
    json_line: Json = False,
) -> None:
    """List the rewards, each with what it pays for."""
    from lateapex.env.reward import read_reward, reward_names, summary

    rewards = [{"name": name, "pays": summary(read_reward(name)[0])} for name in reward_names()]
    if json_line:
        print(json.dumps({"rewards": rewards}))
        return
    shown = console(False)
    wide = max(len(reward["name"]) for reward in rewards)
    for reward in rewards:
        shown.print(f"{reward['name']:<{wide}}  {reward['pays']}", markup=False)
    shown.print(f"next: lateapex train --reward {rewards[0]['name']}", markup=False)


@app.command(epilog="Example: lateapex rewards show centre_line")
def show(name: Annotated[str, typer.Argument(help="Name of a reward; see lateapex rewards list.")]) -> None:
    """Print the text of a reward, to start your own from."""
    from lateapex.env.reward import read_reward

    print(read_reward(name)[0], end="")
