"""Integers against floats of the same width, by the crest factor of a block: theorems and truth.

The theorems are those of INT v.s. FP (2025); the exact curves are expectations for Gaussian blocks
of one absmax. The marks are where both formats have the same error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.published.int_versus_fp import (
    PAIRS,
    Crossover,
    Pair,
    exact_crossover,
    float_theorem,
    integer_theorem,
    theorem_crossover,
    theorem_errors,
)
from minifloat.formats.names import parse
from paper_figures import style
from paper_figures.rows import Progress, Row, Rows, grouped

CREST_FACTORS = np.geomspace(1.5, 9.0, 60)  # at which the theorems are drawn
MAXIMA = np.geomspace(0.8, 40.0, 150)  # largest magnitudes of exact blocks, standard deviations
MAX_SHARE = 0.9  # of the largest possible crest factor, the root of the block size
THEOREM = (0, (3, 1.5))  # dashes
INTEGER = style.Look(style.VERMILLION, "s", "-")
FLOAT = style.Look(style.BLUE, "o", "-")


def data(progress: Progress) -> Rows:
    """Return both curves of each pair, and the crossovers."""
    rows = []
    for done, pair in enumerate(PAIRS, 1):
        limit = MAX_SHARE * math.sqrt(pair.block_size)
        rows += [
            _row(pair, "theorem", fmt, float(kappa), qsnr)
            for kappa in CREST_FACTORS
            if pair.power_of_two or kappa < limit
            for fmt, qsnr in _theorems(pair, float(kappa))
        ]
        for errors in theorem_errors(pair, map(float, MAXIMA)):
            if errors.crest_factor < limit:
                for fmt, qsnr in (
                    (pair.integer, errors.integer_exact),
                    (pair.minifloat, errors.float_exact),
                ):
                    rows.append(_row(pair, "exact", fmt, errors.crest_factor, qsnr))
        rows += _crossover(pair, "theorem", theorem_crossover(pair))
        rows += _crossover(pair, "exact", exact_crossover(pair))
        progress(done, len(PAIRS))
    return rows


def _theorems(pair: Pair, kappa: float) -> tuple[tuple[str, float], ...]:
    """Return the theorems' QSNR of each format, dB."""
    size = None if pair.power_of_two else pair.block_size
    rho, bits = pair.scale_ratio, parse(pair.integer).bits
    return (
        (pair.integer, integer_theorem(bits, kappa, scale_ratio=rho, block_size=size)),
        (pair.minifloat, float_theorem(pair.minifloat, kappa, scale_ratio=rho, block_size=size)),
    )


def _row(pair: Pair, source: str, fmt: str | None, kappa: float, qsnr: float) -> Row:
    return {
        "pair": pair.name,
        "block_size": pair.block_size,
        "source": source,
        "format": fmt,  # none at a crossover
        "crest_factor": kappa,
        "qsnr_db": qsnr,
    }


def _crossover(pair: Pair, source: str, crossover: Crossover | None) -> Rows:
    if crossover is None:
        return []
    return [_row(pair, source, None, crossover.crest_factor, crossover.qsnr)]


def draw(rows: Rows) -> Figure:
    """Draw a panel for each pair."""
    pairs = list(grouped(rows, "pair"))
    figure = style.new_figure(style.PAGE, 4.2)
    for place, (name, curve) in enumerate(pairs):
        axes = figure.add_subplot(2, (len(pairs) + 1) // 2, place + 1)
        _panel(axes, name, curve)
    figure.supxlabel("crest factor of a block (largest magnitude / rms)", fontsize=8)
    figure.supylabel("QSNR of Gaussian blocks (dB)", fontsize=8)
    _key(figure)
    return figure


def _panel(axes: Axes, name: str, rows: Rows) -> None:
    formats = list(dict.fromkeys(row["format"] for row in rows if row["format"]))
    for fmt, look in zip(formats, (INTEGER, FLOAT), strict=True):
        curve = [row for row in rows if row["format"] == fmt]
        _curves(axes, style.title(fmt), look, curve)
    for row in rows:
        if row["format"] is None:
            exact = row["source"] == "exact"
            axes.plot(
                row["crest_factor"], row["qsnr_db"], "D", markersize=5, color="black",
                markerfacecolor="black" if exact else "white", zorder=5,
            )  # fmt: skip
    limit = math.sqrt(rows[0]["block_size"])
    last = max(row["crest_factor"] for row in rows)
    if last > limit:
        axes.axvspan(limit, last, color=style.PALE, linewidth=0, zorder=0)
    axes.margins(y=0.1)
    axes.set_xscale("log")
    ticks = [t for t in (1.5, 2, 3, 4, 6, 8) if t < last]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_title(f"{name}, blocks of {rows[0]['block_size']}; {_crossings(rows)}")


def _curves(axes: Axes, name: str, look: style.Look, rows: Rows) -> None:
    """Draw the QSNR of a format, exact and by the theorem, and write its name below."""
    for source, line, width in (("theorem", THEOREM, 0.8), ("exact", "-", 1.2)):
        curve = [row for row in rows if row["source"] == source]
        x, y = [row["crest_factor"] for row in curve], [row["qsnr_db"] for row in curve]
        axes.plot(x, y, color=look.colour, linestyle=line, linewidth=width)
    axes.plot(x[::8], y[::8], look.marker, color=look.colour)
    place, side, down = (3 * len(x) // 4, "right", -3) if look is INTEGER else (-1, "center", -5)
    axes.annotate(
        name, (x[place], y[place]), (0, down), textcoords="offset points", ha=side, va="top",
        color=look.colour,
    )  # fmt: skip


def _crossings(rows: Sequence[Row]) -> str:
    """Return where the curves cross, in words."""
    crossings = {row["source"]: row["crest_factor"] for row in rows if row["format"] is None}
    texts = [
        f"{kind} {crossings[kind]:.2f}" if kind in crossings else f"{kind} none"
        for kind in ("theorem", "exact")
    ]
    return "crossing: " + ", ".join(texts)


def _key(figure: Figure) -> None:
    handles = [
        Line2D([], [], color="black", linewidth=1.2, label="exact"),
        Line2D([], [], color="black", linewidth=0.8, linestyle=THEOREM, label="theorem"),
        Line2D([], [], color="black", linewidth=0, marker="D", label="crossover, exact"),
        Line2D(
            [], [], color="black", linewidth=0, marker="D", markerfacecolor="white",
            label="crossover, theorem",
        ),
        Patch(color=style.PALE, label="no block is there"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
