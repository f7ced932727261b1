"""Each input transform on pictures so small that its result is worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lateapex.errors import ConfigError
from lateapex.models.transforms import Transform, canonical, parse_transform


def picture(*rows: list[int]) -> torch.Tensor:
    """One grey picture, `[1, H, W, 1]`."""
    return torch.tensor(rows, dtype=torch.uint8)[None, ..., None]


def made(text: str, pictures: torch.Tensor, draws: torch.Tensor | None = None) -> list[object]:
    """What becomes of the first picture's first channel."""
    result: list[object] = parse_transform(text)(pictures, draws)[0, ..., 0].tolist()
    return result


STEPS = picture([0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23])


def test_crop_takes_rows_and_columns_off_the_named_sides() -> None:
    assert made("crop:top=1", STEPS) == [[10, 11, 12, 13], [20, 21, 22, 23]]
    assert made("crop:bottom=2:left=1", STEPS) == [[1, 2, 3]]
    assert made("crop:top=1:bottom=1:left=1:right=2", STEPS) == [[11]]


def test_crop_copies_nothing() -> None:
    assert parse_transform("crop:top=1")(STEPS, None).untyped_storage().data_ptr() == STEPS.untyped_storage().data_ptr()


def test_grey_is_the_truncated_luminance() -> None:
    # 0.2989 * 255 = 76.2195, 0.5870 * 255 = 149.685, 0.1140 * 255 = 29.07; all three 254.9745
    colours = torch.tensor([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=torch.uint8)[None]
    assert made("grey", colours) == [[76, 149, 29, 254]]


def test_grey_is_what_the_original_computes_of_every_colour_in_a_sample() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (1, 300, 300, 3), np.uint8)
    colours[0, 0, 0] = (0, 72, 24)  # 45.000 in decimals, below it in binary
    red, green, blue = np.moveaxis(colours, -1, 0)
    luminance = (0.2989 * red + 0.5870 * green + 0.1140 * blue).astype(np.uint8)
    np.testing.assert_array_equal(parse_transform("grey")(torch.from_numpy(colours), None)[..., 0], luminance)


def test_grey_leaves_a_grey_picture_and_a_stereo_pair() -> None:
    pair = torch.stack([STEPS[..., 0], STEPS[..., 0] + 1], dim=-1)
    assert torch.equal(parse_transform("grey")(STEPS, None), STEPS)
    assert torch.equal(parse_transform("grey")(pair, None), pair)


def test_resize_to_half_weighs_the_four_nearest_1_3_3_1() -> None:
    # Triangles of two pixels' half width: at the edges the part outside falls away, 3 : 3 : 1 of 7.
    # (3 * 0 + 3 * 70 + 1 * 140) / 7 = 50, (1 * 70 + 3 * 140 + 3 * 210) / 7 = 160
    assert made("resize:width=2:height=1", picture([0, 70, 140, 210])) == [[50, 160]]


def test_resize_to_double_goes_evenly_between() -> None:
    # Centres at 0.25 and 0.75 between pixels; 25 and 75 of 100.
    assert made("resize:width=4:height=1", picture([0, 100])) == [[0, 25, 75, 100]]


def test_resize_rounds_half_to_even() -> None:
    assert made("resize:width=1:height=1", picture([0, 1])) == [[0]]
    assert made("resize:width=1:height=1", picture([1, 2])) == [[2]]


def test_normalise_makes_minus_one_to_one() -> None:
    result = parse_transform("normalise")(picture([0, 255, 102]), None)
    assert result.dtype == torch.float32
    assert result.flatten().tolist() == pytest.approx([-1.0, 1.0, -0.2])


def test_normalise_takes_mean_and_deviation_of_each_channel() -> None:
    pixel = torch.tensor([[[[10, 20, 40]]]], dtype=torch.uint8)
    assert parse_transform("normalise:mean=10,10,20:std=5,5,4")(pixel, None).tolist() == [[[[0.0, 2.0, 5.0]]]]
    assert parse_transform("normalise:mean=0:std=255")(picture([255]), None).item() == 1.0


def test_normalise_per_picture_looks_at_each_channel_of_each_picture_alone() -> None:
    # 10 and 30: mean 20, deviation 10. 5 and 5: deviation 0, which counts as 1.
    pictures = torch.tensor([[[[10, 5], [30, 5]]], [[[100, 0], [140, 2]]]], dtype=torch.uint8)
    result = parse_transform("normalise:per_picture=true")(pictures, None)
    assert result[0].tolist() == [[[-1.0, 0.0], [1.0, 0.0]]]
    assert result[1].tolist() == [[[-1.0, -1.0], [1.0, 1.0]]]


def test_stack_has_the_oldest_first() -> None:
    frames = torch.tensor([1, 2, 3, 4, 5], dtype=torch.uint8)[None, :, None, None, None]
    assert parse_transform("stack:frames=5")(frames, None).flatten().tolist() == [1, 2, 3, 4, 5]
    assert parse_transform("stack:frames=3:every=2")(frames, None).flatten().tolist() == [1, 3, 5]


def test_stack_keeps_the_colours_of_a_frame_together() -> None:
    frames = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.uint8)[None, :, None, None, :]
    assert parse_transform("stack:frames=2")(frames, None).tolist() == [[[[1, 2, 3, 4, 5, 6]]]]


def test_difference_is_half_grey_where_nothing_changed() -> None:
    # 127.5 + d/2 for d = 0, 255, -255, 1, 2, -2, rounded half to even
    before, now = picture([7, 0, 255, 1, 1, 3]), picture([7, 255, 0, 2, 3, 1])
    assert made("difference", torch.stack([before, now], dim=1)) == [[128, 255, 0, 128, 128, 126]]


def test_difference_looks_as_many_steps_back_as_asked() -> None:
    frames = torch.stack([picture([0]), picture([90]), picture([255])], dim=1)
    assert made("difference:steps=2", frames) == [[255]]
    assert parse_transform("difference:steps=2:keep=true")(frames, None).flatten().tolist() == [255, 255]


def test_edges_give_255_at_a_step_from_black_to_white_and_nothing_within() -> None:
    assert made("edges", picture(*[[0, 0, 255, 255]] * 3)) == [[0, 255, 255, 0]] * 3
    assert made("edges", picture([100] * 4, [100] * 4, [20] * 4, [20] * 4)) == [[0] * 4, [80] * 4, [80] * 4, [0] * 4]


def test_edges_join_both_directions() -> None:
    # At the middle: across (0 + 2*0 + 0) -> right column 40, 40, 40 less left 0, 0, 40 with 1, 2, 1: 160 - 40 = 120;
    # down: lowest row 40, 40, 40 less upper 0, 0, 40: 160 - 40 = 120. sqrt(120^2 + 120^2) / 4 = 42.43
    assert made("edges", picture([0, 0, 40], [0, 0, 40], [40, 40, 40]))[1][1] == 42  # type: ignore[index] # rows of numbers


def test_blur_spreads_a_point_as_a_bell_curve() -> None:
    row = picture([0, 0, 0, 255, 0, 0, 0])
    # sigma 1, cut off at 3: 1, 0.6065, 0.1353, 0.0111 over 2.5059 -> 0.3990, 0.2420, 0.0540, 0.0044 of 255
    assert made("blur:sigma=1", row) == [[1, 14, 62, 102, 62, 14, 1]]


def test_blur_leaves_an_even_picture_even_up_to_its_edges() -> None:
    assert made("blur:sigma=2.5", picture([201] * 3, [201] * 3)) == [[201] * 3] * 2


def test_cutout_fills_the_square_that_the_draws_say() -> None:
    # 3 x 4 pixels, size 2: rows 0 or 1 by the first number, columns 0, 1 or 2 by the second.
    draws = torch.tensor([[0.6, 0.4]], dtype=torch.float64)
    assert made("cutout:size=2", STEPS, draws) == [[0, 1, 2, 3], [10, 128, 128, 13], [20, 128, 128, 23]]


def test_cutout_reaches_every_place_and_no_further() -> None:
    ends = torch.tensor([[0.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    assert made("cutout:size=2:count=2", STEPS, ends) == [[128, 128, 2, 3], [128, 128, 128, 128], [20, 21, 128, 128]]


def test_cutout_leaves_the_picture_whole_in_evaluation() -> None:
    assert torch.equal(parse_transform("cutout:size=3:count=9")(STEPS, None), STEPS)


def test_mask_sets_rows_at_the_edges() -> None:
    assert made("mask:top=1:bottom=1", STEPS) == [[0] * 4, [10, 11, 12, 13], [0] * 4]
    assert made("mask:top=2:value=99", STEPS) == [[99] * 4, [99] * 4, [20, 21, 22, 23]]


def test_mask_sets_what_lies_within_a_polygon_or_outside_of_it() -> None:
    # The triangle 0,0 3,0 0,3 holds the centres 0.5,0.5; 1.5,0.5; 0.5,1.5.
    assert made("mask:polygon=0,0,3,0,0,3:value=7", STEPS)[:2] == [[7, 7, 2, 3], [7, 11, 12, 13]]
    assert made("mask:polygon=0,0,3,0,0,3:outside=true", STEPS) == [[0, 1, 0, 0], [10, 0, 0, 0], [0] * 4]


# ------------------------------------------------------------------------------------------------------------ texts


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("crop:top=40:bottom=0", "crop:top=40"),
        ("crop: bottom = 2 : top = 1", "crop:top=1:bottom=2"),
        ("resize:height=60:width=80", "resize:width=80:height=60"),
        ("normalise:std=255:mean=1,2.5,3:per_picture=False", "normalise:mean=1,2.5,3:std=255"),
        ("normalise:mean=127.5", "normalise"),
        ("difference:keep=TRUE", "difference:keep=true"),
        ("blur:sigma=2", "blur:sigma=2"),
        ("mask:polygon=0,0,3,0,0,3.5", "mask:polygon=0,0,3,0,0,3.5"),
        ("grey", "grey"),
    ],
)
def test_a_text_has_one_form(text: str, same: str) -> None:
    assert canonical(text) == same
    assert canonical(same) == same
    assert parse_transform(same) == parse_transform(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corp:top=1", "no transform is called 'corp'; did you mean 'crop'?"),
        ("crop:tpo=1", "crop has no option 'tpo'; did you mean 'top'?"),
        ("crop:zzz=1", "crop has no option 'zzz'; its options: top, bottom, left, right"),
        ("grey:zzz=1", "grey has no option 'zzz'; it has none"),
        ("crop:top", "crop: 'top' is no option; write it as name=value"),
        ("crop:top=1:top=2", "crop: top is given twice; give it once"),
        ("crop:top=much", "crop: top is 'much'; a whole number is needed"),
        ("crop:top=1.5", "crop: top is '1.5'; a whole number is needed"),
        ("crop:top=-1", "crop: top is -1; 0 to 4096 are needed"),
        ("blur:sigma=wide", "blur: sigma is 'wide'; a number is needed"),
        ("blur:sigma=nan", "blur: sigma is 'nan'; a number is needed"),
        ("blur:sigma=0", "blur: sigma is 0; above 0 and up to 100 pixels are needed"),
        ("difference:keep=yes", "difference: keep is 'yes'; true or false is needed"),
        ("difference:steps=0", "difference: steps is 0; 1 to 64 are needed"),
        ("normalise:mean=a,b", "normalise: mean is 'a,b'; numbers with commas between are needed"),
        ("normalise:std=0", "normalise: std is [0.0]; numbers above 0 are needed"),
        (
            "normalise:per_picture=true:mean=0",
            "normalise: per_picture takes mean and std from the picture; leave out mean and std",
        ),
        ("resize:width=4", "resize needs height; write resize:height=..."),
        ("cutout", "cutout needs size; write cutout:size=..."),
        ("stack:frames=0", "stack: frames is 0; 1 to 64 are needed"),
        ("mask", "mask: nothing is masked; give top, bottom or polygon"),
        ("mask:top=1:value=256", "mask: value is 256; 0 (black) to 255 (white) are needed"),
        ("mask:top=1:outside=true", "mask: outside needs a polygon, such as polygon=0,0,160,0,80,40"),
        (
            "mask:polygon=1,2,3",
            "mask: polygon has 3 numbers; x and y of three corners or more are needed, such as polygon=0,0,160,0,80,40",
        ),
    ],
)
def test_a_wrong_text_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_transform(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("crop:top=60:bottom=60", (120, 160, 1), "crop: top 60 and bottom 60 leave no row of 120"),
        ("crop:left=200", (120, 160, 1), "crop: left 200 and right 0 leave no column of 160"),
        (
            "grey",
            (120, 160, 6),
            "grey: the picture has 6 channels, of which no three are red, green and blue; "
            "put grey before what adds them",
        ),
        ("cutout:size=121", (120, 160, 1), "cutout: size is 121; the picture has 160x120 pixels"),
        ("mask:top=100:bottom=20", (120, 160, 1), "mask: top 100 and bottom 20 leave no row of 120"),
        (
            "mask:polygon=0,0,9,0,9,9,0,9",
            (4, 4, 1),
            "mask: nothing of the picture of 4x4 pixels is left; mask less of it",
        ),
        (
            "normalise:mean=1,2",
            (120, 160, 3),
            "normalise: mean has 2 numbers and the picture 3 channels; give one number, or one for each channel",
        ),
    ],
)
def test_what_a_picture_cannot_become_is_told(text: str, shape: tuple[int, int, int], message: str) -> None:
    transform: Transform = parse_transform(text)
    with pytest.raises(ConfigError) as error:
        transform.shape(shape)
    assert str(error.value) == message
