"""The best exponent and mantissa widths of a code, from Gaussian weights to heavy tails.

On the left with one scale, the best one; beside it with absmax scaling of blocks.
"""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.formats.format_comparison import splits
from paper_figures import style
from paper_figures.rows import Progress, Row, Rows, grouped

WIDTHS = (3, 4, 5, 6, 7, 8)
DISTRIBUTIONS = (
    "normal", "logistic", "student_t(8)", "student_t(5)", "laplace", "student_t(4)",
    "student_t(3)",
)  # fmt: skip
BLOCK_SIZES = (None, 32, 128)  # None: the single scale with the smallest error
SHADES = ("#F2F2F2", "#CFE3F1", "#7FB6DA", style.BLUE)  # from one exponent bit to four and more


def data(progress: Progress) -> Rows:
    """Return the best split for each distribution and width, and its lead over the integer's."""
    rows = []
    total = len(WIDTHS) * len(DISTRIBUTIONS) * len(BLOCK_SIZES)
    for block_size in BLOCK_SIZES:
        for distribution in DISTRIBUTIONS:
            for bits in WIDTHS:
                rows.append(_row(block_size, distribution, bits))
                progress(len(rows), total)
    return rows


def _row(block_size: int | None, distribution: str, bits: int) -> Row:
    errors = splits(bits, distribution, block_size)
    best, integer = errors[0], next(split for split in errors if split.exponent_bits == 1)
    return {
        "block_size": block_size,
        "distribution": distribution,
        "bits": bits,
        "exponent_bits": best.exponent_bits,
        "mantissa_bits": best.mantissa_bits,
        "sqnr_db": -10 * math.log10(best.mse),
        "lead_over_integer_db": 10 * math.log10(integer.mse / best.mse),
    }


def draw(rows: Rows) -> Figure:
    """Draw a table for each way of scaling; darker cells have more exponent bits."""
    panels = list(grouped(rows, "block_size"))
    count = len(list(grouped(panels[0][1], "distribution")))
    figure = style.new_figure(style.PAGE, 0.9 + 0.26 * count)
    for place, (block_size, cells) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        _table(axes, cells, names=place == 0)
        axes.set_title(
            "one scale, of least error" if block_size is None else f"absmax, blocks of {block_size}"
        )
    figure.supxlabel(
        "bits of a code; in a cell the best E and M, and its lead over the integers (E = 1) in dB",
        fontsize=8,
    )
    return figure


def _table(axes: Axes, rows: Rows, *, names: bool) -> None:
    widths = list(dict.fromkeys(row["bits"] for row in rows))
    distributions = list(dict.fromkeys(row["distribution"] for row in rows))
    for row in rows:
        x, y = widths.index(row["bits"]), distributions.index(row["distribution"])
        shade = SHADES[min(row["exponent_bits"], len(SHADES)) - 1]
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=shade, edgecolor="white", linewidth=1))
        lead = row["lead_over_integer_db"]
        name = f"E{row['exponent_bits']}M{row['mantissa_bits']}"
        text = f"{name}\n{lead:.1f}" if lead >= 0.05 else f"{name}\n< 0.1" if lead else name
        axes.text(
            x + 0.5, y + 0.5, text, ha="center", va="center", linespacing=0.95,
            color="white" if shade == style.BLUE else "black",
        )  # fmt: skip
    axes.set(xlim=(0, len(widths)), ylim=(len(distributions), 0))
    axes.set_xticks([x + 0.5 for x in range(len(widths))], [str(bits) for bits in widths])
    axes.set_yticks(
        [y + 0.5 for y in range(len(distributions))],
        [style.title(name) if names else "" for name in distributions],
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
