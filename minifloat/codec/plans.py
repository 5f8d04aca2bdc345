"""From a format and the policies to the integers that the kernels take, made once and cached.

A format goes one of two ways. Grids with subnormals, and integers, are done by arithmetic on the
words of the source (`Arithmetic`); everything else is a sorted list of steps (`Listed`).
"""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat._kernels.codec import WINDOW, Grid, Look, Outcome, Rule, Source
from minifloat.codec import decision_points as _steps
from minifloat.codec.special_codes import Outcomes, outcomes
from minifloat.formats import Format, Integer, NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding, Threshold, away_threshold

SOURCES = {
    "float16": Source(10, 15, 0x7C00),
    "bfloat16": Source(7, 15, 0x7F80),
    "float32": Source(23, 31, 0x7F80_0000),
    "float64": Source(52, 63, 0x7FF0_0000_0000_0000),
}
WORDS = {"float16": np.uint16, "bfloat16": np.uint16, "float32": np.int32, "float64": np.int64}
LANES = {name: np.empty(0, np.int64 if name == "float64" else np.int32) for name in SOURCES}
WIDER = {
    "float16": ("float16", "float32", "float64"),
    "bfloat16": ("bfloat16", "float32", "float64"),
    "float32": ("float32", "float64"),
    "float64": ("float64",),
}


@dataclass(frozen=True)
class Arithmetic:
    """Parameters of `minifloat._kernels.codec.encode`."""

    source_name: str
    lanes: NDArray[Any]
    source: Source
    grid: Grid
    rule: Rule
    outcome: Outcome


@dataclass(frozen=True)
class Listed:
    """Parameters of `encode` in `minifloat._kernels.decision_points`, and the last of `choose`."""

    keys: NDArray[np.int64]
    outcomes: NDArray[np.int64]
    nan: int
    point_keys: NDArray[np.int64]
    point_values: NDArray[np.float64]
    point_outcomes: NDArray[np.int64]
    away: NDArray[np.int8]
    source_name: str = "float64"


Plan = Arithmetic | Listed


@lru_cache(maxsize=1024)
def encoding_plan(
    fmt: NumberFormat, source_name: str, rounding: Rounding, overflow: Overflow, nan: NaNPolicy
) -> Plan:
    """Return what the kernels need to encode words of ``source_name`` to ``fmt``."""
    result = outcomes(fmt, rounding, overflow, nan)
    name = _wide_enough(fmt, source_name)
    if name is None:
        return _listed(fmt, rounding, result)
    source = SOURCES[name]
    grid = _grid(fmt, source)
    if rounding is Rounding.NEAREST_EVEN and name == "float32":
        grid = grid._replace(cap=_float32_cap(fmt, grid, source))
    # where the format reaches beyond the source, infinity is not just another large magnitude
    infinity_beyond = math.frexp(fmt.max)[1] - 1 <= _bias(source)
    clamps = overflow is Overflow.SATURATE and infinity_beyond
    return Arithmetic(
        source_name=name,
        lanes=LANES[name],
        source=source,
        grid=grid,
        rule=_rule(rounding),
        outcome=Outcome(*result, clamps=int(clamps)),
    )


@lru_cache(maxsize=256)
def value_table(fmt: NumberFormat, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the value of every code in ``dtype``, or raise if one would not be exact."""
    exact = fmt.values()
    with np.errstate(over="ignore", under="ignore"):
        table = exact.astype(dtype)
    wrong = np.flatnonzero((table.astype(np.float64) != exact) & ~np.isnan(exact))
    if wrong.size:
        code = int(wrong[0])
        wider = "float32 or float64" if dtype == np.float16 else "float64"
        raise ValueError(
            f"dtype must hold every value of {fmt} exactly, got {dtype}, which does not hold "
            f"{exact[code]!r} (code {code}); use {wider}"
        )
    table.flags.writeable = False
    return table


@lru_cache(maxsize=256)
def decoding_look(fmt: NumberFormat, dtype: np.dtype[Any]) -> Look:
    """Return how `minifloat._kernels.codec.decode` computes values, or that it looks them up."""
    look_up = Look(0, 0, 0, 0, 0, 0, 0)
    if not isinstance(fmt, Format) or not fmt.subnormals or dtype == np.float64:
        return look_up
    if fmt.emin - fmt.mantissa_bits < -126 or fmt.emax > 127:
        return look_up
    if fmt.has_nan and fmt.nan_code == fmt.sign_bit:
        return look_up
    return Look(
        mantissa_bits=fmt.mantissa_bits,
        sign_shift=fmt.exponent_bits + fmt.mantissa_bits,
        least_word=(fmt.emin + 127) << 23,
        max_magnitude=fmt.max_magnitude,
        inf_magnitude=fmt.inf_magnitude if fmt.has_inf else -1,
        half=0 if dtype != np.float16 else 1 if fmt.smallest >= 2.0**-14 else 2,
        greatest_word=_float32_word(fmt.max) if dtype == np.float32 and fmt.signed else 0,
    )


def words_of(values: NDArray[Any]) -> NDArray[Any]:
    """View float16, float32 or float64 values as the integers the kernels write."""
    return values.view({2: np.uint16, 4: np.int32, 8: np.int64}[values.dtype.itemsize])


def dtype_or_error(dtype: DTypeLike) -> np.dtype[Any]:
    """Return float16, float32 or float64 as a dtype."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found not in (np.float16, np.float32, np.float64):
        raise ValueError(f"dtype must be float16, float32 or float64, got {dtype!r}")
    return found.newbyteorder("=")


def _bias(source: Source) -> int:
    return (1 << (source.sign_shift - source.mantissa_bits - 1)) - 1


def _wide_enough(fmt: NumberFormat, source_name: str) -> str | None:
    """Return the narrowest float, from the source up, whose words the arithmetic can cut."""
    on_a_grid = fmt.subnormals if isinstance(fmt, Format) else isinstance(fmt, Integer)
    if not on_a_grid:
        return None
    assert isinstance(fmt, Format | Integer)
    m, emin = _fields(fmt)
    for name in WIDER[source_name]:
        source = SOURCES[name]
        if m <= source.mantissa_bits and emin + _bias(source) >= 1:
            return name
    return None


def _fields(fmt: Format | Integer) -> tuple[int, int]:
    """Return mantissa bits and least exponent; an integer is all subnormal, in steps of one."""
    if isinstance(fmt, Integer):
        return fmt.bits, fmt.bits
    return fmt.mantissa_bits, fmt.emin


def _grid(fmt: NumberFormat, source: Source) -> Grid:
    assert isinstance(fmt, Format | Integer)
    m, emin = _fields(fmt)
    least_field = emin + _bias(source)
    if isinstance(fmt, Format):
        limit = fmt.max_magnitude
        below = 0 if fmt.signed else -limit
        return Grid(m, least_field, limit, below, 1 - fmt.has_negative_zero, 0, fmt.sign_bit, 0)
    limit = int(fmt.max)
    below = -int(fmt.min) - limit
    if not fmt.signed:
        return Grid(m, least_field, limit, below, 1, 0, 0, 0)
    return Grid(m, least_field, limit, below, 1, -1, (1 << fmt.bits) + 1, 0)


def _float32_cap(fmt: NumberFormat, grid: Grid, source: Source) -> int:
    """Return the word of the grid point beyond both ends, or 0 if the FPU cannot do the format."""
    m = grid.mantissa_bits
    emin = grid.least_field - _bias(source)
    field, mantissa = divmod(grid.limit + max(grid.limit_below, 0) + 1, 1 << m)
    exponent = emin + max(field, 1) - 1
    # where half the least value is normal, flushing subnormals to zero could do no harm
    if m < 1 or emin - m < -125 or exponent + 23 - m > 126:
        return 0
    significand = mantissa + (1 << m if field else 0)
    cap = significand * 2.0 ** (exponent - m)
    return _float32_word(cap)


def _float32_word(x: float) -> int:
    return int(struct.unpack("<i", struct.pack("<f", x))[0])


def _rule(rounding: Rounding) -> Rule:
    if rounding.is_stochastic:
        return Rule(0, 0, 0)
    half, whole = 1 << (WINDOW - 1), 1 << WINDOW
    fraction = {
        Threshold.ABOVE_ZERO: 1,
        Threshold.HALF: half,
        Threshold.ABOVE_HALF: half + 1,
        Threshold.NEVER: whole,
    }

    def at(odd: bool, negative: bool) -> int:
        return fraction[away_threshold(rounding, odd=odd, negative=negative)]

    even = at(False, False)
    rule = Rule(even, at(True, False) - even, at(False, True) - even)
    assert at(True, True) == sum(rule), "a mode depends on parity and on sign"
    return rule


def _listed(fmt: NumberFormat, rounding: Rounding, result: Outcomes) -> Listed:
    table = _steps.steps(fmt, rounding, result)
    found = _steps.points(fmt, result)
    values = [float(p.value) if p.value else (-0.0 if p.below_zero else 0.0) for p in found]
    pairs = itertools.pairwise(found)
    return Listed(
        keys=np.array(table.keys, np.int64),
        outcomes=np.array(table.outcomes, np.int64),
        nan=result.nan,
        point_keys=np.array([_steps.float_key(value) for value in values], np.int64),
        point_values=np.array(values, np.float64),
        point_outcomes=np.array([p.outcome for p in found], np.int64),
        away=np.array([_steps.away(low, high) for low, high in pairs], np.int8),
    )
