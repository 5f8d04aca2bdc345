"""Loops of `minifloat.packing`: codes side by side in bytes, and in the fields of words.

Contract of every kernel: one-dimensional contiguous arrays and plain integers in, results into an
array passed in; no allocation, no exceptions. A kernel calls only kernels of this file, because
Numba's disk cache does not see changes in other files. Codes have no bits beyond ``bits``.

Eight codes of ``bits`` bits are ``bits`` bytes. Up to 8 bits they are squeezed in a 64-bit word,
and spread again, in three steps that halve or double the number of lanes (here for 5 bits):

    8 lanes of  8   ...hhhhh ...ggggg ...fffff ...eeeee ...ddddd ...ccccc ...bbbbb ...aaaaa
    4 lanes of 16   ......hh hhhggggg ......ff fffeeeee ......dd dddccccc ......bb bbbaaaaa
    2 lanes of 32   ........ ....hhhh hgggggff fffeeeee ........ ....dddd dcccccbb bbbaaaaa
    1 lane  of 64   ........ ........ ........ hhhhhggg ggfffffe eeeedddd dcccccbb bbbaaaaa

Little-endian, the first code is in the lowest lane and the first byte the lowest of the word.
Big-endian, both are the highest, so that two byte swaps turn one into the other.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel

Array = NDArray[Any]
Word = Any  # a np.uint64

GROUP = 8  # codes that fill whole bytes, whatever their width

shl = np.left_shift
shr = np.right_shift


class Fields(NamedTuple):
    """The fields of a layout, a column each: see `minifloat.packing.layouts.Field`."""

    code: Array
    low: Array
    width: Array
    word: Array
    at: Array


@jit
def _load(a: Array, at: int) -> Word:
    """Read eight bytes as a little-endian word; LLVM makes one load of it."""
    word = np.uint64(0)
    for k in range(8):
        word |= shl(np.uint64(a[np.uint64(at + k)]), np.uint64(8 * k))
    return word


@jit
def _store(word: Word, a: Array, at: int) -> None:
    """Write a little-endian word as eight bytes."""
    for k in range(8):
        a[np.uint64(at + k)] = np.uint8(shr(word, np.uint64(8 * k)) & np.uint64(0xFF))


@jit
def _swap(word: Word) -> Word:
    """Reverse the bytes of a word; LLVM makes one instruction of it."""
    swapped = np.uint64(0)
    for k in range(8):
        byte = shr(word, np.uint64(8 * k)) & np.uint64(0xFF)
        swapped |= shl(byte, np.uint64(56 - 8 * k))
    return swapped


@jit
def _squeeze(word: Word, bits: Word) -> Word:
    """Move eight codes, one a byte, together at the low end."""
    low = np.uint64(0x00FF00FF00FF00FF)
    word = (word & low) | shr(word & ~low, np.uint64(8) - bits)
    low = np.uint64(0x0000FFFF0000FFFF)
    word = (word & low) | shr(word & ~low, np.uint64(16) - np.uint64(2) * bits)
    low = np.uint64(0x00000000FFFFFFFF)
    return (word & low) | shr(word & ~low, np.uint64(32) - np.uint64(4) * bits)


@jit
def _spread(word: Word, bits: Word) -> Word:
    """Move eight codes at the low end apart, one a byte; what is above them is dropped."""
    one = np.uint64(1)
    low = shl(one, np.uint64(4) * bits) - one
    word = (word & low) | (shl(word, np.uint64(32) - np.uint64(4) * bits) & shl(low, np.uint64(32)))
    low = (shl(one, np.uint64(2) * bits) - one) * np.uint64(0x0000000100000001)
    word = (word & low) | (shl(word, np.uint64(16) - np.uint64(2) * bits) & shl(low, np.uint64(16)))
    low = (shl(one, bits) - one) * np.uint64(0x0001000100010001)
    return (word & low) | (shl(word, np.uint64(8) - bits) & shl(low, np.uint64(8)))


@jit
def _pack_row(codes: Array, bits: int, big: bool, packed: Array) -> None:
    width = np.uint64(bits)
    groups = 0
    if bits <= 8 and packed.size >= 8:
        groups = min(codes.size // GROUP, (packed.size - 8) // bits + 1)
    for g in range(groups):  # each store also writes beyond its group, where the next one will
        word = _load(codes, GROUP * g)
        if big:
            word = shr(_swap(_squeeze(_swap(word), width)), np.uint64(64) - np.uint64(8) * width)
        else:
            word = _squeeze(word, width)
        _store(word, packed, bits * g)
    held, word = 0, np.uint64(0)
    at = bits * groups
    for i in range(GROUP * groups, codes.size):
        code = np.uint64(codes[i])
        word = shl(word, width) | code if big else word | shl(code, np.uint64(held))
        held += bits
        while held >= 8:
            held -= 8
            if big:
                packed[at] = np.uint8(shr(word, np.uint64(held)) & np.uint64(0xFF))
            else:
                packed[at] = np.uint8(word & np.uint64(0xFF))
                word = shr(word, np.uint64(8))
            at += 1
    if held > 0:
        packed[at] = np.uint8((shl(word, np.uint64(8 - held)) if big else word) & np.uint64(0xFF))


@kernel
def pack(codes: Array, row: int, bits: int, big: bool, packed: Array) -> None:
    """Pack rows of ``row`` codes, each to whole bytes."""
    row_bytes = (row * bits + 7) // 8
    for r in range(codes.size // row):
        _pack_row(
            codes[row * r : row * (r + 1)], bits, big, packed[row_bytes * r : row_bytes * (r + 1)]
        )


@jit
def _cut(word: Word, at: int, bits: int, big: bool) -> Word:
    """Return the code that lies ``at`` bits (up to 7) into the eight bytes of ``word``."""
    word = shr(_swap(word), np.uint64(64 - bits - at)) if big else shr(word, np.uint64(at))
    return word & (shl(np.uint64(1), np.uint64(bits)) - np.uint64(1))


@jit
def _unpack_some(packed: Array, start: int, bits: int, big: bool, codes: Array) -> None:
    """Unpack one by one; codes of at most 32 bits lie within eight bytes."""
    roomy = 0  # codes whose eight bytes do not pass the end
    if packed.size >= 8:
        roomy = max(0, min(codes.size, (8 * (packed.size - 8) + 7) // bits + 1 - start))
    for i in range(roomy):
        at = bits * (start + i)
        codes[i] = _cut(_load(packed, at >> 3), at & 7, bits, big)
    for i in range(roomy, codes.size):
        at = bits * (start + i)
        word = np.uint64(0)
        for k in range(packed.size - (at >> 3)):
            word |= shl(np.uint64(packed[(at >> 3) + k]), np.uint64(8 * k))
        codes[i] = _cut(word, at & 7, bits, big)


@jit
def _unpack_row(packed: Array, start: int, bits: int, big: bool, codes: Array) -> None:
    width = np.uint64(bits)
    head = min(-start % GROUP, codes.size)  # up to where a group begins
    first = bits * (start + head) // 8
    groups = 0
    if bits <= 8 and packed.size >= first + 8:
        groups = min((codes.size - head) // GROUP, (packed.size - 8 - first) // bits + 1)
    _unpack_some(packed, start, bits, big, codes[:head])
    for g in range(groups):
        word = _load(packed, first + bits * g)
        if big:
            word = shr(_swap(word), np.uint64(64) - np.uint64(8) * width)
            word = _swap(_spread(word, width))
        else:
            word = _spread(word, width)
        _store(word, codes, head + GROUP * g)
    done = head + GROUP * groups
    _unpack_some(packed, start + done, bits, big, codes[done:])


@kernel
def unpack(
    packed: Array, row_bytes: int, start: int, bits: int, big: bool, count: int, codes: Array
) -> None:
    """Unpack ``count`` codes from ``start`` on of each row of ``row_bytes``."""
    for r in range(codes.size // count):
        _unpack_row(
            packed[row_bytes * r : row_bytes * (r + 1)], start, bits, big,
            codes[count * r : count * (r + 1)],
        )  # fmt: skip


@kernel
def pack_words(
    codes: Array, row: int, group: int, group_words: int, fields: Fields, words: Array
) -> None:
    """Pack rows of ``row`` codes, each to whole groups of ``group``."""
    code, low, width, word, at = fields
    groups = (row + group - 1) // group
    words[:] = 0
    for g in range(codes.size // row * groups):
        first = row * (g // groups) + group * (g % groups)
        held = min(group, row - group * (g % groups))
        for f in range(code.size):
            if code[f] < held:
                mask = shl(np.uint64(1), np.uint64(width[f])) - np.uint64(1)
                part = shr(np.uint64(codes[first + code[f]]), np.uint64(low[f])) & mask
                words[group_words * g + word[f]] |= np.uint32(shl(part, np.uint64(at[f])))


@kernel
def unpack_words(
    words: Array, row: int, group: int, group_words: int, fields: Fields, codes: Array
) -> int:
    """Unpack rows of ``row`` codes; return the bits set in codes that fill up the last groups."""
    code, low, width, word, at = fields
    groups = (row + group - 1) // group
    codes[:] = 0
    left = np.uint64(0)
    for g in range(codes.size // row * groups):
        first = row * (g // groups) + group * (g % groups)
        held = min(group, row - group * (g % groups))
        for f in range(code.size):
            mask = shl(np.uint64(1), np.uint64(width[f])) - np.uint64(1)
            part = shr(np.uint64(words[group_words * g + word[f]]), np.uint64(at[f])) & mask
            if code[f] < held:
                codes[first + code[f]] |= codes.dtype.type(shl(part, np.uint64(low[f])))
            else:
                left |= part
    return int(left)
