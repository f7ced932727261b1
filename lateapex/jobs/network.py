"""Tells what a network is made of and what it costs, for the sensors and actions that it is to have."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import torch
from pydantic import BeforeValidator

from lateapex.config import Config
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
from lateapex.models.networks import NETWORKS
from lateapex.models.policy import Actor, Critic, Policy
from lateapex.models.user_network import check_network
from lateapex.training.checkpoint import load_version

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


def show_network(config: NetworkConfig) -> NetworkResult:
    """Build a network, or read that of a run, and look at it.

    Raises:
        ConfigError: there is no such network, it does not fit the sensors, or a user's file fails.
        LateapexError: the run or the metadata cannot be read.
    """
    if config.network in NETWORKS.names() or is_reference(config.network):
        policy = _built(config)
        return _result(policy, [_part("actor", policy.actor, config.network, policy.inputs.spaces)])
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
        _part("critic", policy.critic, blueprint.critic, {**spaces, **blueprint.critic_sensors}),
    ]
    return _result(policy, parts)


def list_networks() -> list[Listed]:
    """All networks by our names for them."""
    names = NETWORKS.names()
    originals = {our_network(name): name for name in names if our_network(name) != name}
    return [_listed(name, originals.get(name)) for name in names if name not in originals.values()]


def _listed(name: str, original: str | None) -> Listed:
    policy = _built(NetworkConfig(network=name))
    found = figures(policy.actor, policy.inputs.spaces)
    said = " ".join((inspect.getdoc(NETWORKS.get(name)) or "").split("\n\n")[0].split())
    return Listed(
        name=name,
        original=original,
        parameters=found.parameters,
        multiply_adds=found.multiply_adds,
        memory=found.memory,
        about=said.removesuffix("."),
    )


def _built(config: NetworkConfig) -> Policy:
    """A policy with this network, as training would begin with it."""
    metadata = default_metadata()
    if config.model_metadata is not None:
        metadata = read_metadata(read_text(config.model_metadata, MetadataError), config.model_metadata)
    task = RacingTask("oval", metadata=metadata, colour=config.colour, threads=1)
    blueprint = Blueprint(
        sensors={name: value.shape[1:] for name, value in task.observations.items()},
        actions=len(task.actions),
        head="categorical" if metadata.actions else "gaussian",
        network=config.network,
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
