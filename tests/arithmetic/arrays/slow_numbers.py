"""Arithmetic in a format, one number at a time: exact fractions, then the oracle's rounding.

It shares no code with `minifloat.arithmetic`: an operation is computed on fractions, and
`minifloat.testing` encodes and decodes the result. What fractions are not (infinities, NaN, the
sign of 0, division by 0) is IEEE's, as Python's floats and `math` have it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from minifloat.testing import exact_decode, exact_encode

ROOT_BITS = 200  # of a square root or exponential, which is cut and then made odd


class SlowFormat:
    """A format and its policies, and the operations in it; numbers are Python floats."""

    def __init__(self, fmt: Any, **policies: Any) -> None:
        self.fmt = fmt
        self.policies = policies
        self.downward = policies.get("rounding") == "downward"
        self.rounded = functools.lru_cache(None)(self._rounded)  # of all but 0, which has a sign

    def _rounded(self, x: float | Fraction) -> float:
        return exact_decode(exact_encode(x, self.fmt, **self.policies), self.fmt)

    def _of(
        self,
        exact: Callable[..., Fraction],
        plain: Callable[..., float],
        *operands: float,
    ) -> float:
        if all(map(math.isfinite, operands)):
            result = exact(*map(Fraction, operands))
            if result != 0:
                return self.rounded(result)
        return self._rounded(plain(*operands))

    def add(self, a: float, b: float) -> float:
        def plain(x: float, y: float) -> float:
            if self.downward and x == -y:
                return -0.0 if x != 0 or math.copysign(1, x) != math.copysign(1, y) else x + y
            return x + y

        return self._of(lambda x, y: x + y, plain, a, b)

    def subtract(self, a: float, b: float) -> float:
        return self.add(a, -b)

    def multiply(self, a: float, b: float) -> float:
        return self._of(lambda x, y: x * y, lambda x, y: x * y, a, b)

    def divide(self, a: float, b: float) -> float:
        def plain(x: float, y: float) -> float:
            if y != 0:
                return x / y
            if x == 0 or math.isnan(x):
                return math.nan
            return math.copysign(math.inf, x) * math.copysign(1, y)

        if b == 0:
            return self._rounded(plain(a, b))
        return self._of(lambda x, y: x / y, plain, a, b)

    def sqrt(self, a: float) -> float:
        if not math.isfinite(a) or a <= 0:
            return self._rounded(a if a == 0 or a > 0 else math.nan)
        return self.rounded(_root(Fraction(a)))

    def exp(self, a: float) -> float:
        if not math.isfinite(a):
            return self._rounded(math.exp(a))
        return self.rounded(_exponential(Fraction(a)))

    def power(self, a: float, n: int) -> float:
        if not math.isfinite(a) or a == 0:
            try:
                return self._rounded(a**n)
            except ZeroDivisionError:
                return self._rounded(math.copysign(math.inf, a) if n % 2 else math.inf)
        return self.rounded(Fraction(a) ** n)

    def sum(self, terms: Iterable[float]) -> float:
        terms = list(terms)
        return functools.reduce(self.add, terms) if terms else self.rounded(0.0)

    def dot(self, a: Iterable[float], b: Iterable[float]) -> float:
        return self.sum([self.multiply(x, y) for x, y in zip(a, b, strict=True)])


def _root(x: Fraction) -> Fraction:
    """Return the square root, or a number between it and the next of 200 bits."""
    shift = ROOT_BITS - (x.numerator.bit_length() - x.denominator.bit_length()) // 2
    scaled = x * Fraction(4) ** shift
    root = math.isqrt(math.floor(scaled))
    sticky = Fraction(0) if root * root == scaled else Fraction(1, 2)
    return (root + sticky) / Fraction(2) ** shift


def _exponential(x: Fraction) -> Fraction:
    """Return e**x to 200 bits; it is no fraction of few bits unless x is 0."""
    if abs(x) > 200:
        return Fraction(2) ** (2000 if x > 0 else -2000)
    halvings = 12
    small, term, total = x / 2**halvings, Fraction(1), Fraction(1)
    for k in range(1, 200):
        term = term * small / k
        total += term
        if abs(term) < Fraction(1, 2**ROOT_BITS + 1):
            break
    for _ in range(halvings):
        total *= total
        total = Fraction(round(total * 2 ** (2 * ROOT_BITS)), 2 ** (2 * ROOT_BITS))
    return total
