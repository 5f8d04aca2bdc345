"""The verbs `sum`, `dot`, `matmul` and `linear`."""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from minifloat.arithmetic.calls import AccumulatorLike, Call, need_axis
from minifloat.arithmetic.packed import Packed
from minifloat.arithmetic.shapes import common_shape, of_common_shape
from minifloat.arithmetic.units import Unit


def sum(
    x: ArrayLike,
    c: ArrayLike = 0.0,
    *,
    accumulator: AccumulatorLike,
    dtype: DTypeLike | None = None,
    threads: SupportsIndex = 1,
    seed: SupportsIndex | None = None,
) -> Any:
    """Return ``c`` plus the sum of ``x`` along the last axis, as an accumulator adds it.

    Parameters
    ----------
    x : array_like, shape (..., n)
        float32; float16, bfloat16, float64 and integers are rounded to float32 first, or to float64
        for an accumulator in float64.
    c : array_like
        What sums start from, of a shape that broadcasts to that of the sums.
    accumulator : Accumulator, format or str
        How numbers are added, see `Accumulator`. They are products with 1.
    dtype : dtype, optional
        float16, float32 or float64; it must hold every sum. Default: float32, or float64 where
        that does not.
    threads : int
        Threads to share the sums among; results do not depend on it.
    seed : int, optional
        0 .. 2**64 - 1, of a stochastic accumulator, and of no other. Sums depend on it and on their
        own place in the result, in C order.

    Returns
    -------
    ndarray of ``dtype``, shape (...)
        A NumPy scalar for a single sum.

    Raises
    ------
    TypeError
        If ``x`` or ``c`` has a dtype that is not listed above.
    ValueError
        If shapes do not fit, the accumulator's text has no meaning, or its order is a tree of
        another number of terms.

    Notes
    -----
    Numbers enter as they are, and sums are rounded to the format: in an accumulator of integers 0.3
    is nothing, and 300 wraps around in ``int8/overflow=wrap``, where infinities and NaN give NaN.

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> arithmetic.sum([0.001] * 1000, accumulator="bfloat16")
    np.float32(0.5)
    >>> arithmetic.sum([0.001] * 1000, accumulator="bfloat16/order=pairwise")
    np.float32(1.0)
    >>> arithmetic.sum([0.001] * 1000, accumulator="bfloat16:stochastic", seed=0)
    np.float32(0.94921875)
    """
    call = Call(accumulator, None, dtype, threads, seed)
    a = call.operand("x", x)
    need_axis("x", a.values)
    return call.sums_of(a.terms(), c, a.values.shape)


def dot(
    a: ArrayLike | Packed,
    b: ArrayLike | Packed,
    c: ArrayLike = 0.0,
    *,
    accumulator: AccumulatorLike | None = None,
    unit: Unit | str | None = None,
    dtype: DTypeLike | None = None,
    threads: SupportsIndex = 1,
    seed: SupportsIndex | None = None,
) -> Any:
    """Return ``c`` plus the dot products of ``a`` and ``b`` along the last axis.

    Parameters
    ----------
    a, b : array_like or Quantized, shapes (..., n)
        With a ``unit``: values of its format (TF32 units cut float32 numbers); a unit with scales
        takes `Quantized` in any of its formats, with its blocks and scales, and other arrays as if
        their scales were 1. With an ``accumulator``: float32; numbers of other types are rounded to
        float32 first, or to float64 for one in float64. The axes before the last one broadcast.
    c : array_like
        What sums start from, rounded to the unit's output type, or as operands; of a shape that
        broadcasts to that of the result.
    accumulator : Accumulator, format or str, optional
        How products are added, see `Accumulator`.
    unit : Unit or str, optional
        A matrix unit, or its name in `UNITS`; either this or ``accumulator`` must be given.
    dtype : dtype, optional
        float16, float32 or float64; it must hold every sum. Default: the unit's output type;
        float32, or float64 where that does not hold every sum.
    threads : int
        Threads to share the products among; results do not depend on it.
    seed : int, optional
        0 .. 2**64 - 1, of a stochastic accumulator, and of no other. Results depend on it and on
        their own place in the result, in C order.

    Returns
    -------
    ndarray of ``dtype``
        A NumPy scalar for a single product.

    Raises
    ------
    TypeError
        If an array has a dtype that is not listed above.
    ValueError
        If a number is not of the unit's format, shapes do not fit, or an option has no such value.

    Notes
    -----
    Tensor scales, which no unit takes, multiply the result in float32; ``c`` is added after that.

    A sum that is exactly 0 has the sign of IEEE 754-2019 (6.3) where terms are added one by one:
    +0, or -0 if both terms are; rounded downward, -0, or +0 if both terms are. Where several terms
    are added at once it is +0, as matrix units return it; without ``bits``, of terms that are all
    -0, it may be -0.

    Numbers without scales are taken by a unit with scales as they are: a GPU asks for scales of 1.

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> a, b = [-8192, -0.5, -0.25, -0.125], [1024, 1, 1, 1]
    >>> for unit in ("volta/float16/float32", "hopper/float16/float32", "cdna3/float16/float32"):
    ...     arithmetic.dot(a, b, 2.0**23, unit=unit)  # exactly -0.875
    np.float32(0.0)
    np.float32(-0.75)
    np.float32(-0.5)
    """
    call = Call(accumulator, unit, dtype, threads, seed)
    left, right = call.operand("a", a), call.operand("b", b)
    need_axis("a", left.values)
    need_axis("b", right.values)
    shapes = left.values.shape, right.values.shape
    try:
        shape = common_shape(*shapes)
        if shapes[0][-1] != shapes[1][-1]:
            raise ValueError
    except ValueError:
        raise ValueError(
            "a and b must have shapes (..., n) with one n and axes before it that broadcast, got "
            f"{shapes[0]} and {shapes[1]}"
        ) from None
    (x, ex), (y, ey) = left.terms(), right.terms()
    if call.needs_factors:
        factors = np.stack(of_common_shape(x, y), axis=-1)
        return call.sums_of((factors, ex + ey), c, shape)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return call.sums_of((x * y, ex + ey), c, shape)


def matmul(
    a: ArrayLike | Packed,
    b: ArrayLike | Packed,
    c: ArrayLike = 0.0,
    *,
    accumulator: AccumulatorLike | None = None,
    unit: Unit | str | None = None,
    dtype: DTypeLike | None = None,
    threads: SupportsIndex = 1,
    seed: SupportsIndex | None = None,
) -> Any:
    """Return ``a @ b + c`` as a matrix unit or an accumulator computes it.

    Parameters
    ----------
    a, b : array_like or Quantized
        Of shapes (..., m, n) and (..., n, p) that `numpy.matmul` takes; values as for `dot`. The
        blocks of ``a`` run along its last axis, those of ``b`` along the one before it.
    c, accumulator, unit, dtype, threads, seed
        As for `dot`.

    Returns
    -------
    ndarray of ``dtype``, shape (..., m, p)

    Raises
    ------
    TypeError, ValueError
        As `dot`.

    Notes
    -----
    Beside the result, which is float64 meanwhile, ``a`` takes 10 bytes a number.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat import arithmetic
    >>> ones = np.ones((1, 4096), np.float32)
    >>> arithmetic.matmul(ones, 1.125 * ones.T, unit="hopper/e4m3fn/float32")  # exactly 4608
    array([[4324.]], dtype=float32)
    >>> arithmetic.matmul(ones, 1.125 * ones.T, unit="blackwell/e4m3fn/float32")
    array([[4608.]], dtype=float32)
    """
    call = Call(accumulator, unit, dtype, threads, seed)
    left, right = call.operand("a", a), call.operand("b", b, axis=-2)
    return call.products_of(left, right, c)


def linear(
    x: ArrayLike | Packed,
    w: ArrayLike | Packed,
    c: ArrayLike = 0.0,
    *,
    accumulator: AccumulatorLike | None = None,
    unit: Unit | str | None = None,
    dtype: DTypeLike | None = None,
    threads: SupportsIndex = 1,
    seed: SupportsIndex | None = None,
) -> Any:
    """Return ``x @ w.T + c``: the `matmul` of a layer, whose weights have the shape (out, in).

    Parameters
    ----------
    x, w : array_like or Quantized, shapes (..., in) and (out, in)
        Values as for `matmul`; the blocks of both run along their last axis, as `quantize` makes
        them.
    c, accumulator, unit, dtype, threads, seed
        As for `matmul`.

    Returns
    -------
    ndarray of ``dtype``, shape (..., out)

    Raises
    ------
    TypeError, ValueError
        As `matmul`.

    Examples
    --------
    Weights in MXFP4, activations in MXFP8:

    >>> import minifloat as mf
    >>> from minifloat import arithmetic
    >>> w = mf.quantize([[1.0, -6.0] * 16, [0.5, 3.0] * 16], "mxfp4")
    >>> x = mf.quantize([[100.0, 2.5] * 16], "mxfp8e4m3")
    >>> arithmetic.linear(x, w, unit="blackwell/mxfp8e4m3/float32")
    array([[1296.,  888.]], dtype=float32)
    """
    call = Call(accumulator, unit, dtype, threads, seed)
    left, right = call.operand("x", x), call.operand("w", w)
    if right.values.ndim != 2:
        raise ValueError(f"w must have shape (out, in), got shape {right.values.shape}")
    return call.products_of(left, right.of(np.transpose), c)
