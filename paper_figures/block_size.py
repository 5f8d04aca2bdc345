"""SQNR against the block size under absmax scaling, on Gaussian weights, with exact scales.

The mark is where the first two formats have the same error.
"""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from analysis.errors.absmax_error import absmax_mse
from analysis.formats.format_comparison import crossover_block_sizes
from paper_figures import style
from paper_figures.rows import Progress, Row, Rows, grouped

FORMATS = ("e2m2", "int5", "nf5", "e3m1", "nf4")  # crossovers are those of the first two
DISTRIBUTION = "normal"
SIZES = [2.0 ** (k / 4) for k in range(12, 49)]  # 8 to 4096


def data(progress: Progress) -> Rows:
    """Return the SQNR of each format at each block size, and the crossovers."""
    rows = []
    for done, name in enumerate(FORMATS, 1):
        rows += [_row(name, size, "line") for size in SIZES]
        progress(done, len(FORMATS))
    ours, rival = FORMATS[:2]
    crossings = crossover_block_sizes(
        ours, rival, DISTRIBUTION, smallest=SIZES[0], largest=SIZES[-1]
    )
    return rows + [_row(ours, size, "crossover") for size in crossings]


def _row(name: str, size: float, kind: str) -> Row:
    mse = absmax_mse(name, DISTRIBUTION, size)
    return {
        "kind": kind,
        "format": name,
        "block_size": size,
        "mse": mse,
        "sqnr_db": -10 * math.log10(mse),
    }


def draw(rows: Rows) -> Figure:
    """Draw a line for each format, named at its end."""
    figure = style.new_figure(style.COLUMN, 2.7)
    axes = figure.add_subplot()
    lines = dict(grouped([row for row in rows if row["kind"] == "line"], "format"))
    chosen = style.looks(lines)
    for name, curve in lines.items():
        look = chosen[name]
        axes.plot(
            [row["block_size"] for row in curve],
            [row["sqnr_db"] for row in curve],
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markevery=4,
        )
    style.label_ends(
        axes,
        {
            style.title(name): (curve[-1]["block_size"], curve[-1]["sqnr_db"])
            for name, curve in lines.items()
        },
        {style.title(name): look.colour for name, look in chosen.items()},
        gap=0.55,
    )
    for row in rows:
        if row["kind"] == "crossover":
            point = (row["block_size"], row["sqnr_db"])
            axes.plot(*point, "o", markersize=7, markerfacecolor="none", color="black")
            axes.annotate(
                f"{' = '.join(style.title(name) for name in list(lines)[:2])}\nat "
                f"{row['block_size']:.1f} weights",
                point, (6, -9), textcoords="offset points", ha="right", va="top",
            )  # fmt: skip
    sizes = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size}" for size in sizes], rotation=45)
    axes.minorticks_off()
    axes.set(
        xlabel="block size (weights to an exact scale)", ylabel="SQNR of Gaussian weights (dB)"
    )
    return figure
