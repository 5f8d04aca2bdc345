"""Compare codes, an encoder or a decoder with the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int
from minifloat.formats.names import parse
from minifloat.formats.rounding import (
    NaNPolicy,
    Overflow,
    OverflowLike,
    Rounding,
    RoundingLike,
    choose,
)
from minifloat.testing._calls import UnderTest, dtype_of, listed, under_test
from minifloat.testing._drawn import parts_of_gaps, widths, words_beside
from minifloat.testing._meaning import ends, exact_decode
from minifloat.testing._oracle import code_dtype, encode_number, exact_encode_array
from minifloat.testing._points import decision_points

MAX_STRIDE = 1 << 30

Codes: TypeAlias = "NDArray[np.unsignedinteger[Any]]"


def assert_same_codes(
    got: ArrayLike, want: ArrayLike, x: ArrayLike, fmt: NumberFormat | str, *, about: str = ""
) -> None:
    """Fail unless two arrays of codes are equal; the message shows the first differences.

    Parameters
    ----------
    got, want : array_like of codes
    x : array_like
        The numbers that were encoded.
    fmt : format or str
    about : str
        Printed in the message: mode, policy, source.

    Raises
    ------
    AssertionError
        If the shape, the dtype or a code differs. The message shows the first eight differences:
        the number with its bits, the two codes and their values.

    Examples
    --------
    >>> from minifloat.testing import assert_same_codes
    >>> assert_same_codes([4], [4], [1.0], "e2m2")
    """
    got, want, x, fmt = np.asarray(got), np.asarray(want), np.asarray(x), parse(fmt)
    where = f"{fmt} {about}".rstrip()
    if got.shape != want.shape or got.dtype != want.dtype:
        raise AssertionError(
            f"{where}: codes must be {want.dtype} of shape {want.shape}, "
            f"got {got.dtype} of shape {got.shape}"
        )
    wrong = np.flatnonzero(got != want)
    if len(wrong) == 0:
        return
    lines = [f"{where}: {len(wrong)} of {got.size} codes differ"]
    for at in wrong[:8]:
        number, got_code, want_code = x.ravel()[at], int(got.ravel()[at]), int(want.ravel()[at])
        exact = "int" if x.dtype.kind in "iu" else f"{float(number).hex()}, bits {bits_of(number)}"
        got_value, want_value = (
            exact_decode(code, fmt) if code < fmt.code_count else "outside the format"
            for code in (got_code, want_code)
        )
        lines.append(
            f"  x[{at}] = {number!r} ({exact}): got code {got_code:#x} ({got_value}), "
            f"expected {want_code:#x} ({want_value})"
        )
    raise AssertionError("\n".join(lines))


def bits_of(number: Any) -> str:
    """Return the bits of a NumPy float in hexadecimal, as a waveform shows them."""
    size: int = number.dtype.itemsize
    return f"0x{int(np.array(number).view(f'u{size}')):0{2 * size}x}"


class Encoder(Protocol):
    """A function with the arguments of `minifloat.encode`, for `check_encoder`."""

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
        """Return the codes of x; under ``Overflow.RAISE`` raise ValueError on overflow."""


def check_encoder(
    encode: Encoder | Callable[..., Any],
    fmt: NumberFormat | str,
    *,
    dtypes: Sequence[DTypeLike] = ("float16", "float32", "float64", "int64"),
    roundings: Iterable[RoundingLike] = Rounding,
    overflows: Iterable[OverflowLike] = Overflow,
    stride: int = 1,
) -> int:
    """Compare an encoder with the oracle at all decision points of a format.

    Every mode, policy and source dtype is compared at the `decision_points` of all the dtypes.
    Stochastic modes are compared with few and with many random bits, also at eighths of the gaps;
    most of the seeded words are next to the one from which on a number rounds away. Where the
    format has a NaN, quiet ones of the dtype are compared too, of both signs and with the fewest
    and the most bits set, and any NaN code is right for them.

    Parameters
    ----------
    encode : callable
        `minifloat.encode`, or your own function of an array: ``f(x)``, ``f(x, fmt)``, or with the
        options ``rounding``, ``overflow``, ``random`` and ``random_bits`` too (see `Encoder`). It
        is given those that its signature has. Without ``rounding`` or ``overflow``, name the one
        mode or policy that it has. Or a function of a `ctypes.CDLL`,
        ``void f(const T *x, uint8_t *codes, size_t n)``, which fills ``codes``; T is the type of
        the one dtype that it reads, and codes are uint16_t or uint32_t in wider formats.
    fmt : format or str
    dtypes : sequence of dtypes
    roundings, overflows : iterable of Rounding, of Overflow
    stride : int
        Take only every ``stride``-th point; wide formats have many.

    Returns
    -------
    int
        The number of codes compared.

    Raises
    ------
    AssertionError
        At the first mode, policy and dtype where a code differs (see `assert_same_codes`), or
        where the encoder does not raise exactly when ``Overflow.RAISE`` demands it.
    TypeError
        If the encoder lacks the argument for one of several modes or policies, or needs others.

    Notes
    -----
    The oracle computes each number once in each mode, because a code depends on the value and not
    on the dtype, and because policies differ only outside the range of the format.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.testing import check_encoder
    >>> check_encoder(mf.encode, "e2m1", roundings=["nearest_even"], dtypes=["float32"]) > 1000
    True

    A kernel that rounds to nearest even and saturates:

    >>> def kernel(x):
    ...     return np.clip(np.rint(x), -7, 7).astype(np.int8).view(np.uint8) & 15
    >>> check_encoder(
    ...     kernel, "int4", dtypes=["float32"], roundings=["nearest_even"], overflows=["saturate"]
    ... )
    574
    """
    fmt = parse(fmt)
    modes = [choose(Rounding, "roundings", mode) for mode in listed("roundings", roundings)]
    policies = [choose(Overflow, "overflows", policy) for policy in listed("overflows", overflows)]
    check_int("stride", stride, 1, MAX_STRIDE)
    tested = _encoder(encode, modes, policies)
    kinds = [dtype_of(dtype) for dtype in listed("dtypes", dtypes)]
    plain = [_points(fmt, dtype, stride) for dtype in kinds]
    rng = np.random.default_rng(2026)
    compared = 0
    for rounding, bits in _modes_and_widths(modes, rng):
        sources, random, drawn = plain, None, ""
        if rounding.is_stochastic:
            parts = [parts_of_gaps(fmt, dtype)[::stride] for dtype in kinds]
            sources = [np.concatenate(both) for both in zip(plain, parts, strict=True)]
        numbers, places = _different(sources)
        if rounding.is_stochastic:
            drawn = f" random_bits={bits}"
            random = words_beside(numbers, fmt, bits, rng)
        inside = exact_encode_array(numbers, fmt, rounding, random=random, random_bits=bits)
        for overflow in policies:
            want, fails = _outside(inside, numbers, fmt, rounding, overflow, random, bits)
            for source, place in zip(sources, places, strict=True):
                compared += _compare(
                    partial(tested.call, rounding=rounding, overflow=overflow, random_bits=bits),
                    source,
                    fmt,
                    None if random is None else random[place],
                    want[place],
                    fails[place],
                    f"{rounding} {overflow}{drawn} {source.dtype}",
                )
    return compared


def _encoder(
    encode: object, roundings: Sequence[Rounding], overflows: Sequence[Overflow]
) -> UnderTest:
    tested = under_test(encode, "encode", ("rounding", "overflow", "random", "random_bits"))
    tested.check_choices("encode", roundings, overflows)
    drawn = [rounding for rounding in roundings if rounding.is_stochastic]
    if drawn and not tested.takes >= {"random", "random_bits"}:
        raise TypeError(
            f"encode must take random and random_bits to be checked in {drawn[0]}, got "
            f"{tested.spelled}; name modes without random bits in roundings"
        )
    return tested


def _modes_and_widths(
    modes: Sequence[Rounding], rng: np.random.Generator
) -> Iterator[tuple[Rounding, int]]:
    """Yield each mode with a number of random bits, a stochastic one with two of them."""
    for mode in modes:
        for bits in widths(rng) if mode.is_stochastic else (1,):
            yield mode, bits


def _different(
    sources: Sequence[NDArray[Any]],
) -> tuple[NDArray[np.float64], list[NDArray[np.intp]]]:
    """Return the different numbers of several arrays, and where those of each are among them."""
    words = [source.astype(np.float64).view(np.uint64) for source in sources]  # 0 and -0 differ
    all_words = np.unique(np.concatenate(words))
    return all_words.view(np.float64), [np.searchsorted(all_words, word) for word in words]


def _points(fmt: NumberFormat, dtype: np.dtype[Any], stride: int) -> NDArray[Any]:
    """Return each ``stride``-th decision point, with NaNs of several words in place of one."""
    points = decision_points(fmt, dtype)
    if dtype.kind in "iu":
        return points[::stride]
    numbers, nan = points[:-1:stride], points[-1:]
    return np.concatenate([numbers, _quiet_nans(nan)]) if fmt.has_nan else numbers


def _quiet_nans(nan: NDArray[Any]) -> NDArray[Any]:
    """Return a NaN and the one with all bits set, of both signs.

    Those that are not quiet are left out: NumPy warns where a kernel casts them.
    """
    word = nan.view(f"u{nan.itemsize}")
    sign = word.dtype.type(1 << (8 * nan.itemsize - 1))
    words = np.concatenate([word & ~sign, np.array([sign - 1], word.dtype)])
    return np.concatenate([words, words | sign]).view(nan.dtype)


def with_one_nan(codes: Codes, fmt: NumberFormat) -> Codes:
    """Return codes with the format's `nan_code` in place of its other NaN codes."""
    if fmt.nan_code is None or not isinstance(codes, np.ndarray) or codes.dtype.kind != "u":
        return codes
    return np.where(
        np.isin(codes, np.array(_nan_codes(fmt), codes.dtype)),
        codes.dtype.type(fmt.nan_code),
        codes,
    )


@lru_cache(maxsize=16)
def _nan_codes(fmt: NumberFormat) -> tuple[int, ...]:
    return tuple(code for code in range(fmt.code_count) if fmt.kind(code) == "nan")


def _outside(
    inside: Codes,
    numbers: NDArray[np.float64],
    fmt: NumberFormat,
    rounding: Rounding,
    overflow: Overflow,
    random: NDArray[np.uint32] | None,
    random_bits: int,
) -> tuple[Codes, NDArray[np.bool_]]:
    """Return the codes under a policy, given those under another, and where an error is due."""
    codes, fails = inside.copy(), np.zeros(numbers.shape, bool)
    limits = ends(fmt)
    for at in np.flatnonzero((numbers < limits.lowest) | (numbers > limits.largest)):
        number, word = float(numbers[at]), 0 if random is None else int(random[at])
        try:
            codes[at] = encode_number(
                number, fmt, rounding, overflow, NaNPolicy.RAISE, word, random_bits
            )
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
    """Compare all numbers that have a code at once, and a few that must raise one by one."""

    def call(indices: NDArray[np.intp]) -> Codes:
        words = None if random is None else random[indices]
        return with_one_nan(encode([x[indices]], fmt, code_dtype(fmt), random=words), fmt)

    encoded, failing = np.flatnonzero(~fails), np.flatnonzero(fails)
    assert_same_codes(call(encoded), want[encoded], x[encoded], fmt, about=about)
    for at in failing[:: max(1, len(failing) // 16)]:
        try:
            code = call(np.array([at]))
        except ValueError:
            continue
        raise AssertionError(f"{fmt} {about}: x = {x[at]!r} must be an error, got code {code}")
    return len(encoded)
