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
    weights: Array, carry: Array, scales: Array, zeros: Array, choices: Array, blocks: Array,
    feedback: Array, steps: Array, starts: Array, codes: Array,
) -> None:  # fmt: skip
    """Quantize ``weights - carry`` column by column; on return ``weights`` holds the errors.

    ``weights``, ``carry`` and ``codes`` have one shape, float64 but for the codes. ``scales``,
    ``zeros`` (which may be empty) and ``choices`` have a row for each of them, and a column for
    each block; column j is of block ``blocks[j]``. The values of choice c are
    ``steps[starts[c] : starts[c + 1]]``. The error of column j, times ``feedback[j, i]``, is added
    to the carry of each column i after it.
    """
    keys = steps["key"]
    for row in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            block = blocks[j]
            scale = scales[row, block]
            divisor = scale if scale != 0 else 1.0
            zero = zeros[row, block] if zeros.size > 0 else 0.0
            first = starts[choices[row, block]]
            last = starts[choices[row, block] + 1]
            updated = weights[row, j] - carry[row, j]
            quotient = updated / divisor
            if zeros.size > 0:
                quotient = np.rint(quotient) + zero
            key = float_key(np.float64(quotient).view(np.int64))
            k = first + last_not_above(keys[first:last], key)
            codes[row, j] = steps[k]["code"]
            rest = updated - (steps[k]["value"] - zero) * scale
            weights[row, j] = rest
            after, factors = carry[row, j + 1 :], feedback[j, j + 1 :]
            for i in range(after.size):
                after[i] += rest * factors[i]
