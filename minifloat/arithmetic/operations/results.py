"""From operands to a rounded result: what all operations share.

An operation gives a float64 for each exact result, which is on the same side of all values and
decision points of the format: the exact result, or that rounded to odd
(`minifloat.arithmetic.operations.odd_rounding`). `minifloat.round_to` then rounds it, once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat import _arrays
from minifloat._kernels import operations as kernels
from minifloat._tensors import AnyTensor, check_no_gradient
from minifloat.arithmetic.operations.approximations import ACCURACY, PART_ACCURACY, TURN_ACCURACY
from minifloat.arithmetic.operations.functions import Exact, Function
from minifloat.arithmetic.operations.odd_rounding import to_odd
from minifloat.arithmetic.shapes import common_shape
from minifloat.codec import EncodeOptions, FloatDtype, round_to
from minifloat.codec.exact import encode_exactly
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding, choose

Array = NDArray[Any]
Numbers = ArrayLike | AnyTensor
Fmt = NumberFormat | str

LEAST = 2.0**-1040  # float64 has 34 bits below it
MOST = 1.99 * 2.0**1023  # and some numbers above that
CHUNK = 1 << 14  # elements whose temporaries stay in the cache


class Options(EncodeOptions, total=False):
    """The options of an operation: those of `minifloat.round_to`, except ``out``."""

    dtype: FloatDtype | None


@dataclass(frozen=True)
class Operands:
    """Arrays of numbers, broadcast against each other.

    Attributes
    ----------
    arrays : list of ndarray
        Contiguous and of one shape, of float32 where that holds all numbers, else of float64.
    dtype : dtype
        The narrowest float that holds all operands, Python's own numbers aside.
    like : array_like
        The first operand that is a tensor, which the result then is too, or else the first one.
    """

    arrays: list[Array]
    dtype: FloatDtype
    like: Any

    @classmethod
    def of(cls, *given: Numbers) -> Operands:
        """Check and broadcast operands, which messages call a, b, c."""
        _arrays.check_cpu()
        sources = []
        for name, x in zip("abc", given, strict=False):
            check_no_gradient(name, x)
            sources.append(_arrays.source_array(x, name))
        shape = common_shape(*(a.shape for a, _ in sources))
        is_single = all(name != "float64" for _, name in sources)
        dtype = np.float32 if is_single else np.float64
        with np.errstate(invalid="ignore"):
            whole = [_whole(a, shape, dtype) for a, _ in sources]
        tensors = [x for x in given if not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__")]
        return cls(whole, _common(given, sources), (tensors or [given[0]])[0])

    def doubles(self) -> list[Array]:
        """Return the arrays as float64."""
        return _doubles(self.arrays)

    def rounded(self, results: Array, fmt: Fmt, options: Options) -> Any:
        """Return results, rounded to the format, as the kind of the operands."""
        dtype = options.get("dtype")
        values = round_results(results, fmt, options, self.dtype if dtype is None else dtype)
        return _arrays.as_given(self.like, np.asarray(values))


def _doubles(arrays: Sequence[Array]) -> list[Array]:
    """Return arrays as float64; a signaling NaN becomes quiet."""
    with np.errstate(invalid="ignore"):
        return [a.astype(np.float64, copy=False) for a in arrays]


def _whole(a: Array, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> Array:
    """Return an array for kernels: contiguous and writable, since Numba compiles again for others.

    It is the given one if that is so.
    """
    if a.shape != shape:
        return np.array(np.broadcast_to(a, shape), dtype, order="C")
    whole = np.array(a, dtype, order="C", copy=None, ndmin=a.ndim)
    return whole if whole.flags.writeable else whole.copy()


def _common(given: Sequence[Numbers], sources: Sequence[tuple[Array, str]]) -> FloatDtype:
    """Return the dtype of a result: Python's own numbers count only where all are such."""
    own = [s for x, s in zip(given, sources, strict=True) if not isinstance(x, int | float)]
    own = own or list(sources)
    names = {name for _, name in own}
    if len(names) > 1:
        return np.dtype(np.float64 if "float64" in names else np.float32)
    name = names.pop()
    return own[0][0].dtype.newbyteorder("=") if name == "bfloat16" else np.dtype(name)


def round_results(results: Array, fmt: Fmt, options: Options, dtype: FloatDtype) -> Array:
    """Return results rounded to a format, in the options' way, as values of ``dtype``."""
    others = cast("EncodeOptions", {name: o for name, o in options.items() if name != "dtype"})
    return round_to(results, fmt, dtype=cast("DTypeLike", dtype), **others)


def kernel_results(
    kernel: Callable[..., None],
    exact: Exact,
    operands: Sequence[Array],
    fmt: NumberFormat,
    options: Options,
) -> Array:
    """Return a kernel's results; those that it finds hard come from fractions.

    ``operands`` are contiguous arrays of one shape and dtype, float32 or float64.
    """
    results, hard = run(kernel, operands)
    if fmt.is_table:  # a decision point may be between two float64 numbers
        with np.errstate(over="ignore"):  # beside the largest float64
            below, above = np.nextafter(results, -np.inf), np.nextafter(results, np.inf)
        hard |= ~_agree(below, above, fmt, options)
    if hard.any():
        _decide(exact, operands, results, hard, fmt, options)
    return results


def function_results(
    function: Function,
    operands: Sequence[Array],
    fmt: NumberFormat,
    options: Options,
    change: Callable[[Array], Array] = lambda results: results,
) -> Array:
    """Return a function's results; those that float64 leaves undecided come from fractions.

    ``change`` is what the results undergo before they are rounded; it is monotone.
    """
    x = _doubles(operands)
    results, below, above = (np.empty(x[0].shape) for _ in range(3))
    flat = [a.reshape(-1) for a in (*x, results, below, above)]
    for low in range(0, results.size, CHUNK):
        *arguments, near, under, over = (a[low : low + CHUNK] for a in flat)
        near[:], under[:], over[:] = _approximated(function, arguments)
    hard = ~_agree(change(below), change(above), fmt, options) & np.isfinite(results)
    if hard.any():
        _decide(function.exact, x, results, hard, fmt, options)
    return results


def run(kernel: Callable[..., None], operands: Sequence[Array]) -> tuple[Array, Array]:
    """Return a kernel's results, and which of them are hard."""
    shape = operands[0].shape
    results, hard = np.empty(shape), np.empty(shape, np.bool_)
    kernel(*(x.reshape(-1) for x in operands), results.reshape(-1), hard.reshape(-1))
    return results, hard


def _approximated(function: Function, x: Sequence[Array]) -> tuple[Array, Array, Array]:
    """Return approximations of a function, and numbers that its exact results are between."""
    with np.errstate(all="ignore"):
        base, part = function.approximate(*x)
        error = np.where(base == 0, ACCURACY, PART_ACCURACY) * abs(part)
        if function.turns:
            error += np.where(abs(x[0]) > 1, TURN_ACCURACY * (1 + part * part), 0)
        below, above = (np.where(error == 0, part, end) for end in (part - error, part + error))
        if not base.any():
            return part, below, above  # an exact 0 keeps its sign
        return _sum(base, part), _sum(base, below), _sum(base, above)


def _sum(base: Array, part: Array) -> Array:
    """Return base + part, rounded to odd."""
    results, _ = run(kernels.add, [base, part])
    return np.where(base == 0, part, results)  # 0 + -0 would be 0


def _agree(below: Array, above: Array, fmt: NumberFormat, options: Options) -> Array:
    """Return where two numbers round to the same value; NaN and infinities are left as they are."""
    strict = options.get("overflow") == Overflow.RAISE
    options = {**options, "nan": NaNPolicy.MAX}
    if strict:
        options["overflow"] = Overflow.SATURATE
    low, high = (round_results(y, fmt, options, np.float64) for y in (below, above))
    agree = (low == high) & (np.signbit(low) == np.signbit(high)) | np.isnan(low) & np.isnan(high)
    if strict:  # the largest value itself, or beyond it?
        agree &= (low != fmt.max) & (high != fmt.min)
    return np.asarray(agree | ~np.isfinite(below))


def _decide(
    exact: Exact,
    operands: Sequence[Array],
    results: Array,
    hard: Array,
    fmt: NumberFormat,
    options: Options,
) -> None:
    """Replace hard results, for each combination of operands once."""
    for x in operands:
        hard &= np.isfinite(x)
    where = np.flatnonzero(hard)
    keys = np.stack([x.reshape(-1)[where].astype(np.float64) for x in operands], axis=1)
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    decide = _decision(fmt, options)
    decided = np.array([exact.decided(decide, *map(Fraction, key)) for key in unique.tolist()])
    exactly = decided[inverse.reshape(-1)]
    signs_count = (keys == 0).any(axis=1) | (exactly == 0)  # of zeros, which fractions do not have
    flat = results.reshape(-1)  # a view
    flat[where] = np.where(signs_count, np.copysign(exactly, flat[where]), exactly)


def _decision(fmt: NumberFormat, options: Options) -> Callable[[Fraction], float]:
    """Return the function that gives a number to round instead of an exact one."""
    mode = choose(Rounding, "rounding", options.get("rounding", Rounding.NEAREST_EVEN))
    if not fmt.is_table or mode.is_stochastic:
        return to_odd

    def decide(x: Fraction) -> float:
        if x > fmt.max:
            return max(to_odd(x), math.nextafter(fmt.max, math.inf))
        if x < fmt.min:
            return min(to_odd(x), math.nextafter(fmt.min, -math.inf))
        return fmt.value(encode_exactly([x], fmt, rounding=mode)[0])

    return decide


def checked_format(fmt: Fmt) -> NumberFormat:
    """Return a format, or raise unless float64 has enough bits beside its values."""
    fmt = parse(fmt)
    if not fmt.is_table:
        above = fmt.next_above_max
        if fmt.smallest < LEAST or (above is not None and above > MOST):
            raise ValueError(
                f"fmt must have values between 2**-1040 and 1.99 * 2**1023, got {fmt}; "
                "choose fewer exponent bits or another bias"
            )
    return fmt
