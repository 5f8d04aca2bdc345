"""Scales whose ratios are powers of two, and the cast of FP4 to FP8 that they allow.

ZeroQuant-FP (arXiv 2307.09782) keeps weights in E2M1 and inputs in FP8, and casts weights to FP8
before a product. With any scales a cast rounds. If the scales of a group of rows are S / 2**k, with
one S, then a weight v S / 2**k is (v / 2**k) S, and v / 2**k is a value of FP8: the cast adds -k to
the exponents, and the group has one scale left, S. (M1, where all scales are powers of two, is the
`minifloat.ScaleRounding` "up": "e2m1/256/float32:up".)
"""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import check_cpu, code_dtype, source_array
from minifloat._tensors import AnyTensor
from minifloat.codec import encode
from minifloat.composites.fixed_scales import plain_rule, quantize_by
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int
from minifloat.formats.names import parse
from minifloat.packing import pack
from minifloat.quantization import quantize
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]


def power_of_two_ratios(
    w: ArrayLike | AnyTensor, recipe: Recipe | NumberFormat | str, rows: SupportsIndex
) -> Quantized:
    """Quantize weights so that the scales of each group of rows differ by powers of two.

    ZeroQuant-FP's M2: where a recipe finds the scales s of a group, the largest being S, they
    become S / 2**ceil(log2(S / s)). So a scale becomes at most twice as small, and the largest
    weights of most blocks saturate: that is the method's price. (Where a scale would not be a value
    of the scale format, the next larger power of two is taken that gives one.)

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        As for `minifloat.quantize`.
    recipe : Recipe, format or str
        With blocks along the inputs, and neither a tensor scale nor zero points, tables,
        alternatives or double quantization.
    rows : int
        Rows of a group; the last one may have fewer.

    Returns
    -------
    Quantized
        Of the same recipe; for `cast_exponents`.

    Raises
    ------
    ValueError
        If ``w`` is not a matrix, the recipe is another, ``rows`` is below 1, and as
        `minifloat.quantize`.
    TypeError
        As `minifloat.quantize`.

    Examples
    --------
    >>> from minifloat import composites
    >>> w = [[6.0, 1.0], [1.2, 3.0]]
    >>> composites.power_of_two_ratios(w, "e2m1/1/float32", 2).scales
    array([[1.   , 0.125],
           [0.125, 0.5  ]], dtype=float32)
    """
    check_cpu()
    count = check_int("rows", rows, 1)
    weights = source_array(w, "w")[0]
    parsed = Recipe.parse(recipe)
    if weights.ndim != 2:
        raise ValueError(f"w must be of shape (outputs, inputs), got shape {weights.shape}")
    if rule := plain_rule(parsed):
        raise ValueError(f"recipe must have scales of blocks along the inputs alone, got {rule}")
    scales = quantize(weights, parsed).scales.copy()
    for start in range(0, len(scales), count):
        group = scales[start : start + count]
        scales[start : start + count] = _ratios(group, parsed)
    return quantize_by(weights, scales, parsed)


def _ratios(scales: Array, recipe: Recipe) -> NDArray[np.float32]:
    """Return the scales of a group, each the largest one over a power of two."""
    largest = float(scales.max(initial=0))
    live = scales > 0
    ratios = largest / np.where(live, scales, 1).astype(np.float64)
    significands, exponents = np.frexp(ratios)
    shifts = exponents - (significands == 0.5)  # ceil(log2)
    while True:
        new = np.where(live, np.ldexp(largest, -shifts), 0)
        wrong = ~recipe.scale.holds(new)
        if not wrong.any():
            return new.astype(np.float32)
        shifts[wrong] -= 1


def cast_exponents(q: Quantized, fmt: NumberFormat | str, rows: SupportsIndex = 1) -> Quantized:
    """Cast weights to a wider format without an error, to have one scale for each group of rows.

    Parameters
    ----------
    q : Quantized, (outputs, inputs)
        Whose scales in a group are the largest one over powers of two, as `power_of_two_ratios`
        makes them, or all are powers of two ("e2m1/32/e8m0").
    fmt : format or str
        Which has each value of the weights' format over these powers of two: FP8 for E2M1, E4M3 for
        ratios up to 2**8, E5M2 for some 2**15.
    rows : int
        Rows of a group.

    Returns
    -------
    Quantized
        The same weights, bit for bit: in ``fmt``, with the largest scale of each group, in tiles of
        ``rows`` x inputs (for one row, in blocks of the whole row).

    Raises
    ------
    ValueError
        If a ratio is no power of two, a value would be rounded, or ``q`` is no matrix or has other
        parts than codes and scales along the inputs.
    TypeError
        If ``q`` is not `Quantized`.

    Notes
    -----
    In hardware, k is subtracted from the exponent of a code that is not 0; where E2M1's code is
    subnormal (0.5) it is a normal number of FP8.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat import composites
    >>> q = composites.power_of_two_ratios([[6.0, 1.0, 0.5, 0.1]], "e2m1/2/float16", 1)
    >>> wide = composites.cast_exponents(q, "e4m3fn")
    >>> q.scales.tolist(), wide.scales.tolist()
    ([[1.0, 0.0625]], [[1.0]])
    >>> bool((wide.dequantize() == q.dequantize()).all())
    True
    """
    check_cpu()
    if not isinstance(q, Quantized):
        raise TypeError(f"q must be Quantized, got {type(q).__name__}; minifloat.quantize makes it")
    count = check_int("rows", rows, 1)
    if len(q.shape) != 2 or q.axis != 1:
        raise ValueError(f"q must be a matrix in blocks along its inputs, got {q!r}")
    if rule := plain_rule(q.recipe):
        raise ValueError(f"q must have scales of blocks along the inputs alone, got {rule}")
    largest = np.zeros((-(-q.shape[0] // count), 1), np.float32)
    shifts = np.zeros(q.scales.shape, np.int64)
    for k, start in enumerate(range(0, len(q.scales), count)):
        group = q.scales[start : start + count]
        largest[k] = group.max(initial=0)
        shifts[start : start + count] = _shifts(group, float(largest[k, 0]))
    wide = parse(fmt)
    codes = shifted_codes(q.codes, q.blocks.every_weight(shifts), q.fmt, wide)
    tile = "channel" if count == 1 else (count, max(q.shape[1], 1))
    return Quantized(
        packed=pack(codes.reshape(-1), wide.bits),
        scales=largest,
        recipe=Recipe(wide, block=tile, scale=q.recipe.scale, rotation=q.rotation),
        shape=q.shape,
        axis=1,
    )


def _shifts(scales: Array, largest: float) -> NDArray[np.int64]:
    """Return k where scales are the largest one over 2**k."""
    live = scales > 0
    if not np.isfinite(scales).all():
        raise ValueError("q must have finite scales, got NaN")
    significands, exponents = np.frexp(largest / np.where(live, scales, 1).astype(np.float64))
    uneven = live & (significands != 0.5)
    if uneven.any():
        wrong = scales[uneven][0]
        raise ValueError(
            f"q must have scales whose ratios are powers of two in each group of rows, got "
            f"{largest:g} and {wrong:g}; use power_of_two_ratios"
        )
    return np.asarray(np.where(live, exponents - 1, 0), np.int64)


def shifted_codes(codes: Array, shifts: Array, narrow: NumberFormat, wide: NumberFormat) -> Array:
    """Return the codes in a wider format of values over 2**shift.

    Parameters
    ----------
    codes, shifts : ndarray of integers
        Of one shape.
    narrow, wide : format

    Raises
    ------
    ValueError
        If the wider format does not have a value.

    Examples
    --------
    >>> import numpy as np, minifloat as mf
    >>> from minifloat.composites.power_of_two_scales import shifted_codes
    >>> e2m1, e5m2 = mf.parse("e2m1"), mf.parse("e5m2")
    >>> mf.decode(shifted_codes(np.array([1, 7]), np.array([0, 3]), e2m1, e5m2), e5m2)
    array([0.5 , 0.75], dtype=float32)
    """
    out = np.empty(codes.shape, code_dtype(wide.bits))
    values = narrow.values()
    for shift in np.unique(shifts):
        here = shifts == shift
        moved = np.ldexp(values, -int(shift))
        table = np.asarray(encode(np.where(np.isfinite(moved), moved, 0), wide))
        used = np.unique(codes[here])
        wrong = used[wide.values()[table[used]] != moved[used]]
        if wrong.size:
            raise ValueError(
                f"fmt must have each value of {narrow} over 2**{shift}, got {wide}, which has no "
                f"{moved[wrong[0]]:g}; use more exponent bits"
            )
        out[here] = table[codes[here]]
    return out
