"""Loop of `minifloat.products.composites` over the numbers of a sparse matrix.

Contract: contiguous arrays and plain numbers in, results into arrays passed in; no exceptions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import kernel

Array = NDArray[Any]


@kernel(cost=4)
def multiply(y: Array, values: Array, gaps: Array, ends: Array, x: Array, sums: Array) -> None:
    """Write the products of a sparse matrix with vectors, the columns of ``x``, into ``y``.

    ``values``, ``x`` and ``y`` are float32, of shapes (entries,), (inputs, count) and (outputs,
    count). ``gaps`` has for each entry the columns that lie between it and the one before in its
    row, ``ends`` for each row the number of entries up to its end. ``sums``, float64 (count,), is
    work space: each product is exact there, and a sum is rounded to float32 once.
    """
    count = sums.size
    entry = 0
    for row in range(ends.size):
        for n in range(count):
            sums[n] = 0.0
        column = np.int64(-1)
        while entry < ends[row]:
            column += np.int64(1) + np.int64(gaps[entry])
            value = np.float64(values[entry])
            for n in range(count):
                sums[n] += value * np.float64(x[column, n])
            entry += 1
        for n in range(count):
            y[row, n] = np.float32(sums[n])
