"""Weights that are stored once and read at several widths, by cutting or rounding their codes.

The top bits of a code are a narrower code. What it means depends on the format:

    ExMy      the code of Ex with fewer mantissa bits, of the nearest value towards zero: E2M2
              stands inside E2M3, and this one inside E2M4
    integers  the floor of a quotient by a power of two
    tables    a group of neighbours, where values ascend with codes

Cutting reads only the bits that are used. Rounding reads all of them and is nearer: Double Rounding
("Nearly Lossless Adaptive Bit Switching") and Matryoshka Quantization (arXiv 2502.06786) do so with
integers. Any-Precision LLM (arXiv 2402.10517) cuts the codes of tables, each cell of which is split
in two. That ExMy formats nest is this library's; `analysis.errors.nested` has what it costs.
"""

from __future__ import annotations

import math
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat._threads import check_threads
from minifloat.codec import encode
from minifloat.formats import Codebook, NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.formats.codebook import codebook_of
from minifloat.formats.names import parse
from minifloat.packing import pack
from minifloat.quantization.checks import block_axis, checked_factors
from minifloat.quantization.memory_rows import MemoryRows
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.tables import quantized_by_tables, rounded_to_scale

Array = NDArray[Any]
Reading: TypeAlias = Literal["rounded", "cut"]
READINGS = ("rounded", "cut")


def narrow(q: Quantized, fmt: NumberFormat | str, *, reading: Reading = "rounded") -> Quantized:
    """Return weights at a narrower width, from their codes alone.

    Parameters
    ----------
    q : Quantized
        Without zero points.
    fmt : format or str
        Of fewer bits. For weights with tables (lut8) a narrower lut.
    reading : str
        "rounded": each value is rounded to the nearest of ``fmt``, a tie to the even code. "cut":
        the low bits of codes are cut, and ``fmt`` says what the rest means.

    Returns
    -------
    Quantized
        With the scales of ``q``. Where integers become narrower, the tensor scale (or all scales,
        where there is none) is multiplied by the power of two by which they are worth more. The
        values of a table are the means of those that they stand for, weighted by the block's codes.

    Raises
    ------
    ValueError
        If ``fmt`` has not fewer bits, there are zero points (whose narrow ones would not be
        integers), blocks are of several formats, or a scale is beyond its format.
    TypeError
        If ``q`` is not `Quantized`.

    Notes
    -----
    Rounded integers are Double Rounding's ``clip(round(W / 2**d))``, and Matryoshka's base form in
    offset binary. The error is that of two roundings: at most half a step of both formats.

    Examples
    --------
    >>> import minifloat as mf
    >>> wide = mf.quantize([1.0, -0.4, 0.34, 0.07], "e2m4")
    >>> mf.narrow(wide, "e2m2").dequantize()
    array([ 0.90319824, -0.38708496,  0.3225708 ,  0.06451416], dtype=float32)
    >>> mf.narrow(mf.quantize([1.0, -0.4], "int8full"), "int4full")
    <Quantized int4full/128/float16 (2,): 12 bits per weight, axis 0>
    """
    _arrays.check_cpu()
    if not isinstance(q, Quantized):
        raise TypeError(f"q must be Quantized, got {type(q).__name__}; minifloat.quantize makes it")
    narrower, wider = parse(fmt), q.fmt
    if not (isinstance(reading, str) and reading in READINGS):
        raise ValueError(f"reading must be rounded or cut, got {shown(reading)}")
    if narrower.bits >= wider.bits:
        raise ValueError(
            f"fmt must have fewer bits than the {wider.bits} of {wider}, got {narrower}"
        )
    if q.zero_points is not None:
        raise ValueError(
            f"q must have no zero points, which are not integers at a narrower width, got "
            f"{q.recipe}; use a signed format such as int8full"
        )
    if q.choices is not None:
        raise ValueError(
            f"q must have one format for all blocks, got {q.recipe}; quantize to one of them alone"
        )
    if wider.is_lookup or narrower.is_lookup:
        return _narrow_tables(q, narrower, reading)
    codes, values = q.codes, wider.values()
    if not np.isfinite(values[codes]).all():
        raise ValueError(f"q must have finite weights, got an infinity or NaN of {wider}")
    scales, tensor_scale, exponent = q.scales, q.tensor_scale, narrow_exponent(wider, narrower)
    with np.errstate(over="ignore"):
        if tensor_scale is None:
            scales = np.ldexp(scales, exponent)
        else:
            tensor_scale = math.ldexp(tensor_scale, exponent)
    return Quantized(
        packed=pack(narrow_codes(wider, narrower, reading)[codes].reshape(-1), narrower.bits),
        scales=scales,
        recipe=q.recipe.replace(fmt=narrower, double=False),
        shape=q.shape,
        axis=q.axis,
        tensor_scale=tensor_scale,
    )


def narrow_exponent(wide: NumberFormat, narrow: NumberFormat) -> int:
    """Return the power of two by which scales grow: the bits that an integer loses, else 0.

    Examples
    --------
    >>> import minifloat as mf
    >>> narrow_exponent(mf.parse("int8"), mf.parse("int4"))
    4
    """
    return wide.bits - narrow.bits if wide.is_integer and narrow.is_integer else 0


def narrow_codes(wide: NumberFormat, narrow: NumberFormat, reading: Reading) -> Array:
    """Return the narrow code of each wide one.

    Parameters
    ----------
    wide, narrow : format
        ``narrow`` of fewer bits.
    reading : str
        As for `narrow`.

    Returns
    -------
    ndarray of unsigned integers, (wide.code_count,)

    Examples
    --------
    >>> import minifloat as mf
    >>> narrow_codes(mf.parse("ue2m2"), mf.parse("ue2m1"), "rounded").tolist()
    [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 7]
    """
    if reading == "rounded":
        values = wide.values() / 2.0 ** narrow_exponent(wide, narrow)
        return np.asarray(encode(np.where(np.isfinite(values), values, 0), narrow))
    codes = np.arange(wide.code_count) >> (wide.bits - narrow.bits)
    if narrow.unused_code is not None:  # -8 of int4
        codes[codes == narrow.unused_code] = narrow.min_code
    return codes.astype(_arrays.code_dtype(narrow.bits))


def _narrow_tables(q: Quantized, narrower: NumberFormat, reading: Reading) -> Quantized:
    """Return weights with tables whose values are the means of those with the same top bits."""
    wider = q.fmt
    if not (wider.is_lookup and narrower.is_lookup and reading == "cut"):
        raise ValueError(
            f'fmt must be a lut, with reading="cut", for weights with tables, and only for these, '
            f"got {narrower}, {reading}, for {wider}"
        )
    codes, count = q.codes.reshape(-1), wider.code_count
    blocks = np.zeros(0, np.int64)
    tables = q.scales.reshape(-1, count).astype(np.float64)
    if q.size:
        rows = MemoryRows.of(q.blocks)
        blocks = rows.spread(np.arange(len(tables)), slice(0, rows.count))
    counts = np.bincount(blocks * count + codes, minlength=tables.size)
    split = (len(tables), narrower.code_count, 1 << (wider.bits - narrower.bits))
    masses, values = counts.reshape(split).astype(np.float64), tables.reshape(split)
    masses[masses.sum(axis=2) == 0] = 1.0
    means = (masses * values).sum(axis=2) / masses.sum(axis=2)
    recipe = q.recipe.replace(fmt=narrower)
    merged = rounded_to_scale(means, recipe.scale).astype(np.float32)
    return Quantized(
        packed=pack(codes >> (wider.bits - narrower.bits), narrower.bits),
        scales=merged.reshape(*q.blocks.scale_shape, narrower.code_count),
        recipe=recipe,
        shape=q.shape,
        axis=q.axis,
    )


def quantize_nested(
    w: ArrayLike | AnyTensor,
    recipe: Recipe | str,
    seed_bits: SupportsIndex,
    *,
    axis: SupportsIndex = -1,
    importance: ArrayLike | AnyTensor | None = None,
    threads: SupportsIndex = 1,
) -> Quantized:
    """Quantize weights by tables that can be read at several widths, as Any-Precision LLM does.

    A block's table of ``seed_bits`` is the best one; each of its cells is split in two, in the best
    way, and so on until the recipe's width. Then each weight has the nearest level, which near a
    cell's border may be one of the next cell. `narrow` reads the weights at a width from
    ``seed_bits`` on, with ``reading="cut"``. (Any-Precision LLM seeds by k-means, and stores a
    table for each width; here the widest one and the codes tell the others.)

    Parameters
    ----------
    w : array_like
        As for `quantize`.
    recipe : Recipe or str
        Of a lut: "lut8/channel/float16".
    seed_bits : int
        The narrowest width that will be read, from 1 to that of the recipe.
    axis, importance, threads
        As for `quantize`.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError, TypeError
        As `quantize`; if the recipe is not of a lut, or ``seed_bits`` is out of range.

    Examples
    --------
    >>> import minifloat as mf
    >>> q = mf.quantize_nested([0.0, 0.1, 0.9, 1.1, 5.0, 5.5], "lut2/channel/float32", 1)
    >>> q.dequantize().astype(float).round(3).tolist()
    [0.05, 0.05, 1.0, 1.0, 5.0, 5.5]
    >>> mf.narrow(q, "lut1", reading="cut").dequantize()
    array([0.525, 0.525, 0.525, 0.525, 5.25 , 5.25 ], dtype=float32)
    """
    _arrays.check_cpu()
    parsed = Recipe.parse(recipe)
    if not parsed.fmt.is_lookup:
        raise ValueError(
            f"recipe must be of a lut for nested tables, got {parsed}; ExMy and integers nest as "
            "they are: use quantize"
        )
    seed = check_int("seed_bits", seed_bits, 1, parsed.fmt.bits)
    weights = _arrays.source_array(w, "w")[0]
    number = block_axis(axis, weights.shape, parsed.block)
    factors = None
    if importance is not None:
        factors = checked_factors("importance", importance, weights.shape)
    return quantized_by_tables(
        weights, parsed, number, importance=factors, seed_bits=seed, threads=check_threads(threads)
    )


def nests(narrow: NumberFormat | str, wide: NumberFormat | str) -> bool:
    """Return whether the top bits of wide codes are codes of the narrow format.

    The exact test, code by code: a narrow code with zeros behind it has its value in the wide
    format, up to one power of two; and the values of the codes that begin with it are neighbours,
    of which it is the first or the last. So a cut code has the nearest narrow value towards zero,
    or of two's complement the nearest below.

    Parameters
    ----------
    narrow, wide : format or str

    Returns
    -------
    bool
        True for ExMy of as many exponent bits, both without infinities and NaN, whatever their
        biases: E2M2 in E2M3 in E2M4. False where a code has no finite value.

    Raises
    ------
    ValueError, TypeError
        If one is not a format or its name.

    Examples
    --------
    >>> from minifloat.quantization.nested import nests
    >>> nests("e2m2", "e2m4"), nests("e2m2", "e3m2"), nests("int4full", "int8full")
    (True, False, True)
    """
    small, large = parse(narrow).values(), parse(wide).values()
    if large.size <= small.size or large.size % small.size:
        return False
    if not (np.isfinite(small).all() and np.isfinite(large).all()):
        return False
    groups = large.reshape(small.size, -1)
    cut = groups[:, 0]
    if (np.signbit(small) != np.signbit(cut)).any() or not small.any():
        return False
    ratio = abs(cut).max() / abs(small).max()
    if math.frexp(ratio)[0] != 0.5 or (small * ratio != cut).any():
        return False
    low, high = groups.min(axis=1), groups.max(axis=1)
    order = np.lexsort((~np.signbit(cut), low))  # -0 before 0
    is_end = (cut == low) | (cut == high)
    return bool(is_end.all() and (high[order][:-1] <= low[order][1:]).all())


def cut_codebook(wide: NumberFormat | str, bits: SupportsIndex) -> Codebook:
    """Return what a code's top bits mean at best, if all codes are alike: the mean of its values.

    Towards zero, as an ExMy format inside a wider one has them, cut codes have values that are too
    small by half a step on average. In the middle there is none twice: 0 and -0 become the
    smallest value above zero and that below.

    Parameters
    ----------
    wide : format or str
        Whose values are all finite.
    bits : int
        Fewer than those of ``wide``.

    Returns
    -------
    Codebook
        For `narrow` with ``reading="cut"``.

    Raises
    ------
    ValueError
        If ``bits`` is out of range, a code of ``wide`` has no finite value, or two means are equal.
    TypeError
        If ``wide`` is not a format or its name.

    Examples
    --------
    >>> from minifloat.quantization.nested import cut_codebook
    >>> list(cut_codebook("e2m2", 3))
    [0.375, 1.375, 2.75, 5.5, -0.375, -1.375, -2.75, -5.5]
    """
    wider = parse(wide)
    width = check_int("bits", bits, 1, max(wider.bits - 1, 1))
    values = wider.values()
    if values.size != 1 << wider.bits or not np.isfinite(values).all():
        raise ValueError(f"wide must have a finite value for each code, got {wider}")
    means = values.reshape(1 << width, -1).mean(axis=1).tolist()
    return codebook_of(means, f"{wider.name}_cut{width}")
