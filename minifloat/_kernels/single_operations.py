"""Loops of operations on float32, with results rounded to odd.

They return for how many elements that may be wrong, because float32 does not hold numbers so large.

Except for sums, float64 arithmetic gives the exact result rounded to 53 bits, and that is rounded
to odd, to float32. This is right if rounding to 53 bits gives no number d of 24 bits but where the
exact result is d. Products are exact. A quotient x / y and d differ by the part (x - d y) / (d y)
of d; x and d y are multiples of the last bit of the shorter one, and d y has 48 bits, so that is
2**-48 at least. For a root, where x and d d take the place of x and d y, it is 2**-50 at least.
Rounding moves a number by its part 2**-53 at most. Sums may be nearer to d: they come
with what they lack (Knuth's TwoSum). In float64 no step over- or underflows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, kernel
from minifloat._kernels.sums import sum_to_odd, two_sum

Array = NDArray[Any]
Double = Any  # a float64
Single = Any  # a float32

BEYOND = 2.0**126  # sums of two such numbers, and steps on the way, are float32 numbers


@inlined
def _odd(near: Single, rest: Any) -> Single:
    """Return near + rest, rounded to odd; ``near`` is that sum, rounded to nearest."""
    word = np.float32(near).view(np.int32)
    is_less, is_more = rest < np.float32(0.0), rest > np.float32(0.0)
    moves = (is_less | is_more) & ((word & np.int32(1)) == 0)
    step = np.int32(1) if is_less == (word < 0) else np.int32(-1)
    return np.int32(word + (step if moves else np.int32(0))).view(np.float32)


@inlined
def _to_odd(high: Double, low: Double) -> Single:
    """Return high + low, rounded to odd; ``high`` is that sum, rounded to nearest."""
    near = np.float32(high)
    return _odd(near, np.float64(np.float64(high - np.float64(near)) + low))


@inlined
def _is_beyond(x: Any) -> Any:
    """Return 1 for a finite number that is too large, else 0."""
    return np.int32((abs(x) < np.float32(np.inf)) & (abs(x) >= np.float32(BEYOND)))


@kernel
def add(a: Array, b: Array, out: Array) -> np.int32:
    """Compute a + b, in float32."""
    beyond = np.int32(0)
    for i in range(a.size):
        x, y = a[i], b[i]
        total = np.float32(x + y)
        part = np.float32(total - x)
        rest = np.float32(np.float32(x - np.float32(total - part)) + np.float32(y - part))
        out[i] = _odd(total, rest)
        beyond += _is_beyond(x) | _is_beyond(y)
    return beyond


@kernel
def multiply(a: Array, b: Array, out: Array) -> np.int32:
    """Compute a b."""
    beyond = np.int32(0)
    for i in range(a.size):
        product = np.float64(np.float64(a[i]) * np.float64(b[i]))
        out[i] = _to_odd(product, 0.0)
        beyond += _is_beyond(product)
    return beyond


@kernel
def divide(a: Array, b: Array, out: Array) -> np.int32:
    """Compute a / b."""
    beyond = np.int32(0)
    for i in range(a.size):
        quotient = np.float64(np.float64(a[i]) / np.float64(b[i]))
        out[i] = _to_odd(quotient, 0.0)
        beyond += _is_beyond(quotient)
    return beyond


@kernel
def sqrt(a: Array, out: Array) -> int:
    """Compute the square root of a."""
    for i in range(a.size):
        out[i] = _to_odd(np.float64(np.sqrt(np.float64(a[i]))), 0.0)
    return 0


@kernel
def fma(a: Array, b: Array, c: Array, out: Array) -> np.int32:
    """Compute a b + c."""
    beyond = np.int32(0)
    for i in range(a.size):
        product = np.float64(np.float64(a[i]) * np.float64(b[i]))
        high, low = two_sum(product, np.float64(c[i]))
        out[i] = _to_odd(high, low)
        beyond += _is_beyond(high)
    return beyond


@kernel
def add_three(a: Array, b: Array, c: Array, out: Array) -> np.int32:
    """Compute a + b + c, as the kernel for float64 does."""
    beyond = np.int32(0)
    for i in range(a.size):
        x, y, z = np.float64(a[i]), np.float64(b[i]), np.float64(c[i])
        first, error = two_sum(x, y)
        second, last = two_sum(first, z)
        total = sum_to_odd(second, sum_to_odd(last, error))
        plain = np.float64(np.float64(x + y) + z)
        is_usual = (plain - plain == 0.0) & (total != 0.0)  # else plain has the sign of zero
        high = total if is_usual else plain
        out[i] = _to_odd(high, 0.0)
        beyond += _is_beyond(high)
    return beyond
