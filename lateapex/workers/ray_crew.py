"""Mates of a crew as actors of a Ray cluster.

Weights are put once into Ray's object store, from where all actors of a machine read them without a copy; rollouts
come back the same way. Who is lost is replaced: the new actor gets the share's snapshot of before the rollout, and
drives that again, so that the run is the same as if nobody had been lost.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import ray
from ray.exceptions import RayError

from lateapex.errors import ConfigError
from lateapex.workers.arrays import same_arrays, to_arrays, to_tensors
from lateapex.workers.crew import Brought, Mate, Order, Share, State, Weights, WorkersConfig
from lateapex.workers.evaluation import Evaluation
from lateapex.workers.makers import Maker
from lateapex.workers.ray_actor import Hosted, LastingActor
from lateapex.workers.ray_evaluation import RayEvaluation

_LOOK_S: Final = 1.0  # from one look at all actors to the next, while none of them brings anything
_KNOCK_S: Final = 10.0  # that the head of a cluster may take to answer


class _Driver(Hosted[Share]):
    """A share in a process of its own."""

    @property
    def _share(self) -> Share:
        return self.made

    def state(self) -> Any:
        """See Share."""
        return to_arrays(self._share.state())

    def restore(self, state: Any) -> Any:
        """See Share."""
        return self._told(lambda: self._share.restore(to_tensors(state)))

    def drive(self, weights: Any, steps: int) -> Any:
        """See Share."""
        return self._told(lambda: self._share.drive(to_tensors(weights), steps))

    def finish(self, whole: int | None) -> Any:
        """See Share; returns what failed before."""
        return self._told(lambda: to_arrays(self._share.finish(whole)))

    def roll(self, weights: Any, order: Order) -> Any:
        """See Share."""
        return self._told(lambda: to_arrays(self._share.roll(to_tensors(weights), order)))


class RayMate(LastingActor):
    """A mate in an actor, and in the next one where that is lost."""

    def __init__(self, maker: Maker[Share], wait_seconds: float, tell: Callable[[str], None], name: str) -> None:
        super().__init__(_Driver, maker, name, "its share of this rollout", tell, wait_seconds=wait_seconds)
        self._state: Any = None  # as arrays
        self._weights: Any = None
        self._steps = 0  # driven in this rollout
        self._ask(lambda: self._actor.state.remote(), lambda: self._actor.state.remote())

    def drive(self, weights: Any, steps: int) -> None:
        """Ask the actor."""
        if weights is not None:
            self._weights, self._steps = weights, 0
        self._steps += steps
        self._ask(lambda: self._actor.drive.remote(weights, steps), self._redo)

    def ended(self) -> int:
        """Wait for the actor."""
        return int(self._answer())

    def finish(self, whole: int | None) -> None:
        """Ask the actor."""

        def again() -> Any:
            self._redo()
            return self._actor.finish.remote(whole)

        self._ask(lambda: self._actor.finish.remote(whole), again)

    def roll(self, weights: Any, order: Order) -> None:
        """Ask the actor."""

        def again() -> Any:
            self._actor.restore.remote(self._state)
            return self._actor.roll.remote(weights, order)

        self._ask(lambda: self._actor.roll.remote(weights, order), again)

    def ready(self) -> bool:
        """Look, without waiting."""
        return self.look(0.0)

    @property
    def asked(self) -> Any:
        """What stands for the answer until it is there."""
        return self._asked

    def brought(self) -> Brought:
        """Wait for the actor."""
        found = self._answer()
        self._state = found.state
        self._held()
        brought: Brought = to_tensors(found)
        return brought

    def state(self) -> State:
        """Wait for an actor that has just begun; later it is known here."""
        if self._state is None:
            self._state = self._answer()
        state: State = to_tensors(self._state)
        return state

    def restore(self, state: State) -> None:
        """Ask the actor."""
        self._state = to_arrays(state)
        self._actor.restore.remote(self._state)

    def _redo(self) -> Any:
        """Ask a new actor for all that was asked of the lost one in this rollout."""
        self._actor.restore.remote(self._state)
        return self._actor.drive.remote(self._weights, self._steps)


class RayWorkplace:
    """Actors, and the cluster that they are in.

    Args:
        makers: of the mates' shares.
        settings: which cluster, if this process is in none.
        tell: gets a line on whatever goes another way than planned.

    Raises:
        ConfigError: there is no such cluster.
        LateapexError: a share cannot be made.
    """

    def __init__(self, makers: Sequence[Maker[Share]], settings: WorkersConfig, tell: Callable[[str], None]) -> None:
        self._joined = not ray.is_initialized()
        if self._joined:
            _join(settings.ray_address, len(makers))
        self.mates = [
            RayMate(maker, settings.wait_seconds, tell, f"worker {place} of {len(makers)}")
            for place, maker in enumerate(makers, 1)
        ]
        for mate in self.mates:
            mate.others = [other for other in self.mates if other is not mate]
        self.meanwhile = True
        self._looked = time.monotonic()
        self._actors: list[LastingActor] = [*self.mates]
        self._published: Any = None
        self._tell = tell

    def wait(self, mates: Sequence[Mate], seconds: float) -> Sequence[Mate]:
        """Wait for one of them; now and then return all, so that those who wait for a core are looked after."""
        asked = {mate.asked: mate for mate in self.mates if mate in mates}
        if not asked:
            time.sleep(seconds)
            return []
        done, _ = ray.wait(list(asked), timeout=seconds)
        if done or time.monotonic() - self._looked < _LOOK_S:
            return [asked[each] for each in done]
        self._looked = time.monotonic()
        return mates

    def evaluation(self, maker: Maker[Evaluation]) -> RayEvaluation:
        """Begin one more actor, which ends with the others."""
        found = RayEvaluation(maker, self._tell)
        self._actors.append(found)
        return found

    def publish(self, weights: Weights) -> Any:
        """Put them into the object store, unless they are what was put there last: those that were evaluated."""
        arrays = to_arrays(weights)
        if self._published is None or not same_arrays(arrays, ray.get(self._published)):
            self._published = ray.put(arrays)
        return self._published

    def close(self) -> None:
        """End all actors, and the cluster if it was begun here."""
        for actor in self._actors:
            actor.leave()
        if self._joined:
            ray.shutdown()


def _join(address: str, actors: int) -> None:
    """Join a cluster, or begin one on this machine."""
    if address.startswith("ray://"):
        raise ConfigError(
            f"ray_address is {address}, a gate for clients, which copies all that passes; run lateapex train on a "
            "machine of the cluster, with --ray-address auto"
        )
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        if address == "local":
            ray.init(address, num_cpus=max(os.cpu_count() or 1, actors), include_dashboard=False, **quiet)
        else:
            _knock(address)
            ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        reason = " ".join(str(error).split())[:300]
        help_ = (
            "see the logs of Ray"
            if address == "local"
            else "begin one with ray start --head, or leave --ray-address out for one on this machine"
        )
        raise ConfigError(f"no Ray cluster was joined at {address}: {reason}; {help_}") from None


def _knock(address: str) -> None:
    """See that somebody listens at host:port: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
