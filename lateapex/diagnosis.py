"""What goes wrong in a training run: pure functions over its records, each a sentence with the numbers it found.

A check sees the newest updates and all evaluations so far, and judges each run by its own history where it can: runs
differ in the size of their rewards, so that no loss is large or small by itself.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.records import (
    STATUSES,
    EpisodeRecord,
    EvaluationRecord,
    FindingRecord,
    Payment,
    Record,
    UpdateRecord,
)

WINDOW: Final = 50
"""Updates that a check may look back."""
QUIET: Final = 20
"""Updates without a finding, after which it counts as new when it comes again."""

_STILL: Final = 0.02  # m a step, 0.3 m/s: the slowest speed in use is 0.5, the slowest that a car can be told 0.1
_FIRST: Final = 15  # steps in which a car gets going: one second
_FEW_STEPS: Final = 200  # fewer say nothing
_FEW_EPISODES: Final = 5
_MANY_EPISODES: Final = 100  # of one half: the mean of fewer tells no gain from chance
_LONG: Final = 20  # updates
_SHORT: Final = 5
_MOST: Final = 3  # of _SHORT
_EXPLODED: Final = 100.0  # times the median of the updates before
_SMALL_LOSS: Final = 0.01
_COLLAPSED: Final = 0.05  # share of the entropy of a choice among all actions alike
_NARROW: Final = 0.02  # standard deviation; actions go from -1 to 1
_DIMENSIONS: Final = 2  # of a continuous action: steering and speed
_NO_GRADIENT: Final = 1e-6
_LARGE_KL: Final = 0.2  # nats
_HUGE_KL: Final = 5.0
_EXPLAINED: Final = 0.01
_GAIN: Final = 1.05  # times as much, over _LONG updates, is slow but learning
_LAPPING: Final = 90.0  # percent; a policy that drives this far may be as sure as it likes
_BEGUN: Final = 20.0  # percent; without learning it is 5 to 12, and whoever drives further may rest for a while
_DRIVING: Final = 40.0  # percent; less is no model to fall back from


class History(NamedTuple):
    """What a check sees."""

    updates: Sequence[UpdateRecord]
    """The newest `WINDOW`, oldest first; never empty."""
    evaluations: Sequence[EvaluationRecord]
    """All of them."""


class Check(NamedTuple):
    """One thing that can go wrong."""

    look: Callable[[History], str | None]
    """What was found, or None."""
    advice: str


class Diagnosis:
    """Runs all checks as a run goes on; tells of each finding once, and again only if it had gone in between."""

    def __init__(self) -> None:
        self._updates: deque[UpdateRecord] = deque(maxlen=WINDOW)
        self._evaluations: list[EvaluationRecord] = []
        self._seen: dict[str, int] = {}  # code -> newest update with it

    def take(self, record: Record) -> list[FindingRecord]:
        """Take the next record, and return what is found for the first time."""
        if isinstance(record, UpdateRecord):
            self._updates.append(record)
        elif isinstance(record, EvaluationRecord):
            self._evaluations.append(record)
        else:
            return []
        return [finding for finding in self._found() if self._is_new(finding)]

    def replay(self, records: Iterable[Record]) -> None:
        """Take what was recorded before, so that what was found then is not told again."""
        for record in records:
            self.take(record)

    def _found(self) -> list[FindingRecord]:
        return diagnose(History(list(self._updates), self._evaluations)) if self._updates else []

    def _is_new(self, finding: FindingRecord) -> bool:
        before = self._seen.get(finding.code)
        self._seen[finding.code] = finding.iteration
        return before is None or finding.iteration - before > QUIET


def diagnose(history: History) -> list[FindingRecord]:
    """Run all checks on the newest moment of a history."""
    newest = history.updates[-1]
    found = ((code, check.look(history), check.advice) for code, check in CHECKS.items())
    return [
        FindingRecord(code=code, iteration=newest.iteration, steps=newest.steps, found=text, advice=advice)
        for code, text, advice in found
        if text is not None
    ]


def payment(episodes: Sequence[EpisodeRecord]) -> Payment | None:
    """Sum up what the reward paid for standing still and for moving; None where there are no episodes."""
    if not episodes:
        return None
    rows = np.concatenate([episode.steps for episode in episodes])
    paid = rows["reward"][rows["status"] != STATUSES.index("prepare")]
    here, following = rows[:-1], rows[1:]
    counts = (following["steps"] == here["steps"] + 1) & (here["steps"] > _FIRST)
    still = np.hypot(following["x"] - here["x"], following["y"] - here["y"]) < _STILL
    sums = [(episode.status == "immobilized", episode.reward) for episode in episodes]
    stuck = [reward for immobilized, reward in sums if immobilized]
    others = [reward for immobilized, reward in sums if not immobilized]
    return Payment(
        lowest=float(paid.min()) if len(paid) else math.nan,
        highest=float(paid.max()) if len(paid) else math.nan,
        still_steps=int((counts & still).sum()),
        still_reward=_mean(here["reward"][counts & still]),
        moving_steps=int((counts & ~still).sum()),
        moving_reward=_mean(here["reward"][counts & ~still]),
        immobilized=len(stuck),
        immobilized_reward=_mean(stuck),
        others=len(others),
        others_reward=_mean(others),
    )


def _mean(values: Sequence[float] | NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _not_finite(history: History) -> str | None:
    newest = history.updates[-1]
    broken = [name for name, value in newest.losses.items() if not math.isfinite(value)]
    return f"{', '.join(broken)} is no finite number at update {newest.iteration}" if broken else None


def _loss_exploded(history: History) -> str | None:
    """Judged by the updates before; the first few, while a critic learns what rewards are like, do not count."""
    *before, newest = history.updates
    for name in ("value_loss", "policy_loss"):
        past = [abs(update.losses[name]) for update in before if math.isfinite(update.losses.get(name, math.nan))]
        value = abs(newest.losses.get(name, math.nan))
        # Losses of a policy are differences near 0: below 1 they are large beside nothing but themselves.
        if len(past) >= _SHORT and value > _EXPLODED * max(median(past), _SMALL_LOSS):
            return f"{name} is {value:.3g}, over the {len(past)} updates before it was {median(past):.3g}"
    return None


def _entropy_collapsed(history: History) -> str | None:
    recent = _newest(history.updates, _SHORT)
    entropies = [update.losses.get("entropy", math.nan) for update in recent]
    if not recent or _driven(recent) >= _LAPPING or not all(map(math.isfinite, entropies)):
        return None
    drives = f"while it drives {_driven(recent):.0f}% of the lap"
    if count := len(recent[-1].actions):
        share = max(entropies) / math.log(count) if count > 1 else 1.0
        few = share < _COLLAPSED
        return f"the choice among {count} actions has only {share:.1%} of its full entropy, {drives}" if few else None
    deviation = math.exp(max(entropies) / _DIMENSIONS - 0.5 * math.log(2.0 * math.pi * math.e))
    return f"actions deviate only by {deviation:.4f} of -1 to 1, {drives}" if deviation < _NARROW else None


def _gradient_vanished(history: History) -> str | None:
    norms = [update.losses.get("gradient_norm", math.nan) for update in _newest(history.updates, _SHORT)]
    if norms and max(norms) < _NO_GRADIENT:
        return f"the gradient's norm was at most {max(norms):.1e} in the last {len(norms)} updates"
    return None


def _kl_large(history: History) -> str | None:
    divergences = [update.losses.get("kl", math.nan) for update in history.updates[-_SHORT:]]
    newest, large = divergences[-1], sum(value > _LARGE_KL for value in divergences)
    if newest > _HUGE_KL:
        return f"one update changed the policy by a KL divergence of {newest:.3g}; 0.01 to 0.05 is usual"
    if newest > _LARGE_KL and large >= _MOST:
        return (
            f"{large} of the last {len(divergences)} updates changed the policy by a KL divergence above {_LARGE_KL}, "
            f"the newest by {newest:.2g}; 0.01 to 0.05 is usual"
        )
    return None


def _critic_blind(history: History) -> str | None:
    """Of a car that laps all returns are much alike: what is left to explain is chance."""
    recent = _newest(history.updates, _LONG)
    explained = [update.losses.get("explained_variance", math.nan) for update in recent]
    if explained and _driven(recent) < _LAPPING and max(explained) < _EXPLAINED:
        return f"the critic explained {max(explained):.0%} of the returns' variance at best in the last {_LONG} updates"
    return None


def _reward_constant(history: History) -> str | None:
    paid = [update.payment for update in history.updates[-_SHORT:] if update.payment is not None]
    if len(history.updates) < _SHORT or len(paid) < _MOST:
        return None
    lowest, highest = min(each.lowest for each in paid), max(each.highest for each in paid)
    steps = sum(each.still_steps + each.moving_steps for each in paid)
    if lowest == highest and steps >= _FEW_STEPS:
        return f"every step of the last {_SHORT} updates paid {lowest:g}, whatever the car did"
    return None


def _reward_for_standing(history: History) -> str | None:
    paid = [update.payment for update in history.updates[-_LONG:] if update.payment is not None]
    slow = _weighted([(each.still_steps, each.still_reward) for each in paid])
    fast = _weighted([(each.moving_steps, each.moving_reward) for each in paid])
    if min(slow.number, fast.number) >= _FEW_STEPS and slow.mean >= fast.mean:
        return (
            f"{slow.number} steps in which the car hardly moved paid {slow.mean:.3g} each, "
            f"{fast.number} in which it drove {fast.mean:.3g}"
        )
    stuck = _weighted([(each.immobilized, each.immobilized_reward) for each in paid])
    others = _weighted([(each.others, each.others_reward) for each in paid])
    if min(stuck.number, others.number) >= _FEW_EPISODES and stuck.mean > others.mean:
        return (
            f"{stuck.number} episodes that ended in standing still paid {stuck.mean:.3g} each, "
            f"{others.number} others {others.mean:.3g}"
        )
    return None


def _action_unused(history: History) -> str | None:
    """Whoever laps may leave actions aside: unused ones tell of trouble only while the car does not get far."""
    recent = _newest(history.updates, _LONG)
    if not recent or _driven(recent) >= _DRIVING or any(not update.actions for update in recent):
        return None
    totals = np.sum([update.actions for update in recent], axis=0)
    unused = np.flatnonzero(totals == 0).tolist()
    if not unused:
        return None
    which = f"number {unused[0]} was" if len(unused) == 1 else f"{len(unused)}, from number {unused[0]} on, were"
    return (
        f"of {len(totals)} actions {which} not tried once in the last {_LONG} updates, "
        f"while the car drives {_driven(recent):.0f}% of the lap"
    )


def _progress_lost(history: History) -> str | None:
    """By evaluations, which drive without trying anything out; two in a row, since one may have had hard starts."""
    if len(history.evaluations) < 3:
        return None
    best = max(history.evaluations, key=lambda evaluation: evaluation.mean_progress)
    recent = [evaluation.mean_progress for evaluation in history.evaluations[-2:]]
    if best.mean_progress >= _DRIVING and max(recent) < 0.5 * best.mean_progress:
        return (
            f"the last two evaluations drove {recent[0]:.0f}% and {recent[1]:.0f}% of the lap, "
            f"that of update {best.iteration} {best.mean_progress:.0f}%"
        )
    return None


def _not_learning(history: History) -> str | None:
    """Whether the second half of a long stretch is no better than the first, for the reward nor for the way driven."""
    recent = _newest(history.updates, 2 * _LONG)
    if not recent or _driven(recent) >= _BEGUN:
        return None
    halves = recent[:_LONG], recent[_LONG:]
    if min(sum(update.finished for update in half) for half in halves) < _MANY_EPISODES:
        return None
    way, now = (_driven(half) for half in halves)
    earned, earns = (_weighted((update.finished, update.mean_reward) for update in half).mean for half in halves)
    if now > _GAIN * way or earns > earned + (_GAIN - 1.0) * abs(earned):
        return None
    return (
        f"the last {_LONG} updates drove {now:.1f}% of the lap for a reward of {earns:.3g}, "
        f"the {_LONG} before them {way:.1f}% for {earned:.3g}"
    )


class _Mean(NamedTuple):
    number: int
    mean: float


def _weighted(parts: Iterable[tuple[int, float]]) -> _Mean:
    """The mean over several counts, each with its own mean; NaN where there is nothing."""
    counted = [(count, mean) for count, mean in parts if count]
    total = sum(count for count, _ in counted)
    return _Mean(total, math.fsum(count * mean for count, mean in counted) / total if total else math.nan)


def _newest(updates: Sequence[UpdateRecord], count: int) -> Sequence[UpdateRecord]:
    """The newest updates; none if there are not yet as many."""
    return updates[-count:] if len(updates) >= count else ()


def _driven(updates: Iterable[UpdateRecord]) -> float:
    """Mean percent of the lap of all episodes that ended; 100 where none did: nobody fell off."""
    mean = _weighted((update.finished, update.mean_progress) for update in updates).mean
    return 100.0 if math.isnan(mean) else mean


CHECKS: Final[dict[str, Check]] = {
    "not_finite": Check(_not_finite, "lower learning_rate (lr), and see that the reward stays within -1e3 to 1e3"),
    "loss_exploded": Check(
        _loss_exploded, "lower learning_rate (lr) tenfold, set max_gradient_norm to 0.5, or scale the reward down"
    ),
    "kl_large": Check(_kl_large, "lower learning_rate (lr), or the epochs of an update (num_epochs)"),
    "entropy_collapsed": Check(
        _entropy_collapsed,
        "start anew, or from the best model with --from, with a higher entropy_weight (beta_entropy), such as 0.01 "
        "to 0.05, and a lower learning_rate (lr)",
    ),
    "gradient_vanished": Check(
        _gradient_vanished, "see that the reward differs from step to step, and raise learning_rate (lr) if it is tiny"
    ),
    "critic_blind": Check(
        _critic_blind,
        "see that what the reward pays for can be seen in the picture, raise discount if it is below 0.9, "
        "or lower learning_rate (lr)",
    ),
    "reward_constant": Check(
        _reward_constant, "let the reward tell good steps from bad ones, by speed, progress or distance_from_center"
    ),
    "reward_for_standing": Check(
        _reward_for_standing,
        "pay for progress or speed: a car that hardly moves must earn less than one that drives",
    ),
    "action_unused": Check(
        _action_unused,
        "raise entropy_weight (beta_entropy), or take actions out of the list that the reward keeps the car from",
    ),
    "not_learning": Check(
        _not_learning,
        "raise discount (discount_factor) to 0.9 or more if it is lower, let the reward pay more for driving further, "
        "or try another learning_rate (lr)",
    ),
    "progress_lost": Check(
        _progress_lost,
        "stop: the best model is kept; go on from it with --from and half the learning_rate (lr)",
    ),
}
"""All that is looked for, by its code."""
