"""What each width loses beside its own run, when several widths are trained together.

From the records of the study; a panel for each family of formats. Bars are two standard errors
over seeds.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from analysis.training.many_widths_losses import table
from analysis.training.samplings import WIDTHS
from paper_figures import style
from paper_figures.rows import Progress, Rows, grouped
from paper_figures.studies import saved
from paper_figures.style import Look

SPREAD = 0.06  # of the places of two kinds of runs at a width
FAMILIES = {"integers": "integers", "exmy": "E2M0 to E2M3"}
LOOKS = {
    ("shared", "whole"): Look(style.BLUE, "o", "-"),
    ("shared", "uniform"): Look(style.VERMILLION, "s", (0, (4, 1.5))),
    ("shared", "balanced"): Look(style.GREEN, "^", (0, (6, 1.5, 1, 1.5))),
    ("low rank", "whole"): Look(style.PURPLE, "D", (0, (1, 1))),
    ("decoupled", "whole"): Look(style.ORANGE, "v", (0, (3, 1, 1, 1, 1, 1))),
}


def data(progress: Progress) -> Rows:
    """Return what each width loses in each kind of run."""
    found = table(saved("many_widths", "training"))
    progress(1, 1)
    return [
        {
            "family": loss.family,
            "weights": loss.sharing,
            "sampling": loss.sampling,
            "width": loss.width,
            "runs": loss.runs,
            "loss": loss.loss.mean,
            "error": loss.loss.standard_error,
        }
        for loss in sorted(found, key=lambda loss: list(FAMILIES).index(loss.family))
    ]


def draw(rows: Rows) -> Figure:
    """Draw a line for each kind of run."""
    figure = style.new_figure(style.PAGE, 2.7)
    panels = list(grouped(rows, "family"))
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    handles = {}
    for axes, (family, own) in zip(every, panels, strict=True):
        for place, (kind, look) in enumerate(LOOKS.items()):
            aside = SPREAD * (place - (len(LOOKS) - 1) / 2)
            mine = [row for row in own if (row["weights"], row["sampling"]) == kind]
            if mine:
                handles[", ".join(kind)] = axes.errorbar(
                    [row["width"] + aside for row in mine],
                    [row["loss"] for row in mine],
                    [2 * row["error"] for row in mine],
                    color=look.colour, marker=look.marker, linestyle=look.line, elinewidth=0.6,
                    markeredgecolor="white", markeredgewidth=0.3,
                )  # fmt: skip
        axes.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
        axes.set(title=FAMILIES[family], xlabel="bits of a weight")
        axes.set_xticks(WIDTHS)
    every[0].set_ylabel("loss minus that of the width's own run\n(bits per byte)")
    figure.legend(
        list(handles.values()), list(handles), loc="outside upper center", ncols=len(LOOKS)
    )
    return figure
