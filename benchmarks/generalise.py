"""How one model drives on circuits that it has never seen.

A model is trained on the tracks of `examples/many_tracks.toml`, and on some of the routes of a folder where `--known`
names them. It then drives all routes of the folder that are of no family with a track of the training (see
`lateapex.world.track_families`), each of them both ways, greedily, from starts spread round the lap.

    python benchmarks/generalise.py --routes routes/ --json generalise.json
    python benchmarks/generalise.py --routes routes/ --known Bowtie_track,China_track,Monaco --seeds 3

Laps of one circuit are not independent: beside the interval of all laps stands one over families, by drawing families
anew (bootstrap).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported

import numpy as np
from harness import Quiet, parser, row, wait_for_idle, write_rows

from lateapex.analysis.intervals import wilson
from lateapex.jobs.evaluate import EvaluateConfig, EvaluateResult, TrackTrials, evaluate
from lateapex.jobs.named_tracks import load_tracks
from lateapex.jobs.train import TrainResult, train, train_config
from lateapex.world.track_families import families_of

SETTINGS: Final = Path(__file__).parent.parent / "examples" / "many_tracks.toml"
MOST_KNOWN: Final = 12
_DRAWS: Final = 10_000


def main() -> None:
    """Train and judge once for each seed."""
    made = parser("Share of laps on circuits of which training knew nothing.")
    made.add_argument("--routes", type=Path, required=True, help="folder of route files (.npy)")
    made.add_argument(
        "--known", type=_names, default=[], help=f"routes of it to train on too, up to {MOST_KNOWN}: names, as a,b"
    )
    made.add_argument("--config", type=Path, default=SETTINGS, help="settings of the training")
    made.add_argument(
        "--steps", type=int, help="steps of training, and of its lesson; those of the settings if not given"
    )
    made.add_argument("--trials", type=int, default=5, help="starts on each track and way round")
    made.add_argument("--seeds", type=int, default=1, help="seeds 0, 1, ...: how many")
    options = made.parse_args()
    known = [str(options.routes / f"{name}.npy") for name in options.known]
    unseen = unseen_routes(options.config, options.routes, known)
    with tempfile.TemporaryDirectory() as folder:
        _train(options, known, 0, f"{folder}/run", steps=1)  # compiles
    quiet = wait_for_idle(timeout=options.timeout)
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            trained = _train(options, known, seed, f"{folder}/run", options.steps)
            found = evaluate(
                EvaluateConfig(
                    run=f"{folder}/run", track=",".join(unseen), both_ways=True, trials=options.trials, film="none"
                )
            )
        rows += _rows(found, trained, quiet, seed)
        _show(found, trained, seed)
    if options.json:
        write_rows(options.json, rows)


def unseen_routes(config: Path, routes: Path, known: Sequence[str]) -> list[str]:
    """Paths of the routes of a folder that are of no family with what is trained on."""
    trained = load_tracks(",".join([train_config({}, file=str(config)).track, *known]))
    files = [str(path) for path in sorted(routes.glob("*.npy"), key=lambda path: path.name.lower())]
    families = families_of([*trained, *load_tracks(",".join(files))])
    seen, others = families[: len(trained)], families[len(trained) :]
    return [file for file, family in zip(files, others, strict=True) if family not in seen]


def over_families(parts: Sequence[TrackTrials]) -> tuple[float, float, float]:
    """Mean share of laps of the families, each counting as one, and its 95 % interval by drawing families anew."""
    laps: dict[int, list[bool]] = {}
    for part in parts:
        laps.setdefault(part.family, []).extend(each.status == "lap_complete" for each in part.episodes)
    shares = np.array([np.mean(each) for each in laps.values()])
    draws = np.random.default_rng(0).integers(len(shares), size=(_DRAWS, len(shares)))
    low, high = np.quantile(shares[draws].mean(axis=1), (0.025, 0.975))
    return float(shares.mean()), float(low), float(high)


def _names(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if len(names) > MOST_KNOWN:
        raise argparse.ArgumentTypeError(f"{len(names)} routes are named; up to {MOST_KNOWN} may be trained on")
    return names


def _train(options: argparse.Namespace, known: Sequence[str], seed: int, out: str, steps: int | None) -> TrainResult:
    first = train_config({}, file=str(options.config))
    tracks = ",".join([first.track, *known])
    settings: dict[str, Any] = {"track": tracks, "seed": seed, "out": out}
    if steps is not None:
        settings |= {"trainer": {"steps": steps}, "teacher": {"steps": steps}}
    return train(train_config(settings, file=str(options.config)))


def _rows(found: EvaluateResult, trained: TrainResult, quiet: Quiet, seed: int) -> list[dict[str, Any]]:
    laps, trials = found.laps_completed, len(found.episodes)
    low, high = wilson(laps, trials)
    mean, least, most = over_families(found.tracks)
    rows = [
        row("train_seconds", trained.train_seconds, "s", quiet, seed=seed, steps=trained.steps),
        row("laps_of_all", laps / trials, "share", quiet, seed=seed, laps=laps, trials=trials, low=low, high=high),
        row("laps_by_family", mean, "share", quiet, seed=seed, low=least, high=most),
    ]
    for part in found.tracks:
        share = part.laps_completed / len(part.episodes)
        given = {"track": part.track, "family": part.family, "laps": part.laps_completed, "trials": len(part.episodes)}
        rows.append(row("laps", share, "share", quiet, seed=seed, **given))
    return rows


def _show(found: EvaluateResult, trained: TrainResult, seed: int) -> None:
    """Print a line for each family, and the shares of all."""
    families: dict[int, list[TrackTrials]] = {}
    for part in found.tracks:
        families.setdefault(part.family, []).append(part)
    print("\n| family | ways driven | laps | mean progress | fastest lap |\n| --- | --: | --: | --: | --: |")
    for parts in families.values():
        episodes = [each for part in parts for each in part.episodes]
        laps = [seconds for part in parts for seconds in part.lap_times]
        progress = sum(each.progress for each in episodes) / len(episodes)
        fastest = f"{min(laps):.1f} s" if laps else "-"
        print(f"| {parts[0].track} | {len(parts)} | {len(laps)} of {len(episodes)} | {progress:.1f} % | {fastest} |")
    laps, trials = found.laps_completed, len(found.episodes)
    low, high = wilson(laps, trials)
    mean, least, most = over_families(found.tracks)
    print(
        f"\nseed {seed}: {laps} of {trials} laps, {100 * laps / trials:.1f} % ({100 * low:.1f} to {100 * high:.1f}); "
        f"mean of {len(families)} families {100 * mean:.1f} % ({100 * least:.1f} to {100 * most:.1f}); trained "
        f"{trained.steps:,} steps, {trained.train_seconds:.0f} s, evaluations {trained.evaluation_seconds:.0f} s; "
        f"assisted: {', '.join(found.assisted) or 'no'}",
        flush=True,
    )


if __name__ == "__main__":
    main()
