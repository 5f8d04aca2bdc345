"""Integers against floats of the same width, by the crest factor of a block: theorems and truth.

The theorems are those of INT v.s. FP (2025); the exact curves are expectations for Gaussian blocks
of one largest magnitude. The marks are where both formats lose the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.gaussian_blocks import crest_factor
from analysis.int_versus_fp import (
    PAIRS,
    Crossover,
    Pair,
    exact_crossover,
    theorem_crossover,
    theorem_errors,
)
from paper_figures import style
from paper_figures.rows import Progress, Row, Rows, grouped

MAXIMA = np.geomspace(1.6, 40.0, 120)  # largest magnitudes of blocks, in standard deviations
MOST = 0.92  # of the greatest crest factor that a block can have, its size's root
INTEGER = style.Look(style.VERMILLION, "s", "-")
FLOAT = style.Look(style.BLUE, "o", "-")


def data(progress: Progress) -> Rows:
    """Return both curves of each pair, and the crossovers."""
    rows = []
    for done, pair in enumerate(PAIRS, 1):
        maxima = [
            m for m in MAXIMA if crest_factor(m, pair.block_size) ** 2 < MOST**2 * pair.block_size
        ]
        for errors in theorem_errors(pair, maxima):
            kappa = errors.crest_factor
            for fmt, theorem, exact in (
                (pair.integer, errors.integer_theorem, errors.integer_exact),
                (pair.minifloat, errors.float_theorem, errors.float_exact),
            ):
                rows.append(_row(pair, "theorem", fmt, kappa, theorem))
                rows.append(_row(pair, "exact", fmt, kappa, exact))
        rows += _crossover(pair, "theorem", theorem_crossover(pair))
        rows += _crossover(pair, "exact", exact_crossover(pair))
        progress(done, len(PAIRS))
    return rows


def _row(pair: Pair, source: str, fmt: str | None, kappa: float, qsnr: float) -> Row:
    return {
        "pair": pair.name,
        "block_size": pair.block_size,
        "source": source,
        "format": fmt,  # none at a crossover
        "crest_factor": kappa,
        "qsnr_db": qsnr,
    }


def _crossover(pair: Pair, source: str, found: Crossover | None) -> Rows:
    if found is None:
        return []
    return [_row(pair, source, None, found.crest_factor, found.qsnr)]


def draw(rows: Rows) -> Figure:
    """Draw a panel for each pair."""
    pairs = list(grouped(rows, "pair"))
    figure = style.new_figure(style.PAGE, 4.2)
    for place, (name, some) in enumerate(pairs):
        axes = figure.add_subplot(2, (len(pairs) + 1) // 2, place + 1)
        _panel(axes, name, some)
    figure.supxlabel("crest factor of a block (largest magnitude / rms)", fontsize=8)
    figure.supylabel("QSNR of Gaussian blocks (dB)", fontsize=8)
    _key(figure)
    return figure


def _panel(axes: Axes, name: str, rows: Rows) -> None:
    formats = list(dict.fromkeys(row["format"] for row in rows if row["format"]))
    for fmt, look in zip(formats, (INTEGER, FLOAT), strict=True):
        for source, line in (("exact", "-"), ("theorem", (0, (3, 1.5)))):
            some = [row for row in rows if row["format"] == fmt and row["source"] == source]
            x, y = [row["crest_factor"] for row in some], [row["qsnr_db"] for row in some]
            axes.plot(
                x, y, color=look.colour, linestyle=line,
                linewidth=1.2 if source == "exact" else 0.8,
            )  # fmt: skip
            if source == "exact":
                axes.plot(x[::12], y[::12], look.marker, color=look.colour)
                axes.annotate(
                    style.title(fmt), (x[-1], y[-1]), (4, 0), textcoords="offset points",
                    va="center", color=look.colour, annotation_clip=False,
                )  # fmt: skip
    for row in rows:
        if row["format"] is None:
            exact = row["source"] == "exact"
            axes.plot(
                row["crest_factor"], row["qsnr_db"], "D", markersize=5, color="black",
                markerfacecolor="black" if exact else "white", zorder=5,
            )  # fmt: skip
    axes.set_xscale("log")
    ticks = [t for t in (1.5, 2, 3, 4, 5) if t < max(row["crest_factor"] for row in rows)]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_title(f"{name}, blocks of {rows[0]['block_size']}: {_crossings(rows)}")


def _crossings(rows: Sequence[Row]) -> str:
    """Say where the curves cross."""
    found = {row["source"]: row["crest_factor"] for row in rows if row["format"] is None}
    texts = [
        f"{kind} {found[kind]:.2f}" if kind in found else f"{kind} none"
        for kind in ("theorem", "exact")
    ]
    return "crossover " + ", ".join(texts)


def _key(figure: Figure) -> None:
    handles = [
        Line2D([], [], color="black", linewidth=1.2, label="exact"),
        Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (3, 1.5)), label="theorem"),
        Line2D([], [], color="black", linewidth=0, marker="D", label="crossover, exact"),
        Line2D(
            [], [], color="black", linewidth=0, marker="D", markerfacecolor="white",
            label="crossover, theorem",
        ),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
