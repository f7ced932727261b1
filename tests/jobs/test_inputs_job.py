"""What the picture of a network's inputs shows, and what is said of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_runs import small_run

from lateapex.analysis import input_picture
from lateapex.analysis.input_picture import Column, draw_inputs
from lateapex.config import parse
from lateapex.env.racing import RacingTask
from lateapex.env.starts import StartPoses
from lateapex.errors import ConfigError
from lateapex.jobs import inputs as job

FRONT = "FRONT_FACING_CAMERA"
OWN = "class Mine:\n    def __call__(self, pictures, draws):\n        return 255 - pictures\n"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch):
    """Everything that was handed to the drawing."""
    calls = []

    def draw(*arguments):
        calls.append(arguments)
        return draw_inputs(*arguments)

    monkeypatch.setattr(job, "draw_inputs", draw)
    return calls


def show(folder: Path, *transforms: str, **values) -> job.InputsResult:
    given = {"track": "oval", "places": 2, "transforms": transforms, "out": str(folder / "seen.png"), **values}
    return job.show_inputs(parse(job.InputsConfig, given))


def test_the_last_column_is_what_a_car_sees_at_its_places(tmp_path, drawn) -> None:
    show(tmp_path, "crop:top=100")
    task = RacingTask("oval", 2)
    task.begin(np.arange(2), StartPoses(np.array([0.25, 0.75]), np.zeros(2), np.zeros(2)))
    ((camera, cropped),) = drawn[0][3]
    np.testing.assert_array_equal(camera.pictures, task.observations[FRONT])
    np.testing.assert_array_equal(cropped.pictures, task.observations[FRONT][:, 100:])


def test_a_stack_holds_the_pictures_of_the_way_there(tmp_path, drawn) -> None:
    result = show(tmp_path, "stack:frames=3:every=2")
    assert result.history == 5
    task = RacingTask("oval", 2)
    back = 4 * 0.1 / task.lengths  # m at 1.5 m/s, 15 pictures a second
    task.begin(np.arange(2), StartPoses(np.array([0.25, 0.75]) - back, np.zeros(2), np.zeros(2)))
    ((_, stacked),) = drawn[0][3]
    np.testing.assert_array_equal(stacked.pictures[..., :1], task.observations[FRONT])
    assert stacked.names == ("4 ago", "2 ago", "now")


def test_stages_are_told_with_their_shapes_and_ranges(tmp_path) -> None:
    result = show(tmp_path, "grey", "normalise", colour=True)
    camera, grey, last = result.sensors[FRONT]
    assert (camera.transform, camera.shape, camera.dtype) == ("", (120, 160, 3), "uint8")
    assert (grey.transform, grey.shape, grey.dtype) == ("grey", (120, 160, 1), "uint8")
    assert (last.shape, last.dtype) == ((120, 160, 1), "float32")
    assert last.low == pytest.approx((grey.low - 127.5) / 127.5)
    assert last.high == pytest.approx((grey.high - 127.5) / 127.5)


def test_colours_are_shown_as_such_and_other_channels_side_by_side(tmp_path, drawn) -> None:
    show(tmp_path, "stack:frames=2", "blur:sigma=1", colour=True)
    ((camera, stacked, blurred),) = drawn[0][3]
    assert (camera.colours, stacked.colours, blurred.colours) == (3, 3, 3)
    assert stacked.names == blurred.names == ("1 ago", "now")
    show(tmp_path, "difference:keep=true", "stack:frames=3")
    ((camera, changed, stacked),) = drawn[1][3]
    assert (camera.colours, changed.colours, stacked.colours) == (1, 1, 1)
    assert changed.names == ("picture", "change")
    assert stacked.names[:2] == ("picture 2 ago", "change 2 ago")


def test_the_random_parts_are_shown_where_asked_for_and_repeat_with_their_seed(tmp_path) -> None:
    def shown(**values) -> bytes:
        return Path(show(tmp_path, "cutout:size=40", **values).picture).read_bytes()

    trained = shown(training=True)
    assert trained != shown()
    assert trained == shown(training=True)
    assert trained != shown(training=True, seed=1)


def test_a_run_shows_its_own_transforms_and_takes_others_in_their_place(tmp_path, monkeypatch) -> None:
    (tmp_path / "own.py").write_text(OWN)
    transforms = ("crop:top=60", f"{tmp_path}/own.py:Mine")
    run = small_run(tmp_path / "run", track="oval", transforms=transforms, trainer={"steps": 32})
    (tmp_path / "own.py").unlink()
    seen = show(tmp_path, run=str(run), track=None).sensors[FRONT]
    assert [stage.shape for stage in seen] == [(120, 160, 1), (60, 160, 1), (60, 160, 1)]
    assert (seen[2].low, seen[2].high) == (255 - seen[1].high, 255 - seen[1].low)
    assert [stage.transform for stage in show(tmp_path, "edges", run=str(run)).sensors[FRONT]] == ["", "edges"]


def test_an_own_file_is_found_by_its_path(tmp_path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    camera, turned = show(tmp_path, f"{tmp_path}/own.py:Mine").sensors[FRONT]
    assert (turned.low, turned.high) == (255 - camera.high, 255 - camera.low)


def test_what_cannot_be_shown_is_told(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"a name that ends in \.png is needed, such as .*seen\.png"):
        show(tmp_path, out=str(tmp_path / "seen.gif"))
    with pytest.raises(ConfigError, match=r"^crop: top 120 and bottom 0 leave no row of 120$"):
        show(tmp_path, "crop:top=120")
    assert list(tmp_path.iterdir()) == []


def test_pixels_are_enlarged_and_never_blended() -> None:
    pictures = np.array([[[[10], [200]]]], np.uint8).repeat(60, axis=1).repeat(80, axis=2)
    data = draw_inputs("Title", "", ["here"], [[Column("camera", (), pictures, ("",))]])
    sheet = np.asarray(Image.open(io.BytesIO(data)))
    left, top = input_picture._EDGE + input_picture._LABEL, input_picture._HEADER + input_picture._TOP + 28
    shown = sheet[top : top + 120, left : left + 320]
    assert (shown[:, :160] == 10).all()
    assert (shown[:, 160:] == 200).all()
