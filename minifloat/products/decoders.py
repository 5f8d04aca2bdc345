"""Which of the kernels' rules makes float32 of a format's codes, for `minifloat.products`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import decoders as kernels
from minifloat.formats import Format, NumberFormat

Array = NDArray[Any]


@lru_cache(maxsize=64)
@np.errstate(over="ignore", under="ignore", invalid="ignore")
def rule_of(fmt: NumberFormat) -> tuple[kernels.Rule, int]:
    """Return how the kernels make values of codes, and the power of two these lack.

    A table in registers is the fastest. Else the register rule serves a format if it is right for
    each of its codes, and the others have a table in memory. A table's values are at most 1.
    """
    values = fmt.values()
    exponent = math.frexp(max(abs(fmt.min), abs(fmt.max)))[1]
    if fmt.bits <= kernels.TABLE_BITS and kernels.HAS_TABLES:
        return _table(fmt, np.ldexp(values, -exponent)), exponent
    if fmt.is_integer:
        top = 0xFF00 << 8 - fmt.bits & 0xFFFF
        return (kernels.Signed(top) if fmt.min < 0 else kernels.Unsigned(top)), fmt.bits - 16
    if kernels.HAS_HALVES and isinstance(fmt, Format):
        lacking = 15 - fmt.bias
        if fmt.exponent_bits <= 5 and 0 <= lacking <= 64:
            rule = _register_rule(fmt, np.ldexp(values, -lacking))
            if rule is not None:
                return rule, lacking
    return _table(fmt, np.ldexp(values, -exponent)), exponent


@lru_cache(maxsize=64)
def exact_rule_of(fmt: NumberFormat) -> tuple[kernels.Rule, int] | None:
    """Return the same for exact values, which float32 holds; None for a format of other values.

    A table of values of at most 1 may lack the smallest ones.
    """
    rule, exponent = rule_of(fmt)
    if not isinstance(rule, kernels.InRegisters | kernels.InMemory):
        return rule, exponent
    values = fmt.values()
    with np.errstate(over="ignore", under="ignore"):
        is_exact = np.array_equal(values.astype(np.float32), values, equal_nan=True)
    return (_table(fmt, values), 0) if is_exact else None


def _register_rule(fmt: Format, values: Array) -> kernels.Rule | None:
    """Return the rule for float16 words of these values, or None if it is wrong for some code."""
    shift = 5 - fmt.exponent_bits + (not fmt.signed)
    magnitude = (1 << fmt.exponent_bits + fmt.mantissa_bits) - 1
    sign = magnitude + 1 if fmt.signed else 0
    mask = magnitude << (10 - fmt.mantissa_bits) | (0x8000 if fmt.signed else 0)
    codes, up = np.arange(fmt.code_count), 16 - fmt.bits
    words = ((codes << up).astype(np.uint16).view(np.int16) >> shift).view(np.uint16)
    found = (words & np.uint16(mask)).view(np.float16)
    if np.array_equal(found, values, equal_nan=True):
        rule = kernels.Halves(shift, mask)
        return _matrix(rule) or rule
    for looked_at, nan in ((magnitude, magnitude), (magnitude | sign, sign)):
        with_nan = np.where(codes & looked_at == nan, np.nan, found)
        if np.array_equal(with_nan, values, equal_nan=True):
            return kernels.HalvesOrNaN(shift, mask, looked_at << up, nan << up)
    return None


def _matrix(rule: kernels.Halves) -> kernels.Matrix | None:
    """Return the rule as one instruction, if there is one and the words' lower bytes are 0."""
    if not kernels.HAS_MATRIX or rule.mask & 0xFF:
        return None
    bits = 0
    for j in range(8):
        if rule.mask >> 8 + j & 1:
            source = min(j + rule.shift, 7)  # the sign fills what is shifted
            bits |= 1 << source + 8 * (7 - j)
    return kernels.Matrix(bits, 0xAAAAAAAA)


def _table(fmt: NumberFormat, values: Array) -> kernels.Rule:
    """Return the values for each code among the bits that are looked up; NaN for unused codes."""
    table = np.full(1 << fmt.bits, np.nan, np.float32)
    table[: values.size] = values
    if fmt.bits <= kernels.TABLE_BITS and kernels.HAS_TABLES:
        return kernels.InRegisters(np.resize(table, 1 << kernels.TABLE_BITS))
    return kernels.InMemory(np.repeat(table, 1 << 8 - fmt.bits))
