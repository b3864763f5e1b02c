"""Lines and bars in one style, and a pair of charts as a small SVG file.

The same values give the same bytes: no date, no random names. The colours are Okabe and Ito's, which most people can
distinguish; lines also have different markers.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from host.files import replacing

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
GROUP_WIDTH = 0.8  # of all bars at one place


@contextmanager
def two_charts(path: Path) -> Iterator[tuple[Any, Any]]:
    """Yield the axes of two empty charts beside each other; write them as SVG at the end."""
    mpl.rcParams.update(STYLE)
    figure = Figure(figsize=INCHES, layout="constrained")
    left, right = figure.subplots(1, 2)
    yield left, right
    with replacing(path) as aside:
        figure.savefig(aside, format="svg", metadata={"Date": None, "Creator": None})


def line(
    axis: Any, x: Sequence[float], y: Sequence[float | None], name: str, style: int, *, dashed: bool = False
) -> None:
    """Draw a line with a gap at each missing value; style: the number of a colour and a marker."""
    values = [float("nan") if value is None else value for value in y]
    dashes, look = "--" if dashed else "-", {"color": COLOURS[style], "marker": MARKERS[style]}
    axis.plot(x, values, label=name, markersize=4, linestyle=dashes, linewidth=1.4, **look)


def upright_bars(axis: Any, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Draw {name: {place: value}}: at each place, one bar for each name."""
    places = list(dict.fromkeys(place for values in groups.values() for place in values))
    width = GROUP_WIDTH / max(1, len(groups))
    for number, (name, values) in enumerate(groups.items()):
        left = [place + (number - (len(groups) - 1) / 2) * width for place in range(len(places))]
        axis.bar(left, [values[place] for place in places], width * 0.92, label=name, color=COLOURS[number])
    axis.set_xticks(range(len(places)), places)
    axis.margins(y=0.4)  # above the bars, for the legend


def lying_bars(axis: Any, x: str, values: Mapping[str, float], **look: Any) -> None:
    """Draw {name: value} from the bottom up."""
    axis.barh(list(values), list(values.values()), **{"color": COLOURS[0], **look})
    axis.set_xlabel(x)
    axis.set_xlim(left=0)


def finish(axis: Any, x: str, y: str, *, powers: Sequence[int] = ()) -> None:
    """Name the axes with their units and start y at zero; powers: these values of x have equal distances."""
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    if powers:
        axis.set_xscale("log", base=2)
        axis.set_xticks(powers, [str(value) for value in powers])
        axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.legend()
