"""Compare a decoder with the oracle: `check_decoder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.testing._calls import dtype_of, listed, under_test
from minifloat.testing._meaning import exact_decode
from minifloat.testing._oracle import code_dtype

MAX_SHOWN = 8


class Decoder(Protocol):
    """A function with the arguments of `minifloat.decode`, for `check_decoder`."""

    def __call__(
        self, codes: NDArray[Any], fmt: NumberFormat, /, *, dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        """Return the values of the codes in this dtype."""


def check_decoder(
    decode: Decoder | Callable[..., Any],
    fmt: NumberFormat | str,
    *,
    dtypes: Sequence[DTypeLike] = ("float16", "float32", "float64"),
) -> int:
    """Compare a decoder with the oracle at all codes of a format, bit for bit.

    Dtypes that do not have every value of the format are left out, and so are unused codes. Any NaN
    is right for a NaN code.

    Parameters
    ----------
    decode : callable
        `minifloat.decode`, or your own function of an array of codes: ``f(codes)``,
        ``f(codes, fmt)``, or with the option ``dtype`` too (see `Decoder`). It is given those that
        its signature has. Without ``dtype``, name the one dtype that it returns. Or a function of a
        `ctypes.CDLL`, ``void f(const uint8_t *codes, T *values, size_t n)``, which fills
        ``values``; T is the type of that dtype.
    fmt : format or str
    dtypes : sequence of dtypes
        float16, bfloat16 (of ml_dtypes), float32, float64.

    Returns
    -------
    int
        The number of values compared.

    Raises
    ------
    AssertionError
        If the shape, the dtype or a value differs. The message shows the first eight differences:
        the code, and both values with their bits.
    TypeError
        If the decoder lacks the argument for one of several dtypes, or needs other arguments.
    ValueError
        If a dtype is none of these, or none of the dtypes has every value of the format.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.testing import check_decoder
    >>> check_decoder(mf.decode, "e4m3fn")
    768
    >>> check_decoder(lambda codes: codes / np.float32(2), "ue1m2", dtypes=["float32"])
    8
    """
    fmt, kinds = parse(fmt), [dtype_of(dtype) for dtype in listed("dtypes", dtypes)]
    tested = under_test(decode, "decode", ("dtype",))
    if "dtype" not in tested.takes and len(kinds) > 1:
        raise TypeError(
            f"decode must take dtype to be checked in {len(kinds)} dtypes, got {tested.spelled}; "
            f"name the one that it returns: dtypes=[{kinds[0].name!r}]"
        )
    for dtype in kinds:
        if dtype.kind != "f" and dtype.name != "bfloat16":
            raise ValueError(
                f"dtypes must be float16, bfloat16, float32 or float64, got {dtype.name}"
            )
    codes = np.array(used_codes(fmt), code_dtype(fmt))
    values = np.array([exact_decode(code, fmt) for code in codes.tolist()])
    compared = 0
    for dtype in kinds:
        want = in_dtype(values, dtype)
        if want is not None:
            got = np.asarray(tested.call([codes.copy()], fmt, dtype))
            _compare(got, want, codes, fmt)
            compared += len(codes)
    if not compared:
        names = ", ".join(dtype.name for dtype in kinds)
        raise ValueError(f"dtypes must have one with every value of {fmt}, got {names}")
    return compared


def used_codes(fmt: NumberFormat) -> list[int]:
    """Return the codes that mean something: numbers, infinities and NaNs."""
    return [code for code in range(fmt.code_count) if fmt.kind(code) != "unused"]


def in_dtype(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return float64 values in another dtype, or None if it does not have all of them."""
    with np.errstate(over="ignore"):
        converted: NDArray[Any] = values.astype(dtype)
    same = converted.astype(np.float64) == values
    return converted if np.all(same | np.isnan(values)) else None


def _compare(got: NDArray[Any], want: NDArray[Any], codes: NDArray[Any], fmt: NumberFormat) -> None:
    if got.shape != want.shape or got.dtype != want.dtype:
        raise AssertionError(
            f"{fmt}: values must be {want.dtype} of shape {want.shape}, got {got.dtype} of shape "
            f"{got.shape}"
        )
    word = np.dtype(f"u{want.dtype.itemsize}")
    got_bits, want_bits = np.ascontiguousarray(got).view(word), want.view(word)
    wrong = np.flatnonzero((got_bits != want_bits) & ~(np.isnan(got) & np.isnan(want)))
    if not len(wrong):
        return
    digits = 2 * word.itemsize
    lines = [f"{fmt} {want.dtype}: {len(wrong)} of {len(codes)} values differ"]
    for at in wrong[:MAX_SHOWN]:
        code = int(codes[at])
        lines.append(
            f"  code {code:#x} ({fmt.bit_string(code)}): got {got[at]} "
            f"(bits 0x{got_bits[at]:0{digits}x}), expected {want[at]} "
            f"(bits 0x{want_bits[at]:0{digits}x})"
        )
    raise AssertionError("\n".join(lines))
