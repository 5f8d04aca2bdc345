"""What whole models lose by each method at budgets of bits per weight, everything counted.

From the records of `analysis.methods.table`. Methods of one kind stand above each other. The line
connects, from budget to budget, the methods that lose least.
"""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter

from analysis.methods.contenders import REFERENCE, family
from analysis.methods.table_losses import MANY, PERPLEXITY, Table
from paper_figures import style
from paper_figures.rows import Progress, Row, Rows, grouped
from paper_figures.studies import saved
from paper_figures.style import Look

LOOKS = {
    "rounded to nearest": Look(style.GREY, "o", ""),
    "rotated": Look(style.SKY, "D", ""),
    "GPTQ": Look(style.ORANGE, "^", ""),
    "GPTQ, rotated": Look(style.BLUE, "s", ""),
    "several parts": Look(style.GREEN, "v", ""),
    "budget allocated": Look(style.VERMILLION, "P", ""),
}
STEP = 0.11  # of the places of two kinds beside each other, in bits
SMOLLM2 = "SmolLM2-135M"
LOSSES = {  # by model
    SMOLLM2: "nats per token above the unchanged model",
    "MiniLM-L6-v2": "1 - cosine to the unchanged model",
}


def data(progress: Progress) -> Rows:
    """Return the loss of each method at each budget, and its error."""
    records = saved("table", "methods")
    found = []
    for model in LOSSES:
        results = Table(records, model)
        for method, budget in results.losses:
            loss = results.loss(method, budget)
            found.append(
                {
                    "model": model,
                    "method": method,
                    "family": family(method),
                    "budget": budget,
                    "bits": results.bits[method, budget],
                    "loss": loss.mean,
                    "error": loss.standard_error,
                }
            )
    progress(1, 1)
    return found


def draw(rows: Rows) -> Figure:
    """Draw a panel for each model."""
    figure = style.new_figure(style.PAGE, 3.4)
    for place, (model, points) in enumerate(grouped(rows, "model")):
        axes = figure.add_subplot(1, len(LOSSES), place + 1)
        _panel(axes, points)
        axes.set_title(model)
        axes.set_ylabel(LOSSES[model])
        if model == SMOLLM2:
            _aims(axes, points)
    figure.supxlabel(
        "at most so many bits per weight of all matrices, everything counted", fontsize=8
    )
    handles = [
        Line2D([], [], linewidth=0, color=look.colour, marker=look.marker, label=name)
        for name, look in LOOKS.items()
        if any(row["family"] == name for row in rows)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _panel(axes: Axes, rows: Rows) -> None:
    drawn = [row for row in rows if row["loss"] > 0]
    for row in drawn:
        look = LOOKS[row["family"]]
        axes.errorbar(
            _place(row),
            row["loss"],
            [[min(2 * row["error"], 0.9 * row["loss"])], [2 * row["error"]]],
            color=look.colour,
            marker=look.marker,
            markersize=4,
            elinewidth=0.6,
            markeredgecolor="white",
            markeredgewidth=0.3,
        )
    best = [
        min(points, key=lambda row: float(row["loss"]))
        for _, points in grouped(sorted(drawn, key=lambda row: float(row["budget"])), "budget")
    ]
    axes.plot(
        *zip(*((_place(row), row["loss"]) for row in best), strict=True),
        color="black",
        linewidth=0.7,
        zorder=1,
    )
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator([row["budget"] for row in best]))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y")


def _place(row: Row) -> float:
    kind = list(LOOKS).index(row["family"])
    return float(row["budget"]) + STEP * (kind - (len(LOOKS) - 1) / 2)


def _aims(axes: Axes, rows: Rows) -> None:
    """Mark what the two aims ask for."""
    yardstick = [row["loss"] for row in rows if (row["method"], row["budget"]) == (REFERENCE, MANY)]
    lines = [(f"{100 * PERPLEXITY - 100:.0f} % of perplexity", math.log(PERPLEXITY))]
    if yardstick:
        lines.append(("E2M2/128", yardstick[0]))
    for name, height in lines:
        axes.axhline(height, color=style.BLACK, linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)
        axes.text(0.02, height, name, transform=axes.get_yaxis_transform(), va="top")
