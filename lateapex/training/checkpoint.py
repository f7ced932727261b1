"""Puts a run's models and the trainer's memory into its run folder, and takes them back.

`model/<update>_Step-<steps>.pt` is one version of the model; `model/deepracer_checkpoints.json` names the best and
the last. `model/training_state.pt` holds everything that going on needs; it is one file, replaced last, so that a run
stopped at any moment goes on from a whole state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lateapex.env.races import MISHAP_DTYPE
from lateapex.env.rules import EPISODE_DTYPE
from lateapex.env.starts import BEGUN_DTYPE
from lateapex.errors import FormatError, RunError
from lateapex.formats.checkpoints import CheckpointEntry, read_checkpoints, write_checkpoints
from lateapex.models.model_file import FORMAT, pack, read_model, unpack
from lateapex.models.policy import Policy
from lateapex.records import STEP_DTYPE
from lateapex.sim.state import STATE_DTYPE
from lateapex.sim.traffic import THING_DTYPE
from lateapex.storage import Storage
from lateapex.world.variation import VARIATION_DTYPE

STATE: Final = "model/training_state.pt"
NAMES: Final = "model/deepracer_checkpoints.json"
CODE: Final = "code/"

_PARTS: Final = {"progress", "weights", "algorithm", "collector"}
_DTYPES: Final = {
    "cars": STATE_DTYPE,
    "things": THING_DTYPE,
    "episodes": EPISODE_DTYPE,
    "begun": BEGUN_DTYPE,
    "mishaps": MISHAP_DTYPE,
    "rows": STEP_DTYPE,
    "variation": VARIATION_DTYPE,
}


def version_name(update: int, steps: int) -> str:
    """File name of a version of the model, without its folder."""
    return f"{update}_Step-{steps}.pt"


def save_version(storage: Storage, name: str, model: bytes, best: CheckpointEntry, last: CheckpointEntry) -> None:
    """Write a version, then the names of the best and the last."""
    storage.write(f"model/{name}", model)
    storage.write(NAMES, write_checkpoints(best, last).encode())


def drop_versions(storage: Storage, keep: Collection[str]) -> None:
    """Delete all versions but these; the saved state must name none of the others."""
    for name in version_files(storage):
        if name not in keep:
            drop_version(storage, name)


def drop_version(storage: Storage, name: str) -> None:
    """Delete one version."""
    storage.delete(f"model/{name}")


def version_files(storage: Storage) -> list[str]:
    """Names of all versions that a run holds, in no order."""
    names = (item.removeprefix("model/") for item in storage.list("model/"))
    return [name for name in names if "_Step-" in name]


def load_version(storage: Storage, which: str) -> tuple[str, Policy]:
    """Return name and policy of the "best" or the "last" version of a run.

    Raises:
        RunError: the run has no model yet.
        FormatError: the model's file, or the one that names it, is damaged.
    """
    if not storage.exists(NAMES):
        raise RunError(f"{storage.url} has no model yet; train it further: lateapex train --resume {storage.url}")
    best, last = read_checkpoints(storage.read(NAMES).decode(errors="replace"), f"{storage.url}/{NAMES}")
    name = (best if which == "best" else last).name
    return name, read_model(storage.read(f"model/{name}"), f"{storage.url}/model/{name}", user_code(storage))


def user_code(storage: Storage) -> dict[str, str]:
    """Texts of the user's files that a run's networks, transforms and scenes are made of, by name."""
    return {name.removeprefix(CODE): storage.read(name).decode(errors="replace") for name in storage.list(CODE)}


def save_state(storage: Storage, state: Mapping[str, Any]) -> None:
    """Replace the trainer's memory."""
    storage.write(STATE, pack({"format": FORMAT, **_plain(state)}))


def load_state(storage: Storage) -> dict[str, Any] | None:
    """Return the trainer's memory, or None for a run that never came to save one.

    Raises:
        FormatError: the file is damaged.
    """
    if not storage.exists(STATE):
        return None
    content = unpack(storage.read(STATE), f"{storage.url}/{STATE}")
    if missing := _PARTS - content.keys():
        raise FormatError(f"{storage.url}/{STATE} is no saved state: it has no {min(missing)}")
    return {name: _with_arrays(item) for name, item in content.items() if name != "format"}


def _plain(value: Any, key: str = "") -> Any:
    """Arrays as tensors: records by their bytes, so that nothing but plain data is in the file."""
    if isinstance(value, Mapping):
        return {name: _plain(item, str(name)) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"array": torch.from_numpy(_bytes(value).copy()), "kind": _kind(value, key), "shape": list(value.shape)}
    return value


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The values of an array; the gaps between the fields of its records, where anything may lie, are zeros."""
    if array.dtype.names is not None:
        gapless = np.zeros(array.shape, array.dtype)
        for name in array.dtype.names:
            gapless[name] = array[name]
        array = gapless
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def _kind(array: NDArray[Any], key: str) -> str:
    # No .get(key): to NumPy a float64 dtype equals None.
    return key if key in _DTYPES and array.dtype == _DTYPES[key] else array.dtype.str


def _with_arrays(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"array", "kind", "shape"}:
        try:
            dtype = _DTYPES.get(value["kind"]) or np.dtype(value["kind"])
            return np.frombuffer(value["array"].numpy().tobytes(), dtype).reshape(value["shape"]).copy()
        except (TypeError, ValueError) as error:
            raise FormatError(f"{STATE} was written by another version of lateapex: {error}") from None
    if isinstance(value, dict):
        return {name: _with_arrays(item) for name, item in value.items()}
    return value
