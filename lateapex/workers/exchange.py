"""What a trainer and its workers agree on when they share nothing but a storage.

    exchange.json         settings, written once by the first trainer
    trainer.json          lease of the trainer: there is one at a time
    shares/<share>.json   lease of each part of the work: a dead worker's goes to another
    pointer.json          names the newest version of the model
    models/...            versions, never changed
    batches/<id>.npz      experience, never changed
    announced/<id>.json   key of a batch: written when the batch is whole, deleted when it is accounted for
    ledger.json           what became of the batches that are no longer announced

A batch counts as trained when a state of the trainer that contains it has been saved. Until then it stays announced: a
trainer that died takes it again, into the state that it goes on from.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from lateapex.errors import ConfigError, FormatError, RunError
from lateapex.storage import Storage
from lateapex.workers.ledger import BatchId

SETTINGS: Final = "exchange.json"
TRAINER: Final = "trainer.json"
POINTER: Final = "pointer.json"
LEDGER: Final = "ledger.json"
MODELS: Final = "models/"
BATCHES: Final = "batches/"
ANNOUNCED: Final = "announced/"

FORMAT: Final = 4


@dataclass(frozen=True, kw_only=True)
class ExchangeSettings:
    """What all who meet at an exchange keep to."""

    run: str
    """Whose exchange it is: one run's, resumed or not."""
    shares: int = 1
    """Parts that the work is divided into; each is one worker's at a time."""
    ahead: int = 2
    """Batches of one share that may wait for the trainer; then its worker waits.

    They wait until a state that contains them is saved: an update takes at most shares * ahead.
    """
    max_stale: int = 4
    """Versions that a batch's model may be behind the newest; 0: only the newest."""
    ttl_s: float = 30.0
    """How long a worker or a trainer may be silent before its place is given away."""
    keep: bool = False
    """Whether the batches stay as a dataset once they are accounted for."""

    def __post_init__(self) -> None:
        for name, least in (("shares", 1), ("ahead", 1), ("max_stale", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"exchange.{name} is {getattr(self, name)}; it must be {least} or more")
        if self.ttl_s <= 0:
            raise ConfigError(f"exchange.ttl_s is {self.ttl_s}; it must be positive")


class Announcement(NamedTuple):
    """What a key says of its batch."""

    batch: BatchId
    version: int
    """Of the model that made it."""
    digest: str


def agree(storage: Storage, settings: ExchangeSettings) -> None:
    """Write the settings, or see that the exchange has the same.

    Raises:
        RunError: the exchange is another run's.
        ConfigError: it has other settings.
    """
    text = json.dumps({"format": FORMAT, **asdict(settings)}, indent=1).encode()
    if storage.put_if_absent(SETTINGS, text) is not None:
        return
    found = read_settings(storage)
    if found is None or found.run != settings.run:
        whose = found.run if found else "unknown"
        raise RunError(f"{storage.url} is the exchange of another run ({whose}); choose an empty place with --exchange")
    for name, value in asdict(settings).items():
        if (there := getattr(found, name)) != value:
            raise ConfigError(
                f"{storage.url} was begun with {name} = {there}, not {value}; keep it, or take another place"
            )


def read_settings(storage: Storage) -> ExchangeSettings | None:
    """Return the settings, or None while no trainer has been there.

    Raises:
        FormatError: they are another release's, or no settings.
    """
    if not storage.exists(SETTINGS):
        return None
    where = f"{storage.url}/{SETTINGS}"
    content = unpack_json(storage.read(SETTINGS), where)
    try:
        if content.pop("format") != FORMAT:
            raise ValueError
        return ExchangeSettings(**content)
    except (KeyError, TypeError, ValueError):
        raise FormatError(
            f"{storage.url}/{SETTINGS} is of another release: run one release of lateapex everywhere"
        ) from None


def share_name(share: int) -> str:
    """Where the lease of a share is."""
    return f"shares/{share:04d}.json"


def batch_name(batch: BatchId) -> str:
    """Where a batch is."""
    return f"{BATCHES}{batch}.npz"


def key_name(batch: BatchId) -> str:
    """Where the key of a batch is."""
    return f"{ANNOUNCED}{batch}.json"


def batch_of(name: str) -> BatchId | None:
    """Return which batch a file of `BATCHES` or `ANNOUNCED` belongs to; None for a stranger's file."""
    return BatchId.parse(name.rpartition("/")[2].rpartition(".")[0])


def pack_announcement(announcement: Announcement) -> bytes:
    """Return a key's content."""
    return json.dumps({"version": announcement.version, "digest": announcement.digest}).encode()


def unpack_announcement(data: bytes, batch: BatchId) -> Announcement:
    """Return what a key says.

    Raises:
        FormatError: it is no key.
    """
    content = unpack_json(data, key_name(batch))
    try:
        return Announcement(batch, int(content["version"]), str(content["digest"]))
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"{key_name(batch)} is no key of a batch") from None


def unpack_json(data: bytes, where: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        FormatError: it is none.
    """
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise FormatError(f"{where} holds no JSON object; was it written by something else?")
    return content
