"""Vectors as `minifloat._kernels.products` reads them: scaled, with room after each block."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel

Array = NDArray[Any]


@jit
def _number(x: Array, n: int, i: int, scales: Any, factor: float) -> Any:
    if scales is None:
        return np.float64(x[n, i])
    return x[n, i] * (scales[i] * factor)


@kernel
def scale_down(x: Array, scales: Any, factor: float, block: int, out: Array, powers: Array) -> bool:
    """Divide each vector by the least power of two above its magnitudes, unless one is not finite.

    ``x`` is float32 of shape (count, length), ``powers`` float64 of shape (count,), and ``out``
    float32 of shape (count, blocks, room): what is beyond a block's numbers is left as it is. If
    there are ``scales``, float32 of shape (length,), the vectors are ``x * scales * factor``.
    Return whether all is finite; if not, what is written is of no use.
    """
    count, length = x.shape
    for n in range(count):
        top: Any = 0
        for i in range(length):
            number = np.float64(_number(x, n, i, scales, factor))
            top = max(top, number.view(np.int64) & 0x7FFFFFFFFFFFFFFF)
        if top >= 0x7FF0000000000000:
            return False
        exponent = math.frexp(np.int64(top).view(np.float64))[1]
        powers[n], down = math.ldexp(1.0, exponent), math.ldexp(1.0, -exponent)
        for b in range(out.shape[1]):
            for i in range(min(block, length - b * block)):
                out[n, b, i] = _number(x, n, b * block + i, scales, factor) * down
    return True


@kernel
def scale_up(y: Array, powers: Array) -> bool:
    """Multiply each row by its power of two, and return whether all is finite."""
    finite = True
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            number = np.float32(y[n, i] * powers[n])
            y[n, i] = number
            finite = finite and bool(abs(number) < np.inf)
    return finite
