"""Lines and bars in one style, and a figure of two of them as a small SVG file.

The same values give the same bytes: no date, no random names. Colours are Okabe and Ito's, which most eyes tell apart,
and lines differ by their markers, too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MARKERS = "osD^vP"
INCHES = (8.5, 3.2)
STYLE = {
    "svg.hashsalt": "benchmarks",
    "svg.fonttype": "none",  # text stays text: a fifth of the size, and it can be searched
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
BARS_WIDTH = 0.8  # of all bars that stand at one place


def new_figure() -> Figure:
    """Return an empty figure with two axes beside each other."""
    mpl.rcParams.update(STYLE)
    figure = Figure(figsize=INCHES, layout="constrained")
    figure.subplots(1, 2)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write it aside, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    figure.savefig(aside, format="svg", metadata={"Date": None, "Creator": None})
    aside.replace(path)


def line(
    axis: Any, x: Sequence[float], y: Sequence[float | None], name: str, style: int, *, dashed: bool = False
) -> None:
    """Draw one line with its name; where a value is missing it has a gap. style: counts colours and markers."""
    axis.plot(
        x,
        [float("nan") if value is None else value for value in y],
        label=name,
        color=COLOURS[style % len(COLOURS)],
        marker=MARKERS[style % len(MARKERS)],
        markersize=4,
        linestyle="--" if dashed else "-",
        linewidth=1.4,
    )


def bars(axis: Any, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Draw upright bars, {name: {place: value}}: the names' bars stand side by side at each place."""
    places = list(dict.fromkeys(place for values in groups.values() for place in values))
    width = BARS_WIDTH / max(1, len(groups))
    for number, (name, values) in enumerate(groups.items()):
        left = [place + (number - (len(groups) - 1) / 2) * width for place in range(len(places))]
        axis.bar(left, [values[place] for place in places], width * 0.92, label=name, color=COLOURS[number])
    axis.set_xticks(range(len(places)), places)


def finish(axis: Any, x: str, y: str, *, powers: Sequence[int] = ()) -> None:
    """Name the axes with their units, from zero on; powers: these values of x stand at equal distances."""
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    if powers:
        axis.set_xscale("log", base=2)
        axis.set_xticks(powers, [str(value) for value in powers])
        axis.minorticks_off()
    if y:
        axis.set_ylim(bottom=0)
    else:
        axis.set_xlim(left=0)
    if axis.get_legend_handles_labels()[0]:
        axis.legend()
