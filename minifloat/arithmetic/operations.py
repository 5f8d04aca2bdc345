"""Operations in a format: each result is the exact one, rounded once.

The result of an operation on float64 numbers is computed as a float64 that is rounded to odd, and
`minifloat.round_to` rounds that to the format: see `minifloat.arithmetic.odd`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._kernels import operations as kernels
from minifloat._tensors import AnyTensor
from minifloat.arithmetic.odd import to_odd
from minifloat.codec import EncodeOptions, FloatDtype, round_to
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import Rounding

Array = NDArray[Any]
Numbers = ArrayLike | AnyTensor
Fmt = NumberFormat | str


class Options(EncodeOptions, total=False):
    """The options of an operation: those of `minifloat.round_to`, except ``out``."""

    dtype: FloatDtype | None


def add(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a + b."""
    return _computed(kernels.add, lambda x, y: x + y, (a, b), fmt, options, (-1, -1))


def subtract(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a - b."""
    return _computed(kernels.add, lambda x, y: x + y, (a, b), fmt, options, (-1, -1), (1, -1))


def multiply(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a b."""
    return _computed(kernels.multiply, lambda x, y: x * y, (a, b), fmt, options)


def divide(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a / b."""
    return _computed(kernels.divide, lambda x, y: x / y, (a, b), fmt, options)


def fma(a: Numbers, b: Numbers, c: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a b + c, rounded once."""
    return _computed(kernels.fma, lambda x, y, z: x * y + z, (a, b, c), fmt, options, (-1, 1, -1))


def faa(a: Numbers, b: Numbers, c: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a + b + c, rounded once."""
    return _computed(
        kernels.add_three, lambda x, y, z: x + y + z, (a, b, c), fmt, options, (-1, -1, -1)
    )


def sqrt(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the square root of a."""
    return _computed(kernels.sqrt, _root, (a,), fmt, options)


def negative(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return -a."""
    return _computed(np.negative, None, (a,), fmt, options)


def absolute(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the magnitude of a."""
    return _computed(np.absolute, None, (a,), fmt, options)


def minimum(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the lesser of a and b."""
    return _computed(np.minimum, None, (a, b), fmt, options)


def maximum(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the greater of a and b."""
    return _computed(np.maximum, None, (a, b), fmt, options)


def _root(x: Fraction) -> Fraction:
    """Return a number that is on the same side of short numbers as the square root of x."""
    size = x.numerator.bit_length() - x.denominator.bit_length()
    up = max(0, 140 - size // 2)
    scaled = x * 4**up
    root = isqrt(int(scaled))
    return Fraction(2 * root + (root * root != scaled), 2 << up)


def _computed(
    compute: Callable[..., Any],
    exact: Callable[..., Fraction] | None,
    given: tuple[Numbers, ...],
    fmt: Fmt,
    options: Options,
    negations: tuple[int, ...] | None = None,
    signs: tuple[int, ...] | None = None,
) -> Any:
    """Return the result of a kernel, or of one of NumPy's exact functions, rounded to a format.

    ``exact`` computes on fractions what the kernel finds hard. ``negations`` are the signs that
    negate the result: an exact sum of 0 is -0 if it is rounded downward (IEEE 754-2019, 6.3).
    """
    _arrays.check_cpu()
    names = "abc"
    sources = [_arrays.source_array(x, name) for x, name in zip(given, names, strict=False)]
    arrays = np.broadcast_arrays(*(np.asarray(a) for a, _ in sources))
    is_single = all(name != "float64" for _, name in sources)
    operands = [np.array(a, np.float32 if is_single else np.float64, order="C") for a in arrays]
    if signs is not None:
        operands = [x if sign > 0 else -x for x, sign in zip(operands, signs, strict=True)]
    downward = negations is not None and options.get("rounding") == Rounding.DOWNWARD
    if downward and negations is not None:
        operands = [x if sign > 0 else -x for x, sign in zip(operands, negations, strict=True)]
    shape = arrays[0].shape
    if exact is None:
        with np.errstate(all="ignore"):
            results = compute(*operands)
    else:
        flat = [x.reshape(-1) for x in operands]
        results, hard = np.empty(flat[0].size), np.empty(flat[0].size, np.bool_)
        compute(*flat, results, hard)
        if hard.any():
            _compute_exactly(exact, flat, results, hard)
    results = results.reshape(shape)
    if downward:
        results = -results
    if options.get("dtype") is None:
        options = {**options, "dtype": _result_dtype(given, sources)}
    rounded = round_to(results, fmt, **options)
    return _arrays.as_given(next((x for x in given if _is_tensor(x)), None), np.asarray(rounded))


def _compute_exactly(
    exact: Callable[..., Fraction], operands: list[Array], results: Array, hard: Array
) -> None:
    """Compute hard elements in fractions."""
    for x in operands:
        hard &= np.isfinite(x)
    for i in np.flatnonzero(hard):
        results[i] = to_odd(exact(*(Fraction(float(x[i])) for x in operands)))


def _result_dtype(given: tuple[Numbers, ...], sources: list[tuple[Array, str]]) -> FloatDtype:
    """Return the dtype that holds all operands; Python's own numbers count only if all are such."""
    own = [
        source for x, source in zip(given, sources, strict=True) if not isinstance(x, int | float)
    ]
    names = {name for _, name in own or sources}
    if len(names) == 1 and names != {"bfloat16"}:
        return np.dtype(names.pop())
    if len(names) == 1:
        return own[0][0].dtype.newbyteorder("=")
    return np.dtype(np.float64 if "float64" in names else np.float32)


def _is_tensor(x: object) -> bool:
    return not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__")
