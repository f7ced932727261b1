"""The ground in codes: what mixtures stand for, and how near they come to the painted ground."""

from __future__ import annotations

import numpy as np

from lateapex.sim.ground import LEVELS, looks_at, paint_grounds
from lateapex.sim.ground_codes import MIXTURES, paint_codes
from lateapex.world.scene import Scene, grey
from lateapex.world.track import load_track

SCENE = Scene()
TRACK = load_track("oval")


def test_the_shares_of_every_code_in_use_add_up_to_a_whole() -> None:
    total = MIXTURES[:, [0, 2, 4, 5]].sum(axis=1)
    assert np.isclose(total[:235], 1.0).all()
    assert (total[235:] == 0.0).all()
    assert len(np.unique(MIXTURES[:235], axis=0)) == 235


def test_codes_in_the_usual_colours_are_close_to_the_painted_ground_at_every_level() -> None:
    plain, codes = paint_grounds([TRACK], [SCENE]), paint_codes([TRACK], [SCENE])
    spreads = SCENE.field_grain / grey(SCENE.field), SCENE.road_grain / grey(SCENE.road)
    shares = MIXTURES[:, [0, 2, 4, 5]] + np.outer(MIXTURES[:, 1], [spreads[0], 0, 0, 0])
    shares[:, 1] += MIXTURES[:, 3] * spreads[1]
    palette = shares @ [grey(colour) for colour in (SCENE.field, SCENE.road, SCENE.line, SCENE.dash)]
    np.testing.assert_array_equal(plain.first, codes.first)
    for level in range(LEVELS):
        some = np.arange(64 >> level, 1500 >> level)
        rows, columns = np.meshgrid(some, some, indexing="ij")
        painted = looks_at(plain, 0, level, rows, columns).astype(np.float64)
        coded = palette[looks_at(codes, 0, level, rows, columns)]
        away = np.abs(painted - coded)
        assert away.mean() < (0.6 if level < 4 else 1.2)
        assert np.quantile(away, 0.99) < (4.0 if level < 4 else 12.0)
