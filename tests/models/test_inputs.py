"""Chains of transforms: what is remembered, whose draws are whose, and a user's own transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lateapex.errors import ConfigError
from lateapex.models.inputs import Inputs
from lateapex.models.transforms import canonical, parse_transform

FRONT, LEFT = "FRONT_FACING_CAMERA", "LEFT_CAMERA"


class Drive:
    """Shows pictures of one grey level to a chain, step by step, and keeps what it remembers."""

    def __init__(self, *texts: str, cars: int = 1) -> None:
        self.inputs = Inputs(texts, {FRONT: (2, 3, 1)})
        self.frames = self.inputs.frames(cars)

    def see(self, *levels: int, fresh: tuple[bool, ...] = (False,)) -> list[list[float]]:
        """Channels of the upper left pixel, by car."""
        pictures = np.zeros((len(levels), 2, 3, 1), np.uint8)
        pictures += np.array(levels, np.uint8)[:, None, None, None]
        seen, self.frames = self.inputs.see({FRONT: pictures}, self.frames, torch.tensor(fresh), None)
        channels: list[list[float]] = seen[FRONT][:, 0, 0].tolist()
        return channels


def test_without_a_transform_observations_pass_without_a_copy() -> None:
    spaces = {FRONT: (4, 5, 1), "LIDAR": (6,)}
    inputs = Inputs([], spaces)
    observations = {FRONT: np.ones((2, 4, 5, 1), np.uint8), "LIDAR": np.ones((2, 6), np.float32)}
    seen, frames = inputs.see(observations, inputs.frames(2), torch.ones(2, dtype=torch.bool), None)
    assert (inputs.spaces, inputs.draws, inputs.history, frames) == (spaces, 0, 1, {})
    for name, value in observations.items():
        assert np.shares_memory(seen[name].numpy(), value)


def test_lidar_is_left_alone() -> None:
    inputs = Inputs(["crop:top=1", "normalise"], {"LIDAR": (3,), FRONT: (4, 5, 1)})
    assert inputs.spaces == {"LIDAR": (3,), FRONT: (3, 5, 1)}


def test_a_first_picture_stands_for_those_before_it() -> None:
    drive = Drive("stack:frames=3")
    assert drive.see(9, fresh=(True,)) == [[9, 9, 9]]
    assert drive.see(8) == [[9, 9, 8]]
    assert drive.see(7) == [[9, 8, 7]]
    assert drive.see(6) == [[8, 7, 6]]


def test_a_new_episode_of_one_car_forgets_that_cars_pictures_alone() -> None:
    drive = Drive("stack:frames=2", cars=2)
    drive.see(1, 10, fresh=(True, True))
    assert drive.see(2, 20, fresh=(False, True)) == [[1, 2], [20, 20]]
    assert drive.see(3, 30, fresh=(False, False)) == [[2, 3], [20, 30]]


def test_a_stack_of_differences_looks_back_through_both() -> None:
    drive = Drive("difference", "stack:frames=2")
    assert drive.inputs.history == 3
    assert drive.see(100, fresh=(True,)) == [[128, 128]]
    assert drive.see(110) == [[128, 132]]  # 132.5, half to even
    assert drive.see(90) == [[132, 118]]  # 117.5


def test_each_stage_remembers_the_pictures_that_come_to_it() -> None:
    inputs = Inputs(["crop:top=1", "stack:frames=3", "difference:steps=2"], {FRONT: (4, 5, 2), LEFT: (3, 3, 1)})
    assert {key: tuple(value.shape) for key, value in inputs.frames(7).items()} == {
        f"{FRONT}/1": (7, 2, 3, 5, 2),
        f"{FRONT}/2": (7, 2, 3, 5, 6),
        f"{LEFT}/1": (7, 2, 2, 3, 1),
        f"{LEFT}/2": (7, 2, 2, 3, 3),
    }
    assert inputs.history == 5


def test_nothing_is_kept_inside() -> None:
    drive = Drive("difference", "stack:frames=2")
    drive.see(5, fresh=(True,))
    remembered = {key: value.clone() for key, value in drive.frames.items()}
    once = drive.see(50)
    drive.frames = remembered
    assert drive.see(50) == once


def test_cars_are_seen_alone_as_they_are_together() -> None:
    texts, spaces = ["blur:sigma=1", "cutout:size=2", "stack:frames=2", "resize:width=4:height=5"], {FRONT: (9, 8, 3)}
    inputs, generator = Inputs(texts, spaces), np.random.default_rng(3)
    pictures = generator.integers(0, 256, (4, 9, 8, 3), np.uint8)
    draws, fresh = torch.from_numpy(generator.random((4, inputs.draws))), torch.tensor([True, False, False, True])
    frames = {key: torch.randint_like(value, 0, 256) for key, value in inputs.frames(4).items()}
    seen, kept = inputs.see({FRONT: pictures}, frames, fresh, draws)
    for car in range(4):
        part = slice(car, car + 1)
        own = {key: value[part] for key, value in frames.items()}
        alone, remembered = inputs.see({FRONT: pictures[part]}, own, fresh[part], draws[part])
        assert torch.equal(alone[FRONT], seen[FRONT][part])
        for key, value in remembered.items():
            assert torch.equal(value, kept[key][part])


def test_each_camera_and_each_transform_has_draws_of_its_own() -> None:
    inputs = Inputs(["cutout:size=1", "grey", "cutout:size=1:count=2"], {FRONT: (1, 9, 1), LEFT: (1, 9, 1)})
    assert inputs.draws == 12
    draws = torch.tensor([[0, 0.0, 0, 0.12, 0, 0.23, 0, 0.99, 0, 0.78, 0, 0.67]], dtype=torch.float64)
    black = np.zeros((1, 1, 9, 1), np.uint8)
    seen, _ = inputs.see({FRONT: black, LEFT: black}, {}, torch.tensor([True]), draws)
    assert seen[FRONT].flatten().tolist() == [128] * 3 + [0] * 6
    assert seen[LEFT].flatten().tolist() == [0] * 6 + [128] * 3


def test_numbers_come_last() -> None:
    assert Inputs(["stack:frames=2", "normalise"], {FRONT: (4, 5, 1)}).spaces == {FRONT: (4, 5, 2)}
    with pytest.raises(
        ConfigError, match=r"^normalise gives numbers, not bytes, which no transform takes; put it last$"
    ):
        Inputs(["normalise", "stack:frames=2"], {FRONT: (4, 5, 1)})


def test_a_transform_that_cannot_take_what_comes_to_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^crop: top 3 and bottom 0 leave no row of 2$"):
        Inputs(["crop:bottom=2", "crop:top=3"], {FRONT: (4, 5, 1)})


# ------------------------------------------------------------------------------------------------- a user's own file

BRIGHTER = """
import torch


class Brighter:
    def __init__(self, by: int = 10, name="plain"):
        self.by = by

    def __call__(self, pictures, draws):
        return (pictures.int() + self.by).clamp(max=255).to(torch.uint8)
"""


def test_a_class_from_a_file_is_a_transform() -> None:
    code = {"own.py": BRIGHTER}
    inputs = Inputs(["my/own.py:Brighter:by=5", "own.py:Brighter"], {FRONT: (1, 2, 1)}, code)
    pictures = np.array([[[[0], [250]]]], np.uint8)
    seen, _ = inputs.see({FRONT: pictures}, {}, torch.tensor([True]), None)
    assert seen[FRONT].flatten().tolist() == [15, 255]
    assert inputs.spaces == {FRONT: (1, 2, 1)}
    assert canonical("own.py:Brighter:name=x:by=10", code) == "own.py:Brighter:name=x"


def test_a_class_of_a_file_may_look_back_and_take_draws() -> None:
    text = (
        "from __future__ import annotations\nimport dataclasses, torch\n\n"
        "@dataclasses.dataclass\nclass Flicker:\n"
        "    strength: float\n    history = 2\n    draws = 1\n"
        "    def shape(self, shape):\n        return shape\n"
        "    def __call__(self, pictures, draws):\n"
        "        if draws is None:\n            return pictures[:, 0]\n"
        "        return (pictures[:, 0] + self.strength * draws[:, :, None, None]).to(torch.uint8)\n"
    )
    inputs = Inputs(["own.py:Flicker:strength=100"], {FRONT: (1, 1, 1)}, {"own.py": text})
    assert (inputs.history, inputs.draws) == (2, 1)
    frames = {f"{FRONT}/0": torch.full((1, 1, 1, 1, 1), 20, dtype=torch.uint8)}
    now, old = np.full((1, 1, 1, 1), 9, np.uint8), torch.tensor([False])
    assert inputs.see({FRONT: now}, frames, old, None)[0][FRONT].item() == 20
    assert inputs.see({FRONT: now}, frames, old, torch.tensor([[0.5]]))[0][FRONT].item() == 70


@pytest.mark.parametrize(
    ("text", "transform", "message"),
    [
        ("", "own.py", "transform 'own.py' names no class; write own.py:MyTransform"),
        (
            "",
            "nobody.py:Mine",
            "nobody.py is not there; 'nobody.py:Mine' needs it: give its path, or bring it back into the run",
        ),
        ("class Mine:\n    pass", "own.py:Mien", "own.py has no class 'Mien'; did you mean 'Mine'?"),
        ("class Other:\n    pass", "own.py:Zz", "own.py has no class 'Zz'; it has: Other"),
        ("x = 1", "own.py:Mine", "own.py has no class 'Mine'; it defines none"),
        ("def f(:\n", "own.py:Mine", "own.py:1: is not Python 3: invalid syntax: 'def f(:'"),
        ("x = 1\ny = x / 0\n", "own.py:Mine", "own.py:2: ZeroDivisionError: division by zero"),
        (
            "class Mine:\n    pass",
            "own.py:Mine",
            "own.py:Mine cannot be called; define __call__(self, pictures, draws)",
        ),
        (BRIGHTER, "own.py:Brighter:bye=1", "own.py:Brighter has no option 'bye'; did you mean 'by'?"),
        (BRIGHTER, "own.py:Brighter:by=x", "own.py:Brighter: by is 'x'; a whole number is needed"),
        (
            "class Mine:\n    def __init__(self, level):\n        raise ValueError(f'no {level!r}')\n",
            "own.py:Mine:level=2.5",
            "own.py:3: ValueError: no 2.5",
        ),
        (
            "class Mine:\n    def __call__(self, pictures, draws):\n        return pictures[:, :, 99]\n",
            "own.py:Mine",
            "own.py:3: IndexError: index 99 is out of bounds for dimension 2 with size 5",
        ),
        (
            "class Mine:\n    def __call__(self, pictures, draws):\n        return pictures.tolist()\n",
            "own.py:Mine",
            "own.py:Mine returned list; a tensor [B, H, W, C] is needed",
        ),
        (
            "class Mine:\n    def __call__(self, pictures, draws):\n        return pictures[0]\n",
            "own.py:Mine",
            "own.py:Mine made [4, 5, 1] of [1, 4, 5, 1]; [1, height, width, channels] is needed",
        ),
        (
            "class Mine:\n    def shape(self, shape):\n        return 7\n"
            "    def __call__(self, pictures, draws):\n        return pictures\n",
            "own.py:Mine",
            "own.py:Mine: the shape is 7; (height, width, channels) is needed",
        ),
        (
            "class Mine:\n    def shape(self, shape):\n        return (2, *shape[1:])\n"
            "    def __call__(self, pictures, draws):\n        return pictures\n",
            "own.py:Mine",
            "own.py:Mine: shape() says that [4, 5, 1] becomes [2, 5, 1], but it becomes [4, 5, 1]; make the two agree",
        ),
        (
            "class Mine:\n    def __call__(self, pictures, draws):\n        return pictures.double()\n",
            "own.py:Mine",
            "own.py:Mine gives torch.float64; torch.uint8 is needed, or torch.float32 from the last",
        ),
        (
            "class Mine:\n    history = 0\n    def __call__(self, pictures, draws):\n        return pictures\n",
            "own.py:Mine",
            "own.py:Mine: history is 0; a whole number of 1 or more is needed",
        ),
    ],
)
def test_what_is_wrong_with_an_own_transform_is_told_in_one_line(text: str, transform: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Inputs([transform], {FRONT: (4, 5, 1)}, {"own.py": text})
    assert str(error.value) == message


def test_what_goes_wrong_while_driving_is_told_with_file_and_line() -> None:
    text = "class Mine:\n    def __call__(self, seen, draws):\n        return seen * int(9 / seen.max().item())"
    transform = parse_transform("own.py:Mine", {"own.py": text})
    with pytest.raises(ConfigError, match=r"^own\.py:3: ZeroDivisionError: division by zero$"):
        transform(torch.zeros(1, 4, 5, 1, dtype=torch.uint8), None)


def test_a_user_s_dataclass_with_annotations_as_texts_can_be_built() -> None:
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n"
        "@dataclass\nclass Mine:\n    by: int = 1\n    def __call__(self, pictures, draws):\n        return pictures\n"
    )
    assert canonical("own.py:Mine:by=07", {"own.py": text}) == "own.py:Mine:by=7"
