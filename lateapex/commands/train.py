"""`lateapex train`: trains a model, or goes on with a run."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from typer.core import TyperCommand

from lateapex.commands.runs import bytes_text
from lateapex.commands.terminal import Json, Sandbox, Transforms, clean_stdout, console
from lateapex.errors import ConfigError, RewardError

if TYPE_CHECKING:  # heavy: torch and numba
    from lateapex.jobs.train import TrainConfig, TrainResult
    from lateapex.records import Sink
    from lateapex.storage import Storage
    from lateapex.training.trainer import Trainer


class TrainCommand(TyperCommand):
    """Takes `--keep` without a number for `--keep-batches`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what is left of the words."""
        following = [*args, "--"][1:]
        bare = [one == "--keep" and other.startswith("--") for one, other in zip(args, following, strict=True)]
        return super().parse_args(
            ctx, ["--keep-batches" if is_bare else word for word, is_bare in zip(args, bare, strict=True)]
        )


Tracks = Annotated[
    str | None,
    typer.Option(help="Names of tracks (see lateapex tracks list) or paths of route files (.npy): a,b,c@reversed."),
]
Reward = Annotated[str | None, typer.Option(help="Name of a reward, or path of your reward_function.py.")]
Metadata = Annotated[str | None, typer.Option(help="Path of model_metadata.json: actions and sensor.")]
HyperparametersFile = Annotated[str | None, typer.Option(help="Path of hyperparameters.json.")]
VehicleName = Annotated[
    str | None,
    typer.Option(help="Name (see lateapex vehicles list) or path; by the version of the metadata if not given."),
]
SceneName = Annotated[
    str | None,
    typer.Option(
        help="What varies from episode to episode: name (see lateapex scenes list), file, or my_file.py:MyScene."
    ),
]
NetworkName = Annotated[
    str | None,
    typer.Option(
        help="lean, recurrent or attention; shallow, deep or deeper: the original's; or your own (my_file.py:MyNet). "
        "What the metadata name if not given, or lean."
    ),
]
CriticName = Annotated[str | None, typer.Option(help="Network of the value function, as --network; lean if not given.")]
AlgorithmName = Annotated[
    str | None, typer.Option("--algorithm", help="clipped_ppo or sac; what the metadata name if not given.")
]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", help="Settings of learning to start from: fast, or original; fast if not given."),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        help="TOML file of settings, run folder to repeat, or folder of deepracer-for-cloud; flags win over it."
    ),
]
From = Annotated[
    str | None, typer.Option("--from", help="Run folder to start from: its weights, and its settings as defaults.")
]
Checkpoint = Annotated[str | None, typer.Option(help="With --from: best, the default, or last.")]
RaceTypeName = Annotated[
    str | None,
    typer.Option(help="TIME_TRIAL, OBJECT_AVOIDANCE, HEAD_TO_BOT or HEAD_TO_MODEL; more in the file's table race."),
]
TeacherName = Annotated[
    str | None,
    typer.Option(
        help="Who shows how to drive at first: none, centre_line, lanes or minimum_time (see docs/assists.md)."
    ),
]
Seed = Annotated[int | None, typer.Option(help="Same seed and steps, same model.")]
Steps = Annotated[int | None, typer.Option(help="Stop after so many environment steps.")]
Duration = Annotated[
    float | None,
    typer.Option("--duration", "--job-duration-in-seconds", help="Stop after so many seconds; 600 if not given."),
]
UntilLaps = Annotated[
    bool | None, typer.Option("--until-laps", help="Stop once all 20 evaluation starts are laps twice in a row.")
]
Keep = Annotated[int | None, typer.Option(help="Versions of the model that stay beside the best; 4 if not given.")]
Cars = Annotated[int | None, typer.Option(help="Cars that drive at once.")]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes that drive, each a share of the cars, on a Ray cluster; 0, the default: this one."),
]
MaxStale = Annotated[
    int | None,
    typer.Option(
        help="With --workers: versions of the model that their experience may be behind; then nobody waits for "
        "anybody. 0, the default: all wait, and the result does not depend on them."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS", help="The cluster to join, host:port or auto; local, the default: one of its own."
    ),
]
Precision = Annotated[str | None, typer.Option(help="auto, float32 or bfloat16.")]
CallAtStep1 = Annotated[
    bool | None,
    typer.Option("--call-at-step-1", help="Call the reward at steps 1 too, unpaid, as the simulator did in 2020."),
]
TensorBoard = Annotated[
    bool | None, typer.Option("--tensorboard", help="Write event files too: tensorboard --logdir runs shows them.")
]
Exchange = Annotated[
    str | None,
    typer.Option(
        help="Let workers drive (lateapex worker): a folder that all machines mount, or s3://bucket/prefix, to meet at."
    ),
]
Shares = Annotated[int | None, typer.Option(help="With --exchange: parts for as many workers; 4 if not given.")]
KeepBatches = Annotated[
    bool | None,
    typer.Option(
        "--keep-batches", help="With --exchange: keep all experience there, as a dataset; or --keep without a number."
    ),
]
Out = Annotated[
    str | None, typer.Option(help="Run folder, or s3://bucket/prefix; a free name under runs/ if not given.")
]
Resume = Annotated[str | None, typer.Option(help="Run folder to go on with.")]


_WORKERS: Final = ("workers", "max_stale", "ray_address")
_MAY_CHANGE: Final = ("steps", "duration", "until_laps", "keep", *_WORKERS, "sandbox", "tensorboard")
"""Flags that a resumed run takes."""
_SETTINGS: Final = {"checkpoint": "pretrained_checkpoint", "transform": "transforms"}
"""Flags that have another name than the setting."""


def train(
    context: typer.Context,
    track: Tracks = None,
    reward: Reward = None,
    model_metadata: Metadata = None,
    hyperparameters: HyperparametersFile = None,
    vehicle: VehicleName = None,
    scene: SceneName = None,
    preset: PresetName = None,
    algorithm: AlgorithmName = None,
    network: NetworkName = None,
    critic: CriticName = None,
    transform: Transforms = None,
    teacher: TeacherName = None,
    config: ConfigFile = None,
    pretrained: From = None,
    checkpoint: Checkpoint = None,
    race_type: RaceTypeName = None,
    seed: Seed = None,
    steps: Steps = None,
    duration: Duration = None,
    until_laps: UntilLaps = None,
    keep: Keep = None,
    cars: Cars = None,
    workers: Workers = None,
    max_stale: MaxStale = None,
    ray_address: RayAddress = None,
    precision: Precision = None,
    sandbox: Sandbox = None,
    call_at_step_1: CallAtStep1 = None,
    tensorboard: TensorBoard = None,
    exchange: Exchange = None,
    shares: Shares = None,
    keep_batches: KeepBatches = None,
    out: Out = None,
    resume: Resume = None,
    json_line: Json = False,
) -> None:
    """Train a model, or go on with a run."""
    settings, changes = _given(context.params)
    _check_resume(context.params)
    from lateapex.jobs import train as job

    shown = console(json_line)
    tell = _noting(shown)
    with clean_stdout(json_line), _stopping(shown) as observe:
        if resume is not None:
            result = job.resume(resume, changes, observe, tell)
        else:
            whole = job.train_config({**settings, **changes}, "command line", config)
            for line in job.config_notes(config) if config is not None else ():
                tell(line)
            result = job.train(whole, observe, tell)
    _show_trained(shown, result)
    if json_line:
        print(json.dumps(_train_line(result)))


def _given(flags: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What flags say, by the names of settings: what makes a run, and what may change when it is resumed."""
    bounds = {name: flags[name] for name in ("steps", "duration", "until_laps", "keep")}
    crew = {"count": flags["workers"], "max_stale": flags["max_stale"], "ray_address": flags["ray_address"]}
    changes = {"trainer": bounds, "workers": crew, "sandbox": flags["sandbox"], "tensorboard": flags["tensorboard"]}
    others = {*bounds, *changes, *_WORKERS, "config", "resume", "json_line"}
    settings: dict[str, Any] = {_SETTINGS.get(name, name): value for name, value in flags.items() if name not in others}
    settings["transforms"] = settings["transforms"] or None  # none given are an empty list
    if (race_type := settings.pop("race_type")) is not None:
        settings["race"] = {"race_type": race_type}
    exchange = {"url": settings.pop("exchange"), "shares": settings.pop("shares"), "keep": settings.pop("keep_batches")}
    if any(value is not None for value in exchange.values()):
        settings["exchange"] = exchange
    if (teacher := settings.pop("teacher")) is not None:
        settings["teacher"] = {"kind": teacher}
    return settings, changes


def _noting(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(f"note: {line}", markup=False)


def _check_resume(flags: Mapping[str, Any]) -> None:
    """A resumed run keeps what it was started with."""
    kept = {name: value for name, value in flags.items() if name not in (*_MAY_CHANGE, "resume", "json_line")}
    given = ["--" + name.replace("_", "-") for name, value in kept.items() if value not in (None, [], ())]
    if flags["resume"] is not None and given:
        flag = {"--pretrained": "--from"}.get(given[0], given[0])
        raise ConfigError(f"--resume goes on with the run as it is; {flag} cannot be changed, leave it out")


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
    words = {"observation": "front camera", "FRONT_FACING_CAMERA": "front camera"}
    sensors = " + ".join(words.get(name, name.lower().replace("_", " ")) for name in task.metadata.sensors)
    helpers = trainer.policy.blueprint.assisted
    helped = f"assisted: {', '.join(helpers)} · " if helpers else ""
    varied = "" if task.varied is None else f"scene {task.varied.scenes.name} · "
    again = f" · from step {trainer.progress.steps:,}" if trainer.progress.steps else ""
    if config.pretrained is not None and not again:
        again = f" · from {config.pretrained}"
    return (
        f"{where} · {config.cars} cars · {len(task.actions)} actions · "
        f"{sensors} {width}x{height} · {config.vehicle} · {varied}{_learner(config)} · {helped}seed {config.seed} · "
        f"{storage.url}{again}"
    )


def _learner(config: TrainConfig) -> str:
    """Algorithm and networks, and whose settings where they are not ours."""
    critic = "" if config.critic == config.network else f" (critic {config.critic})"
    preset = "" if config.preset == "fast" else f" as the {config.preset}"
    return f"{config.algorithm}{preset} · {config.network}{critic}"


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
    if result.ledger is not None:
        console.print("what became of the workers' batches:", markup=False)
        for line in result.ledger.lines():
            console.print(f"  {line}", markup=False)
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
        "assisted": list(result.assisted),
        "size": result.size,
        **({"ledger": result.ledger.summary()} if result.ledger is not None else {}),
        "findings": [asdict(finding) for finding in result.findings],
    }
