"""Ternary codes, five to a byte: 1.6 bits each, where two bits are 2.

Five trits t0 .. t4, each 0, 1 or 2, are the number v = 81 t0 + 27 t1 + 9 t2 + 3 t3 + t4 < 243, and
the byte is ceil(256 v / 243), as in llama.cpp's TQ1_0: a fraction of 256 whose digits of base 3
come out one after another, each by a multiplication by 3 whose carry is the digit.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat.formats.base import check_int, shown

PER_BYTE = 5


def pack_trits(trits: ArrayLike) -> NDArray[np.uint8]:
    """Pack numbers 0, 1 and 2 into bytes along the last axis, five to a byte.

    Parameters
    ----------
    trits : array_like of integers, (..., n)
        Codes of int2 are 0, 1 and 3: ``(codes + 1) % 4`` makes trits of them.

    Returns
    -------
    ndarray of uint8, (..., ceil(n / 5))
        The trits that are missing in the last byte are 0.

    Raises
    ------
    ValueError
        If a number is none of 0, 1 and 2, or ``trits`` is 0-d.
    TypeError
        If it is not of integers.

    Examples
    --------
    >>> from minifloat.packing.trits import pack_trits, unpack_trits
    >>> pack_trits([2, 0, 1, 1, 0, 2])
    array([184, 171], dtype=uint8)
    >>> unpack_trits([184, 171], 6)
    array([2, 0, 1, 1, 0, 2], dtype=uint8)
    """
    given = _arrays.code_array(trits)
    if given.ndim == 0:
        raise ValueError("trits must have an axis, got a single number")
    wrong = (given < 0) | (given > 2)
    if wrong.any():
        raise ValueError(f"trits must be 0, 1 or 2, got {given[wrong].flat[0]}")
    rest = -given.shape[-1] % PER_BYTE
    whole = np.pad(given, [(0, 0)] * (given.ndim - 1) + [(0, rest)]).astype(np.int64)
    groups = whole.reshape(*given.shape[:-1], -1, PER_BYTE)
    number = groups @ 3 ** np.arange(PER_BYTE - 1, -1, -1)
    return np.asarray((number * 256 + 242) // 243, np.uint8)


def unpack_trits(packed: ArrayLike, count: SupportsIndex) -> NDArray[np.uint8]:
    """Return the trits of `pack_trits`.

    Parameters
    ----------
    packed : array_like of integers, (..., ceil(count / 5))
        Bytes. One that `pack_trits` does not write is read all the same.
    count : int
        Trits along the last axis.

    Returns
    -------
    ndarray of uint8, (..., count)

    Raises
    ------
    ValueError
        If the last axis has another length, or a number is no byte.
    TypeError
        If ``packed`` is not of integers.
    """
    given: NDArray[Any] = _arrays.code_array(packed)
    count = check_int("count", count, 0)
    wanted = -(-count // PER_BYTE)
    if given.ndim == 0 or given.shape[-1] != wanted:
        raise ValueError(
            f"packed must have {shown(wanted)} bytes along the last axis for {shown(count)} trits, "
            f"got shape {given.shape}"
        )
    wrong = (given < 0) | (given > 255)
    if wrong.any():
        raise ValueError(f"packed must be bytes, got {given[wrong].flat[0]}")
    fractions = given.astype(np.int64)[..., np.newaxis] * 3 ** np.arange(PER_BYTE) % 256
    trits = (fractions * 3 // 256).astype(np.uint8)
    return np.ascontiguousarray(trits.reshape(*given.shape[:-1], -1)[..., :count])
