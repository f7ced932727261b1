"""`lateapex tracks`: which tracks there are, what they look like, how to get more, whether a file is one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.table import Table

from lateapex.commands.terminal import Json, table_console
from lateapex.errors import ConfigError

if TYPE_CHECKING:
    from lateapex.world.inspection import Inspection
    from lateapex.world.track import Track

app = typer.Typer(
    name="tracks",
    help="List, show, get and check tracks. '@reversed' after any track's name or path drives it the other way.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Cache = Annotated[
    Path | None,
    typer.Option(
        envvar="LATEAPEX_CACHE",
        help="Folder of fetched routes; lateapex/tracks in the user's cache folder if not given.",
        show_default=False,
    ),
]


@app.command("list", epilog="Example: lateapex tracks list")
def list_tracks(cache: Cache = None, json_line: Json = False) -> None:
    """List all tracks: shipped, fetched, and official ones that can be fetched."""
    rows = _shipped() + _official(cache)
    if json_line:
        print(json.dumps({"tracks": [row._asdict() for row in rows]}))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("track", "where", "length", "width", "points"):
        table.add_column(title, justify="left" if title in ("track", "where") else "right")
    for row in rows:
        width = "" if row.width_m is None else f"{row.width_m:.2f} m"
        table.add_row(row.name, row.where, f"{row.length_m:.2f} m", width, str(row.points))
    console = table_console()
    console.print(table)
    console.print("any seed is a circuit too: generated:easy:1, and so medium, hard, wide, tight", markup=False)
    console.print("next: lateapex tracks show kidney, or lateapex tracks get reinvent_base", markup=False)


@app.command(epilog="Example: lateapex tracks show kidney@reversed --out kidney.png")
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="Name as listed, generated:medium:42, or path of a route (.npy) or design (.toml); "
            "'@reversed' after it: the other way."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Picture to write (.png); named after the track if not given.")
    ] = None,
    cache: Cache = None,
) -> None:
    """Draw a track: road, direction, start, waypoints, length, width, tightest radius."""
    if out is not None and out.suffix.lower() != ".png":
        raise ConfigError(f"--out is {out}; a name that ends in .png is needed, such as {out.with_suffix('.png')}")
    from lateapex.analysis.track_pictures import draw_track
    from lateapex.storage import DiskStorage
    from lateapex.world.track import load_track

    track = load_track(name, cache)
    picture = out or Path(f"{track.name}-reversed.png" if track.reversed else f"{track.name}.png")
    DiskStorage(picture.parent).write(picture.name, draw_track(track))
    console = table_console()
    console.print(_headline(track), markup=False)
    console.print(f"saved {picture}    next: lateapex train --track {_for_training(name, cache)}", markup=False)


@app.command(epilog="Example: lateapex tracks sheet kidney oval hairpin --both-ways")
def sheet(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRACK]...",
            help="Names and paths as for show, and folders of routes; all shipped tracks if not given.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Picture to write (.png).")] = Path("sheet.png"),
    both_ways: Annotated[bool, typer.Option("--both-ways", help="Draw each track the other way round too.")] = False,
    cache: Cache = None,
) -> None:
    """Draw many tracks on one sheet, each with name, length, width and direction."""
    from lateapex.jobs.track_sheet import track_sheet

    drawn = track_sheet(names or [], out, cache, both=both_ways)
    table_console().print(f"saved {out}, {len(drawn)} track{'' if len(drawn) == 1 else 's'}", markup=False)


@app.command(epilog="Example: lateapex tracks get reinvent_base")
def get(
    name: Annotated[str, typer.Argument(help="Official name, as listed.")],
    base_url: Annotated[
        str | None,
        typer.Option(
            envvar="LATEAPEX_TRACKS_URL",
            help="Folder of the routes, NAME.npy each; the community's repository if not given.",
            show_default=False,
        ),
    ] = None,
    cache: Cache = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which to give up; 30 if not given.")] = None,
) -> None:
    """Fetch the route of an official track, check it and keep it."""
    from lateapex.jobs import tracks as job
    from lateapex.world.official import official_routes
    from lateapex.world.track import load_track

    path = job.get_track(name, base_url or job.BASE_URL, cache, job.TIMEOUT if timeout is None else timeout)
    console = table_console()
    console.print(_headline(load_track(path)), markup=False)
    if official_routes()[name].sha256 is None:
        console.print("no checksum of it is known; its points, length and borders are as they should be", markup=False)
    else:
        console.print("its checksum is that of the official route", markup=False)
    console.print(f"saved {path}    next: lateapex train --track {_for_training(name, cache)}", markup=False)


@app.command(epilog="Example: lateapex tracks check my_route.npy")
def check(
    file: Annotated[Path, typer.Argument(help="Route (.npy) or design (.toml).")], json_line: Json = False
) -> None:
    """Say what a file is: points, length, width, direction, tightest radius, and what is odd about it."""
    from lateapex.world.inspection import inspect_track
    from lateapex.world.track import load_track

    track = load_track(file)
    inspection = inspect_track(track)
    if json_line:
        print(json.dumps(_check_line(file, inspection)))
        return
    narrow, width, wide = inspection.widths
    facts = [
        ("points", str(inspection.points)),
        ("length", f"{inspection.length:.2f} m"),
        ("width", f"{narrow:.2f} m smallest, {width:.2f} m median, {wide:.2f} m largest"),
        ("direction", inspection.direction),
        ("tightest radius", _radius(inspection)),
        *(("" if i else "quirks", quirk) for i, quirk in enumerate(inspection.quirks or ("none",))),
    ]
    console = table_console()
    console.print(f"{file} is a track", markup=False)
    for title, fact in facts:
        console.print(f"{title:<17}{fact}", markup=False)
    console.print(f"next: lateapex tracks show {file}, or lateapex train --track {file}", markup=False)


class _Row(NamedTuple):
    name: str
    where: str
    length_m: float
    width_m: float | None
    points: int


def _shipped() -> list[_Row]:
    from lateapex.world.track import load_track, track_names

    return [_row(load_track(name), "shipped") for name in track_names()]


def _official(cache: Path | None) -> list[_Row]:
    """Fetched ones first."""
    from lateapex.errors import TrackError
    from lateapex.world.official import default_cache, official_routes
    from lateapex.world.track import load_track

    folder = default_cache() if cache is None else cache
    fetched, others = [], []
    for route in official_routes().values():
        path = folder / f"{route.name}.npy"
        try:
            if path.exists():
                fetched.append(_row(load_track(path), "fetched"))
                continue
            where = "official"
        except TrackError:  # `get` mends it
            where = "damaged"
        others.append(_Row(route.name, where, route.length, None, route.rows))
    return fetched + others


def _row(track: Track, where: str) -> _Row:
    return _Row(track.name, where, round(track.length, 3), round(track.width, 3), len(track.waypoints))


def _headline(track: Track) -> str:
    from lateapex.world.inspection import inspect_track

    inspection = inspect_track(track)
    name = f"{track.name} reversed" if track.reversed else track.name
    return (
        f"{name} {track.length:.2f} m · width {track.width:.2f} m · {inspection.points} waypoints · "
        f"{inspection.direction} · tightest radius {_radius(inspection)}"
    )


def _for_training(name: str, cache: Path | None) -> str:
    """A track as other commands find it: in another than the usual cache by path."""
    from lateapex.world.official import official_routes

    official, at, direction = name.partition("@")
    return f"{cache / official}.npy{at}{direction}" if cache is not None and official in official_routes() else name


def _radius(inspection: Inspection) -> str:
    if math.isinf(inspection.tightest_radius):
        return "none: it is straight"
    return f"{inspection.tightest_radius:.2f} m at waypoint {inspection.tightest_at}"


def _check_line(file: Path, inspection: Inspection) -> dict[str, Any]:
    narrow, width, wide = inspection.widths
    bends = math.isfinite(inspection.tightest_radius)
    return {
        "file": str(file),
        "points": inspection.points,
        "length_m": inspection.length,
        "width_min_m": narrow,
        "width_median_m": width,
        "width_max_m": wide,
        "direction": inspection.direction,
        "tightest_radius_m": inspection.tightest_radius if bends else None,
        "tightest_waypoint": inspection.tightest_at if bends else None,
        "quirks": list(inspection.quirks),
    }
