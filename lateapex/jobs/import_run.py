"""Makes a run folder of a model that another system trained: its settings, steps, metrics and logs.

Weights are not converted, so that there is nothing to drive; everything that looks at runs works. The folder is made
aside and renamed: a failed import leaves nothing.
"""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import tomli_w

from lateapex.config import Config
from lateapex.errors import ConfigError, FormatError, HyperparameterError, LateapexError, RunError, StorageError
from lateapex.formats.checkpoints import read_checkpoints, read_coach_checkpoint
from lateapex.formats.env_file import read_env
from lateapex.formats.job_yaml import Parameters, first, is_true, read_parameters, write_parameters
from lateapex.formats.json_text import parse_object
from lateapex.formats.model_metadata import Bounds, ModelMetadata, read_metadata
from lateapex.formats.training_log import JobLog, read_log
from lateapex.jobs.archive import ENDINGS, Contents, opened
from lateapex.jobs.import_layout import Found, Layout, Passed, Role, family, is_wanted, job_kind, layout_of, models_in
from lateapex.jobs.import_steps import Steps, learning_lines
from lateapex.jobs.job_parameters import LIGHT, track_of
from lateapex.jobs.run_folder import HYPERPARAMETERS, METADATA, REWARD, SETTINGS, free_name
from lateapex.storage import DiskStorage, is_far, open_storage
from lateapex.world.official import official_routes

UNKNOWN: Final = "unknown"
_LARGEST: Final = 1_000_000_000  # bytes of one file
_FAULTS_TOLD: Final = 3  # of one log


class ImportConfig(Config):
    """What to import."""

    source: str
    """Folder or archive of a model, or one log."""
    out: str | None = None
    """The run folder; a free name under runs/ if not given."""


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """What came of an import."""

    run: str
    family: str
    """The system that wrote the files."""
    world: str
    """Names of the tracks, each with its direction; "unknown" where no file says it."""
    model: str
    """Network and actions in words; "unknown" as above."""
    race_type: str
    taken: dict[str, int]
    """How many there are now: steps, episodes, iterations, evaluations ..."""
    notes: list[str]
    """What is worth knowing of it."""
    passed: list[Passed]
    """Files that were not taken, and why."""


def import_run(config: ImportConfig) -> ImportResult:
    """Import a model.

    Raises:
        ConfigError: nothing of a model is there, or more than one.
        RunError: the run folder is there already.
        FormatError: the archive is damaged or leads out of its place.
        StorageError: there is no room.
    """
    if config.out is not None and is_far(config.out):
        return _import_far(config, config.out)
    out = Path(config.out or _free_name(config.source))
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise RunError(f"{out} is there already; choose another --out")
    with opened(config.source, is_wanted) as contents:
        layout = layout_of(contents.names, contents.odd)
        if len(models := models_in(layout)) > 1:
            raise ConfigError(f"{config.source} holds {len(models)} models; give one of them, such as {models[0]}")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=".importing-", dir=out.parent))
        except OSError as error:
            raise StorageError(f"cannot write into {out.parent}: {error.strerror}; choose another --out") from error
        try:
            result = _Import(contents, layout, DiskStorage(aside)).run(str(out), config.source)
            aside.chmod(0o755)
            try:
                aside.rename(out)
            except OSError as error:
                raise StorageError(f"cannot write {out}: {error.strerror}; choose another --out") from error
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return result


def _import_far(config: ImportConfig, url: str) -> ImportResult:
    """Import on this machine, then put the run where it is wanted; run.toml, by which it is known, goes last."""
    place = open_storage(url)
    if place.list():
        raise RunError(f"{url} is there already; choose another --out")
    with tempfile.TemporaryDirectory(prefix="lateapex-import-") as folder:
        here = DiskStorage(Path(folder, "run"))
        result = import_run(config.model_copy(update={"out": here.url}))
        for name in sorted(here.list(), key=lambda name: name == SETTINGS):
            place.write(name, here.read(name))
    return replace(result, run=place.url)


@dataclass
class _Import:
    """One import, file by file."""

    contents: Contents
    layout: Layout
    storage: DiskStorage
    notes: list[str] = field(default_factory=list)

    def run(self, out: str, source: str) -> ImportResult:
        logs = [(file, log) for file in self.layout.of("log") if (log := self._log(file)) is not None]
        logs.sort(key=lambda pair: job_kind(pair[0].name) == "evaluation")  # what training says counts first
        parameters = self._parameters(logs)
        if any(is_true(first(one, LIGHT)) for one in parameters):
            self.notes.append(
                f"its parameters ask for {LIGHT}: light and colours varied; --scene original does that here"
            )
        description = self._metadata(logs)
        hyperparameters = self._hyperparameters(logs)
        self._first("reward", REWARD, lambda text, _: text)
        steps = Steps(self.storage, self.data, self.pass_over, self.notes)
        steps.take_traces(self.layout)
        steps.take_logs(logs, hyperparameters)
        steps.take_metrics(self.layout)
        if lines := learning_lines(steps, [losses for _, log in logs for losses in log.losses]):
            self.storage.write("logs/training.jsonl", lines.encode())
        world = self._world(parameters, logs) or self._world_by_length(steps.lengths)
        if not self.storage.list():
            seen = len(self.contents.names)
            raise ConfigError(f"{source} holds nothing of a DeepRacer model ({seen} files seen); give a model's folder")
        result = ImportResult(
            run=out,
            family=family(self.layout),
            world=world,
            model=_in_words(description),
            race_type=_first_told(first(one, "RACE_TYPE") for one in parameters)
            or _first_told(log.race_type for _, log in logs)
            or UNKNOWN,
            taken=steps.counts(),
            notes=self.notes,
            passed=sorted(set(self.layout.passed)),
        )
        self._write_settings(source, result, description)
        return result

    def data(self, file: Found) -> bytes | None:
        """The bytes of a file; None, with the reason noted, where it is too large."""
        path = self.contents.path(file.name)
        if path.stat().st_size > _LARGEST:
            self.pass_over(file, f"larger than {_LARGEST / 1e9:g} GB")
            return None
        return path.read_bytes()

    def pass_over(self, file: Found, reason: str) -> None:
        """Note that a file could not be taken."""
        self.layout.passed.append(
            Passed(file.name, reason.removeprefix(f"{file.name}: ").removeprefix(f"{file.name} "))
        )

    def _text(self, file: Found) -> str | None:
        try:
            return None if (data := self.data(file)) is None else data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.pass_over(file, f"is no text in UTF-8 (byte {error.start})")
            return None

    def _checked(self, file: Found, name: str, check: Callable[[str, str], Any]) -> Any:
        """What `check` makes of a file's text, which then is copied to `name`; None where it is refused."""
        if (text := self._text(file)) is None:
            return None
        try:
            value = check(text, file.name)
        except LateapexError as error:
            self.pass_over(file, str(error))
            return None
        if not self.storage.exists(name):
            self.storage.write(name, self.contents.path(file.name).read_bytes())
        return value

    def _first(self, role: Role, name: str, check: Callable[[str, str], Any]) -> Any:
        """The first good file of a role; further ones are passed over, copies of it silently."""
        kept: Any = None
        for file in self.layout.of(role):
            if kept is None:
                kept = self._checked(file, name, check)
            elif self.data(file) != self.storage.read(name):
                self.pass_over(file, "another one was taken before it")
        return kept

    def _log(self, file: Found) -> JobLog | None:
        if (data := self.data(file)) is None:
            return None
        with self.contents.path(file.name).open("rb") as stream:
            log = read_log(stream)
        name = f"logs/{job_kind(file.name) or 'other'}/{Path(file.name).name}"
        if self.storage.exists(name):
            self.pass_over(file, "another log of this name was taken before it; of this one the steps")
        else:
            self.storage.write(name, data)
        for fault in log.trace.faults[:_FAULTS_TOLD]:
            self.notes.append(f"{file.name}: line {fault.line} {fault.message}; it was skipped")
        if (more := log.trace.skipped - _FAULTS_TOLD) > 0:
            self.notes.append(f"{file.name}: {more} more broken lines were skipped")
        return log

    def _parameters(self, logs: list[tuple[Found, JobLog]]) -> list[Parameters]:
        """Those of training, one for each track, or from the log that repeats them; else one of evaluation."""
        files: dict[Role, list[Parameters]] = {"training parameters": [], "evaluation parameters": []}
        for role, found in files.items():
            for file in self.layout.of(role):
                parameters = self._checked(file, Path(file.name).name, read_parameters)
                found += [parameters] if parameters else []
        trained = files["training parameters"]
        if not trained:
            trained = [log.parameters for _, log in logs if log.parameters and log.job_type == "TRAINING"][:1]
            if trained:
                self.storage.write("training_params.yaml", write_parameters(trained[0]).encode())
                self.notes.append("training_params.yaml was made from a log")
        others = [log.parameters for _, log in logs if log.parameters]
        return trained or [*files["evaluation parameters"], *others][:1]

    def _metadata(self, logs: list[tuple[Found, JobLog]]) -> ModelMetadata | None:
        description: ModelMetadata | None = self._first("metadata", METADATA, read_metadata)
        for file, log in [] if description else logs:
            text = json.dumps(dict(log.metadata), indent=4)
            if "action_space" in log.metadata:
                try:
                    description = read_metadata(text, f"the model that {file.name} tells of")
                except LateapexError as error:
                    self.notes.append(str(error))
                    continue
                self.storage.write(METADATA, text.encode())
                self.notes.append(f"model_metadata.json was made from {Path(file.name).name}")
                break
        return description

    def _hyperparameters(self, logs: list[tuple[Found, JobLog]]) -> Mapping[str, Any]:
        def check(text: str, name: str) -> dict[str, Any]:
            return parse_object(text, name, HyperparameterError)

        values: Mapping[str, Any] | None = self._first("hyperparameters", HYPERPARAMETERS, check)
        for file, log in [] if values else logs:
            if log.hyperparameters:
                values = log.hyperparameters
                text = json.dumps(dict(values), indent=2, sort_keys=True)
                self.storage.write(HYPERPARAMETERS, text.encode())
                self.notes.append(f"hyperparameters.json was made from {Path(file.name).name}")
                break
        return values or {}

    def _world(self, parameters: list[Parameters], logs: list[tuple[Found, JobLog]]) -> str:
        told = []
        for file in self.layout.of("environment"):
            env = self._checked(file, Path(file.name).name, read_env)
            told += [env.values().get("DR_WORLD_NAME", "")] if env is not None and file.name.endswith("run.env") else []
        asked = dict.fromkeys(track for one in parameters if (track := track_of(one)))
        return ",".join(asked) or _first_told([*(log.world for _, log in logs), *told])

    def _world_by_length(self, lengths: set[float]) -> str:
        """The one official track that is as long as the traces say, to the millimetre."""
        names = [
            name
            for name, route in official_routes().items()
            if any(abs(route.length - length) < 1e-3 for length in lengths)
        ]
        if len(names) != 1:
            return UNKNOWN
        self.notes.append(f"no file names the track; {names[0]} is the only one of its length")
        return names[0]

    def _checkpoints(self) -> dict[str, Any]:
        """Names of the versions that the other system kept."""
        names: dict[str, Any] = {}
        for role in ("checkpoints", "newest checkpoint"):
            for file in self.layout.of(role):
                if (text := self._text(file)) is None:
                    continue
                try:
                    if role == "newest checkpoint":
                        names["newest"] = read_coach_checkpoint(text, file.name)
                        continue
                    best, last = read_checkpoints(text, file.name)
                except FormatError as error:
                    self.pass_over(file, str(error))
                    continue
                names |= {"best": best.name, "last": last.name}
                names |= {} if best.avg_eval_metric is None else {"best_metric": best.avg_eval_metric}
        return names

    def _write_settings(self, source: str, result: ImportResult, description: ModelMetadata | None) -> None:
        content = {
            "track": result.world,
            "network": description.neural_network if description else UNKNOWN,
            "track_name": result.world,
            "imported": {
                "source": str(Path(source).resolve()),
                "family": result.family,
                "race_type": result.race_type,
                "checkpoints": self._checkpoints(),
                **{name.replace(" ", "_"): count for name, count in result.taken.items()},
            },
            "versions": {"python": platform.python_version(), "lateapex": version("lateapex")},
            "machine": {},
        }
        self.storage.write(SETTINGS, tomli_w.dumps(content).encode())


def _in_words(description: ModelMetadata | None) -> str:
    if description is None:
        return UNKNOWN
    space = description.action_space
    actions = "continuous actions" if isinstance(space, Bounds) else f"{len(space)} actions"
    sensors = ", ".join(description.sensors)
    return f"{description.training_algorithm}, {description.neural_network}, {sensors}, {actions}"


def _first_told(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")


def _free_name(source: str) -> str:
    stem = Path(source).resolve().name
    for ending in (*ENDINGS, ".log"):
        stem = stem.removesuffix(ending)
    return free_name(stem)
