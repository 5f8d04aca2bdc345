"""Exact numbers, rounded to odd: float64 numbers that stand for results with more bits.

A number between two float64 numbers becomes the one whose last bit is set. Rounding it to a shorter
format then gives the same as rounding the exact number: a value of the format and a tie have
zeros in their last bits, and a number on one side of them stays on that side (Boldo and Melquiond,
IEEE Transactions on Computers 57(4), 2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

PRECISION = 53
LEAST_EXPONENT, GREATEST_EXPONENT = -1074, 971  # of the last bit of a float64


def to_odd(x: Fraction) -> float:
    """Return a number as a float64, rounded to odd.

    Beyond the largest float64 it is the largest, and below the smallest one it is the smallest.

    Parameters
    ----------
    x : Fraction

    Returns
    -------
    float

    Examples
    --------
    >>> to_odd(Fraction(1, 3)).hex(), to_odd(Fraction(3, 8)), to_odd(1 + Fraction(1, 10**30)).hex()
    ('0x1.5555555555555p-2', 0.375, '0x1.0000000000001p+0')
    """
    size = abs(x)
    if size == 0:
        return 0.0
    digits = size.numerator.bit_length() - size.denominator.bit_length()
    exponent = max(digits - PRECISION, LEAST_EXPONENT)
    if size >= Fraction(2) ** (exponent + PRECISION):
        exponent += 1
    whole, rest = divmod(size / Fraction(2) ** exponent, 1)
    if exponent > GREATEST_EXPONENT:
        whole, exponent = 2**PRECISION - 1, GREATEST_EXPONENT
    odd = math.ldexp(whole | (rest != 0), exponent)
    return odd if x > 0 else -odd


def sum_to_odd(terms: Sequence[float]) -> float:
    """Return the exact sum of finite numbers, rounded to odd; 0 if it is 0.

    Parameters
    ----------
    terms : sequence of float

    Returns
    -------
    float

    Examples
    --------
    >>> sum_to_odd([1.0, 1e-30]).hex(), sum_to_odd([1e300, 1.0, -1e300])
    ('0x1.0000000000001p+0', 1.0)
    """
    try:
        total = math.fsum(terms)
        error = math.fsum([*terms, -total])
    except OverflowError:
        return to_odd(sum(map(Fraction, terms), Fraction(0)))
    if error == 0 or math.frexp(total)[0] * 2**PRECISION % 2 == 1:
        return total
    return math.nextafter(total, math.inf if error > 0 else -math.inf)
