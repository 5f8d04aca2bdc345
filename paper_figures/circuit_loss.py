"""How far MiniLM's embeddings turn, against the transistors of a lane.

A point is a mean over groupings of the input channels into blocks, with its standard error.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.hardware.circuits import ITSELF
from analysis.hardware.errors import loss, losses_of
from analysis.hardware.tradeoff import INTEGERS, points
from paper_figures import style
from paper_figures.cost_plane import (
    KINDS,
    UNITS,
    cost_axis,
    kind_of,
    legend,
    name_points,
    saved,
)
from paper_figures.rows import Progress, Rows

PANELS = {"times themselves": (ITSELF,), "times 8-bit integers": INTEGERS}


def data(progress: Progress) -> Rows:
    """Return cost and loss of each format, and whether another beats it."""
    rows = saved()
    found: Rows = []
    for name, activations in PANELS.items():
        least = float("inf")
        for point in points(rows, "normal", "cmos", *activations):  # by cost
            if not losses_of(point.fmt, point.activations):
                continue
            estimate = loss(point.fmt, point.activations)
            found.append(
                {
                    "panel": name,
                    "format": point.fmt,
                    "kind": kind_of(point.fmt),
                    "activations": point.activations,
                    "bits": point.bits,
                    "cost": point.cost,
                    "loss": estimate.mean,
                    "standard_error": estimate.standard_error,
                    "on_front": int(estimate.mean < least),
                }
            )
            least = min(least, estimate.mean)
    progress(1, 1)
    return found


def draw(rows: Rows) -> Figure:
    """Draw a panel for each kind of activations."""
    figure = style.new_figure(style.PAGE, 3.3)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, name in zip(panels, PANELS, strict=True):
        mine = [row for row in rows if row["panel"] == name]
        _panel(axes, mine)
        axes.set_title(f"MiniLM, {name}")
        axes.set_xlabel(UNITS["cmos"])
    panels[0].set_ylabel("1 - cosine to float32 (up is better)")
    panels[0].invert_yaxis()
    legend(figure)
    figure.draw_without_rendering()  # now the panels have their places
    for axes, name in zip(panels, PANELS, strict=True):
        name_points(axes, [row for row in rows if row["panel"] == name], "loss")
    return figure


def _panel(axes: Axes, rows: Rows) -> None:
    for row in rows:
        look = KINDS[row["kind"]]
        axes.errorbar(
            row["cost"], row["loss"], row["standard_error"],
            fmt=look.marker, color=look.colour, markersize=3.2, elinewidth=0.7, capsize=1.5,
        )  # fmt: skip
    best = [row for row in rows if row["on_front"]]
    x, y = [row["cost"] for row in best], [row["loss"] for row in best]
    axes.plot(x, y, color="black", drawstyle="steps-post", linewidth=0.8, zorder=0)
    axes.set_yscale("log")
    cost_axis(axes, [row["cost"] for row in rows])
    axes.margins(y=0.1)
