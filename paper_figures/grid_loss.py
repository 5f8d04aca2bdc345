"""What every grid of 4, 5 and 6 bits loses on Gaussian weights under its best scale.

Beside them the best that so many levels can do (Lloyd and Max), and Shannon's bound, which no code
of so many bits can pass.
"""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.expected_error import optimal_scale
from analysis.optimal_quantizers import lloyd_max, shannon_lower_bound
from paper_figures import style
from paper_figures.rows import Progress, Row, Rows, grouped

FORMATS = {  # by width; the symmetric integers are E1My
    4: ("e1m2", "e2m1", "e3m0", "int4", "bnb_fp4", "bipolar_int4", "af4", "sf4", "nf4"),
    5: ("e1m3", "e2m2", "e3m1", "e4m0", "int5", "bipolar_int5", "nf5"),
    6: ("e1m4", "e2m3", "e3m2", "e4m1", "e5m0", "int6", "bipolar_int6"),
}
DISTRIBUTION = "normal"
BOUNDS = ("Lloyd-Max", "Shannon")


def data(progress: Progress) -> Rows:
    """Return the least error of each format, and the bounds of each width."""
    rows = []
    total = sum(map(len, FORMATS.values()))
    for bits, formats in FORMATS.items():
        bounds = (
            lloyd_max(DISTRIBUTION, 2**bits).mse,
            shannon_lower_bound(DISTRIBUTION, bits),
        )
        for name in formats:
            scale, mse = optimal_scale(name, DISTRIBUTION)
            rows.append(_row(bits, name, style.family(name), scale, mse))
            progress(len(rows), total)
        rows += [
            _row(bits, name, "bound", None, mse) for name, mse in zip(BOUNDS, bounds, strict=True)
        ]
    return rows


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
    """Draw a panel for each width, the best format on top."""
    widths = list(grouped(rows, "bits"))
    figure = style.new_figure(style.PAGE, 2.4)
    for place, (bits, some) in enumerate(widths):
        _panel(figure.add_subplot(1, len(widths), place + 1), bits, some)
    return figure


def _panel(axes: Axes, bits: int, rows: Rows) -> None:
    formats = [row for row in rows if row["family"] != "bound"]
    formats.sort(key=lambda row: float(row["sqnr_db"]))
    for row in rows:
        if row["family"] == "bound":
            axes.axvline(row["sqnr_db"], color="black", linewidth=0.8, linestyle=(0, (3, 2)))
            axes.annotate(
                f"{row['format']} {row['sqnr_db']:.1f}",
                (row["sqnr_db"], len(formats) - 0.3),
                (-2, 0),
                textcoords="offset points",
                rotation=90,
                ha="right",
                va="top",
            )
    for place, row in enumerate(formats):
        look = style.FAMILIES[row["family"]]
        axes.plot(row["sqnr_db"], place, look.marker, color=look.colour)
        axes.annotate(
            f"{row['sqnr_db']:.1f}", (row["sqnr_db"], place), (5, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    axes.set_yticks(range(len(formats)), [style.title(row["format"]) for row in formats])
    axes.set_ylim(-0.6, len(formats) - 0.3)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(title=f"{bits} bits", xlabel="SQNR (dB)")
