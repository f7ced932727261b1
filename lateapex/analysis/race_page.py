"""The page of a race: one HTML file without anything from elsewhere, with table, bracket and charts of all drives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lateapex.analysis.road import whole_line
from lateapex.records import STATUSES

if TYPE_CHECKING:
    from lateapex.records import EpisodeRecord
    from lateapex.world.track import Track

COLOURS: Final = ("#4cc9f0", "#ffb703", "#ef476f", "#06d6a0", "#b892ff", "#f78c6b", "#9bd770", "#f4a6c0")
"""Of the entries, in the order of the race."""

_STYLE: Final = """
:root{color-scheme:dark}*{box-sizing:border-box}
body{margin:0;background:#10151c;color:#f2f5f8;font:15px/1.5 system-ui,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:36px 24px 60px}
h1{font-size:30px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 12px}.faint{color:#8f9baa}
.hero{display:flex;justify-content:space-between;align-items:center;gap:24px;background:#1a212b;border-radius:14px;
padding:24px 28px}
.hero svg{width:200px;height:130px;flex:none}.cup{font-size:22px;font-weight:700;margin-top:10px}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;background:#1a212b;border-radius:12px;overflow:hidden}
th,td{padding:9px 14px;text-align:right;font-variant-numeric:tabular-nums}
th{color:#8f9baa;font-weight:500;font-size:13px}
th:nth-child(2),td:nth-child(2),th.l,td.l{text-align:left}tr+tr td{border-top:1px solid #28313d}
tr.first td{background:#222c38;font-weight:700}
.dot{display:inline-block;width:11px;height:11px;border-radius:50%;margin-right:9px}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:14px}
.card{background:#1a212b;border-radius:12px;padding:14px 16px}.card svg{width:100%;height:auto;display:block}
.card p{margin:0 0 6px}.rounds{display:flex;gap:26px;overflow-x:auto}
.round{display:flex;flex-direction:column;justify-content:space-around;gap:14px;min-width:210px}
.round h3{margin:0;font-size:13px;font-weight:500;color:#8f9baa}
.pair{background:#1a212b;border-radius:10px;overflow:hidden}
.pair div{display:flex;justify-content:space-between;padding:7px 13px;color:#8f9baa}
.pair div+div{border-top:1px solid #28313d}.pair .won{color:#f2f5f8;font-weight:700;background:#222c38}
code{font-size:12px;color:#8f9baa;overflow-wrap:anywhere}video{width:100%;border-radius:12px;background:#000}
"""


def race_page(
    results: Mapping[str, Any], heats: Sequence[Sequence[EpisodeRecord]], track: Track, film: str | None = None
) -> bytes:
    """Lay out the page.

    Args:
        results: as results.json has them.
        heats: what was driven in each heat, in the order in which the results have them.
        track: the road.
        film: name of the winner's film beside the page.

    Returns:
        HTML in UTF-8.
    """
    names = [entry["name"] for entry in results["entries"]]
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
    parts = [_hero(results, track), _table(results, colours)]
    if results["mode"] == "tournament":
        parts.append(_bracket(results, colours))
    if film:
        tag = "img" if film.endswith(".gif") else "video controls"
        parts.append(f'<h2>The winner</h2><{tag} src="{escape(film)}">' + ("" if tag == "img" else "</video>"))
    parts += [_charts(results, heats, colours), _entries(results, colours)]
    title = f"{results['mode']} on {results['track']}"
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    page = f"{head}{view}<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    return page.encode()


def _hero(results: Mapping[str, Any], track: Track) -> str:
    drives = sum(len(heat["drives"]) for match in results["matches"] for heat in match["heats"])
    words = f"{results['track']}, {results['track_length']:.2f} m &middot; {len(results['entries'])} entries"
    kind = {"time-trial": "Time trial", "head-to-head": "Head to head", "tournament": "Tournament"}[results["mode"]]
    return (
        f'<div class="hero"><div><h1>{kind}</h1><div class="faint">{escape(words, quote=False).replace("&amp;", "&")}'
        f' &middot; {drives} drives</div><div class="cup">Winner: {escape(results["winner"])}</div></div>'
        f"{_road(track)}</div>"
    )


def _road(track: Track) -> str:
    left, bottom, right, top = track.bounds
    scale = min(190 / (right - left), 120 / (top - bottom))

    def path(points: Any) -> str:
        x = 100 + (points[:, 0] - 0.5 * (left + right)) * scale
        y = 65 - (points[:, 1] - 0.5 * (bottom + top)) * scale
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    wide = max(track.width * scale, 2.0)
    lines = path(whole_line(track.center, track))
    strokes = [
        f'<polyline points="{lines}" fill="none" stroke="{colour}" stroke-width="{width:.1f}" stroke-linejoin="round"/>'
        for colour, width in (("#e8ecf1", wide + 2), ("#363f4b", wide))
    ]
    return f'<svg viewBox="0 0 200 130">{"".join(strokes)}</svg>'


def _name(name: str, colours: Mapping[str, str]) -> str:
    return f'<span class="dot" style="background:{colours[name]}"></span>{escape(name)}'


def _table(results: Mapping[str, Any], colours: Mapping[str, str]) -> str:
    alone = results["mode"] == "time-trial"
    titles = ["", "entry", "best lap", "mean lap", "whole laps", "mean progress", "resets"]
    titles += [] if alone else ["heats won", "matches won"]
    rows = []
    for row in results["standings"]:
        cells = [
            str(row["place"]),
            _name(row["name"], colours),
            _seconds(row["best"]),
            _seconds(row["mean"]),
            f"{row['laps']} of {row['drives']}",
            f"{row['progress']:.1f}%",
            str(row["resets"]),
        ]
        cells += [] if alone else [str(row["heats_won"]), str(row["matches_won"])]
        mark = ' class="first"' if row["place"] == 1 else ""
        rows.append(f"<tr{mark}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f'<h2>Table</h2><div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _bracket(results: Mapping[str, Any], colours: Mapping[str, str]) -> str:
    rounds: dict[int, list[str]] = {}
    for match in results["matches"]:
        sides = [
            f'<div class="{"won" if name == match["winner"] else "lost"}"><span>{_name(name, colours)}</span>'
            f"<span>{match['wins'][name] if len(match['entries']) > 1 else ''}</span></div>"
            for name in match["entries"]
        ]
        sides += ["<div>bye</div>"] if len(sides) == 1 else []
        rounds.setdefault(match["round"], []).append(f'<div class="pair">{"".join(sides)}</div>')
    last = max(rounds)
    columns = [
        f'<div class="round"><h3>{"Final" if number == last else f"Round {number}"}</h3>{"".join(pairs)}</div>'
        for number, pairs in sorted(rounds.items())
    ]
    return f'<h2>Bracket</h2><div class="rounds">{"".join(columns)}</div>'


def _charts(results: Mapping[str, Any], heats: Sequence[Sequence[EpisodeRecord]], colours: Mapping[str, str]) -> str:
    cards, driven = [], iter(heats)
    for match in results["matches"]:
        told = [(heat, next(driven)) for heat in match["heats"]]
        if results["mode"] == "time-trial":
            name = match["entries"][0]
            times = ", ".join(_outcome(heat["drives"][0]) for heat, _ in told)
            records = [(colours[name], record) for _, drives in told for record in drives]
            cards.append(_card(_name(name, colours), times, records))
            continue
        for number, (heat, drives) in enumerate(told, 1):
            title = f"{_name(heat['winner'], colours)} wins"
            told_of = "; ".join(f"{drive['entry']} {_outcome(drive)}" for drive in heat["drives"])
            records = [(colours[drive["entry"]], record) for drive, record in zip(heat["drives"], drives, strict=True)]
            cards.append(_card(title, f"heat {number}: {told_of}", records))
    return f'<h2>Progress over time</h2><div class="grid">{"".join(cards)}</div>'


def _outcome(drive: Mapping[str, Any]) -> str:
    if drive["status"] == "lap_complete":
        return f"{drive['seconds']:.2f} s"
    words = str(drive["status"]).replace("_", " ")
    return f"{words} at {drive['progress']:.0f}%"


def _card(title: str, words: str, records: Sequence[tuple[str, EpisodeRecord]]) -> str:
    return f'<div class="card"><p>{title}</p>{_chart(records)}<p class="faint">{escape(words)}</p></div>'


def _chart(records: Sequence[tuple[str, EpisodeRecord]]) -> str:
    """Percent of the lap over seconds; a dot where a drive ended, a pale stretch where a car waited."""
    longest = max(record.lap_time for _, record in records)
    parts = []
    for percent in (0, 25, 50, 75, 100):
        y = 150 - 1.4 * percent
        parts.append(f'<line x1="30" y1="{y}" x2="330" y2="{y}" stroke="#28313d"/>')
        parts.append(f'<text x="25" y="{y + 3}" fill="#8f9baa" font-size="9" text-anchor="end">{percent}</text>')
    for share in (0.0, 0.5, 1.0):
        x = 30 + 300 * share
        parts.append(
            f'<text x="{x}" y="165" fill="#8f9baa" font-size="9" text-anchor="middle">{share * longest:.0f} s</text>'
        )
    for colour, record in records:
        steps = record.steps[np.unique(np.linspace(0, len(record.steps) - 1, 160).astype(int))]
        x = 30 + 300 * (steps["sim_time"] - record.start_time) / longest
        y = 150 - 1.4 * np.clip(steps["progress"], 0.0, 100.0)
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" opacity="0.9"/>')
        waits = steps["status"] == STATUSES.index("pause")
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6" fill="#ff4d6d"/>'
            for a, b in zip(x[waits], y[waits], strict=True)
        ]
        parts.append(f'<circle cx="{x[-1]:.1f}" cy="{y[-1]:.1f}" r="3.5" fill="{colour}"/>')
    return f'<svg viewBox="0 0 345 172" role="img">{"".join(parts)}</svg>'


def _entries(results: Mapping[str, Any], colours: Mapping[str, str]) -> str:
    head = "".join(f'<th class="l">{title}</th>' for title in ("entry", "model", "sensors", "actions", "assisted"))
    rows = []
    for entry in results["entries"]:
        cells = (
            _name(entry["name"], colours),
            f"{escape(entry['model'])}<br><code>sha256 {escape(entry['sha256'])}</code>",
            escape(", ".join(entry["sensors"])),
            escape(str(entry["actions"])),
            escape(", ".join(entry["assisted"]) or "-"),
        )
        told = "".join(f'<td class="l">{cell}</td>' for cell in cells)
        rows.append(f"<tr>{told}</tr>")
    again = "Every drive can be driven again: <code>lateapex race --verify FOLDER</code>"
    table = f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    return f'<h2>Entries</h2>{table}<p class="faint">{again}</p>'
