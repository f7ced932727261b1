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
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lateapex.commands.check import check
from lateapex.commands.doctor import doctor
from lateapex.commands.fidelity import fidelity
from lateapex.commands.film import film as film_command
from lateapex.commands.import_run import import_run
from lateapex.commands.line import find_line
from lateapex.commands.rewards import app as rewards_app
from lateapex.commands.runs import app as runs_app
from lateapex.commands.runs import bytes_text
from lateapex.commands.tracks import app as tracks_app
from lateapex.commands.vehicles import app as vehicles_app
from lateapex.errors import ConfigError, LateapexError, RewardError

if TYPE_CHECKING:  # heavy: torch and numba
    from lateapex.jobs.evaluate import EvaluateResult, TrackTrials
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
app.add_typer(rewards_app)
app.add_typer(vehicles_app)
app.command(epilog="Example: lateapex check my-car")(check)
app.command(epilog="Example: lateapex doctor")(doctor)
app.command("film", epilog="Example: lateapex film runs/kidney-lean-0 --episode 3")(film_command)
app.command(epilog="Example: lateapex fidelity --traces steps.csv.gz --physics 5")(fidelity)
app.command("import", epilog="Example: lateapex import my-model.tar.gz --out runs/my-model")(import_run)
app.command("line", epilog="Example: lateapex line oval")(find_line)

VehicleName = Annotated[
    str | None,
    typer.Option(
        help="Name (see lateapex vehicles list) or path of a vehicle; by the metadata's version if not given."
    ),
]
Sandbox = Annotated[
    bool | None,
    typer.Option("--sandbox", help="Run the reward, a stranger's file, in a process of its own, behind walls (Linux)."),
]
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
        str | None,
        typer.Option(help="Names of tracks (see lateapex tracks list) or paths of route files (.npy): a,b,c@reversed."),
    ] = None,
    reward: Annotated[str | None, typer.Option(help="Name of a reward, or path of your reward_function.py.")] = None,
    model_metadata: Annotated[str | None, typer.Option(help="Path of model_metadata.json: actions and sensor.")] = None,
    hyperparameters: Annotated[str | None, typer.Option(help="Path of hyperparameters.json.")] = None,
    vehicle: VehicleName = None,
    network: Annotated[
        str | None, typer.Option(help="lean, or shallow: the original's; what the metadata name if not given, or lean.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="TOML file of settings, or run.toml of a run to repeat; flags win over it.")
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option("--from", help="Run folder to start from: its weights, and its settings as defaults.")
    ] = None,
    checkpoint: Annotated[str | None, typer.Option(help="With --from: best, the default, or last.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed and steps, same model.")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after so many environment steps.")] = None,
    duration: Annotated[
        float | None,
        typer.Option("--duration", "--job-duration-in-seconds", help="Stop after so many seconds; 600 if not given."),
    ] = None,
    until_laps: Annotated[
        bool | None, typer.Option("--until-laps", help="Stop once all 20 evaluation starts are laps twice in a row.")
    ] = None,
    keep: Annotated[
        int | None, typer.Option(help="Versions of the model that stay beside the best; 4 if not given.")
    ] = None,
    cars: Annotated[int | None, typer.Option(help="Cars that drive at once.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16.")] = None,
    sandbox: Sandbox = None,
    call_at_step_1: Annotated[
        bool | None,
        typer.Option("--call-at-step-1", help="Call the reward at steps 1 too, unpaid, as the simulator did in 2020."),
    ] = None,
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
        "vehicle": vehicle,
        "network": network,
        "pretrained": pretrained,
        "pretrained_checkpoint": checkpoint,
        "seed": seed,
        "cars": cars,
        "precision": precision,
        "call_at_step_1": call_at_step_1,
        "out": out,
    }
    bounds = {"steps": steps, "duration": duration, "until_laps": until_laps, "keep": keep}
    changes = {"trainer": bounds, "sandbox": sandbox}
    _check_resume(resume, {"config": config, **settings})
    from lateapex.jobs import train as job

    console = _console(json_line)

    def tell(line: str) -> None:
        console.print(f"note: {line}", markup=False)

    with _clean_stdout(json_line), _stopping(console) as observe:
        if resume is not None:
            result = job.resume(resume, changes, observe, tell)
        else:
            whole = job.train_config({**settings, **changes}, "command line", config)
            result = job.train(whole, observe, tell)
    _show_trained(console, result)
    if json_line:
        print(json.dumps(_train_line(result)))


@app.command(epilog="Example: lateapex evaluate runs/kidney-lean-0 --trials 5")
def evaluate(
    run: Annotated[str, typer.Argument(help="Run folder.")],
    track: Annotated[str | None, typer.Option(help="Other tracks than the run's: names or paths, as a,b.")] = None,
    vehicle: Annotated[str | None, typer.Option(help="Another vehicle than the run's: name or path.")] = None,
    trials: Annotated[int, typer.Option(help="Laps of each track, from starts spread round it.", min=1)] = 5,
    checkpoint: Annotated[str, typer.Option(help="best or last")] = "best",
    film: Annotated[str, typer.Option(help="Trials to film: best, all or none.")] = "best",
    view: Annotated[str, typer.Option(help="What fills the film: chase or front.")] = "chase",
    require: Annotated[int, typer.Option(help="Exit with 1 if fewer laps than this are complete.", min=0)] = 0,
    sandbox: Sandbox = None,
    json_line: Json = False,
) -> None:
    """Drive a trained model; write traces and pictures."""
    from lateapex.config import parse
    from lateapex.jobs import evaluate as job

    values = {"run": run, "trials": trials, "checkpoint": checkpoint, "film": film, "view": view}
    values |= {name: value for name, value in (("track", track), ("vehicle", vehicle)) if value}
    config = parse(job.EvaluateConfig, {**values, "sandbox": sandbox}, "command line")
    with _clean_stdout(json_line):
        result = job.evaluate(config, tell=lambda line: _console(True).print(f"note: {line}", markup=False))
    _show_trials(_console(json_line), result)
    if json_line:
        print(json.dumps(_evaluate_line(result)))
    if result.laps_completed < require:
        raise typer.Exit(1)


@app.command(epilog="Example: lateapex init my-car")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write into; made if it does not exist.")],
) -> None:
    """Write files to start from: reward, actions, hyperparameters, and all settings of a training run."""
    from lateapex.jobs.init import init as job

    console = _console(False)
    for path in job(folder):
        console.print(f"wrote {path}", markup=False)
    console.print(f"next: lateapex train --config {quote(str(folder / 'train.toml'))}", markup=False)


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
    flags = {"pretrained": "from", "pretrained_checkpoint": "checkpoint"}
    given = ["--" + flags.get(name, name).replace("_", "-") for name, value in settings.items() if value is not None]
    if resume is not None and given:
        raise ConfigError(f"--resume goes on with the run as it is; {given[0]} cannot be changed, leave it out")


@contextmanager
def _stopping(console: Console) -> Iterator[Any]:
    """Yield the observer of a training run: the live table, and Ctrl-C that stops after the current update."""
    from lateapex.env.reward_watch import Watch
    from lateapex.jobs.job_reward import reward_notes
    from lateapex.sinks.console import ConsoleSink

    sinks: list[ConsoleSink] = []
    around = ExitStack()
    hung: list[str] = []
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def observe(trainer: Trainer, storage: Storage, config: TrainConfig) -> Mapping[str, Sink]:
        def stop(number: int, _: object) -> None:
            trainer.stopping = True
            signal.signal(number, before[number])
            if place := watch.place:  # the update would never end
                hung.append(place)
                raise KeyboardInterrupt

        for number in before:
            signal.signal(number, stop)
        reward = trainer.collector.task.reward
        for line in reward_notes(reward, config.cars):
            console.print(f"note: {line}", markup=False)
        watch = around.enter_context(Watch(reward, lambda line: console.print(f"note: {line}", markup=False)))
        sinks.append(ConsoleSink(console, _header(trainer, storage, config)))
        return {"console": sinks[0]}

    try:
        yield observe
    except KeyboardInterrupt:
        if hung:
            raise RewardError(f"{hung[0]}: stopped in a call of the reward that did not come back") from None
        raise
    finally:
        around.close()
        for sink in sinks:
            sink.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _header(trainer: Trainer, storage: Storage, config: TrainConfig) -> str:
    """One line on what will happen."""
    from lateapex.world.track_list import track_label

    task = trainer.collector.task
    where = ", ".join(f"{track_label(track)} {track.length:.2f} m" for track in task.tracks)
    height, width = task.pictures.shape[1:3]
    again = f" · from step {trainer.progress.steps:,}" if trainer.progress.steps else ""
    if config.pretrained is not None and not again:
        again = f" · from {config.pretrained}"
    return (
        f"{where} · {config.cars} cars · {len(task.actions)} actions · "
        f"front camera {width}x{height} · {config.vehicle} · {config.network} · seed {config.seed} · "
        f"{storage.url}{again}"
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
    call = 1e6 * result.reward_call_seconds
    console.print(
        f"reward: {call:,.{0 if call >= 10 else 1}f} µs a call, {result.reward_share:.0%} of the time", markup=False
    )
    if call > 1000.0:
        console.print(
            "note: that is slow, 1000 µs hold up every car; move what does not change out of reward_function, "
            "or write reward_batch beside it (docs/rewards.md)",
            markup=False,
        )
    versions = "1 version" if result.versions == 1 else f"{result.versions} versions"
    size = f"{bytes_text(result.size)} with {versions} of the model"
    console.print(f"saved {result.url} ({size})    next: lateapex evaluate {quote(result.url)}", markup=False)


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
        "versions": result.versions,
        "size": result.size,
    }


def _show_trials(console: Console, result: EvaluateResult) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ("trial", "start", "completed", "time", "status")
    several = len(result.tracks) > 1
    for title in ("track", *titles) if several else titles:
        table.add_column(title, justify="left" if title in ("track", "status") else "right")
    for part in result.tracks:
        for trial, episode in enumerate(part.episodes, 1):
            start = f"{100.0 * (trial - 1) / len(part.episodes):.0f}%"
            words = episode.status.replace("_", " ")
            cells = (str(trial), start, f"{episode.progress:.0f}%", f"{episode.lap_time:.2f} s", words)
            table.add_row(*((part.track if trial == 1 else "", *cells) if several else cells))
    console.print(f"{', '.join(part.track for part in result.tracks)} · {result.model} of {result.run}", markup=False)
    console.print(table)
    for part in result.tracks:
        _show_track(console, part, several)
    if several:
        console.print(f"{result.laps_completed} of {len(result.episodes)} laps on all tracks", markup=False)
    if any(path.endswith(".gif") for path in result.films):
        from lateapex.jobs.film import NO_VIDEO

        console.print(f"note: {NO_VIDEO}", markup=False)
    again = "--trials 20" if any(part.track == "oval" for part in result.tracks) else "--track oval"
    console.print(f"next: lateapex evaluate {quote(result.run)} {again}", markup=False)


def _show_track(console: Console, part: TrackTrials, named: bool) -> None:
    """What came of the trials of one track, and where its pictures are."""
    times = part.lap_times
    best = f", best {min(times):.2f} s, mean {sum(times) / len(times):.2f} s" if times else ""
    name = f"{part.track}: " if named else ""
    console.print(f"{name}{part.laps_completed} of {len(part.episodes)} laps{best}", markup=False)
    console.print(f"lines {part.laps_picture}", markup=False)
    for path in part.films:
        console.print(f"film  {path}", markup=False)


def _evaluate_line(result: EvaluateResult) -> dict[str, Any]:
    return {
        **_trials_line(result),
        "train_seconds": round(result.train_seconds, 3),
        "track": result.track,
        "model": result.model,
        "run": result.run,
        "tracks": [{"track": part.track, **_trials_line(part)} for part in result.tracks],
    }


def _trials_line(found: EvaluateResult | TrackTrials) -> dict[str, Any]:
    return {
        "laps_completed": found.laps_completed,
        "trials": len(found.episodes),
        "best_lap": min(found.lap_times, default=None),
        "mean_progress": sum(episode.progress for episode in found.episodes) / len(found.episodes),
        "laps_picture": found.laps_picture,
        "lap_animation": found.lap_animation,
        "films": list(found.films),
    }
