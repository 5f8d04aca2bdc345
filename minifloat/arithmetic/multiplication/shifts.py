"""Products by shifts and additions, with weights that are sums of few powers of two.

Any value of a binary format is a sum of signed powers of two, such as ``7 = 8 - 1``; an integer
times such a weight is a sum of shifted integers. The product is exact: what is lost is lost when
weights are rounded to a format whose values have few terms.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minifloat import _arrays
from minifloat.arithmetic.multiplication.integers import integers
from minifloat.arithmetic.shapes import common_shape
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse

SIGNIFICAND = 53  # bits of float64


class SignedPower(NamedTuple):
    """``sign * 2**exponent``, with a sign of 1 or -1."""

    sign: int
    exponent: int


def shift_terms(fmt: NumberFormat | str) -> tuple[tuple[SignedPower, ...] | None, ...]:
    """Return the fewest signed powers of two that add up to each value of a format.

    Parameters
    ----------
    fmt : format or str

    Returns
    -------
    tuple of (tuple of SignedPower, or None)
        By code, the largest power first; none for zero, None for a code that is not a finite
        number.

    Notes
    -----
    The nonadjacent form: no other sum of signed powers of two has fewer terms (Reitwiesner, "Binary
    Arithmetic", Advances in Computers 1, 1960). n terms cost n shifts and n - 1 additions.

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> arithmetic.shift_terms("int4")[7]
    (SignedPower(sign=1, exponent=3), SignedPower(sign=-1, exponent=0))
    >>> max(len(terms or ()) for terms in arithmetic.shift_terms("e2m2"))
    2
    """
    return _terms(parse(fmt))


def shift_add(x: ArrayLike, codes: ArrayLike, fmt: NumberFormat | str) -> Any:
    """Return integers times weights, exactly, by shifts and additions alone.

    Parameters
    ----------
    x : array_like of int
    codes : array_like of int
        Codes of ``fmt``; the shapes broadcast.
    fmt : format or str
        Of the weights: ``pot4``, ``sp2_4`` or ``apot4``, whose values are sums of few powers of
        two, or any other.

    Returns
    -------
    ndarray of float64
        A NumPy scalar for two numbers. Each term is x, shifted by `numpy.ldexp`, since exponents
        may be negative.

    Raises
    ------
    TypeError
        If ``x`` or ``codes`` are not integers.
    ValueError
        If a code is not of a finite value, or an integer is so large that float64 would round a
        sum.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat import arithmetic
    >>> arithmetic.shift_add([100, 100, -7], mf.encode([6.0, -10.0, 3.0], "apot4"), "apot4")
    array([  600., -1000.,   -21.])
    """
    found = parse(fmt)
    terms = shift_terms(found)
    finite = [powers for powers in terms if powers is not None]
    most = max(len(powers) for powers in finite)
    span = max((powers[0].exponent - powers[-1].exponent for powers in finite if powers), default=0)
    limit = 2 ** (SIGNIFICAND - 1 - span)
    numbers, which = integers("x", x, -limit, limit), _arrays.code_array(codes)
    _arrays.check_codes(which, found)
    unusable = np.array([powers is None for powers in terms])
    if unusable[which].any():
        raise ValueError(
            f"codes must have finite values in {found}; round without NaN and infinity"
        )
    signs, exponents = np.zeros((2, most, len(terms)), np.int64)
    for code, powers in enumerate(terms):
        for k, power in enumerate(powers or ()):
            signs[k, code], exponents[k, code] = power
    products = np.zeros(common_shape(numbers.shape, which.shape))
    for k in range(most):
        products += np.ldexp(signs[k, which] * numbers, exponents[k, which])
    return products[()]


@lru_cache(maxsize=8)
def _terms(fmt: NumberFormat) -> tuple[tuple[SignedPower, ...] | None, ...]:
    return tuple(
        _nonadjacent(Fraction(value)) if math.isfinite(value) else None
        for value in fmt.values().tolist()
    )


def _nonadjacent(value: Fraction) -> tuple[SignedPower, ...]:
    exponent = 1 - value.denominator.bit_length()  # the denominator is a power of two
    number = value.numerator
    terms = []
    while number:
        if number % 2:
            digit = 2 - number % 4  # 1, or -1 where that makes the next digit 0
            terms.append(SignedPower(digit, exponent))
            number -= digit
        number //= 2
        exponent += 1
    return tuple(reversed(terms))
