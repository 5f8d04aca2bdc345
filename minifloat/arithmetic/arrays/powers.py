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
    with np.errstate(all="ignore"):
        results = np.asarray(np.power(x, float(n)))  # right for zeros, infinities and NaN
    has_fraction = np.isfinite(x) & (x != 0)
    values, places = np.unique(x[has_fraction], return_inverse=True)
    powers = [to_odd(Fraction(value) ** n) for value in values.tolist()]
    results[has_fraction] = np.array(powers, np.float64)[places]
    return results
