"""What a step pays: the racer's own `reward_function(params)`.

A reward file is run as it is, once for each car, so that what it remembers from call to call is that car's own, as
in the original with its one car a process.

For speed it may define `reward_batch(params)` beside it or in its place: that gets each parameter of all N cars at
once, an array `[N]` (`closest_waypoints`: `[N, 2]`; `objects_...` of K objects: `[N, K]`; `waypoints`: N lists), and
returns an array `[N]`. It is called for all cars, also for those that are not paid at that step (nothing is asked of
their values), and what it remembers belongs to all of them. Where both are defined they have to agree, which is tried
on the first steps.
"""

from __future__ import annotations

import ast
import io
import linecache
import math
import re
import sys
import threading
import time
import tokenize
import traceback
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import resources
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateapex.env.reward_base import LIMIT, Reward, Step
from lateapex.env.reward_batch import OBJECTS, BatchParams
from lateapex.env.reward_habits import hint, old_arguments, why_not_python
from lateapex.env.reward_numpy import builtins_with, numpy_of_old, pardon_old_calls
from lateapex.env.reward_prints import Prints
from lateapex.env.reward_random import LOADING, OwnRandom
from lateapex.env.reward_ros import Clock, rospy_with
from lateapex.errors import RewardError, did_you_mean

_MODULE = "reward_function"
_TRIED_STEPS, _TRIED_CARS = 10, 16  # on which reward_batch is compared with reward_function


class RewardFunction(Reward):
    """A loaded reward file.

    Args:
        text: the file's Python text.
        source: its path, for messages.
        batched: use `reward_batch` where the file has one; False: only where it has no `reward_function`.
        seed: of what it draws from `random` and `numpy.random`.
        first_car: number of the first car, to which these draws belong.
        call_at_step_1: call it at the start of an episode too, where steps is 1; what it returns there is not paid.
        prints: takes what it prints; stdout if not given.

    Raises:
        RewardError: it is no Python, raises when it is run, or has neither function.
    """

    def __init__(
        self,
        text: str,
        source: str,
        *,
        batched: bool = True,
        seed: int = 0,
        first_car: int = 0,
        call_at_step_1: bool = False,
        prints: Prints | None = None,
    ) -> None:
        super().__init__(text, source, call_at_step_1=call_at_step_1, prints=prints)
        self._random = OwnRandom(text, seed, first_car)
        self._code = _compiled(text, source)
        self._clock = Clock()
        self._own = {
            name: make
            for name, make in (("numpy", numpy_of_old), ("rospy", partial(rospy_with, self._clock)))
            if name in text
        }
        pardon_old_calls(_MODULE)
        with self._surroundings(), self._random.borrowed():
            begun = time.perf_counter()
            module = self._load(0)
            self.load_seconds = time.perf_counter() - begun
        self._modules: list[ModuleType] = []
        batch = getattr(module, "reward_batch", None)
        self._batch: Callable[[MutableMapping[str, Any]], Any] | None = None
        if callable(batch):
            self._batch = batch
        single = getattr(module, "reward_function", None)
        self._functions: list[Callable[[dict[str, Any]], Any]] = []
        if callable(single) and self._batch is not None and not batched:
            self._batch = None
        elif self._batch is None:
            self._functions.append(_function(module, source))
            self._modules.append(module)
        # The batch's module is nobody's own: what the two remember must not mix.
        self._steps_to_try = _TRIED_STEPS if self._batch is not None and callable(single) else 0
        self._line = getattr(getattr(single, "__code__", None), "co_firstlineno", 1)

    def close(self) -> None:
        """There is nothing outside this process."""

    def _load(self, car: int) -> ModuleType:
        self.running = self.running[0], self.running[1] + 1
        if self._random.used:
            self._random.begin(car, LOADING, 0)
        own = {name: make() for name, make in self._own.items()}
        return _run(self._code, self.source, builtins_with(own) if own else None)

    def _surroundings(self) -> AbstractContextManager[Any]:
        return self.prints.step() if self.prints is not None else nullcontext()

    def _of_car(self, car: int) -> Callable[[dict[str, Any]], Any]:
        """The function in the module that belongs to one car."""
        while len(self._functions) <= car:
            self._modules.append(self._load(len(self._functions)))
            self._functions.append(_function(self._modules[-1], self.source))
        sys.modules[_MODULE] = self._modules[car]
        return self._functions[car]

    def __call__(
        self,
        params: Mapping[str, Any],
        shared: Mapping[str, Any],
        needed: NDArray[np.bool_],
        episode: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """See Reward."""
        begun = time.perf_counter()
        called = needed | (params["steps"] == 1) if self.call_at_step_1 else needed
        self.running = threading.get_ident(), self.running[1]
        try:
            with self._surroundings(), self._random.borrowed():
                rewards = self._pay(Step(params, shared, called, episode))
        finally:
            self.running = None, self.running[1]
        rewards[~needed] = 0.0
        self.calls += int(np.count_nonzero(called))
        self.seconds += time.perf_counter() - begun
        return rewards

    def _pay(self, step: Step) -> NDArray[np.float64]:
        """Rewards of the cars that are paid; 0 for the others."""
        params, _, needed, episode = step
        rewards = np.zeros(len(needed))
        if "rospy" in self._own and len(needed):
            self._clock.seconds = float(params["sim_time"][0])
        if self._batch is None:
            self._pay_singly(step, rewards)
        elif needed.any():
            if self._random.used:
                self._random.begin(0, int(episode[0]), int(params["steps"][0]))
            rewards[needed] = self._batch_rewards(self._batch, step)
            if self._steps_to_try:
                self._steps_to_try -= 1
                self._compare(step, rewards)
        return rewards

    def _pay_singly(self, step: Step, rewards: NDArray[np.float64]) -> None:
        """Fill in the rewards of the cars that are paid, by a call for each."""
        params, shared, needed, episode = step
        waypoints, names = shared["waypoints"], tuple(params)
        columns = [params[name].tolist() for name in names]
        paid = needed.tolist()
        for car, values in enumerate(zip(*columns, strict=True)):
            if paid[car]:
                single: dict[str, Any] = dict(zip(names, values, strict=True))
                single["waypoints"] = waypoints[car].copy()
                for name in OBJECTS:
                    single.setdefault(name, [])
                function = self._of_car(car)
                if self._random.used:
                    self._random.begin(car, int(episode[car]), int(single["steps"]))
                rewards[car] = self._one(function, single, episode, car)

    def _compare(self, step: Step, rewards: NDArray[np.float64]) -> None:
        """Call `reward_function` for the first cars too, which has to pay as much as `reward_batch`."""
        tried = step.needed & (np.arange(len(step.needed)) < _TRIED_CARS)
        expected = np.zeros(len(step.needed))
        self._pay_singly(step._replace(needed=tried), expected)
        apart = np.flatnonzero(tried & ~np.isclose(rewards, expected, rtol=1e-6, atol=1e-9))
        if len(apart):
            car = apart[0]
            when = f"at step {step.params['steps'][car]:.0f} of episode {step.episode[car]}"
            raise RewardError(
                f"{self.source}: reward_batch gives {rewards[car]:g} and reward_function {expected[car]:g}, {when}; "
                "make them agree, or remove reward_batch"
            )

    def _one(
        self,
        function: Callable[[dict[str, Any]], Any],
        params: dict[str, Any],
        episode: NDArray[np.int64],
        car: int,
    ) -> float:
        step = params["steps"]
        self.running = self.running[0], self.running[1] + 1
        try:
            value = function(params)
        except (Exception, SystemExit) as error:
            raise RewardError(_raised(error, self.source, step, int(episode[car]), params)) from None
        if type(value) is float and -LIMIT <= value <= LIMIT:
            return value
        return self._checked(value, step, int(episode[car]), params)

    def _checked(self, value: Any, step: float, episode: int, params: Mapping[str, Any]) -> float:
        try:
            single = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
            number = float(single)
        except Exception:  # the racer's own class may raise anything
            number = math.nan
        if math.isfinite(number) and abs(number) <= LIMIT:
            return number
        raise RewardError(
            f"{self.source}:{self._line}: reward_function returned {_short(value)} "
            f"at step {step:.0f} of episode {episode}; "
            f"a finite number from -1e5 to 1e5 is needed on every path. {_shown(params)}"
        )

    def _batch_rewards(self, batch: Callable[[MutableMapping[str, Any]], Any], step: Step) -> NDArray[np.float64]:
        """Rewards of the cars that are paid."""
        count = len(step.needed)
        try:
            self.running = self.running[0], self.running[1] + 1
            values = np.asarray(batch(BatchParams(step)), np.float64)
        except (Exception, SystemExit) as error:
            raise RewardError(f"{_place_in(error, self.source)}: {_told(error)}, in reward_batch") from None
        paid = values[step.needed] if values.shape == (count,) else np.array([math.nan])
        if not (np.abs(paid) <= LIMIT).all():
            raise RewardError(
                f"{self.source}: reward_batch returned shape {values.shape}, values {_short(values.ravel().tolist())}; "
                f"{count} finite numbers from -1e5 to 1e5 are needed"
            )
        return paid


def load_reward(name_or_path: str | Path, *, batched: bool = True) -> RewardFunction:
    """Load a reward that comes with the package, by name, or a racer's file.

    Raises:
        RewardError: no such name or file; the file has a syntax error, raises when run, or lacks `reward_function`
            and `reward_batch`.
    """
    text, source = read_reward(name_or_path)
    return RewardFunction(text, source, batched=batched)


def read_reward(name_or_path: str | Path) -> tuple[str, str]:
    """Text of a reward and its name for messages; nothing is run.

    Raises:
        RewardError: no such name or file, or it is no text.
    """
    word = str(name_or_path)
    if word in reward_names():
        return _shipped(word), f"{word}.py"
    try:
        return python_text(_bytes_at(word)), word
    except FileNotFoundError:
        names = reward_names()
        known = f"give the path of a Python file, or one of: {', '.join(names)}"
        raise RewardError(f"no reward file is at {word}{did_you_mean(word, names)}; {known}") from None
    except (OSError, ValueError, SyntaxError) as error:  # no UTF-8, or a zero byte in the path
        raise RewardError(f"cannot read {word}: {error}; a Python file in UTF-8 is needed") from None


def _bytes_at(place: str) -> bytes:
    # What this module loads is inside the sandbox's walls too: stores and their sockets are to stay outside.
    from lateapex.storage import is_far, read_far

    return read_far(place) if is_far(place) else Path(place).read_bytes()


def reward_names() -> list[str]:
    """Names of the rewards that come with the package."""
    folder = resources.files("lateapex") / "data" / "rewards"
    return sorted(item.name.removesuffix(".py") for item in folder.iterdir() if item.name.endswith(".py"))


def summary(text: str) -> str:
    """The first sentence of a reward's docstring."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = ast.get_docstring(ast.parse(text)) or ""
    first = " ".join(said.split("\n\n")[0].split())
    return re.split(r": (?:an|the) example", first)[0].rstrip(".")


def _shipped(name: str) -> str:
    return (resources.files("lateapex") / "data" / "rewards" / f"{name}.py").read_text(encoding="utf-8")


def python_text(data: bytes) -> str:
    """Text of a Python file in whatever encoding it says it has; what it says then is UTF-8, as which it is kept.

    Raises:
        UnicodeDecodeError, SyntaxError: it is in none, or in one that Python does not know.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError:
        encoding = "utf-8"
        data.decode(encoding)  # tells which byte is wrong
        raise
    text = io.TextIOWrapper(io.BytesIO(data), encoding=encoding).read()
    if encoding.startswith("utf-8"):
        return text
    first, second, *others = text.split("\n", 2) + [""] * 2
    cookie = re.compile(r"(?<=coding[=:])[ \t]*[-\w.]+")
    return "\n".join([cookie.sub(" utf-8", first, 1), cookie.sub(" utf-8", second, 1), *others[:1]])


def _compiled(text: str, source: str) -> CodeType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # lateapex check tells them
            warnings.simplefilter("ignore", DeprecationWarning)  # what they were before Python 3.12
            code = compile(text, source, "exec", dont_inherit=True)
    except SyntaxError as error:
        line, reason = why_not_python(error, text)
        raise RewardError(f"{source}:{line}: {reason}" if line else f"{source} {reason}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # the last two: nested too deep
        raise RewardError(f"{source}: {_told(error)}; a Python file is needed") from None
    linecache.cache[source] = (len(text), None, text.splitlines(keepends=True), source)
    return code


def _run(code: CodeType, source: str, own_builtins: dict[str, Any] | None) -> ModuleType:
    """Run a reward file as the module `reward_function`, with builtins of its own where some are given."""
    module = ModuleType(_MODULE)
    module.__file__ = source
    if own_builtins is not None:
        vars(module)["__builtins__"] = own_builtins
    sys.modules[_MODULE] = module  # dataclasses look their module up by name
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        known = hint(error, {})
        raise RewardError(
            f"{_place_in(error, source)}: {_told(error)}, when the file was loaded{known and '.' + known}"
        ) from None
    return module


def _function(module: ModuleType, source: str) -> Callable[[dict[str, Any]], Any]:
    function = getattr(module, "reward_function", None)
    if callable(function):
        if mend := old_arguments(function):
            line = getattr(getattr(function, "__code__", None), "co_firstlineno", 1)
            raise RewardError(f"{source}:{line}: {mend}")
        return function  # type: ignore[no-any-return] # whatever the racer's file defines
    names = [name for name, item in vars(module).items() if callable(item) and not name.startswith("_")]
    has = f"it defines {', '.join(names)}" if names else "it defines no function"
    raise RewardError(f"{source} has no reward_function(params); {has}")


def _place_in(error: BaseException, source: str) -> str:
    """File and line of the racer's code where the error came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == source]
    return f"{source}:{lines[-1]}" if lines else source


def _told(error: BaseException) -> str:
    """Type and message of an error, on one line."""
    return _cut(f"{type(error).__name__} {error}", 200)


def _raised(error: BaseException, source: str, step: float, episode: int, params: Mapping[str, Any]) -> str:
    known = hint(error, params)
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    if isinstance(key, str) and key not in params:
        known = f" params has no {_short(key)}{did_you_mean(key, params) or '.'}"
    return (
        f"{_place_in(error, source)}: {_told(error)}, at step {step:.0f} of episode {episode}.{known} {_shown(params)}"
    )


def _shown(params: Mapping[str, Any]) -> str:
    """The parameters on one line, the waypoints counted; the function may have put anything into them."""
    parts = []
    for name, value in params.items():
        if name == "waypoints" and isinstance(value, list):
            parts.append(f"waypoints: {len(value)} points")
        elif isinstance(value, float):
            parts.append(f"{name}: {value:.4g}")
        elif not (isinstance(value, list) and (not value or name == "closest_objects")):
            parts.append(f"{name}: {_short(value)}")
    return "params: " + ", ".join(parts)


def _short(value: Any) -> str:
    """A value on one line."""
    try:
        return _cut(repr(value), 60)
    except Exception:  # a number of thousands of digits, a class of the racer's
        return f"a value of type {type(value).__name__}"


def _cut(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."
