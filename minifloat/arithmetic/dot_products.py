"""The verbs `sum`, `dot`, `matmul` and `linear`: their arguments, shapes and results."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat import _arrays
from minifloat._threads import check_threads
from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.operands import Operand, numbers, operand_of
from minifloat.arithmetic.packed import Packed, is_packed
from minifloat.arithmetic.sum_formats import FLOAT32, FLOAT64, SumFormat
from minifloat.arithmetic.tiles import COLUMNS, add_up
from minifloat.arithmetic.units import Unit
from minifloat.formats import NumberFormat
from minifloat.formats.base import shown

Array = NDArray[Any]
AccumulatorLike = Accumulator | SumFormat | NumberFormat | str


def sum(
    x: ArrayLike,
    c: ArrayLike = 0.0,
    *,
    accumulator: AccumulatorLike,
    dtype: DTypeLike | None = None,
    threads: SupportsIndex = 1,
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

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> arithmetic.sum([0.001] * 1000, accumulator="bfloat16")
    np.float32(0.5)
    >>> arithmetic.sum([0.001] * 1000, accumulator="bfloat16/order=pairwise")
    np.float32(1.0)
    """
    job = _Job(accumulator, None, dtype, threads)
    a = job.operand("x", x)
    _need_axis("x", a.values)
    return job.sums_of(a.terms(), c, a.values.shape)


def dot(
    a: ArrayLike | Packed,
    b: ArrayLike | Packed,
    c: ArrayLike = 0.0,
    *,
    accumulator: AccumulatorLike | None = None,
    unit: Unit | str | None = None,
    dtype: DTypeLike | None = None,
    threads: SupportsIndex = 1,
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

    A sum that is exactly 0 is +0, except that of an accumulator whose terms are all -0, ``c`` too.

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
    job = _Job(accumulator, unit, dtype, threads)
    left, right = job.operand("a", a), job.operand("b", b)
    _need_axis("a", left.values)
    _need_axis("b", right.values)
    shapes = left.values.shape, right.values.shape
    try:
        shape = np.broadcast_shapes(*shapes)
        if shapes[0][-1] != shapes[1][-1]:
            raise ValueError
    except ValueError:
        raise ValueError(
            "a and b must have shapes (..., n) with one n and axes before it that broadcast, got "
            f"{shapes[0]} and {shapes[1]}"
        ) from None
    (x, ex), (y, ey) = left.terms(), right.terms()
    if job.needs_factors:
        factors = np.stack(np.broadcast_arrays(x, y), axis=-1)
        return job.sums_of((factors, ex + ey), c, shape)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return job.sums_of((x * y, ex + ey), c, shape)


def matmul(
    a: ArrayLike | Packed,
    b: ArrayLike | Packed,
    c: ArrayLike = 0.0,
    *,
    accumulator: AccumulatorLike | None = None,
    unit: Unit | str | None = None,
    dtype: DTypeLike | None = None,
    threads: SupportsIndex = 1,
) -> Any:
    """Return ``a @ b + c`` as a matrix unit or an accumulator computes it.

    Parameters
    ----------
    a, b : array_like or Quantized
        Of shapes (..., m, n) and (..., n, p) that `numpy.matmul` takes; values as for `dot`. The
        blocks of ``a`` run along its last axis, those of ``b`` along the one before it.
    c, accumulator, unit, dtype, threads
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
    job = _Job(accumulator, unit, dtype, threads)
    left, right = job.operand("a", a), job.operand("b", b, axis=-2)
    return job.products_of(left, right, c)


def linear(
    x: ArrayLike | Packed,
    w: ArrayLike | Packed,
    c: ArrayLike = 0.0,
    *,
    accumulator: AccumulatorLike | None = None,
    unit: Unit | str | None = None,
    dtype: DTypeLike | None = None,
    threads: SupportsIndex = 1,
) -> Any:
    """Return ``x @ w.T + c``: the `matmul` of a layer, whose weights have the shape (out, in).

    Parameters
    ----------
    x, w : array_like or Quantized, shapes (..., in) and (out, in)
        Values as for `matmul`; the blocks of both run along their last axis, as `quantize` makes
        them.
    c, accumulator, unit, dtype, threads
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
    job = _Job(accumulator, unit, dtype, threads)
    left, right = job.operand("x", x), job.operand("w", w)
    if right.values.ndim != 2:
        raise ValueError(f"w must have shape (out, in), got shape {right.values.shape}")
    return job.products_of(left, right.of(np.transpose), c)


class _Job:
    """What a call asks for, checked."""

    def __init__(
        self,
        accumulator: AccumulatorLike | None,
        unit: Unit | str | None,
        dtype: DTypeLike | None,
        threads: SupportsIndex,
    ) -> None:
        _arrays.check_cpu()
        self.threads = check_threads(threads)
        if (accumulator is None) == (unit is None):
            raise ValueError(
                f"accumulator or unit must be given, and not both, got {shown(accumulator)} and "
                f"{shown(unit)}"
            )
        self.unit = None if unit is None else Unit.parse(unit)
        if self.unit is not None:
            self.accumulator = self.unit.accumulator
        elif accumulator is not None:
            self.accumulator = Accumulator.parse(accumulator)
        self.dtype = self._checked_dtype(dtype)
        self.factor: float | None = None  # the product of tensor scales, if there are any

    def _checked_dtype(self, dtype: DTypeLike | None) -> np.dtype[Any]:
        held = [name for name in ("float16", "float32", "float64") if self._is_held_by(name)]
        if self.unit is not None:
            held = held[held.index(self.unit.output) :]
        elif dtype is None:
            return np.dtype("float32" if "float32" in held else "float64")
        if dtype is None:
            return np.dtype(held[0])
        try:
            found = np.dtype(dtype)
        except TypeError:
            found = np.dtype(object)
        if found.name not in held:
            raise ValueError(f"dtype must be {' or '.join(held)}, got {shown(dtype)}")
        return found

    def _is_held_by(self, name: str) -> bool:
        fmt, info = self.accumulator.fmt, np.finfo(name)
        if self.accumulator.promote is not None:
            fmt = self.accumulator.outer
        unit = math.ldexp(1.0, fmt.emin - fmt.mantissa_bits)
        fits = unit >= float(info.smallest_subnormal) and fmt.largest <= float(info.max)
        return fits and fmt.mantissa_bits <= info.nmant + 2 * fmt.is_fixed

    @property
    def fmt(self) -> SumFormat:
        """The format of numbers where there is no unit, and of what sums start from."""
        return FLOAT64 if self.accumulator.fmt == FLOAT64 else FLOAT32

    @property
    def needs_factors(self) -> bool:
        """Whether float64 does not hold the products."""
        return self.fmt == FLOAT64 and self.accumulator.product is None

    def operand(self, name: str, x: ArrayLike | Packed, axis: int = -1) -> Operand:
        """Return an operand, checked; ``axis`` is the one along which products are added."""
        if is_packed(x) and x.tensor_scale is not None and self._takes_scales():
            self.factor = (1.0 if self.factor is None else self.factor) * x.tensor_scale
        flush = self.accumulator.flush
        return operand_of(name, x, self.unit, axis, fmt=self.fmt, flush=flush)

    def _takes_scales(self) -> bool:
        return self.unit is not None and self.unit.scale is not None

    def start(self, c: ArrayLike, shape: tuple[int, ...]) -> Array:
        """Return what sums start from, as float64."""
        start = numbers("c", c, self.fmt)
        if self.factor is not None:  # c is added after the multiplication by the tensor scales
            start = np.zeros_like(start)
        if self.unit is not None and self.unit.output == "float16":
            with np.errstate(over="ignore"):
                start = start.astype(np.float16)
        if self.accumulator.flush:
            tiny = np.abs(start) < 2.0**FLOAT32.emin
            start = np.where(tiny, np.float32(0.0), start)
        try:
            return np.array(np.broadcast_to(start, shape), np.float64, order="C")
        except ValueError:
            raise ValueError(
                f"c must have a shape that broadcasts to {shape}, got {start.shape}"
            ) from None

    def sums_of(self, terms: tuple[Array, Array], c: ArrayLike, shape: tuple[int, ...]) -> Any:
        """Return the sums of terms along their last axis."""
        sums = self.start(c, shape[:-1])
        flat = math.prod(shape[:-1]), shape[-1]
        factors = terms[0].shape[len(shape) :]
        values = np.broadcast_to(terms[0], shape + factors).reshape(flat + factors)
        exponents = np.broadcast_to(terms[1], shape).reshape(flat)
        one = np.ones((1, shape[-1])), np.zeros((1, shape[-1]), np.int16)

        def columns(part: slice) -> tuple[Array, Array]:
            own = values[part].swapaxes(0, 1), exponents[part].T
            return np.ascontiguousarray(own[0]), np.ascontiguousarray(own[1])

        add_up(self.accumulator, one, columns, sums.reshape(1, -1), self.threads)
        return self.result(sums, c)

    def products_of(self, a: Operand, b: Operand, c: ArrayLike) -> Any:
        """Return the matrix products of two operands."""
        x, y = a.values, b.values
        _need_axis("a", x)
        _need_axis("b", y)
        both = (
            a if x.ndim > 1 else a.of(lambda row: row[None]),
            b if y.ndim > 1 else b.of(lambda column: column[:, None]),
        )
        left, right = (operand.values for operand in both)
        if left.shape[-1] != right.shape[-2]:
            raise ValueError(
                f"b must have {left.shape[-1]} rows for a of shape {x.shape}, got shape {y.shape}"
            )
        try:
            batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        except ValueError:
            raise ValueError(
                f"a and b must have batches that broadcast, got shapes {x.shape} and {y.shape}"
            ) from None
        whole = (*batch, left.shape[-2], right.shape[-1])
        shape = (*batch, *left.shape[-2:-1][: x.ndim - 1], *right.shape[-1:][: y.ndim - 1])
        sums = self.start(c, shape).reshape(whole)
        for index in np.ndindex(batch):
            one, other = (x.of(partial(_element, batch, index)) for x in both)
            self._add_product(one, other, sums[index])
        return self.result(sums.reshape(shape), c)

    def _add_product(self, a: Operand, b: Operand, sums: Array) -> None:
        if sums.shape[1] < min(COLUMNS, sums.shape[0]):  # loops go along columns
            a, b, sums = b.of(np.transpose), a.of(np.transpose), sums.T

        def columns(part: slice) -> tuple[Array, Array]:
            return b.terms((slice(None), part))

        add_up(self.accumulator, a.terms(), columns, sums, self.threads)

    def result(self, sums: Array, c: ArrayLike) -> Any:
        """Return sums in their type, and NaN as the unit writes it."""
        if self.factor is not None:
            with np.errstate(all="ignore"):
                scaled = (sums * self.factor).astype(np.float32) + numbers("c", c, FLOAT32)
            sums = scaled.astype(np.float64)
        found = sums.astype(self.dtype)
        nan = np.isnan(found)
        if nan.any():
            if self.unit is not None and self.dtype.name == self.unit.output:
                words = found.reshape(-1).view(f"u{found.itemsize}").reshape(found.shape)
                words[nan] = self.unit.nan_bits
            else:
                found[nan] = np.nan
        return found[()]


def _element(batch: tuple[int, ...], index: tuple[int, ...], x: Array) -> Array:
    """Return one matrix of a batch."""
    return np.asarray(np.broadcast_to(x, (*batch, *x.shape[-2:]))[index])


def _need_axis(name: str, x: Array) -> None:
    if x.ndim == 0:
        raise ValueError(f"{name} must have at least one axis, got a number")
