"""What scales are: their formats, and the rules by which a block's scale is found.

A scale belongs to a block of weights. ``absmax`` is the block's greatest magnitude, ``max`` the
greatest magnitude that the weights' format has on both sides of zero, and ``emax`` the exponent of
``max``, that is ``floor(log2 max)``.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import lru_cache

import numpy as np

from minifloat._kernels.scales import (
    NEXT_POWERS,
    POWERS,
    VALUES,
    Levels,
    ScaleGrid,
    ScaleRule,
)
from minifloat.codec.decision_points import decision_points, sorted_values
from minifloat.formats import Format, Integer, NumberFormat
from minifloat.formats.names import parse

FLOAT32 = ScaleGrid(23, -126, 1, 2.0**-149, float(np.finfo(np.float32).max))


class ScaleRounding(StrEnum):
    """How the scale of a greatest magnitude becomes a value of the scale's format.

    NEAREST_EVEN   the value nearest to absmax / max; a tie to the even code
    FLOOR          2**(floor(log2 absmax) - emax): OCP Microscaling 1.0, 6.3
    CEIL           2**(ceil(log2 absmax) - emax)
    NEAREST        2**(n - emax), 2**n the power of two nearest to absmax, a tie to the greater
    EVEN           2**(floor(log2 r) - emax), r being absmax rounded to the nearest even of the
                   format's precision: torchao and Quark
    UP             the least power of two s with absmax / s <= max, that is
                   2**ceil(log2(absmax / max)): nothing saturates; ZeroQuant-FP's M1 (arXiv
                   2307.09782), torchao's RCEIL
    DOWN           2**floor(log2(absmax / max)); with a tensor scale it is ZeroQuant-FP's M2

    Exponents are those of the numbers' bits, so an absmax just below a power of two has the
    exponent that it has. A power of two below the scale's format becomes its least value.
    """

    NEAREST_EVEN = "nearest_even"
    FLOOR = "floor"
    CEIL = "ceil"
    NEAREST = "nearest"
    EVEN = "even"
    UP = "up"
    DOWN = "down"


NEVER = 2.0  # what no significand reaches
CARRIES = {  # see `ScaleRule`
    ScaleRounding.FLOOR: NEVER,
    ScaleRounding.DOWN: NEVER,
    ScaleRounding.NEAREST: 1.5,
}


class ScaleSearch(StrEnum):
    """Which scale a block gets.

    ABSMAX       that of its greatest magnitude
    MSE          the scale of least squared error of all that the scale's format has (with a power
                 of two's rounding: of all powers of two that it has); exactly, but for float64
                 arithmetic. Where absmax's scale is as good, that one.
    PERCENTILE   that of a percentile of its magnitudes, interpolated linearly as by
                 `numpy.percentile`, or of its greatest magnitude where the percentile is 0
    SHRINK       of the scales of absmax * (1 - k / 100), k = 0 .. 79, the first of the least sum of
                 |error|**2.4: GPTQ's search, which FPE2M2's code has
    """

    ABSMAX = "absmax"
    MSE = "mse"
    PERCENTILE = "percentile"
    SHRINK = "shrink"


def scale_format(scale: Format | str) -> tuple[str, int, ScaleGrid]:
    """Return a scale format's name, bits and positive values.

    Parameters
    ----------
    scale : Format or str
        A format of a kind that has scales, or its name, or "float32".

    Returns
    -------
    tuple of str, int, ScaleGrid

    Raises
    ------
    ValueError
        If it is no such format, or has a value that float32 does not hold.
    TypeError
        If it is neither a format nor a str.

    Examples
    --------
    >>> from minifloat.quantization.scales import scale_format
    >>> scale_format("e8m0")[:2], scale_format("ue4m3")[2].greatest
    (('e8m0', 8), 448.0)
    """
    if isinstance(scale, str) and scale == "float32":
        return "float32", 32, FLOAT32
    try:
        fmt = parse(scale)
    except (ValueError, TypeError) as error:
        raise type(error)(str(error).replace("fmt must", "scale must", 1)) from None
    if not isinstance(fmt, Format):
        raise ValueError(f"scale must be float32 or a Format such as e8m0, got {fmt}")
    if fmt.max > FLOAT32.greatest or fmt.emin - fmt.mantissa_bits < -149:
        raise ValueError(f"scale must be a format whose values float32 holds, got {fmt}")
    grid = ScaleGrid(fmt.mantissa_bits, fmt.emin, int(fmt.has_zero), fmt.smallest, fmt.max)
    return fmt.name, fmt.bits, grid


def reach(fmt: NumberFormat) -> float:
    """Return the greatest magnitude that a format has on both sides of zero.

    Parameters
    ----------
    fmt : NumberFormat

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it has no value above zero.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.quantization.scales import reach
    >>> reach(mf.parse("int4full")), reach(mf.parse("uint4"))
    (7.0, 15.0)
    """
    top = fmt.max if fmt.min >= 0 else min(fmt.max, -fmt.min)
    if top <= 0:
        raise ValueError(f"fmt must have a value above zero, got {fmt}")
    return top


def scale_rule(fmt: NumberFormat, rounding: ScaleRounding, tensor: float) -> ScaleRule:
    """Return how the kernels round a greatest magnitude to a scale of weights of ``fmt``.

    Parameters
    ----------
    fmt : NumberFormat
        Of the weights.
    rounding : ScaleRounding
    tensor : float
        The tensor's scale, by which the blocks' scales are multiplied.

    Returns
    -------
    ScaleRule

    Raises
    ------
    ValueError
        If the rounding is EVEN and the format has no precision (a `Codebook`).

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.quantization.scales import ScaleRounding, scale_rule
    >>> scale_rule(mf.parse("e2m1"), ScaleRounding.EVEN, 1.0)
    ScaleRule(kind=1, reference=4.0, carry=1.75)
    """
    top = reach(fmt)
    power = 2.0 ** (math.frexp(top)[1] - 1)
    if rounding is ScaleRounding.NEAREST_EVEN:
        return ScaleRule(VALUES, top * tensor, 0.0)
    reference = tensor * (top if rounding in (ScaleRounding.UP, ScaleRounding.DOWN) else power)
    if rounding in (ScaleRounding.UP, ScaleRounding.CEIL):
        return ScaleRule(NEXT_POWERS, reference, 0.0)
    if rounding in CARRIES:
        return ScaleRule(POWERS, reference, CARRIES[rounding])
    if isinstance(fmt, Format):
        precision = fmt.precision
    elif isinstance(fmt, Integer):
        precision = fmt.bits - fmt.signed
    else:
        raise ValueError(
            f'scale_rounding must not be "even" for {fmt}, which has no precision; use "nearest"'
        )
    return ScaleRule(POWERS, reference, 2 - 2.0**-precision)


def powers_of_two(grid: ScaleGrid) -> ScaleGrid:
    """Return the powers of two among a scale format's values.

    Parameters
    ----------
    grid : ScaleGrid

    Returns
    -------
    ScaleGrid

    Raises
    ------
    Nothing.

    Examples
    --------
    >>> from minifloat.quantization.scales import powers_of_two, scale_format
    >>> powers_of_two(scale_format("float16")[2])
    ScaleGrid(mantissa_bits=0, emin=-24, zeros=1, smallest=5.960464477539063e-08, greatest=32768.0)
    """
    least = 2.0 ** (math.frexp(grid.smallest)[1] - (math.frexp(grid.smallest)[0] == 0.5))
    greatest = 2.0 ** (math.frexp(grid.greatest)[1] - 1)
    return ScaleGrid(0, math.frexp(least)[1] - 1, grid.zeros, least, greatest)


@lru_cache(maxsize=64)
def levels(fmt: NumberFormat) -> Levels:
    """Return the values of a format by the magnitude of the number rounded, on each side of zero.

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
    """Return the values to which magnitudes round, from the smallest on, and the points between."""
    first = sum(point < 0 for point in points)
    return values[first:], [*points[first:], math.inf]
