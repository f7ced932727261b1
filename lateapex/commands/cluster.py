"""`lateapex cluster`: files with which a Ray cluster begins, and trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lateapex.commands.terminal import console

Kind = Annotated[str, typer.Argument(help="machines: your own, reached by ssh; kuberay: Kubernetes; aws: EC2.")]
Workers = Annotated[int | None, typer.Option(help="Processes that drive, each on a core; 4 if not given.")]
Cores = Annotated[int | None, typer.Option(help="Cores of a machine or pod; 8 if not given.")]
Host = Annotated[
    list[str] | None, typer.Option(help="With machines: name or address of each, the learner's first.", show_default="")
]
User = Annotated[str | None, typer.Option(help="With machines: who is at home there; ubuntu if not given.")]
Image = Annotated[str | None, typer.Option(help="Container image; kuberay's has to have lateapex in it.")]
Package = Annotated[str | None, typer.Option(help="What pip installs there: this release if not given.")]
Region = Annotated[str | None, typer.Option(help="With aws: where; us-east-1 if not given.")]
MachineType = Annotated[str | None, typer.Option(help="With aws: c7i.2xlarge, which has 8 cores, if not given.")]
Train = Annotated[str | None, typer.Option(help="Further words for lateapex train; '--track kidney' if not given.")]
Out = Annotated[Path, typer.Option(help="Folder to write into; made if it does not exist.")]


def cluster(
    kind: Kind,
    workers: Workers = None,
    cores: Cores = None,
    host: Host = None,
    user: User = None,
    image: Image = None,
    package: Package = None,
    region: Region = None,
    machine_type: MachineType = None,
    train: Train = None,
    out: Out = Path("cluster"),
) -> None:
    """Write ready files for a Ray cluster, and for a run that trains on it with lateapex train --workers."""
    from lateapex.config import parse
    from lateapex.jobs.cluster import ClusterConfig, next_step
    from lateapex.jobs.cluster import cluster as job

    given = {
        "kind": kind,
        "workers": workers,
        "cores": cores,
        "hosts": tuple(host or ()),
        "user": user,
        "image": image,
        "package": package,
        "region": region,
        "machine_type": machine_type,
        "train": train,
    }
    values = {name: value for name, value in given.items() if value is not None}
    config = parse(ClusterConfig, values, "command line")
    shown = console(False)
    for path in job(config, out):
        shown.print(f"wrote {path}", markup=False)
    shown.print(f"next: {next_step(config, out)}", markup=False)
