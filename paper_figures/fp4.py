"""What parts of an FP4 recipe do to the first phase of training: their effects, over seeds.

From the records of `analysis.training.fp4`. Left: the effect of each part on validation's loss;
beyond the grey band it would be said to help or to harm. Right: what the recipes of each kind of
scales cost over float32, from neither part to both.
"""

from __future__ import annotations

from itertools import product

from matplotlib.figure import Figure

from analysis.training.fp4_losses import EFFECTS, MATTERS, SCALES, Parts, effects, table
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import saved
from paper_figures.style import Look

BLOCK = 16
LINEAR = 0.01  # bits per byte: the right scale is linear up to here, and logarithmic beyond
LOOKS = {
    "e8m0:up": ("E8M0", Look(style.BLUE, "o", "-")),
    "e4m3fn": ("E4M3", Look(style.VERMILLION, "s", (0, (4, 1.5)))),
    "e4m3fn/tensor-scale": ("E4M3, tensor scale", Look(style.ORANGE, "D", (0, (2, 1)))),
    "ue5m3": ("UE5M3", Look(style.GREEN, "^", (0, (6, 1.5, 1, 1.5)))),
    "ue5m3/tensor-scale": ("UE5M3, tensor scale", Look(style.PURPLE, "v", (0, (1, 1)))),
}
KINDS = {  # rotated, stochastic
    "neither": (False, False), "stochastic": (False, True), "Hadamard": (True, False),
    "both": (True, True),
}  # fmt: skip


def data(progress: Progress) -> Rows:
    """Return the effects, and the excess of each recipe, as far as they are measured."""
    records = saved("fp4", "training")
    found: Rows = [
        {"panel": "effect", "name": name, "kind": "all", "mean": effect.difference.mean,
         "error": effect.difference.standard_error}
        for name, effect in effects(records).items()
    ]  # fmt: skip
    lines = {line["recipe"]: line for line in table(records)}
    for scale, (kind, parts) in product(SCALES, KINDS.items()):
        line = lines.get(str(Parts("e2m1", scale, BLOCK, *parts).recipe))
        if line is not None and line["excess"] is not None:
            found.append(
                {"panel": "excess", "name": scale, "kind": kind, "mean": line["excess"],
                 "error": line["excess_error"]}
            )  # fmt: skip
    progress(1, 1)
    return found


def draw(rows: Rows) -> Figure:
    """Draw both panels; error bars are two standard errors over seeds."""
    figure = style.new_figure(style.PAGE, 2.9)
    left, right = figure.subplots(1, 2)
    names = list(EFFECTS)
    for row in rows:
        if row["panel"] == "effect":
            place = names.index(row["name"])
            left.errorbar(
                row["mean"], place, xerr=2 * row["error"], color=style.BLUE, marker="o",
                elinewidth=0.8, linestyle="",
            )  # fmt: skip
    left.axvspan(-MATTERS, MATTERS, color=style.GREY, alpha=0.2, linewidth=0)
    left.axvline(0, color=style.GREY, linewidth=0.5)
    left.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    left.set_xlabel("effect on the loss (bits per byte)")
    kinds = list(KINDS)
    for place, (scale, (label, look)) in enumerate(LOOKS.items()):
        mine = [row for row in rows if row["panel"] == "excess" and row["name"] == scale]
        right.errorbar(
            [kinds.index(row["kind"]) + 0.06 * (place - 2) for row in mine],
            [row["mean"] for row in mine], [2 * row["error"] for row in mine],
            color=look.colour, marker=look.marker, linestyle=look.line, label=label,
            elinewidth=0.6,
        )  # fmt: skip
    right.set(xticks=range(len(kinds)), xticklabels=kinds, xlim=(-0.4, len(kinds) - 0.6))
    right.set_yscale("symlog", linthresh=LINEAR)
    right.axhline(0, color=style.GREY, linewidth=0.5)
    right.set_ylabel("loss over float32 (bits per byte)")
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=5)
    return figure
