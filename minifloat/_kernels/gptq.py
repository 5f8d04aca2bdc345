"""Loop of `minifloat.quantization.feedback`: columns rounded one after another, errors carried on.

Contract: contiguous arrays and plain numbers in, results into arrays passed in; no exceptions. A
kernel calls only kernels of this file, because Numba's disk cache does not see changes in others.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel

Array = NDArray[Any]

MAGNITUDE = 0x7FFFFFFFFFFFFFFF


class Steps(NamedTuple):
    """The finite values of a format, from the least; -0 comes before 0.

    ``keys[i]`` is the first float64 that rounds to ``values[i]``, as an integer in float64's order.
    """

    keys: Array  # int64
    values: Array  # float64
    codes: Array


@jit
def _nearest(x: float, keys: Array) -> int:
    """Return the index of the value that x rounds to: of the last key not above that of x."""
    word = np.float64(x).view(np.int64)
    key = word ^ ((word >> 63) & MAGNITUDE)
    low, count = 0, keys.size
    while count > 1:
        half = count >> 1
        low += half if keys[low + half] <= key else 0
        count -= half
    return low


@kernel(cost=4)
def round_panel(
    weights: Array, carry: Array, scales: Array, zeros: Array, feedback: Array, steps: Steps,
    codes: Array,
) -> None:  # fmt: skip
    """Round weights less ``carry`` over their row's scale; ``weights`` become what is cut off.

    ``weights``, ``carry`` and ``codes`` have a row for each scale, float64 but for the codes. Of
    zero points there is one to a row, or none. What is cut off in column j, times
    ``feedback[j, i]``, is added to the carry of each column i after it.
    """
    width = weights.shape[1]
    for row in range(weights.shape[0]):
        scale = scales[row]
        divisor = scale if scale != 0 else 1.0
        zero = zeros[row] if zeros.size > 0 else 0.0
        for j in range(width):
            updated = weights[row, j] - carry[row, j]
            quotient = updated / divisor
            if zeros.size > 0:
                quotient = np.rint(quotient) + zero
            k = _nearest(quotient, steps.keys)
            codes[row, j] = steps.codes[k]
            rest = updated - (steps.values[k] - zero) * scale
            weights[row, j] = rest
            after, factors = carry[row, j + 1 :], feedback[j, j + 1 :]
            for i in range(after.size):
                after[i] += rest * factors[i]
