"""A trainer, its workers and their object store as processes of this machine, and what befalls them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from made_servers import BUCKET, ObjectStore, signed_in

ROOT: Final = Path(__file__).parents[1]
SETTINGS: Final = """
track = "oval"
seed = 1
cars = 32

[trainer]
duration = 100_000.0
evaluation_trials = 5

[exchange]
shares = 4
ttl_s = 5.0
keep = true
"""
URL: Final = f"s3://{BUCKET}/chaos"


class Chaos:
    """Processes of one run; `log` says what was done to them, and when."""

    def __init__(self, folder: Path, workers: int = 4, seed: int = 1) -> None:
        self.folder, self.run = folder, folder / "run"
        (folder / "store").mkdir()
        self.store = ObjectStore(folder / "store")
        self.log: list[str] = []
        self.trainers = self.hired = self.workers_killed = self.trainers_killed = 0
        self._count, self._random, self._begun = workers, random.Random(seed), time.monotonic()
        self._workers: list[subprocess.Popen[bytes]] = []
        self._trainer: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        self.store.start()
        (self.folder / "chaos.toml").write_text(SETTINGS)
        self._begun = time.monotonic()
        self.train("--config", str(self.folder / "chaos.toml"), "--exchange", URL, "--out", str(self.run))
        for _ in range(self._count):
            self._workers.append(self._hire())

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def until(self, seconds: float) -> None:
        """Wait, and see that the trainer is alive."""
        while self.seconds < seconds:
            assert self._trainer is not None
            assert self._trainer.poll() is None, f"the trainer ended by itself:\n{self.said('trainer')}"
            time.sleep(0.1)

    def train(self, *words: str) -> None:
        self.trainers += 1
        self._trainer = self._start(f"trainer-{self.trainers}", "train", *words, "--json")

    def kill_worker(self) -> None:
        """Kill one, and let another come."""
        place = self._random.randrange(self._count)
        self._kill(self._workers[place])
        self.workers_killed += 1
        self._workers[place] = self._hire()

    def kill_trainer(self) -> None:
        """Kill it, and let it go on."""
        assert self._trainer is not None
        self._kill(self._trainer)
        self.trainers_killed += 1
        self.train("--resume", str(self.run))

    def stop_store(self) -> None:
        self._note("the store is stopped")
        self.store.stop()

    def start_store(self) -> None:
        self.store.start()
        self._note("the store is back")

    def end(self, patience_s: float) -> dict[str, Any]:
        """Ask the trainer to stop, and return what it says; workers leave by themselves."""
        assert self._trainer is not None
        self._trainer.send_signal(signal.SIGTERM)
        asked = self.seconds
        assert self._trainer.wait(patience_s) == 0, self.said("trainer")
        self._note(f"the trainer has ended, {self.seconds - asked:.1f} s after it was asked to")
        assert [worker.wait(patience_s) for worker in self._workers] == [0] * self._count, self.said("worker")
        self._note("all workers have left")
        result: dict[str, Any] = json.loads((self.folder / f"trainer-{self.trainers}.out").read_text())
        return result

    def close(self) -> None:
        for process in [*self._workers, *([self._trainer] if self._trainer else [])]:
            process.kill()
            process.wait()
        self.store.stop()

    def said(self, kind: str) -> str:
        """What processes of a kind told, the newest last."""
        files = sorted(self.folder.glob(f"{kind}-*.err"), key=os.path.getmtime)
        return "\n".join(f"{file.name}:\n{file.read_text()[-1500:]}" for file in files[-5:])

    def _hire(self) -> subprocess.Popen[bytes]:
        self.hired += 1
        return self._start(f"worker-{self.hired}", "worker", "--exchange", URL)

    def _start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            **signed_in(self.store.end_point),
            "PYTHONPATH": str(ROOT),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        command = [sys.executable, "-m", "lateapex", *words]
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=out, stderr=err)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        names = {self._trainer: "the trainer", **{worker: f"worker {n}" for n, worker in enumerate(self._workers, 1)}}
        process.send_signal(signal.SIGKILL)
        process.wait()
        self._note(f"{names[process]} is killed")

    def _note(self, what: str) -> None:
        self.log.append(f"{self.seconds:6.1f} s  {what}")


def go_through(chaos: Chaos, seconds: float, every_s: float, trainer_at: tuple[float, ...], store_at: float) -> None:
    """Let it happen: a worker is killed each `every_s`, the trainer at some moments, and the store is gone for 20 s."""
    plan: list[tuple[float, Callable[[], None]]] = [(store_at, chaos.stop_store), (store_at + 20.0, chaos.start_store)]
    plan += [(at, chaos.kill_trainer) for at in trainer_at]
    plan += [(n * every_s, chaos.kill_worker) for n in range(1, int(seconds / every_s))]
    for at, do in sorted(plan, key=lambda each: each[0]):
        chaos.until(at)
        do()
    chaos.until(seconds)
