"""Linear systems in small formats: errors of LU, refinement, and conjugate gradients.

The theory is beside each: the bound of LU, the spectral radius of refinement (lines, with marks at
the bottom where κ u = 1), and a residual of the order of u. Colours are formats, lines and marks
are rounding modes, as on the left.
"""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.numerics import conjugate_gradients, lu_refinement
from analysis.numerics.arithmetics import NEAREST, Arithmetic
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import ROUNDINGS, averaged, curve, in_mode, of

FORMATS = lu_refinement.FORMATS
SHOWN = "bfloat16"  # of LU's errors
WILD = 2.0  # larger contractions are means of a few wild matrices, and left out
ATTAINED = conjugate_gradients.ATTAINED


def data(progress: Progress) -> Rows:
    """Return means over random matrices, from the records of both studies."""
    rows = averaged("lu_refinement", (lu_refinement.BACKWARD, lu_refinement.CONTRACTION))
    progress(1, 2)
    rows += averaged("conjugate_gradients", (ATTAINED,))
    progress(2, 2)
    return rows


def draw(rows: Rows) -> Figure:
    """Draw a panel for each quantity."""
    figure = style.new_figure(style.PAGE, 2.6)
    backward, contraction, attained = figure.subplots(1, 3)
    _backward(backward, of(rows, quantity=lu_refinement.BACKWARD, format=SHOWN))
    _contraction(contraction, of(rows, quantity=lu_refinement.CONTRACTION, rounding=NEAREST))
    _attained(attained, of(rows, quantity=ATTAINED))
    return figure


def _backward(axes: Axes, rows: Rows) -> None:
    colour = style.looks(FORMATS)[SHOWN]
    for rounding, (name, _) in ROUNDINGS.items():
        curve(axes, of(rows, rounding=rounding), in_mode(colour, rounding), name)
    sizes = sorted({row["at"] for row in rows})
    grey: dict[str, Any] = {"color": style.GREY, "linewidth": 0.8}
    axes.plot(sizes, sizes, label="bound", **grey)
    axes.plot(sizes, [size**0.5 / 3 for size in sizes], ":", label="like √n", **grey)
    axes.set(xscale="log", yscale="log", xlabel="size n", ylabel="backward error of LU over u")
    axes.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
    axes.minorticks_off()
    axes.set_title(f"LU, {style.title(SHOWN)}")
    axes.set_ylim(0.5, 5000)
    axes.legend(loc="upper left")


def _contraction(axes: Axes, rows: Rows) -> None:
    for name, look in style.looks(FORMATS).items():
        mine = [row for row in of(rows, format=name) if row["mean"] < WILD]
        curve(axes, mine, in_mode(look, NEAREST)._replace(line=""), style.title(name))
        axes.plot(
            [row["at"] for row in mine if row["theory"]],
            [row["theory"] for row in mine if row["theory"]],
            color=look.colour,
            linewidth=0.8,
        )
        axes.axvline(1 / Arithmetic(name).unit, 0, 0.06, color=look.colour)  # where κ u = 1
    axes.plot([], [], color="black", linewidth=0.8, label="theory")
    axes.plot([], [], "|", color="black", label="κ u = 1")
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set(xscale="log", yscale="log", xlabel="condition number κ")
    axes.set_ylabel("error of a step over the one before")
    axes.set_ylim(1e-4, 3)
    axes.set_title("refinement, to nearest")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.06))


def _attained(axes: Axes, rows: Rows) -> None:
    for name, look in style.looks(FORMATS).items():
        for rounding in ROUNDINGS:
            curve(
                axes,
                of(rows, format=name, rounding=rounding),
                in_mode(look, rounding),
                style.title(name) if rounding == NEAREST else None,
            )
    axes.set(xscale="log", yscale="log", xlabel="condition number κ")
    axes.set_ylabel("residual attained over u |A| |x|")
    axes.set_ylim(0.3, 10)
    axes.set_yticks([0.3, 0.5, 1, 2, 5, 10], ["0.3", "0.5", "1", "2", "5", "10"])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_title("conjugate gradients")
    axes.legend(loc="upper right")
