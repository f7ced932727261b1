"""How a model learns: hyperparameters.json, in the original's words.

Bounds are wider than the console's form, which real files leave (batches, episodes per iteration), and narrower than
anything that is no setting at all (a learning rate of 0, a discount above 1).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from lateapex.config import Config
from lateapex.errors import HyperparameterError, did_you_mean
from lateapex.formats.json_text import parse_object, shown


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


LossType = Annotated[Literal["huber", "mean squared error"], BeforeValidator(_lower)]
ExplorationType = Annotated[Literal["categorical", "e-greedy", "additive_noise"], BeforeValidator(_lower)]


class Hyperparameters(Config):
    """Settings of clipped PPO; a key that a file leaves out has the value that deepracer-for-cloud ships.

    The two `term_cond_` keys are the exception: left out they set no limit, as in the simulator, since the run's own
    budget ends it.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    batch_size: int = Field(default=64, ge=1, le=65536)
    """Samples of one gradient step."""
    num_epochs: int = Field(default=5, ge=1, le=1000)
    """Passes over an iteration's samples."""
    lr: float = Field(default=0.0003, gt=0, le=1)
    """Learning rate of Adam."""
    beta_entropy: float = Field(default=0.01, ge=0, le=1)
    """Weight of the entropy in the loss."""
    discount_factor: float = Field(default=0.99, ge=0, le=1)
    """Worth of a reward one step later."""
    loss_type: LossType = "huber"
    """Loss of the value network, in any case of letters."""
    num_episodes_between_training: int = Field(default=20, ge=1, le=100_000)
    """Episodes of one iteration, over all cars."""
    exploration_type: ExplorationType = "categorical"
    """How training picks an action: drawn by its probability, or the best and now and then any. additive_noise is what
    files for SAC say: its actions are drawn by their probability too."""
    e_greedy_value: float = Field(default=0.05, ge=0, le=1)
    """Share of actions that e-greedy draws from all alike in the end."""
    epsilon_steps: int = Field(default=10_000, ge=1, le=10**9)
    """Steps in which e-greedy's share falls to that from 1."""
    stack_size: int = Field(default=1, ge=1, le=64)
    """Frames of one observation; the original reads it and sees one frame whatever it says, and so do we."""
    term_cond_max_episodes: int = Field(default=100_000, ge=1, le=10**9)
    """The run ends after so many."""
    term_cond_avg_score: float = Field(default=100_000.0)
    """The original writes it and never looks at it."""
    sac_alpha: float = Field(default=0.2, ge=0, le=1)
    """Temperature of SAC; PPO does not use it."""
    job_duration_in_seconds: float | None = Field(default=None, gt=0)
    """Budget of the run, training and evaluation; in the original it belongs to the job."""

    def warnings(self, algorithm: str = "clipped_ppo") -> tuple[str, ...]:
        """What will not happen as written with that algorithm: one line each."""
        notes = []
        if self.stack_size > 1:
            notes.append(f"stack_size {self.stack_size} has no effect, as in the original: the network sees one frame")
        if "sac_alpha" in self.model_fields_set and algorithm != "sac":
            notes.append("sac_alpha has no effect: it belongs to SAC, and clipped PPO is trained")
        if self.exploration_type == "additive_noise" and algorithm != "sac":
            notes.append('exploration_type "additive_noise" goes with SAC; actions are drawn by their probability')
        if unused := sorted(self.model_fields_set & _OF_PPO) if algorithm == "sac" else []:
            has, it = ("has", "it") if len(unused) == 1 else ("have", "them")
            notes.append(f"{', '.join(unused)} {has} no effect: SAC does not use {it}")
        return tuple(notes)


_PASSED_OVER = frozenset({"pretrained"})  # deepracer-local writes it; where a run starts from is no hyperparameter
_OF_PPO = frozenset({"num_epochs", "beta_entropy"})
_NOT_OF_PPO = frozenset({"sac_alpha", "job_duration_in_seconds"})  # and so not in the original's dump


def read_hyperparameters(text: str, source: str) -> Hyperparameters:
    """Read hyperparameters.json; numbers may be written as texts ("64").

    `source` is the file's name, for messages.

    Raises:
        HyperparameterError: not JSON, an unknown key, or a value out of its range; with key, value and range.
    """
    content = parse_object(text, source, HyperparameterError)
    known = Hyperparameters.model_fields
    for key in content:
        if key not in known and key not in _PASSED_OVER:
            near = did_you_mean(key, known) or "; known: " + ", ".join(sorted(known))
            raise HyperparameterError(f"{source}: no hyperparameter is called {key!r}{near}")
    values = {key: _number(value, known[key].annotation) for key, value in content.items() if key in known}
    try:
        return Hyperparameters.model_validate(values)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        raise HyperparameterError(f"{source}: {key} is {shown(content[key])}{_expected(key)}") from None


def write_hyperparameters(hyperparameters: Hyperparameters, algorithm: str = "clipped_ppo") -> str:
    """Return the file's text as the original dumps it: the keys of the algorithm, sorted."""
    others = {"job_duration_in_seconds", *_OF_PPO} if algorithm == "sac" else _NOT_OF_PPO
    return json.dumps(hyperparameters.model_dump(exclude=set(others)), indent=2, sort_keys=True)


def _number(value: Any, kind: Any) -> Any:
    """Return the number that a text or a whole float stands for; what stands for none is refused later, as it is."""
    kind = _number_type(kind)
    if kind is None or isinstance(value, bool):
        return value
    try:
        number = float(value) if isinstance(value, (str, float)) else value
    except ValueError:
        return value
    return int(number) if kind is int and isinstance(number, float) and number.is_integer() else number


def _number_type(annotation: Any) -> type[int] | type[float] | None:
    """The kind of number that a field takes; None for one that takes none."""
    kinds = {int: int, float: float, float | None: float}
    return kinds.get(annotation)


def _expected(key: str) -> str:
    field = Hyperparameters.model_fields[key]
    if kind := _number_type(field.annotation):
        number = "a whole number" if kind is int else "a number"
        limits = ((word, limit) for name, word in _LIMITS.items() for limit in _limits(field.metadata, name))
        bounds = [f" {word} {limit}" for word, limit in limits]
        usual = "" if field.default is None else f" ({field.default} is usual)"
        return f"; expected {number}{' and'.join(bounds)}{usual}"
    return "; expected " + " or ".join(f'"{word}"' for word in get_args(field.annotation))


_LIMITS = {"ge": "from", "gt": "above", "le": "up to"}


def _limits(constraints: list[Any], name: str) -> list[Any]:
    return [getattr(constraint, name) for constraint in constraints if hasattr(constraint, name)]
