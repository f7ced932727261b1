"""What errors look like: how they grow with time, beside the bicycle's and the original's own scatter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from lateapex.analysis.road import png_bytes
from lateapex.analysis.style import ALARM, FAINT, FONT, GROUND, PANEL, TEXT
from lateapex.world.vehicle import STEP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from lateapex.analysis.fidelity import Row
    from lateapex.analysis.repeatability import Repeatability

OURS, THEIRS = "#ffc857", "#4cc9f0"
_WIDE, _TALL = 1000, 430  # pixels


def draw_errors(physics: int, rows: Sequence[Row], bicycle: Sequence[Row], repeated: Sequence[Repeatability]) -> bytes:
    """Draw how position and yaw errors of one generation grow, from a rolling start; both scales are logarithmic.

    A band reaches from the median to the 90th percentile.

    Returns:
        A PNG, 1000 pixels wide.
    """
    figure = Figure(figsize=(_WIDE / 100, _TALL / 100), dpi=100, facecolor=GROUND)
    figure.text(0.045, 0.93, f"physics {physics}, rolling start", color=TEXT, size=17, weight="bold", family=FONT)
    for place, (quantity, unit) in enumerate((("position_error_cm", "cm"), ("yaw_error_deg", "degrees"))):
        axes = figure.add_axes((0.075 + 0.49 * place, 0.14, 0.415, 0.64))
        _style(axes, f"{quantity.partition('_')[0]} error, {unit}")
        for name, colour, some in (("kinematic bicycle", ALARM, bicycle), ("lateapex", OURS, rows)):
            _band(axes, name, colour, _curve(some, physics, quantity))
        pairs = [pair for pair in repeated if pair.physics == physics and pair.start == "rolling"]
        if pairs:
            seconds = [pair.steps * STEP_SECONDS for pair in pairs]
            label = "original against itself"
            axes.plot(seconds, [pair.simulator[place] for pair in pairs], "o", color=THEIRS, markersize=6, label=label)
        if place == 0:
            handles, labels = axes.get_legend_handles_labels()
            style: dict[str, Any] = {"labelcolor": TEXT, "frameon": False, "prop": {"family": FONT, "size": 11}}
            figure.legend(handles, labels, loc="upper right", bbox_to_anchor=(0.985, 1.0), ncols=3, **style)
    return png_bytes(figure)


def _style(axes: Axes, title: str) -> None:
    axes.set_facecolor(PANEL)
    axes.set(xscale="log", yscale="log", xlim=(0.06, 2.2))
    axes.set_title(title, color=TEXT, size=12, family=FONT, loc="left")
    axes.set_xticks([1 / 15, 1 / 3, 1, 2], ["1/15 s", "1/3 s", "1 s", "2 s"])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.tick_params(colors=FAINT, labelsize=10, length=0)
    axes.grid(color=GROUND, linewidth=1.2)
    for side in axes.spines.values():
        side.set_visible(False)


def _curve(rows: Sequence[Row], physics: int, quantity: str) -> Mapping[int, tuple[float, float]]:
    """Median and 90th percentile by number of steps."""
    found: dict[tuple[str, int], float] = {
        (row.what, row.steps): row.value for row in rows if row.physics == physics and row.start == "rolling"
    }
    steps = sorted({steps for _, steps in found})
    return {step: (found[f"{quantity}_median", step], found[f"{quantity}_p90", step]) for step in steps}


def _band(axes: Axes, name: str, colour: str, curve: Mapping[int, tuple[float, float]]) -> None:
    seconds = [step * STEP_SECONDS for step in curve]
    medians, highs = [low for low, _ in curve.values()], [high for _, high in curve.values()]
    axes.fill_between(seconds, medians, highs, color=colour, alpha=0.22, linewidth=0)
    axes.plot(seconds, medians, color=colour, linewidth=2.4, label=name)
