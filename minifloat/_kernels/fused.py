"""Chains of IEEE's fused multiply-add in float64.

It is one instruction where the CPU has it; elsewhere, and interpreted, `fma` computes the same bits
from additions and multiplications.
"""

import platform
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, instruction, kernel
from minifloat._kernels.sums import exponent, power, sum_to_odd

Array = NDArray[Any]
Double = Any  # a float64

SPLITTER = 134217729.0  # 2**27 + 1 cuts a float64 into two halves
FAR = 110  # binades between numbers of which the smaller one cannot change the larger
LEAST = -1022  # exponent of the smallest normal float64
LAST = -1074  # of the smallest subnormal one


def _define() -> Any:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    from minifloat._kernels.decoders import FEATURES

    if "+fma" not in FEATURES and platform.machine() not in ("arm64", "aarch64"):
        return None

    def define(_: Any, x: Any, y: Any, z: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType()] * 3)
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.f64")
            return builder.call(function, args)

        return types.float64(types.float64, types.float64, types.float64), build

    return intrinsic(define)


@inlined
def _significand(x: Double) -> Any:
    """Return a finite number other than 0 as a fraction from 1 to 2, signed, and an exponent."""
    small = abs(x) < 2.0**LEAST
    y = np.float64(x * 2.0**54) if small else np.float64(x)
    word = np.float64(y).view(np.int64)
    e = np.int64(np.int64((word >> np.int64(52)) & np.int64(2047)) - np.int64(1023))
    e = np.int64(e - (np.int64(54) if small else np.int64(0)))
    sign_and_bits = np.int64(word & np.int64(-0x7FF0_0000_0000_0001))
    return np.int64(sign_and_bits | np.int64(0x3FF0_0000_0000_0000)).view(np.float64), e


@inlined
def _two_sum(a: Double, b: Double) -> Any:
    """Return a + b rounded, and its error (Knuth)."""
    total = np.float64(a + b)
    part = np.float64(total - a)
    return total, np.float64((a - (total - part)) + (b - part))


@inlined
def _two_product(a: Double, b: Double) -> Any:
    """Return a * b rounded, and its error (Dekker); neither number may be far from 1."""
    c, d = np.float64(a * SPLITTER), np.float64(b * SPLITTER)
    high, other = np.float64(c - (c - a)), np.float64(d - (d - b))
    low, last = np.float64(a - high), np.float64(b - other)
    p = np.float64(a * b)
    return p, np.float64(low * last - (((p - high * other) - low * other) - high * last))


@instruction(_define)
def fma(x: Double, y: Double, z: Double) -> Double:
    """Return x * y + z, rounded once to nearest even.

    The factors and ``z`` are brought near 1, and the exact sum of three numbers is rounded to odd
    first (S. Boldo and G. Melquiond, *Emulation of a FMA and correctly rounded sums*, 2008).
    """
    p = np.float64(x * y)
    if (x - x != 0.0) | (y - y != 0.0) | (x == 0.0) | (y == 0.0):
        return np.float64(p + z)
    if z == 0.0:
        return p
    if z - z != 0.0:
        return np.float64(z)
    a, ea = _significand(x)
    b, eb = _significand(y)
    c, ec = _significand(z)
    e = np.int64(ea + eb)
    if ec - e > FAR:
        return np.float64(z)
    c = np.float64(c * power(np.int64(max(np.int64(ec - e), np.int64(-300)))))
    high, low = _two_product(a, b)
    low, lowest = _two_sum(c, low)
    high, low = _two_sum(high, low)
    low = sum_to_odd(lowest, low)
    total = np.float64(high + low)
    rounded = total
    if exponent(total) + e < LEAST:  # the last bit is that of the subnormal numbers
        base = np.float64(np.copysign(power(np.int64(52 + LAST - e)), total))
        high, rest = _two_sum(base, high)
        rounded = np.float64((high + sum_to_odd(rest, low)) - base)
        rounded = np.float64(np.copysign(rounded, total))
    half = np.int64(e >> np.int64(1))
    return np.float64(np.float64(rounded * power(half)) * power(np.int64(e - half)))


@kernel(cost=20.0)
def add_fused(b: Array, a: Array, chunk: int, sums: Array, rounds: bool) -> None:
    """Add to the sums of each row and column the products of a row of a and a column of b.

    Products are exact, or rounded first if ``rounds``. ``chunk`` terms stay in the cache.
    """
    count, columns = b.shape
    for begin in range(0, count, chunk):
        for i in range(sums.shape[0]):
            for k in range(begin, min(begin + chunk, count)):
                x = a[i, k]
                if rounds:
                    for j in range(columns):
                        p = np.float64(x * b[k, j])
                        sums[i, j] = np.float64(sums[i, j] + p)
                else:
                    for j in range(columns):
                        sums[i, j] = fma(x, b[k, j], sums[i, j])


@kernel(cost=20.0)
def add_pairs_of_factors(factors: Array, sums: Array) -> None:
    """Add to each sum the products of its column of pairs of factors."""
    for k in range(factors.shape[0]):
        for j in range(factors.shape[1]):
            sums[j] = fma(factors[k, j, 0], factors[k, j, 1], sums[j])


@kernel(cost=20.0)
def add_list(rows: Array, factors: Array, pairs: Array, is_product: Array) -> None:
    """For each pair ``(i, j)`` add to row i the row j, or the product of the factors j - 1."""
    for n in range(pairs.shape[0]):
        into, other = pairs[n, 0], pairs[n, 1]
        if is_product[n]:
            for j in range(rows.shape[1]):
                x, y = factors[other - 1, j, 0], factors[other - 1, j, 1]
                rows[into, j] = fma(x, y, rows[into, j])
        else:
            for j in range(rows.shape[1]):
                rows[into, j] = np.float64(rows[into, j] + rows[other, j])
