"""The exact oracle and hypothesis strategies, for this project's tests and for others'.

The oracle says which code a number must get. It works on `fractions.Fraction` and sorted lists,
follows the definitions word by word, and shares no code with `minifloat.encode` or its kernels:
it reads only the facts that describe a format (its fields, bias, flags, or its table) and works out
everything else here. It is slow, and meant to be believed on reading.

exact_decode, exact_encode, exact_encode_array   one code's value; one number's code; a loop
decision_points                                  the inputs at which a rounding can go wrong
exact_steps, StepTable                           the oracle as a table, for sweeps over all inputs
check_encoder, assert_same_codes                 compare an encoder, or codes, with the oracle
random_formats                                   formats from a seeded generator
formats, codes, values, near_ties                hypothesis strategies (need `hypothesis`)

How a number x is rounded, in the order of `exact_encode`:

1. NaN gets the NaN code, or what ``nan`` says where there is none.
2. The two neighbours of x are found: ``near`` (nearer to zero) and ``far``. A number that the
   format has is its own neighbour, on both sides, so that no mode moves it. Beyond the greatest
   value the grid goes on, as if the exponent range were unbounded; a codebook's does not.
3. The mode picks one of the two, from the fraction of the gap that x has covered beyond ``near``
   and from whose code is odd.
4. If the one picked lies outside the format, and for infinities, ``overflow`` decides.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat.catalogue import CATALOGUE
from minifloat.formats import Codebook, Format, Integer, NumberFormat, Specials
from minifloat.names import parse
from minifloat.rounding import NaN, Overflow, Rounding

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Real: TypeAlias = "float | int | Fraction | np.generic[Any]"
Width: TypeAlias = Literal[16, 32, 64]
Codes: TypeAlias = "NDArray[np.unsignedinteger[Any]]"

HALF = Fraction(1, 2)
MAX_EXACT_INT = 2**53


# ---- what a code means ---------------------------------------------------------------------------


def exact_decode(code: int, fmt: NumberFormat | str) -> float:
    """Return the value of one code, from the format's fields.

    Parameters
    ----------
    code : int
        In ``0 .. fmt.code_count - 1``.
    fmt : format or str

    Returns
    -------
    float
        Exact, with the sign of zero; NaN for NaN codes and for unused ones.

    Raises
    ------
    ValueError
        If ``code`` is outside the format.

    Examples
    --------
    >>> from minifloat.testing import exact_decode
    >>> exact_decode(0b1_01_10, "e2m2")
    -1.5
    """
    fmt = parse(fmt)
    if not 0 <= code < fmt.code_count:
        raise ValueError(f"code must be in 0..{fmt.code_count - 1} for {fmt}, got {code}")
    if isinstance(fmt, Codebook):
        return fmt.codebook[code]
    if isinstance(fmt, Integer):
        negative = fmt.signed and code >= 1 << (fmt.bits - 1)
        number = code - (1 << fmt.bits) if negative else code
        return float(number) if number in _integer_range(fmt) else math.nan
    assert isinstance(fmt, Format)
    if code == _nan_in_place_of_minus_zero(fmt):
        return math.nan
    sign_bit = _sign_bit(fmt)
    negative = code >= sign_bit  # never in an unsigned format
    magnitude = code - sign_bit if negative else code
    values = _magnitudes(fmt)
    if magnitude < len(values) - 1:
        size = float(values[magnitude])
    else:
        size = math.inf if magnitude == _infinity(fmt) else math.nan
    return -size if negative else size


@lru_cache(maxsize=64)
def _magnitudes(fmt: Format) -> tuple[float | Fraction, ...]:
    """Value of the magnitudes 0, 1, 2 ... up to the greatest, and then of the next one.

    All are floats but the last, which may be beyond float64. Python compares floats, integers and
    fractions exactly.
    """
    per_binade = 1 << fmt.mantissa_bits
    not_finite = {
        Specials.NONE: 0,
        Specials.IEEE: per_binade,  # the whole binade of the all-ones exponent
        Specials.FN: 1,  # the NaN
        Specials.FNUZ: 0,  # its NaN is elsewhere
        Specials.P3109: 1 if fmt.signed else 2,  # infinity, and unsigned formats' NaN
    }[fmt.specials]
    count = _sign_bit(fmt) - not_finite
    values: list[float | Fraction] = []
    for magnitude in range(count + 1):
        field, mantissa = divmod(magnitude, per_binade)
        if fmt.subnormals and field == 0:
            value = mantissa * _power(1 - fmt.bias - fmt.mantissa_bits)
        elif magnitude == 0 and fmt.mantissa_bits > 0:
            value = Fraction(0)
        else:
            value = (per_binade + mantissa) * _power(field - fmt.bias - fmt.mantissa_bits)
        values.append(float(value) if magnitude < count else value)
    return tuple(values)


def _sign_bit(fmt: Format) -> int:
    """The bit above exponent and mantissa, whether or not there is a sign."""
    return 1 << (fmt.exponent_bits + fmt.mantissa_bits)


def _power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def _infinity(fmt: Format) -> int | None:
    """Magnitude of infinity."""
    return len(_magnitudes(fmt)) - 1 if fmt.specials in ("ieee", "p3109") else None


def _nan_in_place_of_minus_zero(fmt: Format) -> int | None:
    if fmt.signed and fmt.specials in ("fnuz", "p3109"):
        return _sign_bit(fmt)
    return None


def _nan_code(fmt: NumberFormat) -> int | None:
    """The positive quiet NaN, or the only NaN."""
    if not isinstance(fmt, Format) or fmt.specials == "none":
        return None
    last = _sign_bit(fmt) - 1
    if fmt.specials == "ieee":  # exponent all ones, and of the mantissa the top bit
        return None if fmt.mantissa_bits == 0 else last - ((1 << (fmt.mantissa_bits - 1)) - 1)
    if fmt.specials == "fn" or not fmt.signed:
        return last
    return _nan_in_place_of_minus_zero(fmt)


def _integer_range(fmt: Integer) -> range:
    if not fmt.signed:
        return range(2**fmt.bits)
    top = 2 ** (fmt.bits - 1)
    return range(1 - top if fmt.symmetric else -top, top)


@lru_cache(maxsize=64)
def _sorted_codebook(fmt: Codebook) -> tuple[tuple[float, ...], dict[float, int], dict[float, int]]:
    """The values in order, and the code of each for positive and for negative x.

    The two differ where the table has both 0.0 and -0.0, which are equal as keys.
    """
    positive: dict[float, int] = {}
    negative: dict[float, int] = {}
    for code, value in enumerate(fmt.codebook):
        minus_zero = value == 0 and math.copysign(1, value) < 0
        if value not in positive or not minus_zero:
            positive[value] = code
        if value not in negative or minus_zero:
            negative[value] = code
    return tuple(sorted(positive)), positive, negative


class _Limits(NamedTuple):
    """The ends of a format's finite values."""

    least: float
    greatest: float
    least_code: int
    greatest_code: int


@lru_cache(maxsize=64)
def _limits(fmt: NumberFormat) -> _Limits:
    values = {code: exact_decode(code, fmt) for code in range(fmt.code_count)}
    finite = [code for code, value in values.items() if math.isfinite(value)]
    finite.sort(key=lambda code: (values[code], math.copysign(1, values[code])))  # -0 before +0
    low, high = finite[0], finite[-1]
    return _Limits(values[low], values[high], low, high)


# ---- which code a number gets --------------------------------------------------------------------


class _Neighbour(NamedTuple):
    """A value next to x. Its code is None where the format ends before it."""

    value: Fraction
    odd: bool
    code: int | None


def exact_encode(
    x: Real,
    fmt: NumberFormat | str,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
    nan: NaN | str = NaN.RAISE,
    *,
    random: int | None = None,
    random_bits: int = 24,
) -> int:
    """Return the code of one number.

    NaN, infinities, -0, ties and overflow follow the definitions in `minifloat.rounding`.

    Parameters
    ----------
    x : float, int, Fraction or NumPy scalar
        Taken at its exact value, and rounded once.
    fmt : format or str
    rounding : Rounding or str
    overflow : Overflow or str
    nan : NaN or str
    random : int, optional
        The random word of a stochastic mode, in ``0 .. 2**random_bits - 1``.
    random_bits : int
        1 to 28.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If x is NaN and has no code, if it overflows under ``overflow="raise"``, or if a stochastic
        mode has no random word.

    Notes
    -----
    The fraction of a gap that a stochastic mode compares with its random word is exact, but for
    codebooks and formats without subnormals, where by definition it is computed in float64.

    Examples
    --------
    >>> from minifloat.testing import exact_encode
    >>> exact_encode(0.9375, "e2m2"), exact_encode(464, "e4m3fn"), exact_encode(-0.0, "e4m3fn")
    (4, 126, 128)
    """
    rounding, overflow, nan = Rounding(rounding), Overflow(overflow), NaN(nan)
    if rounding.is_stochastic:
        if random is None:
            raise ValueError(f"random must be given for {rounding}, got None")
        if not 1 <= random_bits <= 28 or not 0 <= random < 2**random_bits:
            raise ValueError(f"random must be in 0..2**random_bits - 1, got {random}")
    return _encode(_number(x), parse(fmt), rounding, overflow, nan, random or 0, random_bits)


def _number(x: Real) -> float | Fraction:
    """X as a float where it is one (with -0, inf and NaN), otherwise as a fraction: both exact."""
    if isinstance(x, int | np.integer):
        return Fraction(int(x))
    if isinstance(x, float | Fraction):
        return x
    if isinstance(x, np.longdouble):  # where that is float64 it is caught above
        raise TypeError(f"x must be no longdouble, got {x!r}")
    return float(x)  # float16, bfloat16 and float32 scalars: exact


def _encode(
    x: float | Fraction,
    fmt: NumberFormat,
    rounding: Rounding,
    overflow: Overflow,
    nan: NaN,
    random: int,
    random_bits: int,
) -> int:
    # 1. What has no place on the line of numbers
    if isinstance(x, float) and math.isnan(x):
        return _encode_nan(fmt, nan)
    if x in (math.inf, -math.inf):
        return _beyond(fmt, rounding, overflow, low=x < 0, infinite=True)
    # 2. The neighbours
    negative = x < 0 or (x == 0 and isinstance(x, float) and math.copysign(1, x) < 0)
    near, far = _neighbours(x, negative, fmt)
    # 3. One of them
    if near is far:
        picked = near
    elif rounding.is_stochastic:
        fraction = _fraction(Fraction(x), near, far, fmt)
        picked = far if _drawn(fraction, rounding, random, random_bits) else near
    else:
        picked = _picked(Fraction(x), near, far, rounding)
    # 4. Out of range
    if picked.code is None:
        return _beyond(fmt, rounding, overflow, low=x < _limits(fmt).least, infinite=False)
    return picked.code


@lru_cache(maxsize=2**14)  # a number is asked for once in every mode
def _neighbours(
    x: float | Fraction, negative: bool, fmt: NumberFormat
) -> tuple[_Neighbour, _Neighbour]:
    """The value nearer to zero and the farther one, or twice the only one there is."""
    if isinstance(fmt, Codebook):
        return _codebook_neighbours(x, negative, fmt)
    size = -x if negative else x
    if isinstance(fmt, Integer):
        whole = math.floor(size)
        near = _integer_neighbour(whole, negative, fmt)
        return near, near if whole == size else _integer_neighbour(whole + 1, negative, fmt)
    assert isinstance(fmt, Format)
    magnitudes = _magnitudes(fmt)
    at = bisect_right(magnitudes, size) - 1  # the last magnitude that is at most |x|
    if at < 0:  # the format has no zero, and |x| is below its smallest value
        only = _format_neighbour(0, negative, fmt)
        if size == 0 and not fmt.signed:
            only = only._replace(code=None)  # zero is below the range, as negative numbers are
        return only, only
    near = _format_neighbour(at, negative, fmt)
    if magnitudes[at] == size or at == len(magnitudes) - 1:  # on the grid, or all beyond the range
        return near, near
    return near, _format_neighbour(at + 1, negative, fmt)


def _format_neighbour(magnitude: int, negative: bool, fmt: Format) -> _Neighbour:
    value = Fraction(_magnitudes(fmt)[magnitude])
    code: int | None = magnitude
    if magnitude == len(_magnitudes(fmt)) - 1:
        code = None
    elif negative and not fmt.signed:
        code = 0 if value == 0 else None
    elif negative:
        code = magnitude + _sign_bit(fmt)
        if code == _nan_in_place_of_minus_zero(fmt):
            code = 0
    return _Neighbour(-value if negative else value, magnitude % 2 == 1, code)


def _integer_neighbour(size: int, negative: bool, fmt: Integer) -> _Neighbour:
    number = -size if negative else size
    code = number % 2**fmt.bits if number in _integer_range(fmt) else None  # two's complement
    return _Neighbour(Fraction(number), size % 2 == 1, code)


def _codebook_neighbours(
    x: float | Fraction, negative: bool, fmt: Codebook
) -> tuple[_Neighbour, _Neighbour]:
    values, positive_codes, negative_codes = _sorted_codebook(fmt)
    codes = negative_codes if negative else positive_codes

    def neighbour(at: int) -> _Neighbour:
        code = codes[values[at]]
        return _Neighbour(Fraction(values[at]), code % 2 == 1, code)

    at = bisect_right(values, x) - 1
    if at >= 0 and values[at] == x:
        only = neighbour(at)
        return only, only
    if at < 0 or at == len(values) - 1:  # a codebook ends at its ends
        only = _Neighbour(Fraction(x), False, None)
        return only, only
    # Of -v and v the one whose sign is not x's is nearer to zero: x has come from there.
    near, far = sorted(
        (neighbour(at), neighbour(at + 1)),
        key=lambda n: (abs(n.value), (n.value < 0) == negative),
    )
    return near, far


def _picked(x: Fraction, near: _Neighbour, far: _Neighbour, rounding: Rounding) -> _Neighbour:
    """The neighbour that a deterministic mode takes. Equal parity only occurs in codebooks."""
    even = far if near.odd and not far.odd else near
    odd = near if even is far else far
    to_near, to_far = abs(x - near.value), abs(far.value - x)
    nearest = None if to_near == to_far else near if to_near < to_far else far
    match rounding:
        case Rounding.NEAREST_EVEN:
            return nearest or even
        case Rounding.NEAREST_ODD:
            return nearest or odd
        case Rounding.NEAREST_ZERO:
            return nearest or near
        case Rounding.NEAREST_AWAY:
            return nearest or far
        case Rounding.TOWARD_ZERO:
            return near
        case Rounding.AWAY_FROM_ZERO:
            return far
        case Rounding.UPWARD:
            return max(near, far, key=lambda n: n.value)
        case Rounding.DOWNWARD:
            return min(near, far, key=lambda n: n.value)
        case Rounding.TO_ODD:
            return odd
    raise AssertionError(rounding)


def _fraction(x: Fraction, near: _Neighbour, far: _Neighbour, fmt: NumberFormat) -> Fraction:
    """How much of the gap between its neighbours x has covered, seen from the one near zero."""
    if isinstance(fmt, Codebook):  # float64 by definition, three operations
        gap = float(far.value) - float(near.value)
        return Fraction((float(x) - float(near.value)) / gap)
    fraction = (x - near.value) / (far.value - near.value)
    if isinstance(fmt, Format) and not fmt.subnormals:  # float64 by definition
        return Fraction(float(fraction))
    return fraction


def _drawn(fraction: Fraction, rounding: Rounding, word: int, bits: int) -> bool:
    """Whether a stochastic mode goes to the far neighbour (P3109, RoundToPrecision)."""
    if rounding is Rounding.STOCHASTIC:
        return math.floor(fraction * (1 << bits)) + word >= 1 << bits
    if rounding is Rounding.STOCHASTIC_B:
        return math.floor(fraction * (2 << bits)) + 2 * word + 1 >= 2 << bits
    if rounding is Rounding.STOCHASTIC_C:
        return round(fraction * (1 << bits)) + word >= 1 << bits  # Python rounds ties to even
    return fraction > 0 and word >= 1 << (bits - 1)  # STOCHASTIC_EQUAL: the top bit


def _encode_nan(fmt: NumberFormat, nan: NaN) -> int:
    code = _nan_code(fmt)
    if code is not None:
        return code
    if nan is NaN.MAX:
        return _limits(fmt).greatest_code
    if nan is NaN.ZERO:
        zeros = [code for code in range(fmt.code_count) if exact_decode(code, fmt) == 0]
        zeros.sort(key=lambda code: math.copysign(1, exact_decode(code, fmt)), reverse=True)
        if zeros:
            return zeros[0]  # +0 before -0
        raise ValueError(f'nan must not be "zero" for {fmt}, which has no zero')
    raise ValueError(f"x must not be NaN for {fmt}, which has none")


def _beyond(
    fmt: NumberFormat, rounding: Rounding, overflow: Overflow, *, low: bool, infinite: bool
) -> int:
    """The code of an infinity, or of a number that was rounded out of the range."""
    limits = _limits(fmt)
    extreme = limits.least_code if low else limits.greatest_code
    infinity = _infinity(fmt) if isinstance(fmt, Format) else None
    if infinity is not None and low:
        assert isinstance(fmt, Format)
        infinity = infinity + _sign_bit(fmt) if fmt.signed else None
    if overflow is Overflow.SATURATE:
        return extreme
    if overflow is Overflow.SATURATE_FINITE:
        return infinity if infinite and infinity is not None else extreme
    if overflow is Overflow.RAISE:
        if infinite and infinity is not None:
            return infinity
        raise ValueError(f"x must be in the range of {fmt}, got a number beyond it")
    if not infinite and _stops(fmt, rounding, low):
        return extreme
    if infinity is not None:
        return infinity
    not_a_number = _nan_code(fmt)
    return extreme if not_a_number is None else not_a_number


def _stops(fmt: NumberFormat, rounding: Rounding, low: bool) -> bool:
    """Whether a mode never leaves the greatest value for infinity (IEEE 754-2019, 7.4)."""
    if rounding is Rounding.TO_ODD:
        return isinstance(fmt, Format) and (len(_magnitudes(fmt)) - 2) % 2 == 1
    return (
        rounding is Rounding.TOWARD_ZERO
        or (rounding is Rounding.UPWARD and low)
        or (rounding is Rounding.DOWNWARD and not low)
    )


def exact_encode_array(
    x: ArrayLike,
    fmt: NumberFormat | str,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
    nan: NaN | str = NaN.RAISE,
    *,
    random: ArrayLike | None = None,
    random_bits: int = 24,
) -> Codes:
    """Return the code of every number of an array: `exact_encode` in a loop.

    Parameters
    ----------
    x : array_like
        Floats (bfloat16 of ml_dtypes included) or integers, any shape.
    fmt, rounding, overflow, nan, random_bits
        As in `exact_encode`.
    random : array_like of unsigned integers, optional
        One random word for each number.

    Returns
    -------
    ndarray of uint8, uint16 or uint32, shape of x

    Raises
    ------
    ValueError
        As `exact_encode` for any of the numbers, or if ``random`` has another shape than x.

    Examples
    --------
    >>> from minifloat.testing import exact_encode_array
    >>> exact_encode_array([0.25, 5.0, -9.0], "e2m1").tolist()
    [0, 6, 15]
    """
    fmt, rounding = parse(fmt), Rounding(rounding)
    array = np.asarray(x)
    dtype = code_dtype(fmt)
    if not rounding.is_stochastic:
        overflow, nan = Overflow(overflow), NaN(nan)
        codes = [_encode(v, fmt, rounding, overflow, nan, 0, 1) for v in _numbers(array)]
        return np.array(codes, dtype).reshape(array.shape)
    words = np.asarray(random)
    if words.shape != array.shape:
        raise ValueError(f"random must have the shape of x, {array.shape}, got {words.shape}")
    codes = [
        exact_encode(v, fmt, rounding, overflow, nan, random=int(word), random_bits=random_bits)
        for v, word in zip(_numbers(array), words.ravel(), strict=True)
    ]
    return np.array(codes, dtype).reshape(array.shape)


def _numbers(array: NDArray[Any]) -> Iterator[float | Fraction]:
    """The elements in C order, each exact."""
    if array.dtype.kind in "iu":
        return (Fraction(int(v)) for v in array.ravel())
    return iter(array.ravel().astype(np.float64).tolist())


def code_dtype(fmt: NumberFormat | str) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the dtype of a format's codes: the least of uint8, uint16, uint32 that holds them.

    Parameters
    ----------
    fmt : format or str

    Returns
    -------
    numpy.dtype

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> from minifloat.testing import code_dtype
    >>> code_dtype("e2m2"), code_dtype("tf32")
    (dtype('uint8'), dtype('uint32'))
    """
    bits = parse(fmt).bits
    return np.dtype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


# ---- where roundings go wrong --------------------------------------------------------------------


def decision_points(fmt: NumberFormat | str, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return the inputs at which an encoder can go wrong.

    They are all values of the format and all midpoints (the grid continued for two values beyond
    the greatest, and to negative numbers for unsigned formats too), powers of two (all those in
    the format's range, and a few elsewhere), the neighbours of all these one unit in the last place
    away, and the dtype's own extremes, zeros, infinities and NaN.

    Between two points that follow each other a deterministic mode is constant, or the points are
    neighbours in the dtype; `exact_steps` relies on nothing but this and checks it.

    Parameters
    ----------
    fmt : format or str
    dtype : dtype
        float16, bfloat16 (of ml_dtypes), float32, float64, or an integer dtype. For integers the
        points are those rounded down and up, as far as they are at most 2**53 in magnitude.

    Returns
    -------
    ndarray of ``dtype``, one-dimensional
        In ascending order, -0 before +0, with one NaN at the end; no point twice.

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
    exact = [*_landmarks(fmt), *_middles(fmt)]
    if dtype.kind in "iu":
        return _integer_points(exact, dtype)
    order = _Order(dtype)
    exact += [sign * _power(e) for e in _exponents(exact, dtype) for sign in (-1, 1)]
    with np.errstate(over="ignore"):
        rounded = np.array([_float(value) for value in exact], np.float64).astype(dtype)
    keys = order.keys(rounded)
    keys = np.concatenate([keys, keys - 1, keys + 1, order.edges()])
    keys = np.unique(keys[(keys >= order.first) & (keys <= order.last)])
    return np.append(order.floats(keys), np.array([math.nan], dtype))


@lru_cache(maxsize=16)
def _landmarks(fmt: NumberFormat) -> tuple[Fraction, ...]:
    """The values of the format in order, with what would follow beyond both ends."""
    if isinstance(fmt, Codebook):
        values = [Fraction(value) for value in sorted(set(fmt.codebook) | {0.0})]
        span = max(abs(values[0]), abs(values[-1]))
        return values[0] - span, *values, values[-1] + span
    if isinstance(fmt, Integer):
        numbers = _integer_range(fmt)
        return tuple(Fraction(n) for n in range(numbers[0] - 2, numbers[-1] + 3))
    assert isinstance(fmt, Format)
    sizes = [Fraction(size) for size in _magnitudes(fmt)]
    sizes.append(2 * sizes[-1] - sizes[-2] if len(sizes) > 1 else 2 * sizes[-1])
    return tuple(sorted({sign * size for size in (*sizes, Fraction(0)) for sign in (-1, 1)}))


@lru_cache(maxsize=16)
def _middles(fmt: NumberFormat) -> tuple[Fraction, ...]:
    return tuple((a + b) / 2 for a, b in pairwise(_landmarks(fmt)))


def _exponents(exact: Sequence[Fraction], dtype: np.dtype[Any]) -> list[int]:
    """Exponents of powers of two: all of the format's range, and some of the dtype's."""
    sizes = [abs(value) for value in exact if value]
    low, high = (math.frexp(_float(size))[1] for size in (min(sizes), max(sizes)))
    everywhere = range(-1074, 1024, 16 if dtype.itemsize == 8 else 4)
    last = {e for top in (16, 128, 1024) for e in range(top - 3, top)}
    return sorted({*range(low - 3, high + 4), *everywhere, *last} & set(range(-1074, 1024)))


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _integer_points(exact: Sequence[Fraction], dtype: np.dtype[Any]) -> NDArray[Any]:
    info = np.iinfo(dtype)
    low, high = max(int(info.min), -MAX_EXACT_INT), min(int(info.max), MAX_EXACT_INT)
    near = {math.floor(value) + step for value in exact for step in (-1, 0, 1, 2)}
    powers = {sign * 2**e + step for e in range(54) for sign in (-1, 1) for step in (-1, 0, 1)}
    return np.array(sorted(n for n in near | powers if low <= n <= high), dtype)


class _Order:
    """The words of a float dtype numbered in the order of their values, NaNs left out.

    The key of a positive float is its word; -0 has key -1, and so on downward.
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
        words = np.ascontiguousarray(floats).view(self.word)
        sizes = (words & self.word.type(self.sign - 1)).astype(np.int64)
        keys: NDArray[np.int64] = np.where(words >= self.sign, -sizes - 1, sizes)
        return keys

    def floats(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        sizes = np.where(keys < 0, -keys - 1, keys).astype(self.word)
        signs = np.where(keys < 0, self.sign, 0).astype(self.word)
        words: NDArray[Any] = sizes | signs
        return words.view(self.dtype)

    def edges(self) -> NDArray[np.int64]:
        """Zero, the least subnormals, the greatest finite float, infinity: of both signs."""
        positive = np.array([0, 1, 2, self.last - 1, self.last])
        return np.concatenate([positive, -positive - 1])


# ---- the oracle as a table -----------------------------------------------------------------------


@dataclass(frozen=True)
class StepTable:
    """A deterministic encoder of one source dtype, as a step function (see `exact_steps`).

    Attributes
    ----------
    keys : ndarray of int64
        Where each step begins, as the number of the float in the order of the values.
    codes : ndarray
        The code on each step.
    dtype : dtype
        Of the source.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.testing import exact_steps
    >>> table = exact_steps("e2m1", np.float32)
    >>> table(np.float32([2.4, 2.5, 2.6])).tolist()
    [4, 4, 5]
    """

    keys: NDArray[np.int64]
    codes: Codes
    dtype: np.dtype[Any]

    def __call__(self, x: NDArray[Any]) -> Codes:
        """Return the codes of an array of the table's dtype.

        Raises
        ------
        ValueError
            If x has another dtype or holds NaN, which has no place in the order.
        """
        if x.dtype != self.dtype:
            raise ValueError(f"x must be of dtype {self.dtype}, got {x.dtype}")
        order = _Order(self.dtype)
        keys = order.keys(x.ravel())
        if np.any((keys < order.first) | (keys > order.last)):
            raise ValueError("x must not hold NaN; mask it first")
        at = np.searchsorted(self.keys, keys, side="right") - 1
        return self.codes[at].reshape(x.shape)

    def words(self, start: int, stop: int) -> Codes:
        """Return the codes of the words ``start .. stop - 1`` of the dtype, all of one sign.

        Much faster than a call, since each step is filled at once. NaN words get the code of the
        infinity before them: mask them.

        Raises
        ------
        ValueError
            If the words are not of one sign.
        """
        sign = _Order(self.dtype).sign
        if not 0 <= start < stop <= 2 * sign or start // sign != (stop - 1) // sign:
            raise ValueError(f"words must be of one sign, got {start}..{stop - 1}")
        codes = np.empty(stop - start, self.codes.dtype)
        ends = np.append(self.keys[1:], 2 * sign)
        negative = start >= sign
        for begin, end, code in zip(self.keys, ends, self.codes, strict=True):
            # word = key, or sign + (-1 - key) for negative floats, where the order is reversed
            low, high = (sign - int(end), sign - int(begin)) if negative else (begin, end)
            if negative and begin == self.keys[0]:
                high = 2 * sign  # NaNs after -inf
            codes[max(int(low) - start, 0) : max(int(high) - start, 0)] = code
        return codes


def exact_steps(
    fmt: NumberFormat | str,
    dtype: DTypeLike = np.float32,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
) -> StepTable:
    """Return the oracle of a deterministic mode as a table of steps, for sweeps over all inputs.

    The oracle is asked at all `decision_points`. A rounding is monotone, hence constant between two
    floats that get the same code; where two points that follow each other get different codes and
    are not neighbours in the dtype, the place of the change is found by bisection with the oracle.

    Parameters
    ----------
    fmt : format or str
    dtype : dtype
        A float dtype.
    rounding : Rounding or str
        Not a stochastic mode.
    overflow : Overflow or str
        Not "raise".

    Returns
    -------
    StepTable

    Raises
    ------
    ValueError
        If the mode is stochastic, the policy is "raise", or the dtype is not a float dtype.

    Examples
    --------
    >>> from minifloat.testing import exact_steps
    >>> len(exact_steps("e2m1").codes)
    16
    """
    fmt, dtype = parse(fmt), np.dtype(dtype)
    rounding, overflow = Rounding(rounding), Overflow(overflow)
    if rounding.is_stochastic or overflow is Overflow.RAISE:
        raise ValueError(
            f"rounding and overflow must give every number a code, got {rounding}, {overflow}"
        )
    order = _Order(dtype)

    def code_at(key: int) -> int:
        number = float(order.floats(np.array([key]))[0])
        return _encode(number, fmt, rounding, overflow, NaN.RAISE, 0, 1)

    points = order.keys(decision_points(fmt, dtype)[:-1]).tolist()
    keys, codes = [points[0]], [code_at(points[0])]
    for low, high in pairwise(points):
        code = code_at(high)
        while codes[-1] != code:
            first = high  # the first key of this code, as far as is known
            while first - low > 1:
                middle = (low + first) // 2
                if code_at(middle) == codes[-1]:
                    low = middle
                else:
                    first = middle
            keys.append(first)
            codes.append(code_at(first))
            low = first
    return StepTable(np.array(keys, np.int64), np.array(codes, code_dtype(fmt)), dtype)


def assert_same_codes(
    got: ArrayLike, want: ArrayLike, x: ArrayLike, fmt: NumberFormat | str, *, about: str = ""
) -> None:
    """Fail unless two arrays of codes are equal, naming the first differences.

    Parameters
    ----------
    got, want : array_like of codes
    x : array_like
        The numbers they are the codes of.
    fmt : format or str
    about : str
        Printed with the message: mode, policy, source.

    Raises
    ------
    AssertionError
        If shape, dtype or a code differs; each of the first eight differences is printed with the
        number, the two codes and their values.

    Examples
    --------
    >>> from minifloat.testing import assert_same_codes
    >>> assert_same_codes([4], [4], [1.0], "e2m2")
    """
    got, want, x, fmt = np.asarray(got), np.asarray(want), np.asarray(x), parse(fmt)
    if got.shape != want.shape or got.dtype != want.dtype:
        raise AssertionError(
            f"{fmt} {about}: codes must be {want.dtype} of shape {want.shape}, "
            f"got {got.dtype} of shape {got.shape}"
        )
    wrong = np.flatnonzero(got != want)
    if len(wrong) == 0:
        return
    lines = [f"{fmt} {about}: {len(wrong)} of {got.size} codes differ"]
    for at in wrong[:8]:
        number, is_code, must_code = x.ravel()[at], int(got.ravel()[at]), int(want.ravel()[at])
        exact = float(number).hex() if x.dtype.kind not in "iu" else "int"
        is_value, must_value = (
            exact_decode(code, fmt) if code < fmt.code_count else "outside the format"
            for code in (is_code, must_code)
        )
        lines.append(
            f"  x[{at}] = {number!r} ({exact}): got code {is_code:#x} ({is_value}), "
            f"expected {must_code:#x} ({must_value})"
        )
    raise AssertionError("\n".join(lines))


class Encoder(Protocol):
    """What `check_encoder` checks: a function with the arguments of `minifloat.encode`."""

    def __call__(
        self,
        x: NDArray[Any],
        fmt: NumberFormat,
        /,
        *,
        rounding: Rounding,
        overflow: Overflow,
        random: NDArray[np.uint32] | None,
        random_bits: int,
    ) -> Codes:
        """Return the codes of x, or raise ValueError under ``Overflow.RAISE``."""


def check_encoder(
    encode: Encoder,
    fmt: NumberFormat | str,
    *,
    dtypes: Sequence[DTypeLike] = ("float16", "float32", "float64", "int64"),
    roundings: Iterable[Rounding | str] = Rounding,
    overflows: Iterable[Overflow | str] = Overflow,
    stride: int = 1,
) -> int:
    """Compare an encoder with the oracle at all decision points of a format.

    Every mode, policy and source dtype is tried at the `decision_points` of all the dtypes; the
    stochastic modes with 1 to 28 seeded random bits.

    Parameters
    ----------
    encode : callable
        `minifloat.encode`, or your own with the same arguments.
    fmt : format or str
    dtypes : sequence of dtypes
    roundings, overflows : iterable of Rounding, of Overflow
    stride : int
        Take every ``stride``-th point only (wide formats have many).

    Returns
    -------
    int
        The number of codes compared.

    Raises
    ------
    AssertionError
        At the first mode, policy and dtype where a code differs (see `assert_same_codes`), or
        where ``Overflow.RAISE`` does not raise exactly when it should.

    Notes
    -----
    The oracle is asked once for each number and mode, since a code depends on the value alone and
    not on the dtype, and since the policies differ only outside the range.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.testing import check_encoder
    >>> check_encoder(mf.encode, "e2m1", roundings=["nearest_even"], dtypes=["float32"]) > 1000
    True
    """
    fmt = parse(fmt)
    sources = [_numbers_only(decision_points(fmt, dtype))[::stride] for dtype in dtypes]
    words = [source.astype(np.float64).view(np.uint64) for source in sources]  # tells 0 from -0
    all_words = np.unique(np.concatenate(words))
    numbers = all_words.view(np.float64)
    places = [np.searchsorted(all_words, word) for word in words]
    rng = np.random.default_rng(2026)
    compared = 0
    for rounding in map(Rounding, roundings):
        bits = int(rng.choice([1, 2, 5, 8, 23, 24, 28]))
        random = None
        if rounding.is_stochastic:
            random = rng.integers(0, 1 << bits, numbers.shape, np.uint32)
        inside = exact_encode_array(numbers, fmt, rounding, random=random, random_bits=bits)
        for overflow in map(Overflow, overflows):
            want, fails = _outside(inside, numbers, fmt, rounding, overflow, random, bits)
            for source, place in zip(sources, places, strict=True):
                compared += _compare(
                    partial(encode, rounding=rounding, overflow=overflow, random_bits=bits),
                    source,
                    fmt,
                    None if random is None else random[place],
                    want[place],
                    fails[place],
                    f"{rounding} {overflow} random_bits={bits} {source.dtype}",
                )
    return compared


def _numbers_only(points: NDArray[Any]) -> NDArray[Any]:
    """Decision points without the NaN at the end."""
    return points if points.dtype.kind in "iu" else points[:-1]


def _outside(
    inside: Codes,
    numbers: NDArray[np.float64],
    fmt: NumberFormat,
    rounding: Rounding,
    overflow: Overflow,
    random: NDArray[np.uint32] | None,
    random_bits: int,
) -> tuple[Codes, NDArray[np.bool_]]:
    """The codes under a policy, from those under any other, and where they are an error."""
    codes, fails = inside.copy(), np.zeros(numbers.shape, bool)
    limits = _limits(fmt)
    for at in np.flatnonzero((numbers < limits.least) | (numbers > limits.greatest)):
        number, word = float(numbers[at]), 0 if random is None else int(random[at])
        try:
            codes[at] = _encode(number, fmt, rounding, overflow, NaN.RAISE, word, random_bits)
        except ValueError:
            fails[at] = True
    return codes, fails


def _compare(
    encode: Callable[..., Codes],
    x: NDArray[Any],
    fmt: NumberFormat,
    random: NDArray[np.uint32] | None,
    want: Codes,
    fails: NDArray[np.bool_],
    about: str,
) -> int:
    """Compare the numbers that have a code, all at once, and try some of the others one by one."""

    def call(chosen: NDArray[np.intp]) -> Codes:
        return encode(x[chosen], fmt, random=None if random is None else random[chosen])

    fine, failing = np.flatnonzero(~fails), np.flatnonzero(fails)
    assert_same_codes(call(fine), want[fine], x[fine], fmt, about=about)
    for at in failing[:: max(1, len(failing) // 16)]:
        try:
            code = call(np.array([at]))
        except ValueError:
            continue
        raise AssertionError(f"{fmt} {about}: x = {x[at]!r} must be an error, got code {code}")
    return len(fine)


# ---- formats at random ---------------------------------------------------------------------------


def random_formats(rng: np.random.Generator, count: int, *, max_bits: int = 8) -> list[Format]:
    """Return different ExMy formats drawn from the whole space: biases, signs, specials and all.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
    max_bits : int
        3 to 16.

    Returns
    -------
    list of Format

    Raises
    ------
    ValueError
        If ``max_bits`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.testing import random_formats
    >>> len(random_formats(np.random.default_rng(1), 5))
    5
    """
    if not 3 <= max_bits <= 16:
        raise ValueError(f"max_bits must be in 3..16, got {max_bits}")
    found: dict[Format, None] = {}
    while len(found) < count:
        exponent_bits = int(rng.integers(1, min(max_bits, 8) + 1))
        mantissa_bits = int(rng.integers(0, max_bits))
        usual = 2 ** (exponent_bits - 1) - 1
        try:
            fmt = Format(
                exponent_bits,
                mantissa_bits,
                bias=usual + int(rng.choice([0, 0, 1, -1, int(rng.integers(-40, 40))])),
                signed=bool(rng.random() < 0.7),
                subnormals=bool(rng.random() < 0.75),
                specials=str(rng.choice(list(Specials))),
            )
        except ValueError:
            continue  # too wide, or without a positive value
        if fmt.bits <= max_bits:
            found[fmt] = None
    return list(found)


def formats(*, max_bits: int = 16) -> SearchStrategy[NumberFormat]:
    """Return a hypothesis strategy for formats: catalogue, ExMy, Integer and Codebook.

    Parameters
    ----------
    max_bits : int
        Greatest width of a code, 3 to 16 (TF32, of 19 bits, is left out).

    Returns
    -------
    SearchStrategy

    Raises
    ------
    ImportError
        If hypothesis is not installed.

    Examples
    --------
    >>> from hypothesis import given
    >>> from minifloat.testing import formats
    >>> @given(formats(max_bits=8))
    ... def test_width(fmt):
    ...     assert fmt.bits <= 8
    >>> test_width()
    """
    from hypothesis import strategies as st

    named = [fmt for fmt in CATALOGUE.values() if fmt.bits <= max_bits]
    integers = st.builds(Integer, st.integers(2, max_bits), st.booleans(), st.booleans())
    numbers = st.floats(-(2.0**64), 2.0**64).map(lambda v: v + 0.0 if abs(v) > 2.0**-64 else 0.0)
    codebooks = st.lists(numbers, min_size=2, max_size=min(2**max_bits, 40), unique=True)
    return st.one_of(
        st.sampled_from(named),
        _exmy(max_bits),
        integers,
        codebooks.map(Codebook),
    )


def _exmy(max_bits: int) -> SearchStrategy[Format]:
    from hypothesis import strategies as st

    @st.composite
    def draw_format(draw: st.DrawFn) -> Format:
        signed = draw(st.booleans())
        exponent_bits = draw(st.integers(1, min(max_bits - signed, 10)))
        mantissa_bits = draw(st.integers(0, max_bits - signed - exponent_bits))
        subnormals = draw(st.booleans())
        specials = draw(st.sampled_from(Specials))
        # every bias for which the least bit and the greatest value are float64 values
        low, high = 2**exponent_bits - 1023, 1074 - mantissa_bits
        usual = 2 ** (exponent_bits - 1) - 1
        bias = draw(st.just(usual) | st.integers(low, high))
        try:
            return Format(
                exponent_bits,
                mantissa_bits,
                bias=bias,
                signed=signed,
                subnormals=subnormals,
                specials=specials,
            )
        except ValueError:  # an unsigned FNUZ, or nothing left but specials
            return Format(exponent_bits, mantissa_bits, bias=bias, signed=signed)

    return draw_format()


def codes(fmt: NumberFormat | str) -> SearchStrategy[int]:
    """Return a hypothesis strategy for a format's codes (but unused ones), NaN codes included.

    Parameters
    ----------
    fmt : format or str

    Returns
    -------
    SearchStrategy

    Raises
    ------
    ImportError
        If hypothesis is not installed.

    Examples
    --------
    >>> from hypothesis import given
    >>> from minifloat.testing import codes
    >>> @given(codes("int4"))
    ... def test_code(code):
    ...     assert 0 <= code < 16 and code != 8
    >>> test_code()
    """
    from hypothesis import strategies as st

    fmt = parse(fmt)
    unused = 2 ** (fmt.bits - 1) if isinstance(fmt, Integer) and fmt.symmetric else None
    return st.integers(0, fmt.code_count - 1).filter(lambda code: code != unused)


def values(
    fmt: NumberFormat | str, *, width: Width = 64, nan: bool = False
) -> SearchStrategy[float]:
    """Return a hypothesis strategy for floats that are interesting for a format.

    They are the format's values, floats near its ties, floats near powers of two, others of about
    its range, and any float at all, infinities included.

    Parameters
    ----------
    fmt : format or str
    width : int
        16, 32 or 64: each is a float of that width.
    nan : bool
        Whether NaN may come.

    Returns
    -------
    SearchStrategy

    Raises
    ------
    ImportError
        If hypothesis is not installed.
    ValueError
        If ``width`` is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given
    >>> from minifloat.testing import values
    >>> @given(values("e4m3fn", width=32))
    ... def test_value(x):
    ...     assert np.float32(x) == x
    >>> test_value()
    """
    from hypothesis import strategies as st

    fmt, dtype = parse(fmt), _dtype_of_width(width)
    limits = _limits(fmt)
    span = min(2 * max(-limits.least, limits.greatest), float(np.finfo(dtype).max))
    span = float(np.nextafter(dtype.type(span), dtype.type(0)))
    anything = st.floats(width=width, allow_nan=nan)
    inside = st.floats(-span, span, width=width)
    return st.one_of(
        _around(st.sampled_from(_landmarks(fmt)), dtype),
        near_ties(fmt, width=width),
        _around(st.integers(-1074, 1023).map(_power), dtype),
        inside,
        anything,
    )


def near_ties(fmt: NumberFormat | str, *, width: Width = 64) -> SearchStrategy[float]:
    """Return a hypothesis strategy for floats at or next to the middle between two values.

    Parameters
    ----------
    fmt : format or str
    width : int
        16, 32 or 64: each is a float of that width, at most two units in its last place away from
        the middle.

    Returns
    -------
    SearchStrategy

    Raises
    ------
    ImportError
        If hypothesis is not installed.
    ValueError
        If ``width`` is none of these.

    Examples
    --------
    >>> from hypothesis import given
    >>> from minifloat.testing import near_ties
    >>> @given(near_ties("int4"))
    ... def test_tie(x):
    ...     assert abs(abs(x) % 1 - 0.5) < 1e-14
    >>> test_tie()
    """
    from hypothesis import strategies as st

    fmt, dtype = parse(fmt), _dtype_of_width(width)
    return _around(st.sampled_from(_middles(fmt)), dtype)


def _around(exact: SearchStrategy[Fraction], dtype: np.dtype[Any]) -> SearchStrategy[float]:
    """Floats of a dtype within two units in the last place of a number; finite ones."""
    from hypothesis import strategies as st

    order = _Order(dtype)

    def move(value: Fraction, steps: int, sign: int) -> float:
        with np.errstate(over="ignore"):
            start = np.array([_float(sign * value)], np.float64).astype(dtype)
        keys = np.clip(order.keys(start) + steps, order.first + 1, order.last - 1)
        return float(order.floats(keys)[0])

    return st.builds(move, exact, st.integers(-2, 2), st.sampled_from((1, -1)))


def _dtype_of_width(width: Width) -> np.dtype[Any]:
    if width not in (16, 32, 64):
        raise ValueError(f"width must be 16, 32 or 64, got {width}")
    return np.dtype(f"f{width // 8}")
