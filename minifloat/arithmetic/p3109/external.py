"""Results in IEEE 754's binary32 and binary64, which are too wide to have codes here.

P3109 calls them, binary16 and BFloat16 external formats. A result is rounded to the precision and
the exponents of the format and then saturated (clauses 4.7.3 to 4.8.2 of report 4.0.3 and of draft
D1), from fractions: it may be one that float64 does not hold. 0 has no sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._threads import check_threads
from minifloat.arithmetic.operations.results import Fmt, Options, checked_format
from minifloat.codec.exact import reaches, thresholds
from minifloat.codec.plans import dtype_or_error
from minifloat.codec.stochastic import RANDOM_BITS
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import Overflow, Rounding, Threshold, away_threshold, choose

Array = NDArray[Any]
Real = Fraction | float  # a fraction, an infinity or NaN

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class External:
    """An IEEE 754 format of NumPy's.

    Attributes
    ----------
    name : str
    bits, precision, bias : int
        P3109's BitwidthOf, PrecisionOf and ExponentBiasOf.
    """

    name: str
    bits: int
    precision: int
    bias: int

    @property
    def dtype(self) -> np.dtype[np.floating[Any]]:
        """The dtype of its values."""
        return np.dtype(np.float32 if self.bits == 32 else np.float64)

    @property
    def max(self) -> float:
        """The largest finite value (MaxFiniteOf)."""
        return float(np.finfo(self.dtype).max)

    def projected(self, x: Real, rounding: Rounding, overflow: Overflow, threshold: int) -> float:
        """Return a number, rounded and saturated; never -0."""
        if isinstance(x, float):
            clamps = math.isinf(x) and overflow is Overflow.SATURATE
            return math.copysign(self.max, x) if clamps else x
        rounded = self._rounded(x, rounding, threshold)
        if abs(rounded) <= self.max:
            return float(rounded)
        inward = Rounding.UPWARD if x < 0 else Rounding.DOWNWARD
        stays = overflow is not Overflow.SAT_NONE or rounding in (Rounding.TOWARD_ZERO, inward)
        end = self.max if stays else math.inf
        return -end if x < 0 else end

    def _rounded(self, x: Fraction, rounding: Rounding, threshold: int) -> Fraction:
        """Return a number of as many bits as the format has, with exponents of any size."""
        if x == 0:
            return x
        size = abs(x)
        exponent = size.numerator.bit_length() - size.denominator.bit_length()
        exponent -= size < Fraction(2) ** exponent
        gap = Fraction(2) ** (max(exponent, 1 - self.bias) - self.precision + 1)
        whole, rest = divmod(size / gap, 1)
        if rest and _rounds_away(rest, whole % 2 == 1, x < 0, rounding, threshold):
            whole += 1
        return whole * gap if x > 0 else -whole * gap


def _rounds_away(
    fraction: Fraction, is_odd: bool, negative: bool, rounding: Rounding, threshold: int
) -> bool:
    if rounding.is_stochastic:
        return reaches(fraction, threshold)
    least = away_threshold(rounding, odd=is_odd, negative=negative)
    if least is Threshold.HALF:
        return fraction >= HALF
    return fraction > HALF if least is Threshold.ABOVE_HALF else least is Threshold.ABOVE_ZERO


EXTERNALS = {
    "binary32": External("binary32", 32, 24, 127),
    "binary64": External("binary64", 64, 53, 1023),
}
NAMES = {"float32": "binary32", "float64": "binary64", "binary16": "float16"}


def target_of(fmt: Fmt) -> NumberFormat | External:
    """Return the format of a result, or raise if there is none of that name or it is too wide."""
    name = fmt.lower() if isinstance(fmt, str) else fmt
    name = NAMES.get(name, name) if isinstance(name, str) else name
    if isinstance(name, str) and name in EXTERNALS:
        return EXTERNALS[name]
    return checked_format(name)


@dataclass(frozen=True)
class Projector:
    """How each of some results is projected to an external format.

    Attributes
    ----------
    fmt : External
    rounding, overflow : Rounding, Overflow
    thresholds : list of int
        One for each result; see `minifloat.codec.exact.thresholds`.
    dtype : dtype
        That of the results.
    """

    fmt: External
    rounding: Rounding
    overflow: Overflow
    thresholds: list[int]
    dtype: np.dtype[np.floating[Any]]

    @classmethod
    def of(cls, fmt: External, options: Options, shape: tuple[int, ...]) -> Projector:
        """Check the options for results of a shape."""
        check_threads(options.get("threads", 1))
        rounding = choose(Rounding, "rounding", options.get("rounding", Rounding.NEAREST_EVEN))
        drawn = thresholds(
            rounding,
            shape,
            seed=options.get("seed"),
            random=options.get("random"),
            random_bits=options.get("random_bits", RANDOM_BITS),
        )
        overflow = choose(Overflow, "overflow", options.get("overflow", Overflow.SAT_NONE))
        given = options.get("dtype")
        dtype = fmt.dtype if given is None else np.dtype(dtype_or_error(given))
        if dtype.itemsize < fmt.dtype.itemsize:
            raise ValueError(f"dtype must hold the values of {fmt}, got {dtype.name}; leave it out")
        return cls(fmt, rounding, overflow, drawn, dtype)

    def one(self, x: Real, threshold: int) -> float:
        """Return one number, rounded and saturated."""
        return self.fmt.projected(x, self.rounding, self.overflow, threshold)

    def all(self, numbers: Sequence[Real], shape: tuple[int, ...]) -> Array:
        """Return numbers, rounded and saturated, as an array of a shape."""
        values = [self.one(x, t) for x, t in zip(numbers, self.thresholds, strict=True)]
        return np.array(values, self.dtype).reshape(shape)[()]
