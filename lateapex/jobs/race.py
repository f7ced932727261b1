"""Races trained models: a league of laps, heats of several in one world, or a tournament of pairs.

race.toml           settings, the track, which models
results.json        the table, all matches, heats and drives, with the hash of each
race.html           the same to look at
track.npy           the track
entries/<name>/     a copy of what drives each entry again
traces/             of each match the steps (.csv), and what each drive is driven again from (.jsonl)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch

from lateapex.analysis.race_page import race_page
from lateapex.config import to_toml
from lateapex.errors import ConfigError, RunError
from lateapex.formats.recipes import recipe_line
from lateapex.formats.simtrace import write_simtrace
from lateapex.jobs.named_tracks import load_tracks
from lateapex.jobs.race_entries import Entry, copy_entry, load_entries
from lateapex.jobs.race_film import film_of_winner
from lateapex.jobs.race_folder import RESULTS, SETTINGS, Mode, RaceJobConfig, terms_of
from lateapex.jobs.race_heats import Drive, Heat, shared_heats, solo_heats
from lateapex.jobs.race_ranking import Match, Standing, bracket, standings
from lateapex.jobs.run_folder import free_name
from lateapex.jobs.run_tracks import route_files, track_notes
from lateapex.storage import open_storage
from lateapex.world.track import Track
from lateapex.world.track_list import track_label

PAGE: Final = "race.html"

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class RaceResult:
    """What came of a race."""

    folder: str
    mode: Mode
    track: str
    entries: list[Entry]
    standings: list[Standing]
    matches: list[Match]
    film: str | None

    @property
    def winner(self) -> str:
        """Name of the first."""
        return self.standings[0].name


def race(config: RaceJobConfig, tell: Tell | None = None) -> RaceResult:
    """Drive a race and write its folder.

    Args:
        tell: gets a line after each match.

    Raises:
        RunError: no run, or no model yet, is there; the folder holds something.
        ConfigError: too few entries, two of the same name, or a model that does not fit its metadata.
        TrackError: the track is unknown or no track.
    """
    if config.mode != "time-trial" and len(config.runs) < 2:
        raise ConfigError(f"{len(config.runs)} entry in mode {config.mode}; two or more run folders are needed")
    if config.together and (config.mode != "head-to-head" or len(config.runs) > 20):
        raise ConfigError(f"together with mode {config.mode} and {len(config.runs)} entries; head-to-head of 2 to 20")
    track = _one_track(config.track)
    entries = load_entries(config.runs, config.checkpoint)
    storage = open_storage(config.out or free_name(f"{config.mode}-{track.name}", "races"))
    if storage.list():
        raise RunError(f"{storage.url} holds something already; choose another --out")
    matches = drive_race(config, entries, track, tell)
    table = standings([entry.name for entry in entries], matches, config.mode)
    for name, data in trace_files(matches).items():
        storage.write(name, data)
    for entry in entries:
        copy_entry(entry, storage)
    for name, data in route_files([track]).items():
        storage.write(name, data)
    film = film_of_winner(storage, entries, matches, table[0].name, terms_of(config, track)) if config.video else None
    found = _results(config, track, entries, table, matches)
    storage.write(RESULTS, (json.dumps(found, indent=1) + "\n").encode())
    drives = [(match, heat) for match in matches for heat in match.heats]
    storage.write(PAGE, race_page(found, [[drive.record for drive in heat.drives] for _, heat in drives], track, film))
    notes = {"track_name": track.name, "tracks": track_notes([track])}
    storage.write(SETTINGS, to_toml(config, **notes).encode())
    return RaceResult(
        folder=storage.url,
        mode=config.mode,
        track=track_label(track),
        entries=entries,
        standings=table,
        matches=matches,
        film=None if film is None else f"{storage.url}/{film}",
    )


def drive_race(config: RaceJobConfig, entries: Sequence[Entry], track: Track, tell: Tell | None = None) -> list[Match]:
    """Drive all heats of a race."""
    torch.set_num_threads(1)  # results then do not depend on the machine's cores
    terms = terms_of(config, track)
    say = tell or (lambda _: None)
    by_name = {entry.name: entry for entry in entries}
    if config.mode == "time-trial":
        found = []
        for entry in entries:
            found.append(Match(entries=(entry.name,), heats=solo_heats(entry, terms)))
            say(f"{entry.name}: {sum(heat.drives[0].completed for heat in found[-1].heats)} of {terms.trials} laps")
        return found

    def meet(names: Sequence[str], number: int, around: int = 0) -> Match:
        trace = f"traces/{number}.csv"
        heats = shared_heats([by_name[name] for name in names], terms, trace)
        match = Match(entries=tuple(names), heats=heats, round=around)
        say(", ".join(f"{name} {wins}" for name, wins in match.wins.items()) + f": {match.winner} wins")
        return match

    names = list(by_name)
    if config.mode == "tournament":
        return _tournament(names, meet)
    if config.together:
        return [meet(names, 1)]
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    return [meet(pair, number) for number, pair in enumerate(pairs, 1)]


def _tournament(names: Sequence[str], meet: Callable[[Sequence[str], int, int], Match]) -> list[Match]:
    """Play rounds until one is left."""
    found: list[Match] = []
    pairs, around = bracket(names), 1
    while pairs:
        played = [
            meet(pair, len(found) + place, around) if len(pair) > 1 else Match(entries=pair, heats=[], round=around)
            for place, pair in enumerate(pairs, 1)
        ]
        found += played
        left = [match.winner for match in played]
        pairs, around = list(zip(left[::2], left[1::2], strict=True)) if len(left) > 1 else [], around + 1
    return found


def trace_files(matches: Sequence[Match]) -> dict[str, bytes]:
    """Traces and recipes of all matches, by name."""
    found: dict[str, bytes] = {}
    for match in matches:
        drives = [drive for heat in match.heats for drive in heat.drives]
        if drives:
            name, records = drives[0].trace, [(drive.number, drive.record) for drive in drives]
            found[name] = write_simtrace(records).encode()
            recipes = "".join(recipe_line(number, record) for number, record in records)
            found[name.replace(".csv", ".jsonl")] = recipes.encode()
    return found


def _one_track(name: str) -> Track:
    tracks = load_tracks(name)
    if len(tracks) > 1:
        raise ConfigError(f"--track {name} names {len(tracks)} tracks; a race is driven on one")
    return tracks[0]


def _results(
    config: RaceJobConfig, track: Track, entries: Sequence[Entry], table: Sequence[Standing], matches: Sequence[Match]
) -> dict[str, Any]:
    """All that came of a race, as plain values."""
    return {
        "format": 1,
        "mode": config.mode,
        "track": track_label(track),
        "track_length": track.length,
        "winner": table[0].name,
        "entries": [_entry(entry) for entry in entries],
        "standings": [asdict(row) for row in table],
        "matches": [
            {
                "round": match.round,
                "entries": list(match.entries),
                "winner": match.winner,
                "wins": match.wins,
                "heats": [_heat(heat) for heat in match.heats],
            }
            for match in matches
        ],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    metadata = entry.rival.metadata
    return {
        "name": entry.name,
        "run": entry.storage.url,
        "model": entry.model,
        "sha256": entry.digest,
        "sensors": list(metadata.sensors),
        "actions": len(metadata.actions) or "continuous",
        "vehicle": asdict(entry.rival.vehicle).get("name", ""),
        "assisted": list(entry.rival.policy.blueprint.assisted),
    }


def _heat(heat: Heat) -> dict[str, Any]:
    return {"start": heat.start, "winner": heat.winner, "drives": [drive_line(drive) for drive in heat.drives]}


def drive_line(drive: Drive) -> dict[str, Any]:
    """What the results say of one drive."""
    assert drive.record.recipe is not None
    return {
        "entry": drive.entry,
        "seat": drive.seat,
        "status": drive.record.status,
        "progress": drive.record.progress,
        "seconds": drive.record.lap_time,
        "resets": drive.resets,
        "steps": len(drive.record.steps),
        "trace": drive.trace,
        "episode": drive.number,
        "digest": drive.record.recipe.digest,
    }
