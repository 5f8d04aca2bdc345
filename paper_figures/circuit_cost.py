"""SQNR of products against the cost of a lane: which formats are worth their circuit."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.hardware.circuits import ITSELF
from analysis.hardware.tradeoff import INTEGERS, front, points
from paper_figures import style
from paper_figures.cost_plane import (
    KINDS,
    UNITS,
    cost_axis,
    kind_of,
    legend,
    name_points,
    saved,
    source_title,
)
from paper_figures.rows import Progress, Rows

SOURCES = ("normal", "laplace", "smollm2")
ROWS = {  # of panels: the target and the activations
    "times themselves": ("cmos", (ITSELF,)),
    "times 8-bit integers": ("cmos", INTEGERS),
    "times themselves, FPGA": ("xc7", (ITSELF,)),
    "times 8-bit integers, FPGA": ("xc7", INTEGERS),
}


def data(progress: Progress) -> Rows:
    """Return cost and SQNR of each dot product that was counted, and whether another beats it."""
    rows = saved()
    found: Rows = []
    for name, (target, activations) in ROWS.items():
        for source in SOURCES:
            mine = points(rows, source, target, *activations)
            best = front(mine)
            found += [
                {
                    "panel": name,
                    "source": source,
                    "format": point.fmt,
                    "kind": kind_of(point.fmt),
                    "activations": point.activations,
                    "bits": point.bits,
                    "cost": point.cost,
                    "sqnr_db": point.sqnr_db,
                    "on_front": int(point in best),
                }
                for point in mine
            ]
    progress(1, 1)
    return found


def draw(rows: Rows) -> Figure:
    """Draw a row of panels for each target and activations, a column for each kind of data."""
    figure = style.new_figure(style.PAGE, 0.5 + 2.35 * len(ROWS))
    grid = figure.subplots(len(ROWS), len(SOURCES), sharey="row", sharex="row", squeeze=False)
    panels: list[tuple[Axes, Rows]] = []
    for line, (name, (target, _)) in zip(grid, ROWS.items(), strict=True):
        for axes, source in zip(line, SOURCES, strict=True):
            mine = [row for row in rows if (row["panel"], row["source"]) == (name, source)]
            _panel(axes, mine)
            axes.set_title(f"{source_title(source)}, {name}")
            panels.append((axes, mine))
        cost_axis(line[0], [row["cost"] for row in rows if row["panel"] == name])
        line[0].set_ylabel("SQNR of products (dB)")
        line[len(SOURCES) // 2].set_xlabel(UNITS[target])
    legend(figure)
    figure.draw_without_rendering()  # now the panels have their places
    for axes, mine in panels:
        name_points(axes, mine, "sqnr_db")
    return figure


def _panel(axes: Axes, rows: Rows) -> None:
    for row in rows:
        look = KINDS[row["kind"]]
        axes.plot(row["cost"], row["sqnr_db"], look.marker, color=look.colour, markersize=3.2)
    best = [row for row in rows if row["on_front"]]
    x, y = [row["cost"] for row in best], [row["sqnr_db"] for row in best]
    axes.plot(x, y, color="black", drawstyle="steps-post", linewidth=0.8, zorder=0)
    axes.margins(y=0.1)
