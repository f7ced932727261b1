"""The networks' layers: sizes, parameters and arithmetic against what they stand for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from lateapex.models.networks import Lean, Shallow

SHALLOW = Shallow(120, 160, 1)


def pictures(batch: int, height: int = 120, width: int = 160, channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randint(0, 256, (batch, height, width, channels), dtype=torch.uint8, generator=generator)


# ------------------------------------------------------------------------------------------------------- shallow


def test_shallow_has_the_maps_of_the_original() -> None:
    maps = SHALLOW.stem(pictures(2)).float()
    shapes = []
    for layer in SHALLOW.convolutions:
        maps = layer(maps)
        shapes.append((type(layer), tuple(maps.shape[1:])))
    assert shapes == [
        (nn.Conv2d, (32, 29, 39)),
        (nn.ReLU, (32, 29, 39)),
        (nn.Conv2d, (64, 13, 18)),
        (nn.ReLU, (64, 13, 18)),
        (nn.Conv2d, (64, 11, 16)),
        (nn.ReLU, (64, 11, 16)),
    ]
    assert SHALLOW.dense.in_features == 64 * 11 * 16 == 11264
    assert SHALLOW.dense.out_features == SHALLOW.features == 512


def test_shallow_has_the_parameters_of_the_original() -> None:
    layers = [layer for layer in SHALLOW.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    counts = [sum(weight.numel() for weight in layer.parameters()) for layer in layers]
    # 32 (8·8 + 1), 64 (4·4·32 + 1), 64 (3·3·64 + 1), 512 (11264 + 1)
    assert counts == [2080, 32832, 36928, 5767680]
    assert sum(weight.numel() for weight in SHALLOW.parameters()) == sum(counts)


def test_shallow_computes_its_layers_one_after_the_other() -> None:
    seen = pictures(3)
    weights = {name: weight.detach().double() for name, weight in SHALLOW.named_parameters()}
    maps = seen.permute(0, 3, 1, 2).double() / 255
    for place, stride in ((0, 4), (2, 2), (4, 1)):
        kernel, bias = weights[f"convolutions.{place}.weight"], weights[f"convolutions.{place}.bias"]
        maps = functional.conv2d(maps, kernel, bias, stride).clamp_min(0)
    expected = (maps.flatten(1) @ weights["dense.weight"].T + weights["dense.bias"]).clamp_min(0)
    found = SHALLOW(SHALLOW.stem(seen))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_shallows_stem_keeps_the_pictures_bytes_where_they_are() -> None:
    seen = pictures(2, channels=2)
    stemmed = SHALLOW.stem(seen)
    assert stemmed.dtype == torch.uint8
    assert stemmed.shape == (2, 2, 120, 160)
    assert stemmed.data_ptr() == seen.data_ptr()
    assert stemmed[1, 0, 5, 7] == seen[1, 5, 7, 0]


def test_two_channels_double_the_first_kernel_alone() -> None:
    counts = [sum(weight.numel() for weight in Shallow(120, 160, channels).parameters()) for channels in (1, 2)]
    assert counts[1] - counts[0] == 32 * 8 * 8


# ------------------------------------------------------------------------------------------------------- lean


@pytest.mark.parametrize(("height", "width", "channels"), [(120, 160, 1), (16, 24, 2), (4, 4, 3)])
def test_leans_stem_is_the_mean_of_4_by_4_pixels_in_exact_arithmetic(height: int, width: int, channels: int) -> None:
    seen = pictures(3, height, width, channels)
    # Sixteenths of grey levels are exact in 64 bits, and so is the way back from the stem to whole sums.
    means = functional.avg_pool2d(seen.permute(0, 3, 1, 2).double(), 4)
    stemmed = Lean(height, width, channels).stem(seen)
    assert stemmed.dtype == torch.float32
    assert stemmed.shape == (3, channels * height * width // 16)
    sums = (stemmed.double() + 1) * (16 * 127.5)
    assert torch.equal(sums.round(), means.flatten(1) * 16)
    torch.testing.assert_close(stemmed.double(), means.flatten(1) / 127.5 - 1, rtol=0, atol=1e-7)


def test_leans_stem_goes_from_minus_1_for_black_to_1_for_white() -> None:
    lean = Lean(8, 8, 1)
    for grey, value in ((0, -1.0), (255, 1.0)):
        assert lean.stem(torch.full((1, 8, 8, 1), grey, dtype=torch.uint8)).tolist() == [[value] * 4]


def test_leans_stem_reads_row_by_row_and_leaves_out_what_fills_no_tile() -> None:
    seen = torch.zeros(1, 11, 14, 1, dtype=torch.uint8)
    seen[0, 4:8, 8:12] = 255  # second row, third column of 2 by 3 tiles
    seen[0, 8:, :] = 99
    seen[0, :, 12:] = 99
    assert Lean(11, 14, 1).stem(seen).tolist() == [[-1, -1, -1, -1, -1, 1]]


def test_lean_has_two_dense_layers_behind_its_stem() -> None:
    counts = [weight.numel() for weight in Lean(120, 160, 1).parameters()]
    assert counts == [1200 * 128, 128, 128 * 64, 64]
