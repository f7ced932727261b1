"""A user's own network: what it gets, what it must give, and one line for whatever is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from made_models import CAMERA
from made_networks import TINY

from lateapex.env.user_code import load_class, read_code
from lateapex.errors import ConfigError
from lateapex.models.blueprint import Blueprint, Spaces
from lateapex.models.policy import Policy
from lateapex.models.user_network import UserNetwork, build_network, check_network

SPACES: Spaces = {"LIDAR": (4,), CAMERA: (16, 24, 2)}
HEAD = "import torch\nfrom torch import nn\nclass My(nn.Module):\n"
INIT = "    def __init__(self, spaces):\n        super().__init__()\n"


def built(text: str, name: str = "My", spaces: Spaces = SPACES) -> UserNetwork:
    network = build_network(f"some/where/my.py:{name}", spaces, {"my.py": text})
    assert isinstance(network, UserNetwork)
    return network


def forward(line: str, init: str = "") -> str:
    """A network whose forward is this line."""
    return f"{HEAD}{INIT}{init}    def forward(self, seen):\n        {line}\n"


# ------------------------------------------------------------------------------------------------- what it gets


def test_it_gets_pictures_from_0_to_1_channels_first_and_lidars_as_they_are() -> None:
    network = built(forward('self.seen = seen; return torch.ones(len(seen["LIDAR"]), 5)'))
    pictures = torch.arange(3 * 16 * 24 * 2).reshape(3, 16, 24, 2).to(torch.uint8)
    lidar = torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
    assert network(network.stem({CAMERA: pictures, "LIDAR": lidar})).shape == (3, 5)
    seen = network.module.seen
    assert list(seen) == [CAMERA, "LIDAR"]
    assert torch.equal(seen[CAMERA], pictures.permute(0, 3, 1, 2).float() / 255)
    assert torch.equal(seen["LIDAR"], lidar)


def test_it_is_built_with_the_spaces_in_the_order_of_their_names() -> None:
    network = built(
        f"{HEAD}{INIT}        self.spaces = spaces\n    def forward(self, seen):\n        return seen['LIDAR']\n"
    )
    assert list(network.module.spaces.items()) == [(CAMERA, (16, 24, 2)), ("LIDAR", (4,))]
    assert network.features == 4


def test_lazy_layers_and_dataclasses_work_and_the_seed_says_what_the_first_weights_are() -> None:
    def weights(seed: int) -> torch.Tensor:
        blueprint = Blueprint(sensors=dict(SPACES), actions=3, network="my.py:Tiny", critic="my.py:Tiny")
        policy = Policy(blueprint, seed, {"my.py": TINY})
        assert not torch.equal(policy.actor.network.module.dense.weight, policy.critic.network.module.dense.weight)
        return policy.actor.network.module.dense.weight

    assert weights(1).shape == (8, 2 * 2 * 3 + 4)
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_dropout_passes_all_and_averages_of_batches_stay() -> None:
    init = "        self.inner = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5))\n"
    network = built(forward('return self.inner(seen["LIDAR"])', init))
    seen = {CAMERA: torch.zeros(64, 2, 16, 24), "LIDAR": torch.full((64, 4), 7.0)}
    assert torch.equal(network(seen), network(seen))
    torch.testing.assert_close(network(seen), seen["LIDAR"], rtol=1e-4, atol=0)


def test_half_width_features_come_out_as_float32() -> None:
    network = built(forward('return seen["LIDAR"].bfloat16()'))
    assert network({CAMERA: torch.zeros(2, 2, 16, 24), "LIDAR": torch.ones(2, 4)}).dtype == torch.float32


# ------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("x = 1\nclass My(:\n", "My", r"some/where/my.py:2: is not Python 3: invalid syntax: 'class My\(:'"),
        ('print "x"\n', "My", r"some/where/my.py:1: is not Python 3: this is Python 2; "),
        (
            "\nimport nothing_like_it\n",
            "My",
            "some/where/my.py:2: ModuleNotFoundError: No module named 'nothing_like_it'",
        ),
        ("raise SystemExit(3)\n", "My", "some/where/my.py:1: SystemExit: 3"),
        (TINY, "Tinny", "some/where/my.py has no class 'Tinny'; did you mean 'Tiny'?"),
        (TINY, "Xyz", "some/where/my.py has no class 'Xyz'; it has: Sizes, Tiny"),
        ("x = 1\n", "My", "some/where/my.py has no class 'My'; it defines none"),
        ("My = 3\n", "My", "some/where/my.py has no class 'My'; it defines none"),
        (TINY, "Tiny:width=3", "'some/where/my.py:Tiny:width=3' names no class; write some/where/my.py:MyClass"),
        ("class My:\n    def __init__(self, spaces): pass\n", "My", "some/where/my.py:My is no torch.nn.Module"),
        (f"{HEAD}    def __init__(self):\n        pass\n", "My", r"some/where/my.py: TypeError: .*takes 1 positional"),
        (f"{HEAD}{INIT}        spaces['x']\n", "My", "some/where/my.py:6: KeyError: 'x'"),
        (
            f"{HEAD}    def __init__(self, spaces):\n        self.a = nn.Linear(1, 1)\n",
            "My",
            "my.py:5: AttributeError: cannot",
        ),
        (forward("return seen['x']"), "My", "some/where/my.py:7: KeyError: 'x'"),
        (forward("return nn.Linear(3, 3)(seen['LIDAR'])"), "My", "some/where/my.py:7: RuntimeError: mat1 and mat2"),
        (forward("return None"), "My", r"some/where/my.py:My returned NoneType for 2 observations; \[2, F\] is needed"),
        (forward("return seen['LIDAR'][0]"), "My", r"my.py:My returned \[4\] for 2 observations; \[2, F\] is needed"),
        (forward("return seen['LIDAR'][:1]"), "My", r"my.py:My returned \[1, 4\] for 2 observations"),
        (forward("return seen['LIDAR'][:, :0]"), "My", r"my.py:My returned \[2, 0\] for 2 observations"),
    ],
)
def test_what_is_wrong_with_a_network_is_told_in_one_line(text: str, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        built(text, name)
    assert len(str(told.value).splitlines()) == 1


def test_a_shape_that_is_wrong_for_some_batches_alone_is_told_when_it_comes() -> None:
    network = built(forward("return seen['LIDAR'][:2]"))
    with pytest.raises(ConfigError, match=r"my.py:My returned \[2, 4\] for 5 observations; \[5, F\] is needed"):
        network({CAMERA: torch.zeros(5, 2, 16, 24), "LIDAR": torch.ones(5, 4)})


def test_a_run_whose_copy_of_the_file_is_gone_says_which_it_was() -> None:
    with pytest.raises(ConfigError, match=r"my.py is not there; 'my.py:My' needs it: .*bring it back into the run"):
        build_network("my.py:My", SPACES, {})


def test_a_file_that_fails_leaves_no_module_behind() -> None:
    before = set(sys.modules)
    with pytest.raises(ConfigError):
        load_class("my.py:My", {"my.py": "raise ValueError('as it must')\n"})
    assert set(sys.modules) == before


def test_a_file_without_a_class_is_told_how_to_name_one() -> None:
    with pytest.raises(ConfigError, match=r"network 'my.py' names no class; write my.py:MyNet"):
        check_network("my.py")
    with pytest.raises(ConfigError, match=r"no network is called 'shalow'; did you mean 'shallow'?"):
        check_network("shalow")
    check_network("my.py:My")


# ------------------------------------------------------------------------------------------------- reading the file


def test_a_file_that_is_not_there_is_told_with_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text(TINY)
    with pytest.raises(ConfigError, match=r"no file is at .*/my_nte.py; did you mean 'my_net.py'\?"):
        read_code(str(tmp_path / "my_nte.py"))
    with pytest.raises(ConfigError, match=r"no file is at .*/no/where.py$"):
        read_code(str(tmp_path / "no" / "where.py"))


def test_a_file_in_another_encoding_is_read_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_bytes(b"# coding: latin-1\nclass My:\n    name = '\xe9'\n")
    assert load_class("my.py:My", {"my.py": read_code(str(path))}).name == "é"
    path.write_bytes(b"\xef\xbb\xbfclass My:\n    name = 'x'\n")
    assert load_class("my.py:My", {"my.py": read_code(str(path))}).name == "x"
    path.write_bytes(b"class My: name = '\xe9'\n")
    with pytest.raises(ConfigError, match=r"cannot read .*my.py: .*; a Python file in UTF-8 is needed"):
        read_code(str(path))
    with pytest.raises(ConfigError, match=r"cannot read .*: .*Is a directory"):
        read_code(str(tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        "import blocks",
        "import blocks.more as b",
        "from blocks import x",
        "from .blocks import x",
        "from . import blocks",
    ],
)
def test_a_file_beside_it_that_it_imports_is_refused_since_it_would_not_come_along(tmp_path: Path, line: str) -> None:
    (tmp_path / "blocks.py").write_text("x = 1\n")
    path = tmp_path / "my.py"
    path.write_text(f"import torch\ndef late():\n    {line}\n")
    with pytest.raises(
        ConfigError, match=r"my.py:3: imports blocks.py, which lies beside it; a run keeps a copy of my.py"
    ):
        read_code(str(path))
    (tmp_path / "blocks.py").unlink()
    assert "late" in read_code(str(path))


def test_what_it_decides_does_not_depend_on_the_cars_beside_it() -> None:
    policy = Policy(Blueprint(sensors=dict(SPACES), actions=5, network="my.py:Tiny"), 3, {"my.py": TINY})
    random = np.random.default_rng(1)
    seen = {CAMERA: random.integers(0, 256, (40, 16, 24, 2), np.uint8), "LIDAR": random.random((40, 4), np.float32)}
    draws, fresh = random.random((40, 4)), np.ones(40, np.bool_)
    whole = policy.decide(seen, policy.memory(40), fresh, draws)
    for car in (0, 31, 39):
        own = {name: value[car : car + 1] for name, value in seen.items()}
        alone = policy.decide(own, policy.memory(1), fresh[:1], draws[car : car + 1])
        assert torch.equal(alone.log_probs[0], whole.log_probs[car])
        assert torch.equal(alone.values[0], whole.values[car])
