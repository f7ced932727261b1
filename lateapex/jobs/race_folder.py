"""What the folder of a race says: its settings, its results, and the copies of the models that drove."""

from __future__ import annotations

import json
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from lateapex.config import Config, parse, read_toml
from lateapex.env.race_config import RaceConfig
from lateapex.env.rules import Quirks
from lateapex.errors import RunError
from lateapex.jobs.race_entries import FOLDER, Entry, load_entries
from lateapex.jobs.race_heats import Terms
from lateapex.jobs.run_folder import NOTES
from lateapex.jobs.run_tracks import tracks_from
from lateapex.storage import Storage
from lateapex.world.track import Track

SETTINGS: Final = "race.toml"
RESULTS: Final = "results.json"

Mode = Literal["time-trial", "head-to-head", "tournament"]


class RaceJobConfig(Config):
    """Settings of a race between models."""

    runs: tuple[str, ...] = Field(min_length=1)
    """Run folders, or NAME=FOLDER; entries are called by their folders. In a tournament the order is the seeding."""
    track: str
    """Name or path."""
    mode: Mode = "time-trial"
    """time-trial: each alone. head-to-head: in one world. tournament: pairs, of which the winners go on."""
    together: bool = False
    """head-to-head: all in one world; else each against each other one."""
    trials: int = Field(default=3, ge=1, le=1000)
    """Starts, spread evenly round the track; in one world each is driven once for every order of the grid."""
    resets: int | None = Field(default=None, ge=0, le=10_000)
    """Mishaps after which a car waits and goes on; 0 in a time trial and 10000 in one world if not given."""
    off_track_penalty: float = Field(default=2.0, ge=0.0, le=600.0)
    """s that a car waits that left the track."""
    collision_penalty: float = Field(default=5.0, ge=0.0, le=600.0)
    """s that a car waits that ran into another."""
    start_pos_offset: float = Field(default=0.75, ge=0.0, le=100.0)
    """m from a car's start back to the next one's."""
    checkpoint: Literal["best", "last"] = "best"
    """Which version of each model drives."""
    quirks: Quirks = "fixed"
    """Whose rules; those of the original take whoever is behind the start line for the one ahead."""
    seed: int = Field(default=0, ge=0)
    """Of what lidars draw."""
    video: bool = False
    """Film the best drive of the winner."""
    out: str | None = None
    """Folder; a free name under races/ if not given."""
    threads: int = Field(default=0, ge=0)
    """Threads that draw pictures; 0: one for each core."""


class Reopened(NamedTuple):
    """A race as its folder has it."""

    config: RaceJobConfig
    track: Track
    entries: list[Entry]
    """The copies, in the order of the results."""
    results: dict[str, Any]


def terms_of(config: RaceJobConfig, track: Track) -> Terms:
    """What is the same for all heats."""
    resets = config.resets if config.resets is not None else 0 if config.mode == "time-trial" else 10_000
    rules = RaceConfig(
        number_of_resets=resets,
        off_track_penalty=config.off_track_penalty,
        collision_penalty=config.collision_penalty,
        start_pos_offset=config.start_pos_offset,
    )
    return Terms(track, rules, config.trials, config.quirks, config.seed, config.threads)


def held(storage: Storage) -> dict[str, Any]:
    """Read the results of a race's folder.

    Raises:
        RunError: no race is there, or it is damaged.
    """
    if not storage.exists(RESULTS) or not storage.exists(SETTINGS):
        raise RunError(f"{storage.url} holds no race; give the folder that lateapex race named")
    try:
        found = json.loads(storage.read(RESULTS))
    except ValueError as error:
        raise RunError(f"{storage.url}/{RESULTS} is damaged: {error}; race again") from None
    if not isinstance(found, dict) or found.get("format") != 1:
        raise RunError(f"{storage.url}/{RESULTS} is of another version of lateapex; race again")
    return found


def reopen(storage: Storage) -> Reopened:
    """Read all that it takes to drive a race again from its folder alone.

    Raises:
        RunError: no race is there, or something of it is missing, or was changed.
    """
    found = held(storage)
    where = f"{storage.url}/{SETTINGS}"
    settings = read_toml(storage.read(SETTINGS).decode(errors="replace"), where)
    (track,) = tracks_from(storage, settings)
    values = {name: value for name, value in settings.items() if name not in NOTES}
    values["runs"] = tuple(f"{entry['name']}={storage.url}/{FOLDER}/{entry['name']}" for entry in found["entries"])
    config = parse(RaceJobConfig, values, where)
    entries = load_entries(config.runs, config.checkpoint)
    for entry, was in zip(entries, found["entries"], strict=True):
        if entry.digest != was["sha256"]:
            raise RunError(
                f"{entry.storage.url}/model/{entry.model} is not the model that raced: sha256 {entry.digest}, "
                f"was {was['sha256']}; bring the file back"
            )
    return Reopened(config, track, entries, found)
