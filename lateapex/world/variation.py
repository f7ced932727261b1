"""What of a car and its world can differ from episode to episode, and how it is drawn.

`QUANTITIES` lists all of it with units and limits. A `Range` says how one of them is drawn; each has a random number of
its own, so that a range more or less leaves all others as they are. Nothing here knows what the values do.

`M` episodes, `K` quantities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.errors import ConfigError, did_you_mean


class Quantity(NamedTuple):
    """One thing that can vary."""

    name: str
    """Table and key in a scene's file, such as "car.grip"."""
    neutral: float
    """The value that changes nothing."""
    low: float
    """Lowest value that a range may reach."""
    high: float
    unit: str
    what: str
    whole: bool = False
    """Whole numbers alone."""


LONGEST_DELAY: Final = 8
"""Steps of the longest latency."""

SURFACES: Final = ("field", "road", "line", "dash", "wall", "sky")
"""What has a colour of its own in a world."""
CHANNELS: Final = ("red", "green", "blue")


def _colours() -> tuple[Quantity, ...]:
    """Quantities of all surfaces' colours."""
    found = []
    for surface in SURFACES:
        found.append(Quantity(f"colour.{surface}", 1.0, 0.0, 5.0, "times", f"colour of the {surface}"))
        found += [
            Quantity(f"colour.{surface}_{channel}", 0.0, -255.0, 255.0, "levels", f"added to the {surface}'s {channel}")
            for channel in CHANNELS
        ]
    return tuple(found)


QUANTITIES: Final = (
    Quantity("car.grip", 1.0, 0.1, 5.0, "times", "friction of the tyres"),
    Quantity("car.slip", 1.0, 0.2, 5.0, "times", "slip at which a tyre holds half of what it can"),
    Quantity("car.yaw_inertia", 1.0, 0.2, 5.0, "times", "resistance to turning, as a load gives it"),
    Quantity("car.steering_lag", 0.0, 0.0, 1.0, "s", "added to the time constant of the steering"),
    Quantity("car.steering_scale", 1.0, 0.2, 2.0, "times", "angle of the wheels for a commanded angle"),
    Quantity("car.steering_bias_deg", 0.0, -15.0, 15.0, "degrees", "angle of the wheels straight on, left positive"),
    Quantity("car.speed_scale", 1.0, 0.1, 2.0, "times", "speed of the wheels for a commanded speed"),
    Quantity("car.speed_lag", 0.0, 0.0, 1.0, "s", "time constant with which the motors follow"),
    Quantity("car.jolt", 0.0, 0.0, 1.0, "m/s", "deviation of a random change of speed each step"),
    Quantity("car.jolt_turn_deg", 0.0, 0.0, 90.0, "degrees/s", "the same of the yaw rate"),
    Quantity("action.latency", 0.0, 0.0, LONGEST_DELAY, "steps", "from an action to the car", whole=True),
    Quantity("action.steering_noise_deg", 0.0, 0.0, 15.0, "degrees", "deviation of the steering's noise each step"),
    Quantity("action.speed_noise", 0.0, 0.0, 1.0, "m/s", "deviation of the speed's noise each step"),
    Quantity("sensor.latency", 0.0, 0.0, LONGEST_DELAY, "steps", "from the world to what is seen", whole=True),
    Quantity("start.offset", 0.0, -0.5, 0.5, "widths", "of the track, added to the start's, left positive"),
    Quantity("start.heading_deg", 0.0, -180.0, 180.0, "degrees", "added to the start's, left positive"),
    Quantity("camera.forward", 0.0, -0.3, 0.3, "m", "added to the camera's place, ahead"),
    Quantity("camera.left", 0.0, -0.3, 0.3, "m", "the same to the left"),
    Quantity("camera.height", 0.0, -0.3, 0.3, "m", "the same upwards; it stays above the ground"),
    Quantity("camera.pitch_deg", 0.0, -15.0, 15.0, "degrees", "added to its pitch, downwards"),
    Quantity("camera.yaw_deg", 0.0, -30.0, 30.0, "degrees", "turned to the left"),
    Quantity("camera.roll_deg", 0.0, -10.0, 10.0, "degrees", "tilted to the right, so that the picture turns left"),
    Quantity("camera.field_of_view_deg", 0.0, -30.0, 40.0, "degrees", "added to the horizontal field of view"),
    *_colours(),
    Quantity("light.red", 1.0, 0.0, 4.0, "times", "red of the light on everything but the sky"),
    Quantity("light.green", 1.0, 0.0, 4.0, "times", "green of it"),
    Quantity("light.blue", 1.0, 0.0, 4.0, "times", "blue of it"),
    Quantity("object.light", 1.0, 0.0, 4.0, "times", "light on boxes and other cars"),
    Quantity("object.tint", 0.0, 0.0, 1.0, "share", "of one colour in all colours of boxes and other cars"),
    Quantity("object.red", 128.0, 0.0, 255.0, "levels", "red of that colour"),
    Quantity("object.green", 128.0, 0.0, 255.0, "levels", "green of it"),
    Quantity("object.blue", 128.0, 0.0, 255.0, "levels", "blue of it"),
    Quantity("picture.grain", 1.0, 0.0, 5.0, "times", "strength of the texture of field and road"),
    Quantity("picture.exposure", 0.0, -4.0, 4.0, "stops", "each doubles the light in the camera"),
    Quantity("picture.gamma", 1.0, 0.2, 5.0, "power", "of a level's share of 255: above 1 is darker"),
    Quantity("picture.contrast", 1.0, 0.0, 4.0, "times", "distance of a level from 128"),
    Quantity("picture.brightness", 0.0, -255.0, 255.0, "levels", "added to a level"),
    Quantity("picture.blur", 0.0, 0.0, 2.0, "pixels", "deviation of a blur"),
    Quantity("picture.vignette", 0.0, 0.0, 1.0, "share", "of its level that a corner loses"),
    Quantity("picture.noise", 0.0, 0.0, 40.0, "levels", "deviation of each pixel's noise each step"),
)
"""All that can vary. The place of each is that of its random number: new ones come last."""

PLACES: Final = {quantity.name: place for place, quantity in enumerate(QUANTITIES)}
"""Place of each by its name."""

PICTURE_TABLES: Final = ("camera", "colour", "light", "object", "picture")
"""Tables of the quantities that change what a camera sees, and nothing else."""

NEUTRAL: Final = np.array([quantity.neutral for quantity in QUANTITIES])
"""The values that change nothing, `[K]`."""

VARIATION_DTYPE: Final = np.dtype([(quantity.name, np.float64) for quantity in QUANTITIES])
"""All values of one episode."""

Law = Literal["uniform", "log", "normal", "choice"]
_KEYS: Final = ("low", "high", "law", "mean", "deviation", "choice", "share")
_FORMS: Final = "a number, [low, high], or a table such as { low = 0.5, high = 2.0, law = 'log', share = 0.3 }"


@dataclass(frozen=True, kw_only=True)
class Range:
    """How one quantity is drawn."""

    low: float
    """Nothing lower is drawn."""
    high: float
    law: Law = "uniform"
    """uniform; log: uniform in the logarithm; normal: around `mean`, cut off at both ends; choice: one of `choice`."""
    mean: float = 0.0
    deviation: float = 0.0
    choice: tuple[float, ...] = ()
    share: float = 1.0
    """Share of episodes in which it varies; in the others it is neutral."""

    @property
    def is_plain(self) -> bool:
        """Whether it is evenly between both ends in every episode."""
        return self.law == "uniform" and self.share == 1.0

    def sample(self, quantity: Quantity, draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values, `[M]`, for uniform numbers 0 <= u < 1, `[M]`."""
        drawn = draws < self.share
        u = draws / self.share if self.share > 0.0 else draws
        u = np.where(drawn, u, 0.0)
        return np.asarray(np.where(drawn, self._values(quantity, u), quantity.neutral), np.float64)

    def _values(self, quantity: Quantity, u: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.law == "choice":
            return np.array(self.choice, np.float64)[(u * len(self.choice)).astype(np.int64)]
        if self.law == "normal":
            normal = NormalDist(self.mean, self.deviation)
            values = np.array([normal.inv_cdf(min(max(one, 1e-12), 1.0 - 1e-12)) for one in u.tolist()])
            values = np.rint(values) if quantity.whole else values
            return np.clip(values, self.low, self.high)
        if quantity.whole:
            return np.clip(np.floor(self.low + u * (self.high - self.low + 1.0)), self.low, self.high)
        if self.law == "log":
            return np.array([self.low * (self.high / self.low) ** float(one) for one in u])
        return self.low + u * (self.high - self.low)

    def to_value(self) -> Any:
        """As it stands in a file."""
        plain: Any = self.low if self.low == self.high else [self.low, self.high]
        if self.law == "uniform" and self.share == 1.0:
            return plain
        ends = {"low": self.low, "high": self.high}
        laws: dict[str, dict[str, Any]] = {
            "uniform": ends,
            "log": {**ends, "law": "log"},
            "normal": {**ends, "law": "normal", "mean": self.mean, "deviation": self.deviation},
            "choice": {"choice": list(self.choice)},
        }
        return {**laws[self.law], **({} if self.share == 1.0 else {"share": self.share})}

    def __str__(self) -> str:
        """In words, for a table."""
        ends = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        words = {
            "uniform": ends,
            "log": f"{ends}, log",
            "normal": f"{self.mean:g} ± {self.deviation:g} within {ends}",
            "choice": "one of " + ", ".join(f"{value:g}" for value in self.choice),
        }[self.law]
        return words if self.share == 1.0 else f"{words}, in {100.0 * self.share:g} % of episodes"


def neutral(count: int) -> NDArray[Any]:
    """Values that change nothing, `[count]` of VARIATION_DTYPE."""
    return np.tile(NEUTRAL, count).view(VARIATION_DTYPE)


def as_table(values: NDArray[Any]) -> NDArray[np.float64]:
    """Values `[M]` of VARIATION_DTYPE as a table `[M, K]`, a view where they lie together."""
    return np.ascontiguousarray(values).view(np.float64).reshape(len(values), len(QUANTITIES))


class Sampler:
    """Draws the values of episodes; what has no range is neutral.

    Args:
        ranges: by the names of quantities.
    """

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        plain = {name for name, drawn in ranges.items() if drawn.is_plain and not QUANTITIES[PLACES[name]].whole}
        # All that is evenly between two ends at once: one by one they took longer than the rest of an episode's start.
        self._low, self._span = NEUTRAL.copy(), np.zeros(len(QUANTITIES))
        for name in plain:
            self._low[PLACES[name]] = ranges[name].low
            self._span[PLACES[name]] = ranges[name].high - ranges[name].low
        self._others = [(PLACES[name], drawn) for name, drawn in ranges.items() if name not in plain]

    def sample(self, draws: NDArray[np.float64]) -> NDArray[Any]:
        """Values, `[M]` of VARIATION_DTYPE, for numbers 0 <= u < 1, `[M, K or more]`, each quantity's in its place."""
        table = self._low + draws[:, : len(QUANTITIES)] * self._span
        for place, drawn in self._others:
            table[:, place] = drawn.sample(QUANTITIES[place], draws[:, place])
        return table.reshape(-1).view(VARIATION_DTYPE)


def quantity_of(name: str, source: str) -> Quantity:
    """The quantity of a name.

    Raises:
        ConfigError: none is called so.
    """
    if name not in PLACES:
        guess = did_you_mean(name, PLACES) or "; lateapex scenes list names all"
        raise ConfigError(f"{source}: nothing that varies is called {name!r}{guess}")
    return QUANTITIES[PLACES[name]]


def parse_range(name: str, value: Any, source: str) -> Range:
    """Read how a quantity is drawn.

    Args:
        name: of the quantity.
        value: a number, a list of the lowest and the highest, or a table of the fields of Range.
        source: where it stands, for messages.

    Raises:
        ConfigError: no such quantity; no range, or one that reaches beyond the quantity's limits.
    """
    quantity = quantity_of(name, source)
    try:
        found = _range(quantity, value)
        _check(found, quantity)
    except ValueError as error:
        raise ConfigError(f"{source}: {name} is {value!r}; {error}") from None
    return found


def _range(quantity: Quantity, value: Any) -> Range:
    if isinstance(value, list):
        if len(value) != 2:
            raise ValueError(f"expected {_FORMS}")
        return Range(low=_number(value[0]), high=_number(value[1]))
    if not isinstance(value, Mapping):
        return Range(low=_number(value), high=_number(value))
    for key in value:
        if key not in _KEYS:
            raise ValueError(f"there is no {key!r} in a range{did_you_mean(str(key), _KEYS) or ''}; {_FORMS}")
    share = _number(value.get("share", 1.0))
    if not 0.0 <= share <= 1.0:
        raise ValueError("share must lie between 0 and 1")
    if "choice" in value:
        chosen = value["choice"]
        if not isinstance(chosen, list) or not chosen:
            raise ValueError("choice must be a list of numbers")
        numbers = tuple(map(_number, chosen))
        return Range(low=min(numbers), high=max(numbers), law="choice", choice=numbers, share=share)
    law = value.get("law", "normal" if "deviation" in value else "uniform")
    if law == "normal":
        mean, deviation = _number(value.get("mean", quantity.neutral)), _number(value.get("deviation"))
        if deviation <= 0.0:
            raise ValueError("deviation must be above 0")
        low, high = (_number(value.get(end, getattr(quantity, end))) for end in ("low", "high"))
        return Range(low=low, high=high, law="normal", mean=mean, deviation=deviation, share=share)
    if law not in ("uniform", "log"):
        raise ValueError(f"law is {law!r}; 'uniform', 'log' or 'normal' is known")
    return Range(low=_number(value.get("low")), high=_number(value.get("high")), law=law, share=share)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected {_FORMS}")
    return float(value)


def _check(found: Range, quantity: Quantity) -> None:
    if found.low > found.high:
        raise ValueError("the lower end comes first")
    if found.low < quantity.low or found.high > quantity.high:
        raise ValueError(f"{quantity.low:g} to {quantity.high:g} {quantity.unit} is possible")
    numbers = (*found.choice, found.low, found.high)
    if quantity.whole and any(number != round(number) for number in numbers):
        raise ValueError(f"whole numbers of {quantity.unit} are needed")
    if found.law == "log" and (found.low <= 0.0 or quantity.whole):
        raise ValueError("law 'log' needs a lower end above 0, and no whole numbers")
