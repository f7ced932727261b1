"""`lateapex line` as it is typed."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from lateapex.cli import app


@pytest.mark.long
def test_the_example_writes_pictures_and_tables(tmp_path):
    result = CliRunner().invoke(app, ["line", "oval", "--out", str(tmp_path), "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert [lap["start"] for lap in told["laps"]] == ["flying", "standing"]
    assert {lap["method"] for lap in told["laps"]} == {"optimal"}
    assert (tmp_path / "oval-flying.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "oval-standing.csv").open() as file:
        rows = list(csv.DictReader(file))
    golden = "distance_m,x_m,y_m,heading_deg,yaw_deg,speed_mps,steering_deg,throttle_mps,time_s"
    assert list(rows[0]) == golden.split(",")
    assert abs(float(rows[-1]["time_s"]) - told["laps"][1]["lap_time_s"]) < 1e-3
    assert float(rows[0]["speed_mps"]) == 0.0
