"""Real files with bytes and lines changed at random: each is read, or refused in one line; nothing hangs or falls."""

from __future__ import annotations

import io

import numpy as np
import pytest

from lateapex.errors import LateapexError
from lateapex.formats.checkpoints import read_checkpoints
from lateapex.formats.env_file import read_env, write_env
from lateapex.formats.hyperparameters import read_hyperparameters
from lateapex.formats.job_yaml import read_parameters, write_parameters
from lateapex.formats.metrics import read_metrics_file
from lateapex.formats.model_metadata import read_metadata
from lateapex.formats.simtrace import episodes_of
from lateapex.formats.trace import read_trace, write_trace
from lateapex.formats.training_log import read_log

MUTANTS = 500  # of each kind
BYTES = 6000  # of a file: what breaks a reader breaks it near the beginning


def text_reader(read):
    return lambda data: read(data.decode("utf-8", "replace"), "f")


def written_again(read, write):
    """Read, write and read: what was taken once must come back."""

    def check(data):
        found = read(data.decode("utf-8", "replace"), "f")
        again = read(write(found), "again")
        assert again == found
        return found

    return check


def trace_again(data):
    trace = read_trace(io.BytesIO(data), "f")
    episodes_of(trace)
    again = read_trace(io.BytesIO(write_trace(trace).encode()), "again")
    assert len(again) == len(trace)
    assert again.skipped == 0
    return trace


KINDS = {
    "model_metadata": ("model_metadata/**/*.json", text_reader(read_metadata)),
    "hyperparameters": ("hyperparameters/*.json", text_reader(read_hyperparameters)),
    "parameter YAML": ("params_yaml/*.yaml", written_again(read_parameters, write_parameters)),
    "env": ("params_yaml/*.env", written_again(read_env, write_env)),
    "metrics": (
        "logs/**/metrics/**/*.json",
        written_again(read_metrics_file, lambda found: found.text),
    ),
    "checkpoints": ("checkpoints/*.json", text_reader(read_checkpoints)),
    "trace CSV": ("logs/**/*-iteration.csv", trace_again),
    "log": ("logs/**/*.log", lambda data: episodes_of(read_log(io.BytesIO(data)).trace)),
}


def mutant(data, random):
    """Change a few bytes, or cut, double, drop or swap lines."""
    kind = random.integers(6)
    if kind == 0:
        return data[: random.integers(len(data) + 1)]
    if kind <= 2:
        changed = bytearray(data)
        for place in random.integers(0, len(data), random.integers(1, 8)):
            changed[place] = random.integers(256)
        return bytes(changed)
    if kind == 3:  # structure: a mark of the format where it does not belong
        place = random.integers(len(data) + 1)
        mark = random.choice(
            [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n", b"-", b"=", b"$", b"nan", b"1e999", b"\0"]
        )
        return data[:place] + bytes(mark) * int(random.integers(1, 50)) + data[place:]
    lines = data.splitlines(keepends=True)
    first, second = random.integers(0, len(lines), 2)
    if kind == 4:
        lines[first], lines[second] = lines[second], lines[first]
    else:
        lines[first : first + 1] = [] if random.integers(2) else [lines[second]] * 3
    return b"".join(lines)


def is_json(kind):
    return KINDS[kind][0].endswith(".json")


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_are_read_or_refused_in_one_line(shared_data, kind):
    pattern, check = KINDS[kind]
    files = sorted(shared_data.glob(pattern))
    whole = [path.read_bytes() for path in files]
    originals = [data if is_json(kind) and len(data) < 20_000 else data[:BYTES] for data in whole]
    random = np.random.default_rng(20_261_125)
    refused = 0
    for number in range(MUTANTS):
        data = mutant(originals[number % len(originals)], random)
        message = ""
        try:
            check(data)
        except LateapexError as error:
            message, refused = str(error), refused + 1
        assert len(message.splitlines()) <= 1, (kind, number)
        assert message.isprintable(), (kind, number)
    if kind != "log":
        assert 0 < refused < MUTANTS  # else the mutants are none, or all nonsense
