"""The benchmarks' stop-watch and waiting, with false clocks and a false /proc; no time passes here."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

HARNESS = Path(__file__).parents[2] / "benchmarks" / "harness.py"
STAT = "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"


def _loaded() -> Any:
    """Load the harness from its file: scripts import it as a neighbour, and it is in no package."""
    spec = importlib.util.spec_from_file_location("harness", HARNESS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = module
    spec.loader.exec_module(module)
    return module


harness = _loaded()
IDLE, BUSY = harness.Quiet(idle=True, load=0.1, others=0.0), harness.Quiet(idle=False, load=2.5, others=0.75)


class FalseClock:
    """Time that passes only when somebody works or sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


# ------------------------------------------------------------------------------------------------------ the stop-watch


def test_median_is_over_the_runs_and_the_first_call_is_not_counted() -> None:
    clock = FalseClock()
    takes = iter([50.0, 3.0, 1.0, 2.0])
    assert harness.median_of(lambda: clock.sleep(next(takes)), runs=3, clock=clock) == 2.0
    assert next(takes, None) is None


def test_run_of_some_seconds_repeats_the_work_and_counts_the_mean_of_its_calls() -> None:
    # After the call to warm up: 1 + 4 s are 5 s for two calls, 2.5 s each; 3 + 3 s are the second run, 3 s each.
    clock = FalseClock()
    takes = iter([9.0, 1.0, 4.0, 3.0, 3.0])
    found = harness.median_of(lambda: clock.sleep(next(takes)), runs=2, seconds=5.0, clock=clock)
    assert found == pytest.approx((2.5 + 3.0) / 2)


@given(st.floats(0.001, 100.0), st.integers(1, 9), st.floats(0.0, 50.0))
def test_work_that_always_takes_the_same_is_measured_as_that(takes: float, runs: int, seconds: float) -> None:
    clock = FalseClock()
    seconds = min(seconds, 100 * takes)
    found = harness.median_of(lambda: clock.sleep(takes), runs=runs, seconds=seconds, clock=clock)
    assert found == pytest.approx(takes, rel=1e-6)


class Worker:
    """Works for 1 s, has the helper work for 2 s each of two times, and works for 4 s more."""

    def __init__(self, clock: FalseClock) -> None:
        self.clock = clock

    def work(self) -> str:
        """Fails at the end where the clock has passed 110."""
        self.clock.sleep(1.0)
        self.help()
        self.help()
        self.clock.sleep(4.0)
        if self.clock.now > 110.0:
            raise ValueError("tired")
        return "done"

    def help(self) -> None:
        self.clock.sleep(2.0)


def test_stopwatch_counts_inner_work_once_also_where_it_fails() -> None:
    clock = FalseClock()
    stopwatch, worker = harness.Stopwatch(clock), Worker(clock)
    stopwatch.watch(worker, "work", "own")
    stopwatch.watch(worker, "help", "helper's")
    assert worker.work() == "done"
    assert stopwatch.seconds == {"own": 5.0, "helper's": 4.0}
    with pytest.raises(ValueError, match="tired"):
        worker.work()
    worker.help()
    assert stopwatch.seconds == {"own": 10.0, "helper's": 10.0}
    Worker(clock).help()
    assert stopwatch.seconds["helper's"] == 10.0


# ----------------------------------------------------------------------------------------------------- a quiet machine


def test_quiet_machine_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FalseClock()
    assert harness.wait_for_idle(look=lambda limit: IDLE, clock=clock, sleep=clock.sleep) is IDLE
    assert clock.now == 100.0
    assert capsys.readouterr().out == ""


def test_waiting_ends_as_soon_as_the_machine_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FalseClock()
    looks = iter([BUSY, BUSY, BUSY, IDLE])
    assert harness.wait_for_idle(look=lambda limit: next(looks), clock=clock, sleep=clock.sleep).idle
    assert 100.0 < clock.now < 110.0
    assert capsys.readouterr().out == "waiting for load < 0.3 (now 2.50), at most 180 s\n"


def test_machine_that_stays_busy_is_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FalseClock()
    found = harness.wait_for_idle(timeout=60.0, look=lambda limit: BUSY, clock=clock, sleep=clock.sleep)
    assert not found.idle
    assert 160.0 <= clock.now <= 162.0
    assert "NOT IDLE: load 2.50, others use 0.75 cores" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("load", "others", "idle"),
    [(0.29, 0.29, True), (0.3, 0.0, False), (0.0, 0.3, False), (0.1, math.nan, True), (0.4, math.nan, False)],
)
def test_idle_needs_both_figures_below_the_limit(
    monkeypatch: pytest.MonkeyPatch, load: float, others: float, idle: bool
) -> None:
    monkeypatch.setattr(harness, "load", lambda: load)
    monkeypatch.setattr(harness, "others", lambda: others)
    assert harness.look(0.3).idle is idle


def test_others_are_what_the_cores_did_less_what_this_process_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 100 ticks a second. In half a second the cores worked 90 ticks, 40 of them for us: the others had 1.0 core.
    own = iter([(1.0, 0.5, 0.0, 0.0, 7.0), (1.2, 0.6, 0.1, 0.0, 8.0)])
    monkeypatch.setattr(harness.os, "sysconf", lambda name: 100)
    monkeypatch.setattr(harness.os, "times", lambda: next(own))
    (tmp_path / "stat").write_text(STAT.format(busy=1000, idle=5000))

    def sleep(seconds: float) -> None:
        assert seconds == 0.5
        (tmp_path / "stat").write_text(STAT.format(busy=1090, idle=5010))

    assert harness.others(0.5, sleep=sleep, proc=tmp_path) == pytest.approx(1.0)


def test_others_are_unknown_without_proc(tmp_path: Path) -> None:
    assert math.isnan(harness.others(proc=tmp_path, sleep=lambda seconds: None))


def test_real_figures_of_this_machine_make_sense() -> None:
    assert harness.load() >= 0
    assert harness.others(0.02) >= 0
    assert "torch" in harness.machine()
    assert "cores, Python 3." in harness.machine()
    assert "\n" not in harness.machine()


def test_package_that_is_not_there_is_called_absent() -> None:
    assert harness._version("no-such-package-on-earth") == "absent"


# --------------------------------------------------------------------------------------------------------- the numbers


def test_row_has_the_agreed_fields_then_its_parameters() -> None:
    made = harness.row("physics only", 9.1e6, "car-steps/s", BUSY, cars=4096, threads=2)
    assert list(made) == ["what", "value", "unit", "machine", "load", "others", "idle", "cars", "threads"]
    assert (made["value"], made["load"], made["others"], made["idle"], made["cars"]) == (9.1e6, 2.5, 0.75, False, 4096)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_row_refuses_a_value_that_is_no_number(value: float) -> None:
    with pytest.raises(ValueError, match=r"speed is (nan|inf); a finite number is needed"):
        harness.row("speed", value, "m/s", IDLE)


def test_row_refuses_a_parameter_that_would_hide_a_field() -> None:
    with pytest.raises(ValueError, match="'load', which is a field of every row"):
        harness.row("speed", 1.0, "m/s", IDLE, load=3)


def test_rows_come_back_from_their_file(tmp_path: Path) -> None:
    unknown = harness.Quiet(idle=True, load=0.123, others=math.nan)
    rows = [harness.row("a", 1.5, "s", IDLE, cars=1), harness.row("b", 2, "s", unknown)]
    path = tmp_path / "deep" / "rows.json"
    harness.write_rows(path, rows)
    assert json.loads(path.read_text()) == rows
    assert rows[1]["others"] is None
    assert rows[1]["load"] == 0.12


def test_failed_write_keeps_the_rows_of_before(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    harness.write_rows(path, [harness.row("a", 1.5, "s", IDLE)])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        harness.write_rows(path, [{"what": object()}])
    assert path.read_bytes() == before


def test_table_has_a_column_for_each_parameter_and_says_when_it_was_not_idle(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "machine", lambda: "box")
    harness.print_table(
        [
            harness.row("physics only", 9123456.7, "steps/s", IDLE, cars=4096),
            harness.row("update", 0.01234567, "s", BUSY, precision="bf16"),
        ]
    )
    assert capsys.readouterr().out.splitlines() == [
        "box · load 0.1",
        "box · load 2.5, NOT IDLE",
        "| what         | cars | precision |     value |    unit |",
        "| ------------ | ---- | --------- | --------- | ------- |",
        "| physics only | 4096 |           | 9,123,457 | steps/s |",
        "| update       |      |      bf16 |   0.01235 |       s |",
    ]


def test_table_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    harness.print_table([])
    assert capsys.readouterr().out == "no rows\n"


def test_every_benchmark_understands_json_and_timeout() -> None:
    flags = harness.parser("speed").parse_args(["--json", "out/rows.json", "--timeout", "0"])
    assert (flags.json, flags.timeout) == (Path("out/rows.json"), 0.0)
    assert harness.parser("speed").parse_args([]).json is None
