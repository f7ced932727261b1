"""What measures the workers: that it measures all that it says it does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from made_scripts import BENCHMARKS, benchmark


@pytest.fixture(scope="module")
def scale():
    """The script."""
    return benchmark("scale")


@pytest.mark.parametrize(
    ("value", "unit", "verdict"),
    [(99.0, "ms", "met"), (101.0, "ms", "MISSED"), (101.0, "%", "met"), (99.0, "MB/s", "MISSED")],
)
def test_a_figure_is_told_to_be_met_or_missed(scale, capsys, value, unit, verdict):
    row = {"what": "it", "way": "S3", "network": "lean", "value": value, "unit": unit, "mark": 100.0}
    scale._judge([row, {"what": "another", "value": 1.0, "unit": "ms"}])
    asked = "most" if unit == "ms" else "least"
    assert capsys.readouterr().out == f"it, S3, lean: {value:.4g}, at {asked} 100 {unit} asked for: {verdict}\n"


def test_the_model_of_the_speed(scale, monkeypatch):
    """One worker drives 100 steps a second; learning takes 5 ms a step: all cores can learn 200 a second."""
    monkeypatch.setattr(scale.os, "cpu_count", lambda: 2)
    foretold = scale._foretold
    assert foretold("ray", 1, 100.0, 0.005) == pytest.approx(1 / (0.01 + 0.005))
    assert foretold("ray", 2, 100.0, 0.005) == pytest.approx(1 / (0.005 + 0.005))
    assert foretold("ray", 4, 100.0, 0.005) == foretold("ray", 2, 100.0, 0.005)  # of two cores
    assert foretold("exchange", 1, 100.0, 0.0001) == pytest.approx(100.0)  # what one worker can drive
    assert foretold("exchange", 2, 100.0, 0.005) == pytest.approx(100.0)  # half of the cores' time goes to learning
    monkeypatch.setattr(scale.os, "cpu_count", lambda: 64)
    assert foretold("exchange", 32, 100.0, 0.005) == pytest.approx(1 / (1 / 6400 + 0.005))


@pytest.mark.servers
def test_every_part_is_measured_once(scale, tmp_path):
    out = tmp_path / "rows.json"
    short = ["--network", "lean", "--rounds", "1", "--updates", "1", "--timeout", "0", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "scale.py"), *short], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    assert all(row["value"] > 0.0 for row in rows)
    judged = sorted((row["what"], row["way"]) for row in rows if row.get("mark") is not None)
    assert judged == [
        ("batches", "ray, 10 MB"),
        ("collect, of one process", "exchange, S3"),
        ("collect, of one process", "ray"),
        *[("version, published and fetched", f"exchange, {place}") for place in ("S3", "folder")],
    ]
    assert len([line for line in done.stdout.splitlines() if line.endswith((": met", ": MISSED"))]) == len(judged)
    assert {row["what"] for row in rows} >= {"collect", "train", "train, of waiting", "version, fetched"}
