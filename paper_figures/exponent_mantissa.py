"""What each ExMy of 3 to 8 bits costs a training, from the records of the study.

On the left by exponent bits, a line for each width; on the right against the exact error on
Gaussian numbers, with the fitted power of it. Bars are two standard errors over seeds.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.training.exponent_mantissa_losses import BLOCK, WIDTHS, Cell, gaussian_error, table
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import saved
from paper_figures.style import Look

LOOKS = dict(zip(WIDTHS, style.LOOKS.values(), strict=False))
SPREAD = 0.07  # of the places of two widths with as many exponent bits


def data(progress: Progress) -> Rows:
    """Return the cost of each format, its exact error, and the fitted forms."""
    rows = table(saved("exponent_mantissa", "training"))
    for done, row in enumerate(rows, 1):
        row["error"] = gaussian_error(Cell.of(row["format"], row["block"]))
        progress(done, len(rows))
    return rows


def draw(rows: Rows) -> Figure:
    """Draw the costs by exponent bits, and against the exact error."""
    figure = style.new_figure(style.PAGE, 2.9)
    left, right = figure.subplots(1, 2, sharey=True)
    for bits, look in LOOKS.items():
        own = [row for row in rows if (row["bits"], row["block"]) == (bits, BLOCK)]
        if own:
            _points(
                left,
                own,
                [
                    Cell.of(row["format"]).exponent_bits
                    + SPREAD * (bits - sum(WIDTHS) / len(WIDTHS))
                    for row in own
                ],
                look,
                f"{bits} bits",
            )
            _points(right, own, [row["error"] for row in own], look._replace(line=""), None)
    others = [row for row in rows if row["block"] != BLOCK]
    if others:
        spare = style.SPARE[0]._replace(line="")
        _points(right, others, [row["error"] for row in others], spare, "other blocks")
    fitted = sorted((row["error"], row["ours"]) for row in rows if row["ours"] is not None)
    if fitted:
        right.plot(*zip(*fitted, strict=True), color=style.GREY, linewidth=0.8, zorder=0)
    left.set(xlabel="exponent bits", ylabel="loss over float32 (bits per byte)")
    right.set(xscale="log", xlabel="exact squared error on Gaussian numbers")
    for axes in (left, right):
        axes.axhline(0, color=style.PALE, linewidth=0.6, zorder=0)
    figure.legend(loc="outside upper center", ncols=len(LOOKS) + 1)
    return figure


def _points(axes: Axes, rows: Rows, places: list[float], look: Look, label: str | None) -> None:
    axes.errorbar(
        places,
        [row["excess"] for row in rows],
        [2 * row["standard_error"] for row in rows],
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        label=label,
        elinewidth=0.6,
        markeredgecolor="white",
        markeredgewidth=0.3,
    )
