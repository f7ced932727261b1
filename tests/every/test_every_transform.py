"""Whatever is listed as a transform: its shape, its type, each picture alone, no chance but that of its draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lateapex.models.inputs import Inputs
from lateapex.models.transforms import TRANSFORMS, canonical, parse_transform

options = {
    "crop": st.builds("crop:top={}:bottom={}:left={}:right={}".format, *[st.integers(0, 5)] * 4),
    "grey": st.just("grey"),
    "resize": st.builds("resize:width={}:height={}".format, st.integers(1, 40), st.integers(1, 40)),
    "normalise": st.sampled_from(["normalise", "normalise:mean=3.5:std=7", "normalise:per_picture=true"]),
    "stack": st.builds("stack:frames={}:every={}".format, st.integers(1, 4), st.integers(1, 3)),
    "difference": st.builds("difference:steps={}:keep={}".format, st.integers(1, 4), st.booleans()),
    "edges": st.just("edges"),
    "blur": st.builds("blur:sigma={}".format, st.floats(0.1, 6.0)),
    "cutout": st.builds("cutout:size={}:count={}".format, st.integers(1, 11), st.integers(1, 4)),
    "mask": st.builds(
        "mask:top={}:bottom={}:value={}".format, st.integers(1, 5), st.integers(0, 5), st.integers(0, 255)
    ),
}
each_transform = pytest.mark.parametrize("name", TRANSFORMS.names())
shapes = st.tuples(st.integers(11, 25), st.integers(11, 25), st.integers(1, 3))


def pictures(seed: int, count: int, history: int, shape: tuple[int, int, int]) -> torch.Tensor:
    frames = (history,) if history > 1 else ()
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, *frames, *shape), np.uint8))


def test_every_transform_has_options_to_be_tried_with() -> None:
    assert list(options) == TRANSFORMS.names()


@each_transform
@settings(max_examples=25, deadline=None)
@given(data=st.data(), shape=shapes, count=st.integers(0, 5), seed=st.integers(0, 99), training=st.booleans())
def test_it_makes_what_it_says_of_each_picture_alone(name, data, shape, count, seed, training) -> None:
    text = data.draw(options[name])
    transform = parse_transform(text)
    seen = pictures(seed, count, transform.history, shape)
    draws = torch.from_numpy(np.random.default_rng(seed).random((count, transform.draws))) if training else None
    before = seen.clone()
    made = transform(seen, draws)
    assert tuple(made.shape) == (count, *transform.shape(shape))
    assert made.dtype == (torch.float32 if name == "normalise" else torch.uint8)
    assert torch.equal(seen, before)
    assert torch.equal(parse_transform(canonical(text))(seen, draws), made)
    for place in range(count):
        alone = draws[place : place + 1] if draws is not None else None
        assert torch.equal(transform(seen[place : place + 1], alone)[0], made[place])


@each_transform
@settings(max_examples=10, deadline=None)
@given(data=st.data(), shape=shapes, seed=st.integers(0, 99))
def test_it_takes_no_chance_of_its_own(name, data, shape, seed) -> None:
    transform = parse_transform(data.draw(options[name]))
    seen = pictures(seed, 2, transform.history, shape)
    for draws in (None, torch.full((2, transform.draws), 0.4, dtype=torch.float64)):
        torch.manual_seed(seed)
        first = transform(seen, draws)
        torch.manual_seed(seed + 1)
        assert torch.equal(transform(seen, draws), first)


@each_transform
@settings(max_examples=10, deadline=None)
@given(data=st.data(), seed=st.integers(0, 99))
def test_channels_are_transformed_alike_and_apart(name, data, seed) -> None:
    """But for grey, which joins three, and what orders channels anew."""
    text = data.draw(options[name])
    transform = parse_transform(text)
    seen = pictures(seed, 2, transform.history, (15, 17, 2))
    both = transform(seen, None)
    apart = [transform(seen[..., channel : channel + 1], None) for channel in (0, 1)]
    assert torch.equal(both, torch.stack(apart, dim=-1).flatten(3))


@each_transform
@settings(max_examples=5, deadline=None)
@given(data=st.data(), seed=st.integers(0, 99))
def test_it_stands_in_a_chain_of_a_model(name, data, seed) -> None:
    inputs = Inputs(["crop:top=2", data.draw(options[name])], {"FRONT_FACING_CAMERA": (20, 24, 3), "LIDAR": (8,)})
    generator = np.random.default_rng(seed)
    frames = inputs.frames(3)
    for step in range(4):
        seen, frames = inputs.see(
            {
                "FRONT_FACING_CAMERA": generator.integers(0, 256, (3, 20, 24, 3), np.uint8),
                "LIDAR": generator.random((3, 8), np.float32),
            },
            frames,
            torch.tensor([step == 0, step == 0, step in (0, 2)]),
            torch.from_numpy(generator.random((3, inputs.draws))) if step % 2 else None,
        )
        assert {sensor: tuple(value.shape[1:]) for sensor, value in seen.items()} == inputs.spaces
        assert {key: value.shape for key, value in frames.items()} == {
            key: value.shape for key, value in inputs.frames(3).items()
        }
