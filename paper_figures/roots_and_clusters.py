"""Square roots by Newton's iteration, and k-means, in small formats.

Colours are formats, lines and marks are rounding modes. Dotted: the exact iteration. Shares of 0
are drawn at the bottom.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.numerics import k_means, newton_root
from analysis.numerics.arithmetics import NEAREST
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import ROUNDINGS, averaged, curve, in_mode, of

FLOOR = 1e-4  # where shares of 0 are drawn


def data(progress: Progress) -> Rows:
    """Return means over draws, from the records of both studies."""
    rows = averaged("newton_root", (newton_root.HERON,))
    progress(1, 2)
    rows += averaged("k_means", (k_means.MISASSIGNED, k_means.CENTRES))
    progress(2, 2)
    return rows


def draw(rows: Rows) -> Figure:
    """Draw a panel for each quantity."""
    figure = style.new_figure(style.PAGE, 2.6)
    roots, points, centres = figure.subplots(1, 3)
    _roots(roots, of(rows, quantity=newton_root.HERON, rounding=NEAREST))
    _clusters(points, of(rows, quantity=k_means.MISASSIGNED), (FLOOR, 2))
    points.set_ylabel("share of points in another cluster")
    _clusters(centres, of(rows, quantity=k_means.CENTRES), (1e-3, 300))
    centres.set_ylabel("largest error of a centre")
    for name, look in ROUNDINGS.values():
        centres.plot([], [], color="black", linestyle=look.line, marker=look.marker, label=name)
    centres.legend(loc="upper left")
    return figure


def _roots(axes: Axes, rows: Rows) -> None:
    formats = list(dict.fromkeys(row["format"] for row in rows))
    for name, look in style.looks(formats).items():
        mine = of(rows, format=name)
        curve(axes, mine, in_mode(look, NEAREST), style.title(name))
        axes.plot(
            [row["at"] for row in mine],
            [row["theory"] for row in mine],
            color=look.colour,
            linestyle=":",
            linewidth=0.8,
        )
    axes.plot([], [], ":", color="black", linewidth=0.8, label="exact iteration")
    axes.set(yscale="log", ylim=(0.1, 1000), xlim=(-0.2, 5), xlabel="steps")
    axes.set_ylabel("largest relative error over u")
    axes.set_title("square roots, to nearest")
    axes.legend(loc="upper right")


def _clusters(axes: Axes, rows: Rows, ends: tuple[float, float]) -> None:
    formats = list(dict.fromkeys(row["format"] for row in rows))
    for name, look in style.looks(formats).items():
        for rounding in ROUNDINGS:
            mine = of(rows, format=name, rounding=rounding)
            curve(axes, mine, in_mode(look, rounding), floor=ends[0])
    counts = sorted({row["at"] for row in rows})
    axes.set(xscale="log", yscale="log", xlabel="points", ylim=(0.9 * ends[0], ends[1]))
    axes.set_xticks(counts, [f"{count:.0f}" for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title("k-means")
