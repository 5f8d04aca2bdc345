"""The errors of grids of 4, 5 and 6 bits on Gaussian weights, each under its best scale.

Beside them the best quantizer with as many levels (Lloyd and Max), and Shannon's bound for all
codes of as many bits.
"""

from __future__ import annotations

import math
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.errors.expected_error import optimal_scale
from analysis.errors.optimal_quantizers import lloyd_max, shannon_lower_bound
from minifloat.formats.names import parse
from paper_figures import style
from paper_figures.rows import Progress, Row, Rows, grouped

FORMATS = (  # of any widths; the symmetric integers are E1My
    "e1m2", "e2m1", "e3m0", "int4", "bnb_fp4", "bipolar_int4", "af4", "sf4", "nf4",
    "e1m3", "e2m2", "e3m1", "e4m0", "int5", "bipolar_int5", "nf5",
    "e1m4", "e2m3", "e3m2", "e4m1", "e5m0", "int6", "bipolar_int6",
)  # fmt: skip
DISTRIBUTION = "normal"


def data(progress: Progress) -> Rows:
    """Return the smallest error of each format, and the bounds of each width."""
    rows = []
    for done, name in enumerate(FORMATS, 1):
        scale, mse = optimal_scale(name, DISTRIBUTION)
        rows.append(_row(parse(name).bits, name, style.family(name), scale, mse))
        progress(done, len(FORMATS))
    for bits in {row["bits"] for row in rows}:
        for name, mse in (
            ("Lloyd-Max", lloyd_max(DISTRIBUTION, 2**bits).mse),
            ("Shannon's bound", shannon_lower_bound(DISTRIBUTION, bits)),
        ):
            rows.append(_row(bits, name, "bound", None, mse))
    return sorted(rows, key=lambda row: (row["bits"], row["sqnr_db"]))


def _row(bits: int, name: str, family: str, scale: float | None, mse: float) -> Row:
    return {
        "bits": bits,
        "format": name,
        "family": family,
        "scale": scale,
        "mse": mse,
        "sqnr_db": -10 * math.log10(mse),
    }


def draw(rows: Rows) -> Figure:
    """Draw a panel for each width, the best on top; formats with the same error share a row."""
    widths = list(grouped(rows, "bits"))
    figure = style.new_figure(style.PAGE, 2.5)
    for place, (bits, panel) in enumerate(widths):
        _panel(figure.add_subplot(1, len(widths), place + 1), bits, panel)
    figure.supxlabel(
        "SQNR of Gaussian weights, each grid at its scale of least error (dB)", fontsize=8
    )
    handles = [
        Line2D([], [], linewidth=0, marker=look.marker, color=look.colour, label=name)
        for name, look in style.FAMILIES.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _rounded(row: Row) -> float:
    """Return an SQNR, rounded so that grids equal up to scale have the same."""
    return round(float(row["sqnr_db"]), 6)


def _panel(axes: Axes, bits: int, rows: Rows) -> None:
    lines = [list(formats) for _, formats in groupby(rows, key=_rounded)]
    for place, formats in enumerate(lines):
        x, family = formats[0]["sqnr_db"], max(row["family"] for row in formats)
        if family == "bound":
            axes.vlines(x, -0.6, place, color="black", linewidth=0.6, linestyle=(0, (2, 2)))
            look = style.Look("black", "|", "-")
        else:
            look = style.FAMILIES[family]
        axes.plot(x, place, look.marker, color=look.colour, clip_on=False)
        axes.text(1.0, place, f"{x:.1f}", transform=axes.get_yaxis_transform(), va="center")
    names = [
        " = ".join(
            row["format"] if row["family"] == "bound" else style.title(row["format"])
            for row in formats
        )
        for formats in lines
    ]
    axes.set_yticks(range(len(lines)), names)
    axes.set_ylim(-0.6, len(lines) - 0.5)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(f"{bits} bits")
