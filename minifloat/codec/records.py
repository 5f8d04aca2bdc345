"""Records: a format and the policies as the integers and tables that kernels read.

A record is one structured element with the fields that `minifloat._kernels.codec` lists. Where the
arithmetic of the kernels cannot encode a format, tables of its decision points take its place.
"""

from __future__ import annotations

import itertools
import math
import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import codec as kernels
from minifloat._kernels import decision_points as table_kernels
from minifloat.codec import decision_points
from minifloat.codec.special_codes import SpecialCodes
from minifloat.formats import NumberFormat
from minifloat.formats.base import BinaryGrid
from minifloat.formats.rounding import Overflow, Rounding, Threshold, away_threshold

Array = NDArray[Any]

# Mantissa bits, the exponents' bias and the word of +inf of the floats that the kernels compute
# with. Sources of 16 bits become float32.
LANES = {"float32": (23, 127, 0x7F80_0000), "float64": (52, 1023, 0x7FF0_0000_0000_0000)}


def encode_record(
    fmt: NumberFormat,
    source_name: str,
    rounding: Rounding,
    overflow: Overflow,
    special: SpecialCodes,
) -> Array:
    """Return the record for encoding words of a float to a format on a binary grid."""
    grid = fmt.binary_grid
    assert grid is not None
    lanes = lanes_of(source_name)
    mantissa_bits, bias, infinity = LANES[lanes]
    by_fpu = rounding is Rounding.NEAREST_EVEN and lanes == "float32"
    # where the format reaches beyond the source, infinity is not just another large magnitude
    infinity_beyond = math.frexp(fmt.max)[1] - 1 <= bias
    top = _word_of(grid, grid.limit, lanes)
    return _record(
        lanes,
        source_mantissa_bits=mantissa_bits,
        source_infinity=infinity,
        **_grid_fields(fmt, grid, bias),
        cap=_float32_cap(grid) if by_fpu else 0,
        top=top,
        negative_top=_word_of(grid, grid.negative_limit, lanes) - top,
        **_mode_fields(rounding, 30 if lanes == "float32" else 62),
        **special._asdict(),
        clamps=int(overflow is Overflow.SATURATE and infinity_beyond),
    )


def decode_record(fmt: NumberFormat, dtype: np.dtype[Any]) -> Array:
    """Return the record for decoding to ``dtype``."""
    unused = -1 if fmt.unused_code is None else fmt.unused_code
    last = fmt.code_count - 1
    return _record("float32", **_value_fields(fmt, dtype), last_code=last, unused_code=unused)


def with_values(record: Array, fmt: NumberFormat, dtype: np.dtype[Any]) -> Array:
    """Return a record for encoding that decodes to ``dtype`` as well."""
    return changed(record, **_value_fields(fmt, dtype))


def changed(record: Array, **fields: int) -> Array:
    """Return a copy of a record with other numbers in some fields."""
    copy = record.copy()
    for name, number in fields.items():
        copy[name] = number
    copy.flags.writeable = False
    return copy


def _record(lanes: str, **fields: int) -> Array:
    """Return a record of the width of the lanes; fields that are not named are 0."""
    empty = np.zeros(1, kernels.PLAN64 if lanes == "float64" else kernels.PLAN32)
    return changed(empty, **fields)


def lanes_of(source_name: str) -> str:
    """Return the float with which the kernels compute."""
    return "float64" if source_name == "float64" else "float32"


def wide_enough(grid: BinaryGrid | None, source_name: str) -> str | None:
    """Return the source, or float64, if its lanes are wide enough for the arithmetic, or None."""
    if grid is None:
        return None
    for name in (source_name, "float64"):
        mantissa_bits, bias, _ = LANES[lanes_of(name)]
        if grid.mantissa_bits <= mantissa_bits and grid.emin + bias >= 1:
            return name
    return None


def _grid_fields(fmt: NumberFormat, grid: BinaryGrid, bias: int) -> dict[str, int]:
    signed = fmt.min < 0
    flip, add = (-1, (1 << fmt.bits) + 1) if grid.twos_complement else (0, 0)
    if signed and not grid.twos_complement:
        add = 1 << (fmt.bits - 1)
    return {
        "mantissa_bits": grid.mantissa_bits,
        "least_field": grid.emin + bias,
        "limit": grid.limit,
        "negative_extra": grid.negative_limit - grid.limit,
        "first_negative": int(not fmt.has_negative_zero),
        "flip": flip,
        "add": add,
    }


def _float32_cap(grid: BinaryGrid) -> int:
    """Return the word of the grid point beyond both ends, or 0 if the FPU cannot do the format."""
    m = grid.mantissa_bits
    significand, exponent = _grid_point(grid, max(grid.limit, grid.negative_limit) + 1)
    # where half the smallest value is normal, flushing subnormals to zero could do no harm
    if m < 1 or grid.emin - m < -125 or exponent + 23 > 126:
        return 0
    return _float32_word(math.ldexp(significand, exponent))


def _grid_point(grid: BinaryGrid, magnitude: int) -> tuple[int, int]:
    """Return the integer and the power of two whose product is the value of a magnitude."""
    field, mantissa = divmod(magnitude, 1 << grid.mantissa_bits)
    significand = mantissa + (1 << grid.mantissa_bits if field else 0)
    return significand, grid.emin + max(field, 1) - 1 - grid.mantissa_bits


def _word_of(grid: BinaryGrid, magnitude: int, lanes: str) -> int:
    """Return the word of a magnitude's value or, if it is too large, of the largest number."""
    significand, exponent = _grid_point(grid, magnitude)
    _, bias, infinity = LANES[lanes]
    if significand.bit_length() + exponent > bias + 1:
        return infinity - 1
    value = math.ldexp(significand, exponent)
    return _float32_word(value) if lanes == "float32" else _float64_word(value)


def _float32_word(x: float) -> int:
    return int(struct.unpack("<i", struct.pack("<f", x))[0])


def _float64_word(x: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", x))[0])


def _mode_fields(rounding: Rounding, window: int) -> dict[str, int]:
    """Return a deterministic mode's thresholds for fractions of ``window`` bits.

    A stochastic mode draws its own.
    """
    if rounding.is_stochastic:
        return {}
    half, whole = 1 << (window - 1), 1 << window
    fraction = {
        Threshold.ABOVE_ZERO: 1,
        Threshold.HALF: half,
        Threshold.ABOVE_HALF: half + 1,
        Threshold.NEVER: whole,
    }

    def at(odd: bool, negative: bool) -> int:
        return fraction[away_threshold(rounding, odd=odd, negative=negative)]

    even = at(False, False)
    fields = {"even": even, "odd": at(True, False) - even, "minus": at(False, True) - even}
    assert at(True, True) == sum(fields.values()), "a mode depends on parity and on sign"
    return fields


def _value_fields(fmt: NumberFormat, dtype: np.dtype[Any]) -> dict[str, int]:
    """Return how the kernels compute values, or nothing: then they look them up."""
    grid = fmt.binary_grid
    if grid is None or grid.twos_complement or fmt.max_code != grid.limit:
        return {}
    if grid.emin - grid.mantissa_bits < -126 or math.frexp(fmt.max)[1] > 128:
        return {}
    signed = fmt.min < 0
    sign_shift = fmt.bits - signed
    if dtype.name in ("bfloat16", "float64") or (signed and fmt.nan_code == 1 << sign_shift):
        return {}
    infinity = fmt.inf_code()
    return {
        "mantissa_bits": grid.mantissa_bits,
        "limit": grid.limit,
        "least_word": (grid.emin + 127) << 23,
        "sign_shift": sign_shift,
        "inf_magnitude": -1 if infinity is None else infinity,
        "half": 0 if dtype != np.float16 else 1 if fmt.smallest >= 2.0**-14 else 2,
        "direct": int(dtype == np.float32 and signed),
    }


def beginnings(
    fmt: NumberFormat, source_name: str, rounding: Rounding, special: SpecialCodes
) -> Array:
    """Return where each code begins, filled up with beginnings that no number reaches."""
    starts = decision_points.beginnings(fmt, rounding, special)
    if lanes_of(source_name) == "float32":
        starts = [(decision_points.float32_key(key), code) for key, code in starts]
        dtype, last = table_kernels.BEGINNING32, 0x7FFF_FFFF
    else:
        dtype, last = table_kernels.BEGINNING64, 0x7FFF_FFFF_FFFF_FFFF
    rows: list[tuple[int, int, int]] = []
    before = 0
    for key, code in starts:
        if not rows or code != before:
            rows.append((key, code, code - before))
            before = code
    rows += [(last, rows[-1][1], 0)] * (-len(rows) % table_kernels.AT_ONCE)
    return np.array(rows, dtype)


def values_in_order(fmt: NumberFormat, special: SpecialCodes) -> Array:
    """Return the values between which the stochastic modes choose."""
    values = _values_in_order(fmt).copy()
    line = decision_points.line(fmt, special)
    for end in (0, -1):  # the codes of overflows
        values[end]["code"] = line[end].code
    return values


@lru_cache(maxsize=4)  # of 16 bits it takes 2 MB and half a second
def _values_in_order(fmt: NumberFormat) -> Array:
    line = decision_points.grid(fmt)
    values = np.zeros(len(line), table_kernels.VALUE)
    values["key"] = [decision_points.key_of(value) for value in line]
    values["code"] = [value.code for value in line]
    values["value"] = [
        float(value.exact)
        if -decision_points.LARGEST <= value.exact <= decision_points.LARGEST
        else 0.0  # beyond an end, and not read
        for value in line
    ]
    pairs = list(itertools.pairwise(line))
    gaps = [high.exact - low.exact for low, high in pairs]
    values["gap"][:-1] = [
        float(gap) if gap <= decision_points.LARGEST else math.inf for gap in gaps
    ]
    values["away"][:-1] = [decision_points.away(low, high) for low, high in pairs]
    return values


def value_table(fmt: NumberFormat, dtype: np.dtype[Any]) -> Array:
    """Return the value of every code in ``dtype``, or raise if one would not be exact."""
    table, wrong = _rounded_values(fmt, dtype)
    if wrong is not None:
        wider = "float64" if dtype == np.float32 else "float32 or float64"
        raise ValueError(
            f"dtype must hold every value of {fmt} exactly, got {dtype}, which does not hold "
            f"{fmt.value(wrong)!r} (code {wrong}); use {wider}"
        )
    return table


@lru_cache(maxsize=256)  # of refusals too: TF32's values take a second
def _rounded_values(fmt: NumberFormat, dtype: np.dtype[Any]) -> tuple[Array, int | None]:
    """Return the value of every code, rounded to ``dtype``, and the first code that this moves."""
    exact = fmt.values()
    with np.errstate(over="ignore", under="ignore"):
        table = exact.astype(dtype)
    table.flags.writeable = False
    wrong = np.flatnonzero((table.astype(np.float64) != exact) & ~np.isnan(exact))
    return table, int(wrong[0]) if wrong.size else None
