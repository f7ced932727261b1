"""What a run and its evaluations were asked for, in the original's words: its files of job parameters.

The original has one file for each track that is trained on at once: training_params.yaml and training_params_2.yaml,
..._3.yaml; and one for each evaluation: eval_params_<14 digits>.yaml. Buckets and folders in them are the defaults of
deepracer-for-cloud, since it asks for some where a run has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lateapex.env.race_config import RaceConfig
from lateapex.env.starts import StartConfig
from lateapex.formats.job_yaml import Parameters, first, is_true, world_of, write_parameters
from lateapex.jobs.race_settings import parameters_of_race
from lateapex.world.track import REVERSED, Track

LIGHT: Final = "ENABLE_DOMAIN_RANDOMIZATION"
"""Key by which the original varies light and the colours of objects."""
_BUCKET: Final = "bucket"
_FOLDER: Final = "rl-deepracer-sagemaker"
_TIME_TRIAL: Final = RaceConfig()
_CAR: Final = {"BODY_SHELL_TYPE": "deepracer", "CAR_COLOR": "Red"}


def training_names(tracks: int) -> list[str]:
    """Names of the files of a run on so many tracks."""
    return _numbered("training_params", tracks)


def training_files(
    tracks: Sequence[Track],
    starts: StartConfig,
    trials: int,
    race: RaceConfig = _TIME_TRIAL,
    metric: str = "progress",
    *,
    light: bool = False,
) -> dict[str, str]:
    """The files of a training run by name.

    Args:
        trials: how often each evaluation drives, on all tracks together.
        metric: by which the best model is chosen.
        light: whether light and colours of objects vary.
    """
    moved = starts.scheme == "random" or starts.advance > 0.0
    shared = {
        "NUM_WORKERS": str(len(tracks)),
        "MIN_EVAL_TRIALS": str(trials),
        "BEST_MODEL_METRIC": metric,
        "CHANGE_START_POSITION": _truth(moved),
        "ROUND_ROBIN_ADVANCE_DIST": str(starts.advance),
        "START_POSITION_OFFSET": str(starts.first),
        "ALTERNATE_DRIVING_DIRECTION": _truth(starts.alternate_direction),
        "METRICS_S3_OBJECT_KEY": f"{_FOLDER}/metrics/TrainingMetrics.json",
        "REWARD_FILE_S3_KEY": f"{_FOLDER}/reward_function.py",
        "SAGEMAKER_SHARED_S3_BUCKET": _BUCKET,
        "SAGEMAKER_SHARED_S3_PREFIX": _FOLDER,
        "SIMTRACE_S3_PREFIX": _FOLDER,
    }
    texts = (write_parameters({"JOB_TYPE": "TRAINING", **_race(track, race, light), **shared}) for track in tracks)
    return dict(zip(training_names(len(tracks)), texts, strict=True))


def evaluation_files(
    tracks: Sequence[Track],
    evaluation: str,
    trials: int,
    checkpoint: str,
    race: RaceConfig = _TIME_TRIAL,
    *,
    light: bool = False,
) -> dict[str, str]:
    """The files of an evaluation by name.

    Args:
        evaluation: name of its folder, evaluation-<14 digits>.
        trials: of each track, with starts spread evenly round the lap; on a road with two ends all at its beginning.
        checkpoint: best or last.
        race: that is driven.
        light: whether light and colours of objects vary.
    """
    penalties = {"OFF_TRACK_PENALTY": str(race.off_track_penalty), "COLLISION_PENALTY": str(race.collision_penalty)}
    shared = {
        "NUMBER_OF_TRIALS": str(trials),
        "NUMBER_OF_RESETS": str(race.number_of_resets),
        "IS_CONTINUOUS": _truth(race.is_continuous),
        **(penalties if race.number_of_resets else {}),
        "EVAL_CHECKPOINT": checkpoint,
        "CHANGE_START_POSITION": "true",
        "START_POSITION_OFFSET": "0.0",
        "METRICS_S3_OBJECT_KEY": f"{_FOLDER}/metrics/evaluation/{evaluation}.json",
        "MODEL_S3_BUCKET": _BUCKET,
        "MODEL_S3_PREFIX": _FOLDER,
        "SIMTRACE_S3_PREFIX": f"{_FOLDER}/{evaluation}",
    }
    names = _numbered(f"eval_params_{evaluation.removeprefix('evaluation-')}", len(tracks))
    texts = []
    for track in tracks:
        advance = {"ROUND_ROBIN_ADVANCE_DIST": str(1.0 / trials if track.closed else 0.0)}
        texts.append(write_parameters({"JOB_TYPE": "EVALUATION", **_race(track, race, light), **shared, **advance}))
    return dict(zip(names, texts, strict=True))


def track_of(parameters: Parameters) -> str:
    """Label of the track that a file asks for, with its direction; "" where it names none."""
    world = world_of(parameters)
    return world + REVERSED if world and is_true(first(parameters, "REVERSE_DIR")) else world


def _race(track: Track, race: RaceConfig, light: bool) -> dict[str, str | list[str]]:
    """What is the same in training and evaluation."""
    return {
        "WORLD_NAME": track.name,
        "REVERSE_DIR": _truth(track.reversed),
        **parameters_of_race(race),
        LIGHT: _truth(light),
        **_CAR,
        "METRICS_S3_BUCKET": _BUCKET,
        "SIMTRACE_S3_BUCKET": _BUCKET,
        "MODEL_METADATA_FILE_S3_KEY": f"{_FOLDER}/model/model_metadata.json",
    }


def _numbered(stem: str, count: int) -> list[str]:
    return [f"{stem}.yaml", *(f"{stem}_{number}.yaml" for number in range(2, count + 1))]


def _truth(value: bool) -> str:
    return "true" if value else "false"
