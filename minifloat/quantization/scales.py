"""Scales: their formats, and the rules by which a block's absmax becomes a scale.

A block of weights shares a scale. ``absmax`` is the largest magnitude of the block, ``max`` the
magnitude that absmax becomes: the largest that the weights' format has on both sides of zero
(`max_abs`), unless a recipe says ``absmax_at``. ``emax`` is its exponent: ``floor(log2 max)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels.scale_search import Levels
from minifloat._kernels.scales import (
    NEXT_POWERS,
    POWERS,
    VALUES,
    AbsmaxToScale,
    ScaleValues,
)
from minifloat.codec.decision_points import decision_points, sorted_values
from minifloat.formats import Format, NumberFormat
from minifloat.formats.names import parse


class ScaleRounding(StrEnum):
    """How absmax becomes a scale, a value of the scale format.

    NEAREST_EVEN   the value nearest to absmax / max; a tie to the even code
    FLOOR          2**(floor(log2 absmax) - emax): OCP Microscaling 1.0, 6.3
    CEIL           2**(ceil(log2 absmax) - emax)
    NEAREST        2**(n - emax), 2**n the power of two nearest to absmax, a tie to the larger
    EVEN           2**(floor(log2 r) - emax), r being absmax rounded to the nearest even of the
                   format's precision: torchao and Quark
    UP             the smallest power of two s with absmax / s <= max:
                   2**ceil(log2(absmax / max)), so absmax does not saturate; ZeroQuant-FP's M1
                   (arXiv 2307.09782), torchao's RCEIL
    DOWN           2**floor(log2(absmax / max)); with a tensor scale it is ZeroQuant-FP's M2

    Exponents are read from the bits of absmax, so one just below a power of two has the lower
    exponent. A power of two below the scale format becomes its smallest value.
    """

    NEAREST_EVEN = "nearest_even"
    FLOOR = "floor"
    CEIL = "ceil"
    NEAREST = "nearest"
    EVEN = "even"
    UP = "up"
    DOWN = "down"


ScaleRoundingLike: TypeAlias = (
    ScaleRounding | Literal["nearest_even", "floor", "ceil", "nearest", "even", "up", "down"]
)


FORMULAS = {  # in words, with the format's own numbers; `minifloat show` prints them
    ScaleRounding.NEAREST_EVEN: "the value nearest to absmax / {max}, a tie to the even code",
    ScaleRounding.FLOOR: "2**(floor(log2 absmax) - {emax}); larger elements saturate",
    ScaleRounding.CEIL: "2**(ceil(log2 absmax) - {emax})",
    ScaleRounding.NEAREST: "2**(n - {emax}), where 2**n is the power of two nearest to absmax",
    ScaleRounding.EVEN: (
        "2**(floor(log2 r) - {emax}), where r is absmax rounded to the format's precision"
    ),
    ScaleRounding.UP: (
        "the smallest power of two s with absmax / s <= {max}; absmax does not saturate"
    ),
    ScaleRounding.DOWN: "2**floor(log2(absmax / {max}))",
}
NEVER = 2.0  # above every significand
CARRIES = {  # see `AbsmaxToScale`
    ScaleRounding.FLOOR: NEVER,
    ScaleRounding.DOWN: NEVER,
    ScaleRounding.NEAREST: 1.5,
}


class ScaleSearch(StrEnum):
    """Which scale a block gets.

    ABSMAX       the scale of its absmax
    MSE          the scale of least squared error among all values of the scale format (with a
                 rounding to powers of two: among its powers of two); exact but for float64
                 arithmetic. If absmax's scale is as good, it is taken.
    PERCENTILE   the scale of a percentile of its magnitudes, interpolated linearly as by
                 `numpy.percentile`; of its absmax if the percentile is 0
    ABSMEAN      the mean of its magnitudes, which becomes the value 1: of binary weights the scale
                 of least squared error (XNOR-Net), of ternary ones BitNet b1.58's; of its absmax
                 if the mean is 0
    SHRINK       among the scales of absmax * (1 - k / 100), k = 0 .. 79, the first with the
                 smallest sum of |error|**2.4: GPTQ's search, which FPE2M2's code uses too
    """

    ABSMAX = "absmax"
    MSE = "mse"
    PERCENTILE = "percentile"
    ABSMEAN = "absmean"
    SHRINK = "shrink"


ScaleSearchLike: TypeAlias = (
    ScaleSearch | Literal["absmax", "mse", "percentile", "absmean", "shrink"]
)


@dataclass(frozen=True, repr=False)
class ScaleFormat:
    """The format of scales: float32, or a `Format` whose values float32 holds.

    Attributes
    ----------
    name : str
        "float32", or the format's name.
    bits : int
    values : ScaleValues
        Its positive values, as the kernels read them.
    has_nan : bool
        Whether some code is a NaN.
    """

    name: str
    bits: int
    values: ScaleValues
    has_nan: bool

    @classmethod
    def parse(cls, scale: ScaleFormat | Format | str) -> ScaleFormat:
        """Return the scale format of a name or a format.

        Raises
        ------
        ValueError
            If it is no such format, or has a value that float32 does not hold.
        TypeError
            If it is neither a format nor a str.

        Examples
        --------
        >>> from minifloat.quantization.scales import ScaleFormat
        >>> ScaleFormat.parse("e8m0"), ScaleFormat.parse("ue4m3").values.largest
        (<ScaleFormat e8m0>, 448.0)
        """
        if isinstance(scale, ScaleFormat):
            return scale
        if isinstance(scale, str) and scale.strip().lower() == "float32":
            return FLOAT32
        fmt = parse(scale, "scale")
        if not isinstance(fmt, Format):
            raise ValueError(f"scale must be float32 or a Format such as e8m0, got {fmt}")
        if fmt.max > FLOAT32.values.largest or fmt.emin - fmt.mantissa_bits < -149:
            raise ValueError(f"scale must be a format whose values float32 holds, got {fmt}")
        values = ScaleValues(fmt.mantissa_bits, fmt.emin, int(fmt.has_zero), fmt.smallest, fmt.max)
        return cls(fmt.name, fmt.bits, values, fmt.has_nan)

    def holds(self, scales: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which numbers are values that a scale may have.

        Parameters
        ----------
        scales : ndarray of float32 or float64

        Returns
        -------
        ndarray of bool
            False for negative numbers, -0 and infinities; for NaN, whether the format has it.

        Examples
        --------
        >>> import numpy as np
        >>> from minifloat.quantization.scales import ScaleFormat
        >>> ScaleFormat.parse("e8m0").holds(np.array([2, 3, -2, 0, np.nan]))
        array([ True, False, False, False,  True])
        """
        grid = self.values
        with np.errstate(all="ignore"):
            numbers = np.asarray(scales, np.float64)
            exponents = np.maximum(np.frexp(numbers)[1] - 1, grid.emin)
            steps = np.ldexp(numbers, grid.mantissa_bits - exponents)
            inside = (grid.smallest <= numbers) & (numbers <= grid.largest)
            zero = (numbers == 0) & ~np.signbit(numbers) & bool(grid.has_zero)
            nan = np.isnan(numbers) & self.has_nan
            return np.asarray((inside & (steps == np.rint(steps))) | zero | nan)

    @property
    def powers_of_two(self) -> ScaleValues:
        """The powers of two among its values.

        Examples
        --------
        >>> from minifloat.quantization.scales import ScaleFormat
        >>> ScaleFormat.parse("float16").powers_of_two.largest
        32768.0
        """
        values = self.values
        mantissa, exponent = math.frexp(values.smallest)
        smallest = 2.0 ** (exponent - (mantissa == 0.5))
        largest = 2.0 ** (math.frexp(values.largest)[1] - 1)
        return ScaleValues(0, math.frexp(smallest)[1] - 1, values.has_zero, smallest, largest)

    @property
    def has_free_sign(self) -> bool:
        """Whether codes have a sign bit, which scales leave 0, and all of its numbers a negative.

        Examples
        --------
        >>> from minifloat.quantization.scales import ScaleFormat
        >>> [ScaleFormat.parse(name).has_free_sign for name in ("e4m3fn", "e4m3fnuz", "e8m0")]
        [True, False, False]
        """
        if self.name == "float32":
            return True
        fmt = parse(self.name)
        sign = 1 << self.bits - 1
        return fmt.min < 0 and fmt.code_count == 2 * sign and fmt.value(sign) == 0

    @property
    def default_rounding(self) -> ScaleRounding:
        """Floor where all values are powers of two (OCP Microscaling 1.0), else nearest even."""
        return ScaleRounding.NEAREST_EVEN if self.values.mantissa_bits else ScaleRounding.FLOOR

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<ScaleFormat {self.name}>"


FLOAT32 = ScaleFormat(
    "float32", 32, ScaleValues(23, -126, 1, 2.0**-149, float(np.finfo(np.float32).max)), True
)


def absmax_to_scale(
    fmt: NumberFormat, rounding: ScaleRounding, tensor: float, absmax_at: float | None = None
) -> AbsmaxToScale:
    """Return how the kernels turn a block's absmax into the scale of weights of ``fmt``.

    Parameters
    ----------
    fmt : NumberFormat
        Format of the weights.
    rounding : ScaleRounding
    tensor : float
        The tensor scale, by which the block scales are multiplied.
    absmax_at : float, optional
        The magnitude that absmax becomes; default ``fmt.max_abs``.

    Raises
    ------
    ValueError
        If the format has no value above zero, or the rounding is EVEN and it has no precision (a
        `Codebook`).

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.quantization.scales import absmax_to_scale
    >>> absmax_to_scale(mf.parse("e2m1"), mf.ScaleRounding.EVEN, 1.0)
    AbsmaxToScale(kind=1, reference=4.0, carry=1.75)
    """
    largest = fmt.max_abs if absmax_at is None else absmax_at
    power = 2.0 ** (math.frexp(largest)[1] - 1)
    if rounding is ScaleRounding.NEAREST_EVEN:
        return AbsmaxToScale(VALUES, largest * tensor, 0.0)
    reference = tensor * (largest if rounding in (ScaleRounding.UP, ScaleRounding.DOWN) else power)
    if rounding in (ScaleRounding.UP, ScaleRounding.CEIL):
        return AbsmaxToScale(NEXT_POWERS, reference, 0.0)
    if rounding is not ScaleRounding.EVEN:
        return AbsmaxToScale(POWERS, reference, CARRIES[rounding])
    if fmt.precision is None:
        raise ValueError(
            f'scale_rounding must not be "even" for {fmt}, which has no precision; use "nearest"'
        )
    return AbsmaxToScale(POWERS, reference, 2 - 2.0**-fmt.precision)


@lru_cache(maxsize=64)
def levels(fmt: NumberFormat) -> Levels:
    """Return the values to which magnitudes round, and the points between, on each side of zero.

    Parameters
    ----------
    fmt : NumberFormat

    Returns
    -------
    Levels

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.quantization.scales import levels
    >>> levels(mf.Codebook([-2.0, 0.0, 1.0]))
    Levels(values=array([0., 1., 0., 2.]), points=array([0.5, inf, 1. , inf]), second=2)
    """
    values = [float(v.exact) for v in sorted_values(fmt, negative_zero=False)]
    points = [float(p.at) for p in decision_points(fmt, negative_zero=False)]
    first = _side(values, points)
    second = _side([0.0 - v for v in reversed(values)], [0.0 - p for p in reversed(points)])
    return Levels(np.array(first[0] + second[0]), np.array(first[1] + second[1]), len(first[0]))


def _side(values: list[float], points: list[float]) -> tuple[list[float], list[float]]:
    """Return one side of `levels`, from the smallest magnitude on."""
    first = sum(point < 0 for point in points)
    return values[first:], [*points[first:], math.inf]
