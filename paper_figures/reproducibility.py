"""Greedy texts of SmolLM2 part when only the order of additions in its products changes."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.numerics.reproducibility import BFLOAT16, LAYERCAST, REFERENCE
from paper_figures import style
from paper_figures.rows import Progress, Rows
from paper_figures.studies import saved
from paper_figures.style import Look

NAMES = {BFLOAT16: "bfloat16", LAYERCAST: "LayerCast"}
LOOKS = (
    Look(style.BLUE, "o", "-"),
    Look(style.VERMILLION, "s", (0, (4, 1.5))),
    Look(style.GREEN, "^", (0, (6, 1.5, 1, 1.5))),
    Look(style.ORANGE, "v", (0, (3, 1, 1, 1))),
)


def data(progress: Progress) -> Rows:
    """Return where each text parts, from the records of the study."""
    rows = [row for row in saved("reproducibility") if row["order"] != REFERENCE]
    progress(1, 1)
    columns = ("scheme", "order", "prompt", "tokens", "same", "logit_rms", "margin_median")
    return [{column: row[column] for column in columns} for row in rows]


def draw(rows: Rows) -> Figure:
    """Draw the share of texts still the same by tokens, and the differences of logits."""
    figure = style.new_figure(style.PAGE, 2.6)
    left, right = figure.subplots(1, 2)
    orders = list(dict.fromkeys(row["order"] for row in rows))
    looks = dict(zip(orders, LOOKS, strict=True))
    _same(left, rows, looks)
    _logits(right, rows, looks)
    return figure


def _same(axes: Axes, rows: Rows, looks: dict[str, Look]) -> None:
    tokens = rows[0]["tokens"]
    for scheme in NAMES:
        for order, look in looks.items():
            same = [r["same"] for r in rows if r["scheme"] == scheme and r["order"] == order]
            if same:
                shares = [sum(s >= n for s in same) / len(same) for n in range(1, tokens + 1)]
                axes.step(
                    range(tokens + 1),
                    [1, *shares],
                    where="post",
                    color=look.colour,
                    linestyle=look.line if scheme == BFLOAT16 else ":",
                    label=order if scheme == BFLOAT16 else None,
                )
    axes.set(xlim=(0, tokens), ylim=(0, 1.05), xlabel="tokens written")
    axes.set_ylabel("share of texts that are the same")
    axes.plot([], [], ":", color="black", label="LayerCast, at the top")
    axes.set_title("greedy texts of SmolLM2, by order of additions")
    axes.legend(loc="lower left")


def _logits(axes: Axes, rows: Rows, looks: dict[str, Look]) -> None:
    for place, scheme in enumerate(NAMES):
        for number, (order, look) in enumerate(looks.items()):
            mine = [r["logit_rms"] for r in rows if r["scheme"] == scheme and r["order"] == order]
            x = [place + (number - 1.5) * 0.18 + 0.01 * (k % 7 - 3) for k in range(len(mine))]
            axes.plot(x, mine, look.marker, color=look.colour, markersize=2.5)
    margins = [row["margin_median"] for row in rows]
    axes.axhline(sorted(margins)[len(margins) // 2], color=style.GREY, linewidth=0.8)
    axes.annotate(
        "margin of the best logit, median", (0.98, 1.15 * sorted(margins)[len(margins) // 2]),
        xycoords=("axes fraction", "data"), ha="right", color=style.GREY,
    )  # fmt: skip
    axes.set(
        yscale="log",
        xlim=(-0.5, 1.5),
        ylim=(5e-6, 4),
        ylabel="rms difference of logits, one dot a text",
    )
    axes.set_xticks(range(len(NAMES)), list(NAMES.values()))
