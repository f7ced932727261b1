"""Scoring of files: which vehicle drives which log, and what is said of files that cannot be scored."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from made_tables import as_csv, driven

from lateapex.errors import ConfigError, FormatError
from lateapex.formats.step_table import StepTable
from lateapex.jobs.fidelity import fidelity
from lateapex.jobs.fidelity_report import write_report
from lateapex.world.vehicles import load_vehicle

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def both_generations() -> StepTable:
    """Logs p4-1 and p6-1, each driven by its own car."""
    four, six = (driven(load_vehicle(name), 3, 60, seed=seed) for seed, name in enumerate(("version4", "version6")))
    six.rows["log"] = 1
    return StepTable(logs=("p4-1", "p6-1"), rows=np.concatenate([four.rows, six.rows]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "steps.csv.gz").write_bytes(gzip.compress(as_csv(both_generations()).encode()))
    (tmp_path / "logs.csv").write_text("log,physics\np4-1,4\np6-1,6\n")
    return tmp_path


def test_each_log_is_driven_by_the_preset_of_its_generation(folder: Path) -> None:
    found = fidelity([folder / "steps.csv.gz"])
    assert found.vehicles == {4: "version4", 6: "version6"}
    rolling = {row.physics: row.value for row in found.rows if (row.what, row.start, row.steps) == FIRST}
    assert set(rolling) == {4, 6}
    standing = [row for row in found.rows if row.start == "standing"]
    assert {row.windows for row in standing} == {3}
    # What each drove itself it drives again to the last digits of the file.
    assert max(row.value for row in standing) < 1e-3


FIRST = ("position_error_cm_median", "rolling", 1)


def test_a_folder_stands_for_all_its_tables(folder: Path) -> None:
    assert fidelity([folder]).rows == fidelity([folder / "steps.csv.gz"]).rows


def test_physics_given_outweighs_the_list_and_needs_none(folder: Path) -> None:
    (folder / "logs.csv").unlink()
    found = fidelity([folder / "steps.csv.gz"], physics=6)
    assert found.vehicles == {6: "version6"}
    assert {row.windows for row in found.rows if row.start == "standing"} == {6}


def test_a_vehicle_of_ones_own_drives_all_logs(folder: Path) -> None:
    (folder / "mine.toml").write_text("friction = 0.5\n")
    found = fidelity([folder / "steps.csv.gz"], vehicle=str(folder / "mine.toml"))
    assert found.vehicles == {4: "mine", 6: "mine"}
    own = fidelity([folder / "steps.csv.gz"])
    assert [row.windows for row in found.rows] == [row.windows for row in own.rows]
    assert max(row.value for row in found.rows) > 10.0 * max(row.value for row in own.rows if row.start == "standing")


def test_every_number_of_steps_and_start_has_its_four_figures(folder: Path) -> None:
    rows = fidelity([folder / "steps.csv.gz"]).rows
    keys = {(row.physics, row.start, row.steps, row.what) for row in rows}
    assert len(keys) == len(rows) == 2 * 2 * 4 * 4
    assert {row.steps for row in rows} == {1, 5, 15, 30}


def test_files_that_cannot_be_scored_are_refused_in_one_line(folder: Path) -> None:
    steps = folder / "steps.csv.gz"
    for call, message in (
        (lambda: fidelity([folder / "none.csv"]), "there is no file .*none.csv; a step table"),
        (lambda: fidelity([steps], log_list=folder / "no.csv"), "there is no list of logs .*no.csv.*--logs.*--physics"),
        (lambda: fidelity([folder / "logs.csv"], physics=5), "line 1 has no column 'ep'"),
    ):
        with pytest.raises(FormatError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    (folder / "other.csv").write_text("log,physics\np4-1,4\n")
    with pytest.raises(FormatError, match="log 'p6-1' is not in the list of logs"):
        fidelity([steps], log_list=folder / "other.csv")
    with pytest.raises(ConfigError, match=r"physics 9 has no preset; there are version2, .*--vehicle"):
        fidelity([steps], physics=9)
    (folder / "empty").mkdir()
    with pytest.raises(FormatError, match="empty holds no step tables"):
        fidelity([folder / "empty"])


def test_a_table_of_too_short_episodes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.csv").write_text(as_csv(driven(load_vehicle("version5"), 2, 20)))
    with pytest.raises(FormatError, match="no window of 45 steps in progress, and no standing start of 30"):
        fidelity([tmp_path / "short.csv"], physics=5)


def test_the_report_refuses_a_folder_that_is_not_one_of_logs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no folder sim-traces"):
        write_report(tmp_path, tmp_path / "page.md")
    with pytest.raises(ConfigError, match=r"--out is .*page.txt; a name that ends in \.md"):
        write_report(tmp_path, tmp_path / "page.txt")


@pytest.fixture(scope="module")
def page(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report, written anew."""
    out = tmp_path_factory.mktemp("report") / "fidelity.md"
    names = {str(path.relative_to(out.parent)) for path in write_report(shared_data, out)}
    pictures = ("camera", *(f"physics{physics}" for physics in (2, 3, 4, 5, 6)))
    assert names == {"fidelity.md", *(f"fidelity/{name}.png" for name in pictures)}
    return out


@pytest.mark.long
def test_the_report_shows_every_generation_and_its_pictures_lie_beside_it(page: Path) -> None:
    text = page.read_text()
    for physics in (2, 3, 4, 5, 6):
        picture = f"fidelity/physics{physics}.png"
        assert f"]({picture})" in text
        assert (page.parent / picture).read_bytes().startswith(b"\x89PNG")
    assert text.count("| kinematic bicycle |") == 10
    assert len(re.findall(r"^\| (front|stereo)_1\w* \|", text, re.MULTILINE)) == 4
    assert (page.parent / "fidelity/camera.png").read_bytes().startswith(b"\x89PNG")
    assert "Left out: p4-90: no route of 68.90 m is there; p5-88: no route of 58.61 m is there; log-guru try" in text
    shown = re.findall(r"^\| (log-guru .*?|legacy-2019 .*?) \|", text, re.MULTILINE)
    assert len(shown) == len(set(shown)) == 7


def test_the_page_in_the_docs_is_the_one_that_the_data_give(page: Path) -> None:
    docs = Path(__file__).parents[2] / "docs" / "fidelity.md"
    # The last paragraph names the machine.
    fresh, kept = (path.read_text().rsplit("\n\n", 1)[0] for path in (page, docs))
    assert NUMBER.sub("#", fresh) == NUMBER.sub("#", kept)
    # Another processor rounds sums differently, and a fit then ends a little elsewhere.
    expected = pytest.approx([float(number) for number in NUMBER.findall(kept)], rel=0.02, abs=0.06)
    assert [float(number) for number in NUMBER.findall(fresh)] == expected
