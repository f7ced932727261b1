"""Settings of a training run, put together from what a racer gives: a run to start from, a file, flags.

Each of these outweighs the one before, and hyperparameters.json belongs to the one that names it: what stands beside
its name outweighs it. What none of them says is the network's preset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from lateapex.config import Config, parse
from lateapex.env.race_config import RaceConfig
from lateapex.env.rules import Quirks
from lateapex.env.starts import StartConfig
from lateapex.errors import ConfigError, HyperparameterError, MetadataError
from lateapex.formats.hyperparameters import read_hyperparameters
from lateapex.formats.json_text import parse_object
from lateapex.formats.model_metadata import read_metadata
from lateapex.jobs.config_file import read_config_file, read_text, settings_of_run
from lateapex.jobs.exchange_config import ExchangeConfig, check_given
from lateapex.jobs.presets import AlgorithmName, PresetName, of_hyperparameters, preset
from lateapex.jobs.scenes import SceneSetting
from lateapex.models.networks import NETWORKS
from lateapex.models.user_network import check_network
from lateapex.training.exploration import ExplorationConfig
from lateapex.training.ppo import PPOConfig
from lateapex.training.sac import SACConfig
from lateapex.training.teacher import TeacherConfig
from lateapex.training.trainer import TrainerConfig
from lateapex.workers.crew import WorkersConfig
from lateapex.world.scene_files import NONE
from lateapex.world.vehicles import AUTO

_OUR_NAMES: Final = {
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": "shallow",
    "DEEP_CONVOLUTIONAL_NETWORK": "deep",
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP": "deeper",
}
_DURATION: Final = "job_duration_in_seconds"  # the original's word for trainer.duration


def _joined(value: Any) -> Any:
    """TOML has lists: those of tracks are taken too."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return value


def _listed(value: Any) -> Any:
    """TOML and JSON have lists in place of tuples."""
    return tuple(value) if isinstance(value, list) else value


class TrainConfig(Config):
    """All settings of a training run."""

    track: Annotated[str, BeforeValidator(_joined)] = "kidney"
    """Name of a track, path of a route file, or run folder (the tracks of that run); several with commas between."""
    reward: str = "quick_laps"
    """Name of a reward, or path of a racer's file."""
    sandbox: bool = False
    """Run the reward in a process of its own, behind walls: for files of strangers."""
    call_at_step_1: bool = False
    """Call the reward at the start of an episode too, where steps is 1, as the simulator did in 2020; not paid."""
    model_metadata: str | None = None
    """Path of model_metadata.json; 5 steering angles at 2 speeds if not given."""
    hyperparameters: str | None = None
    """Path of hyperparameters.json; settings that learn fast if not given."""
    vehicle: str = AUTO
    """Name of a vehicle, or path of a file; auto: the one that the version of model_metadata.json stands for."""
    pretrained: str | None = None
    """Run folder whose trained weights this run begins with; random weights if not given."""
    pretrained_checkpoint: Literal["best", "last"] = "best"
    """Which of its models."""
    preset: PresetName = "fast"
    """Settings of learning that hold where nothing else is said: those that learn fast, or the original's."""
    algorithm: AlgorithmName = "clipped_ppo"
    """What learns; that of model_metadata.json where the file names one."""
    network: str = "lean"
    """Network of the policy, the one that goes onto the car, or a class of a user's file (my_file.py:MyNet); that of
    model_metadata.json where the file names one."""
    critic: str = "lean"
    """Network of the value function; it is only needed while training. state: it sees the car's state, not its
    sensors."""
    transforms: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """What happens to pictures before the network, in this order: names with options, or classes of a user's file."""
    mirror: bool = False
    """Every other car learns in a world where left is right."""
    scene: SceneSetting = NONE
    """What varies from episode to episode of training: name of a scene, path of a file, a class of a user's file
    (my_file.py:MyScene), or its tables themselves."""
    colour: bool = False
    """Whether the network sees red, green and blue; the original's sees grey."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of weights, starts, actions and the order of samples."""
    out: str | None = None
    """The run folder; a free name under runs/ if not given."""
    cars: int = Field(default=32, ge=1)
    """Cars that drive at once; on several tracks they are dealt out in turn."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of training; evaluation is in float32. auto: bfloat16 where the processor has it and the network is heavy."""
    threads: int = Field(default=0, ge=0)
    """Threads that draw pictures; 0: one for each core. Results do not depend on it."""
    torch_threads: int = Field(default=0, ge=0)
    """Threads that compute networks; 0: one for each core. Results depend on it."""
    tensorboard: bool = False
    """Write event files for TensorBoard into the run folder."""
    quirks: Quirks = "original"
    """original: rewards and rules are odd where AWS's simulator is; fixed: they are not (docs/quirks.md)."""
    starts: StartConfig = StartConfig()
    race: RaceConfig = RaceConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    trainer: TrainerConfig = TrainerConfig()
    ppo: PPOConfig = PPOConfig()
    sac: SACConfig = SACConfig()
    teacher: TeacherConfig = TeacherConfig()
    exchange: ExchangeConfig = ExchangeConfig()
    workers: WorkersConfig = WorkersConfig()


def train_config(values: Mapping[str, Any], source: str = "settings", file: str | None = None) -> TrainConfig:
    """Build a complete config.

    Args:
        values: nested settings by the names of TrainConfig; None counts as not given.
        source: where they come from, for messages.
        file: path of a TOML file of the same names, over which `values` win; its paths are relative to it. run.toml of
            a run is one too, and stands for that run's own copies of its files.

    Raises:
        ConfigError, HyperparameterError, MetadataError: a name or value is wrong, or a file cannot be read.
        RunError: the run to start from is none.
    """
    given = _checked(without_none(values), source)
    filed = _checked(read_config_file(file), file) if file is not None else {}
    pretrained = merge(filed, given).get("pretrained")
    inherited = settings_of_run(str(pretrained)) if pretrained is not None else {}
    layers = [inherited, filed, given]
    chosen = _chosen(reduce(merge, layers, {}))
    first = preset(chosen["network"], chosen["algorithm"], chosen["preset"])
    merged = _merged([first, *layers], chosen["algorithm"])
    check_given(merged.get("exchange", {}), str(file) if "exchange" in filed else source)
    _check_workers(merged.get("workers", {}), str(file) if "workers" in filed else source)
    return parse(TrainConfig, {**merged, **chosen}, source)


def _check_workers(values: Mapping[str, Any], source: str) -> None:
    """See that a bound on what workers bring comes with workers, or with the word that there are none."""
    if values.get("max_stale") and "count" not in values:
        raise ConfigError(
            f"{source}: --max-stale (workers.max_stale) is given, but no workers that it is for; give --workers N "
            "too, or leave it out; at an exchange it is max_stale of the table [exchange]"
        )


def named_network(text: str, source: str) -> str | None:
    """Return the network that a model_metadata.json names, or None where it leaves that to the default."""
    name = parse_object(text, source, MetadataError).get("neural_network")
    return None if name is None else str(name)


def our_network(name: str) -> str:
    """The shorter name of a network that has one."""
    return _OUR_NAMES.get(name, name)


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings without those that are None."""
    return {
        key: without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings, where `over` wins."""
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _merged(layers: Sequence[Mapping[str, Any]], algorithm: AlgorithmName) -> dict[str, Any]:
    """All layers in one, each with the hyperparameters.json that it names below it."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if (file := layer.get("hyperparameters")) is not None:
            chosen = read_hyperparameters(read_text(file, HyperparameterError), file)
            merged = merge(merged, of_hyperparameters(chosen, algorithm))
            parse(TrainConfig, merged, file)
        merged = merge(merged, layer)
    return merged


def _chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Preset, algorithm and network: those that are asked for, else those that the racer's metadata name."""
    fields = TrainConfig.model_fields
    name = values.get("preset", fields["preset"].default)
    algorithm, network = values.get("algorithm"), values.get("network")
    if (file := values.get("model_metadata")) is not None:
        text = read_text(file, MetadataError)
        metadata = read_metadata(text, file)
        algorithm = algorithm or metadata.training_algorithm
        named = named_network(text, file)
        network = network or (our_network(named) if named in NETWORKS.names() else None)
    network = network or ("shallow" if name == "original" else fields["network"].default)
    check_network(str(network))
    return {"preset": name, "algorithm": algorithm or fields["algorithm"].default, "network": str(network)}


def _checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Settings of one source, each of them known and right by itself."""
    values = _with_duration(values, source)
    return {**values, **parse(TrainConfig, values, source).model_dump(include={"track"} & values.keys())}


def _with_duration(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Take the original's word for a run's budget, beside the tables or in the trainer's."""
    trainer = values.get("trainer", {})
    if not isinstance(trainer, Mapping):
        return values
    found = [table[_DURATION] for table in (values, trainer) if _DURATION in table]
    if not found:
        return values
    if len(found) > 1 or "duration" in trainer:
        raise ConfigError(f"{source}: {_DURATION} and trainer.duration are one setting; give it once")
    rest = {key: value for key, value in values.items() if key != _DURATION}
    others = {key: value for key, value in trainer.items() if key != _DURATION}
    return {**rest, "trainer": {**others, "duration": found[0]}}
