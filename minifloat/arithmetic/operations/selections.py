"""Operations whose result is one of the operands, perhaps with another sign, rounded to a format.

Arguments and options are as for `add`. They compute nothing: a result is an operand or 0, 1, -1 and
NaN, and only if that is no value of the format it is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.operations.results import Fmt, Numbers, Operands, Options

Array = NDArray[Any]
Choice = Callable[[Array, Array], Array]


def negative(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return -a, also of NaN and zeros. `negate` is another name of it."""
    return _selected("negative", Operands.of(a), fmt, options)


def absolute(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the magnitude of a: 0 for -0, inf for -inf. `abs` is another name of it."""
    return _selected("absolute", Operands.of(a), fmt, options)


def copysign(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a with the sign of b, which may be that of -0 or of NaN; NaN if a is NaN."""
    return _selected("copysign", Operands.of(a, b), fmt, options)


def sign(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return -1, 0 or 1, as `numpy.sign`; 0 for -0, NaN for NaN."""
    return _selected("sign", Operands.of(a), fmt, options)


def minimum(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the lesser of a and b, NaN if one is NaN (IEEE 754's minimum). -0 is below 0."""
    return _selected("minimum", Operands.of(a, b), fmt, options)


def maximum(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the greater of a and b, NaN if one is NaN (IEEE 754's maximum). 0 is above -0."""
    return _selected("maximum", Operands.of(a, b), fmt, options)


def fmin(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the lesser of a and b; a number before NaN (IEEE 754's minimumNumber)."""
    return _selected("fmin", Operands.of(a, b), fmt, options)


def fmax(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the greater of a and b; a number before NaN (IEEE 754's maximumNumber)."""
    return _selected("fmax", Operands.of(a, b), fmt, options)


def minimum_magnitude(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the one with the smaller magnitude, of equal ones the lesser; NaN if one is NaN."""
    return _selected("minimum_magnitude", Operands.of(a, b), fmt, options)


def maximum_magnitude(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the one with the larger magnitude, of equal ones the greater; NaN if one is NaN."""
    return _selected("maximum_magnitude", Operands.of(a, b), fmt, options)


def fmin_magnitude(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the one with the smaller magnitude, of equal ones the lesser; a number before NaN."""
    return _selected("fmin_magnitude", Operands.of(a, b), fmt, options)


def fmax_magnitude(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the one with the larger magnitude, of equal ones the greater; a number before NaN."""
    return _selected("fmax_magnitude", Operands.of(a, b), fmt, options)


def minimum_finite(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the lesser; a finite number before an infinity before NaN (P3109)."""
    return _selected("minimum_finite", Operands.of(a, b), fmt, options)


def maximum_finite(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the greater; a finite number before an infinity before NaN (P3109)."""
    return _selected("maximum_finite", Operands.of(a, b), fmt, options)


def clip(a: Numbers, low: Numbers, high: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a, or the end of ``low`` .. ``high`` that it is beyond; arguments as for `add`.

    NaN if one of the three is NaN, or ``low`` is above ``high`` (P3109's Clamp).
    """
    return _selected("clip", Operands.of(a, low, high), fmt, options)


def _selected(name: str, operands: Operands, fmt: Fmt, options: Options) -> Any:
    """Return the results of a function that is exact in floats."""
    with np.errstate(all="ignore"):
        results = SELECTIONS[name](*operands.arrays)
    return operands.rounded(results, fmt, options)


def _least(x: Array, y: Array) -> Array:
    lesser = np.minimum(x, y)
    return np.where((x == y) & np.signbit(x), x, lesser)


def _greatest(x: Array, y: Array) -> Array:
    greater = np.maximum(x, y)
    return np.where((x == y) & ~np.signbit(x), x, greater)


def _smaller(x: Array, y: Array) -> Array:
    first, second = abs(x), abs(y)
    return np.where(first < second, x, np.where(first > second, y, _least(x, y)))


def _larger(x: Array, y: Array) -> Array:
    first, second = abs(x), abs(y)
    return np.where(first > second, x, np.where(first < second, y, _greatest(x, y)))


def _clipped(x: Array, low: Array, high: Array) -> Array:
    return np.where(low > high, np.nan, _least(_greatest(x, low), high))


def _number_first(choose: Choice) -> Choice:
    return lambda x, y: np.where(np.isnan(x), y, np.where(np.isnan(y), x, choose(x, y)))


def _finite_first(choose: Choice) -> Choice:
    def chosen(x: Array, y: Array) -> Array:
        only = np.isfinite(x) != np.isfinite(y)
        return np.where(only, np.where(np.isfinite(x), x, y), _number_first(choose)(x, y))

    return chosen


SELECTIONS: Mapping[str, Callable[..., Array]] = {
    "positive": np.positive,
    "negative": np.negative,
    "absolute": np.absolute,
    "copysign": np.copysign,
    "sign": np.sign,
    "minimum": _least,
    "maximum": _greatest,
    "fmin": _number_first(_least),
    "fmax": _number_first(_greatest),
    "minimum_magnitude": _smaller,
    "maximum_magnitude": _larger,
    "fmin_magnitude": _number_first(_smaller),
    "fmax_magnitude": _number_first(_larger),
    "minimum_finite": _finite_first(_least),
    "maximum_finite": _finite_first(_greatest),
    "clip": _clipped,
}
