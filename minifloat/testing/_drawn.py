"""Where stochastic modes go wrong: parts of gaps, and random words next to the one that decides."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.testing._meaning import exact_decode
from minifloat.testing._oracle import exact_encode_array
from minifloat.testing._points import landmarks, to_float

FEW_BITS, MANY_BITS = (1, 2), (5, 8, 23, 24, 28)  # with few, eighths of a gap are ties
PARTS = tuple(Fraction(k, 8) for k in (1, 2, 3, 5, 6, 7))
MAX_GAPS = 256


def widths(rng: np.random.Generator) -> tuple[int, int]:
    """Return two numbers of random bits, a small one and a large one."""
    return int(rng.choice(FEW_BITS)), int(rng.choice(MANY_BITS))


def parts_of_gaps(fmt: NumberFormat, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return numbers of a dtype at eighths and quarters of gaps of a format.

    At midpoints, and beside values, modes that round the fraction of the gap differently agree.
    """
    points = landmarks(fmt)
    gaps = list(pairwise(points))[:: max(1, len(points) // MAX_GAPS)]
    exact = [low + part * (high - low) for low, high in gaps for part in PARTS]
    with np.errstate(over="ignore"):
        values = np.array([to_float(value) for value in exact])
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            values = values[(values >= info.min) & (values <= info.max) & (abs(values) <= 2**53)]
        rounded = values.astype(dtype)
    held: NDArray[Any] = rounded[rounded.astype(np.float64) == values]
    return held[np.isfinite(held.astype(np.float64))]


def words_beside(
    numbers: NDArray[np.float64], fmt: NumberFormat, bits: int, rng: np.random.Generator
) -> NDArray[np.uint32]:
    """Return a random word for each number: for most of them next to the first that rounds up.

    That is ``2**bits`` less the fraction of the gap that a number has covered, in units of
    ``2**-bits``; in a mode that ignores the fraction it is half of all words. The rest are any.
    """
    ends = [
        np.array([exact_decode(int(code), fmt) for code in _rounded(numbers, fmt, mode)])
        for mode in (Rounding.TOWARD_ZERO, Rounding.AWAY_FROM_ZERO)
    ]
    with np.errstate(all="ignore"):
        fractions = (numbers - ends[0]) / (ends[1] - ends[0])
    fractions = np.where((fractions > 0) & (fractions < 1), fractions, 0.5)
    first = np.floor((1 - fractions) * 2.0**bits)
    first = np.where(rng.random(numbers.size) < 0.25, 2.0 ** (bits - 1), first)
    beside = first + rng.integers(-1, 2, numbers.size)
    drawn = rng.integers(0, 1 << bits, numbers.size, np.uint32)
    words = np.where(rng.random(numbers.size) < 0.25, drawn, beside.clip(0, (1 << bits) - 1))
    return words.astype(np.uint32)


def _rounded(numbers: NDArray[np.float64], fmt: NumberFormat, mode: Rounding) -> NDArray[Any]:
    return exact_encode_array(numbers, fmt, mode, Overflow.SATURATE, NaNPolicy.MAX)
