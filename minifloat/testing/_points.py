"""The inputs at which rounding can go wrong: `decision_points`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat.formats import Codebook, Format, Integer, NumberFormat
from minifloat.formats.names import parse
from minifloat.testing._meaning import integer_range, magnitudes_of, power_of_two

N = TypeVar("N", bound=np.floating[Any] | np.integer[Any])

MAX_EXACT_INT = 2**53
LARGEST_FLOAT = float(np.finfo(np.float64).max)


@overload
def decision_points(fmt: NumberFormat | str) -> NDArray[np.float64]: ...
@overload
def decision_points(fmt: NumberFormat | str, dtype: type[N] | np.dtype[N]) -> NDArray[N]: ...
@overload
def decision_points(
    fmt: NumberFormat | str, dtype: DTypeLike
) -> NDArray[np.floating[Any] | np.integer[Any]]: ...
def decision_points(fmt: NumberFormat | str, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return the inputs at which an encoder can go wrong.

    They are: all values of the format and all midpoints, with the grid continued for two values
    beyond the largest, and to negative numbers for unsigned formats; powers of two, all those in
    the range of the format and a few outside it; the neighbours of all these numbers at a distance
    of one unit in the last place; and the extremes, zeros, infinities and NaN of the dtype.

    Between consecutive points a deterministic mode is constant, or the points are neighbours in the
    dtype; `exact_steps` relies on this property alone and checks it.

    Parameters
    ----------
    fmt : format or str
    dtype : dtype
        float16, bfloat16 (of ml_dtypes), float32, float64, or an integer dtype. For integers the
        points are rounded down and up; those above 2**53 in magnitude are left out.

    Returns
    -------
    ndarray of ``dtype``, one-dimensional
        Ascending and different, -0 before +0, with one NaN at the end.

    Raises
    ------
    ValueError
        If ``dtype`` is none of these.

    Examples
    --------
    >>> from minifloat.testing import decision_points
    >>> points = decision_points("e2m1", "float32")
    >>> bool(2.5 in points), len(points) < 1000
    (True, True)
    """
    fmt, dtype = parse(fmt), np.dtype(dtype)
    exact = [*landmarks(fmt), *middles(fmt)]
    if dtype.kind in "iu":
        return _integer_points(exact, dtype)
    order = FloatOrder(dtype)
    exact += [sign * power_of_two(e) for e in _exponents(exact, dtype) for sign in (-1, 1)]
    with np.errstate(over="ignore"):
        rounded = np.array([to_float(value) for value in exact], np.float64).astype(dtype)
    keys = order.keys(rounded)
    keys = np.concatenate([keys, keys - 1, keys + 1, order.edges()])
    keys = np.unique(keys[(keys >= order.first) & (keys <= order.last)])
    return np.append(order.floats(keys), np.array([math.nan], dtype))


@lru_cache(maxsize=16)
def landmarks(fmt: NumberFormat) -> tuple[Fraction, ...]:
    """Return the values of the format in order, continued beyond both ends."""
    if isinstance(fmt, Codebook):
        values = [Fraction(value) for value in sorted(set(fmt.codebook) | {0.0})]
        span = max(abs(values[0]), abs(values[-1])) or Fraction(1)
        return values[0] - span, *values, values[-1] + span
    if isinstance(fmt, Integer):
        numbers = integer_range(fmt)
        return tuple(Fraction(n) for n in range(numbers[0] - 2, numbers[-1] + 3))
    assert isinstance(fmt, Format)
    sizes = [Fraction(size) for size in magnitudes_of(fmt)]
    sizes.append(2 * sizes[-1] - sizes[-2] if len(sizes) > 1 else 2 * sizes[-1])
    return tuple(sorted({sign * size for size in (*sizes, Fraction(0)) for sign in (-1, 1)}))


@lru_cache(maxsize=16)
def middles(fmt: NumberFormat) -> tuple[Fraction, ...]:
    """Return the midpoints between consecutive landmarks.

    Zero is a landmark even of a codebook without it, but no neighbour of its values.
    """
    points = landmarks(fmt)
    if isinstance(fmt, Codebook) and 0.0 not in fmt.codebook:
        points = tuple(point for point in points if point)
    return tuple((a + b) / 2 for a, b in pairwise(points))


def _exponents(exact: Sequence[Fraction], dtype: np.dtype[Any]) -> list[int]:
    """Return exponents of powers of two: all in the format's range, and a few of the dtype."""
    sizes = [abs(value) for value in exact if value]
    ends = (min(to_float(size), LARGEST_FLOAT) for size in (min(sizes), max(sizes)))
    low, high = (math.frexp(end)[1] for end in ends)
    everywhere = range(-1074, 1024, 16 if dtype.itemsize == 8 else 4)
    last = {e for top in (16, 128, 1024) for e in range(top - 3, top)}
    return sorted({*range(low - 3, high + 4), *everywhere, *last} & set(range(-1074, 1024)))


def to_float(value: Fraction) -> float:
    """Round a fraction to float64; overflow gives infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _integer_points(exact: Sequence[Fraction], dtype: np.dtype[Any]) -> NDArray[Any]:
    info = np.iinfo(dtype)
    low, high = max(int(info.min), -MAX_EXACT_INT), min(int(info.max), MAX_EXACT_INT)
    near = {math.floor(value) + step for value in exact for step in (-1, 0, 1, 2)}
    powers = {sign * 2**e + step for e in range(54) for sign in (-1, 1) for step in (-1, 0, 1)}
    return np.array(sorted(n for n in near | powers if low <= n <= high), dtype)


class FloatOrder:
    """Numbers the floats of a dtype in the order of their values, without NaNs.

    The key of a positive float is its word; -0 has key -1, and keys decrease from there.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        if dtype.kind == "f" and dtype.itemsize in (2, 4, 8):
            pass
        elif dtype.name != "bfloat16":
            raise ValueError(
                f"dtype must be float16, bfloat16, float32, float64 or an integer, got {dtype}"
            )
        self.dtype = dtype
        self.word: np.dtype[np.unsignedinteger[Any]] = np.dtype(f"u{dtype.itemsize}")
        self.sign = 1 << (8 * dtype.itemsize - 1)
        self.last = int(np.array([math.inf], dtype).view(self.word)[0])
        self.first = -self.last - 1

    def keys(self, floats: NDArray[Any]) -> NDArray[np.int64]:
        """Return the number of each float in the order of values."""
        words = np.ascontiguousarray(floats).view(self.word)
        sizes = (words & self.word.type(self.sign - 1)).astype(np.int64)
        keys: NDArray[np.int64] = np.where(words >= self.sign, -sizes - 1, sizes)
        return keys

    def floats(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        """Return the float of each key."""
        sizes = np.where(keys < 0, -keys - 1, keys).astype(self.word)
        signs = np.where(keys < 0, self.sign, 0).astype(self.word)
        words: NDArray[Any] = sizes | signs
        return words.view(self.dtype)

    def edges(self) -> NDArray[np.int64]:
        """Return the keys of zero, small subnormals, the largest float and infinity, both signs."""
        positive = np.array([0, 1, 2, self.last - 1, self.last])
        return np.concatenate([positive, -positive - 1])
