"""Fairy2i's figures on normal weights: 4.40 dB with one stage of complex phases, 8.86 dB with two.

A stage of `minifloat.quantization.widely_linear` is, but for its two scales, binary quantization of
weights turned by 45 degrees, and on normal weights, which any rotation leaves normal, that is one
bit: 1 - 2/pi. The second stage has what the first has left: with the magnitude x of a weight and
its mean a, the signs of x - a, and the mean b of its magnitude. So the exact ratios are 4.396 and
8.845 dB (8.86 is published).
"""

from __future__ import annotations

import math

import numpy as np

from minifloat.quantization.widely_linear import fairy2i

PUBLISHED = {1: 4.40, 2: 8.86}  # dB, by stages


def exact_ratio(stages: int) -> float:
    """Return the signal to quantization noise ratio of many normal weights, in dB.

    Parameters
    ----------
    stages : int
        1 or 2.

    Examples
    --------
    >>> from analysis.published.complex_codes import exact_ratio
    >>> round(exact_ratio(1), 3), round(exact_ratio(2), 3)
    (4.396, 8.845)
    """
    a = math.sqrt(2 / math.pi)
    inside = math.erf(a / math.sqrt(2))
    b = 2 * (a * inside - a * (1 - math.exp(-a * a / 2)))
    return -10 * math.log10(1 - a * a - (b * b if stages == 2 else 0))


def measured_ratio(stages: int, size: int = 1024, seed: int = 1) -> float:
    """Return the same of ``size`` x ``size`` normal weights, measured.

    Parameters
    ----------
    stages : int
    size : int
        Even.
    seed : int

    Examples
    --------
    >>> from analysis.published.complex_codes import measured_ratio
    >>> round(measured_ratio(1, 256), 1)
    4.4
    """
    w = np.random.default_rng(seed).standard_normal((size, size))
    return fairy2i(w, stages).sqnr(w)
