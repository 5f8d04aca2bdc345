"""What three ways to few bits cost: rounding after training, GPTQ, and training with rounding.

From the records of the study. Bars are two standard errors over seeds.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from analysis.training.after_training_losses import AWARE, GPTQ, NEAREST, table
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import saved
from paper_figures.style import Look

WAYS = {
    NEAREST: ("rounded to nearest afterwards", Look(style.GREY, "o", "")),
    GPTQ: ("GPTQ afterwards", Look(style.BLUE, "s", "")),
    AWARE: ("rounded in training", Look(style.VERMILLION, "^", "")),
}
STEP = 0.15  # of the places of two ways beside each other


def data(progress: Progress) -> Rows:
    """Return what each way costs in each format."""
    found = table(saved("after_training", "training"))
    progress(1, 1)
    return [
        {
            "recipe": line.recipe,
            "method": method,
            "runs": line.runs,
            "loss": line.over_plain[method].mean,
            "error": line.over_plain[method].standard_error,
            "between_seeds": line.between_seeds,
        }
        for line in found
        for method in WAYS
    ]


def draw(rows: Rows) -> Figure:
    """Draw the costs beside each other, with one standard deviation between seeds around 0."""
    figure = style.new_figure(style.COLUMN, 2.8)
    axes = figure.add_subplot()
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    for number, (method, (name, look)) in enumerate(WAYS.items()):
        own = [row for row in rows if row["method"] == method]
        axes.errorbar(
            [recipes.index(row["recipe"]) + STEP * (number - 1) for row in own],
            [row["loss"] for row in own],
            [2 * row["error"] for row in own],
            color=look.colour,
            marker=look.marker,
            linestyle="",
            label=name,
            elinewidth=0.6,
            markeredgecolor="white",
            markeredgewidth=0.3,
        )
    spread = max(row["between_seeds"] for row in rows)
    if spread:
        axes.axhspan(-spread, spread, color=style.PALE, zorder=0, label="± 1 s.d. between seeds")
    axes.axhline(0, color=style.GREY, linewidth=0.6, zorder=1)
    axes.set_xticks(range(len(recipes)), [style.title(r.partition("/")[0]) for r in recipes])
    axes.set_xlim(-0.5, max(len(recipes), 2) - 0.5)
    axes.set_ylabel("loss over that without rounding\n(bits per byte)")
    figure.legend(loc="outside upper center", ncols=2, columnspacing=0.8)
    return figure
