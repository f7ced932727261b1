"""Files of a Ray cluster: they are YAML of the shape that Ray and KubeRay take, and say what was asked for."""

from __future__ import annotations

import importlib.util
import json
import shlex
from importlib import resources
from pathlib import Path

import pytest
import typer
import yaml
from small_runs import command, files_of

from lateapex import __version__, cli
from lateapex.config import parse
from lateapex.errors import ConfigError, RunError
from lateapex.jobs.cluster import RAY, ClusterConfig, cluster, next_step

HOSTS = ("10.0.0.1", "garage.local", "fe80::1")
TRAIN = "lateapex train --workers 20 --ray-address auto --cars 640 --track oval"
KINDS = {"machines": {"hosts": HOSTS}, "kuberay": {}, "aws": {}}
named = pytest.mark.parametrize("kind", KINDS)


def made(folder, kind, **changes):
    values = {"kind": kind, "workers": 20, "train": "--track oval", **KINDS[kind], **changes}
    config = parse(ClusterConfig, values)
    cluster(config, folder)
    return folder


def documents(folder):
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


def trained(folder, kind):
    """The command that trains, as a shell on the cluster gets it."""
    if kind == "kuberay":
        return documents(folder)["job.yaml"]["spec"]["entrypoint"]
    (line,) = [line for line in (folder / "train.sh").read_text().splitlines() if "ray exec" in line]
    words = shlex.split(line)
    assert words[words.index("exec") :][:4] == ["exec", "ray", "exec", "cluster.yaml"]
    (found,) = words[words.index("cluster.yaml") + 1 :]
    assert found.endswith(" $*")
    return found.removesuffix(" $*")


@named
def test_the_run_has_the_workers_of_the_cluster(tmp_path, kind):
    said = trained(made(tmp_path, kind), kind).removeprefix("RAY_AUTH_MODE=token ")
    assert said == TRAIN


@named
@pytest.mark.parametrize(
    "train", ["--track oval --cars=64", "--reward \"it's mine.py\" --track '$HOME: #1'", "--seed 3"]
)
def test_words_of_the_run_arrive_as_they_were_and_are_those_of_train(tmp_path, kind, train):
    said = shlex.split(trained(made(tmp_path, kind, train=train), kind).removeprefix("RAY_AUTH_MODE=token "))
    assert said[-len(shlex.split(train)) :] == shlex.split(train)
    train_command = typer.main.get_command(cli.app).commands["train"]
    options = train_command.make_context("train", said[2:]).params
    assert (options["workers"], options["ray_address"]) == (20, "auto")
    assert options["cars"] == (64 if "--cars" in train else 640)


@named
def test_the_token_is_asked_for_on_every_machine(tmp_path, kind):
    documents_ = documents(made(tmp_path, kind))
    if kind == "kuberay":
        assert documents_["cluster.yaml"]["spec"]["authOptions"] == {"mode": "token"}
        return
    found = documents_["cluster.yaml"]
    starts = [*found["head_start_ray_commands"], *found["worker_start_ray_commands"]]
    starts = [line for line in starts if "ray start" in line]
    assert len(starts) == 2
    assert all(line.startswith("export RAY_AUTH_MODE=token; ") for line in starts)
    assert found["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
    assert trained(tmp_path, kind).startswith("RAY_AUTH_MODE=token ")


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray, whose schema this is, is not installed")
@pytest.mark.parametrize("kind", ["machines", "aws"])
@pytest.mark.parametrize("image", [None, "me/mine:1"])
def test_ray_takes_the_file_of_machines(tmp_path, kind, image):
    jsonschema = pytest.importorskip("jsonschema")
    (place,) = importlib.util.find_spec("ray").submodule_search_locations
    schema = json.loads((Path(place) / "autoscaler" / "ray-schema.json").read_text())
    found = documents(made(tmp_path, kind, **({"image": image} if image else {})))["cluster.yaml"]
    jsonschema.validate(found, schema)
    used = found["docker"].get("image")
    assert used == (image or {"machines": None, "aws": f"rayproject/ray:{RAY}-py312-cpu"}[kind])


def test_own_machines_are_those_that_were_named(tmp_path):
    found = documents(made(tmp_path, "machines", user="racer"))["cluster.yaml"]
    assert found["provider"] == {"type": "local", "head_ip": HOSTS[0], "worker_ips": list(HOSTS[1:])}
    assert found["auth"]["ssh_user"] == "racer"


@pytest.mark.parametrize(("workers", "cores", "machines"), [(1, 8, 1), (8, 8, 1), (9, 8, 2), (20, 4, 5)])
def test_machines_are_as_many_as_the_workers_need(tmp_path, workers, cores, machines):
    aws = documents(made(tmp_path / "aws", "aws", workers=workers, cores=cores))["cluster.yaml"]
    worker = aws["available_node_types"]["worker"]
    assert [aws["max_workers"], worker["min_workers"], worker["max_workers"]] == [machines] * 3
    assert worker["resources"] == {"CPU": cores}
    assert aws["available_node_types"][aws["head_node_type"]]["resources"] == {"CPU": 0}
    (group,) = documents(made(tmp_path / "kuberay", "kuberay", workers=workers, cores=cores))["cluster.yaml"]["spec"][
        "workerGroupSpecs"
    ]
    assert [group[name] for name in ("replicas", "minReplicas", "maxReplicas")] == [machines] * 3


def test_pods_of_the_job_are_those_of_the_cluster(tmp_path):
    found = documents(made(tmp_path, "kuberay", image="registry.io/team/car:7"))
    cluster_, job = found["cluster.yaml"], found["job.yaml"]
    assert (cluster_["kind"], job["kind"]) == ("RayCluster", "RayJob")
    assert {cluster_["apiVersion"], job["apiVersion"]} == {"ray.io/v1"}
    assert job["spec"]["rayClusterSpec"] == cluster_["spec"]
    head, group = cluster_["spec"]["headGroupSpec"], cluster_["spec"]["workerGroupSpecs"][0]
    assert head["rayStartParams"]["num-cpus"] == "0"
    for part in (head, group):
        (container,) = part["template"]["spec"]["containers"]
        assert container["image"] == "registry.io/team/car:7"
        assert container["resources"]["limits"]["cpu"] == "8"
    assert cluster_["spec"]["rayVersion"] == RAY
    assert f"FROM rayproject/ray:{RAY}-" in (tmp_path / "Dockerfile").read_text()
    assert f"'lateapex[ray,aws]=={__version__}'" in (tmp_path / "Dockerfile").read_text()


def test_the_version_of_ray_is_the_one_that_the_tests_run():
    pins = (Path(__file__).parents[1] / "servers.txt").read_text().splitlines()
    assert f"ray=={RAY}" in pins


@named
def test_next_is_told_what_to_type(tmp_path, kind):
    config = parse(ClusterConfig, {"kind": kind, **KINDS[kind]})
    told = next_step(config, tmp_path / "my cluster")
    for path in cluster(config, tmp_path / "my cluster"):
        assert path.name in told or path.name in ("cluster.yaml", "Dockerfile")
    assert "my cluster'" in told


def test_every_template_is_used():
    there = {path.name for path in (resources.files("lateapex") / "data" / "cluster").iterdir()}
    assert there == {
        *("machines.yaml", "aws.yaml", "train.sh", "Dockerfile"),
        *("kuberay-cluster.yaml", "kuberay-job.yaml", "kuberay-spec.yaml"),
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "nomad"}, r"kind is 'nomad'; input should be 'machines', 'kuberay' or 'aws'"),
        ({"kind": "aws", "workers": 0}, r"workers is 0; input should be greater than or equal to 1"),
        ({"kind": "kuberay", "image": "a b"}, r"image is 'a b'; string should match pattern"),
        ({"kind": "machines"}, r"0 machines are no cluster: give --host twice or more"),
        ({"kind": "machines", "hosts": ("one",)}, r"1 machines are no cluster"),
        ({"kind": "machines", "hosts": ("one", "one")}, r"each machine is named once"),
        ({"kind": "machines", "hosts": ("one", "t wo")}, r"'t wo' is no name or address of a machine"),
        ({"kind": "aws", "hosts": HOSTS}, r"--host is for machines of your own"),
        ({"kind": "aws", "region": "us-east-1: {}"}, r"region is 'us-east-1: {}'"),
        ({"kind": "aws", "package": "x'; reboot"}, r"package is"),
        ({"kind": "aws", "train": "--workers 3"}, r"--workers is not to be given there"),
        ({"kind": "aws", "train": "--ray-address=local"}, r"--ray-address is not to be given there"),
        ({"kind": "aws", "train": "--track\noval"}, r"one line is needed"),
        ({"kind": "aws", "train": "--track 'oval"}, r"no closing quotation"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_and_nothing_is_written(tmp_path, values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        cluster(parse(ClusterConfig, values, "test"), tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@named
def test_nobodys_files_are_replaced(tmp_path, kind):
    (tmp_path / "cluster.yaml").write_text("mine")
    with pytest.raises(RunError, match=r"already has cluster\.yaml; choose another --out"):
        made(tmp_path, kind)
    assert files_of(tmp_path) == {"cluster.yaml": b"mine"}


def test_the_command_writes_what_the_job_does(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("--host", HOSTS[0], "--host", HOSTS[1], "--user", "racer", "--workers", 20, "--train", "--track oval")
    said = command(capsys, "cluster", "machines", *words, "--out", "one")
    assert (said.code, said.out.splitlines()[0]) == (0, "wrote one/cluster.yaml")
    made(tmp_path / "two", "machines", hosts=HOSTS[:2], user="racer")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    wrong = command(capsys, "cluster", "machines")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("error: 0 machines are no cluster")
