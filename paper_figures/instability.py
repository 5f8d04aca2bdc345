"""Runs that diverge, and what the others lose, when bits of bfloat16 operands are removed.

From the records of `analysis.training.instability`, at each learning rate. Above: the share of
seeds that diverged, with Wilson's interval of 95 %. Below: validation's loss over bfloat16's.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from analysis.training.instability_losses import (
    BFLOAT16,
    EXPONENTS,
    FACTORS,
    MANTISSAS,
    RATE,
    mean,
    removed,
    share,
)
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import saved
from paper_figures.style import Look

FIELDS = {
    "mantissa": ((BFLOAT16, *MANTISSAS), Look(style.BLUE, "o", "-")),
    "exponent": ((BFLOAT16, *EXPONENTS), Look(style.VERMILLION, "s", (0, (4, 1.5)))),
}
LINEAR = 0.01  # bits per byte: the scale is linear up to here, and logarithmic beyond


def data(progress: Progress) -> Rows:
    """Return the shares and losses of each format and rate, as far as they are measured."""
    records, found = saved("instability", "training"), []
    for field, (names, _) in FIELDS.items():
        for factor in FACTORS:
            for name in names:
                diverged = share(records, format=name, factor=factor)
                if diverged is None:
                    continue
                loss = mean(records, "validation", name, factor, excess=True)
                low, high = diverged.interval
                found.append(
                    {
                        "field": field,
                        "factor": factor,
                        "bits": removed(name),
                        "share": diverged.some / diverged.all,
                        "low": low,
                        "high": high,
                        "loss": loss and loss.mean,
                        "error": loss and loss.standard_error,
                    }
                )
    progress(1, 1)
    return found


def draw(rows: Rows) -> Figure:
    """Draw a column of two panels for each rate."""
    figure = style.new_figure(style.PAGE, 3.4)
    panels = figure.subplots(2, len(FACTORS), sharex=True, sharey="row")
    for (above, below), factor in zip(panels.T, FACTORS, strict=True):
        for place, (field, (_, look)) in enumerate(FIELDS.items()):
            mine = [row for row in rows if (row["field"], row["factor"]) == (field, factor)]
            at = [row["bits"] + 0.12 * (2 * place - 1) for row in mine]
            shares = [row["share"] for row in mine]
            ends = [
                [row["share"] - row["low"] for row in mine],
                [row["high"] - row["share"] for row in mine],
            ]
            drawn = {"color": look.colour, "marker": look.marker, "elinewidth": 0.6}
            above.errorbar(at, shares, ends, linestyle="", label=f"{field} removed", **drawn)
            kept = [row for row in mine if row["loss"] is not None and row["bits"] > 0]
            below.errorbar(
                [row["bits"] + 0.12 * (2 * place - 1) for row in kept],
                [row["loss"] for row in kept], [2 * row["error"] for row in kept],
                linestyle=look.line, **drawn,
            )  # fmt: skip
        above.set_title(f"rate {RATE * factor:g}")
        below.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
        below.set_yscale("symlog", linthresh=LINEAR)
        below.set(xlabel="bits removed of bfloat16", xticks=range(7))
    panels[0, 0].set(ylabel="share diverged", ylim=(-0.05, 1.05))
    panels[1, 0].set_ylabel("loss over bfloat16\n(bits per byte)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure
