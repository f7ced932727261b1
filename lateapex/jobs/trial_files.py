"""What an evaluation notes of itself in its folder, so that each of its trials can be driven again.

evaluation.toml     its settings, which model drove, on which tracks, with which car
track.npy           the track; tracks/<place>-<name>.npy of several
code/               of a scene that is a user's own class: its file, and the preset that it builds on
episodes.jsonl      what each trial is driven again from
scenes.jsonl        how the world varied, a line for each trial; where a scene was asked for
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from lateapex.config import Config, read_toml, to_toml
from lateapex.env.scenes import GivenScene
from lateapex.errors import RunError
from lateapex.formats.recipes import FILE as RECIPES
from lateapex.formats.recipes import recipe_line
from lateapex.formats.run_log import scene_line
from lateapex.jobs.run_tracks import route_files, track_notes, tracks_from
from lateapex.jobs.scenes import scene_of
from lateapex.records import EpisodeRecord
from lateapex.storage import Storage
from lateapex.training.checkpoint import CODE
from lateapex.world.scene_files import NONE
from lateapex.world.track import Track
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import parse_vehicle

NOTES: Final = "evaluation.toml"
SCENES: Final = "scenes.jsonl"


class TrialNotes(NamedTuple):
    """What an evaluation was driven with."""

    tracks: list[Track]
    vehicle: Vehicle
    trials: int
    """Of each track; all those of the first track come first."""
    scene: GivenScene
    """What varied from trial to trial."""


def trial_files(
    config: Config,
    tracks: Sequence[Track],
    vehicle: Vehicle,
    model: str,
    episodes: Sequence[EpisodeRecord],
    code: Mapping[str, str],
) -> dict[str, bytes]:
    """Files of an evaluation by their names within its folder.

    Args:
        config: its settings; the scene is whole, or a class of `code`.
        tracks: that were driven.
        vehicle: that drove.
        model: version of the model that drove.
        episodes: those of all tracks, in their order.
        code: texts of the class's files by name.
    """
    notes = to_toml(config, model=model, tracks=track_notes(tracks), car=asdict(vehicle))
    lines = "".join(recipe_line(number, episode) for number, episode in enumerate(episodes))
    scenes = "".join(
        scene_line(number, episode) for number, episode in enumerate(episodes) if episode.scene is not None
    )
    return {
        NOTES: notes.encode(),
        RECIPES: lines.encode(),
        **({SCENES: scenes.encode()} if scenes else {}),
        **route_files(tracks),
        **{CODE + name: text.encode() for name, text in code.items()},
    }


def read_trial_notes(storage: Storage, folder: str) -> TrialNotes:
    """Read what `trial_files` wrote into a folder.

    Raises:
        RunError: a file is missing or damaged.
        ConfigError: what it says of the car is no vehicle, or of the scene no scene.
    """
    where = f"{storage.url}/{folder}/{NOTES}"
    notes = read_toml(storage.read(f"{folder}/{NOTES}").decode(errors="replace"), where)
    trials = notes.get("trials")
    if not isinstance(trials, int) or trials < 1:
        raise RunError(f"{where} does not say how many trials there were: trials is {trials!r}; evaluate anew")
    vehicle = parse_vehicle(notes.get("car", {}), f"{where}, car")
    code = {
        PurePosixPath(name).name: storage.read(name).decode(errors="replace")
        for name in storage.list(f"{folder}/{CODE}")
    }
    scene = scene_of(notes.get("scene", NONE), where, code)
    return TrialNotes(tracks_from(storage, notes, f"{folder}/"), vehicle, trials, scene)
