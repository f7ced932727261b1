"""Shows what a network sees: pictures of some places of a track, after each transform between camera and network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field
from torch import Tensor

from lateapex.analysis.input_picture import Column, draw_inputs
from lateapex.config import Config
from lateapex.env.racing import RacingTask
from lateapex.env.starts import StartPoses
from lateapex.errors import ConfigError, MetadataError
from lateapex.formats.model_metadata import ModelMetadata, default_metadata, read_metadata
from lateapex.jobs.config_file import read_text
from lateapex.jobs.named_tracks import load_tracks
from lateapex.jobs.run_folder import open_trained, read_settings, read_tracks, run_metadata, run_vehicle
from lateapex.jobs.train_inputs import user_files
from lateapex.models.inputs import Inputs, Stage
from lateapex.models.time_transforms import Difference, Stack
from lateapex.sim.random import INPUT, uniforms
from lateapex.storage import DiskStorage
from lateapex.training.checkpoint import user_code
from lateapex.world.track import Track
from lateapex.world.track_list import track_label
from lateapex.world.vehicle import STEP_SECONDS, Vehicle
from lateapex.world.vehicles import load_vehicle, vehicle_of_version

SPEED: Final = 1.5
"""m/s; how fast the car comes to a place, along the centre line. It shows where transforms look back."""
_STEREO: Final = ("left", "right")


class InputsConfig(Config):
    """What is shown, and where."""

    run: str | None = None
    """A run folder, whose track, sensors and transforms are taken where no others are given."""
    track: str | None = None
    """Names or paths of tracks; kidney if there is no run either."""
    model_metadata: str | None = None
    """Path of model_metadata.json: the sensors."""
    transforms: Annotated[tuple[str, ...] | None, BeforeValidator(lambda value: tuple(value) if value else None)] = None
    """In their order, in place of the run's."""
    colour: bool | None = None
    """Whether cameras give red, green and blue."""
    places: int = Field(default=4, ge=1, le=50)
    """Along the track, evenly spread."""
    training: bool = False
    """Show what transforms do while training alone, with numbers drawn by `seed`."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    out: str = "inputs.png"
    """The picture."""


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What comes out of one stage."""

    transform: str
    """Its text; "" is the sensor itself."""
    shape: tuple[int, ...]
    """H, W, C"""
    dtype: str
    low: float
    """Smallest value that is shown"""
    high: float


@dataclass(frozen=True, kw_only=True)
class InputsResult:
    """What was drawn."""

    picture: str
    sensors: dict[str, list[StageResult]]
    """Stages of each camera, the camera first."""
    untouched: dict[str, tuple[int, ...]]
    """Shapes of what goes to the network as it is."""
    history: int
    """Pictures that one input depends on."""


class _Asked(NamedTuple):
    """What the settings and the run stand for."""

    tracks: list[Track]
    metadata: ModelMetadata
    vehicle: Vehicle
    transforms: tuple[str, ...]
    colour: bool
    code: dict[str, str]


class _Shown(NamedTuple):
    """One camera's pictures at all places."""

    stages: list[StageResult]
    columns: list[Column]


def show_inputs(config: InputsConfig) -> InputsResult:
    """Draw the picture and write it.

    Raises:
        ConfigError: a transform is none, or cannot take the pictures; `out` is no name of a PNG.
        LateapexError: the run, a track or a file cannot be read, or the picture not be written.
    """
    out = Path(config.out)
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out is {out}; a name that ends in .png is needed, such as {out.with_suffix('.png')}")
    asked = _asked(config)
    task = RacingTask(
        asked.tracks,
        config.places,
        metadata=asked.metadata,
        vehicle=asked.vehicle,
        colour=asked.colour,
    )
    spaces = {name: value.shape[1:] for name, value in task.observations.items()}
    inputs = Inputs(asked.transforms, spaces, asked.code)
    if not inputs.chains:
        raise ConfigError("there is no camera among the sensors, so there is nothing to show; add one to the metadata")
    fractions = (np.arange(config.places) + 0.5) / config.places
    shown = _driven(task, inputs, fractions, config)
    untouched = {name: shape for name, shape in inputs.spaces.items() if name not in inputs.chains}
    picture = draw_inputs(
        "What the network sees",
        _subtitle(inputs, untouched, asked.tracks, training=config.training),
        _places(task, fractions, several=len(asked.tracks) > 1),
        [sensor.columns for sensor in shown.values()],
    )
    DiskStorage(out.parent).write(out.name, picture)
    return InputsResult(
        picture=str(out),
        sensors={name: sensor.stages for name, sensor in shown.items()},
        untouched=untouched,
        history=inputs.history,
    )


def _asked(config: InputsConfig) -> _Asked:
    """What is given, else what the run has, else what a training run would take."""
    given = config.transforms or ()
    metadata, vehicle = default_metadata(), None
    tracks: list[Track] | None = None
    settings: dict[str, object] = {}
    code = user_files(given)
    if config.run is not None:
        storage = open_trained(config.run)
        settings, metadata, vehicle = read_settings(storage), run_metadata(storage), run_vehicle(storage)
        tracks = None if config.track else read_tracks(storage)
        if not given:
            saved = settings.get("transforms", [])
            given = tuple(map(str, saved)) if isinstance(saved, list) else ()
            code = user_code(storage)
    if config.model_metadata is not None:
        metadata = read_metadata(read_text(config.model_metadata, MetadataError), config.model_metadata)
    colour = bool(settings.get("colour", False)) if config.colour is None else config.colour
    return _Asked(
        tracks or load_tracks(config.track or "kidney"),
        metadata,
        vehicle or load_vehicle(vehicle_of_version(metadata.version)),
        given,
        colour,
        code,
    )


def _driven(
    task: RacingTask, inputs: Inputs, fractions: NDArray[np.float64], config: InputsConfig
) -> dict[str, _Shown]:
    """Let the cars come along the centre line to their places, and show what is seen there."""
    cars = np.arange(config.places)
    step = SPEED * STEP_SECONDS / task.lengths
    frames, stages = inputs.frames(config.places), {name: [Tensor()] for name in inputs.chains}
    for before in reversed(range(inputs.history)):
        along = fractions - before * step
        closed = np.array([task.tracks[place].closed for place in task.simulator.cars["track"]])
        along = np.where(closed, along % 1.0, np.maximum(along, 0.0))
        task.begin(cars, StartPoses(along, np.zeros(len(cars)), np.zeros(len(cars))))
        fresh = torch.full((config.places,), before == inputs.history - 1)
        draws = _draws(config, inputs.draws, before) if config.training else None
        kept: dict[str, Tensor] = {}
        for name in stages:
            pictures = torch.from_numpy(task.observations[name])
            stages[name] = [pictures, *inputs.steps(name, pictures, frames, fresh, draws, kept)]
        frames = kept
    return {name: _shown(name, inputs.chains[name], made, config) for name, made in stages.items()}


def _draws(config: InputsConfig, count: int, before: int) -> Tensor:
    fours = -(-count // 4)
    each = [uniforms(config.seed, np.arange(config.places), 0, INPUT, before * fours + n) for n in range(fours)]
    return torch.from_numpy(np.concatenate([np.zeros((config.places, 0)), *each], axis=1)[:, :count])


def _shown(sensor: str, chain: Sequence[Stage], made: Sequence[Tensor], config: InputsConfig) -> _Shown:
    """Name the channels of each stage and tell what lies in it."""
    camera = made[0].shape[3]
    colour = camera == 3
    names: tuple[str, ...] = _STEREO if camera == 2 else ("",)
    results, columns = [], []
    for stage, pictures in zip((None, *chain), made, strict=True):
        channels = pictures.shape[3]
        colour = colour and channels % 3 == 0
        if stage is not None:
            names = _named(names, stage, channels // 3 if colour else channels)
        low, high = float(pictures.min()), float(pictures.max())
        kind = str(pictures.dtype).removeprefix("torch.")
        height, width = pictures.shape[1:3]
        notes = [f"{width} x {height} x {channels}  {kind}  {_number(low)} to {_number(high)}"]
        if pictures.dtype != torch.uint8:
            notes.append("lowest black, highest white")
        if stage is not None and stage.transform.draws:
            notes.append("as while training" if config.training else "while training only: see --training")
        columns.append(Column(stage.text if stage else sensor, tuple(notes), _bytes(pictures), names))
        results.append(
            StageResult(
                transform=stage.text if stage else "", shape=tuple(pictures.shape[1:]), dtype=kind, low=low, high=high
            )
        )
    return _Shown(results, columns)


def _named(names: tuple[str, ...], stage: Stage, count: int) -> tuple[str, ...]:
    """Names of the channels, or of each three that are a colour, after a stage."""
    transform = stage.transform
    if isinstance(transform, Stack):
        ages = [place * transform.every for place in reversed(range(transform.frames))]
        names = tuple(f"{name} {f'{age} ago' if age else 'now'}".strip() for age in ages for name in names)
    elif isinstance(transform, Difference) and transform.keep:
        names = (*(name or "picture" for name in names), *(f"{name} change".strip() for name in names))
    return names if len(names) == count else tuple(str(place + 1) for place in range(count))


def _bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """What can be drawn; numbers from black to white."""
    if pictures.dtype == torch.uint8:
        return np.ascontiguousarray(pictures.numpy())
    values = pictures.double().numpy()
    low, high = values.min(), values.max()
    return np.asarray(np.rint((values - low) * 255.0 / max(high - low, 1e-12)), np.uint8)


def _subtitle(inputs: Inputs, untouched: dict[str, tuple[int, ...]], tracks: Iterable[Track], *, training: bool) -> str:
    words = [", ".join(track_label(track) for track in tracks)]
    if inputs.history > 1:
        words.append(f"looks back over {inputs.history} pictures, 1/15 s apart, here at {SPEED:g} m/s")
    words += [f"{name} {' x '.join(map(str, shape))} goes in as it is" for name, shape in untouched.items()]
    if training and inputs.draws:
        words.append("random parts as while training")
    return "   ·   ".join(words)


def _places(task: RacingTask, fractions: NDArray[np.float64], *, several: bool) -> list[str]:
    """What stands beside each row: metres from the start line, and the track where there are several."""
    tracks = [task.tracks[place] for place in task.simulator.cars["track"]]
    metres = [f"at {fraction * track.length:.1f} m" for fraction, track in zip(fractions, tracks, strict=True)]
    return [f"{track_label(track)}\n{at}" for track, at in zip(tracks, metres, strict=True)] if several else metres


def _number(value: float) -> str:
    return f"{value:g}" if value == round(value) else f"{value:.2f}"
