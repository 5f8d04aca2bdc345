"""The methods from their definitions, on Python's integers and fractions, number by number.

They share no code with the library: fields are cut out of codes here.
"""

from __future__ import annotations

import math
from fractions import Fraction

PLACES = 80  # of Mitchell's logarithms, after the binary point


def fields(code: int, exponent_bits: int, mantissa_bits: int, bias: int) -> tuple[int, int, int]:
    """Return sign, exponent and fraction of a code that is a number above or below 0."""
    sign = code >> (exponent_bits + mantissa_bits)
    field = (code >> mantissa_bits) & (2**exponent_bits - 1)
    mantissa = code & (2**mantissa_bits - 1)
    if field:
        return sign, field - bias, mantissa
    exponent = 1 - bias
    while not mantissa >> mantissa_bits:  # a subnormal number, until it has a leading one
        mantissa, exponent = 2 * mantissa, exponent - 1
    return sign, exponent, mantissa - 2**mantissa_bits


def l_mul(
    a: tuple[int, int, int], b: tuple[int, int, int], mantissa_bits: int, *, addition: bool
) -> Fraction:
    """Return L-Mul's product of the fields of two numbers."""
    (s, e, f), (t, d, g) = a, b
    bits = {1: 1, 2: 2, 3: 3, 4: 3}.get(mantissa_bits, 4)
    offset = 2 ** (mantissa_bits - bits)
    one = 2**mantissa_bits
    if addition:  # of whole words; what is left over after the shift are the lower bits
        word = (e * one + f) + (d * one + g) + offset
        magnitude = Fraction(one + word % one, one) * Fraction(2) ** (word // one)
    else:
        magnitude = Fraction(one + f + g + offset, one) * Fraction(2) ** (e + d)
    return -magnitude if s != t else magnitude


def mitchell(a: int, b: int) -> Fraction:
    """Return Mitchell's product of two integers above 0, from logarithms with a binary point."""

    def logarithm(n: int) -> int:
        characteristic = len(f"{n:b}") - 1
        return (characteristic << PLACES) + ((n << PLACES >> characteristic) - (1 << PLACES))

    total = logarithm(a) + logarithm(b)
    characteristic, mantissa = divmod(total, 1 << PLACES)
    return Fraction((1 << PLACES) + mantissa, 1 << PLACES) * 2**characteristic


def fewest_powers(limit: int) -> list[int]:
    """Return how many signed powers of two the integers 0 .. limit need at least."""
    powers = [sign * 2**k for k in range(limit.bit_length() + 2) for sign in (1, -1)]
    found, edge, count = {0: 0}, {0}, 0
    while not all(n in found for n in range(limit + 1)):
        count += 1
        edge = {n + p for n in edge for p in powers if abs(n + p) <= 4 * limit} - found.keys()
        found |= dict.fromkeys(edge, count)
    return [found[n] for n in range(limit + 1)]


def bipolar_value(code: int, bits: int) -> int:
    """Return what a bipolar integer means: each bit adds or subtracts its power of two."""
    return sum(2**i if code >> i & 1 else -(2**i) for i in range(bits))


def requantized(total: int, multiplier: int, shift: int, zero: int, low: int, high: int) -> int:
    """Return the nearest integer of total * multiplier / 2**shift, half up; in a range."""
    nearest = math.floor(Fraction(total * multiplier, 2**shift) + Fraction(1, 2))
    return min(max(nearest + zero, low), high)


def nearest_dyadic(scale: Fraction, bits: int) -> Fraction:
    """Return the nearest fraction with a numerator of so many bits over a power of two; ties up."""
    exponents = range(-bits - 4, 4 - bits)
    assert Fraction(1, 8) <= scale < 8
    candidates = [
        Fraction(m) * Fraction(2) ** e for m in range(2 ** (bits - 1), 2**bits) for e in exponents
    ]
    return min(candidates, key=lambda c: (abs(c - scale), -c))
