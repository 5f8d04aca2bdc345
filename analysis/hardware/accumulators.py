"""What sums lose in an accumulator that drops low bits, or rounds to a float."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from analysis.hardware.circuits import LANES, format_of
from analysis.hardware.errors import BLOCK_SIZE, LAWS, recipe_of
from analysis.statistics import Estimate
from minifloat import arithmetic, decode, quantize
from minifloat.hardware import FixedSum, FloatSum
from minifloat.hardware.integers import integers

SUMS = 1 << 12  # of a draw, each of a block's products
DRAWS = 8

Array = NDArray[np.float64]


@cache
def sum_error(fmt: str, accumulator: FixedSum | FloatSum, law: str) -> Estimate:
    """Return the error of sums of a block's products, against exact sums.

    Weights and activations are drawn and quantized in blocks, and their codes multiplied. Signs are
    kept apart, so that bits are dropped toward zero.

    Parameters
    ----------
    fmt : str
        Of both factors.
    accumulator : FixedSum or FloatSum
    law : str
        "normal" or "laplace".

    Returns
    -------
    Estimate
        The squared error over the square of the exact sums, and its standard error over draws.

    Raises
    ------
    ValueError
        If there is no such format or law.

    Examples
    --------
    >>> from analysis.hardware.accumulators import sum_error
    >>> from minifloat.hardware import FixedSum
    >>> [round(sum_error("e2m1", FixedSum(cut=cut), "normal").mean, 4) for cut in (0, 1, 3)]
    [0.0, 0.0003, 0.0232]
    """
    if law not in LAWS:
        raise ValueError(f"law must be one of {', '.join(LAWS)}, got {law!r}")
    found = []
    for draw in range(DRAWS):
        random = np.random.default_rng(draw)
        sample = random.standard_normal if law == "normal" else random.laplace
        a, b = (_codes(sample(size=(SUMS, BLOCK_SIZE)), fmt) for _ in range(2))
        exact = np.sum(a * b, axis=-1)
        apart = exact - _sums(a, b, fmt, accumulator)
        found.append(float(np.sum(apart**2) / np.sum(exact**2)))
    return Estimate.of(found)


def _codes(x: Array, fmt: str) -> Array:
    """Return the values of the codes of an array, not yet times their scales."""
    codes = quantize(x.astype(np.float32), recipe_of(fmt)).codes
    return decode(codes, fmt).astype(np.float64)


def _sums(a: Array, b: Array, fmt: str, accumulator: FixedSum | FloatSum) -> Array:
    if isinstance(accumulator, FloatSum):
        found = arithmetic.dot(a, b, accumulator=accumulator.accumulator(LANES))
        return np.asarray(found, np.float64)
    unit = float(integers(format_of(fmt)).unit ** 2)
    products = np.rint(a * b / unit).astype(np.int64)
    kept = np.sign(products) * (np.abs(products) >> accumulator.cut << accumulator.cut)
    return np.asarray(kept.sum(axis=-1) * unit)
