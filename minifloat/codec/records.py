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
from minifloat._kernels.scalar import WINDOW
from minifloat.codec import decision_points
from minifloat.codec.special_codes import SpecialCodes
from minifloat.formats import NumberFormat
from minifloat.formats.base import BinaryGrid
from minifloat.formats.rounding import Overflow, Rounding, Threshold, away_threshold

Array = NDArray[Any]

# Mantissa bits, the place of the sign, and the word of +inf of each source.
SOURCES = {
    "float16": (10, 15, 0x7C00),
    "bfloat16": (7, 15, 0x7F80),
    "float32": (23, 31, 0x7F80_0000),
    "float64": (52, 63, 0x7FF0_0000_0000_0000),
}
WIDER = {
    "float16": ("float16", "float32", "float64"),
    "bfloat16": ("bfloat16", "float32", "float64"),
    "float32": ("float32", "float64"),
    "float64": ("float64",),
}


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
    by_fpu = rounding is Rounding.NEAREST_EVEN and source_name == "float32"
    # where the format reaches beyond the source, infinity is not just another large magnitude
    infinity_beyond = math.frexp(fmt.max)[1] - 1 <= _bias(source_name)
    return _record(
        source_name,
        **_source_fields(source_name),
        **_grid_fields(fmt, grid, source_name),
        cap=_float32_cap(grid) if by_fpu else 0,
        **_mode_fields(rounding),
        **special._asdict(),
        clamps=int(overflow is Overflow.SATURATE and infinity_beyond),
    )


def decode_record(fmt: NumberFormat, dtype: np.dtype[Any]) -> Array:
    """Return the record for decoding to ``dtype``."""
    unused = -1 if fmt.unused_code is None else fmt.unused_code
    last = fmt.code_count - 1
    return _record("float32", **_value_fields(fmt, dtype), last_code=last, unused_code=unused)


def source_record(source_name: str) -> Array:
    """Return a record that describes the source alone."""
    return _record(source_name, **_source_fields(source_name))


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


def _record(source_name: str, **fields: int) -> Array:
    """Return a record of the width of the source's lanes; fields that are not named are 0."""
    empty = np.zeros(1, kernels.PLAN64 if source_name == "float64" else kernels.PLAN32)
    return changed(empty, **fields)


def _source_fields(name: str) -> dict[str, int]:
    fields = ("source_mantissa_bits", "source_sign_shift", "source_infinity")
    return dict(zip(fields, SOURCES[name], strict=True))


def _bias(source_name: str) -> int:
    mantissa_bits, sign_shift, _ = SOURCES[source_name]
    return (1 << (sign_shift - mantissa_bits - 1)) - 1


def wide_enough(grid: BinaryGrid | None, source_name: str) -> str | None:
    """Return the narrowest float, from the source up, whose words the arithmetic can cut."""
    if grid is None:
        return None
    for name in WIDER[source_name]:
        if grid.mantissa_bits <= SOURCES[name][0] and grid.emin + _bias(name) >= 1:
            return name
    return None


def _grid_fields(fmt: NumberFormat, grid: BinaryGrid, source_name: str) -> dict[str, int]:
    signed = fmt.min < 0
    flip, add = (-1, (1 << fmt.bits) + 1) if grid.twos_complement else (0, 0)
    if signed and not grid.twos_complement:
        add = 1 << (fmt.bits - 1)
    return {
        "mantissa_bits": grid.mantissa_bits,
        "least_field": grid.emin + _bias(source_name),
        "limit": grid.limit,
        "negative_extra": grid.negative_limit - grid.limit,
        "first_negative": int(not fmt.has_negative_zero),
        "flip": flip,
        "add": add,
    }


def _float32_cap(grid: BinaryGrid) -> int:
    """Return the word of the grid point beyond both ends, or 0 if the FPU cannot do the format."""
    m, emin = grid.mantissa_bits, grid.emin
    field, mantissa = divmod(max(grid.limit, grid.negative_limit) + 1, 1 << m)
    exponent = emin + max(field, 1) - 1
    # where half the smallest value is normal, flushing subnormals to zero could do no harm
    if m < 1 or emin - m < -125 or exponent + 23 - m > 126:
        return 0
    significand = mantissa + (1 << m if field else 0)
    return _float32_word(significand * 2.0 ** (exponent - m))


def _float32_word(x: float) -> int:
    return int(struct.unpack("<i", struct.pack("<f", x))[0])


def _mode_fields(rounding: Rounding) -> dict[str, int]:
    """Return the thresholds of a deterministic mode; a stochastic one draws its own."""
    if rounding.is_stochastic:
        return {}
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
        "max_word": _float32_word(fmt.max) if dtype == np.float32 and signed else 0,
    }


def tables(fmt: NumberFormat, rounding: Rounding, special: SpecialCodes) -> tuple[Array, Array]:
    """Return where each code begins and, for the stochastic modes, the values in order."""
    beginnings = np.array(
        decision_points.beginnings(fmt, rounding, special), table_kernels.BEGINNING
    )
    line = decision_points.line(fmt, special)
    values = np.zeros(len(line), table_kernels.VALUE)
    for row, value in zip(values, line, strict=True):
        row["key"], row["code"] = decision_points.key_of(value), value.code
        if abs(value.exact) <= decision_points.LARGEST:  # else it is beyond an end, and not read
            row["value"] = float(value.exact)
    for row, (low, high) in zip(values, itertools.pairwise(line), strict=False):
        row["gap"], row["away"] = float(high.exact - low.exact), decision_points.away(low, high)
    return beginnings, values


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
