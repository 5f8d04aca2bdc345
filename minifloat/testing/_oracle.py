"""The code of a number, computed on fractions: `exact_encode`."""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat.formats import Codebook, Format, Integer, NumberFormat
from minifloat.formats.base import check_int
from minifloat.formats.names import parse
from minifloat.formats.rounding import (
    NaNPolicy,
    NaNPolicyLike,
    Overflow,
    OverflowLike,
    Rounding,
    RoundingLike,
    choose,
)
from minifloat.testing._meaning import (
    ends,
    exact_decode,
    infinity_of,
    integer_range,
    magnitudes_of,
    nan_code_of,
    nan_in_place_of_minus_zero,
    sign_bit_of,
    sorted_codebook,
)

Real: TypeAlias = "float | int | Fraction | np.generic[Any]"
Codes: TypeAlias = "NDArray[np.unsignedinteger[Any]]"


class _Neighbour(NamedTuple):
    """A value of the grid next to x; its code is None outside the format."""

    value: Fraction
    odd: bool
    code: int | None


def exact_encode(
    x: Real,
    fmt: NumberFormat | str,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
    nan: NaNPolicyLike = NaNPolicy.RAISE,
    *,
    random: int | None = None,
    random_bits: int = 24,
) -> int:
    """Return the code of one number.

    NaN, infinities, -0, ties and overflow follow the definitions in `minifloat.formats.rounding`.

    Parameters
    ----------
    x : float, int, Fraction or NumPy scalar
        Its exact value is rounded once.
    fmt : format or str
    rounding : Rounding or str
    overflow : Overflow or str
    nan : NaNPolicy or str
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
        If x is NaN and the format and the policy give it no code, if it overflows under
        ``overflow="raise"``, or if a stochastic mode has no random word.

    Notes
    -----
    A stochastic mode compares the fraction of the gap with its random word. This fraction is exact,
    except for codebooks and formats without subnormals, which by definition compute it in
    float64.

    Examples
    --------
    >>> from minifloat.testing import exact_encode
    >>> exact_encode(0.9375, "e2m2"), exact_encode(464, "e4m3fn"), exact_encode(-0.0, "e4m3fn")
    (4, 126, 128)
    """
    rounding, overflow = (
        choose(Rounding, "rounding", rounding),
        choose(Overflow, "overflow", overflow),
    )
    nan = choose(NaNPolicy, "nan", nan)
    if rounding.is_stochastic:
        if random is None:
            raise ValueError(f"random must be given for {rounding}, got None")
        random_bits = check_int("random_bits", random_bits, 1, 28)
        if not 0 <= (random := check_int("random", random)) < 2**random_bits:
            raise ValueError(f"random must be in 0..2**{random_bits} - 1, got {random}")
    return encode_number(_number(x), parse(fmt), rounding, overflow, nan, random or 0, random_bits)


def _number(x: Real) -> float | Fraction:
    """Return x as a float if it is one (with -0, inf and NaN), otherwise as a fraction; exact."""
    if isinstance(x, int | np.integer):
        return Fraction(int(x))
    if isinstance(x, float | Fraction):
        return x
    if isinstance(x, np.longdouble):  # if longdouble is float64, it was a float above
        raise TypeError(f"x must not be a longdouble, got {x!r}; use float(x) or a Fraction")
    return float(x)  # float16, bfloat16 and float32 scalars: exact


def encode_number(
    x: float | Fraction,
    fmt: NumberFormat,
    rounding: Rounding,
    overflow: Overflow,
    nan: NaNPolicy,
    random: int,
    random_bits: int,
) -> int:
    """Return the code of one number, by the steps numbered in the package's docstring."""
    # 1. NaN and infinities
    if isinstance(x, float) and math.isnan(x):
        return _encode_nan(fmt, nan)
    if x in (math.inf, -math.inf):
        return _overflowed(fmt, rounding, overflow, low=x < 0, infinite=True)
    # 2. The sign, also that of -0
    negative = x < 0 or (x == 0 and isinstance(x, float) and math.copysign(1, x) < 0)
    # 3. The neighbours; their codes already have the sign (7)
    near, far = _neighbours(x, negative, fmt)
    # 4. The fraction of the gap, and 5. the neighbour that the mode takes
    if near is far:
        rounded = near
    elif rounding.is_stochastic:
        fraction = _fraction(Fraction(x), near, far, fmt)
        rounded = far if _rounds_away(fraction, rounding, random, random_bits) else near
    else:
        rounded = _rounded(Fraction(x), near, far, rounding)
    # 6. Overflow
    if rounded.code is None:
        return _overflowed(fmt, rounding, overflow, low=x < ends(fmt).lowest, infinite=False)
    return rounded.code


@lru_cache(maxsize=2**14)  # callers ask for the same number in every mode
def _neighbours(
    x: float | Fraction, negative: bool, fmt: NumberFormat
) -> tuple[_Neighbour, _Neighbour]:
    """Return the neighbour nearer to zero and the farther one, or the only one twice."""
    if isinstance(fmt, Codebook):
        return _codebook_neighbours(x, negative, fmt)
    size = -x if negative else x
    if isinstance(fmt, Integer):
        whole = math.floor(size)
        near = _integer_neighbour(whole, negative, fmt)
        return near, near if whole == size else _integer_neighbour(whole + 1, negative, fmt)
    assert isinstance(fmt, Format)
    magnitudes = magnitudes_of(fmt)
    at = bisect_right(magnitudes, size) - 1  # the last magnitude that is at most |x|
    if at < 0:  # the format has no zero, and |x| is below its smallest value
        only = _format_neighbour(0, negative, fmt)
        if size == 0 and not fmt.signed:
            only = only._replace(code=None)  # zero is below the range, like negative numbers
        return only, only
    near = _format_neighbour(at, negative, fmt)
    if magnitudes[at] == size or at == len(magnitudes) - 1:  # on the grid, or outside the range
        return near, near
    return near, _format_neighbour(at + 1, negative, fmt)


def _format_neighbour(magnitude: int, negative: bool, fmt: Format) -> _Neighbour:
    value = Fraction(magnitudes_of(fmt)[magnitude])
    code: int | None = magnitude
    if magnitude == len(magnitudes_of(fmt)) - 1:
        code = None
    elif negative and not fmt.signed:
        code = 0 if value == 0 else None
    elif negative:
        code = magnitude + sign_bit_of(fmt)
        if code == nan_in_place_of_minus_zero(fmt):
            code = 0
    return _Neighbour(-value if negative else value, magnitude % 2 == 1, code)


def _integer_neighbour(size: int, negative: bool, fmt: Integer) -> _Neighbour:
    number = -size if negative else size
    code = number % 2**fmt.bits if number in integer_range(fmt) else None  # two's complement
    return _Neighbour(Fraction(number), size % 2 == 1, code)


def _codebook_neighbours(
    x: float | Fraction, negative: bool, fmt: Codebook
) -> tuple[_Neighbour, _Neighbour]:
    values, positive_codes, negative_codes = sorted_codebook(fmt)
    codes = negative_codes if negative else positive_codes

    def neighbour(at: int) -> _Neighbour:
        code = codes[values[at]]
        return _Neighbour(Fraction(values[at]), code % 2 == 1, code)

    at = bisect_right(values, x) - 1
    if at >= 0 and values[at] == x:
        only = neighbour(at)
        return only, only
    if at < 0 or at == len(values) - 1:  # outside the range
        only = _Neighbour(Fraction(x), False, None)
        return only, only
    # Between -v and v, the neighbour whose sign is not that of x counts as nearer to zero.
    near, far = sorted(
        (neighbour(at), neighbour(at + 1)),
        key=lambda n: (abs(n.value), (n.value < 0) == negative),
    )
    return near, far


def _rounded(x: Fraction, near: _Neighbour, far: _Neighbour, rounding: Rounding) -> _Neighbour:
    """Return the neighbour of a deterministic mode. Both have the same parity only in codebooks."""
    even = far if near.odd and not far.odd else near
    odd = near if even is far else far
    # Between -v and v of a codebook, rounding toward zero keeps the sign of x, so it gives `far`.
    inner = far if abs(near.value) == abs(far.value) else near
    to_near, to_far = abs(x - near.value), abs(far.value - x)
    nearest = None if to_near == to_far else near if to_near < to_far else far
    match rounding:
        case Rounding.NEAREST_EVEN:
            return nearest or even
        case Rounding.NEAREST_ODD:
            return nearest or odd
        case Rounding.NEAREST_ZERO:
            return nearest or inner
        case Rounding.NEAREST_AWAY:
            return nearest or far
        case Rounding.TOWARD_ZERO:
            return inner
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
    """Return the fraction of the gap between the neighbours that lies between `near` and x."""
    if isinstance(fmt, Codebook):  # float64 by definition, three operations
        scale = 1.0 if abs(far.value - near.value) <= sys.float_info.max else 0.5
        inner, outer, own = (scale * float(number) for number in (near.value, far.value, x))
        return Fraction((own - inner) / (outer - inner))
    fraction = (x - near.value) / (far.value - near.value)
    if isinstance(fmt, Format) and not fmt.subnormals:  # float64 by definition
        return Fraction(float(fraction))
    return fraction


def _rounds_away(fraction: Fraction, rounding: Rounding, word: int, bits: int) -> bool:
    """Return whether a stochastic mode takes the far neighbour (P3109, RoundToPrecision)."""
    if rounding is Rounding.STOCHASTIC:
        return math.floor(fraction * (1 << bits)) + word >= 1 << bits
    if rounding is Rounding.STOCHASTIC_B:
        return math.floor(fraction * (2 << bits)) + 2 * word + 1 >= 2 << bits
    if rounding is Rounding.STOCHASTIC_C:
        return round(fraction * (1 << bits)) + word >= 1 << bits  # Python rounds ties to even
    # STOCHASTIC_EQUAL: the top bit (a fraction computed in float64 may be rounded to 1)
    return fraction >= 1 or (fraction > 0 and word >= 1 << (bits - 1))


def _encode_nan(fmt: NumberFormat, nan: NaNPolicy) -> int:
    code = nan_code_of(fmt)
    if code is not None:
        return code
    if nan is NaNPolicy.MAX:
        return ends(fmt).largest_code
    if nan is NaNPolicy.ZERO:
        zeros = [code for code in range(fmt.code_count) if exact_decode(code, fmt) == 0]
        zeros.sort(key=lambda code: math.copysign(1, exact_decode(code, fmt)), reverse=True)
        if zeros:
            return zeros[0]  # +0 before -0
        raise ValueError(f'nan must not be "zero" for {fmt}, which has no zero')
    raise ValueError(f"x must not be NaN for {fmt}, which has none")


def _overflowed(
    fmt: NumberFormat, rounding: Rounding, overflow: Overflow, *, low: bool, infinite: bool
) -> int:
    """Return the code of an infinity, or of a number that was rounded out of the range."""
    limits = ends(fmt)
    extreme = limits.lowest_code if low else limits.largest_code
    infinity = infinity_of(fmt) if isinstance(fmt, Format) else None
    if infinity is not None and low:
        assert isinstance(fmt, Format)
        infinity = infinity + sign_bit_of(fmt) if fmt.signed else None
    if overflow is Overflow.SATURATE:
        return extreme
    if overflow is Overflow.SATURATE_FINITE:
        return infinity if infinite and infinity is not None else extreme
    if overflow is Overflow.RAISE:
        if infinite and infinity is not None:
            return infinity
        raise ValueError(f"x must be in the range of {fmt}, got a number outside it")
    if not infinite and _stops_at_extreme(extreme, rounding, overflow, low):
        return extreme
    if infinity is not None:
        return infinity
    not_a_number = nan_code_of(fmt)
    return extreme if not_a_number is None else not_a_number


def _stops_at_extreme(extreme: int, rounding: Rounding, overflow: Overflow, low: bool) -> bool:
    """Return whether a mode rounds overflow to the extreme value (IEEE 754-2019, 7.4)."""
    if rounding is Rounding.TO_ODD:  # P3109 goes beyond even if the extreme value is odd (4.7.5)
        return overflow is Overflow.IEEE and extreme % 2 == 1
    return (
        rounding is Rounding.TOWARD_ZERO
        or (rounding is Rounding.UPWARD and low)
        or (rounding is Rounding.DOWNWARD and not low)
    )


def exact_encode_array(
    x: ArrayLike,
    fmt: NumberFormat | str,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    overflow: OverflowLike = Overflow.SATURATE,
    nan: NaNPolicyLike = NaNPolicy.RAISE,
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
    fmt, rounding = parse(fmt), choose(Rounding, "rounding", rounding)
    array = np.asarray(x)
    dtype = code_dtype(fmt)
    if not rounding.is_stochastic:
        overflow, nan = choose(Overflow, "overflow", overflow), choose(NaNPolicy, "nan", nan)
        codes = [encode_number(v, fmt, rounding, overflow, nan, 0, 1) for v in _numbers(array)]
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
    """Yield the elements in C order, each exact."""
    if array.dtype.kind in "iu":
        return (Fraction(int(v)) for v in array.ravel())
    return iter(array.ravel().astype(np.float64).tolist())


def code_dtype(fmt: NumberFormat | str) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the dtype of codes: the smallest of uint8, uint16 and uint32 that is wide enough.

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
