"""Everything that the settings of a training run name, read and checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from lateapex.config import parse
from lateapex.env.races import worlds_of
from lateapex.env.reward import read_reward
from lateapex.env.user_code import file_of, in_run, is_reference, read_code
from lateapex.errors import ConfigError, HyperparameterError, MetadataError
from lateapex.formats.hyperparameters import Hyperparameters, read_hyperparameters, write_hyperparameters
from lateapex.formats.model_metadata import ModelMetadata, default_metadata, read_metadata
from lateapex.jobs.assists import assists
from lateapex.jobs.config_file import read_text
from lateapex.jobs.exchange_config import share_cars
from lateapex.jobs.job_parameters import training_files
from lateapex.jobs.named_tracks import load_tracks
from lateapex.jobs.run_folder import Inputs, Origin, open_trained, read_settings, run_assisted, run_metadata
from lateapex.jobs.scenes import kept_preset, scene_files, scene_of, varies_light
from lateapex.jobs.train_config import TrainConfig, named_network, our_network
from lateapex.models.networks import NETWORKS
from lateapex.models.user_network import check_network, network_class
from lateapex.training.checkpoint import load_version
from lateapex.training.ppo import PPOConfig
from lateapex.training.sac import SACConfig
from lateapex.world.vehicles import AUTO, load_vehicle, vehicle_of_version


def read_inputs(config: TrainConfig) -> Inputs:
    """Read and check everything that the settings name.

    Raises:
        LateapexError: something is missing or wrong, or does not fit the rest.
    """
    tracks = load_tracks(config.track)
    if config.cars < len(tracks):
        raise ConfigError(f"{config.cars} cars cannot drive on {len(tracks)} tracks; give --cars {len(tracks)} or more")
    if config.race.cars > 1 and len(tracks) > 1:
        raise ConfigError(
            f"{config.race.race_type} is trained on one track; {len(tracks)} are given, leave out all but one"
        )
    worlds_of(config.race, config.cars)
    if config.exchange.url is not None:
        worlds_of(config.race, share_cars(config.exchange, config.cars, len(tracks)))
    scene = scene_of(config.scene)
    reward, _ = read_reward(config.reward)
    metadata = default_metadata()
    if config.model_metadata is not None:
        metadata = read_metadata(read_text(config.model_metadata, MetadataError), config.model_metadata)
    check_network(config.network)
    check_network(config.critic, critic=True)
    given = Hyperparameters()
    if config.hyperparameters is not None:
        given = read_hyperparameters(read_text(config.hyperparameters, HyperparameterError), config.hyperparameters)
    return Inputs(
        tracks,
        reward,
        metadata,
        write_hyperparameters(_hyperparameters(config, given), config.algorithm),
        training_files(
            tracks,
            config.starts,
            config.trainer.evaluation_trials,
            config.race,
            config.trainer.best_model_metric,
            light=varies_light(scene),
        ),
        _origin(config, metadata),
        (*metadata.warnings, *given.warnings(config.algorithm), *_network_notes(config, metadata)),
        load_vehicle(vehicle_of_version(metadata.version) if config.vehicle == AUTO else config.vehicle),
        user_files((config.network, config.critic, *config.transforms, *scene_files(config.scene)))
        | kept_preset(scene),
        assists(config, run_assisted(open_trained(config.pretrained)) if config.pretrained is not None else ()),
    )


def user_files(names: Iterable[str]) -> dict[str, str]:
    """Texts of the user's files that names of networks, transforms and scenes stand for, by the files' names.

    Raises:
        ConfigError: a file cannot be read, or two have the same name.
    """
    texts: dict[str, str] = {}
    for reference in filter(is_reference, names):
        path = file_of(reference)
        text, name = read_code(path), PurePath(path).name
        if texts.setdefault(name, text) != text:
            raise ConfigError(f"two different files are called {name}; a run keeps both in one folder: rename one")
    return texts


def _hyperparameters(config: TrainConfig, given: Hyperparameters) -> Hyperparameters:
    """The settings in the original's words; of the file that was given, what is no setting of ours."""
    trainer = config.trainer
    values = {
        **(_of_sac(config.sac) if config.algorithm == "sac" else _of_ppo(config.ppo)),
        "stack_size": given.stack_size,
        "term_cond_avg_score": given.term_cond_avg_score,
        **config.exploration.model_dump(),
        **({"num_episodes_between_training": trainer.rollout_episodes} if trainer.rollout_episodes else {}),
        **({"term_cond_max_episodes": trainer.updates} if trainer.updates else {}),
    }
    return parse(Hyperparameters, values)


def _of_ppo(ppo: PPOConfig) -> dict[str, Any]:
    return {
        "batch_size": ppo.batch_size,
        "num_epochs": ppo.epochs,
        "lr": ppo.learning_rate,
        "beta_entropy": ppo.entropy_weight,
        "discount_factor": ppo.discount,
        "loss_type": ppo.value_loss,
    }


def _of_sac(sac: SACConfig) -> dict[str, Any]:
    return {
        "batch_size": sac.batch_size,
        "lr": sac.learning_rate,
        "discount_factor": sac.discount,
        "loss_type": "mean squared error",
        "sac_alpha": sac.alpha,
    }


def _origin(config: TrainConfig, metadata: ModelMetadata) -> Origin | None:
    """The trained model to begin with; it has to be one of the same networks and actions."""
    if config.pretrained is None:
        return None
    storage = open_trained(config.pretrained)
    settings, theirs = read_settings(storage), run_metadata(storage)
    for key in ("network", "critic"):
        found = str(settings.get(key))
        if not _same_network(found, getattr(config, key)):
            raise ConfigError(
                f"{config.pretrained} was trained with {key} {found}, not {getattr(config, key)}, and its weights fit "
                f"no other; leave {key} out, or start without --from"
            )
    if settings.get("colour", False) is not config.colour:
        seen, wanted = ("colour", "grey") if settings.get("colour", False) else ("grey", "colour")
        raise ConfigError(f"{config.pretrained} sees {seen}, not {wanted}; leave colour out, or start without --from")
    if theirs.action_space != metadata.action_space or theirs.sensors != metadata.sensors:
        raise ConfigError(
            f"{config.pretrained} was trained with other actions or sensors than "
            f"{config.model_metadata or 'the default'} has; leave --model-metadata out, or start without --from"
        )
    name, _ = load_version(storage, config.pretrained_checkpoint)
    return Origin(storage.url, name, storage.read(f"model/{name}"))


def _same_network(one: str, two: str) -> bool:
    if is_reference(one) or is_reference(two):
        return is_reference(one) and is_reference(two) and in_run(one) == in_run(two)
    return network_class(one) is network_class(two)


def _network_notes(config: TrainConfig, metadata: ModelMetadata) -> tuple[str, ...]:
    """Say which network is trained where the racer's metadata name one."""
    file = config.model_metadata
    named = named_network(metadata.text, file) if file is not None else None
    if named is None:
        return ()
    if our_network(named) == our_network(config.network):
        return (f"{file} names {named}, so the network {config.network} is trained; --network lean is far quicker",)
    known = named in NETWORKS.names()
    way = f"--network {our_network(named)} trains that one" if known else "which this version does not have"
    return (f"the network {config.network} is trained, though {file} names {named}; {way}",)
