"""The command line: reads flags, prints what jobs say, sets the exit code; nothing else.

Heavy modules are imported inside the commands, so that help and mistakes answer at once.

Exit codes: 0 done; 1 done, but not what was required (`--require`); 2 something given is wrong, in one line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lateapex.commands.check import check
from lateapex.commands.doctor import doctor
from lateapex.commands.line import find_line
from lateapex.commands.runs import app as runs_app
from lateapex.commands.tracks import app as tracks_app
from lateapex.errors import ConfigError, LateapexError

if TYPE_CHECKING:  # heavy: torch and numba
    from lateapex.jobs.evaluate import EvaluateResult
    from lateapex.jobs.train import TrainConfig, TrainResult
    from lateapex.records import Sink
    from lateapex.storage import Storage
    from lateapex.training.trainer import Trainer

app = typer.Typer(
    name="lateapex",
    help="Train, evaluate and race models for AWS DeepRacer in a fast, deterministic simulator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(tracks_app)
app.add_typer(runs_app)
app.command(epilog="Example: lateapex check my-car")(check)
app.command(epilog="Example: lateapex doctor")(doctor)
app.command("line", epilog="Example: lateapex line oval")(find_line)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON line on stdout; all else goes to stderr.")]


def main() -> None:
    """Run the command line."""
    # Threads that wait for each other by spinning are several times slower as soon as anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except LateapexError as error:
        _console(True).print("error:", " ".join(str(error).splitlines()), markup=False)
        sys.exit(2)


@app.command(epilog="Example: lateapex train --track kidney --until-laps")
def train(
    track: Annotated[
        str | None, typer.Option(help="Name of a track (see lateapex tracks list), or path of a route file (.npy).")
    ] = None,
    reward: Annotated[str | None, typer.Option(help="Name of a reward, or path of your reward_function.py.")] = None,
    model_metadata: Annotated[str | None, typer.Option(help="Path of model_metadata.json: actions and sensor.")] = None,
    hyperparameters: Annotated[str | None, typer.Option(help="Path of hyperparameters.json.")] = None,
    network: Annotated[str | None, typer.Option(help="lean, or shallow: the original's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed and steps, same model.")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after so many environment steps.")] = None,
    duration: Annotated[float | None, typer.Option(help="Stop after so many seconds; 600 if not given.")] = None,
    until_laps: Annotated[
        bool | None, typer.Option("--until-laps", help="Stop once all 20 evaluation starts are laps twice in a row.")
    ] = None,
    cars: Annotated[int | None, typer.Option(help="Cars that drive at once.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16.")] = None,
    out: Annotated[str | None, typer.Option(help="Run folder; a free name under runs/ if not given.")] = None,
    resume: Annotated[str | None, typer.Option(help="Run folder to go on with.")] = None,
    json_line: Json = False,
) -> None:
    """Train a model, or go on with a run."""
    settings = {
        "track": track,
        "reward": reward,
        "model_metadata": model_metadata,
        "hyperparameters": hyperparameters,
        "network": network,
        "seed": seed,
        "cars": cars,
        "precision": precision,
        "out": out,
    }
    bounds = {"steps": steps, "duration": duration, "until_laps": until_laps}
    _check_resume(resume, settings)
    from lateapex.jobs import train as job

    console = _console(json_line)
    with _clean_stdout(json_line), _stopping(console) as observe:
        if resume is not None:
            result = job.resume(resume, {"trainer": bounds}, observe)
        else:
            config = job.train_config({**settings, "trainer": bounds}, "command line")
            result = job.train(config, observe)
    _show_trained(console, result)
    if json_line:
        print(json.dumps(_train_line(result)))


@app.command(epilog="Example: lateapex evaluate runs/kidney-lean-0 --trials 5")
def evaluate(
    run: Annotated[str, typer.Argument(help="Run folder.")],
    track: Annotated[str | None, typer.Option(help="Another track than the run's: name or path.")] = None,
    trials: Annotated[int, typer.Option(help="Laps, from starts spread round the track.", min=1)] = 5,
    checkpoint: Annotated[str, typer.Option(help="best or last")] = "best",
    require: Annotated[int, typer.Option(help="Exit with 1 if fewer laps than this are complete.", min=0)] = 0,
    json_line: Json = False,
) -> None:
    """Drive a trained model; write traces and pictures."""
    from lateapex.config import parse
    from lateapex.jobs import evaluate as job

    values = {"run": run, "trials": trials, "checkpoint": checkpoint, **({"track": track} if track else {})}
    with _clean_stdout(json_line):
        result = job.evaluate(parse(job.EvaluateConfig, values, "command line"))
    _show_trials(_console(json_line), result)
    if json_line:
        print(json.dumps(_evaluate_line(result)))
    if result.laps_completed < require:
        raise typer.Exit(1)


@app.command(epilog="Example: lateapex init my-car")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write into; made if it does not exist.")],
) -> None:
    """Write files to start from: reward, actions, hyperparameters."""
    from lateapex.jobs.init import init as job

    console = _console(False)
    for path in job(folder):
        console.print(f"wrote {path}", markup=False)
    files = ("reward_function.py", "model_metadata.json", "hyperparameters.json")
    reward, metadata, hyperparameters = (quote(str(folder / name)) for name in files)
    console.print(
        f"next: lateapex train --track kidney --reward {reward} --model-metadata {metadata} "
        f"--hyperparameters {hyperparameters}",
        markup=False,
    )


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from lateapex import __version__

        print(f"lateapex {__version__}")
        raise typer.Exit


def _console(to_stderr: bool) -> Console:
    # Without emoji: rich makes one of the line number in "reward.py:100:".
    return Console(stderr=to_stderr, highlight=False, soft_wrap=True, emoji=False)


def _clean_stdout(json_line: bool) -> AbstractContextManager[Any]:
    """With --json what a racer's reward function prints goes to stderr too."""
    return redirect_stdout(sys.stderr) if json_line else nullcontext()


def _check_resume(resume: str | None, settings: Mapping[str, Any]) -> None:
    """A resumed run keeps what it was started with."""
    given = ["--" + name.replace("_", "-") for name, value in settings.items() if value is not None]
    if resume is not None and given:
        raise ConfigError(f"--resume goes on with the run as it is; {given[0]} cannot be changed, leave it out")


@contextmanager
def _stopping(console: Console) -> Iterator[Any]:
    """Yield the observer of a training run: the live table, and Ctrl-C that stops after the current update."""
    from lateapex.sinks.console import ConsoleSink

    sinks: list[ConsoleSink] = []
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def observe(trainer: Trainer, storage: Storage, config: TrainConfig) -> Mapping[str, Sink]:
        def stop(number: int, _: object) -> None:
            trainer.stopping = True
            signal.signal(number, before[number])

        for number in before:
            signal.signal(number, stop)
        for line in trainer.collector.task.metadata.warnings:
            console.print(f"note: {line}", markup=False)
        sinks.append(ConsoleSink(console, _header(trainer, storage, config)))
        return {"console": sinks[0]}

    try:
        yield observe
    finally:
        for sink in sinks:
            sink.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _header(trainer: Trainer, storage: Storage, config: TrainConfig) -> str:
    """One line on what will happen."""
    task = trainer.collector.task
    track = task.tracks[0]
    _, height, width = task.pictures.shape
    again = f" · from step {trainer.progress.steps:,}" if trainer.progress.steps else ""
    return (
        f"{track.name} {track.length:.2f} m · {config.cars} cars · {len(task.actions)} actions · "
        f"front camera {width}x{height} · {config.network} · seed {config.seed} · {storage.url}{again}"
    )


_ENDINGS = {
    "goal": "laps from every start, twice in a row",
    "steps": "the step budget is used",
    "updates": "the last update is done",
    "duration": "the time is up",
    "stopped": "stopped as asked",
}


def _show_trained(console: Console, result: TrainResult) -> None:
    best = f", best lap {result.best_lap:.2f} s" if result.best_lap is not None else ""
    console.print(
        f"{_ENDINGS[result.outcome]}: {result.steps:,} steps, {result.updates} updates, {result.episodes:,} episodes "
        f"in {result.train_seconds:.1f} s of training (and {result.evaluation_seconds:.1f} s of evaluation){best}",
        markup=False,
    )
    console.print(f"saved {result.url}    next: lateapex evaluate {quote(result.url)}", markup=False)


def _train_line(result: TrainResult) -> dict[str, Any]:
    return {
        "run": result.url,
        "outcome": result.outcome,
        "updates": result.updates,
        "steps": result.steps,
        "episodes": result.episodes,
        "train_seconds": round(result.train_seconds, 3),
        "evaluation_seconds": round(result.evaluation_seconds, 3),
        "best_progress": result.best_progress,
        "best_lap": result.best_lap,
    }


def _show_trials(console: Console, result: EvaluateResult) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("trial", "start", "completed", "time", "status"):
        table.add_column(title, justify="left" if title == "status" else "right")
    for trial, episode in enumerate(result.episodes, 1):
        start = f"{100.0 * (trial - 1) / len(result.episodes):.0f}%"
        words = episode.status.replace("_", " ")
        table.add_row(str(trial), start, f"{episode.progress:.0f}%", f"{episode.lap_time:.2f} s", words)
    console.print(f"{result.track} · {result.model} of {result.run}", markup=False)
    console.print(table)
    times = result.lap_times
    best = f", best {min(times):.2f} s, mean {sum(times) / len(times):.2f} s" if times else ""
    console.print(f"{result.laps_completed} of {len(result.episodes)} laps{best}", markup=False)
    console.print(f"lines     {result.laps_picture}\nanimation {result.lap_animation}", markup=False)
    again = "--track oval" if result.track != "oval" else "--trials 20"
    console.print(f"next: lateapex evaluate {quote(result.run)} {again}", markup=False)


def _evaluate_line(result: EvaluateResult) -> dict[str, Any]:
    return {
        "laps_completed": result.laps_completed,
        "trials": len(result.episodes),
        "train_seconds": round(result.train_seconds, 3),
        "best_lap": min(result.lap_times, default=None),
        "mean_progress": sum(episode.progress for episode in result.episodes) / len(result.episodes),
        "track": result.track,
        "model": result.model,
        "run": result.run,
        "laps_picture": result.laps_picture,
        "lap_animation": result.lap_animation,
    }
