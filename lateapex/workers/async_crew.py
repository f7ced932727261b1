"""A crew whose mates wait neither for each other nor for the update.

Whoever has finished a rollout begins the next one at once, with the newest weights. An update takes as many rollouts as
there are mates, those of older weights first, whoever brought them. A rollout begins only where it would not be too old
by waiting, if all that are ahead of it come first. What is too old all the same, since it took so long to drive, is
counted and not learned from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Any, Final, NamedTuple

from lateapex.env.racing import RacingTask
from lateapex.models.policy import Policy
from lateapex.training.collect import Budget
from lateapex.training.rollout import Rollout
from lateapex.workers.crew import Brought, Mate, Order, SharedCars, State, Workplace
from lateapex.workers.crew_state import joined_states
from lateapex.workers.in_hand import Held, InHand
from lateapex.workers.ledger import TRAINED, BatchId, Ledger

_LOOK_S: Final = 0.02
"""From one look at the mates to the next."""


class _Begun(NamedTuple):
    """A rollout that a mate drives."""

    id: BatchId
    version: int


class AsyncCrew(SharedCars):
    """Cars that are shared out among mates who are never waited for. It must be closed.

    It is the account of its rollouts, too (`training.collect.Account`).

    Args:
        workplace: where the mates are.
        counts: cars of each mate.
        task: see `SharedCars`.
        max_stale: versions that a rollout's policy may be behind the newest, 1 or more.
        one_each: whether each rollout makes an update of its own, since they differ in length.
    """

    due: Final = False
    """No state is waited for."""

    def __init__(
        self,
        workplace: Workplace,
        counts: Sequence[int],
        task: RacingTask,
        *,
        max_stale: int,
        one_each: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(workplace, counts, task)
        self.ledger = Ledger()
        """What became of all rollouts."""
        self.steps = 0
        """Learned from so far, over all cars."""
        self.version = 0
        """Of the weights that are published."""
        self._max_stale, self._together = max_stale, 1 if one_each else len(counts)
        self._clock = clock
        self._generation = 1
        self._numbers = [0] * len(counts)
        """Rollouts that each share has begun."""
        self._turns = [0] * len(counts)
        """When each share began its last one, counted in rollouts of all."""
        self._in_hand = InHand(self._together, max_stale)
        self._brought: dict[BatchId, Brought] = {}
        """What came with those in hand."""
        self._begun: dict[int, _Begun] = {}
        """By share."""
        self._weights: Any = None
        self._order = Order(0, None, False, 0)
        self._updating = False
        # All of the above but the clock belongs to whoever holds this.
        self._changed = Condition()
        self._thread: Thread | None = None
        self._error: BaseException | None = None
        self._over = False

    # ----------------------------------------------------------------------------------------------------- a collector

    def collect(self, policy: Policy, budget: Budget) -> Rollout | None:
        """Publish the policy, and bring as many rollouts as make an update; None once they are no longer wanted.

        Raises:
            LateapexError: what a mate could not do.
        """
        begun = self._clock()
        with self._changed:
            self._publish(policy, budget)
            self._begin_all()
            self._let_go_on()
            while not (some := self._enough()):
                if not budget.wanted():
                    return None
                if self._workplace.meanwhile:
                    self._changed.wait(_LOOK_S)
                    self._see()
                else:
                    self._gather(self._workplace.wait(self._driving(), _LOOK_S))
                    self._begin_all()
            rollout = self._taken(some)
            self._updating = True
            self._begin_all()
        return rollout._replace(seconds={"workers": self._clock() - begun})

    def snapshot(self) -> dict[str, Any]:
        """All cars, each as it was after what was learned from it, and the account."""
        with self._changed:
            account = {"ledger": self.ledger.plain(), "generation": self._generation}
            return {**joined_states(self._states, self.steps), "rollouts": account}

    def restore(self, snapshot: State) -> None:
        """Return to a snapshot, whoever made it."""
        super().restore(snapshot)
        self.steps = int(snapshot["steps"])
        if (account := snapshot.get("rollouts")) is not None:
            self.ledger = Ledger.from_plain(account["ledger"])
            self._generation = int(account["generation"]) + 1
            for id_ in list(self.ledger.undecided()):
                self.ledger.decide(id_, "lost")

    # ----------------------------------------------------------------------------------------------------- its account

    def check(self) -> None:
        """Nobody else goes on with the run."""

    def saved(self) -> None:
        """Nobody waits for it."""

    def finish(self) -> None:
        """Begin no more, and count what was not learned from."""
        self._stop()
        for id_ in [*self._in_hand.clear(), *(each.id for each in self._begun.values())]:
            self.ledger.decide(id_, "unused")
        self._begun.clear()
        self._brought.clear()

    def end(self) -> Ledger:
        """Return the account when all is over."""
        return self.ledger

    def close(self) -> None:
        """Begin no more; the workplace is another's to close."""
        self._stop()

    def _stop(self) -> None:
        with self._changed:
            self._over = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    # -------------------------------------------------------------------------------------------- what mates are let do

    def _publish(self, policy: Policy, budget: Budget) -> None:
        self._weights = self._workplace.publish(policy.state_dict())
        self.version += 1
        self._updating = False
        # Always as long as the first: of different lengths no update can be made. The last may go beyond a budget.
        steps = max(budget.steps, self._order.steps)
        self._order = Order(steps, budget.episodes, budget.whole, self.steps)

    def _begin_all(self) -> None:
        """Let those begin who may, first whoever did so longest ago."""
        idle = [share for share in range(len(self._counts)) if share not in self._begun]
        for share in sorted(idle, key=lambda share: self._turns[share]):
            if self._over or not self._in_time():
                return
            begun = _Begun(BatchId(share, self._generation, self._numbers[share]), self.version)
            self._numbers[share] += 1
            self._turns[share] = sum(self._numbers)
            self.ledger.notice(begun.id)
            self._begun[share] = begun
            self._workplace.mates[share].roll(self._weights, self._order)

    def _in_time(self) -> bool:
        """Whether a rollout of the newest weights would not be too old if all others were learned from before it."""
        ahead = len(self._begun) + len(self._in_hand)
        return ahead // self._together + self._updating <= self._max_stale

    def _driving(self) -> list[Mate]:
        return [self._workplace.mates[share] for share in self._begun]

    def _gather(self, mates: Sequence[Mate]) -> None:
        """Take what is ready, by the order of the shares."""
        for share, mate in enumerate(self._workplace.mates):
            if share in self._begun and mate in mates and mate.ready():
                brought, begun = mate.brought(), self._begun.pop(share)
                self._brought[begun.id] = brought
                self._in_hand.add(Held(begun.id, begun.version, brought.rollout))

    def _enough(self) -> list[Held]:
        """What the next update is made of, by the order of the shares; empty while more has to come."""
        for id_ in self._in_hand.drop_stale(self.version):
            self.ledger.decide(id_, "stale")
            self._leave(id_)
        return sorted(self._in_hand.enough(), key=lambda each: each.id)

    def _taken(self, some: Sequence[Held]) -> Rollout:
        rollout = self._in_hand.take(some, self.version)
        for each in some:
            self.ledger.decide(each.id, TRAINED)
        self._account([self._leave(each.id) for each in some])
        self._note(self._states)
        self.steps += rollout.rewards.size
        return rollout

    def _leave(self, id_: BatchId) -> Brought:
        """Let a rollout go that was decided about: who goes on from here does not drive it again."""
        brought = self._brought.pop(id_)
        self._states[id_.share] = brought.state
        return brought

    # ------------------------------------------------------------------------------------------- while updates are made

    def _let_go_on(self) -> None:
        """See to it that mates are looked after while this thread does something else."""
        if self._workplace.meanwhile and self._thread is None:
            self._thread = Thread(target=self._look_after, name="crew", daemon=True)
            self._thread.start()

    def _look_after(self) -> None:
        try:
            while not self._over:
                with self._changed:
                    driving = self._driving()
                ready = self._workplace.wait(driving, _LOOK_S)
                with self._changed:
                    self._gather(ready)
                    self._begin_all()
                    self._changed.notify_all()
        except BaseException as error:  # it is the other thread's to raise
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _see(self) -> None:
        """Raise what went wrong in the other thread."""
        if self._error is not None:
            raise self._error
