"""The meaning of a code's bits, and the values of formats under the density of weights.

Each format has the single scale that minimizes its error on Gaussian weights.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.errors.distributions import parse_distribution
from analysis.errors.expected_error import optimal_scale
from analysis.errors.grids import grid_of
from minifloat.formats.names import parse
from paper_figures import style
from paper_figures.fields import COLOURS, MEANINGS, draw_bit, fields
from paper_figures.rows import Progress, Row, Rows, grouped

FORMATS = ("e2m2", "int5", "e3m1", "nf4")
REACH = 4.3  # standard deviations to either side; values beyond are not drawn


def data(progress: Progress) -> Rows:
    """Return each format's values at its best scale, and the density of the weights."""
    normal = parse_distribution("normal")

    def row(name: str, value: float | None, position: float, **more: object) -> Row:
        facts = {"fields": None, "scale": None, "sqnr_db": None, **more}
        density = float(normal.pdf(position))
        return {"format": name, "value": value, "position": position, "density": density, **facts}

    rows = []
    for done, name in enumerate(FORMATS, 1):
        scale, mse = optimal_scale(name, "normal")
        facts = {"fields": fields(parse(name)), "scale": scale, "sqnr_db": -10 * math.log10(mse)}
        rows += [row(name, float(v), float(v) * scale, **facts) for v in grid_of(name).values]
        progress(done, len(FORMATS))
    return rows + [row("normal", None, float(x)) for x in np.linspace(-REACH, REACH, 173)]


def draw(rows: Rows) -> Figure:
    """Draw the density above one number line for each format, with the code's fields beside it."""
    curves = dict(grouped(rows, "format"))
    density = curves.pop("normal")
    figure = style.new_figure(style.PAGE, 1.5 + 0.42 * len(curves))
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 4.3), height_ratios=(1.2, 0.5 * len(curves)))
    legend, bell = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    lines = figure.add_subplot(grid[1, 1], sharex=bell)
    codes = figure.add_subplot(grid[1, 0], sharex=legend)
    _legend(legend, {letter for values in curves.values() for letter in values[0]["fields"]})
    positions = [row["position"] for row in density]
    bell.fill_between(positions, [row["density"] for row in density], color=style.PALE, linewidth=0)
    bell.set(xlim=(positions[0], positions[-1]), ylim=(0, None))
    bell.text(0, 0.1, "density of\nGaussian weights", ha="center")
    bell.axis("off")
    chosen = style.looks(curves)
    for place, (name, values) in enumerate(curves.items()):
        _number_line(lines, -place, values, chosen[name].colour)
        _code(codes, -place, name, values[0]["fields"])
    bottom, top = 0.6 - len(curves), 0.7
    lines.set(ylim=(bottom, top), yticks=[])
    lines.set_xlabel("weight / standard deviation (each format at its scale of least error)")
    lines.spines["left"].set_visible(False)
    lines.text(1.01, 0.62, "bits, SQNR", transform=lines.get_yaxis_transform(), va="center")
    codes.set(xlim=(-4.2, 8), ylim=(bottom, top))
    codes.axis("off")
    return figure


def _legend(axes: Axes, letters: set[str]) -> None:
    """Explain the letters in the boxes."""
    axes.set(ylim=(-2.3, 0.3))
    axes.axis("off")
    for place, letter in enumerate(letter for letter in MEANINGS if letter in letters):
        y = -0.5 * place
        draw_bit(axes, 0, y, letter, colour=COLOURS[letter])
        axes.text(1.4, y, MEANINGS[letter], va="center")


def _number_line(axes: Axes, y: float, values: Rows, colour: str) -> None:
    """Draw the values as marks on a line, with the lowest, 0 and the largest written above."""
    seen = [row["position"] for row in values if abs(row["position"]) <= REACH]
    ends = [max(values[0]["position"], -REACH), min(values[-1]["position"], REACH)]
    axes.plot(ends, [y, y], color=colour, linewidth=0.8)
    axes.vlines(seen, y - 0.17, y + 0.17, color=colour, linewidth=1)
    for row in values:
        if row["value"] in {values[0]["value"], 0.0, values[-1]["value"]}:
            number = f"{row['value']:g}".replace("-", "−")
            if row["position"] > REACH:
                axes.text(REACH, y + 0.2, f"{number} ▸", ha="right")
            elif row["position"] < -REACH:
                axes.text(-REACH, y + 0.2, f"◂ {number}")
            else:
                axes.text(row["position"], y + 0.2, number, ha="center")
    axes.text(
        1.01, y, f"{len(values[0]['fields'])}, {values[0]['sqnr_db']:.1f} dB",
        transform=axes.get_yaxis_transform(), va="center",
    )  # fmt: skip


def _code(axes: Axes, y: float, name: str, letters: str) -> None:
    """Draw the bits of a code as boxes, each with the letter of its field."""
    axes.text(-0.4, y, style.title(name), ha="right", va="center", fontsize=8, weight="bold")
    for place, letter in enumerate(letters):
        draw_bit(axes, place, y, letter, colour=COLOURS[letter])
