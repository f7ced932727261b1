"""Training whose experience comes from workers at an exchange: the trainer's part of the job."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from lateapex.env.racing import RacingTask
from lateapex.jobs.exchange_config import settings_there, share_cars
from lateapex.jobs.run_folder import input_files
from lateapex.jobs.run_parts import Cars, RunParts
from lateapex.jobs.train_config import TrainConfig
from lateapex.storage import Storage, open_storage
from lateapex.training.checkpoint import STATE, load_state
from lateapex.workers.async_crew import AsyncCrew
from lateapex.workers.exchange import TRAINER, read_settings, unpack_json
from lateapex.workers.keys import KeyedStorage
from lateapex.workers.leases import is_held
from lateapex.workers.ledger import Ledger
from lateapex.workers.store_collector import StoreCollector
from lateapex.workers.trainer_side import TrainerSide, open_exchange
from lateapex.workers.waiting import outlast

LEDGER_FILE: Final = "metrics/ledger.json"
"""In the run folder: what became of all batches."""
RUN_FILES: Final = "run/"
"""Folder of an exchange with the files of the run that workers make their cars of."""
_KEYS: Final = "keys.json"
"""Where an exchange says that its keys are elsewhere."""
STORE_PATIENCE_S: Final = 20.0
"""How long one operation at an exchange is tried; who may wait longer begins anew."""


def owner() -> str:
    """How this process is called in messages to others."""
    return f"{socket.gethostname()}:{os.getpid()}"


def one_share(config: TrainConfig, share: int = 0) -> Cars:
    """The cars of a share."""
    count = share_cars(config.exchange, config.cars)
    return Cars(first=share * count, count=count)


def store_collector(parts: RunParts, storage: Storage, task: RacingTask, tell: Callable[[str], None]) -> StoreCollector:
    """Become the trainer of the run's exchange; whoever takes it closes it.

    Args:
        task: the cars of one share.
        tell: gets a line on whatever goes another way than planned.

    Raises:
        RunError: it has another trainer, or is another run's.
        ConfigError: it was begun with other settings.
        StorageError: it is no place for this, or does not answer.
    """
    config = parts.config

    def saved() -> Mapping[str, Any] | None:
        state = load_state(storage)
        found: Mapping[str, Any] | None = None if state is None else state["collector"].get("exchange")
        return found

    def begin() -> tuple[Storage, TrainerSide]:
        place = _made_place(str(config.exchange.url), config.exchange.keys)
        if is_held(place, TRAINER):
            most = 2.0 * config.exchange.ttl_s
            tell(f"waiting for at most {most:g} s to see whether the trainer at {place.url} lives")
        side = open_exchange(place, settings_there(config.exchange), owner(), saved)
        try:
            for name, data in input_files(storage).items():
                place.write(RUN_FILES + name, data)
        except BaseException:
            side.leave()
            raise
        return place, side

    # Where a run has been before, the address is right and its store is away; elsewhere a wrong one is told at once.
    known = storage.exists(STATE)
    place, side = outlast(begin, config.exchange.patience_s, tell) if known else begin()
    return StoreCollector(
        place,
        side,
        task,
        config.cars,
        # What remembers steps by their cars' places wants as many cars each time.
        one_each=config.algorithm == "sac" or config.trainer.rollout_episodes is not None,
        patience_s=config.exchange.patience_s,
        tell=tell,
    )


def with_keys(place: Storage) -> Storage:
    """Return the place of an exchange that has begun, with its keys wherever they are.

    Raises:
        StorageError: it does not answer.
    """
    # Whoever has found settings finds this too, if there is any: it was written before them.
    if not place.exists(_KEYS):
        return place
    content = unpack_json(place.read(_KEYS), f"{place.url}/{_KEYS}")
    return KeyedStorage(place, open_storage(str(content.get("url")), STORE_PATIENCE_S))


def _made_place(url: str, keys: str | None) -> Storage:
    place = open_storage(url, STORE_PATIENCE_S)
    if keys is None:
        return place
    if read_settings(place) is None:
        place.write(_KEYS, json.dumps({"url": keys}).encode())
    return KeyedStorage(place, open_storage(keys, STORE_PATIENCE_S))


def closed_account(collector: StoreCollector | AsyncCrew, storage: Storage) -> Ledger:
    """Account for all batches when training has ended, and write that into the run folder."""
    ledger = collector.end()
    storage.write(LEDGER_FILE, (json.dumps(ledger.summary(), indent=1) + "\n").encode())
    return ledger
