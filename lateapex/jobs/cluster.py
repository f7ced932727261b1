"""Writes files with which a Ray cluster begins and a run trains on it: own machines, Kubernetes, or AWS.

The files are templates in `lateapex/data/cluster`; what is put into them is validated first, so that it can be nothing
else than the value that it stands for.
"""

from __future__ import annotations

import json
import shlex
import textwrap
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Final, Literal

from pydantic import Field, field_validator

from lateapex import __version__
from lateapex.config import Config
from lateapex.errors import ConfigError
from lateapex.jobs.new_files import write_new
from lateapex.models.policy import BLOCK

RAY: Final = "2.60.0"
"""The version of the images, and of whatever else is pinned."""

Kind = Literal["machines", "kuberay", "aws"]

_FILES: Final = {
    "machines": {"cluster.yaml": "machines.yaml", "train.sh": "train.sh"},
    "kuberay": {"cluster.yaml": "kuberay-cluster.yaml", "job.yaml": "kuberay-job.yaml", "Dockerfile": "Dockerfile"},
    "aws": {"cluster.yaml": "aws.yaml", "train.sh": "train.sh"},
}
"""Of each kind: what is written, and the template of it."""
_INDENTS: Final = {"kuberay-cluster.yaml": 2, "kuberay-job.yaml": 4}
"""Spaces before the cluster's description in these."""
_NEXT: Final = {
    "machines": "ray get-auth-token --generate; ray up {folder}/cluster.yaml; sh {folder}/train.sh",
    "kuberay": "docker build -t {image} {folder} && docker push {image}; kubectl apply -f {folder}/job.yaml",
    "aws": "ray get-auth-token --generate; ray up {folder}/cluster.yaml; sh {folder}/train.sh --out s3://BUCKET/RUN",
}


class ClusterConfig(Config):
    """Settings of a cluster's files."""

    kind: Kind
    """Own machines that are reached by ssh, a Kubernetes cluster with KubeRay, or machines of AWS."""
    workers: int = Field(default=4, ge=1, le=10_000)
    """Processes that drive; each takes a core."""
    cores: int = Field(default=8, ge=1, le=1024)
    """Of a machine or pod: so many workers are put on each."""
    hosts: tuple[str, ...] = ()
    """Own machines, the learner's first."""
    user: str = Field(default="ubuntu", pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    """By whose name they are reached."""
    image: str | None = Field(default=None, pattern=r"^[a-z0-9][A-Za-z0-9._/:@-]*$")
    """Container image with Ray and Python 3.11 or newer; lateapex is put into it where it lacks, but for Kubernetes."""
    package: str = Field(default=f"lateapex[ray,aws]=={__version__}", pattern=r"^[A-Za-z0-9][^\s'\"`$\\]*$")
    """What pip installs: a requirement without spaces, or a URL of a wheel."""
    region: str = Field(default="us-east-1", pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")
    """Of AWS."""
    machine_type: str = Field(default="c7i.2xlarge", pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")
    """Of AWS, with `cores` cores."""
    train: str = "--track kidney"
    """What else lateapex train is told."""

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not host or not set(host) <= _HOST:
                raise ValueError(f"{host!r} is no name or address of a machine")
        if len(set(hosts)) < len(hosts):
            raise ValueError("each machine is named once")
        return hosts

    @field_validator("train")
    @classmethod
    def _are_words(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("one line is needed")
        ours = {word.partition("=")[0] for word in shlex.split(text)} & {"--workers", "--ray-address", "--exchange"}
        if ours:
            raise ValueError(f"{min(ours)} is not to be given there: the files say it")
        return text


_HOST: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:")


def cluster(config: ClusterConfig, folder: Path) -> list[Path]:
    """Write the files of a cluster; return their paths.

    Raises:
        ConfigError: a kind that needs more than was given.
        RunError: one of the files is there already; nothing is written then.
        StorageError: the folder cannot be written.
    """
    values = _values(config)
    values_of = {name: {**values, "spec": _spec(values, name)} for name in _FILES[config.kind].values()}
    files = {path: _filled(name, values_of[name]) for path, name in _FILES[config.kind].items()}
    return write_new(folder, files, "choose another --out")


def next_step(config: ClusterConfig, folder: Path) -> str:
    """Return what to type when the files are written."""
    return _NEXT[config.kind].format(folder=shlex.quote(str(folder)), image=_values(config)["image"])


def train_words(config: ClusterConfig) -> list[str]:
    """Return the command that trains on the cluster."""
    more = shlex.split(config.train)
    cars = [] if any(word.partition("=")[0] == "--cars" for word in more) else ["--cars", str(BLOCK * config.workers)]
    return ["lateapex", "train", "--workers", str(config.workers), "--ray-address", "auto", *cars, *more]


def _values(config: ClusterConfig) -> dict[str, Any]:
    if config.kind == "machines" and len(config.hosts) < 2:
        raise ConfigError(
            f"{len(config.hosts)} machines are no cluster: give --host twice or more, the learner's first; "
            "on one machine lateapex train --workers N is enough"
        )
    if config.kind != "machines" and config.hosts:
        raise ConfigError(f"--host is for machines of your own: lateapex cluster machines, not {config.kind}")
    image = config.image or {"kuberay": f"lateapex:{__version__}", "aws": f"rayproject/ray:{RAY}-py312-cpu"}.get(
        config.kind
    )
    train = shlex.join(train_words(config))
    # By ray exec the command does not get the environment that Ray was started with.
    run = train if config.kind == "kuberay" else f"RAY_AUTH_MODE=token {train}"
    return {
        "head": json.dumps(config.hosts[0]) if config.hosts else "",
        "others": json.dumps(config.hosts[1:]),
        "user": json.dumps(config.user),
        "docker": json.dumps({"image": image, "container_name": "lateapex"} if image else {}),
        "image": image,
        "package": config.package,
        "region": config.region,
        "machine_type": config.machine_type,
        "machines": -(-config.workers // config.cores),
        "cores": config.cores,
        "memory": max(4, 2 * config.cores),
        "ray": RAY,
        "train": train,
        "quoted_train": json.dumps(run) if config.kind == "kuberay" else shlex.quote(run),
    }


def _spec(values: dict[str, Any], name: str) -> str:
    """The description of the pods, for templates that have a place for it."""
    if name not in _INDENTS:
        return ""
    return textwrap.indent(_filled("kuberay-spec.yaml", values), " " * _INDENTS[name]).rstrip()


def _filled(name: str, values: dict[str, Any]) -> str:
    text = (resources.files("lateapex") / "data" / "cluster" / name).read_text(encoding="utf-8")
    return Template(text).substitute(values)
