"""How many steps a second PPO learns from, end to end, and where its time goes.

A step is one step of one car: picture, action, rules, physics, reward, and its share of the updates and of the log
files. Each network trains with its own preset on AWS's centre-line reward, each round anew from random weights, so
episodes are short and resets frequent; compilation, start and evaluation are not counted.

Stable-Baselines3's PPO, where it is installed, trains networks of the same layers in turn with ours, on
`RacingVectorEnv`, with the adapter of `examples/sb3_ppo.py` and the same settings. It computes in float32, and its
critic's network is of the kind of its actor's, so ours is measured in that way too.

Operations are those of the update's matrix products and convolutions, forwards and backwards, a product and its sum
being two; the peak is that of square matrix products on the same threads.

    python benchmarks/train.py --json train.json
    python benchmarks/train.py --only lean --rounds 3
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported

import torch
from harness import Quiet, Stopwatch, median_of, parser, print_table, row, wait_for_idle, write_rows
from torch.utils.flop_counter import FlopCounterMode

from lateapex.env.racing import RacingVectorEnv
from lateapex.jobs.train import Observe, TrainConfig, train, train_config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lateapex.training.trainer import Trainer

EXAMPLES = Path(__file__).parents[1] / "examples"
SQUARE = 2048  # rows and columns of the products that show the peak
PEAKS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Way:
    """A way to train."""

    network: str
    updates: int
    """Of one round."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Beside the preset."""
    mark: float | None = None
    """Steps a second that are asked for."""
    equal: bool = True
    """Whether Stable-Baselines3's networks and precision are the same."""


WAYS = {
    "lean": Way("lean", 20, mark=5000.0),
    "shallow": Way("shallow", 3, mark=350.0, equal=False),
    "shallow, critic shallow, float32": Way("shallow", 2, {"critic": "shallow", "precision": "float32"}),
}


class Round(NamedTuple):
    """What a round of a way took."""

    speed: float
    """Steps a second."""
    parts: dict[str, float]
    """Seconds, by part; together all there were."""
    updates: int


def main() -> None:
    """Measure every way, ours and theirs in turn."""
    made = parser("Steps a second of PPO, end to end.")
    made.add_argument("--track", default="kidney", help="name of a track, or path of a route file")
    made.add_argument("--rounds", type=int, default=5, help="rounds of which the median is taken")
    made.add_argument("--only", choices=sorted({way.network for way in WAYS.values()}), help="this network alone")
    options = made.parse_args()
    ways = {name: way for name, way in WAYS.items() if options.only in (None, way.network)}
    work = {name: _operations(options, way) for name, way in ways.items()}  # compiles and warms up, too
    sb3 = _stable_baselines3()
    quiet = wait_for_idle(timeout=options.timeout)
    rounds = [_round(options, ways, sb3) for _ in range(options.rounds)]
    peaks = {kind: statistics.median(found.peaks[kind] for found in rounds) for kind in PEAKS}
    rows = [row("peak", rate, "GFLOP/s", quiet, way=f"products of {SQUARE}, {kind}") for kind, rate in peaks.items()]
    for name, way in ways.items():
        mine = [found.ours[name] for found in rounds]
        rows += _rows(_config(options, way), name, mine, work[name], peaks, quiet)
        if sb3:
            rows += _compared(way, name, mine, [found.theirs[way.network] for found in rounds], quiet)
    print_table(rows)
    if options.json:
        write_rows(options.json, rows)
    for name, way in ways.items():
        if way.mark is not None:
            speed = statistics.median(found.ours[name].speed for found in rounds)
            print(
                f"{name}: {speed:,.0f} steps/s, {way.mark:,.0f} asked for: {'met' if speed >= way.mark else 'MISSED'}"
            )


class _Found(NamedTuple):
    """One round of everything."""

    ours: dict[str, Round]
    theirs: dict[str, float]
    """Steps a second, by network."""
    peaks: dict[str, float]
    """GFLOP/s"""


def _round(options: argparse.Namespace, ways: Mapping[str, Way], sb3: Any) -> _Found:
    ours, theirs = {}, {}
    for name, way in ways.items():
        ours[name] = _ours(options, way)
        if sb3 and way.equal:
            theirs[way.network] = _theirs(sb3, way, _config(options, way))
    return _Found(ours, theirs, {kind: _peak(number) for kind, number in PEAKS.items()})


# ----------------------------------------------------------------------------------------------------------------- ours


def _config(options: argparse.Namespace, way: Way, updates: int | None = None) -> TrainConfig:
    trainer = {"updates": updates or way.updates, "evaluation_trials": 1, "evaluation_interval": 10**6, "duration": 1e6}
    given = {"track": options.track, "network": way.network, "reward": "centre_line", "trainer": trainer}
    return train_config({**given, **way.settings})


def _ours(options: argparse.Namespace, way: Way) -> Round:
    stopwatch = Stopwatch()
    trainers: list[Trainer] = []

    def observe(trainer: Trainer, *_: Any) -> Mapping[str, Any]:
        trainers.append(trainer)
        task = trainer.collector.task
        stopwatch.watch(trainer.collector, "collect", "putting the rollout together")
        stopwatch.watch(task, "advance", "rules, physics")
        stopwatch.watch(task, "begin", "rules, physics")
        stopwatch.watch(task.simulator, "render", "drawing")
        stopwatch.watch(task.simulator, "render_some", "drawing")
        stopwatch.watch(trainer.policy, "decide", "inference")
        stopwatch.watch(trainer.policy, "peek", "inference")
        stopwatch.watch(trainer._algorithm, "update", "update")
        return {}

    config = _config(options, way)
    result = _train(config, observe)
    parts = stopwatch.seconds
    paid = trainers[0].collector.task.reward.seconds  # one thread pays while others draw
    parts |= {"reward": paid, "drawing": parts["drawing"] - paid}
    parts["log files"] = result.train_seconds - sum(parts.values())
    return Round(result.steps / result.train_seconds, parts, config.trainer.updates or 0)


def _train(config: TrainConfig, observe: Observe) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return train(config.model_copy(update={"out": f"{folder}/run"}), observe)


def _operations(options: argparse.Namespace, way: Way) -> float:
    """Floating-point operations of one update."""
    counter = FlopCounterMode(display=False)

    def observe(trainer: Trainer, *_: Any) -> Mapping[str, Any]:
        update = trainer._algorithm.update

        def counted(*arguments: Any) -> Any:
            with counter:
                return update(*arguments)

        trainer._algorithm.update = counted  # type: ignore[method-assign] # this one object's
        return {}

    _train(_config(options, way, updates=1), observe)
    return float(counter.get_total_flops())


def _peak(number: torch.dtype) -> float:
    """GFLOP/s of a square matrix product."""
    torch.set_num_threads(os.cpu_count() or 1)
    one, two = (torch.randn(SQUARE, SQUARE).to(number) for _ in range(2))
    return 2e-9 * SQUARE**3 / median_of(lambda: one @ two, runs=5, seconds=0.1)


# --------------------------------------------------------------------------------------------------------------- theirs


def _stable_baselines3() -> Any:
    """The example's module, or None where Stable-Baselines3 is not installed."""
    if importlib.util.find_spec("stable_baselines3") is None:
        print("NOT INSTALLED: stable-baselines3, so ours is compared with nothing; pip install stable-baselines3")
        return None
    sys.path.insert(0, str(EXAMPLES))
    return importlib.import_module("sb3_ppo")


def _theirs(sb3: Any, way: Way, config: TrainConfig) -> float:
    """Steps a second of Stable-Baselines3's PPO with the same settings."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.use_deterministic_algorithms(False)  # ours asks for them; theirs need not pay for that
    ppo, steps = config.ppo, config.trainer.rollout_steps
    env = sb3.SB3VecEnv(RacingVectorEnv(config.track, config.cars, reward=config.reward))
    model = sb3.PPO(
        "MultiInputPolicy",
        env,
        learning_rate=ppo.learning_rate,
        n_steps=steps,
        batch_size=ppo.batch_size,
        n_epochs=ppo.epochs,
        gamma=ppo.discount,
        gae_lambda=ppo.gae_lambda,
        clip_range=ppo.clip,
        ent_coef=ppo.entropy_weight,
        vf_coef=ppo.value_weight,
        max_grad_norm=ppo.max_gradient_norm,
        policy_kwargs={"share_features_extractor": False, "net_arch": [], **_their_network(way.network)},
        seed=config.seed,
        device="cpu",
    )
    total = config.cars * steps * way.updates
    begun = time.perf_counter()
    model.learn(total)
    return total / (time.perf_counter() - begun)


def _their_network(network: str) -> dict[str, Any]:
    """Settings for a network of the same layers as ours."""
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Lean(BaseFeaturesExtractor):
        """Means over 4x4 pixels, then dense layers of 128 and 64."""

        def __init__(self, space: Any) -> None:
            super().__init__(space, 64)
            ((self.sensor, picture),) = space.spaces.items()
            channels, rows, columns = picture.shape
            dense = [torch.nn.Linear(channels * (rows // 4) * (columns // 4), 128), torch.nn.Linear(128, 64)]
            relu = torch.nn.ReLU()
            self.layers = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), dense[0], relu, dense[1], relu)

        def forward(self, seen: Any) -> Any:
            return self.layers(seen[self.sensor])

    if network == "lean":
        return {"features_extractor_class": Lean}
    return {
        "features_extractor_kwargs": {"cnn_output_dim": 512}
    }  # of NatureCNN, whose convolutions are the shallow ones


# ------------------------------------------------------------------------------------------------------------- the rows


def _rows(
    config: TrainConfig,
    name: str,
    rounds: list[Round],
    operations: float,
    peaks: Mapping[str, float],
    quiet: Quiet,
) -> list[dict[str, Any]]:
    """Speed, shares of the time, and how much of the peak the update reaches."""
    settings = {"way": name, "cars": config.cars, "epochs": config.ppo.epochs, "batch": config.ppo.batch_size}
    speed = statistics.median(found.speed for found in rounds)
    rows = [row("train", speed, "steps/s", quiet, **settings)]
    for part in sorted(rounds[0].parts, key=rounds[0].parts.__getitem__, reverse=True):
        share = statistics.median(found.parts[part] / sum(found.parts.values()) for found in rounds)
        rows.append(row(f"share of {part}", 100.0 * share, "%", quiet, way=name))
    rate = 1e-9 * operations / statistics.median(found.parts["update"] / found.updates for found in rounds)
    rows.append(row("update", rate, "GFLOP/s", quiet, way=name))
    rows += [
        row(f"update, of the {kind} peak", 100.0 * rate / peak, "%", quiet, way=name) for kind, peak in peaks.items()
    ]
    return rows


def _compared(way: Way, name: str, ours: list[Round], theirs: list[float], quiet: Quiet) -> list[dict[str, Any]]:
    """Their speed, and how many times as fast ours is: the median of the rounds' ratios."""
    whose = f"stable-baselines3 {version('stable-baselines3')}, {way.network}"
    ratio = statistics.median(mine.speed / their for mine, their in zip(ours, theirs, strict=True))
    rows = [row("train", statistics.median(theirs), "steps/s", quiet, way=whose)] if way.equal else []
    return [*rows, row(f"times as fast as {whose}", ratio, "x", quiet, way=name)]


if __name__ == "__main__":
    main()
