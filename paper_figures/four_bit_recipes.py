"""Recipes of about four bits against the distribution of the weights, each measured."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import minifloat as mf
from paper_figures import style
from paper_figures.rows import Progress, Rows, grouped
from paper_figures.style import Look

RECIPES = {
    "mxfp4": ("MXFP4", Look(style.SKY, "P", (0, (2, 1)))),
    "nvfp4": ("NVFP4", Look(style.BLUE, "o", "-")),
    "four_over_six": ("Four Over Six", Look(style.BLACK, "*", (0, (8, 2)))),
    "if4": ("IF4", Look(style.PURPLE, "D", (0, (1, 1)))),
    "int4/16/e4m3fn/tensor-scale": ("NVINT4", Look(style.VERMILLION, "s", (0, (4, 1.5)))),
    "nf4/32/float16": ("NF4, blocks of 32", Look(style.ORANGE, "v", (0, (3, 1, 1, 1, 1, 1)))),
}
LAWS = ("uniform", "Gaussian", "Laplace", "Student t, ν = 5", "Student t, ν = 3")
ROWS, LENGTH, SEED = 64, 4096, 11


def data(progress: Progress) -> Rows:
    """Return the SQNR of each recipe on weights of each law, with its standard error."""
    rows = []
    for done, law in enumerate(LAWS, 1):
        w = _draw(law)
        for recipe in RECIPES:
            q = mf.quantize(w, recipe)
            error = np.square(q.dequantize() - w, dtype=np.float64).mean(1)
            noise = 10 / np.log(10) * error.std(ddof=1) / np.sqrt(ROWS) / error.mean()
            sqnr = 10 * np.log10(np.square(w, dtype=np.float64).mean() / error.mean())
            rows.append(
                {
                    "recipe": recipe,
                    "law": law,
                    "bits": round(mf.Recipe.parse(recipe).bits_per_weight, 3),
                    "sqnr_db": float(sqnr),
                    "standard_error": float(noise),
                }
            )
        progress(done, len(LAWS))
    return sorted(rows, key=lambda row: list(RECIPES).index(row["recipe"]))


def _draw(law: str) -> NDArray[np.float32]:
    rng = np.random.default_rng(SEED)
    shape = (ROWS, LENGTH)
    drawn = {
        "uniform": lambda: rng.uniform(-1, 1, shape),
        "Gaussian": lambda: rng.standard_normal(shape),
        "Laplace": lambda: rng.laplace(size=shape),
        "Student t, ν = 5": lambda: rng.standard_t(5, shape),
        "Student t, ν = 3": lambda: rng.standard_t(3, shape),
    }[law]()
    return drawn.astype(np.float32)


def draw(rows: Rows) -> Figure:
    """Draw a line for each recipe; the laws go from none to heavy tails."""
    figure = style.new_figure(style.PAGE, 3.0)
    axes = figure.add_subplot()
    for recipe, line in grouped(rows, "recipe"):
        label, look = RECIPES[recipe]
        axes.errorbar(
            range(len(line)), [row["sqnr_db"] for row in line],
            [row["standard_error"] for row in line], color=look.colour, marker=look.marker,
            linestyle=look.line, label=f"{label}, {line[0]['bits']:.2f} bits",
        )  # fmt: skip
    axes.set_xticks(range(len(LAWS)), LAWS)
    axes.set_ylabel("SQNR of weights (dB)")
    axes.legend(loc="upper right", ncols=2)
    return figure
