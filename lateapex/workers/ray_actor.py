"""An actor of a Ray cluster that is begun again where it is lost.

Whoever asks it for something says what the next actor is to be asked in its place.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple

import ray
from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError

from lateapex import errors
from lateapex.errors import LateapexError, TrainingError
from lateapex.workers.makers import Made, Maker

_LOST: Final = (RayActorError, ObjectLostError, WorkerCrashedError, NodeDiedError, OutOfMemoryError)
"""How it shows that an actor, its machine, or what it brought is gone."""
_TRIES: Final = 5  # actors in a row that are lost before it is given up
_TOLD_S: Final = 10.0  # that actors wait for cores until it is told
_ENVIRONMENT: Final = {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}}


class Failed(NamedTuple):
    """What an actor could not do, in place of the result: a user's mistake is told in one line, without a trace."""

    kind: str
    message: str


class Hosted(Generic[Made]):
    """What an actor is: something in a process of its own."""

    def __init__(self, maker: Maker[Made]) -> None:
        self._maker = maker
        self._made: Made | None = None
        self._failed: Failed | None = None

    @property
    def made(self) -> Made:
        """What was made."""
        if self._made is None:
            raise RuntimeError("nothing was made")
        return self._made

    def open(self) -> Any:
        """Make it."""

        def make() -> None:
            self._maker.begin()
            self._made = self._maker()

        return self._told(make)

    def _told(self, do: Callable[[], Any]) -> Any:
        """What `do` gives, unless something failed: nobody asks what each call came to."""
        try:
            return self._failed or do()
        except LateapexError as error:
            self._failed = Failed(type(error).__name__, str(error))
            return self._failed


class LastingActor:
    """An actor, and the next one where that is lost.

    Args:
        kind: what it is.
        maker: of what it holds.
        name: how messages call it.
        work: what is done again where it is lost.
        tell: gets a line on whatever goes another way than planned.
        wait_seconds: that it waits for a core of its own before it shares one; 0: it shares one from the beginning.
    """

    def __init__(
        self,
        kind: type[Hosted[Any]],
        maker: Maker[Any],
        name: str,
        work: str,
        tell: Callable[[str], None],
        *,
        wait_seconds: float = 0.0,
    ) -> None:
        self.others: Sequence[LastingActor] = ()
        """Those who may lose their actors while this one waits."""
        self._kind, self._maker = kind, maker
        self._name, self._work, self._tell = name, work, tell
        self._wait_seconds = wait_seconds
        self._cores = 1 if wait_seconds else 0
        self._lost = 0  # actors in a row
        self._begin(self._cores)

    def _begin(self, cores: int) -> None:
        self._actor = ray.remote(self._kind).options(num_cpus=cores, runtime_env=_ENVIRONMENT).remote(self._maker)
        self._opened = self._actor.open.remote()
        self._since, self._told, self._has_core = time.monotonic(), False, cores > 0

    def leave(self) -> None:
        """End the actor."""
        with contextlib.suppress(*_LOST):
            ray.kill(self._actor, no_restart=True)

    def _ask(self, ask: Callable[[], Any], again: Callable[[], Any]) -> None:
        """Ask the actor for something; `again` asks the next one, in case this is lost."""
        self._again, self._found = again, None
        self._asked = ask()

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

    def _held(self) -> None:
        """Note that an actor was there for all of its work."""
        self._lost = 0

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
        self._tell(f"{self._name} was lost and is replaced; {self._work} is driven again ({reason})")
        self._begin_again(self._cores)

    def _begin_again(self, cores: int) -> None:
        self.leave()
        self._begin(cores)
        self._asked = self._again()

    def _look_for_core(self) -> None:
        """Begin an actor that found no free core in time where others are."""
        waited = time.monotonic() - self._since
        if not self._has_core:
            return
        if waited > _TOLD_S and not self._told:
            self._told = True
            self._tell(f"{self._name} waits for a free core; {_cores_text()}")
        if waited > self._wait_seconds:
            self._begin_again(cores=0)


def _cores_text() -> str:
    free, there = (found.get("CPU", 0.0) for found in (ray.available_resources(), ray.cluster_resources()))
    return f"{free:g} of the cluster's {there:g} are free"
