"""SmolLM2's loss when bits of the bfloat16 operands of its products are masked.

Losses below the bottom are drawn there.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from analysis.numerics.masked_bits import DESTRUCTIVE, HARMLESS, losses
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import curve, saved
from paper_figures.style import Look

LOOKS = {
    "mantissa": ("mantissa masked", Look(style.BLUE, "o", "-")),
    "mantissa, nearest": ("mantissa to nearest", Look(style.SKY, "P", (0, (2, 1)))),
    "range": ("exponent's range", Look(style.VERMILLION, "s", (0, (4, 1.5)))),
    "exponent, low": ("lowest exponent bit", Look(style.PURPLE, "D", "")),
    "exponent, high": ("highest exponent bit", Look(style.GREEN, "^", "")),
}
FLOOR = 1e-3  # nats; smaller losses are drawn there


def data(progress: Progress) -> Rows:
    """Return the loss of each mask, from the records of the study."""
    found = losses(saved("masked_bits"))
    progress(1, 1)
    return [
        {
            "kind": loss.kind,
            "bits": loss.bits,
            "loss": loss.mean,
            "error": loss.error,
            "chunk_error": loss.chunk_error,
            "draw_error": loss.draw_error,
            "verdict": loss.verdict,
        }
        for loss in found
    ]


def draw(rows: Rows) -> Figure:
    """Draw a curve for each kind of mask."""
    figure = style.new_figure(style.COLUMN, 3.0)
    axes = figure.add_subplot()
    for kind, (name, look) in LOOKS.items():
        mine = [
            {"at": row["bits"], "mean": row["loss"], "error": row["error"]}
            for row in rows
            if row["kind"] == kind
        ]
        curve(axes, mine, look, name, FLOOR)
    for line, name in ((HARMLESS, "harmless below"), (DESTRUCTIVE, "destructive above")):
        axes.axhline(line, color=style.GREY, linewidth=0.5, zorder=0)
        axes.annotate(name, (0.6, 1.15 * line), color=style.GREY)
    axes.set(
        yscale="log", ylim=(0.8 * FLOOR, 800), xlim=(0.5, 7.5), xlabel="bits removed from bfloat16"
    )
    axes.set_ylabel("loss over bfloat16 (nats per token)")
    axes.set_xticks(range(1, 8))
    axes.legend(loc="upper left", ncols=2, columnspacing=0.6, handletextpad=0.4)
    return figure
