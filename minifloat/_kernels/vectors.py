"""Vectors as `minifloat._kernels.products` reads them: scaled, with room after each block."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


@njit(cache=True)
def scale_down(x: Array, block: int, out: Array, powers: Array) -> bool:
    """Divide each vector by the least power of two above its magnitudes, unless one is not finite.

    ``x`` is float32 of shape (count, length), ``powers`` float64 of shape (count,), and ``out``
    float32 of shape (count, blocks, room): what is beyond a block's numbers is left as it is.
    Return whether all is finite; if not, what is written is of no use.
    """
    count, length = x.shape
    bits = x.view(np.uint32)
    for n in range(count):
        top = 0
        for i in range(length):
            top = max(top, bits[n, i] & 0x7FFFFFFF)
        if top >= 0x7F800000:
            return False
        magnitude = np.uint32(top).view(np.float32)
        exponent = math.frexp(magnitude)[1]
        powers[n], factor = math.ldexp(1.0, exponent), math.ldexp(1.0, -exponent)
        for b in range(out.shape[1]):
            for i in range(min(block, length - b * block)):
                out[n, b, i] = x[n, b * block + i] * factor
    return True


@njit(cache=True)
def scale_up(y: Array, powers: Array) -> bool:
    """Multiply each row by its power of two, and return whether all is finite."""
    finite = True
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            number = np.float32(y[n, i] * powers[n])
            y[n, i] = number
            finite = finite and bool(abs(number) < np.inf)
    return finite
