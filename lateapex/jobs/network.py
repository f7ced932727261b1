"""Tells what a network is made of and what it costs, for the sensors and actions that it is to have."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import torch
from pydantic import BeforeValidator

from lateapex.config import Config
from lateapex.env.privileged import STATE_SENSOR
from lateapex.env.racing import RacingTask
from lateapex.env.user_code import is_reference
from lateapex.errors import ConfigError, MetadataError
from lateapex.formats.model_metadata import default_metadata, read_metadata
from lateapex.jobs.config_file import read_text
from lateapex.jobs.run_folder import holds_run, open_trained
from lateapex.jobs.train_config import our_network
from lateapex.jobs.train_inputs import user_files
from lateapex.models.blueprint import Blueprint, Spaces
from lateapex.models.network_figures import BATCHES, Figures, figures, forward_milliseconds
from lateapex.models.networks import CRITICS, NETWORKS
from lateapex.models.policy import Actor, Critic, Policy
from lateapex.models.user_network import check_network, network_class
from lateapex.training.checkpoint import load_version

_LEAN: Final = "lean"
_FROM_RUN: Final = ("model_metadata", "transforms", "colour")


class NetworkConfig(Config):
    """What is shown, and for what it is built."""

    network: str
    """Name of a network, class in a user's file (my_file.py:MyNet), or run folder."""
    model_metadata: str | None = None
    """Path of model_metadata.json: sensors and actions; the front camera and 10 actions if not given."""
    transforms: Annotated[tuple[str, ...], BeforeValidator(lambda value: tuple(value or ()))] = ()
    """Between sensors and network."""
    colour: bool = False
    """Whether cameras give red, green and blue."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One network with its head."""

    role: str
    """"actor" or "critic"."""
    network: str
    inputs: Spaces
    """What it is given, behind all transforms."""
    figures: Figures
    milliseconds: dict[int, float]
    """Median time of a forward pass, by the observations in it."""

    def line(self) -> dict[str, Any]:
        """As plain data."""
        found = self.figures
        whole = {name: getattr(found, name) for name in ("parameters", "multiply_adds", "flops", "weight_bytes")}
        layers = [layer._asdict() for layer in found.layers]
        return {**asdict(self), "figures": {**found._asdict(), **whole, "layers": layers}}


@dataclass(frozen=True, kw_only=True)
class NetworkResult:
    """What was asked for."""

    sensors: Spaces
    actions: int
    transforms: tuple[str, ...]
    parts: list[Part]
    torch_threads: int
    """With which the times were taken."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A network of the table, with 160x120 grey pictures and 10 actions."""

    name: str
    original: str | None
    """What model_metadata.json calls it, if it is the original's."""
    parameters: int
    multiply_adds: int
    memory: int
    about: str
    """First sentence of its description."""
    critic_only: bool
    """Whether no actor can have it, since it sees what no sensor of the car gives; it then has a value as output."""


def show_network(config: NetworkConfig) -> NetworkResult:
    """Build a network, or read that of a run, and look at it.

    Raises:
        ConfigError: there is no such network, it does not fit the sensors, or a user's file fails.
        LateapexError: the run or the metadata cannot be read.
    """
    if config.network in _names() or is_reference(config.network):
        policy = _built(config)
        return _result(policy, [_only_part(policy, config.network)])
    if not holds_run(config.network):
        if Path(config.network).is_dir():
            open_trained(config.network)  # says what is wrong with it
        check_network(config.network)
    if given := [name for name in _FROM_RUN if name in config.model_fields_set]:
        flag = given[0].removesuffix("s").replace("_", "-")
        raise ConfigError(f"{config.network} is a run, shown as it was trained; leave --{flag} out")
    _, policy = load_version(open_trained(config.network), "best")
    blueprint, spaces = policy.blueprint, policy.inputs.spaces
    parts = [
        _part("actor", policy.actor, blueprint.network, spaces),
        _part("critic", policy.critic, blueprint.critic, _critic_spaces(policy)),
    ]
    return _result(policy, parts)


def list_networks() -> list[Listed]:
    """All networks by our names for them, those for critics alone last."""
    names = _names()
    originals = {our_network(name): name for name in names if our_network(name) != name}
    return [_listed(name, originals.get(name)) for name in names if name not in originals.values()]


def _listed(name: str, original: str | None) -> Listed:
    policy = _built(NetworkConfig(network=name))
    critic_only = name in CRITICS.names()
    part = policy.critic if critic_only else policy.actor
    found = figures(part, _critic_spaces(policy) if critic_only else policy.inputs.spaces)
    said = " ".join((inspect.getdoc(network_class(name)) or "").split("\n\n")[0].split())
    return Listed(
        name=name,
        original=original,
        parameters=found.parameters,
        multiply_adds=found.multiply_adds,
        memory=found.memory,
        about=said.removesuffix("."),
        critic_only=critic_only,
    )


def _names() -> list[str]:
    return [*NETWORKS.names(), *CRITICS.names()]


def _critic_spaces(policy: Policy) -> Spaces:
    return {**policy.inputs.spaces, **policy.blueprint.critic_sensors}


def _only_part(policy: Policy, network: str) -> Part:
    """That part of what `_built` gives that is of the network that was asked for."""
    if network not in CRITICS.names():
        return _part("actor", policy.actor, network, policy.inputs.spaces)
    return _part("critic", policy.critic, network, _critic_spaces(policy))


def _built(config: NetworkConfig) -> Policy:
    """A policy with this network, as training would begin with it; as its critic, if it is for critics alone."""
    metadata = default_metadata()
    if config.model_metadata is not None:
        metadata = read_metadata(read_text(config.model_metadata, MetadataError), config.model_metadata)
    critic_only = config.network in CRITICS.names()
    task = RacingTask("oval", metadata=metadata, colour=config.colour, threads=1, state=critic_only)
    spaces = {name: value.shape[1:] for name, value in task.observations.items()}
    blueprint = Blueprint(
        sensors={name: shape for name, shape in spaces.items() if name != STATE_SENSOR},
        critic_sensors={name: shape for name, shape in spaces.items() if name == STATE_SENSOR},
        actions=len(task.actions),
        head="categorical" if metadata.actions else "gaussian",
        network=_LEAN if critic_only else config.network,
        critic=config.network if critic_only else _LEAN,
        transforms=config.transforms,
    )
    return Policy(blueprint, code=user_files((config.network, *config.transforms)))


def _part(role: str, part: Actor | Critic, network: str, spaces: Spaces) -> Part:
    times = {count: round(forward_milliseconds(part, spaces, count), 3) for count in BATCHES}
    return Part(role=role, network=network, inputs=spaces, figures=figures(part, spaces), milliseconds=times)


def _result(policy: Policy, parts: list[Part]) -> NetworkResult:
    blueprint = policy.blueprint
    return NetworkResult(
        sensors=blueprint.sensors,
        actions=blueprint.actions,
        transforms=blueprint.transforms,
        parts=parts,
        torch_threads=torch.get_num_threads(),
    )
