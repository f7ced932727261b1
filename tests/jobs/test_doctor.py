"""The doctor tells what is slow or missing, and what to type about it."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from lateapex.jobs import doctor as job
from lateapex.jobs.doctor import CPU_TORCH, Diagnosis, diagnose, frames_per_second, usable_cores


def ticking(step):
    """A clock that goes on by `step` seconds whenever it is looked at."""
    now = 0.0

    def clock():
        nonlocal now
        now += step
        return now

    return clock


def only(findings):
    (finding,) = findings
    return finding


@pytest.fixture(scope="module")
def found():
    return list(diagnose(seconds=0.01, environ={"OMP_WAIT_POLICY": "passive"}))


def test_everything_is_looked_at_once_and_told_on_one_line(found):
    names = [finding.what for finding in found]
    for name in ("Python", "lateapex", "torch", "processor", "load", "OMP_WAIT_POLICY", "disk", "kernels", "simulator"):
        assert names.count(name) == 1
    assert names[-2:] == ["float32", "bfloat16"]
    assert all(len(f"{finding.detail}{finding.fix}".splitlines()) == 1 for finding in found)


def test_whatever_is_not_well_comes_with_what_to_do_about_it(found):
    assert all((finding.mark == "ok") == (finding.fix == "") for finding in found)
    assert {finding.mark for finding in found} <= {"ok", "slow", "missing"}


def test_it_says_where_the_compiled_simulator_is_kept(found):
    from lateapex.sim import simulator

    kept = only(finding for finding in found if finding.what == "kernels")
    assert str(simulator._step_all.stats.cache_path) in kept.detail


def test_frames_are_counted_for_all_cars(found):
    # Looked at before, then after each step: two steps of 64 cars in 2 s.
    assert frames_per_second(2.0, ticking(1.0)) == 64.0


@pytest.mark.parametrize(("step", "mark"), [(1.0, "slow"), (1e-4, "ok")])
def test_a_simulator_that_draws_too_few_frames_is_slow(step, mark):
    finding = only(job._frames(2.0, step, ticking(step)))
    assert finding.mark == mark
    assert finding.detail.startswith(f"{64 / step:,.0f} frames/s with 64 cars on kidney")


def test_a_simulator_that_does_not_run_is_told_and_nothing_raised(monkeypatch):
    def fail(*_):
        raise RuntimeError("no kernel\nat all")

    monkeypatch.setattr(job, "frames_per_second", fail)
    assert only(job._frames(2.0, 1.0, ticking(1.0))).detail == "does not run: no kernel"


@pytest.mark.parametrize(("step", "mark"), [(1.0, "slow"), (1e-3, "ok")])
def test_matrix_products_are_judged_by_the_core(step, mark):
    single, half = job._products(2.0, step, ticking(step))
    assert (single.what, single.mark) == ("float32", mark)
    assert single.detail.startswith(f"{2 * 512**3 / step / 1e9:,.0f} billion")
    # The same clock for both: bfloat16 seems no faster.
    assert (half.what, half.mark) == ("bfloat16", "slow")
    assert "1.0 times as fast" in half.detail


def test_torch_for_gpus_is_told_how_to_become_small():
    finding = job._torch_build("2.14.1+cu130", "13.0")
    assert (finding.mark, finding.fix) == ("slow", CPU_TORCH)
    assert "--index-url https://download.pytorch.org/whl/cpu torch" in CPU_TORCH
    assert job._torch_build("2.13.0+cpu", None).mark == "ok"


def test_without_torch_it_says_so_and_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert (job._torch().mark, job._torch().fix) == ("missing", CPU_TORCH)
    assert list(job._products(2.0, 1.0, ticking(1.0))) == []


REQUIRED = ["numpy<2.6,>=2.0", "nosuch>=1", "rich ; python_version > '3'", 'pytest>=8 ; extra == "dev"']
REQUIRED += ["nosuch-ray==2.60.* ; extra == 'ray'", 'numpy ; extra == "ray"', 'lateapex[ray] ; extra == "all"']


def test_packages_and_extras_that_are_not_there_are_missing(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRED)
    found = {finding.what: finding for finding in job._packages()}
    assert list(found) == ["lateapex", "nosuch", "torch", "extra dev", "extra ray"]
    assert found["nosuch"] == Diagnosis("missing", "nosuch", "is needed and not installed", "pip install nosuch")
    assert found["extra dev"].mark == "ok"
    assert found["extra ray"].detail == "lacks nosuch-ray"
    assert found["extra ray"].fix == "pip install 'lateapex[ray]'"
    assert f"numpy {metadata.version('numpy')}" in found["lateapex"].detail


def test_sources_that_were_never_installed_are_told_how_to_be(monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert only(job._packages()).fix == "pip install -e ."


@pytest.mark.parametrize(
    ("environ", "mark"),
    [({"OMP_WAIT_POLICY": "PASSIVE"}, "ok"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "slow"), ({}, "slow")],
)
def test_threads_that_do_not_sleep_while_they_wait_are_slow(environ, mark):
    finding = only(job._threads(environ))
    assert finding.mark == mark
    assert mark == "ok" or finding.fix == "export OMP_WAIT_POLICY=PASSIVE"


@pytest.mark.parametrize(
    ("text", "share"), [("150000 100000\n", 1.5), ("max 100000\n", 8.0), ("9900000 100000\n", 8.0)]
)
def test_a_containers_share_of_the_cores_counts(tmp_path, monkeypatch, text, share):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    place = tmp_path / "sys" / "fs" / "cgroup"
    place.mkdir(parents=True)
    (place / "cpu.max").write_text(text)
    assert usable_cores(tmp_path) == share
    assert usable_cores(tmp_path / "elsewhere") == 8.0


def test_fewer_cores_than_there_are_and_a_busy_machine_are_slow(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.2, 0.0, 0.0))
    name, cores, load = job._processor(2.0)
    assert name.detail.endswith(", 8 cores")
    assert (cores.mark, load.mark) == ("slow", "slow")
    assert cores.fix.endswith("threads=2, torch_threads=2")
    monkeypatch.setattr(os, "getloadavg", lambda: (0.9, 0.0, 0.0))
    assert [finding.mark for finding in job._processor(8.0)] == ["ok", "ok"]


def test_a_disk_that_is_nearly_full_is_told_what_frees_it(tmp_path, monkeypatch):
    usage = SimpleNamespace(free=2_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    assert job._disk(tmp_path / "runs" / "deep") == Diagnosis("ok", "disk", f"2.0 GB free for {tmp_path}/runs/deep/")
    usage.free -= 1
    finding = job._disk(tmp_path)
    assert finding.mark == "missing"
    assert "lateapex runs prune RUN" in finding.fix


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    finding = job._disk(tmp_path / "runs")
    assert (finding.mark, finding.detail) == ("missing", f"{tmp_path} cannot be written")


@pytest.fixture
def kernels_in(tmp_path, monkeypatch):
    kernel = SimpleNamespace(stats=SimpleNamespace(cache_path=str(tmp_path)))
    monkeypatch.setattr(job, "_all_kernels", lambda: [kernel, kernel])
    return tmp_path


def test_kernels_that_are_not_compiled_yet_cost_a_minute_once(kernels_in):
    finding = only(job._kernels())
    assert (finding.mark, "they will be kept in" in finding.detail) == ("slow", True)
    (kernels_in / "dynamics.drive-22.py311.nbi").write_bytes(b"")
    assert only(job._kernels()) == Diagnosis("ok", "kernels", f"are compiled and kept in {kernels_in}")


def test_kernels_that_cannot_be_kept_are_told_where_they_could_be(kernels_in, monkeypatch):
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    finding = only(job._kernels())
    assert finding.mark == "slow"
    assert finding.fix == "export NUMBA_CACHE_DIR=$HOME/.cache/numba"
    monkeypatch.setitem(sys.modules, "lateapex.sim.simulator", None)
    assert only(job._kernels()).mark == "missing"
