"""What became of every batch: produced = trained once + discarded, by reason, + waiting.

Each producer numbers its batches from 0 and announces them in that order. So the greatest number that was seen says how
many there are, and a number that is missing below it is a loss that can be counted. What was decided is counted apart:
that both agree is a check, not a definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from lateapex.errors import FormatError

TRAINED: Final = "trained"
DUPLICATE: Final = "duplicate"
REASONS: Final = {
    "stale": "made with a version of the model that is too old",
    DUPLICATE: "announced again after it was decided",
    "torn": "not what was announced, or not whole",
    "lost": "announced or begun, and gone",
    "unused": "still waiting when training ended",
}
"""Why a batch is discarded."""


class BatchId(NamedTuple):
    """Names a batch for ever."""

    share: int
    generation: int
    """The token of the share's holder."""
    number: int
    """Counts what that holder has made, from 0."""

    def __str__(self) -> str:
        return f"{self.share:04d}-{self.generation:06d}-{self.number:08d}"

    @classmethod
    def parse(cls, text: str) -> BatchId | None:
        """Return what was written so, or None."""
        parts = text.split("-")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            return None
        found = cls(*map(int, parts))
        return found if str(found) == text else None


@dataclass
class _Producer:
    seen: int = 0
    """One more than the greatest number that was seen."""
    done: int = 0
    """All numbers below are decided."""
    beyond: set[int] = field(default_factory=set)
    """Decided numbers above that."""

    def has(self, number: int) -> bool:
        return number < self.done or number in self.beyond

    def decide(self, number: int) -> None:
        self.beyond.add(number)
        while self.done in self.beyond:
            self.beyond.remove(self.done)
            self.done += 1

    @property
    def decided(self) -> int:
        return self.done + len(self.beyond)


class Ledger:
    """Counts what was produced, and what was decided about each batch, once."""

    def __init__(self) -> None:
        self.trained = 0
        self.discarded = dict.fromkeys(REASONS, 0)
        self._producers: dict[tuple[int, int], _Producer] = {}

    def notice(self, batch: BatchId) -> None:
        """Count a batch, and all that its producer must have made before it."""
        producer = self._producers.setdefault(batch[:2], _Producer())
        producer.seen = max(producer.seen, batch.number + 1)

    def decided(self, batch: BatchId) -> bool:
        """Whether a batch was trained on or discarded."""
        producer = self._producers.get(batch[:2])
        return producer is not None and producer.has(batch.number)

    def decide(self, batch: BatchId, verdict: str) -> None:
        """Write down what became of a batch: `TRAINED` or one of `REASONS`; of a duplicate `repeat` is told.

        Raises:
            ValueError: that was decided before, or there is no such verdict.
        """
        if self.decided(batch):
            raise ValueError(f"batch {batch} was decided before")
        if verdict == DUPLICATE or verdict not in (TRAINED, *REASONS):
            raise ValueError(f"no batch is {verdict!r}")
        self.notice(batch)
        self._producers[batch[:2]].decide(batch.number)
        if verdict == TRAINED:
            self.trained += 1
        else:
            self.discarded[verdict] += 1

    def repeat(self) -> None:
        """Count a second announcement of a decided batch."""
        self.discarded[DUPLICATE] += 1

    def undecided(self) -> Iterator[BatchId]:
        """All batches that were noticed, or must exist before one that was, and wait."""
        for (share, generation), producer in sorted(self._producers.items()):
            for number in range(producer.done, producer.seen):
                if not producer.has(number):
                    yield BatchId(share, generation, number)

    def learn_of(self, other: Ledger) -> None:
        """Notice all that another ledger has noticed."""
        for (share, generation), producer in other._producers.items():
            if producer.seen:
                self.notice(BatchId(share, generation, producer.seen - 1))

    @property
    def produced(self) -> int:
        """Batches, and announcements that only repeated one."""
        return sum(producer.seen for producer in self._producers.values()) + self.discarded[DUPLICATE]

    @property
    def waiting(self) -> int:
        """Batches that nothing was decided about."""
        return sum(producer.seen - producer.decided for producer in self._producers.values())

    @property
    def balanced(self) -> bool:
        """Whether produced = trained + discarded + waiting."""
        return self.produced == self.trained + sum(self.discarded.values()) + self.waiting

    def lines(self) -> list[str]:
        """The account, to be printed."""
        counts = [("produced", self.produced, ""), ("trained once", self.trained, "")]
        counts += [(f"discarded, {reason}", self.discarded[reason], why) for reason, why in REASONS.items()]
        counts += [("waiting", self.waiting, "")]
        table = [f"{name:<20} {count:>8}  {why}".rstrip() for name, count, why in counts]
        return [*table, "balanced" if self.balanced else "NOT BALANCED"]

    def summary(self) -> dict[str, Any]:
        """The account as numbers."""
        return {
            "produced": self.produced,
            "trained": self.trained,
            "discarded": dict(self.discarded),
            "waiting": self.waiting,
            "balanced": self.balanced,
        }

    def plain(self) -> dict[str, Any]:
        """The ledger as numbers, texts, lists and dicts."""
        producers = [[*key, each.seen, each.done, sorted(each.beyond)] for key, each in sorted(self._producers.items())]
        return {"trained": self.trained, "discarded": dict(self.discarded), "producers": producers}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Ledger:
        """Return the ledger that `plain` gave.

        Raises:
            FormatError: it is none.
        """
        ledger = cls()
        try:
            ledger.trained = int(plain["trained"])
            ledger.discarded |= {reason: int(plain["discarded"][reason]) for reason in REASONS}
            for share, generation, seen, done, beyond in plain["producers"]:
                ledger._producers[int(share), int(generation)] = _Producer(
                    int(seen), int(done), {int(n) for n in beyond}
                )
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"that is no ledger of batches: {error!r}") from None
        return ledger
