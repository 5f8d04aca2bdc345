"""Dyadic requantization: sums of integers become integers of few bits, by integers alone.

A sum of products of integers stands for a number, ``sum * scale``, and the next layer's integer is
``round(sum * scale / next scale)``. That ratio of scales is replaced by a dyadic number, an integer
over a power of two: so requantizing is a multiplication, an addition and a shift.
"""

from __future__ import annotations

from typing import Any, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat.arithmetic.multiplication.integers import integers
from minifloat.formats import Integer
from minifloat.formats.base import check_int, shown
from minifloat.formats.names import parse

Array = NDArray[Any]

MULTIPLIER_BITS = 31  # of HAWQ-V3: a positive int32
MAX_SHIFT = 63  # of an int64; from here on every sum rounds to 0
INT32 = -(2**31), 2**31 - 1


class Dyadic(NamedTuple):
    """Dyadic numbers ``multiplier / 2**shift``, one or an array of them.

    Attributes
    ----------
    multiplier, shift : ndarray of int64
        Of one shape; the multiplier is at most ``2**31 - 1``.
    """

    multiplier: Array
    shift: Array


def dyadic(scale: ArrayLike, bits: SupportsIndex = MULTIPLIER_BITS) -> Dyadic:
    """Return the dyadic numbers nearest to scales, with multipliers of so many bits.

    Parameters
    ----------
    scale : array_like of float
        Positive; products of scales over the next one, a number or one for each channel.
    bits : int
        Of the multiplier: it is in ``2**(bits - 1) .. 2**bits - 1``. 1..31.

    Returns
    -------
    Dyadic
        In the shape of ``scale``, off by at most ``2**-bits`` of the scale. A tie goes up.

    Raises
    ------
    TypeError
        If ``scale`` has a dtype that `minifloat.encode` does not take, or ``bits`` is not an int.
    ValueError
        If a scale is not positive and finite, or so large that the shift would be below 0, or
        ``bits`` is out of range.

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> multiplier, shift = arithmetic.dyadic(0.0123, bits=8)
    >>> int(multiplier), int(shift), multiplier / 2.0**shift
    (202, 14, np.float64(0.0123291015625))
    """
    width = check_int("bits", bits, 1, MULTIPLIER_BITS)
    scales = _arrays.source_array(scale, "scale")[0].astype(np.float64)
    if not np.all((scales > 0) & np.isfinite(scales)):
        raise ValueError(f"scale must be positive and finite, got {shown(scale)}")
    significands, exponents = np.frexp(scales)
    multipliers = np.floor(np.ldexp(significands, width) + 0.5).astype(np.int64)
    full = multipliers == 1 << width  # rounded up to the next power of two
    multipliers = np.where(full, multipliers >> 1, multipliers)
    shifts = width - exponents.astype(np.int64) - full
    if np.any(shifts < 0):
        raise ValueError(f"scale must be below 2**{width}, got {shown(scale)}")
    return Dyadic(multipliers, shifts)


def requantize(
    sums: ArrayLike, scale: Dyadic, fmt: Integer | str = "int8full", *, zero_point: ArrayLike = 0
) -> Array:
    """Return ``round(sums * scale) + zero_point``, in integers alone, saturated to a format.

    Parameters
    ----------
    sums : array_like of int
        In the range of int32, as integer matrix products give them.
    scale : Dyadic
        Of a shape that broadcasts to that of ``sums``: one, or one for each channel.
    fmt : Integer or str
        Format of the results.
    zero_point : array_like of int
        Added before saturation, in the range of int32.

    Returns
    -------
    ndarray of int8, int16, uint8 or uint16, in the shape of ``sums``
        ``floor((sums * multiplier + 2**(shift - 1)) / 2**shift)``: nearest, a tie goes up, as TVM
        runs HAWQ-V3's models. The simulation beside the paper sends ties to even.

    Raises
    ------
    TypeError
        If ``sums`` or ``zero_point`` are not integers, ``scale`` is not dyadic or ``fmt`` not an
        integer format.
    ValueError
        If a number is out of range, or shapes do not fit.

    References
    ----------
    Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", arXiv 2011.10680, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat import arithmetic
    >>> x, w = np.array([[100, -7]], np.int8), np.array([[3], [-20]], np.int8)
    >>> sums = x.astype(np.int32) @ w  # 440
    >>> arithmetic.requantize(sums, arithmetic.dyadic(0.05 * 0.02 / 0.1))
    array([[4]], dtype=int8)
    """
    found = parse(fmt)
    if not isinstance(found, Integer):
        raise TypeError(f"fmt must be an integer format, got {found}")
    numbers, zeros = integers("sums", sums, *INT32), integers("zero_point", zero_point, *INT32)
    multiplier, shift = _checked(scale)
    shift = np.minimum(shift, MAX_SHIFT)
    half = np.where(shift > 0, np.left_shift(np.int64(1), np.maximum(shift - 1, 0)), 0)
    try:
        results = np.right_shift(numbers * multiplier + half, shift) + zeros
        if results.shape != numbers.shape:
            raise ValueError
    except ValueError:
        raise ValueError(
            "scale and zero_point must have shapes that broadcast to that of sums, "
            f"{numbers.shape}, got {multiplier.shape} and {zeros.shape}"
        ) from None
    kind = f"{'i' if found.signed else 'u'}{1 if found.bits <= 8 else 2}"
    saturated: Array = np.clip(results, int(found.min), int(found.max)).astype(kind)
    return saturated


def _checked(scale: Dyadic) -> tuple[Array, Array]:
    if not isinstance(scale, Dyadic):
        raise TypeError(f"scale must be a Dyadic, got {shown(scale)}; use dyadic(scale)")
    multiplier, shift = (
        integers(f"scale.{name}", part, 0, INT32[1]) for name, part in scale._asdict().items()
    )
    return multiplier, shift
