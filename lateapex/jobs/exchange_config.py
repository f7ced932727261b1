"""Settings of training at an exchange: where it is, and how its work is shared out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from lateapex.config import Config
from lateapex.errors import ConfigError
from lateapex.workers.exchange import ExchangeSettings


class ExchangeConfig(Config):
    """Settings of the exchange."""

    url: str | None = None
    """Where trainer and workers meet: a folder that all of them mount, or s3://bucket/prefix; cars drive in the
    trainer's own process if not given."""
    keys: str | None = None
    """Where the keys of batches are if not there too: a database, redis://host:6379/0/prefix, that the trainer may ask
    many times a second; workers find it by themselves."""
    run: str | None = None
    """What the run is called there; made up when it begins."""
    shares: int = Field(default=4, ge=1)
    """Parts that the cars are dealt out in, as many to each; so many workers can drive at once, one more is a spare."""
    ahead: int = Field(default=2, ge=1)
    """Batches of one share that may wait until a state that contains them is saved; then its worker waits."""
    max_stale: int = Field(default=4, ge=0)
    """Versions of the model that a batch's may be behind the newest; older ones are not learned from, but counted."""
    ttl_s: float = Field(default=30.0, gt=0.0)
    """How long a worker or trainer may be silent before another takes its place, s."""
    patience_s: float = Field(default=300.0, gt=0.0)
    """How long the trainer waits for a store that does not answer, s."""
    keep: bool = False
    """Keep the batches as a dataset once they are accounted for."""


FLAGS: Final = {"url": "--exchange", "shares": "--shares", "keep": "--keep-batches"}
"""Those of the command line, by the settings that they set."""


def check_given(values: Mapping[str, Any], source: str) -> None:
    """See that settings of an exchange come with one.

    Args:
        values: those that were given.
        source: where they come from, for messages.

    Raises:
        ConfigError: they would do nothing.
    """
    if values and values.get("url") is None:
        name = next(iter(values))
        raise ConfigError(
            f"{source}: {FLAGS.get(name, f'exchange.{name}')} is given, but no exchange that it would be for; give "
            "--exchange URL too (exchange.url), or leave it out"
        )


def share_cars(config: ExchangeConfig, cars: int, tracks: int = 1) -> int:
    """Return how many of so many cars each share drives.

    Raises:
        ConfigError: they cannot be dealt out.
    """
    each, rest = divmod(cars, config.shares)
    if rest or not each:
        near = config.shares * max(round(cars / config.shares), 1)
        raise ConfigError(
            f"{cars} cars cannot be dealt out to {config.shares} shares, as many to each; give --cars {near} or other "
            "--shares"
        )
    if each < tracks:
        raise ConfigError(
            f"each of {config.shares} shares has {each} cars, fewer than there are tracks ({tracks}); give --cars "
            f"{tracks * config.shares} or more, or fewer --shares"
        )
    return each


def settings_there(config: ExchangeConfig) -> ExchangeSettings:
    """Return what all who meet there keep to."""
    return ExchangeSettings(
        run=config.run or "",
        shares=config.shares,
        ahead=config.ahead,
        max_stale=config.max_stale,
        ttl_s=config.ttl_s,
        keep=config.keep,
    )
