"""What an evaluation notes of itself in its folder, so that each of its trials can be driven again.

evaluation.toml     its settings, which model drove, on which tracks, with which car
track.npy           the track; tracks/<place>-<name>.npy of several
episodes.jsonl      what each trial is driven again from
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final, NamedTuple

from lateapex.config import Config, read_toml, to_toml
from lateapex.errors import RunError
from lateapex.formats.recipes import FILE as RECIPES
from lateapex.formats.recipes import recipe_line
from lateapex.jobs.run_tracks import route_files, track_notes, tracks_from
from lateapex.records import EpisodeRecord
from lateapex.storage import Storage
from lateapex.world.track import Track
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import parse_vehicle

NOTES: Final = "evaluation.toml"


class TrialNotes(NamedTuple):
    """What an evaluation was driven with."""

    tracks: list[Track]
    vehicle: Vehicle
    trials: int
    """Of each track; all those of the first track come first."""


def trial_files(
    config: Config, tracks: Sequence[Track], vehicle: Vehicle, model: str, episodes: Sequence[EpisodeRecord]
) -> dict[str, bytes]:
    """Files of an evaluation by their names within its folder; `episodes` are those of all tracks, in their order."""
    notes = to_toml(config, model=model, tracks=track_notes(tracks), car=asdict(vehicle))
    lines = "".join(recipe_line(number, episode) for number, episode in enumerate(episodes))
    return {NOTES: notes.encode(), RECIPES: lines.encode(), **route_files(tracks)}


def read_trial_notes(storage: Storage, folder: str) -> TrialNotes:
    """Read what `trial_files` wrote into a folder.

    Raises:
        RunError: a file is missing or damaged.
        ConfigError: what it says of the car is no vehicle.
    """
    where = f"{storage.url}/{folder}/{NOTES}"
    notes = read_toml(storage.read(f"{folder}/{NOTES}").decode(errors="replace"), where)
    trials = notes.get("trials")
    if not isinstance(trials, int) or trials < 1:
        raise RunError(f"{where} does not say how many trials there were: trials is {trials!r}; evaluate anew")
    vehicle = parse_vehicle(notes.get("car", {}), f"{where}, car")
    return TrialNotes(tracks_from(storage, notes, f"{folder}/"), vehicle, trials)
