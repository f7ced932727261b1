"""The networks' layers: sizes, parameters and arithmetic against what they stand for."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from lateapex.errors import ConfigError
from lateapex.models.attention import Attention, Look
from lateapex.models.networks import Lean, NetworkModule, Recurrent
from lateapex.models.official import Deep, Deeper, Official, PictureEmbedder, Shallow

FRONT, STEREO = "FRONT_FACING_CAMERA", "STEREO_CAMERAS"
SHALLOW = Shallow({FRONT: (120, 160, 1)})


def pictures(batch: int, height: int = 120, width: int = 160, channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randint(0, 256, (batch, height, width, channels), dtype=torch.uint8, generator=generator)


# ------------------------------------------------------------------------------------------------------- official


each_official = pytest.mark.parametrize(
    # Maps and flat sizes of facts that others measured, for 160x120; dense layers act on each place of a map.
    ("kind", "sensor", "maps", "flat", "middleware"),
    [
        (Shallow, FRONT, [(32, 29, 39), (64, 13, 18), (64, 11, 16)], 11264, (512,)),
        (Shallow, STEREO, [(32, 29, 39), (64, 13, 18), (64, 11, 16)], 11264, (512,)),
        (Deep, FRONT, [(32, 58, 78), (32, 56, 76), (64, 27, 37), (64, 25, 35)], 56000, (512,)),
        (Deeper, FRONT, [(32, 29, 39), (32, 13, 18), (64, 5, 8), (64, 3, 6)], 9216, (256, 128)),
        (
            Deep,
            STEREO,
            [(32, 118, 158), (64, 58, 78), (64, 56, 76), (128, 27, 37), (128, 25, 35)],
            112000,
            (512,),
        ),
        (
            Deeper,
            STEREO,
            [(32, 118, 158), (64, 58, 78), (64, 56, 76), (128, 27, 37), (128, 25, 35)],
            112000,
            (256, 128),
        ),
    ],
)


@each_official
def test_an_official_network_has_the_layers_of_the_original(
    kind: type[Official],
    sensor: str,
    maps: list[tuple[int, ...]],
    flat: int,
    middleware: tuple[int, ...],
) -> None:
    channels = 2 if sensor == STEREO else 1
    network = kind({sensor: (120, 160, channels)})
    embedder = network.embedders[sensor]
    assert isinstance(embedder, PictureEmbedder)
    seen = network.stem({sensor: pictures(1, channels=channels)})[sensor].float()
    found = []
    for layer in embedder.convolutions:
        seen = layer(seen)
        found.append((type(layer), tuple(seen.shape[1:])))
    assert found == [(kind_of, shape) for shape in maps for kind_of in (nn.Conv2d, nn.ReLU)]
    assert embedder.features == flat
    widths = [(layer.in_features, layer.out_features) for layer in network.dense if isinstance(layer, nn.Linear)]
    assert widths == list(itertools.pairwise((flat, *middleware)))
    assert all(isinstance(layer, nn.ReLU) for layer in network.dense[1::2])
    assert network.features == middleware[-1]


def parameters(network: nn.Module) -> list[int]:
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    counts = [sum(weight.numel() for weight in layer.parameters()) for layer in layers]
    assert sum(weight.numel() for weight in network.parameters()) == sum(counts)
    return counts


def test_official_networks_have_the_parameters_of_the_original() -> None:
    # 32 (8·8 + 1), 64 (4·4·32 + 1), 64 (3·3·64 + 1), 512 (11264 + 1)
    assert parameters(SHALLOW) == [2080, 32832, 36928, 5767680]
    # 32 (5·5 + 1), 32 (9·32 + 1), 64 (9·32 + 1), 64 (9·64 + 1), 64 · 65, 512 (56000 + 1)
    assert parameters(Deep({FRONT: (120, 160, 1)})) == [832, 9248, 18496, 36928, 4160, 28672512]
    # 32 (8·8 + 1), 32 (16·32 + 1), 64 (16·32 + 1), 64 (9·64 + 1), 512 · 65, 512 · 513, 256 · 9217, 128 · 257
    expected = [2080, 16416, 32832, 36928, 33280, 262656, 2359552, 32896]
    assert parameters(Deeper({FRONT: (120, 160, 1)})) == expected


def test_a_lidar_goes_through_two_dense_layers_of_256_beside_the_camera() -> None:
    network = Shallow({"LIDAR": (64,), FRONT: (120, 160, 1)})
    # 256 · 65, 256 · 257, 512 (11264 + 256 + 1)
    assert parameters(network) == [2080, 32832, 36928, 16640, 65792, 5898752]
    assert list(network.embedders) == [FRONT, "LIDAR"]


@pytest.mark.parametrize(
    ("network", "strides"),
    [(SHALLOW, (4, 2, 1)), (Deeper({FRONT: (120, 160, 1)}), (4, 2, 2, 1))],
    ids=["shallow", "deeper"],
)
def test_an_official_network_computes_its_layers_one_after_the_other(
    network: Official, strides: tuple[int, ...]
) -> None:
    seen = pictures(3)
    weights = {name: weight.detach().double() for name, weight in network.named_parameters()}
    maps = seen.permute(0, 3, 1, 2).double() / 255
    for place, stride in enumerate(strides):
        layer = f"embedders.{FRONT}.convolutions.{2 * place}"
        maps = functional.conv2d(maps, weights[f"{layer}.weight"], weights[f"{layer}.bias"], stride).clamp_min(0)
    expected = maps.permute(0, 2, 3, 1)
    for name in [key.removesuffix(".weight") for key in weights if ".positional." in key and key.endswith(".weight")]:
        expected = (expected @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]).clamp_min(0)
    expected = expected.flatten(1)
    for name in [key.removesuffix(".weight") for key in weights if key.startswith("dense") and key.endswith(".weight")]:
        expected = (expected @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]).clamp_min(0)
    found = network(network.stem({FRONT: seen}))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_the_stem_keeps_the_pictures_bytes_where_they_are() -> None:
    seen = pictures(2, channels=2)
    stemmed = SHALLOW.stem({FRONT: seen})[FRONT]
    assert stemmed.dtype == torch.uint8
    assert stemmed.shape == (2, 2, 120, 160)
    assert stemmed.data_ptr() == seen.data_ptr()
    assert stemmed[1, 0, 5, 7] == seen[1, 5, 7, 0]


def test_two_channels_double_the_first_kernel_alone() -> None:
    counts = [sum(parameters(Shallow({FRONT: (120, 160, channels)}))) for channels in (1, 2)]
    assert counts[1] - counts[0] == 32 * 8 * 8


@pytest.mark.parametrize("kind", [Shallow, Deep, Deeper, Attention, Lean])
def test_pictures_that_are_too_small_are_refused_in_one_line(kind: type[NetworkModule]) -> None:
    with pytest.raises(ConfigError, match=r"^FRONT_FACING_CAMERA gives pictures of 3x2; "):
        kind({FRONT: (2, 3, 1)})


# ------------------------------------------------------------------------------------------------------- attention


def test_attention_weighs_all_places_to_1_and_sums_them_up() -> None:
    look = Look(3, 2, 5)
    places = torch.randn(4, 7, 3, generator=torch.Generator().manual_seed(1))
    weights = look.weights(places)
    assert weights.shape == (4, 7, 2)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(4, 2))
    expected = torch.stack([(weights[:, :, k, None] * places).sum(dim=1) for k in range(2)], dim=1).flatten(1)
    torch.testing.assert_close(look(places), expected)


def test_attention_tells_left_from_right() -> None:
    network = Attention({FRONT: (120, 160, 1)})
    left = torch.zeros(1, 120, 160, 1, dtype=torch.uint8)
    left[:, 40:80, 16:48] = 255
    one, two = (network(network.stem({FRONT: seen})) for seen in (left, left.roll(64, dims=2)))
    assert not torch.allclose(one, two)


# ------------------------------------------------------------------------------------------------------- lean


@pytest.mark.parametrize(("height", "width", "channels"), [(120, 160, 1), (16, 24, 2), (4, 4, 3)])
def test_leans_stem_is_the_mean_of_4_by_4_pixels_in_exact_arithmetic(height: int, width: int, channels: int) -> None:
    seen = pictures(3, height, width, channels)
    # Sixteenths of grey levels are exact in 64 bits, and so is the way back from the stem to whole sums.
    means = functional.avg_pool2d(seen.permute(0, 3, 1, 2).double(), 4)
    stemmed = Lean({FRONT: (height, width, channels)}).stem({FRONT: seen})["flat"]
    assert stemmed.dtype == torch.float32
    assert stemmed.shape == (3, channels * height * width // 16)
    sums = (stemmed.double() + 1) * (16 * 127.5)
    assert torch.equal(sums.round(), means.flatten(1) * 16)
    torch.testing.assert_close(stemmed.double(), means.flatten(1) / 127.5 - 1, rtol=0, atol=1e-7)


def test_leans_stem_goes_from_minus_1_for_black_to_1_for_white() -> None:
    lean = Lean({FRONT: (8, 8, 1)})
    for grey, value in ((0, -1.0), (255, 1.0)):
        seen = torch.full((1, 8, 8, 1), grey, dtype=torch.uint8)
        assert lean.stem({FRONT: seen})["flat"].tolist() == [[value] * 4]


def test_leans_stem_reads_row_by_row_and_leaves_out_what_fills_no_tile() -> None:
    seen = torch.zeros(1, 11, 14, 1, dtype=torch.uint8)
    seen[0, 4:8, 8:12] = 255  # second row, third column of 2 by 3 tiles
    seen[0, 8:, :] = 99
    seen[0, :, 12:] = 99
    assert Lean({FRONT: (11, 14, 1)}).stem({FRONT: seen})["flat"].tolist() == [[-1, -1, -1, -1, -1, 1]]


def test_lean_has_two_dense_layers_behind_its_stem() -> None:
    counts = [weight.numel() for weight in Lean({FRONT: (120, 160, 1)}).parameters()]
    assert counts == [1200 * 128, 128, 128 * 64, 64]


def test_lean_takes_bytes_and_the_same_as_numbers_from_minus_1_to_1_alike() -> None:
    lean = Lean({FRONT: (8, 12, 1)})
    seen = pictures(2, 8, 12)
    torch.testing.assert_close(lean.stem({FRONT: seen.float() / 127.5 - 1})["flat"], lean.stem({FRONT: seen})["flat"])


def test_a_lidar_stands_beside_leans_tiles() -> None:
    lean = Lean({FRONT: (8, 8, 1), "LIDAR": (3,)})
    seen = {"LIDAR": torch.tensor([[0.2, 0.4, 0.6]]), FRONT: torch.zeros(1, 8, 8, 1, dtype=torch.uint8)}
    assert lean.stem(seen)["flat"].tolist() == [pytest.approx([-1, -1, -1, -1, 0.2, 0.4, 0.6])]


def test_the_recurrent_networks_memory_is_that_of_a_gated_unit() -> None:
    network = Recurrent({FRONT: (8, 8, 1)})
    features, memory = (torch.randn(5, 64, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    output, after = network.recur(features, memory)
    weights = dict(network.cell.named_parameters())
    ours = features @ weights["weight_ih"].T + weights["bias_ih"]
    theirs = memory @ weights["weight_hh"].T + weights["bias_hh"]
    reset, update = (
        torch.sigmoid(one + two) for one, two in zip(ours.chunk(3, 1)[:2], theirs.chunk(3, 1)[:2], strict=True)
    )
    new = torch.tanh(ours.chunk(3, 1)[2] + reset * theirs.chunk(3, 1)[2])
    torch.testing.assert_close(after, (1 - update) * new + update * memory)
    assert torch.equal(output, after)
