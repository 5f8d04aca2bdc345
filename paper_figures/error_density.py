"""The density of the squared error over the value of a weight, under the best scale.

The density is the squared distance to the nearest value times the density of weights: high where
values are far apart and weights are dense. The area under a curve is the mean square error.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.errors.distributions import parse_distribution
from analysis.errors.expected_error import optimal_scale
from analysis.errors.grids import grid_of
from minifloat.formats.names import parse
from paper_figures import style
from paper_figures.rows import Progress, Rows, grouped

FORMATS = ("e2m2", "int5", "nf4")
DISTRIBUTION = "normal"
REACH, POINTS = 5.0, 2001  # standard deviations to either side; points between


def data(progress: Progress) -> Rows:
    """Return the density of the squared error at even points."""
    weights = np.linspace(-REACH, REACH, POINTS)
    rows = []
    for done, name in enumerate(FORMATS, 1):
        bits = parse(name).bits
        scale, mse = optimal_scale(name, DISTRIBUTION)
        squares = np.square(weights - scale * grid_of(name).nearest(weights / scale))
        density = squares * parse_distribution(DISTRIBUTION).pdf(weights)
        rows += [
            {"format": name, "bits": bits, "mse": mse, "weight": float(x), "density": float(y)}
            for x, y in zip(weights, density, strict=True)
        ]
        progress(done, len(FORMATS))
    return rows


def draw(rows: Rows) -> Figure:
    """Draw one panel above the other, all to the same scale."""
    curves = list(grouped(rows, "format"))
    figure = style.new_figure(style.COLUMN, 0.6 + 0.9 * len(curves))
    panels = figure.subplots(len(curves), sharex=True, sharey=True, squeeze=False)[:, 0]
    chosen = style.looks(name for name, _ in curves)
    for axes, (name, curve) in zip(panels, curves, strict=True):
        x = [row["weight"] for row in curve]
        y = [1000 * row["density"] for row in curve]
        axes.fill_between(x, y, color=chosen[name].colour, linewidth=0)
        bits, area = curve[0]["bits"], 1000 * curve[0]["mse"]
        axes.set_title(f"{style.title(name)}, {bits} bits: area {area:.2f} × 10⁻³ σ²")
    panels[-1].set(xlim=(x[0], x[-1]), ylim=(0, None), xlabel="weight (σ)")
    figure.supylabel("density of the squared error (10⁻³ σ)", fontsize=8)
    return figure
