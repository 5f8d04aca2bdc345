"""What circuits read from a code: a two's complement value, a magnitude, a significand, flags."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat.codec import decode
from minifloat.formats import Format, NumberFormat
from minifloat.hardware.circuits import PortWords, Words
from minifloat.hardware.integers import Integers
from minifloat.hardware.verilog import Module, bit, is_one_of, literal

FLAGS = ("nan", "positive_inf", "negative_inf")  # outputs that tell NaN and infinities


class Magnitude(NamedTuple):
    """Names of nets: a sign, and a magnitude."""

    sign: str
    magnitude: str
    width: int


class Significand(NamedTuple):
    """Names of nets: the value is ``significand << exponent``, negative where the sign is 1."""

    sign: str
    significand: str
    width: int
    exponent: str
    exponent_width: int
    exponent_max: int


def has_significand(fmt: NumberFormat) -> bool:
    """Whether a format's codes are a sign, an exponent and a mantissa."""
    return isinstance(fmt, Format)


def sign_of(module: Module, x: Integers, code: str, name: str) -> str:
    """Add the sign of a code: its top bit, a table, or 0."""
    if x.sign_bit:
        return module.wire(name, 1, bit(code, x.bits - 1, x.bits))
    if not x.signed:
        return module.wire(name, 1, "1'h0")
    if x.fmt.is_integer:
        return module.wire(name, 1, bit(code, x.bits - 1, x.bits))
    codes = [number for number, negative in enumerate(x.negative) if negative]
    return module.wire(name, 1, is_one_of(code, x.bits, codes))


def magnitude_bits(x: Integers, code: str) -> tuple[str, int]:
    """Return the part of a code below its sign bit, and its width."""
    width = x.bits - x.sign_bit
    if not x.sign_bit:
        return code, width
    return f"{code}[{width - 1}:0]" if width > 1 else f"{code}[0]", width


def magnitude_by_table(module: Module, x: Integers, code: str, name: str) -> Magnitude:
    """Add a code's sign and its magnitude, the latter by a table."""
    sign = sign_of(module, x, code, f"{name}_sign")
    select, width = magnitude_bits(x, code)
    rows = {literal(number, width): abs(x.values[number]) for number in range(x.magnitude_codes)}
    magnitude = module.table(f"{name}_magnitude", x.magnitude_width, select, rows)
    return Magnitude(sign, magnitude, x.magnitude_width)


def magnitude_by_shift(module: Module, x: Integers, code: str, name: str) -> Magnitude:
    """Add a code's sign and its magnitude: the significand, shifted by the exponent."""
    part = significand(module, x, code, name)
    if part.exponent_max == 0:
        return Magnitude(part.sign, part.significand, part.width)
    shift = f"{part.significand} << {part.exponent}"
    shifted = module.wire(f"{name}_magnitude", x.magnitude_width, shift)
    return Magnitude(part.sign, shifted, x.magnitude_width)


def significand(module: Module, x: Integers, code: str, name: str) -> Significand:
    """Add a code's sign, significand and exponent.

    What is not finite has the significand 0. The exponent counts from the lowest binade.
    """
    fmt = x.fmt
    assert isinstance(fmt, Format)
    sign = sign_of(module, x, code, f"{name}_sign")
    bits, width = magnitude_bits(x, code)
    e, m = fmt.exponent_bits, fmt.mantissa_bits
    magnitude = module.wire(f"{name}_bits", width, bits)
    field = module.wire(f"{name}_field", e, f"{magnitude}[{width - 1}:{m}]" if width > 1 else bits)
    leading = f"{field} != {literal(0, e)}"
    if not fmt.subnormals:
        leading = f"{magnitude} != {literal(0, width)}" if fmt.has_zero else "1'h1"
    if fmt.max_magnitude < (1 << width) - 1:
        leading = f"({leading}) & {magnitude} <= {literal(fmt.max_magnitude, width)}"
    is_finite = module.wire(f"{name}_leading", 1, leading)
    parts = is_finite
    if m:
        low = f"{magnitude}[{m - 1}:0]" if m > 1 else f"{magnitude}[0]"
        if fmt.max_magnitude < (1 << width) - 1:
            special = f"{magnitude} > {literal(fmt.max_magnitude, width)}"
            low = f"{special} ? {literal(0, m)} : {low}"
        parts = f"{{{is_finite}, {module.wire(f'{name}_mantissa', m, low)}}}"
    whole = module.wire(f"{name}_significand", m + 1, parts)
    # The exponent counts from the lowest binade: the field less 1 above subnormals, which share it.
    top = (fmt.max_magnitude >> m) - fmt.subnormals
    if top <= 0:
        return Significand(sign, whole, m + 1, "1'h0", 1, 0)
    exponent = field
    if fmt.subnormals:
        exponent = f"{field} == {literal(0, e)} ? {literal(0, e)} : {field} - {literal(1, e)}"
    net = module.wire(f"{name}_exponent", e, exponent)
    return Significand(sign, whole, m + 1, net, e, top)


def flags_of(x: Integers, code: str) -> dict[str, str]:
    """Return the conditions of the flags that a format can raise."""
    kinds = {flag: x.codes_of_kind(flag) for flag in FLAGS}
    return {flag: is_one_of(code, x.bits, codes) for flag, codes in kinds.items() if codes}


@lru_cache(maxsize=256)
def decoded(x: Integers) -> NDArray[np.object_]:
    """Return the value of each code over the unit, as the library decodes it.

    What is not finite is 0; codes that the library refuses have the value that `Integers` states.
    """
    fmt = x.fmt
    codes = [code for code in range(fmt.code_count) if code != fmt.unused_code]
    numbers = np.array(x.values, object)
    values = decode(np.array(codes), fmt, dtype=np.float64).tolist()
    for code, value in zip(codes, values, strict=True):
        numbers[code] = int(value / x.unit) if abs(value) < np.inf else 0
    numbers.flags.writeable = False  # it is kept
    return numbers


def floats(x: Integers) -> NDArray[np.float64]:
    """Return the value of each code in float64, as the library decodes it, with -0 and NaN.

    Codes that the library refuses have the value that `Integers` states.
    """
    values = decoded(x).astype(np.float64) * float(x.unit)
    codes = [code for code in range(x.fmt.code_count) if code != x.fmt.unused_code]
    values[codes] = decode(np.array(codes), x.fmt, dtype=np.float64)
    return values


def signs(x: Integers) -> NDArray[np.bool_]:
    """Return the sign of each code; that of -0 is set."""
    return np.array(x.negative)


def flag_words(x: Integers, codes: Words) -> dict[str, NDArray[np.bool_]]:
    """Return the flags of codes, by the kinds that the format gives them."""
    return {
        flag: np.isin(codes.astype(np.int64), np.array(x.codes_of_kind(flag), np.int64))
        for flag in FLAGS
    }


def port(words: PortWords, name: str) -> NDArray[np.int64]:
    """Return the words of a port of at most 63 bits as indices."""
    return np.asarray(words[name]).astype(np.int64)
