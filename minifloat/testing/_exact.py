"""Exact products and sums of the values of codes: `Numbers`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import NumberFormat
from minifloat.testing._meaning import exact_decode


class Numbers(NamedTuple):
    """An array of exact numbers: whole multiples of a unit, or NaN, infinities, -0.

    Attributes
    ----------
    amounts : ndarray of Python's integers
        Each number over ``unit``; 0 for NaN and infinities.
    signs : ndarray of float64
        1, -1, 0, -0, an infinity or NaN. What IEEE 754 says of special values and of the signs of
        zeros is true of these floats too, so they are computed beside the amounts.
    unit : Fraction
        A power of two.
    """

    amounts: NDArray[Any]
    signs: NDArray[np.float64]
    unit: Fraction

    def at(self, places: Any) -> Numbers:
        """Return the numbers at these places of the arrays."""
        return Numbers(self.amounts[places], self.signs[places], self.unit)

    def times(self, other: Numbers) -> Numbers:
        """Return the products, element by element."""
        with np.errstate(invalid="ignore"):  # 0 times infinity is NaN
            signs = self.signs * other.signs
        return Numbers(self.amounts * other.amounts, signs, self.unit * other.unit)

    def number(self, place: int) -> float | Fraction:
        """Return one of a one-dimensional array, as a float where it is 0 or not finite."""
        sign = float(self.signs[place])
        return Fraction(self.amounts[place]) * self.unit if abs(sign) == 1 else sign


def total(terms: Sequence[Numbers], *, downward: bool) -> Numbers:
    """Return the sums of several arrays of numbers, element by element.

    A sum that is exactly 0 is 0, or -0 if it is rounded ``downward``; but where all terms are zeros
    of one sign it is that zero (IEEE 754-2019, 6.3).
    """
    unit = min(term.unit for term in terms)
    amounts = np.sum([term.amounts * int(term.unit / unit) for term in terms], axis=0)
    signs = np.array([term.signs for term in terms])
    minus_zeros = np.all((signs == 0) & np.signbit(signs), axis=0)
    zeros = np.all((signs == 0) & ~np.signbit(signs), axis=0)
    exact_zero = np.where(minus_zeros | (downward & ~zeros), -0.0, 0.0)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN
        special = signs.sum(axis=0)
    of_amounts = np.where(amounts > 0, 1.0, np.where(amounts < 0, -1.0, exact_zero))
    return Numbers(amounts, np.where(np.isfinite(special), of_amounts, special), unit)


@lru_cache(maxsize=16)
def all_values(fmt: NumberFormat) -> Numbers:
    """Return the values of all codes of a format."""
    values = [exact_decode(code, fmt) for code in range(fmt.code_count)]
    finite = [Fraction(value if math.isfinite(value) else 0) for value in values]
    scale = max(value.denominator for value in finite)
    amounts = [int(value * scale) for value in finite]
    common = math.gcd(*amounts) or 1
    common &= -common  # a power of two
    signs = [math.copysign(1, value) if value and math.isfinite(value) else value
             for value in values]  # fmt: skip
    exact = np.array([amount // common for amount in amounts], object)
    return Numbers(exact, np.array(signs), Fraction(common, scale))
