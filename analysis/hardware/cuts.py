"""What an accumulator loses that drops low bits of each product, on Gaussian or Laplace data."""

from __future__ import annotations

from functools import cache

import numpy as np

from analysis.hardware.circuits import format_of
from analysis.hardware.errors import BLOCK_SIZE, recipe_of
from analysis.statistics import Estimate
from minifloat import decode, quantize
from minifloat.hardware.integers import integers

SUMS = 1 << 12  # of a draw, each of a block's products
DRAWS = 8


@cache
def cut_error(fmt: str, cut: int, law: str) -> Estimate:
    """Return the error of sums of a block's products whose low bits were dropped.

    Weights and activations are drawn and quantized in blocks; the products of their codes are
    integers in units of the least one. Signs are kept apart, so bits are dropped toward zero.

    Parameters
    ----------
    fmt : str
        Of both factors.
    cut : int
        Low bits that are dropped, at least 1.
    law : str
        "normal" or "laplace".

    Returns
    -------
    Estimate
        The squared error over the square of the exact sums, and its standard error over draws.

    Examples
    --------
    >>> from analysis.hardware.cuts import cut_error
    >>> [round(cut_error("e2m1", cut, "normal").mean, 4) for cut in (1, 3)]
    [0.0001, 0.01]
    """
    unit = float(integers(format_of(fmt)).unit ** 2)
    found = []
    for draw in range(DRAWS):
        random = np.random.default_rng(draw)
        sample = random.standard_normal if law == "normal" else random.laplace
        factors = []
        for _ in range(2):
            x = np.float32(sample(size=(SUMS, BLOCK_SIZE)))
            factors.append(decode(quantize(x, recipe_of(fmt)).codes, fmt).astype(np.float64))
        products = np.rint(factors[0] * factors[1] / unit).astype(np.int64)
        kept = np.sign(products) * (np.abs(products) >> cut << cut)
        exact, left = (each.sum(axis=-1).astype(np.float64) for each in (products, kept))
        found.append(float(np.sum((exact - left) ** 2) / np.sum(exact**2)))
    return Estimate.of(found)
