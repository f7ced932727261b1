"""Runs that the tests of jobs look at, and disks that are too small for them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_absent import skip_loudly
from made_bucket import Bucket
from small_runs import small_run

from lateapex.jobs import train as job


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small run; to be read only."""
    return small_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture
def copied(small: Path, tmp_path: Path) -> Path:
    """A copy of the small run, to be changed at will."""
    return Path(shutil.copytree(small, tmp_path / "copied"))


@pytest.fixture(scope="session")
def lapping(tmp_path_factory: pytest.TempPathFactory) -> job.TrainResult:
    """A model that laps kidney, trained from nothing."""
    out = tmp_path_factory.mktemp("runs") / "lapping"
    trainer = {"until_laps": True, "steps": 60_000, "duration": 300.0}
    return job.train(
        job.train_config({"track": "kidney", "seed": 1, "torch_threads": 1, "out": str(out), "trainer": trainer})
    )


@pytest.fixture(params=["made bucket", pytest.param("real bucket", marks=pytest.mark.servers)])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty place in a bucket."""
    if request.param == "real bucket":
        return str(request.getfixturevalue("bucket_url"))
    bucket = Bucket()
    monkeypatch.setattr("lateapex.storage_s3._client", lambda patience: bucket)
    return "s3://bucket/runs"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a disk in memory of a size such as "8k"; called again with other options it is mounted anew with these."""
    mounted: list[Path] = []

    def mount(size: str = "200k", options: str = "rw") -> Path:
        place = tmp_path / "disk"
        place.mkdir(exist_ok=True)
        again = ["remount,"] if mounted else [""]
        words = ["mount", "-t", "tmpfs", "-o", f"{again[0]}size={size},{options}", "tmpfs", str(place)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            skip_loudly(f"NO SMALL DISK COULD BE MOUNTED, tests of full disks do not run: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", str(mounted[0])], check=True)
