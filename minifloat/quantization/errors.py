"""Sums of squared errors that neither overflow nor vanish."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 16  # elements of the float64 temporaries, which fit into a cache
LARGEST_EXPONENT = 1000  # of a chunk's unit: 2**1000 and 2**-1000 are float64 numbers

Array = NDArray[Any]


def max_and_squares(values: Array, minus: Array | None = None) -> tuple[float, Fraction]:
    """Return the largest magnitude and the sum of squares of ``values - minus``.

    Each chunk is computed with in float64, in a unit that is a power of two near its largest
    magnitude, so that no sum overflows or vanishes. If a value is not finite, the largest magnitude
    is not, and the sum has no meaning.
    """
    largest, squares = 0.0, Fraction(0)
    with np.errstate(all="ignore"):
        for start in range(0, values.size, CHUNK):
            chunk = values[start : start + CHUNK].astype(np.float64)
            if minus is not None:
                chunk -= minus[start : start + CHUNK]
            top = max(float(chunk.max()), -float(chunk.min()))
            if not math.isfinite(top):
                return top, squares
            largest = max(largest, top)
            exponent = math.frexp(top)[1]
            exponent = max(-LARGEST_EXPONENT, min(exponent, LARGEST_EXPONENT))
            chunk *= 2.0**-exponent
            total = Fraction(float(np.square(chunk, out=chunk).sum()))
            squares += total * Fraction(4) ** exponent
    return largest, squares
