"""Which file of a DeepRacer model is what, in the layouts of the console, deepracer-for-cloud and DeepRacer on AWS.

Files are known by the end of their path, so that it does not matter how deep a model lies in what was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Role = Literal[
    "training trace",
    "evaluation trace",
    "training metrics",
    "evaluation metrics",
    "metadata",
    "hyperparameters",
    "reward",
    "training parameters",
    "evaluation parameters",
    "environment",
    "checkpoints",
    "newest checkpoint",
    "log",
]
Kind = Literal["training", "evaluation"]


class Found(NamedTuple):
    """A file that can be taken."""

    name: str
    """Its path in what was given."""
    role: Role
    worker: int = 0
    iteration: int = 0
    stamp: str = ""
    """14 digits: when the job began; "" where its name does not say."""
    job: str = ""
    """What the names of all files of one job have in common; "" where there is no such thing."""


class Passed(NamedTuple):
    """A file that is not taken."""

    name: str
    reason: str


@dataclass
class Layout:
    """What was found."""

    found: list[Found] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)

    def of(self, role: Role) -> list[Found]:
        """All files of a role, those of the model's own folders before others."""
        return [file for file in self.found if file.role == role]


_ENDS: Final[tuple[tuple[Role, str], ...]] = (
    ("training trace", r"(?:(?P<worker>\d{1,3})/)?training-simtrace/(?P<iteration>\d{1,9})-iteration\.csv"),
    ("evaluation trace", r"evaluation-simtrace/(?P<iteration>\d{1,9})-iteration\.csv"),
    ("training metrics", r"metrics/training/[^/]+\.json|TrainingMetrics(?:_(?P<worker>\d{1,3}))?\.json"),
    ("training metrics", r"training_metrics\.json"),
    ("evaluation metrics", r"metrics/(?:evaluation|leaderboard)/[^/]+\.json|EvaluationMetrics-\d{14}\.json"),
    ("evaluation metrics", r"evaluation_metrics\.json"),
    ("metadata", r"model_metadata\.json"),
    ("hyperparameters", r"hyperparameters\.json"),
    ("reward", r"(?:customer_)?reward_function\.py"),
    ("training parameters", r"training_params[^/]*\.ya?ml"),
    ("evaluation parameters", r"eval(?:uation)?_params[^/]*\.ya?ml"),
    ("environment", r"(?:run|system|worker-\d+)\.env"),
    ("checkpoints", r"deepracer_checkpoints\.json"),
    ("newest checkpoint", r"\.coach_checkpoint"),
    ("log", r"[^/]+\.log"),
)
"""How the paths of each role end."""
_ROLES: Final = [(role, re.compile(rf"(?:^|/)(?:{pattern})$")) for role, pattern in _ENDS]
_NOT_TAKEN: Final = (
    (re.compile(r"\.ckpt(\.|$)|\.pb$|\.onnx$|\.tflite$|model\.tar\.gz$|carfile\.tar\.gz$|(^|/)checkpoint$"), "weights"),
    (re.compile(r"\.(mp4|webm|avi)$"), "a video"),
    (re.compile(r"\.(tar\.gz|tgz|tar|zip)$"), "an archive of its own: import it by itself"),
    (
        re.compile(r"worker_0\.\w+\.(csv|json)$|worker_0\..*agent_\d+.*\.csv$"),
        "the learner's own table, which nothing reads",
    ),
)
_SILENT: Final = re.compile(r"(^|/)(\.ready|\.lock|\.finished|done|ip\.json|\.DS_Store|checksum\.txt)$")
_STAMP: Final = re.compile(r"(?<!\d)(\d{14})(?!\d)|(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")
# What stands between the time and the kind of the file: 20211101023836-<job>, <time>Z-deepracerindy-training-<job>.
_JOB: Final = re.compile(
    r"(?:\d{14}|\d\dT[\d:.]+Z)-(?:deepracerindy-(?:training|evaluation)-)?([\w-]+?)"
    r"(?:-(?:robomaker|sagemaker|simulation|training)\.log|\.json)?$"
)
_WORDS: Final[tuple[tuple[str, Kind], ...]] = (
    ("leaderboard", "evaluation"),
    ("evaluation", "evaluation"),
    ("training", "training"),
)
_BEST: Final = {"metadata": "model/", "hyperparameters": "ip/"}


def is_wanted(name: str) -> bool:
    """Whether a file can be taken, by its path."""
    return any(pattern.search(name) for _, pattern in _ROLES)


def layout_of(names: Iterable[str], odd: Iterable[str] = ()) -> Layout:
    """Say of each file what it is; `odd` are links and devices."""
    layout = Layout(passed=[Passed(name, "a link or device, which is never followed") for name in odd])
    for name in names:
        if (found := _found(name)) is not None:
            layout.found.append(found)
        elif not _SILENT.search(name):
            reason = next((why for pattern, why in _NOT_TAKEN if pattern.search(name)), "nothing here reads it")
            layout.passed.append(Passed(name, reason))
    layout.found.sort(key=_order)
    return layout


def family(layout: Layout) -> str:
    """Name the system that wrote the files, by their folders."""
    names = [file.name for file in layout.found]
    if any("deepracerindy" in name for name in names):
        return "DeepRacer on AWS"
    if any("sim-trace/" in name or re.search(r"-(robomaker|sagemaker)\.log$", name) for name in names):
        return "console"
    by_drfc = re.compile(r"training-simtrace/|(Training|Evaluation)Metrics|\.env$|deepracer-\d+_robomaker\.")
    return "deepracer-for-cloud" if any(map(by_drfc.search, names)) else "single files"


def models_in(layout: Layout) -> list[str]:
    """The folders that hold training traces: more than one are more than one model."""
    folders = (
        re.split(r"(?:^|/)(?:\d{1,3}/)?training-simtrace/", file.name)[0] for file in layout.of("training trace")
    )
    return list(dict.fromkeys(folders))


def stamp_of(text: str) -> str:
    """The first time in a name, as 14 digits; "" where there is none."""
    match = _STAMP.search(text)
    return "" if match is None else "".join(part for part in match.groups() if part)


def _found(name: str) -> Found | None:
    for role, pattern in _ROLES:
        if (match := pattern.search(name)) is not None:
            numbers = {key: int(value) for key, value in match.groupdict().items() if value}
            told = _folder_of_evaluation(name) if role == "evaluation trace" else name.rpartition("/")[2]
            job = _JOB.search(told)
            return Found(name, role, stamp=stamp_of(told), job=job[1] if job else "", **numbers)
    return None


def _folder_of_evaluation(name: str) -> str:
    return name.split("/evaluation-simtrace/")[0].rpartition("/")[2] if "/evaluation-simtrace/" in name else ""


def _order(file: Found) -> tuple[int, int, bool, int, str]:
    """By worker and iteration; of several files of one role those in the model's own folder first, then the highest."""
    elsewhere = f"/{_BEST.get(file.role, '')}" not in f"/{file.name}"
    return file.worker, file.iteration, elsewhere, file.name.count("/"), file.name


def job_kind(name: str) -> Kind | None:
    """Whether a log is of training or of evaluation, by its name; races count as evaluation. None: it does not say."""
    return next((kind for word, kind in _WORDS if word in name.rpartition("/")[2] or f"/{word}/" in name), None)
