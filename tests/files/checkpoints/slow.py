"""Layouts read number by number, from their published descriptions; shares no code with minifloat.

A layout's function takes NumPy arrays of what a file stores and returns a list of lists of floats.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def small_float(code: int, exponent_bits: int, mantissa_bits: int, bias: int) -> float:
    """Return the value of a code without infinities; E4M3's NaN is told by its code."""
    sign = code >> (exponent_bits + mantissa_bits) & 1
    exponent = code >> mantissa_bits & ((1 << exponent_bits) - 1)
    mantissa = code & ((1 << mantissa_bits) - 1)
    if exponent:
        number = math.ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits)
    else:
        number = math.ldexp(mantissa, 1 - bias - mantissa_bits)
    return -number if sign else number


def e2m1(code: int) -> float:
    return small_float(code, 2, 1, 1)


def e2m3(code: int) -> float:
    return small_float(code, 2, 3, 1)


def e4m3(code: int) -> float:
    return math.nan if code & 0x7F == 0x7F else small_float(code, 4, 3, 7)


def e8m0(code: int) -> float:
    return math.nan if code == 255 else 2.0 ** (code - 127)


def e2m2b0(code: int) -> float:
    return small_float(code, 2, 2, 0)


def low_nibble_first(row: Array) -> list[int]:
    return [nibble for byte in row.tolist() for nibble in (byte & 15, byte >> 4)]


def bit_stream(words: list[int], bits: int, count: int) -> list[int]:
    """Return codes of which each begins where the last one ended, from the lowest bit on."""
    stream = sum((word & 0xFFFFFFFF) << (32 * place) for place, word in enumerate(words))
    return [stream >> (bits * k) & ((1 << bits) - 1) for k in range(count)]


def whole_codes(words: list[int], bits: int, count: int) -> list[int]:
    """Return codes of which no one runs on into the next word."""
    per_word = 32 // bits
    stream = [word & 0xFFFFFFFF for word in words]
    return [
        stream[k // per_word] >> (bits * (k % per_word)) & ((1 << bits) - 1) for k in range(count)
    ]


def same(got: Array, expected: list[list[float]]) -> None:
    """Compare float32 numbers bit for bit, the signs of zeros too; NaN is as NaN."""
    wanted = np.array(expected, np.float64).astype(np.float32)
    assert got.dtype == np.float32
    assert got.shape == wanted.shape
    np.testing.assert_array_equal(got, wanted)
    numbers = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(wanted)[numbers])
