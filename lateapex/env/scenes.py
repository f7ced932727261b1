"""Where the values of episodes come from: ranges, or a class of the user's own.

Such a class has a scene's tables as attributes, as its file would have them, and may have a method `sample` for what
no ranges say:

    class Dusk:
        base = "mild"
        car = {"grip": [0.6, 1.4]}

        def sample(self, rng, car, episode):
            dark = rng.uniform(0.3, 1.0)
            return {"light.red": dark, "light.green": dark, "light.blue": 0.5 + dark / 2, "picture.noise": 6 / dark}

`sample` is called anew for each car and episode, on an object of its own, with a generator that is theirs alone; what
it names takes the place of what the ranges say.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lateapex.env.user_code import file_of, is_reference, load_class, read_code, told
from lateapex.errors import ConfigError
from lateapex.sim.random import OWN_SCENE, SCENE, uniforms, words
from lateapex.world.scene_files import SceneRanges, load_scene, parse_scene
from lateapex.world.variation import QUANTITIES, parse_range, quantity_of

_TRIED: Final = 4  # cars for which a class is tried out


class Scenes(Protocol):
    """Says how the world of a car's next episode differs."""

    name: str

    def draw(self, seed: int, cars: NDArray[np.int64], episodes: NDArray[np.int64]) -> NDArray[Any]:
        """Values of some cars' episodes, `[M]` of VARIATION_DTYPE.

        Args:
            seed: of the task.
            cars, episodes: `[M]` numbers, counted from 0.
        """
        ...


class DrawnScenes:
    """Scenes whose values are drawn from ranges."""

    def __init__(self, ranges: SceneRanges) -> None:
        self.name = ranges.name
        self._ranges = ranges

    def draw(self, seed: int, cars: NDArray[np.int64], episodes: NDArray[np.int64]) -> NDArray[Any]:
        """Draw from the stream that belongs to each car and episode."""
        blocks = np.arange(-(-len(QUANTITIES) // 4))
        draws = uniforms(seed, cars[:, None], episodes[:, None], SCENE, blocks)
        return self._ranges.sample(draws.reshape(len(cars), 4 * len(blocks)))


class UserScenes:
    """Scenes of a user's own class; see the module's description.

    Args:
        kind: the class.
        source: what it is called in messages.
        path: its file, whose lines messages name.
        kept: texts of presets that hold in place of this version's, as `parse_scene` takes them.

    Raises:
        ConfigError: it is no scene, or its `sample` fails, or gives other values when it is asked again.
    """

    def __init__(
        self,
        kind: type[Any],
        source: str | None = None,
        path: str | None = None,
        kept: Mapping[str, str] | None = None,
    ) -> None:
        self.source = source or kind.__name__
        about = (inspect.cleandoc(kind.__doc__ or "").splitlines() or [""])[0]
        tables = {"name": kind.__name__, "about": about, **_tables(kind, self.source)}
        self.ranges = parse_scene(tables, self.source, kept)
        """What its attributes say."""
        self.name = self.ranges.name
        self.base: str = tables.get("base", "")
        """The preset that it builds on; empty: none."""
        self.samples = hasattr(kind, "sample")
        """Whether it draws values by itself too."""
        self._kind, self._path = kind, path or inspect.getsourcefile(kind) or self.source
        self._drawn = DrawnScenes(self.ranges)
        if not self.samples and not self.ranges.ranges:
            raise ConfigError(f'{self.source} lets nothing vary; give it a table such as car = {{"grip": [0.6, 1.4]}}')
        self.varied = frozenset(self.ranges.ranges) | self._tried_out()
        """Names of what its ranges let vary, and of what `sample` changed when it was tried out."""

    def draw(self, seed: int, cars: NDArray[np.int64], episodes: NDArray[np.int64]) -> NDArray[Any]:
        """Draw from the streams that belong to each car and episode."""
        values = self._drawn.draw(seed, cars, episodes)
        if self.samples:
            for place, (car, episode) in enumerate(zip(cars.tolist(), episodes.tolist(), strict=True)):
                for name, value in self._sampled(seed, car, episode).items():
                    values[name][place] = value
        return values

    def _sampled(self, seed: int, car: int, episode: int) -> dict[str, float]:
        key = words(seed, car, episode, OWN_SCENE).reshape(2, 2)
        rng = np.random.Generator(np.random.Philox(key=key[:, 0] << np.uint64(32) | key[:, 1]))
        try:
            found = self._kind().sample(rng, car, episode)
        except Exception as error:  # whatever the user's class raises
            raise ConfigError(told(error, self._path)) from None
        where = f"{self.source}: sample"
        if not isinstance(found, Mapping):
            raise ConfigError(f'{where} returned {found!r}; a dictionary such as {{"car.grip": 0.9}} is needed')
        return {name: _value(name, value, where) for name, value in found.items()}

    def _tried_out(self) -> frozenset[str]:
        """See that the values of an episode depend on nothing but its generator, car and number; what is not usual."""
        cars = np.arange(_TRIED)
        once, again = (self.draw(0, cars, np.zeros_like(cars)) for _ in range(2))
        for item in QUANTITIES:
            if (differ := np.flatnonzero(once[item.name] != again[item.name])).size:
                values = " and then ".join(f"{of[item.name][differ[0]]:g}" for of in (once, again))
                raise ConfigError(
                    f"{self.source}: sample gave {item.name} {values} for the same car and episode; "
                    "take all that is random from rng"
                )
        return frozenset(item.name for item in QUANTITIES if (once[item.name] != item.neutral).any())


GivenScene: TypeAlias = Scenes | SceneRanges | type[Any] | str | None
"""What a caller may give for scenes."""


def scenes_of(scene: GivenScene) -> Scenes | None:
    """Scenes of what a caller may give: themselves, ranges, a class, or what `load_scenes` takes.

    Returns:
        None where nothing varies.

    Raises:
        ConfigError: see `load_scenes`.
    """
    found = load_scenes(scene) if isinstance(scene, str) else scene
    if isinstance(found, type):
        return UserScenes(found)
    if isinstance(found, SceneRanges):
        return DrawnScenes(found) if found.ranges else None
    return found


def load_scenes(name: str, code: Mapping[str, str] | None = None) -> SceneRanges | UserScenes:
    """Load a scene by its name, from a file of ranges, or from a class, `my_file.py:MyScene`.

    Args:
        name: what it is called by.
        code: texts of users' Python files by their names, and of kept presets; read from where they lie if not given.

    Raises:
        ConfigError: there is no such scene, file or class, or it is wrong.
    """
    if name.endswith(".py"):
        raise ConfigError(f"scene {name!r} names no class; write {name}:MyScene")
    if not is_reference(name):
        return load_scene(name)
    path = file_of(name)
    texts = {PurePath(path).name: read_code(path)} if code is None else code
    return UserScenes(load_class(name, texts), name, path, texts)


def _tables(kind: type[Any], source: str) -> dict[str, Any]:
    """The attributes of a class, and of those that it extends, that are neither methods nor private."""
    found: dict[str, Any] = {}
    for parent in reversed(kind.__mro__[:-1]):
        found |= {name: value for name, value in vars(parent).items() if not _is_own_affair(name, value)}
    for name, value in found.items():
        if isinstance(value, type):
            raise ConfigError(f'{source}: {name} is a class; write {name} = {{"...": [low, high]}}')
    return {name: _as_toml(value) for name, value in found.items()}


def _is_own_affair(name: str, value: object) -> bool:
    return name.startswith("_") or inspect.isroutine(value) or isinstance(value, property)


def _as_toml(value: Any) -> Any:
    """The same with lists in place of tuples, and Python's numbers in place of NumPy's."""
    if isinstance(value, Mapping):
        return {key: _as_toml(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_toml(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _value(name: Any, value: Any, where: str) -> float:
    quantity = quantity_of(str(name), where)
    found = _as_toml(value)
    if isinstance(found, Mapping | list):
        raise ConfigError(f"{where}: {quantity.name} is {value!r}; a number is needed")
    return parse_range(quantity.name, found, where).low
