"""What a rotation does to the error of a recipe on laws of weights: theory, and measured.

Blocks of 128 independent weights, or of 127 normal weights and one outlier, of variance 1, are
quantized as they are and rotated. The error is the mean squared error over the mean square. Theory
is the exact expected error of absmax scaling (`analysis.errors.absmax_error`); of rotated weights
with the exact law of one of them (`analysis.errors.rotated`), taken as independent. Measurements
are of `BLOCKS` blocks, of other signs than one another, and their standard error is over blocks.

**Criteria**

Theory of rotated weights holds if it differs from the measured error by at most three standard
errors, or 1 %. It is known not to be exact: see `analysis.errors.rotated`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

import minifloat as mf
from analysis.errors.absmax_error import absmax_mse
from analysis.errors.distributions import Distribution, Laplace, Normal, StudentT
from analysis.errors.laws import Array
from analysis.errors.rotated import NormalMixture, Rotated
from analysis.models.evaluation import Progress, counter
from analysis.records import Row, Rows
from analysis.statistics import Estimate

RECIPES = ("e2m2/128/float16", "int5/128/float16", "nvfp4", "mxfp4", "int4/32/e8m0",
           "int4/128/float16")  # fmt: skip
SIZE = 128  # of the rotation
BLOCKS = 1 << 14
SHARE, RATIO = 0.01, 10.0  # of the contaminated law
OUTLIERS = (10.0, 30.0)

Draw = Callable[[np.random.Generator, tuple[int, int]], Array]


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each law, recipe, and whether weights are rotated.

    Parameters
    ----------
    quick : bool
        Whether to measure a few blocks.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns law, recipe, rotated ("no" or "yes"), theory (None where there is none),
        measured and standard_error.
    """
    every = [*_laws().items()]
    step = counter(progress, len(every) * len(RECIPES))
    rows: Rows = []
    for name, (law, after, draw) in every:
        rng = np.random.default_rng(19)
        weights = draw(rng, (64 if quick else BLOCKS, SIZE)).astype(np.float32)
        for text in RECIPES:
            plain = mf.Recipe.parse(text)
            rows.append(_row(name, plain, "no", law, weights))
            # a row of weights has the signs of its place: all blocks lie in one row
            rotated = plain.replace(rotation=mf.Rotation(SIZE, seed=19))
            rows.append(_row(name, rotated, "yes", after, weights.reshape(1, -1)))
            step()
    return rows


def _laws() -> dict[str, tuple[Distribution | None, Distribution, Draw]]:
    """Return by name: the law of weights, that of rotated ones, and a function that draws some."""
    five = math.sqrt(3 / 5)
    wide = NormalMixture.contaminated(SHARE, RATIO)
    deviations = wide.deviations

    def contaminated(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        return rng.standard_normal(shape) * np.where(rng.random(shape) < SHARE, *deviations[::-1])

    def outlier(magnitude: float) -> Draw:
        def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
            w = rng.standard_normal(shape)
            w[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = magnitude
            return w / math.sqrt((shape[1] - 1 + magnitude**2) / shape[1])

        return draw

    laws: dict[str, tuple[Distribution | None, Distribution, Draw]] = {
        "normal": (Normal(), Normal(), lambda rng, shape: rng.standard_normal(shape)),
        "laplace": (Laplace(), Rotated(Laplace(), SIZE),
                    lambda rng, shape: rng.laplace(0, math.sqrt(0.5), shape)),
        "student_t(5)": (StudentT(5), Rotated(StudentT(5), SIZE),
                         lambda rng, shape: five * rng.standard_t(5, shape)),
        "1 % of 10 sigma": (wide, NormalMixture.contaminated(SHARE, RATIO, SIZE), contaminated),
    }  # fmt: skip
    for magnitude in OUTLIERS:
        after = NormalMixture.of_rotated_outlier(magnitude, SIZE)
        laws[f"an outlier of {magnitude:g} sigma"] = (None, after, outlier(magnitude))
    return laws


def _row(
    name: str, recipe: mf.Recipe, rotated: str, law: Distribution | None, weights: Array
) -> Row:
    measured = relative_error(weights, recipe)
    plain = recipe.replace(rotation=None)
    return {
        "law": name,
        "recipe": str(plain),
        "rotated": rotated,
        "theory": None if law is None else float(absmax_mse(plain, law)),
        "measured": measured.mean,
        "standard_error": measured.standard_error,
    }


def relative_error(weights: Array, recipe: mf.Recipe) -> Estimate:
    """Return the mean squared error over the mean square, with its standard error over blocks.

    Parameters
    ----------
    weights : ndarray of float32
        Blocks of `SIZE` weights, one after the other.
    recipe : Recipe
    """
    errors = (mf.quantize(weights, recipe).dequantize() - weights).astype(np.float64) ** 2
    error = errors.reshape(-1, SIZE).mean(axis=1)
    power = (weights.astype(np.float64) ** 2).reshape(-1, SIZE).mean(axis=1)
    ratio = float(error.mean() / power.mean())
    return Estimate(ratio, Estimate.of((error - ratio * power) / power.mean()).standard_error)
