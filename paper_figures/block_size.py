"""SQNR against the block size, on Gaussian weights, with exact scales.

Scales are those of the absmax, and for the unsigned integer, with zero points, those of the range.
The marks are where the first format and an integer have the same error.
"""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from analysis.formats.format_comparison import block_mse, crossover_block_sizes
from minifloat.formats.names import parse
from paper_figures import style
from paper_figures.rows import Progress, Row, Rows, grouped

SMALLEST, LARGEST = 8.0, 4096.0
FORMATS = ("e2m2", "int5", "nf5", "e3m1", "nf4", "uint5")
RIVALS = {"int5": (SMALLEST, LARGEST), "uint5": (256.0, 512.0)}  # of the first: where they cross
DISTRIBUTION = "normal"
PLACES = {"int5": ((6, -9), "right"), "uint5": ((4, 30), "left")}  # of the marks' texts
NAMES = {"uint5": "INT5, asymm."}
SIZES = [2.0 ** (k / 4) for k in range(12, 49)]  # 8 to 4096


def data(progress: Progress) -> Rows:
    """Return the SQNR of each format at each block size, and the crossovers."""
    rows = []
    for done, name in enumerate(FORMATS, 1):
        rows += [_row(name, size, "line") for size in SIZES]
        progress(done, len(FORMATS))
    for rival, (low, high) in RIVALS.items():
        if rival not in FORMATS or parse(rival).bits != parse(FORMATS[0]).bits:
            continue
        sizes = crossover_block_sizes(FORMATS[0], rival, DISTRIBUTION, smallest=low, largest=high)
        rows += [_row(rival, size, "crossover") for size in sizes]
    return rows


def _row(name: str, size: float, kind: str) -> Row:
    mse = block_mse(name, DISTRIBUTION, size)
    return {
        "kind": kind,
        "format": name,
        "block_size": size,
        "mse": mse,
        "sqnr_db": -10 * math.log10(mse),
    }


def _title(name: str) -> str:
    return NAMES.get(name, style.title(name))


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
    bottom, top = axes.get_ylim()
    style.label_ends(
        axes,
        {
            _title(name): (curve[-1]["block_size"], curve[-1]["sqnr_db"])
            for name, curve in lines.items()
        },
        {_title(name): look.colour for name, look in chosen.items()},
        gap=max(0.65, 0.048 * (top - bottom)),
    )
    for row in rows:
        if row["kind"] == "crossover":
            point = (row["block_size"], row["sqnr_db"])
            axes.plot(*point, "o", markersize=7, markerfacecolor="none", color="black")
            axes.annotate(
                f"{style.title(FORMATS[0])} = {_title(row['format'])}\nat "
                f"{row['block_size']:.1f} weights",
                point, PLACES[row["format"]][0], textcoords="offset points",
                ha=PLACES[row["format"]][1], va="top",
            )  # fmt: skip
    sizes = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size}" for size in sizes], rotation=45)
    axes.minorticks_off()
    axes.set(
        xlabel="block size (weights that share an exact scale)",
        ylabel="SQNR of Gaussian weights (dB)",
    )
    return figure
