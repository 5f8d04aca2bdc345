"""What noises in place of rounding change in the losses of a training.

From the records of the study, by recipe: the loss with each noise minus that with rounding, in
training and in three validations. Bars are two standard errors over seeds.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.training.noise_losses import LOSSES, ROUNDED, table
from paper_figures import style
from paper_figures.rows import Progress, Rows, grouped
from paper_figures.studies import saved

LOOKS = dict(zip(LOSSES, style.LOOKS.values(), strict=False))
NAMES = {
    "training": "in training",
    "own": "validation, the same weights",
    "plain": "validation, unrounded",
    "rounded": "validation, rounded",
}
SPREAD = 0.17  # of the places of two losses beside each other


def data(progress: Progress) -> Rows:
    """Return the difference of each noise to rounding, in each loss."""
    rows = [row for row in table(saved("noise", "training")) if row["source"] != ROUNDED]
    progress(1, 1)
    return [
        {
            "recipe": row["recipe"],
            "source": row["source"],
            "runs": row["runs"],
            "loss": loss,
            "difference": row[loss],
            "error": row[f"{loss}_error"],
        }
        for row in rows
        for loss in LOSSES
    ]


def draw(rows: Rows) -> Figure:
    """Draw a panel for each recipe."""
    panels = list(grouped(rows, "recipe"))
    figure = style.new_figure(style.PAGE, 2.7)
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (recipe, own) in zip(every, panels, strict=True):
        _panel(axes, own)
        axes.set_title(style.title(recipe.partition("/")[0]) + " in blocks of 32")
    every[0].set_ylabel("loss minus that with rounding\n(bits per byte)")
    handles, labels = every[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(LOOKS))
    return figure


def _panel(axes: Axes, rows: Rows) -> None:
    sources = list(dict.fromkeys(row["source"] for row in rows))
    for number, (loss, look) in enumerate(LOOKS.items()):
        own = [row for row in rows if row["loss"] == loss]
        axes.errorbar(
            [sources.index(r["source"]) + SPREAD * (number - 1.5) for r in own],
            [row["difference"] for row in own],
            [2 * row["error"] for row in own],
            color=look.colour,
            marker=look.marker,
            linestyle="",
            label=NAMES[loss],
            elinewidth=0.6,
            markeredgecolor="white",
            markeredgewidth=0.3,
        )
    axes.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
    axes.set_xticks(range(len(sources)), sources)
    axes.set_xlim(-0.6, max(len(sources), 2) - 0.4)
