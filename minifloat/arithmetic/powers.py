"""Whole powers of numbers, exact and then rounded to odd (`minifloat.arithmetic.odd`)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.odd import to_odd

Array = NDArray[np.float64]

LIMIT = 64  # of exponents


def whole_power(x: Array, n: int) -> Array:
    """Return ``x**n``, rounded to odd.

    Parameters
    ----------
    x : ndarray of float64
        Each value is raised once; arrays of a small format have few.
    n : int
        -64 .. 64.

    Returns
    -------
    ndarray of float64, shape of x

    Examples
    --------
    >>> import numpy as np
    >>> whole_power(np.array([3.0, -2.0, 0.0]), -2).tolist()
    [0.11111111111111112, 0.25, inf]
    """
    values, places = np.unique(x, return_inverse=True, equal_nan=False)
    with np.errstate(all="ignore"):
        powers = np.power(values, float(n))  # right where x is not finite, and at 0 but for -0
    for i in np.flatnonzero(np.isfinite(values) & (values != 0)):
        powers[i] = to_odd(Fraction(float(values[i])) ** n)
    results = powers[places].reshape(x.shape)
    negative = np.signbit(x) & (x == 0) & bool(n % 2)
    return np.asarray(np.where(negative, -np.abs(results), results))
