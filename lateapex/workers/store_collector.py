"""A collector whose experience comes from an exchange: others drive, with the versions of the model it publishes.

It waits for as many cars as there are. A share that was silent for so long that its worker counts as dead is not waited
for, nor one that may send no more until a state was saved: what the others sent has to do then.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from lateapex.env.racing import RacingTask
from lateapex.errors import FormatError, StorageError
from lateapex.models.policy import Policy
from lateapex.storage import Storage
from lateapex.training.collect import Budget
from lateapex.training.judge import with_critic_stem
from lateapex.training.rollout import Rollout
from lateapex.workers.exchange import share_name
from lateapex.workers.experience import to_rollout
from lateapex.workers.in_hand import Held, InHand
from lateapex.workers.leases import Heartbeat, is_held
from lateapex.workers.ledger import Ledger
from lateapex.workers.trainer_side import TrainerSide
from lateapex.workers.waiting import UnwantedError, outlast
from lateapex.workers.weights import pack_weights

T = TypeVar("T")

_LOOK_S: Final = 0.02
"""From one look for new batches to the next while there is none; then longer and longer."""
_LONGEST_LOOK_S: Final = 0.25
_LONELY_S: Final = 5.0
"""After so long without a batch it is told how to start a worker."""
_LEAVE_S: Final = 5.0
"""How long workers are waited for that were told to leave."""


class _Heard(NamedTuple):
    """When a share sent a batch last, s, and how long after the one before."""

    at: float
    gap: float


class StoreCollector:
    """Takes batches from an exchange in place of driving. It must be closed.

    Args:
        storage: the exchange.
        side: the trainer's place there.
        task: cars like those of a share; they never drive.
        cars: all that the shares drive together.
        one_each: whether each batch makes an update of its own; else they are joined to one of all cars.
        patience_s: how long a store that does not answer is waited for.
        tell: called with each line that whoever watches may want to know.
        clock, sleep: this machine's time, s, and how to let it pass.
    """

    def __init__(
        self,
        storage: Storage,
        side: TrainerSide,
        task: RacingTask,
        cars: int,
        *,
        tell: Callable[[str], None],
        one_each: bool = False,
        patience_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.task, self.cars, self.side = task, cars, side
        self.steps = 0
        """Taken so far, over all cars."""
        self._storage, self._patience_s, self._tell = storage, patience_s, tell
        self._clock, self._sleep = clock, sleep
        self._wanted: Callable[[], bool] = lambda: True
        together = 1 if one_each else side.settings.shares
        # Where fewer workers than shares are there, a lesson's memory would get as many cars only by chance.
        self._in_hand = InHand(together, side.settings.max_stale, lessons_alone=True)
        self._heard: dict[int, _Heard] = {}
        self._told: Counter[str] = Counter(side.ledger.discarded)
        self._swept = clock()
        # What evaluations ask for: the number of the first car's episode.
        task.episodes["episode"] = 0
        self._snapshot: Mapping[str, Any] | None = None
        self._heart = Heartbeat(side.lease, side.settings.ttl_s / 4)
        self._heart.__enter__()

    # ----------------------------------------------------------------------------------------------------- a collector

    def collect(self, policy: Policy, budget: Budget) -> Rollout | None:
        """Publish the policy, and bring what was lived through; None once that is no longer wanted.

        Raises:
            LeaseLostError: another trainer has taken over.
            StorageError: the store did not answer for longer than patience allows.
        """
        self._wanted, begun = budget.wanted, self._clock()
        model = pack_weights(policy, self.steps)
        if self._patiently(lambda: self.side.publish(model)) is None:
            return None
        pause, lonely = _LOOK_S, self._clock() + _LONELY_S
        while not (some := self._enough()):
            if not budget.wanted():
                return None
            self._heart.check()
            if self._take(policy):
                pause, lonely = _LOOK_S, math.inf
                continue
            if self._clock() >= lonely:
                lonely = math.inf
                self._tell(f"nothing came for {_LONELY_S:g} s; start workers: {self.invitation}")
            self._sleep(pause)
            pause = min(1.5 * pause, _LONGEST_LOOK_S)
        # What workers measured passed at the same time as the trainer's own seconds.
        return self._joined(some)._replace(seconds={"exchange": self._clock() - begun})

    def snapshot(self) -> dict[str, Any]:
        """The account of all batches, and the count of all steps."""
        self._snapshot = self.side.snapshot()
        episode = int(self.task.episodes["episode"][0])
        return {"exchange": self._snapshot, "steps": self.steps, "first_car_episodes": episode}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot; the account is that which the exchange was opened with."""
        self.steps = int(snapshot["steps"])
        self.task.episodes["episode"][0] = int(snapshot["first_car_episodes"])

    # ----------------------------------------------------------------------------------------------------- its account

    @property
    def invitation(self) -> str:
        """What to type for a worker."""
        return f"lateapex worker --exchange {self._storage.url}"

    @property
    def due(self) -> bool:
        """Whether a share is about to stop for want of a saved state."""
        return max(self.side.unsettled().values(), default=0) >= max(self.side.settings.ahead - 1, 1)

    def check(self) -> None:
        """See `Account`; a store that does not answer leaves it at what was known before."""
        self._heart.check()
        try:
            self.side.check()
        except StorageError:
            return

    def saved(self) -> None:
        """Let workers go on; what a store that does not answer keeps is deleted after the next saved state."""
        if (snapshot := self._snapshot) is not None:
            self._try("the batches of the saved state stay for now", lambda: self.side.settle(snapshot))

    def finish(self) -> None:
        """Tell the workers to leave, and account for all that still waits."""
        self._in_hand.clear()
        self._try("workers were not told to leave", self.side.finish)

    def end(self) -> Ledger:
        """Wait a little for workers that were told to leave, and return the account with what they sent last."""
        until = self._clock() + _LEAVE_S
        names = [share_name(share) for share in range(self.side.settings.shares)]

        def last() -> None:
            while any(is_held(self._storage, name) for name in names) and self._clock() < until:
                self._sleep(_LONGEST_LOOK_S)
            self.side.finish()
            self.side.settle(self.side.snapshot())

        self._try("what came last is not accounted for", last)
        return self.side.ledger

    def close(self) -> None:
        """Let the next trainer begin at once."""
        self._heart.__exit__()
        self._try("the next trainer has to wait", self.side.leave)

    # ----------------------------------------------------------------------------------------------------------- parts

    def _take(self, policy: Policy) -> bool:
        """Take one batch, if there is one."""
        # One: an error in the middle of several would leave those before it in nobody's hands.
        found = self._patiently(lambda: self.side.take(1)) or []
        now = self._clock()
        if now - self._swept >= self.side.settings.ttl_s:
            self._swept = now
            self._try("what dead workers left stays for now", self.side.sweep)
        self._tell_losses()
        for taken in found:
            before = self._heard.get(taken.id.share)
            self._heard[taken.id.share] = _Heard(now, now - before.at if before else 0.0)
            try:
                rollout = with_critic_stem(policy, to_rollout(taken.batch, f"batch {taken.id}"))
            except FormatError as error:
                self._tell(str(error))
                self.side.discard(taken.id, "torn")
            else:
                self._in_hand.add(Held(taken.id, taken.batch.version, rollout))
        return bool(found)

    def _enough(self) -> list[Held]:
        """What the next update is made of; empty while more has to come."""
        # What was left over from updates before may have become too old.
        for batch in self._in_hand.drop_stale(self.side.version):
            self.side.discard(batch, "stale")
        return self._in_hand.enough() or (self._in_hand.enough(no_more=True) if self._all_wait() else [])

    def _all_wait(self) -> bool:
        """Whether no share of a living worker may send more until a state was saved."""
        now, settings = self._clock(), self.side.settings
        alive = {share for share, heard in self._heard.items() if now - heard.at < settings.ttl_s + 2.0 * heard.gap}
        held = self.side.unsettled() + self._in_hand.shares()
        return all(held[share] >= settings.ahead for share in alive)

    def _joined(self, some: list[Held]) -> Rollout:
        for each in some:
            self.side.trained(each.id)
        rollout = self._in_hand.take(some, self.side.version)
        self.steps += rollout.rewards.size
        self.task.episodes["episode"][0] += sum(episode.car == 0 for episode in rollout.episodes)
        return rollout

    def _tell_losses(self) -> None:
        for reason, count in self.side.ledger.discarded.items():
            if (more := count - self._told[reason]) and reason in ("torn", "lost"):
                self._tell(f"{more} of the batches {'is' if more == 1 else 'are'} {reason}; training goes on")
            self._told[reason] = count

    def _patiently(self, do: Callable[[], T]) -> T | None:
        """Do it again and again while the store does not answer; None where that is no longer wanted.

        Raises:
            StorageError: it does not answer for too long.
        """
        clock, sleep = self._clock, self._sleep
        try:
            return outlast(do, self._patience_s, self._tell, look_up=self._look_up, clock=clock, sleep=sleep)
        except UnwantedError:
            return None

    def _look_up(self) -> None:
        if not self._wanted():
            raise UnwantedError
        self._heart.check()

    def _try(self, otherwise: str, do: Callable[[], None]) -> None:
        try:
            do()
        except StorageError as error:
            self._tell(f"{otherwise}: {error}")
