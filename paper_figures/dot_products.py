"""Errors of dot products against their length, and against the interval of promotion.

Numbers are those of `analysis.numerics.dot_products`, measured by hand; lines are its theory where
it has one.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.numerics.dot_products import ERROR, INTERVAL, NORMAL, POSITIVE, SIGNED
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import averaged
from paper_figures.style import Look

SHOWN = {
    "bfloat16": ("bfloat16", Look(style.GREY, "X", "-")),
    "bfloat16:stochastic": ("bfloat16, stochastic", Look(style.BLACK, "*", "-")),
    "hopper/e4m3fn/float32": ("Hopper, E4M3", Look(style.VERMILLION, "s", "-")),
    "volta/float16/float32": ("Volta, FP16", Look(style.ORANGE, "v", "-")),
    "hopper/float16/float32": ("Hopper, FP16", Look(style.BLUE, "o", "-")),
    "blackwell/e4m3fn/float32": ("Blackwell, E4M3", Look(style.GREEN, "^", "-")),
    "cdna3/float16/float32": ("CDNA3, FP16", Look(style.SKY, "P", "-")),
    "float32": ("float32, one by one", Look(style.PURPLE, "D", "-")),
}
JOINED = (0, (1, 2))  # dots join the means where there is no theory
OF_DATA = {
    POSITIVE: Look(style.VERMILLION, "s", "-"),
    NORMAL: Look(style.BLUE, "o", (0, (4, 1.5))),
    SIGNED: Look(style.GREEN, "^", (0, (6, 1.5, 1, 1.5))),
}


def data(progress: Progress) -> Rows:
    """Return means over draws, from the records in docs/data."""
    rows = [row for row in averaged("dot_products", (ERROR, INTERVAL)) if row["sums"] in SHOWN]
    progress(1, 1)
    return rows


def draw(rows: Rows) -> Figure:
    """Draw positive data, signed data, and the interval of promotion."""
    figure = style.new_figure(style.PAGE, 3.0)
    positive, normal, interval = figure.subplots(1, 3)
    for axes, name in ((positive, POSITIVE), (normal, NORMAL)):
        _lengths(axes, [row for row in rows if (row["quantity"], row["data"]) == (ERROR, name)])
        axes.set(ylim=(5e-8, 2), title="numbers from 0 to 1" if name == POSITIVE else "normals")
    positive.set_ylabel("relative error of dot products")
    _intervals(interval, [row for row in rows if row["quantity"] == INTERVAL])
    positive.plot([], [], color="black", linewidth=0.8, label="theory")
    positive.plot([], [], color="black", linewidth=0.8, linestyle=JOINED, label="no theory: joined")
    handles, names = positive.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5)
    return figure


def _lengths(axes: Axes, rows: Rows) -> None:
    for name, (label, look) in SHOWN.items():
        own = [row for row in rows if row["sums"] == name]
        x = [row["at"] for row in own]
        has_theory = own[0]["theory"] is not None
        axes.errorbar(
            x,
            [row["mean"] for row in own],
            [2 * row["error"] for row in own],
            color=look.colour,
            marker=look.marker,
            linestyle="" if has_theory else JOINED,
            linewidth=0.8,
            label=label,
        )
        if has_theory:
            axes.plot(x, [row["theory"] for row in own], color=look.colour, linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="products")
    axes.set_xticks([16, 256, 4096], ["16", "256", "4096"])
    axes.minorticks_off()


def _intervals(axes: Axes, rows: Rows) -> None:
    for name, look in OF_DATA.items():
        own = [row for row in rows if row["data"] == name]
        axes.errorbar(
            [row["at"] for row in own],
            [row["mean"] for row in own],
            [2 * row["error"] for row in own],
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            linewidth=0.8,
        )
        last = own[-1]
        axes.annotate(
            name, (last["at"], last["mean"]), (0, -20 if name == SIGNED else 6),
            textcoords="offset points", ha="right", color=look.colour,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", ylim=(2e-5, 0.2), xlabel="products until promotion")
    axes.set_xticks([32, 128, 512, 4096], ["32", "128", "512", "4096"])
    axes.minorticks_off()
    axes.set_title("Hopper, E4M3, 4096 products")
