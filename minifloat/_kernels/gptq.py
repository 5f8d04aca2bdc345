"""Loop of `minifloat.quantization.feedback`: columns rounded one after another, errors carried on.

Contract: contiguous arrays and plain numbers in, results into arrays passed in; no exceptions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import kernel
from minifloat._kernels.scalar import float_key, last_not_above

Array = NDArray[Any]


# The finite values of a format in order, -0 before 0: every float64 from `key` on rounds to the
# value, as far as the next key.
STEP = np.dtype([("key", np.int64), ("value", np.float64), ("code", np.int64)])


@kernel
def round_panel(
    weights: Array, carry: Array, scales: Array, zeros: Array, feedback: Array, steps: Array,
    codes: Array,
) -> None:  # fmt: skip
    """Quantize ``weights - carry`` column by column; on return ``weights`` holds the errors.

    ``weights``, ``carry`` and ``codes`` have a row for each scale, float64 but for the codes.
    ``zeros`` has one zero point for each row, or none at all. The error of column j, times
    ``feedback[j, i]``, is added to the carry of each column i after it.
    """
    width = weights.shape[1]
    keys = steps["key"]
    for row in range(weights.shape[0]):
        scale = scales[row]
        divisor = scale if scale != 0 else 1.0
        zero = zeros[row] if zeros.size > 0 else 0.0
        for j in range(width):
            updated = weights[row, j] - carry[row, j]
            quotient = updated / divisor
            if zeros.size > 0:
                quotient = np.rint(quotient) + zero
            k = last_not_above(keys, float_key(np.float64(quotient).view(np.int64)))
            codes[row, j] = steps[k]["code"]
            rest = updated - (steps[k]["value"] - zero) * scale
            weights[row, j] = rest
            after, factors = carry[row, j + 1 :], feedback[j, j + 1 :]
            for i in range(after.size):
                after[i] += rest * factors[i]
