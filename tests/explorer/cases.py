"""Cases for the explorer's scripts, and what the library answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from docs.generators.explorer.formats import description
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.testing import exact_encode

BITS = 3  # of random words: few, so that ties of probabilities are met


def words(values: NDArray[np.float64]) -> list[str]:
    """Return float64 numbers as their words in hexadecimal digits."""
    return [f"{word:016x}" for word in np.asarray(values, np.float64).view(np.uint64).tolist()]


def random_formats(count: int, rng: np.random.Generator) -> Iterator[mf.Format]:
    """Yield ExMy formats of 2 to 16 bits with any fields."""
    found = 0
    while found < count:
        signed, subnormals = (bool(rng.integers(2)) for _ in range(2))
        exponent_bits = int(rng.integers(1, 9))
        mantissa_bits = int(rng.integers(0, min(11, 17 - exponent_bits - signed)))
        specials = str(rng.choice(list(mf.Specials)))
        usual = 2 ** (exponent_bits - 1) - 1
        bias = usual + int(rng.choice([0, 0, 1, 1, -1, 7, -30]))
        try:
            fmt = mf.Format(
                exponent_bits, mantissa_bits, bias=bias, signed=signed,
                subnormals=subnormals, specials=specials,  # type: ignore[arg-type]
            )  # fmt: skip
        except ValueError:
            continue
        found += 1
        yield fmt


def gap_points(fmt: mf.NumberFormat, rng: np.random.Generator, count: int) -> list[Fraction]:
    """Return points at whole 16ths of gaps between values, where probabilities are met exactly."""
    values = sorted({Fraction(v) for v in fmt.values().tolist() if math.isfinite(v)})
    found = []
    for at in rng.integers(0, len(values) - 1, count).tolist():
        gap = values[at + 1] - values[at]
        found.append(values[at] + gap * Fraction(int(rng.integers(1, 16)), 16))
    return found


def outside(fmt: mf.NumberFormat) -> list[float]:
    """Return numbers beyond both ends, and infinities."""
    size = max(abs(fmt.max), abs(fmt.min))
    return [-math.inf, -4 * size, -1.001 * size, 1.001 * size, 4 * size, math.inf]


def encode_case(
    fmt: mf.NumberFormat, numbers: NDArray[np.float64], rng: np.random.Generator
) -> dict[str, Any]:
    """Return a case of all modes and policies."""
    return {
        "ask": "encode",
        "format": fmt.name if not isinstance(fmt, mf.Format) else description(fmt),
        "numbers": words(numbers),
        "words": rng.integers(0, 2**BITS, len(numbers)).tolist(),
        "bits": BITS,
    }


def library_codes(
    fmt: mf.NumberFormat, numbers: NDArray[np.float64], random: list[int]
) -> dict[str, list[list[int]]]:
    """Return the library's codes under every mode and policy; -1 where it raises an error."""
    found = {}
    for mode in Rounding:
        options: dict[str, Any] = {"rounding": mode}
        if mode.is_stochastic:
            options |= {"random": np.array(random, np.uint32), "random_bits": BITS}
        rows = [
            mf.encode(numbers, fmt, overflow=overflow, **options).astype(np.int64)
            for overflow in Overflow
            if overflow is not Overflow.RAISE
        ]
        rows.append(_raised(fmt, numbers, options, rows[1]))
        found[str(mode)] = [row.tolist() for row in rows]
    return found


def _raised(
    fmt: mf.NumberFormat,
    numbers: NDArray[np.float64],
    options: dict[str, Any],
    saturated: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the codes under "raise", or -1: the numbers inside at once, the others one by one."""
    codes = saturated.copy()
    inside = (numbers > fmt.min) & (numbers < fmt.max)
    each = {k: v[inside] if isinstance(v, np.ndarray) else v for k, v in options.items()}
    codes[inside] = mf.encode(numbers[inside], fmt, overflow="raise", **each)
    for at in np.flatnonzero(~inside).tolist():
        one = {k: v[at : at + 1] if isinstance(v, np.ndarray) else v for k, v in options.items()}
        try:
            codes[at] = mf.encode(numbers[at : at + 1], fmt, overflow="raise", **one)[0]
        except ValueError:
            codes[at] = -1
    return codes


def page_codes(answer: dict[str, Any]) -> dict[str, list[list[int]]]:
    """Return the page's codes in the same form."""
    found = {}
    for mode, rows in answer.items():
        columns = [list(rows["codes"]) for _ in Overflow]
        for at, *others in rows["differing"]:
            for column, code in zip(columns[1:], others, strict=True):
                column[at] = code
        found[mode] = columns
    return found


def library_nan(fmt: mf.NumberFormat) -> list[int]:
    """Return the library's code of NaN under every policy."""
    found = []
    for policy in NaNPolicy:
        try:
            found.append(int(mf.encode(math.nan, fmt, nan=policy)))
        except ValueError:
            found.append(-1)
    return found


def oracle_code(x: Fraction, fmt: mf.NumberFormat, mode: str, overflow: str, random: int) -> int:
    """Return the oracle's code of a fraction, or -1."""
    stochastic = {"random": random, "random_bits": BITS} if "stochastic" in mode else {}
    try:
        return exact_encode(x, fmt, mode, overflow, **stochastic)  # type: ignore[arg-type]
    except ValueError:
        return -1
