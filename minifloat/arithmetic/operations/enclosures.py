"""Enclosures of real functions: two fractions that have the exact value between them.

``exp(x, bits)`` and its neighbours compute on integers, with series whose errors are bounded, and
are as narrow as about ``2**-bits``, relative to the value or to 1. Where that is not narrow enough
for a decision the caller asks for more bits. They are slow, and for the few values that float64
arithmetic leaves undecided. Arguments are enclosures themselves, so that functions can be nested;
each function is monotone on them.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import NamedTuple

GUARD = 12  # bits for the errors of up to 4095 steps
FAR = 2000  # powers of two beyond this are not computed: float64 has none


class Enclosure(NamedTuple):
    """A closed interval."""

    low: Fraction
    high: Fraction

    def __neg__(self) -> Enclosure:
        return Enclosure(-self.high, -self.low)

    def plus(self, other: Enclosure) -> Enclosure:
        """Return the sum."""
        return Enclosure(self.low + other.low, self.high + other.high)

    def minus(self, other: Enclosure) -> Enclosure:
        """Return the difference."""
        return Enclosure(self.low - other.high, self.high - other.low)

    def times(self, other: Enclosure) -> Enclosure:
        """Return the product."""
        products = [x * y for x in self for y in other]
        return Enclosure(min(products), max(products))

    def over(self, other: Enclosure) -> Enclosure:
        """Return the quotient by an enclosure that does not hold 0."""
        return self.times(Enclosure(1 / other.high, 1 / other.low))


def exact(x: Fraction | int) -> Enclosure:
    """Return the enclosure of a number that is known."""
    return Enclosure(Fraction(x), Fraction(x))


def _scaled(numerator: int, bits: int, steps: int) -> Enclosure:
    """Return a number in units of ``2**-(bits + GUARD)``, each step of which was off by one."""
    unit = 1 << (bits + GUARD)
    return Enclosure(Fraction(numerator - steps, unit), Fraction(numerator + steps, unit))


def _floor(x: Fraction, bits: int) -> int:
    return (x.numerator << bits) // x.denominator


def _inverse_tangent_of_inverse(k: int, bits: int) -> Enclosure:
    """Return atan(1 / k) for an integer k >= 2, by its series."""
    power = (1 << (bits + GUARD)) // k
    total, i = 0, 0
    while power:
        total += power // (2 * i + 1) * (-1) ** i
        power //= k * k
        i += 1
    return _scaled(total, bits, 2 * i + 4)


@lru_cache(maxsize=64)
def pi(bits: int) -> Enclosure:
    """Return pi (Machin: 16 atan(1/5) - 4 atan(1/239))."""
    first = _inverse_tangent_of_inverse(5, bits + 8).times(exact(16))
    return first.minus(_inverse_tangent_of_inverse(239, bits + 8).times(exact(4)))


@lru_cache(maxsize=64)
def log_2(bits: int) -> Enclosure:
    """Return the natural logarithm of 2."""
    return _log_near_1(Fraction(1, 3), bits)


def _log_near_1(t: Fraction, bits: int) -> Enclosure:
    """Return log((1 + t) / (1 - t)) = 2 (t + t**3 / 3 + ...) for |t| <= 1/3."""
    n = bits + GUARD
    power = argument = _floor(t, n)
    square = argument * argument >> n
    total, i = 0, 0
    while power not in (0, -1):
        total += power // (2 * i + 1)
        power = power * square >> n
        i += 1
    return _scaled(2 * total, bits, 4 * i + 12)


def exp(x: Enclosure, bits: int) -> Enclosure:
    """Return e to the power of x."""
    return Enclosure(_exp(x.low, bits).low, _exp(x.high, bits).high)


def _exp(x: Fraction, bits: int) -> Enclosure:
    if abs(x) > FAR:
        return exact(Fraction(2) ** (FAR if x > 0 else -FAR))
    k = round(x * 10000 / 6931)
    rest = exact(x).minus(log_2(bits + 16).times(exact(k)))
    n = bits + GUARD
    argument = _floor(rest.low, n)
    term, total, i = 1 << n, 0, 0
    while term not in (0, -1):
        total += term
        i += 1
        term = (term * argument >> n) // i
    small = _scaled(total, bits, 4 * i + 12)
    power = Fraction(2) ** k
    return Enclosure(small.low * power, small.high * power)


def log(x: Enclosure, bits: int) -> Enclosure:
    """Return the natural logarithm of x > 0."""
    return Enclosure(_log(x.low, bits).low, _log(x.high, bits).high)


def _log(x: Fraction, bits: int) -> Enclosure:
    k = x.numerator.bit_length() - x.denominator.bit_length()
    x /= Fraction(2) ** k  # 1/2 .. 2
    if x > Fraction(4, 3):
        x, k = x / 2, k + 1
    elif x < Fraction(2, 3):
        x, k = x * 2, k - 1
    near = _log_near_1((x - 1) / (x + 1), bits)
    return near.plus(log_2(bits + 16).times(exact(k)))


def sqrt(x: Enclosure, bits: int) -> Enclosure:
    """Return the square root of x >= 0."""
    low, high = (_root(end, bits) for end in x)
    unit = 1 << bits
    return Enclosure(Fraction(low, unit), Fraction(high + 1, unit))


def _root(x: Fraction, bits: int) -> int:
    return isqrt(_floor(x, 2 * bits))


def arctan(x: Enclosure, bits: int) -> Enclosure:
    """Return the inverse tangent."""
    return Enclosure(_arctan(x.low, bits).low, _arctan(x.high, bits).high)


def _arctan(x: Fraction, bits: int) -> Enclosure:
    if x < 0:
        return -_arctan(-x, bits)
    if x > 1:
        return pi(bits + 2).times(exact(Fraction(1, 2))).minus(_arctan(1 / x, bits))
    angle = exact(x)
    for _ in range(2):  # tan(a / 2) = tan a / (1 + sqrt(1 + tan(a)**2))
        root = sqrt(angle.times(angle).plus(exact(1)), bits + GUARD)
        angle = angle.over(root.plus(exact(1)))
    n = bits + GUARD
    argument = _floor(angle.low, n)
    square = argument * argument >> n
    power, total, i = argument, 0, 0
    while power:
        total += power // (2 * i + 1) * (-1) ** i
        power = power * square >> n
        i += 1
    width = _floor(angle.high - angle.low, n) + 1
    return _scaled(4 * total, bits, 4 * (3 * i + 4 + width))


def sin_and_cos(x: Enclosure, bits: int) -> tuple[Enclosure, Enclosure]:
    """Return sine and cosine of a narrow enclosure between -1 and 1."""
    n = bits + GUARD
    argument = _floor(x.low, n)
    width = _floor(x.high - x.low, n) + 2
    term, i, totals = 1 << n, 0, [0, 0]
    while term not in (0, -1):
        totals[i & 1] += term if i & 2 == 0 else -term
        i += 1
        term = (term * argument >> n) // i
    return _scaled(totals[1], bits, 2 * i + width), _scaled(totals[0], bits, 2 * i + width)


def turned(x: Fraction, bits: int) -> tuple[Enclosure, int]:
    """Return x less the nearest multiple of pi / 2, and that multiple's number."""
    size = max(0, x.numerator.bit_length() - x.denominator.bit_length())
    half_pi = pi(bits + size + 8).times(exact(Fraction(1, 2)))
    k = round(x / half_pi.low)
    return exact(x).minus(half_pi.times(exact(k))), k
