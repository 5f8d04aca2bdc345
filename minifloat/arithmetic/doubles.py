"""Accumulators in float64: chains of fused multiply-adds, lists of additions, exact sums.

The product of two float64 numbers has more bits than float64. Where no row and column of a matrix
hold its factors, a third axis of ``b`` does, and ``a`` is all ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import fused as kernels
from minifloat.arithmetic.accumulators import Accumulator

Array = NDArray[Any]

CHUNK = 256  # terms that stay in the cache
BITS = 53


@dataclass(frozen=True, eq=False)
class DoublePlan:
    """An accumulator in float64."""

    accumulator: Accumulator

    def add(self, a: Array, ea: Array, b: Array, eb: Array, sums: Array) -> None:
        """Add the products of all terms of the rows ``a`` and columns ``b``, in their order."""
        if self.accumulator.terms == "all":
            sums[...] = _exact(a, b, sums)
        elif b.ndim == 3:
            kernels.add_pairs_of_factors(b, sums.reshape(-1))
        else:
            kernels.add_fused(b, a, CHUNK, sums, self.accumulator.product is not None)

    def add_by_list(self, a: Array, b: Array, sums: Array, pairs: Array) -> None:
        """Add the products of all terms as a list of additions says."""
        if b.ndim == 2:
            shape = (len(b), len(a), b.shape[1])
            x, y = np.broadcast_to(a.T[:, :, None], shape), np.broadcast_to(b[:, None, :], shape)
            b = np.stack([x.reshape(len(b), -1), y.reshape(len(b), -1)], axis=-1)
        with np.errstate(all="ignore"):
            rows = np.concatenate([sums.reshape(1, -1), b[..., 0] * b[..., 1]])
        is_sum = np.zeros(len(rows), bool)
        is_sum[pairs[:, 0]] = True
        is_product = ~is_sum[pairs[:, 1]] & (self.accumulator.product is None)
        kernels.add_list(rows, b, pairs, is_product)
        sums[...] = rows[0].reshape(sums.shape)


def _exact(a: Array, b: Array, sums: Array) -> Array:
    """Return sums plus products, exact and then rounded once; by Python's integers."""
    x, y = (a, b) if b.ndim == 2 else (b[..., 0].T, b[..., 1])

    def total(x: Array, y: Array, c: Array) -> Array:
        if b.ndim == 2:
            return np.asarray(np.matmul(x, y) + c)
        return np.asarray((x * y.T).sum(axis=1).reshape(c.shape) + c)

    (m, ex), (n, ey), (start, es) = map(_whole, (x, y, sums))
    e = min(ex + ey, es)
    up, own = 1 << ex + ey - e, 1 << es - e
    whole = total(m * up, n, start * own)
    found = np.frompyfunc(lambda number: _nearest(number, e), 1, 1)(whole).astype(float)
    with np.errstate(invalid="ignore"):  # infinities and NaN, beside which the others are small
        special = total(*(np.where(np.isfinite(v), np.sign(v), v) for v in (x, y, sums)))
    return np.where(np.isfinite(special), found, special)


def _whole(x: Array) -> tuple[Array, int]:
    """Return whole numbers of any size, and the exponent of what they are multiples of."""
    fraction, exponent = np.frexp(np.where(np.isfinite(x), x, 0.0))
    least = int(np.min(exponent, initial=0, where=fraction != 0)) - BITS
    whole = np.ldexp(fraction, BITS).astype(np.int64).astype(object)
    shifts = np.where(fraction != 0, exponent - BITS - least, 0)
    return np.left_shift(whole, shifts.astype(object)), least


def _nearest(number: int, exponent: int) -> float:
    """Return ``number * 2**exponent``, rounded to nearest even."""
    try:
        return number / (1 << -exponent) if exponent < 0 else float(number << exponent)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
