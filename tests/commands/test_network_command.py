"""`lateapex network` and what `lateapex train` says of networks, as they are typed."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from made_networks import write_tiny
from small_runs import command, small_run

from lateapex.jobs.network import Listed, list_networks
from lateapex.models.networks import CRITICS, NETWORKS


def shown(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, object]]:
    """The parts that `network show --json` tells of."""
    said = command(capsys, "network", "show", *words, "--json")
    assert said.code == 0, said
    assert said.err == ""
    parts: list[dict[str, object]] = json.loads(said.out)["parts"]
    return parts


@pytest.fixture(scope="module")
def listed() -> list[Listed]:
    """What `network list` tells, worked out once."""
    return list_networks()


def test_the_list_has_every_network_once_and_the_originals_names(
    capsys: pytest.CaptureFixture[str], listed: list[Listed]
) -> None:
    said = command(capsys, "network", "list", "--json")
    assert json.loads(said.out)["networks"] == [asdict(network) for network in listed]
    networks = {network["name"]: network for network in json.loads(said.out)["networks"]}
    originals = [network["original"] for network in networks.values() if network["original"]]
    assert sorted([*networks, *originals]) == sorted([*NETWORKS.names(), *CRITICS.names()])
    assert {name for name, network in networks.items() if network["critic_only"]} == set(CRITICS.names())
    assert networks["shallow"]["parameters"] == 5_839_520 + 513 * 10
    assert networks["recurrent"]["memory"] == 64
    assert networks["state"]["parameters"] == 22 * 128 + 129 * 128 + 129  # 21 numbers of the state, then a value
    assert all(network["about"] for network in networks.values())
    said = command(capsys, "network", "list").out
    assert all(re.search(rf"^{name} .*{network['about'][:40]}", said, re.M) for name, network in networks.items())


@pytest.mark.parametrize("name", [*NETWORKS.names(), *CRITICS.names()])
def test_every_network_of_the_tables_is_shown_as_large_as_it_is_listed(
    capsys: pytest.CaptureFixture[str], name: str, listed: list[Listed]
) -> None:
    (part,) = shown(capsys, name)
    (network,) = [network for network in listed if name in (network.name, network.original)]
    assert part["role"] == ("critic" if network.critic_only else "actor")
    assert part["figures"]["parameters"] == network.parameters  # type: ignore[index] # JSON
    assert part["figures"]["multiply_adds"] == network.multiply_adds  # type: ignore[index] # JSON


def test_the_table_tells_what_the_json_tells(capsys: pytest.CaptureFixture[str]) -> None:
    said = command(capsys, "network", "show", "shallow")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "actor: shallow · FRONT_FACING_CAMERA 160 x 120 x 1 · 10 actions"
    rows = [re.split(r"  +", line.strip()) for line in lines]
    assert ["dense.0", "Linear", "512", "5,767,680", "5,767,168"] in rows
    assert ["all", "5,844,650", "22,244,352"] in rows
    assert ["arithmetic", "44.5 MFLOP for an observation"] in rows
    assert re.search(r"^time +1 in [0-9.]+ ms, 32 in [0-9.]+ ms: observations at once, measured here", said.out, re.M)
    assert ["weights", "23.4 MB; with Adam 93.5 MB"] in rows


def test_it_is_built_for_what_the_metadata_and_the_transforms_give(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    metadata = tmp_path / "model_metadata.json"
    ranges = {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 1, "high": 2}}
    content = {"action_space": ranges, "action_space_type": "continuous", "sensor": ["FRONT_FACING_CAMERA"]}
    metadata.write_text(json.dumps({**content, "version": "5"}))
    words = ("--model-metadata", metadata, "--colour", "--transform", "crop:top=40", "--transform", "stack:frames=2")
    (part,) = shown(capsys, "lean", *words)
    assert part["inputs"] == {"FRONT_FACING_CAMERA": [80, 160, 6]}
    layers = part["figures"]["layers"]  # type: ignore[index] # JSON
    assert layers[0]["output"] == [20 * 40 * 6]
    # A mean for each of two numbers, whose deviations are weights of the head.
    assert [(layer["name"], layer["parameters"]) for layer in layers[-2:]] == [("head.linear", 130), ("head", 2)]


def test_a_network_of_the_users_is_shown_from_its_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (part,) = shown(capsys, write_tiny(tmp_path))
    layers = part["figures"]["layers"]  # type: ignore[index] # JSON
    assert [(layer["name"], layer["output"], layer["parameters"]) for layer in layers] == [
        ("FRONT_FACING_CAMERA", [1, 120, 160], 0),
        ("dense", [8], 8 * (15 * 20 + 1)),
        ("head.linear", [10], 90),
    ]


def test_of_a_run_actor_and_critic_are_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", network="recurrent", trainer={"steps": 32, "evaluation_trials": 1})
    actor, critic = shown(capsys, run)
    assert (actor["role"], actor["network"], actor["figures"]["memory"]) == ("actor", "recurrent", 64)  # type: ignore[index] # JSON
    assert (critic["role"], critic["network"], critic["figures"]["memory"]) == ("critic", "lean", 0)  # type: ignore[index] # JSON
    refused = command(capsys, "network", "show", run, "--transform", "grey")
    assert refused.error.endswith("is a run, shown as it was trained; leave --transform out")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("shalow", "no network is called 'shalow'; did you mean 'shallow'?"),
        ("net.py", "network 'net.py' names no class; write net.py:MyNet"),
        ("net.py:Net", "no file is at net.py"),
        (".", "run folder . is no run folder: it has no run.toml; give the folder that lateapex train named"),
    ],
)
def test_what_is_no_network_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(capsys, "network", "show", word).error == message


def test_the_first_line_of_a_training_says_what_learns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("train", "--algorithm", "sac", "--preset", "original", "--network", "lean", "--critic", "attention")
    said = command(capsys, *words, "--steps", 4, "--cars", 2, "--out", tmp_path / "run")
    assert said.code == 0, said
    assert "· sac as the original · lean (critic attention) · seed 0 ·" in said.out.splitlines()[0]
    settings = (tmp_path / "run" / "run.toml").read_text()
    assert 'algorithm = "sac"' in settings
    assert 'critic = "attention"' in settings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--algorithm", "sca"), "algorithm"),
        (("--preset", "quick"), "preset"),
        (("--critic", "laen"), "no network is called 'laen'; did you mean 'lean'?"),
        (("--resume", "x", "--algorithm", "sac"), "--algorithm cannot be changed"),
    ],
)
def test_words_that_mean_nothing_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert message in command(capsys, "train", *words).error


def test_the_help_names_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    said = " ".join(command(capsys, "train", "--help").out.split())
    for name in NETWORKS.names():
        assert name.startswith("DEEP_CONVOLUTIONAL") or re.search(rf"\b{name}\b", said), name


# ------------------------------------------------------------------------------------------------------- the page


PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")


def test_the_pages_table_is_what_the_list_tells(listed: list[Listed]) -> None:
    for found in listed:
        figures = f"{found.parameters:,} | {found.multiply_adds / 5e5:.1f} | {found.memory or ''} |"
        assert f"| {found.name} | {found.original or ''} | {figures}" in PAGE


def test_the_pages_own_network_trains_as_it_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    Path("my_net.py").write_text(text)
    metadata = {"action_space": [{"steering_angle": 0, "speed": 1}] * 2, "sensor": ["STEREO_CAMERAS", "LIDAR"]}
    Path("model_metadata.json").write_text(json.dumps({**metadata, "version": "5"}))
    (part,) = shown(capsys, "my_net.py:MyNet", "--model-metadata", "model_metadata.json")
    assert part["inputs"] == {"STEREO_CAMERAS": [120, 160, 2], "LIDAR": [64]}
    lines = [
        line.split()[1:] for line in PAGE.splitlines() if line.startswith("    lateapex train") and "my_net" in line
    ]
    said = command(capsys, *lines[0], "--steps", 8, "--cars", 2, "--out", "run")
    assert said.code == 0, said
    assert "· clipped_ppo · my_net.py:MyNet · seed 0 ·" in said.out.splitlines()[0]
