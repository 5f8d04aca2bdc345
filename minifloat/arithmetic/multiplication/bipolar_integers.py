"""Products of bipolar integers: their bits packed in planes, multiplied by counting bits.

Bit i of a code is worth ``+2**i`` or ``-2**i`` (the formats ``bipolar_int1`` ...). So the product
of two planes of bits is 1 where they agree and -1 where they differ, and the dot product of K
numbers is

    sum over planes i, j of 2**(i + j) (K - 2 popcount(plane i xor plane j)).

A word of 64 bits has a plane of 64 numbers, and no multiplier is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._kernels import bit_planes as kernels
from minifloat.formats.base import check_int, shown

Array = NDArray[Any]

WORD = 64  # bits
MAX_BITS = 8  # of a number


@dataclass(frozen=True, eq=False)
class BitPlanes:
    """Rows of bipolar integers, packed by `bit_planes`.

    Attributes
    ----------
    words : ndarray of uint64, shape (rows, bits, words)
        ``words[r, i]`` has bit i of the codes of row r, the first number in the lowest bit; bits
        beyond the last number are 0.
    length : int
        K, the numbers of a row.
    """

    words: Array
    length: int

    @property
    def bits(self) -> int:
        """Bits of a number."""
        return int(self.words.shape[1])

    def __repr__(self) -> str:
        rows, bits, _ = self.words.shape
        return f"<BitPlanes: {rows} rows of {self.length} numbers, {bits} bits each>"


def bit_planes(codes: ArrayLike, bits: SupportsIndex) -> BitPlanes:
    """Pack codes of bipolar integers for `bipolar_matmul`.

    Parameters
    ----------
    codes : array_like of int, shape (rows, K)
        Codes of ``bipolar_int{bits}``, as `minifloat.encode` returns them.
    bits : int
        1..8.

    Returns
    -------
    BitPlanes
        ``bits`` bits a number, in words of 64.

    Raises
    ------
    TypeError
        If the codes are not integers, or ``bits`` is not an int.
    ValueError
        If a code or ``bits`` is out of range, or ``codes`` does not have two axes.

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> arithmetic.bit_planes([[0, 3, 1]], 2).words.tolist()
    [[[6], [2]]]
    """
    width = check_int("bits", bits, 1, MAX_BITS)
    array = _arrays.code_array(codes)
    if array.ndim != 2:
        raise ValueError(f"codes must have shape (rows, K), got shape {array.shape}")
    _arrays.check_range(array, 1 << width, f"bipolar_int{width}")
    rows, length = array.shape
    words = np.zeros((rows, width, -(-length // WORD)), "<u8")
    octets = words.view(np.uint8)
    narrow = array.astype(np.uint8)
    for plane in range(width):
        packed = np.packbits(narrow >> plane & 1, axis=1, bitorder="little")
        octets[:, plane, : packed.shape[1]] = packed
    return BitPlanes(words.astype(np.uint64, copy=False), length)


def bipolar_matmul(a: BitPlanes, b: BitPlanes) -> Array:
    """Return the products of all rows of ``a`` with all rows of ``b``, exactly.

    Parameters
    ----------
    a, b : BitPlanes
        Of shapes (m, K) and (p, K), in as many bits as each has: ``b`` has the columns of the right
        operand as its rows, as weights of shape (out, in) are.

    Returns
    -------
    ndarray of int64, shape (m, p)

    Raises
    ------
    TypeError
        If an operand is not packed.
    ValueError
        If their rows differ in length.

    References
    ----------
    APT-LLM, arXiv 2508.19087.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat import arithmetic
    >>> x, w = [[3.0, -1.0, 1.0]], [[-3.0, -3.0, 1.0], [1.0, 1.0, 1.0]]
    >>> planes = [arithmetic.bit_planes(mf.encode(v, "bipolar_int2"), 2) for v in (x, w)]
    >>> arithmetic.bipolar_matmul(*planes)
    array([[-5,  3]])
    """
    for name, operand in (("a", a), ("b", b)):
        if not isinstance(operand, BitPlanes):
            raise TypeError(f"{name} must be BitPlanes, got {shown(operand)}; use bit_planes")
    if a.length != b.length:
        raise ValueError(
            f"a and b must have rows of one length, got {a.length} and {b.length} numbers"
        )
    out = np.empty((a.words.shape[0], b.words.shape[0]), np.int64)
    if out.size:
        kernels.multiply(a.words, b.words, a.length, out)
    return out
