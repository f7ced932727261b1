"""What a run was asked for stands in the original's parameter files, is found without fault, and is read back."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_scenes import DUSK, write_dusk
from small_runs import small_run

from lateapex.env.starts import StartConfig
from lateapex.formats.job_yaml import read_parameters
from lateapex.jobs.check_params import check_yaml
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.import_run import ImportConfig, import_run
from lateapex.jobs.job_parameters import LIGHT, evaluation_files, track_of, training_files, training_names
from lateapex.jobs.named_tracks import load_tracks
from lateapex.jobs.scenes import scene_of, varies_light

NAMES = ("oval", "kidney@reversed", "folded")
TRACKS = dict(zip(NAMES, load_tracks(",".join(NAMES)), strict=True))

starts = st.builds(
    StartConfig,
    scheme=st.sampled_from(["random", "round_robin"]),
    first=st.floats(0.0, 0.99),
    advance=st.floats(0.0, 0.99),
    alternate_direction=st.booleans(),
)


@given(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), starts, st.integers(1, 1000))
def test_training_files_have_no_fault_and_say_what_was_asked_for(
    names: list[str], asked: StartConfig, trials: int
) -> None:
    files = training_files([TRACKS[name] for name in names], asked, trials)
    assert list(files) == training_names(len(names))
    for (file, text), name in zip(files.items(), names, strict=True):
        assert list(check_yaml(text, file)) == []
        found = read_parameters(text, file)
        assert track_of(found) == name
        assert (found["JOB_TYPE"], found["MIN_EVAL_TRIALS"]) == ("TRAINING", str(trials))
        assert (float(str(found["ROUND_ROBIN_ADVANCE_DIST"])), float(str(found["START_POSITION_OFFSET"]))) == (
            asked.advance,
            asked.first,
        )
        assert found["ALTERNATE_DRIVING_DIRECTION"] == str(asked.alternate_direction).lower()


@pytest.mark.parametrize(
    ("asked", "moved"),
    [
        (StartConfig(), "true"),
        (StartConfig(scheme="round_robin"), "true"),
        (StartConfig(scheme="round_robin", advance=0.0), "false"),
        (StartConfig(scheme="random", advance=0.0), "true"),
    ],
)
def test_the_start_position_changes_unless_all_episodes_start_at_one_place(asked: StartConfig, moved: str) -> None:
    (text,) = training_files([TRACKS["oval"]], asked, 5).values()
    assert read_parameters(text, "")["CHANGE_START_POSITION"] == moved


def test_evaluation_files_have_no_fault_and_lie_beside_each_other() -> None:
    files = evaluation_files(list(TRACKS.values()), "evaluation-20261125181238", 4, "last")
    stem = "eval_params_20261125181238"
    assert list(files) == [f"{stem}.yaml", f"{stem}_2.yaml", f"{stem}_3.yaml"]
    for (file, text), name in zip(files.items(), NAMES, strict=True):
        assert list(check_yaml(text, file)) == []
        found = read_parameters(text, file)
        assert track_of(found) == name
        assert (found["NUMBER_OF_TRIALS"], found["EVAL_CHECKPOINT"], found["JOB_TYPE"]) == ("4", "last", "EVALUATION")
        assert found["ROUND_ROBIN_ADVANCE_DIST"] == "0.25"
        assert str(found["METRICS_S3_OBJECT_KEY"]).endswith("/metrics/evaluation/evaluation-20261125181238.json")


def test_a_run_and_its_evaluations_are_imported_with_the_tracks_that_their_files_name(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", track="oval,kidney@reversed")
    for track in (None, "sprint"):
        evaluate(
            EvaluateConfig(run=str(run), track=track, trials=1, film="none"), lambda: datetime.datetime(2026, 1, 2)
        )
    written = sorted(path.name for path in run.glob("*.yaml"))
    assert written == [
        "eval_params_20260102000000.yaml",
        "eval_params_20260102000000_2.yaml",
        "eval_params_20260102000001.yaml",
        "training_params.yaml",
        "training_params_2.yaml",
    ]
    result = import_run(ImportConfig(source=str(run), out=str(tmp_path / "copy")))
    assert (result.world, result.race_type) == ("oval,kidney@reversed", "TIME_TRIAL")
    for name in written:
        assert (tmp_path / "copy" / name).read_bytes() == (run / name).read_bytes()


def test_the_track_of_a_run_is_that_of_its_parameters(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", track="kidney@reversed")
    assert import_run(ImportConfig(source=str(run), out=str(tmp_path / "copy"))).world == "kidney@reversed"


def test_light_that_varies_is_told_in_the_files_of_runs_and_evaluations_and_on_import(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", scene="original", trainer={"steps": 32})
    for scene in ("none", "original"):
        config = EvaluateConfig(run=str(run), trials=1, film="none", scene=scene)
        evaluate(config, lambda: datetime.datetime(2026, 1, 2))
    told = {path.name: read_parameters(path.read_text(), path.name)[LIGHT] for path in run.glob("*.yaml")}
    assert told == {
        "training_params.yaml": "true",
        "eval_params_20260102000000.yaml": "false",
        "eval_params_20260102000001.yaml": "true",
    }
    notes = import_run(ImportConfig(source=str(run), out=str(tmp_path / "copy"))).notes
    asked = f"its parameters ask for {LIGHT}: light and colours varied; --scene original does that here"
    assert asked in notes
    (run / "training_params.yaml").unlink()
    (run / "eval_params_20260102000001.yaml").unlink()
    assert asked not in import_run(ImportConfig(source=str(run), out=str(tmp_path / "other"))).notes


@pytest.mark.parametrize(
    ("setting", "varies"),
    [
        ("none", False),
        ("original", True),
        ("sim2real", True),
        ({"car": {"grip": 0.5}, "colour": {"road": [0.5, 1.5]}}, False),
        ({"object": {"tint": 1.0}}, True),
    ],
)
def test_what_varies_as_in_the_original_is_the_light_and_the_look_of_objects(setting: Any, varies: bool) -> None:
    assert varies_light(scene_of(setting)) == varies


def test_what_a_class_draws_by_itself_counts_too(tmp_path: Path) -> None:
    assert varies_light(scene_of(write_dusk(tmp_path)))
    assert not varies_light(
        scene_of(
            write_dusk(
                tmp_path / "other",
                text=DUSK.replace("light.red", "car.slip")
                .replace('"light.blue": 0.5 + dark / 2, ', "")
                .replace("base =", "_base ="),
            )
        )
    )
