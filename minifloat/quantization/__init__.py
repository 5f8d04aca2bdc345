"""Weights to codes with scales: `quantize`; `search_format` tries all formats of a width.

Here arguments are checked; `minifloat.quantization.pipeline` does the work.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._threads import check_threads
from minifloat.formats import Format, Integer, NumberFormat
from minifloat.formats.base import check_bool, check_int
from minifloat.formats.names import parse
from minifloat.formats.rounding import choose
from minifloat.packing import pack
from minifloat.quantization import feedback as gptq
from minifloat.quantization.pipeline import Job
from minifloat.quantization.quantized import (
    DOUBLE_BLOCK,
    DOUBLE_FORMAT,
    DoubleScales,
    Quantized,
    as_rows,
)
from minifloat.quantization.recipes import PRESETS
from minifloat.quantization.scales import ScaleRounding, ScaleSearch, scale_format

Array = NDArray[Any]


def quantize(
    w: ArrayLike,
    fmt: NumberFormat | str,
    *,
    block_size: int | None = 128,
    axis: int | None = -1,
    scale: Format | str = "float16",
    rule: ScaleSearch | str = ScaleSearch.ABSMAX,
    scale_rounding: ScaleRounding | str | None = None,
    tensor_scale: bool = False,
    double_quantize: bool = False,
    zero_point: bool = False,
    percentile: float = 99.9,
    importance: ArrayLike | None = None,
    hessian: ArrayLike | None = None,
    damp: float = 0.01,
    threads: int = 1,
) -> Quantized:
    """Quantize weights to ``fmt`` with a scale for each block.

    An all-zero block gets scale 0 (or the least one, of a format without zero) and comes back as
    zeros. A scale too small for its format becomes its least positive value, never 0. Ties go to
    the even code. `minifloat.PRESETS` has the options of MXFP4, NVFP4 and others.

    Parameters
    ----------
    w : array_like of float16, bfloat16, float32, float64 or integers
        Finite weights of any shape.
    fmt : format or str
        A `Format`, `Integer` or `Codebook`, or a name such as ``"e2m2"``.
    block_size : int, optional
        Elements along ``axis`` that share a scale; the last block may be shorter. None: the whole
        length of the axis (one scale for each channel).
    axis : int, optional
        The axis that blocks run along. None: one scale for the whole tensor.
    scale : Format or str
        Format of the scales: float32, or a `Format` whose values float32 holds, or its name.
    rule : ScaleSearch or str
        "absmax", "mse", "percentile" or "shrink"; see `minifloat.ScaleSearch`.
    scale_rounding : ScaleRounding or str, optional
        "nearest_even", or to a power of two: "floor", "ceil", "nearest", "even", "up" or "down";
        see `minifloat.ScaleRounding`. None: "floor", as OCP Microscaling has it, where the scale's
        format has powers of two alone (e8m0), else "nearest_even".
    tensor_scale : bool
        Whether the scales of blocks are multiplied by one float32 number T. It is the greatest
        scale over the greatest value of ``scale`` (over 1 where scales are powers of two), and
        absmax in the rules is absmax / T.
    double_quantize : bool
        Whether the scales, of which ``scale="float32"`` is then required, are quantized to E4M3FN
        in blocks of 256 after their mean is subtracted (QLoRA). A difference by which a scale
        would not be above 0 goes to a greater value. Codes are of the scales as they come back.
    zero_point : bool
        Whether each block has, beside its scale, a code that means 0. For an unsigned `Integer`,
        with rule "absmax": with lo = min(0, least weight) and hi = max(0, greatest weight) the
        scale is that of hi - lo, the zero round(-lo / scale), and a code round(w / scale) + zero,
        both cut off at the format's ends.
    percentile : float
        Of rule "percentile", 0 to 100.
    importance : array_like of float, optional
        A factor for each squared error, at least 0, of a shape that broadcasts to that of ``w``;
        for rule "mse".
    hessian : array_like of float, optional
        X^T X, of shape (inputs, inputs), of a layer's calibration inputs X, a row to each sample
        (any factor will do). The weights, of shape (outputs, inputs), are then rounded by GPTQ: one
        column after another, those to come making up for the errors so far (`feedback`).
        A block's scale and zero are found, by the same rules, when the columns before it are
        rounded, from what its weights have become. The weights of an input that is always 0 are
        rounded to nearest.
    damp : float
        This times the mean of the Hessian's diagonal is added to its diagonal.
    threads : int
        Threads to share the blocks among; the result does not depend on it.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError
        If a weight is infinite or NaN (with its index), a scale is beyond its format, a weight is
        negative and the format has no negative values, an option has no such value, or two do not
        go together; if ``hessian`` has another shape, or is not finite, symmetric and positive
        semidefinite (when damped, definite).
    TypeError
        If ``w`` or ``hessian`` is not numeric, or an option of another type.

    Notes
    -----
    With rule "mse" a block of n weights takes up to 40 bytes times n times the number of values of
    the format, and at most 40 MiB or 160 n bytes.

    With a Hessian of n inputs GPTQ takes 32 n**2 bytes at most, and for each thread some 10 MiB or
    32 n bytes. Where a scale that only updated weights ask for is beyond its format, it is the
    greatest that the format has. Updates are sums in float64 by BLAS: an updated weight so near to
    a decision point that their order matters may go either way on another machine. With a diagonal
    Hessian the result is that without one.

    Examples
    --------
    >>> import minifloat as mf
    >>> q = mf.quantize([[1.0, -0.5, 0.1, 0.02]], "e2m2", block_size=2, scale="float32")
    >>> q.codes.tolist(), q.scales.tolist()
    ([[15, 27, 15, 6]], [[0.1428571492433548, 0.014285714365541935]])
    >>> q.bits_per_weight
    21.0
    >>> mf.quantize([0.9, -0.4], "e2m1", scale="e8m0").scales
    array([0.125], dtype=float32)

    The last two inputs are the same, so of their weights only the sum matters:

    >>> hessian = [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    >>> mf.quantize([[1.0, 0.4, 0.4]], "int2", hessian=hessian).dequantize()
    array([[1., 0., 1.]], dtype=float32)
    """
    fmt = _format(fmt)
    weights, name = _arrays.source_array(w)
    axis = _check_blocks(weights, block_size, axis)
    scale_name, _, grid = scale_format(scale)
    rule = choose(ScaleSearch, "rule", rule)
    if scale_rounding is None:
        scale_rounding = ScaleRounding.NEAREST_EVEN if grid.mantissa_bits else ScaleRounding.FLOOR
    rounding = choose(ScaleRounding, "scale_rounding", scale_rounding)
    _check_options(fmt, rule, scale_name, tensor_scale, double_quantize, zero_point, percentile)
    check_threads(threads)
    feedback = _feedback(hessian, damp, fmt, weights, axis, double_quantize, zero_point)
    rows, length = as_rows(weights, axis)
    job = Job(
        fmt=fmt,
        weights=weights,
        axis=axis,
        rows=rows,
        length=length,
        size=block_size if block_size is not None and axis is not None else max(length, 1),
        dtype=np.dtype(np.float64 if name == "float64" else np.float32),
        scale_name=scale_name,
        grid=grid,
        rounding=rounding,
        rule=rule,
        percentile=float(percentile),
        importance=_importance(importance, rule, weights, axis),
        zero_point=zero_point,
        double=_double_scales if double_quantize else None,
        feedback=feedback,
    )
    if tensor_scale:
        job.tensor = job.find_tensor_scale()
    return job.run(block_size if axis is not None else None, threads)


def search_format(w: ArrayLike, bits: int, **options: Any) -> Quantized:
    """Quantize weights in every ExMy format of a width, and return the one of least squared error.

    This is the search for a format of LLM-FP4 (arXiv 2310.16836), whose real-valued bias is a free
    scale: ``scale="float32", rule="mse"``.

    Parameters
    ----------
    w : array_like
        As for `quantize`.
    bits : int
        Width of a code, 3 to 8: a sign, E >= 1 exponent bits and M = bits - 1 - E mantissa bits,
        without infinities and NaN. Of equal errors the least E wins.
    **options
        As for `quantize`.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError, TypeError
        If ``bits`` is out of range, and as `quantize`.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.search_format([1.0, 2.0, 4.0, -8.0], 4, scale="float32").fmt.name
    'e3m0'
    """
    check_int("bits", bits, 3, 8)
    weights = np.asarray(w)
    found = [
        quantize(weights, Format(exponent_bits, bits - 1 - exponent_bits), **options)
        for exponent_bits in range(1, bits)
    ]
    return min(found, key=lambda q: _squared_error(weights, q))


def _squared_error(weights: Array, quantized: Quantized) -> float:
    rest = weights.astype(np.float64) - quantized.dequantize()
    return float(np.square(rest).sum())


def _format(fmt: NumberFormat | str) -> NumberFormat:
    try:
        return parse(fmt)
    except ValueError:
        if fmt not in PRESETS:
            raise
        raise ValueError(
            f"fmt must be a format, and {fmt} is a preset, which has one; use "
            f'minifloat.quantize(w, **mf.PRESETS["{fmt}"])'
        ) from None


def _check_blocks(weights: Array, block_size: int | None, axis: int | None) -> int | None:
    """Return the axis, non-negative, or None for one scale."""
    for name, value in (("block_size", block_size), ("axis", axis)):
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool)):
            raise TypeError(f"{name} must be an int or None, got {value!r}")
    if block_size is not None and block_size < 1:
        raise ValueError(f"block_size must be at least 1 (or None for all), got {block_size}")
    if axis is None or weights.ndim == 0:
        return None
    if not -weights.ndim <= axis < weights.ndim:
        raise ValueError(f"axis must be an axis of w, of shape {weights.shape}, got {axis}")
    return axis % weights.ndim


def _check_options(
    fmt: NumberFormat,
    rule: ScaleSearch,
    scale: str,
    tensor_scale: bool,
    double_quantize: bool,
    zero_point: bool,
    percentile: float,
) -> None:
    check_bool("tensor_scale", tensor_scale)
    check_bool("double_quantize", double_quantize)
    check_bool("zero_point", zero_point)
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be in 0..100, got {percentile}")
    if double_quantize and (scale != "float32" or tensor_scale):
        raise ValueError(
            'scale must be "float32", without tensor_scale, to be quantized by double_quantize, '
            f"got {scale}"
        )
    if zero_point and not (isinstance(fmt, Integer) and not fmt.signed):
        raise ValueError(f"fmt must be an unsigned integer such as uint4 for zero_point, got {fmt}")
    if zero_point and (rule is not ScaleSearch.ABSMAX or tensor_scale):
        raise ValueError(
            f'rule must be "absmax", without tensor_scale, for zero_point, got {rule.value!r}'
        )


def _importance(
    importance: ArrayLike | None, rule: ScaleSearch, weights: Array, axis: int | None
) -> Array | None:
    """Return the importance of each weight in rows, or None."""
    if importance is None:
        return None
    if rule is not ScaleSearch.MSE:
        raise ValueError(f'importance must come with rule="mse", got rule={rule.value!r}')
    factors = np.asarray(importance, np.float64)
    if not (np.isfinite(factors) & (factors >= 0)).all():
        raise ValueError("importance must be finite and at least 0, got others")
    try:
        factors = np.broadcast_to(factors, weights.shape)
    except ValueError:
        raise ValueError(
            f"importance must broadcast to the shape of w, {weights.shape}, got {factors.shape}"
        ) from None
    return as_rows(factors, axis)[0]


def _feedback(
    hessian: ArrayLike | None,
    damp: float,
    fmt: NumberFormat,
    weights: Array,
    axis: int | None,
    double_quantize: bool,
    zero_point: bool,
) -> Array | None:
    """Return GPTQ's factors of the errors, or None."""
    gptq.check_damp(damp)
    if hessian is None:
        return None
    if weights.ndim != 2 or axis != 1:
        raise ValueError(
            "hessian must come with w of shape (outputs, inputs) and axis=-1, got shape "
            f"{weights.shape} and axis={axis}"
        )
    if double_quantize:
        raise ValueError("hessian must come without double_quantize, which needs all scales first")
    if fmt.min >= 0 and not zero_point:
        raise ValueError(
            "hessian must come with a format that has negative values, or with zero_point=True, "
            f"got {fmt}: an updated weight may be below 0"
        )
    return gptq.feedback(hessian, weights.shape[1], damp)


def _double_scales(scales: Array) -> DoubleScales:
    """Quantize scales, so that no positive one becomes 0 and none negative."""
    mean = float(np.float32(scales.mean(dtype=np.float64))) if scales.size else 0.0
    quantized = quantize(
        scales - np.float32(mean), DOUBLE_FORMAT, block_size=DOUBLE_BLOCK, scale="float32"
    )
    double = DoubleScales(quantized, mean)
    while True:
        found = double.values()
        low = (found < 0) | ((found == 0) & (scales > 0))
        if not low.any():
            return double
        codes = double.quantized.codes
        codes[low] = _next_greater(codes[low])
        packed = pack(codes, double.quantized.fmt.bits)
        double = DoubleScales(replace(double.quantized, packed=packed), mean)


def _next_greater(codes: Array) -> Array:
    """Return the codes of E4M3FN's next greater values; -0 counts as below the least."""
    return np.where(codes > 0x80, codes - 1, np.where(codes == 0x80, 1, codes + 1)).astype(np.uint8)
