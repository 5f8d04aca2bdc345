"""Noise with the law, or the variance, of the rounding error of a recipe on Gaussian numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ndtr

import minifloat as mf
from analysis.errors.absmax_error import absmax_mse

FROZEN = "frozen"

Array = NDArray[np.float32]
Noise = Callable[[Array, mf.Recipe, np.random.Generator], Array]


def noise_variance(recipe: mf.Recipe) -> float:
    """Return the exact squared error of a recipe on Gaussian numbers, over their variance."""
    return _variance(str(recipe))


@lru_cache(maxsize=64)
def _variance(recipe: str) -> float:
    return absmax_mse(recipe, "normal")


def gaussian(w: Array, recipe: mf.Recipe, draw: np.random.Generator) -> Array:
    """Return Gaussian noise of the recipe's variance, (rows, inputs)."""
    spread = math.sqrt(noise_variance(recipe))
    return draw.standard_normal(w.shape, np.float32) * (spread * root_mean_squares(w, recipe))


def law(w: Array, recipe: mf.Recipe, draw: np.random.Generator) -> Array:
    """Return the rounding errors of other Gaussian numbers, with the blocks' root mean squares."""
    other = draw.standard_normal(w.shape, np.float32)
    return (mf.quantize(other, recipe).dequantize() - other) * root_mean_squares(w, recipe)


def cell(w: Array, recipe: mf.Recipe, draw: np.random.Generator) -> Array:
    """Return noise that is uniform over the width of the cell between a weight's neighbours."""
    scales = np.repeat(mf.quantize(w, recipe).row_scales(), _block(recipe), axis=1)
    values = np.unique(np.abs(recipe.fmt.values()))
    above = np.searchsorted(values, np.abs(w) / scales).clip(1, len(values) - 1)
    widths = (values[above] - values[above - 1]) * scales
    widths[np.abs(w) == _largest(w, recipe)] = 0  # it is rounded to itself
    return np.asarray(widths * (draw.random(w.shape, np.float32) - np.float32(0.5)), np.float32)


def pqt(w: Array, recipe: mf.Recipe, draw: np.random.Generator) -> Array:
    """Return c R max |block|, with R = round(N(0, 1) / 2), and c for the recipe's variance."""
    r = np.rint(draw.standard_normal(w.shape, np.float32) / 2)
    return np.asarray(2.0 ** (1 - noise_bits(recipe)) * r * _largest(w, recipe), np.float32)


SOURCES: dict[str, Noise] = {
    "gaussian": gaussian, "law": law, "cell": cell, "pqt": pqt, FROZEN: gaussian,
}  # fmt: skip
R_VARIANCE = 0.3254130  # of round(N(0, 1) / 2)


@lru_cache(maxsize=64)
def noise_bits(recipe: mf.Recipe) -> float:
    """Return b_t with which PQT's noise has the variance of a recipe, on Gaussian numbers.

    2^(2 - 2 b_t) R_VARIANCE E[max^2] is the recipe's variance, with the largest of a block.

    Examples
    --------
    >>> round(noise_bits(mf.Recipe.parse("e2m1/32/float32")), 2)
    4.75
    """
    n = _block(recipe)
    square, _ = quad(lambda m: 2 * m * (1 - (2 * ndtr(m) - 1) ** n), 0, 12)
    return 1 - math.log2(noise_variance(recipe) / (R_VARIANCE * square)) / 2


def root_mean_squares(w: Array, recipe: mf.Recipe) -> Array:
    """Return for each weight the root mean square of its block."""
    rows = _blocks(w, recipe)
    roots = np.sqrt(np.square(rows, dtype=np.float64).mean(axis=2))
    return np.repeat(roots, rows.shape[2], axis=1).astype(np.float32)


def _largest(w: Array, recipe: mf.Recipe) -> Array:
    return np.repeat(_blocks(np.abs(w), recipe).max(axis=2), _block(recipe), axis=1)


def _block(recipe: mf.Recipe) -> int:
    assert isinstance(recipe.block, int)
    return recipe.block


def _blocks(w: Array, recipe: mf.Recipe) -> Array:
    """Return weights as (rows, blocks, block); the block divides the inputs."""
    return w.reshape(len(w), -1, _block(recipe))


def error_ratio(weights: list[Array], recipe: mf.Recipe) -> float:
    """Return the squared rounding error of weights over that predicted for Gaussian numbers."""
    pairs = [
        (mf.quantize(w, recipe).dequantize() - w, root_mean_squares(w, recipe)) for w in weights
    ]
    errors, squares = (
        math.fsum(float(np.square(part, dtype=np.float64).sum()) for part in side)
        for side in zip(*pairs, strict=True)
    )
    return errors / (noise_variance(recipe) * squares)
