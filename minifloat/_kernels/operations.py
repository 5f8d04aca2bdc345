"""Loops of `minifloat.arithmetic.operations`: results of float64 arithmetic, rounded to odd.

The result that is rounded to nearest comes from the FPU, and what it lacks from error-free
transformations, or its sign from an exact remainder; `to_odd` puts both into one float64. These
steps are exact while operands and results are between `LEAST` and `MOST`. ``hard`` becomes 1 for
the elements where they are not, and the caller computes these in fractions, which have no sign if
they are 0: ``out`` has it. Zeros, infinities and NaN are IEEE 754's, and never hard.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, kernel
from minifloat._kernels.sums import sum_to_odd, to_odd, two_sum

Array = NDArray[Any]
Double = Any  # a float64

LEAST, MOST = 2.0**-450, 2.0**450  # so that products are normal, and so are their errors
SPLITTER = 134217729.0  # 2**27 + 1


@inlined
def _is_out(x: Double) -> Any:
    """Return whether a number is finite, not zero, and outside `LEAST` .. `MOST`."""
    size = abs(x)
    return (size > MOST) & (size < np.inf) | (size < LEAST) & (size > 0.0)


@inlined
def _split(x: Double) -> tuple[Double, Double]:
    """Return two numbers of at most 26 bits whose sum is x (Veltkamp)."""
    scaled = np.float64(SPLITTER * x)
    high = np.float64(scaled - (scaled - x))
    return high, np.float64(x - high)


@inlined
def _two_product(a: Double, b: Double) -> tuple[Double, Double]:
    """Return a b and what it lacks, exactly (Dekker)."""
    product = np.float64(a * b)
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = np.float64(a_high * b_high - product)
    error = np.float64(np.float64(error + a_high * b_low) + a_low * b_high)
    return product, np.float64(error + a_low * b_low)


@inlined
def _plain_or(total: Double, two: Double, x: Double, y: Double, z: Double) -> Double:
    """Return ``total`` if it is a number other than 0, else two + z.

    Where ``two``, of finite x and y, overflows, an infinite z is the sum.
    """
    is_end = (abs(z) == np.inf) & (abs(x) < np.inf) & (abs(y) < np.inf)
    plain = z if is_end else np.float64(two + z)
    is_usual = (plain - plain == 0.0) & (total - total == 0.0) & (total != 0.0)
    return total if is_usual else plain


@kernel
def add(a: Array, b: Array, out: Array, hard: Array) -> None:
    """Compute a + b."""
    for i in range(a.size):
        x, y = np.float64(a[i]), np.float64(b[i])
        out[i] = sum_to_odd(x, y)
        hard[i] = (abs(x) > MOST) & (abs(x) < np.inf) | (abs(y) > MOST) & (abs(y) < np.inf)


@kernel
def multiply(a: Array, b: Array, out: Array, hard: Array) -> None:
    """Compute a b."""
    for i in range(a.size):
        x, y = np.float64(a[i]), np.float64(b[i])
        product, error = _two_product(x, y)
        is_hard = (_is_out(x) | _is_out(y)) & (x != 0.0) & (y != 0.0)
        out[i] = product if is_hard else to_odd(product, error)
        hard[i] = is_hard


@kernel
def divide(a: Array, b: Array, out: Array, hard: Array) -> None:
    """Compute a / b."""
    for i in range(a.size):
        x, y = np.float64(a[i]), np.float64(b[i])
        quotient = np.float64(x / y)
        product, error = _two_product(quotient, y)
        remainder = np.float64(np.float64(x - product) - error)
        is_hard = (_is_out(x) | _is_out(y)) & (x != 0.0) & (y != 0.0)
        odd = to_odd(quotient, remainder if y > 0.0 else np.float64(-remainder))
        out[i] = quotient if is_hard else odd
        hard[i] = is_hard


@kernel
def sqrt(a: Array, out: Array, hard: Array) -> None:
    """Compute the square root of a."""
    for i in range(a.size):
        x = np.float64(a[i])
        root = np.float64(np.sqrt(x))
        square, error = _two_product(root, root)
        out[i] = to_odd(root, np.float64(np.float64(x - square) - error))
        hard[i] = _is_out(x) & (x > 0.0)


@kernel
def fma(a: Array, b: Array, c: Array, out: Array, hard: Array) -> None:
    """Compute a b + c, as Boldo and Melquiond do (IEEE Transactions on Computers 57(4), 2008)."""
    for i in range(a.size):
        x, y, z = np.float64(a[i]), np.float64(b[i]), np.float64(c[i])
        product, error = _two_product(x, y)
        low, lowest = two_sum(z, error)
        high, middle = two_sum(product, low)
        total = sum_to_odd(high, sum_to_odd(middle, lowest))
        is_product = (z == 0.0) & (x != 0.0) & (y != 0.0)  # its sign counts, even if it is lost
        out[i] = _plain_or(total, product, x, y, product if is_product else z)
        hard[i] = ((_is_out(x) | _is_out(y)) & (x != 0.0) & (y != 0.0)) | _is_out(z)


@kernel
def add_three(a: Array, b: Array, c: Array, out: Array, hard: Array) -> None:
    """Compute a + b + c."""
    for i in range(a.size):
        x, y, z = np.float64(a[i]), np.float64(b[i]), np.float64(c[i])
        first, error = two_sum(x, y)
        second, last = two_sum(first, z)
        total = sum_to_odd(second, sum_to_odd(last, error))
        out[i] = _plain_or(total, np.float64(x + y), x, y, z)
        hard[i] = _is_out(x) | _is_out(y) | _is_out(z)
