"""What can go wrong, as one tree; every message says what was found, what was expected, what to type next.

    LateapexError
    +- ConfigError       a setting, a configuration file, a combination of flags
    +- TrackError        a track's name or route file
    +- MetadataError     model_metadata.json
    +- HyperparameterError  hyperparameters.json
    +- RewardError       the racer's reward function: loading it, or one call of it
    +- TrainingError     learning itself broke down
    +- FormatError       a log, metrics or checkpoint file
    +- RunError          a run folder: missing, not whole, already there
    +- StorageError      the place that holds run folders: full, read-only, lost
    +- LeaseLostError    a place at an exchange: it went to another process

The command line turns each into one line and exit code 2. Anything else that is raised is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LateapexError(Exception):
    """Base of all errors that a user can mend."""


class ConfigError(LateapexError):
    """A setting has a wrong type, lies outside its range, or is unknown."""


class TrackError(LateapexError):
    """A track is unknown, or its route file cannot be a track."""


class MetadataError(LateapexError):
    """model_metadata.json is not one."""


class HyperparameterError(LateapexError):
    """hyperparameters.json is not one, or a value lies outside its range."""


class RewardError(LateapexError):
    """The reward function cannot be loaded, raised, or returned something that is no reward."""


class TrainingError(LateapexError):
    """The numbers of an update are no numbers any more; the last good model is kept."""


class FormatError(LateapexError):
    """A file of the DeepRacer world is broken."""


class RunError(LateapexError):
    """A run folder is missing, incomplete, or in the way."""


class StorageError(LateapexError):
    """Reading or writing a run folder failed: disk full, read-only, permission denied."""


class LeaseLostError(LateapexError):
    """Another process has taken over: this one counted as dead."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known word, or "" when none is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f"; did you mean {near[0]!r}?" if near else ""
