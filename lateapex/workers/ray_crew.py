"""Mates of a crew as actors of a Ray cluster: the only module that knows Ray.

Weights are put once into Ray's object store, from where all actors of a machine read them without a copy; rollouts
come back the same way. Who is lost is replaced: the new actor gets the share's snapshot of before the rollout, and
drives that again, so that the run is the same as if nobody had been lost.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    WorkerCrashedError,
)

from lateapex import errors
from lateapex.errors import ConfigError, LateapexError, TrainingError
from lateapex.workers.arrays import to_arrays, to_tensors
from lateapex.workers.crew import Brought, Maker, Mate, Order, Share, State, Weights, WorkersConfig

_LOST: Final = (RayActorError, ObjectLostError, WorkerCrashedError, NodeDiedError, OutOfMemoryError)
"""How it shows that an actor, its machine, or what it brought is gone."""
_TRIES: Final = 5  # actors in a row that one share loses before it is given up
_TOLD_S: Final = 10.0  # that actors wait for cores until it is told
_LOOK_S: Final = 1.0  # from one look at all actors to the next, while none of them brings anything
_KNOCK_S: Final = 10.0  # that the head of a cluster may take to answer
_ENVIRONMENT: Final = {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}}


class Failed(NamedTuple):
    """What an actor could not do, in place of the result: a user's mistake is told in one line, without a trace."""

    kind: str
    message: str


class _Actor:
    """A share in a process of its own."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._made: Share | None = None
        self._failed: Failed | None = None

    @property
    def _share(self) -> Share:
        if self._made is None:
            raise RuntimeError("the share was not made")
        return self._made

    def open(self) -> Any:
        """Make the share."""

        def make() -> None:
            self._maker.begin()
            self._made = self._maker()

        return self._told(make)

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

    def _told(self, do: Callable[[], Any]) -> Any:
        """What `do` gives, unless something failed: nobody asks what each call came to."""
        try:
            return self._failed or do()
        except LateapexError as error:
            self._failed = Failed(type(error).__name__, str(error))
            return self._failed


class RayMate:
    """A mate in an actor, and in the next one where that is lost."""

    def __init__(self, maker: Maker, wait_seconds: float, tell: Callable[[str], None], name: str) -> None:
        self.others: Sequence[RayMate] = ()
        """Those who may lose their actors while this one waits."""
        self._maker = maker
        self._wait_seconds = wait_seconds
        self._tell = tell
        self._name = name
        self._state: Any = None  # as arrays
        self._weights: Any = None
        self._steps = 0  # driven in this rollout
        self._lost = 0  # actors in a row
        self._begin()
        self._ask(lambda: self._actor.state.remote(), lambda: self._actor.state.remote())

    def _begin(self, cores: int = 1) -> None:
        self._actor = ray.remote(_Actor).options(num_cpus=cores, runtime_env=_ENVIRONMENT).remote(self._maker)
        self._opened = self._actor.open.remote()
        self._since, self._told, self._has_core = time.monotonic(), False, cores > 0

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
        self._state, self._lost = found.state, 0
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

    def leave(self) -> None:
        """End the actor."""
        with contextlib.suppress(*_LOST):
            ray.kill(self._actor, no_restart=True)

    def _ask(self, ask: Callable[[], Any], again: Callable[[], Any]) -> None:
        """Ask the actor for something; `again` asks the next one, in case this is lost."""
        self._again, self._found = again, None
        self._asked = ask()

    def _redo(self) -> Any:
        """Ask a new actor for all that was asked of the lost one in this rollout."""
        self._actor.restore.remote(self._state)
        return self._actor.drive.remote(self._weights, self._steps)

    def _answer(self) -> Any:
        """Wait for what was asked.

        Raises:
            LateapexError: what the actor could not do.
            TrainingError: actor after actor is lost.
        """
        while not self.look(1.0):
            for other in self.others:
                other.look(0.0)
        if isinstance(self._found, Failed):
            raise getattr(errors, self._found.kind)(self._found.message)
        return self._found

    def look(self, seconds: float) -> bool:
        """Whether the answer is here within so many seconds; an actor that was lost is replaced."""
        if self._found is not None:
            return True
        try:
            if not ray.wait([self._opened], timeout=seconds)[0]:
                self._look_for_core()
                return False
            self._found = ray.get(self._opened)
            if self._found is None and ray.wait([self._asked], timeout=seconds)[0]:
                self._found = ray.get(self._asked)
        except _LOST as error:
            self._replace(error)
        return self._found is not None

    def _replace(self, error: Exception) -> None:
        self._lost += 1
        reason = " ".join(str(error).split())[:200]
        if self._lost >= _TRIES:
            raise TrainingError(
                f"{self._name} was lost {self._lost} times in a row, last: {reason}; see the logs of Ray, "
                "or go on without workers: lateapex train --resume RUN --workers 0"
            )
        self._tell(f"{self._name} was lost and is replaced; its share of this rollout is driven again ({reason})")
        self._begin_again(cores=1)

    def _begin_again(self, cores: int) -> None:
        self.leave()
        self._begin(cores)
        self._asked = self._again()

    def _look_for_core(self) -> None:
        """Begin an actor that found no free core in time where others are."""
        waited = time.monotonic() - self._since
        if waited > _TOLD_S and not self._told:
            self._told = True
            self._tell(f"{self._name} waits for a free core; {_cores_text()}")
        if waited > self._wait_seconds and self._has_core:
            self._begin_again(cores=0)


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

    def __init__(self, makers: Sequence[Maker], settings: WorkersConfig, tell: Callable[[str], None]) -> None:
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

    def publish(self, weights: Weights) -> Any:
        """Put them into the object store."""
        return ray.put(to_arrays(weights))

    def close(self) -> None:
        """End all actors, and the cluster if it was begun here."""
        for mate in self.mates:
            mate.leave()
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


def _cores_text() -> str:
    free, there = (found.get("CPU", 0.0) for found in (ray.available_resources(), ray.cluster_resources()))
    return f"{free:g} of the cluster's {there:g} are free"
