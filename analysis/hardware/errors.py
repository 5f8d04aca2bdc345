"""What a format loses: exact errors on laws, and measured errors of real layers.

**The model of a product's error.** A factor is x (1 + e) with a relative squared error E(e^2) = q.
Rounding errors of independent data are almost uncorrelated with each other and with the data, so
the product of two factors has, to first order, the relative squared error q + q'. So has a sum of
independent products, since its signal and its error both grow with the number of terms. Weights
alone have q' = 0. `docs/data/hardware/layers.csv` has what real products lose.

Blocks are of 128 with float16 scales, so that formats of a width take as many bits a weight, 1/8
more than the width; formats with blocks of their own are as they are defined. On real layers the
error of a format is the mean over matrices of its decibels: each matrix counts alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from analysis.errors.absmax_error import absmax_mse
from analysis.hardware.circuits import BLOCK_FORMATS, FLOAT, ITSELF, format_of
from analysis.records import Rows, from_csv
from analysis.statistics import Estimate
from minifloat import Recipe

BLOCK_SIZE, SCALE = 128, "float16"
DATA = Path(__file__).parents[2] / "docs" / "data" / "hardware"
LAWS = ("normal", "laplace")
MODELS = {"minilm": "MiniLM", "smollm2": "SmolLM2"}  # sources of real weights and activations
# The same values in another encoding, of which one was measured.
TWOS_COMPLEMENT = {f"e1m{bits - 2}": f"int{bits}" for bits in range(3, 9)}


def recipe_of(fmt: str) -> Recipe:
    """Return how a format is used: in blocks of 128, or as a recipe of `BLOCK_FORMATS`.

    Examples
    --------
    >>> str(recipe_of("e2m2")), str(recipe_of("mxfp4"))
    ('e2m2/128/float16', 'e2m1/32/e8m0')
    """
    if fmt in BLOCK_FORMATS:
        return Recipe.parse(fmt)
    return Recipe(format_of(fmt), block=BLOCK_SIZE, scale=SCALE)


def bits_of(fmt: str) -> float:
    """Return the bits that a weight takes, scales included.

    Examples
    --------
    >>> bits_of("e2m2"), bits_of("nvfp4")
    (5.125, 4.5)
    """
    return recipe_of(fmt).bits_per_weight


@cache
def weight_error(fmt: str, source: str) -> float:
    """Return the relative squared error of weights.

    Parameters
    ----------
    fmt : str
        A format of `analysis.hardware.circuits`.
    source : str
        A law, "normal" or "laplace", or one of `MODELS`.

    Returns
    -------
    float

    Raises
    ------
    OSError, ValueError
        If a model's records are missing or damaged.

    Examples
    --------
    >>> round(weight_error("e2m2", "normal"), 6)
    0.002872
    """
    if source in MODELS:
        return _measured(fmt, source, "weights")
    return absmax_mse(recipe_of(fmt), source)


@cache
def activation_error(fmt: str, source: str) -> float:
    """Return the relative squared error of activations; as for `weight_error`, 0 for `FLOAT`."""
    if fmt == FLOAT:
        return 0.0
    if source in MODELS:
        return _measured(fmt, source, "activations")
    return weight_error(fmt, source)


def product_error(fmt: str, activations: str, source: str) -> float:
    """Return the relative squared error of products, to first order.

    Parameters
    ----------
    fmt, source : str
        As for `weight_error`.
    activations : str
        `FLOAT`, "itself" or a format.

    Returns
    -------
    float

    Examples
    --------
    >>> round(product_error("e2m2", "itself", "normal") / weight_error("e2m2", "normal"), 9)
    2.0
    """
    other = fmt if activations == ITSELF else activations
    return weight_error(fmt, source) + activation_error(other, source)


def decibels(error: float) -> float:
    """Return the signal over a relative squared error, in decibels."""
    return -10 * math.log10(error)


def lead(fmt: str, rival: str, source: str, activations: str = FLOAT) -> Estimate:
    """Return by how many decibels real products of one format are better than of another.

    Parameters
    ----------
    fmt, rival : str
    source : str
        One of `MODELS`.
    activations : str
        One of those that were measured.

    Returns
    -------
    Estimate
        The mean over matrices of the paired differences, and its standard error over matrices.
    """
    rows = _products(source, TWOS_COMPLEMENT.get(activations, activations))
    return Estimate.of([row[fmt] - row[rival] for row in rows])


def loss(fmt: str, activations: str) -> Estimate:
    """Return how far MiniLM's embeddings turn: 1 - cosine.

    Parameters
    ----------
    fmt : str
        Of weights.
    activations : str
        "float", an integer of 8 bits, or "itself".

    Returns
    -------
    Estimate
        The mean over draws of the rounding errors, and its standard error over them.

    Raises
    ------
    ValueError
        If this was not measured.
    """
    found = losses_of(fmt, activations)
    if not found:
        raise ValueError(f"fmt must be one that was measured, got {fmt!r} times {activations}")
    return Estimate.of(found)


def losses_of(fmt: str, activations: str) -> list[float]:
    """Return MiniLM's loss in each draw; the same draws for all formats."""
    wanted = tuple(TWOS_COMPLEMENT.get(name, name) for name in (fmt, activations))
    return [row["loss"] for row in _losses() if (row["fmt"], row["activations"]) == wanted]


@cache
def _losses() -> Rows:
    return from_csv((DATA / "losses.csv").read_text("utf-8"))


@cache
def layers() -> Rows:
    """Return the records of `analysis.hardware.layers`."""
    return from_csv((DATA / "layers.csv").read_text("utf-8"))


def _products(source: str, activations: str) -> Rows:
    """Return the records of a model's products with some activations."""
    wanted = (MODELS[source], "products", activations)
    return [row for row in layers() if (row["model"], row["what"], row["activations"]) == wanted]


def _measured(fmt: str, source: str, what: str) -> float:
    found: Sequence[float] = [
        row[fmt] for row in layers() if (row["model"], row["what"]) == (MODELS[source], what)
    ]
    return float(10 ** (-np.mean(found) / 10))


def model_bias(source: str, activations: str) -> Estimate:
    """Return by how many decibels real products are better than the model of a product's error.

    Parameters
    ----------
    source : str
        One of `MODELS`.
    activations : str
        One of those that were measured.

    Returns
    -------
    Estimate
        The mean over formats, each the mean over matrices, and the standard deviation over formats
        in place of a standard error.
    """
    taken = _products(source, activations)
    apart = [
        float(np.mean([row[fmt] for row in taken]))
        - decibels(product_error(fmt, activations, source))
        for fmt in list(taken[0])[4:]
    ]
    return Estimate(float(np.mean(apart)), float(np.std(apart, ddof=1)))
