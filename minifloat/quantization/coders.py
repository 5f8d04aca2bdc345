"""How the kernel finds the codes of a recipe's format: see `minifloat._kernels.quantize`.

Weights are ranked where a format has few values. The points between them are exact, and so are
their products with a divisor in float64. A float32 weight that is not on such a product is then so
far from it that a float64 quotient would be on the same side of the point, too.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

from minifloat._arrays import code_dtype
from minifloat._kernels.quantize import PACKED_TOGETHER, PART, Coder, Ranks, Scratch
from minifloat._kernels.ranks import LANES, MOST
from minifloat.codec.decision_points import DecisionPoint, Side, decision_points, sorted_values
from minifloat.codec.plans import scaled_record
from minifloat.formats import NumberFormat
from minifloat.quantization.recipes import Recipe

EXACT_BITS = 52  # of a product; with 53 a float64 quotient could be rounded to the point
SINGLE_BITS = 24  # of a float32, and of a tensor scale
LARGEST_SINGLE = Fraction(float(np.finfo(np.float32).max))
FAR = 2.0**500  # a point beyond, or within its inverse, might have a product beyond float64


def coder_of(recipe: Recipe, *, double: bool) -> Coder | None:
    """Return how codes are found, or None if the kernel has no way.

    Parameters
    ----------
    recipe : Recipe
    double : bool
        Whether weights are float64.

    Examples
    --------
    >>> import minifloat as mf
    >>> coder_of(mf.RECIPES["mxfp4"], double=False).ranks.points[:7].tolist()
    [-5.0, -3.5, -2.5, -1.75, -1.25, -0.75, -0.25]
    """
    divisor_bits = recipe.scale.values.mantissa_bits + 1 + SINGLE_BITS * recipe.tensor_scale
    single = not double and not recipe.tensor_scale
    return _coder(recipe.fmt, recipe.zero_point, double, divisor_bits, single)


def scratch_of(fmt: NumberFormat, count: int, size: int, *, is_single: bool) -> Scratch:
    """Return scratch space for ``count`` weights in blocks of ``size``.

    ``is_single`` says that the weights are float32, and compared as they are.
    """
    part = min(PART, count)
    lows, highs, divisors = np.empty((3, part // size + 1))
    words = np.empty(LANES if is_single else part + LANES, np.int32)
    first = np.full(MOST, np.iinfo(np.int32).max, np.int32)
    codes = np.empty(part + PACKED_TOGETHER + LANES, code_dtype(fmt.bits))
    spare = np.empty(PACKED_TOGETHER + 8, np.uint8)
    return Scratch(lows, highs, divisors, words, first, codes, spare)


@lru_cache(maxsize=256)
def _coder(
    fmt: NumberFormat, zero_point: bool, double: bool, divisor_bits: int, single: bool
) -> Coder | None:
    if zero_point:
        return Coder(None, None, False)
    if fmt.bits <= 8 and len(points := decision_points(fmt)) < MOST:
        exact = [_significant_bits(point.at) + divisor_bits <= EXACT_BITS for point in points]
        if all(map(_is_even_single if double else _is_near, points)) and (double or all(exact)):
            return Coder(_ranks(fmt, points), None, double)
    plan = scaled_record(fmt)
    return None if plan is None else Coder(None, plan, not single)


def _ranks(fmt: NumberFormat, points: list[DecisionPoint]) -> Ranks:
    """Return the points, which go upward, the codes, and the points' number in whole steps."""
    at, upward = np.full(MOST, np.inf), np.zeros(MOST, np.int32)
    for k, point in enumerate(points):
        at[k] = -0.0 if point.at == 0 and point.side is Side.UPPER else float(point.at)
        upward[k] = point.side is not Side.LOWER
    codes = [value.code for value in sorted_values(fmt)]
    table = np.array(codes + codes[-1:] * (MOST - len(codes)), np.int32)
    return Ranks(at, upward, table, -(-len(points) // LANES) * LANES)


def _significant_bits(number: Fraction) -> int:
    """Return the bits of a dyadic number's odd part."""
    odd = abs(number.numerator)
    return (odd // (odd & -odd)).bit_length() if odd else 0


def _is_near(point: DecisionPoint) -> bool:
    return point.at == 0 or 1 / FAR < abs(point.at) < FAR


def _is_even_single(point: DecisionPoint) -> bool:
    """Return whether a point is a float32 number with an even word."""
    if abs(point.at) > LARGEST_SINGLE:
        return False
    with np.errstate(under="ignore"):
        single = np.float32(float(point.at))
    return Fraction(float(single)) == point.at and int(single.view(np.int32)) % 2 == 0
