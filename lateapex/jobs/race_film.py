"""The film of a race: the best drive of its winner, with whoever was in its world."""

from __future__ import annotations

from collections.abc import Sequence

from lateapex.env.replay import Replay
from lateapex.jobs.film import draw_film
from lateapex.jobs.race_entries import Entry
from lateapex.jobs.race_heats import Heat, Terms, shared_task
from lateapex.jobs.race_ranking import Match
from lateapex.storage import Storage


def film_of_winner(
    storage: Storage, entries: Sequence[Entry], matches: Sequence[Match], winner: str, terms: Terms
) -> str:
    """Write the film; returns its name within the race's folder."""
    driven = [
        (match, place, seat)
        for match in matches
        for place, heat in enumerate(match.heats)
        for seat, drive in enumerate(heat.drives)
        if drive.entry == winner
    ]
    match, place, seat = min(driven, key=lambda found: _order(found[0].heats[found[1]], found[2]))
    heat = match.heats[place]
    drive, by_name = heat.drives[seat], {entry.name: entry for entry in entries}
    things = None
    if len(match.entries) > 1:
        task = shared_task([by_name[name] for name in match.entries], terms, place, 1)
        recipes = [other.record.recipe for other in heat.drives]
        replay = Replay(task, [recipe for recipe in recipes if recipe is not None])
        things = replay.things(seat)
    entry = by_name[winner]
    title = f"{winner}, heat {place + 1}"
    made = draw_film(
        terms.track, drive.record, "chase", title, vehicle=entry.rival.vehicle, colour=entry.colour, things=things
    )
    name = f"winner{made.suffix}"
    storage.write(name, made.data)
    return name


def _order(heat: Heat, seat: int) -> tuple[bool, float, float]:
    drive = heat.drives[seat]
    return not drive.completed, -drive.record.progress, drive.record.lap_time
