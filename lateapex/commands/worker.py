"""`lateapex worker`: drives cars for a trainer at an exchange."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from lateapex.commands.terminal import Json, clean_stdout, console

Exchange = Annotated[
    str, typer.Option(help="Where the trainer is met: a folder that all machines mount, or s3://bucket/prefix.")
]
Patience = Annotated[
    float, typer.Option(help="Seconds to wait for a trainer, a free share, or the store, before giving up.")
]
Threads = Annotated[int, typer.Option(help="Threads; a worker for each core is quicker than one with many threads.")]


def worker(exchange: Exchange, patience: Patience = 600.0, threads: Threads = 1, json_line: Json = False) -> None:
    """Drive a share of the cars of lateapex train --exchange, until that ends; on any number of machines."""
    from lateapex.config import parse
    from lateapex.jobs.worker import WorkerConfig, work

    shown = console(json_line)
    values = {"exchange": exchange, "patience_s": patience, "threads": threads}
    config = parse(WorkerConfig, values, "command line")
    with clean_stdout(json_line), _stopping(shown) as stopping:
        result = work(config, lambda line: shown.print(line, markup=False), stopping)
    why = "training has ended" if result.ended == "finished" else "stopped as asked"
    shown.print(
        f"{why}: {result.batches} batches of {result.steps:,} steps in all, in {result.seconds:.1f} s", markup=False
    )
    if json_line:
        print(json.dumps({**asdict(result), "seconds": round(result.seconds, 3)}))


@contextmanager
def _stopping(console: Console) -> Iterator[Callable[[], bool]]:
    """Yield whether to stop: after a first signal, with the batch in hand; a second one ends the process as usual."""
    asked: list[int] = []
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: object) -> None:
        asked.append(number)
        signal.signal(number, before[number])
        console.print("stopping after this batch", markup=False)

    for number in before:
        signal.signal(number, stop)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
