"""Optimal quantizers of data in one dimension, by dynamic programming.

The cells of the best k levels are intervals of the sorted data. Let cost(j, i) be the squared error
of the data from j to i - 1 about their mean. Then the least error of the first i data with k levels
is the least over j of that of the first j data with k - 1 levels, plus cost(j, i). The best j does
not fall when i rises, since cost(a, c) + cost(b, d) <= cost(a, d) + cost(b, c) for
a <= b <= c <= d. So the best j of an i lies between those of an i below and of one above that are
known, and a layer of n data takes O(n log n) steps: every second i of those that remain, coarse
ones first.

A code whose top bits are to be those of fewer levels has cells that are split in two, bit by bit.

Costs come of running sums, so they are wrong by float64's rounding of the whole sum of squares.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel

Array = NDArray[Any]


@jit
def _running_sums(values: Array, weights: Array, centre: float, sums: Array) -> None:
    """Write the sums over the first 0, 1, 2, ... data of weights times powers of values.

    Values are taken from a centre, since smaller sums lose less where costs are their differences.
    """
    sums[:, 0] = 0.0
    for i in range(values.size):
        value = values[i] - centre
        first = weights[i] * value
        sums[0, i + 1] = sums[0, i] + weights[i]
        sums[1, i + 1] = sums[1, i] + first
        sums[2, i + 1] = sums[2, i] + first * value


@inlined
def _cost(sums: Array, j: int, i: int) -> float:
    """Return the squared error of the data from j to i - 1 about their mean."""
    mass = sums[0, i] - sums[0, j]
    if mass <= 0.0:
        return 0.0
    first = sums[1, i] - sums[1, j]
    error: float = sums[2, i] - sums[2, j] - first * first / mass
    return max(error, 0.0)


@jit
def _layer(
    sums: Array, known: Array, errors: Array, starts: Array, levels: int, low: int, high: int
) -> None:
    """Write the least errors of the first low .. high data, and where their last cells start.

    ``known`` has the least errors with one level less than ``levels``.
    """
    step = 1
    while step < high - low + 1:
        step = 2 * step
    while step > 0:
        for i in range(low + step - 1, high + 1, 2 * step):
            first = starts[i - step] if i - step >= low else levels - 1
            last = min(starts[i + step], i - 1) if i + step <= high else i - 1
            least, place = np.inf, first
            for j in range(first, last + 1):
                error = known[j] + _cost(sums, j, i)
                if error < least:
                    least, place = error, j
            errors[i] = least
            starts[i] = place
        step = step // 2


@jit
def _best_cuts(sums: Array, errors: Array, starts: Array, cuts: Array, count: int) -> None:
    """Write where the cells of the best ``count`` levels start; the last entry is their end."""
    n = sums.shape[1] - 1
    for i in range(1, n + 1):
        errors[0, i] = _cost(sums, 0, i)
    for k in range(1, count):
        low = n if k == count - 1 else k + 1  # of the last layer only the whole row matters
        high = n - (count - 1 - k)
        _layer(sums, errors[(k + 1) % 2], errors[k % 2], starts[k], k + 1, low, high)
    cuts[count] = n
    for k in range(count - 1, 0, -1):
        cuts[k] = starts[k, cuts[k + 1]]
    cuts[0] = 0


@jit
def _split(sums: Array, start: int, stop: int) -> int:
    """Return where the second of the best two cells between ``start`` and ``stop`` starts."""
    least, place = np.inf, stop
    for j in range(start + 1, stop):
        error = _cost(sums, start, j) + _cost(sums, j, stop)
        if error < least:
            least, place = error, j
    return place


@jit
def _mean(values: Array, weights: Array, start: int, stop: int) -> float:
    """Return the weighted mean of sorted values, or the plain one where no weight is above 0.

    An empty cell has the value before it.
    """
    if start == stop:
        return float(values[start - 1])
    mass, total, plain = 0.0, 0.0, 0.0
    for i in range(start, stop):
        mass = mass + weights[i]
        total = total + weights[i] * values[i]
        plain = plain + values[i]
    mean: float = total / mass if mass > 0.0 else plain / (stop - start)
    return min(max(mean, float(values[start])), float(values[stop - 1]))


@kernel(cost=1e4)
def optimal_levels(
    values: Array, weights: Array, centres: Array, seed: int, levels: Array, sums: Array,
    errors: Array, starts: Array, cuts: Array,
) -> None:  # fmt: skip
    """Write the levels of least weighted squared error for each row of data.

    Parameters
    ----------
    values : ndarray of float64, (rows, n)
        Each row ascending.
    weights : ndarray of float64, (rows, n)
    centres : ndarray of float64, (rows,)
        A number amid each row.
    seed : int
        So many levels are the best ones; then their cells are split in two, each in the best way,
        until there are as many as asked for: 2**k times as many.
    levels : ndarray of float64, (rows, count)
        Becomes ascending; values are repeated where there are fewer data than levels.
    sums : ndarray of float64, (3, n + 1)
        Scratch, as the others.
    errors : ndarray of float64, (2, n + 1)
    starts : ndarray of int32, (seed, n + 1)
    cuts : ndarray of int64, (count + 1,)
    """
    rows, n = values.shape
    count = levels.shape[1]
    for row in range(rows):
        _running_sums(values[row], weights[row], centres[row], sums)
        known = min(seed, n)
        _best_cuts(sums, errors, starts, cuts, known)
        for k in range(known, seed):
            cuts[k + 1] = n
        cells = seed
        while cells < count:
            for k in range(cells, 0, -1):  # from the end: the cuts move to twice their places
                start, stop = cuts[k - 1], cuts[k]
                cuts[2 * k] = stop
                cuts[2 * k - 1] = _split(sums, start, stop)
            cells = 2 * cells
        for k in range(count):
            levels[row, k] = _mean(values[row], weights[row], cuts[k], cuts[k + 1])


@kernel
def nearest_levels(values: Array, order: Array, levels: Array, codes: Array) -> None:
    """Write the number of the nearest level for each value; of a tie the even number.

    Parameters
    ----------
    values : ndarray of float64, (rows, n)
        Each row ascending.
    order : ndarray of int64, (rows, n)
        Where each value's code goes.
    levels : ndarray of float64, (rows, count)
        Each row ascending.
    codes : ndarray of unsigned integers, (rows, n)
    """
    rows, n = values.shape
    last = levels.shape[1] - 1
    for row in range(rows):
        k = 0
        for i in range(n):
            x = values[row, i]
            while k < last:
                below, above = x - levels[row, k], levels[row, k + 1] - x
                if below < above or (below == above and k % 2 == 0):
                    break
                k = k + 1
            codes[row, order[row, i]] = k
