"""Packed codes: `pack` and `unpack` for bytes, `pack_words` and `unpack_words` for 32-bit words.

Bytes hold one code after another, without idle bits between them, in one of two bit orders:

    little   bit b of code i is bit (i * bits + b) % 8 of byte (i * bits + b) // 8, counted from
             the least significant bit
    big      the same, but bits of bytes and of codes are counted from the most significant one:
             the binary digits of the codes, written from left to right

Words hold codes as a `minifloat.Layout` says. The bytes of a little-endian `pack`, read as
little-endian words, have the layout ``dense(bits)``. Of a tensor of PyTorch or JAX the result is a
tensor, too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, SupportsIndex, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._arrays import Codes, check_range, code_dtype
from minifloat._kernels import packing as kernels
from minifloat._tensors import AnyTensor, Tensor
from minifloat.formats.base import check_int, shown
from minifloat.packing.layouts import Layout, parse_layout

Array = NDArray[Any]
Out = TypeVar("Out", bound=Array | AnyTensor)
BitOrder: TypeAlias = Literal["little", "big"]

MAX_PACKED_BITS = 32


@overload
def pack(
    codes: Tensor, bits: SupportsIndex, *, bit_order: BitOrder = "little", out: None = None
) -> Tensor: ...
@overload
def pack(
    codes: ArrayLike | AnyTensor,
    bits: SupportsIndex,
    *,
    bit_order: BitOrder = "little",
    out: Tensor,
) -> Tensor: ...
@overload
def pack(
    codes: ArrayLike | AnyTensor,
    bits: SupportsIndex,
    *,
    bit_order: BitOrder = "little",
    out: NDArray[np.uint8],
) -> NDArray[np.uint8]: ...
@overload
def pack(
    codes: ArrayLike, bits: SupportsIndex, *, bit_order: BitOrder = "little", out: None = None
) -> NDArray[np.uint8]: ...
def pack(
    codes: ArrayLike | AnyTensor,
    bits: SupportsIndex,
    *,
    bit_order: BitOrder = "little",
    out: NDArray[np.uint8] | AnyTensor | None = None,
) -> Any:
    """Pack codes into bytes along the last axis.

    Unused bits of the last byte are 0.

    Parameters
    ----------
    codes : array_like of integers
        In ``0 .. 2**bits - 1``, shape (..., n). An array that is not contiguous, or has another
        dtype than `unpack` returns, is copied first.
    bits : int
        Width of a code, 1 to 32.
    bit_order : str
        "little": the first code in the lowest bits; "big": in the highest.
    out : ndarray or tensor of uint8, optional
        Where to put the bytes; the shape of the result. An error leaves it unchanged.

    Returns
    -------
    ndarray of uint8, shape (..., ceil(n * bits / 8))

    Raises
    ------
    TypeError
        If ``codes`` are not integers, ``bits`` is not an int, or ``out`` has another dtype.
    ValueError
        If a code does not fit in ``bits`` (with its index), ``codes`` is 0-d, or an argument is
        out of range.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.pack([1, 2, 3], 4), mf.pack([1, 2, 3], 4, bit_order="big")
    (array([33,  3], dtype=uint8), array([18, 48], dtype=uint8))
    """
    bits, big = check_int("bits", bits, 1, MAX_PACKED_BITS), _is_big(bit_order)
    a = _packable(codes, bits)
    n = a.shape[-1]
    shape = (*a.shape[:-1], byte_count(n, bits))
    packed = np.empty(shape, np.uint8) if out is None else _arrays.check_output(out, shape, "u1")
    if a.size == 0:
        return _arrays.as_given(codes, packed, out)
    row = a.size if n * bits % 8 == 0 else n  # rows of whole bytes are packed as one row
    target = _flat(packed, a)
    kernels.pack(a.reshape(-1), row, bits, big, target)
    return _arrays.as_given(codes, _filled(packed, target), out)


@overload
def unpack(
    packed: Tensor,
    bits: SupportsIndex,
    count: SupportsIndex,
    *,
    start: SupportsIndex | None = None,
    bit_order: BitOrder = "little",
    out: None = None,
) -> Tensor: ...
@overload
def unpack(
    packed: NDArray[np.uint8],
    bits: SupportsIndex,
    count: SupportsIndex,
    *,
    start: SupportsIndex | None = None,
    bit_order: BitOrder = "little",
    out: None = None,
) -> Codes: ...
@overload
def unpack(
    packed: NDArray[np.uint8] | AnyTensor,
    bits: SupportsIndex,
    count: SupportsIndex,
    *,
    start: SupportsIndex | None = None,
    bit_order: BitOrder = "little",
    out: Out,
) -> Out: ...
def unpack(
    packed: NDArray[np.uint8] | AnyTensor,
    bits: SupportsIndex,
    count: SupportsIndex,
    *,
    start: SupportsIndex | None = None,
    bit_order: BitOrder = "little",
    out: Array | AnyTensor | None = None,
) -> Any:
    """Unpack ``count`` codes from bytes, along the last axis.

    Without ``start`` the bytes must hold exactly ``count`` codes. With ``start`` they may hold
    more; the codes from ``start`` on are read.

    Parameters
    ----------
    packed : ndarray of uint8, shape (..., bytes)
        An array that is not contiguous is copied first.
    bits : int
        Width of a code, 1 to 32.
    count : int
        Codes to unpack along the last axis.
    start : int, optional
        Index of the first code to unpack.
    bit_order : str
        "little" or "big", as for `pack`.
    out : ndarray or tensor, optional
        Where to put the codes; the shape and dtype of the result. An error leaves it unchanged.

    Returns
    -------
    ndarray of uint8 (to 8 bits), uint16 (to 16) or uint32, shape (..., count)

    Raises
    ------
    TypeError
        If ``packed`` is not a uint8 array, ``bits``, ``count`` or ``start`` is not an int, or
        ``out`` has another dtype.
    ValueError
        If there are too few bytes; without ``start``, if there are too many or an unused bit of the
        last byte is not 0; if ``packed`` is 0-d or an argument is out of range.

    Examples
    --------
    >>> import minifloat as mf
    >>> packed = mf.pack([21, 3, 30, 7, 9], 5)
    >>> mf.unpack(packed, 5, 5)
    array([21,  3, 30,  7,  9], dtype=uint8)
    >>> mf.unpack(packed, 5, 2, start=3)
    array([7, 9], dtype=uint8)
    """
    bits, big = check_int("bits", bits, 1, MAX_PACKED_BITS), _is_big(bit_order)
    count = check_int("count", count, 0)
    first = 0 if start is None else check_int("start", start, 0)
    a = _bytes(packed, bits, count, None if start is None else first, big)
    row_bytes = a.shape[-1]
    shape, dtype = (*a.shape[:-1], count), code_dtype(bits)
    codes = np.empty(shape, dtype) if out is None else _arrays.check_output(out, shape, dtype)
    if codes.size == 0:
        return _arrays.as_given(packed, codes, out)
    if count * bits == 8 * row_bytes:  # rows of whole bytes are unpacked as one row
        row_bytes, count = a.size, codes.size
    target = _flat(codes, a)
    kernels.unpack(a.reshape(-1), row_bytes, first, bits, big, count, target)
    return _arrays.as_given(packed, _filled(codes, target), out)


@overload
def pack_words(
    codes: Tensor, layout: Layout | str, *, bits: SupportsIndex | None = None
) -> Tensor: ...
@overload
def pack_words(
    codes: ArrayLike, layout: Layout | str, *, bits: SupportsIndex | None = None
) -> NDArray[np.uint32]: ...
def pack_words(
    codes: ArrayLike | AnyTensor, layout: Layout | str, *, bits: SupportsIndex | None = None
) -> Any:
    """Pack codes into 32-bit words of a layout, along the last axis.

    The last group is padded with code 0.

    Parameters
    ----------
    codes : array_like of integers
        In ``0 .. 2**layout.bits - 1``, shape (..., n).
    layout : Layout or str
        A layout or its name, as in `minifloat.parse_layout`.
    bits : int, optional
        Width of a code. Only the name "dense" needs it; elsewhere it is checked.

    Returns
    -------
    ndarray of uint32, shape (..., ceil(n / layout.count) * layout.words)

    Raises
    ------
    TypeError
        If ``codes`` are not integers or ``layout`` is neither a layout nor a str.
    ValueError
        If the layout's name is unknown or does not fit ``bits``, a code does not fit in the
        layout's bits (with its index), or ``codes`` is 0-d.

    Examples
    --------
    >>> import minifloat as mf
    >>> words = mf.pack_words([0b1_0001, 0b0_0010], "1+4")
    >>> [f"{word:08x}" for word in words]
    ['00000001', '00020001', '00000000', '00000000', '00000000']
    """
    layout = parse_layout(layout, bits)
    a = _packable(codes, layout.bits)
    n = a.shape[-1]
    words = np.empty((*a.shape[:-1], _word_count(n, layout)), np.uint32)
    if a.size:
        kernels.pack_words(
            a.reshape(-1), n, layout.count, layout.words, _bit_runs(layout), words.reshape(-1)
        )
    return _arrays.as_given(codes, words)


@overload
def unpack_words(
    words: Tensor,
    layout: Layout | str,
    count: SupportsIndex,
    *,
    bits: SupportsIndex | None = None,
) -> Tensor: ...
@overload
def unpack_words(
    words: NDArray[np.uint32] | NDArray[np.int32],
    layout: Layout | str,
    count: SupportsIndex,
    *,
    bits: SupportsIndex | None = None,
) -> Codes: ...
def unpack_words(
    words: NDArray[np.uint32] | NDArray[np.int32] | AnyTensor,
    layout: Layout | str,
    count: SupportsIndex,
    *,
    bits: SupportsIndex | None = None,
) -> Any:
    """Unpack ``count`` codes from 32-bit words of a layout, along the last axis.

    Idle bits are ignored.

    Parameters
    ----------
    words : ndarray of uint32 or int32, shape (..., ceil(count / layout.count) * layout.words)
        An array that is not contiguous is copied first.
    layout : Layout or str
        A layout or its name, as in `minifloat.parse_layout`.
    count : int
        Codes along the last axis.
    bits : int, optional
        Width of a code. Only the name "dense" needs it; elsewhere it is checked.

    Returns
    -------
    ndarray of uint8 (to 8 bits) or uint16, shape (..., count)

    Raises
    ------
    TypeError
        If ``words`` is not an array of 32-bit integers, ``layout`` is neither a layout nor a str,
        or ``count`` is not an int.
    ValueError
        If the layout's name is unknown or does not fit ``bits``, there are too few or too many
        words, or the last group is not padded with code 0.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.unpack_words(mf.pack_words([17, 2, 31], "1+4"), "1+4", 3)
    array([17,  2, 31], dtype=uint8)
    """
    layout = parse_layout(layout, bits)
    count = check_int("count", count, 0)
    a = _arrays.as_array("words", words)
    if a.dtype.kind not in "iu" or a.dtype.itemsize != 4:
        raise TypeError(f"words must be uint32 or int32, got {a.dtype}")
    needed = _word_count(count, layout)
    if a.ndim == 0 or a.shape[-1] != needed:
        raise ValueError(
            f"words must be {shown(needed)} along the last axis for {shown(count)} codes of "
            f"{layout!r}, got shape {a.shape}"
        )
    a = np.ascontiguousarray(a, a.dtype.newbyteorder("=")).view(np.uint32)
    codes = np.empty((*a.shape[:-1], count), code_dtype(layout.bits))
    if codes.size:
        padding = kernels.unpack_words(
            a.reshape(-1), count, layout.count, layout.words, _bit_runs(layout), codes.reshape(-1)
        )
        if padding:
            raise ValueError(
                f"words must be padded with code 0 after {count} codes, got padding with the bits "
                f"{padding:#x} set; check count"
            )
    return _arrays.as_given(words, codes)


def byte_count(count: int, bits: int) -> int:
    """Return how many bytes ``count`` packed codes take."""
    return -(-count * bits // 8)


def _word_count(count: int, layout: Layout) -> int:
    return -(-count // layout.count) * layout.words


@lru_cache(maxsize=64)
def _bit_runs(layout: Layout) -> kernels.BitRuns:
    columns = np.array(list(layout.bit_runs()), np.int64).T
    return kernels.BitRuns(*map(np.ascontiguousarray, columns))


def _is_big(bit_order: str) -> bool:
    if not isinstance(bit_order, str) or bit_order not in ("little", "big"):
        raise ValueError(f'bit_order must be "little" or "big", got {shown(bit_order)}')
    return bit_order == "big"


def _packable(codes: ArrayLike | AnyTensor, bits: int) -> Array:
    """Check codes; return them as a contiguous array of `code_dtype(bits)`."""
    a = _arrays.code_array(codes)
    if a.ndim == 0:
        raise ValueError("codes must have an axis to pack along, got a 0-d array; pass [code]")
    check_range(a, 1 << bits, f"{bits} bits")
    return np.ascontiguousarray(a, code_dtype(bits))


def _bytes(packed: Array | AnyTensor, bits: int, count: int, start: int | None, big: bool) -> Array:
    """Check packed bytes; return them as a contiguous array."""
    a = _arrays.as_array("packed", packed)
    if a.dtype != np.uint8:
        raise TypeError(
            f"packed must be a uint8 array, got {a.dtype}; numpy.frombuffer(..., numpy.uint8) "
            "makes one of bytes"
        )
    needed = byte_count(count if start is None else start + count, bits)
    held = a.shape[-1] if a.ndim else -1
    if held < needed or (start is None and held != needed):
        raise ValueError(
            f"packed must have {shown(needed)} bytes along the last axis for {shown(count)} codes "
            f"of {bits} bits"
            f"{'' if start is None else f' from {shown(start)} on'}, got shape {a.shape}"
            f"{'; pass start=0 to read the first ones' if held > needed else ''}"
        )
    used = count * bits % 8
    if start is None and used:
        padding = (a[..., -1] & (0xFF >> used)) if big else (a[..., -1] >> used)
        if padding.any():
            raise ValueError(
                f"packed must have 0 in the {8 - used} bits after the last code, got "
                f"{int(padding.max()):#x}; check bits, count and bit_order"
            )
    return np.ascontiguousarray(a)


def _flat(out: Array, source: Array) -> Array:
    """Return ``out`` as a flat array or, if it overlaps ``source``, another one in its place."""
    if out.flags.c_contiguous and not np.may_share_memory(out, source):
        return out.reshape(-1)
    return np.empty(out.size, out.dtype)


def _filled(out: Array, flat: Array) -> Array:
    """Return ``out`` with what has been written to the flat array."""
    if not np.may_share_memory(out, flat):
        out[...] = flat.reshape(out.shape)
    return out
