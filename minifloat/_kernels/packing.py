"""Loops of `minifloat.packing`: codes in bytes, and in bit runs of words.

Every kernel takes one-dimensional contiguous arrays and plain integers, and writes to an array
that it is given; it does not allocate or raise. Codes have no bits above ``bits``.

Eight codes of ``bits`` bits take ``bits`` bytes. Up to 8 bits, eight codes are squeezed together in
a 64-bit word, or spread apart, in three steps that halve or double the number of lanes (here for 5
bits):

    8 lanes of  8   ...hhhhh ...ggggg ...fffff ...eeeee ...ddddd ...ccccc ...bbbbb ...aaaaa
    4 lanes of 16   ......hh hhhggggg ......ff fffeeeee ......dd dddccccc ......bb bbbaaaaa
    2 lanes of 32   ........ ....hhhh hgggggff fffeeeee ........ ....dddd dcccccbb bbbaaaaa
    1 lane  of 64   ........ ........ ........ hhhhhggg ggfffffe eeeedddd dcccccbb bbbaaaaa

In little order, the first code is in the lowest lane and the first byte is the lowest of the word.
In big order both are the highest, so that two byte swaps convert one order to the other.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import instruction, jit, kernel

Array = NDArray[Any]
Word = Any  # a np.uint64

BYTE_GROUP = 8  # this many codes fill whole bytes, for every width
GROUPS = 8  # that `pack_groups` packs at a time

shl = np.left_shift
shr = np.right_shift


class BitRuns(NamedTuple):
    """The bit runs of a layout, a column each: see `minifloat.packing.layouts.BitRun`."""

    code: Array
    low: Array
    width: Array
    word: Array
    at: Array


@jit
def _load(a: Array, at: int) -> Word:
    """Read eight bytes as a little-endian word; LLVM compiles this to one load."""
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
    """Reverse the bytes of a word; LLVM compiles this to one instruction."""
    swapped = np.uint64(0)
    for k in range(8):
        byte = shr(word, np.uint64(8 * k)) & np.uint64(0xFF)
        swapped |= shl(byte, np.uint64(56 - 8 * k))
    return swapped


@jit
def _squeeze(word: Word, bits: Word) -> Word:
    """Squeeze eight codes, one in each byte, together at the low end."""
    low = np.uint64(0x00FF00FF00FF00FF)
    word = (word & low) | shr(word & ~low, np.uint64(8) - bits)
    low = np.uint64(0x0000FFFF0000FFFF)
    word = (word & low) | shr(word & ~low, np.uint64(16) - np.uint64(2) * bits)
    low = np.uint64(0x00000000FFFFFFFF)
    return (word & low) | shr(word & ~low, np.uint64(32) - np.uint64(4) * bits)


@jit
def _spread(word: Word, bits: Word) -> Word:
    """Spread eight codes at the low end apart, one in each byte; drop the bits above them."""
    one = np.uint64(1)
    low = shl(one, np.uint64(4) * bits) - one
    word = (word & low) | (shl(word, np.uint64(32) - np.uint64(4) * bits) & shl(low, np.uint64(32)))
    low = (shl(one, np.uint64(2) * bits) - one) * np.uint64(0x0000000100000001)
    word = (word & low) | (shl(word, np.uint64(16) - np.uint64(2) * bits) & shl(low, np.uint64(16)))
    low = (shl(one, bits) - one) * np.uint64(0x0001000100010001)
    return (word & low) | (shl(word, np.uint64(8) - bits) & shl(low, np.uint64(8)))


def _define_pack_groups() -> Any:
    from minifloat._kernels import packing_vectors

    return packing_vectors.pack_groups


@instruction(_define_pack_groups)
def pack_groups(codes: Array, at: int, bits: int, packed: Array, to: int) -> None:
    """Pack `GROUPS` groups of codes of a byte each, in little order; write 8 bytes for the last."""
    for g in range(GROUPS):
        _store(_squeeze(_load(codes, at + BYTE_GROUP * g), np.uint64(bits)), packed, to + bits * g)


@jit
def pack_row(codes: Array, bits: int, big: bool, packed: Array) -> None:
    """Pack codes closely; up to 8 bytes behind them, if ``packed`` has them, become anything."""
    width = np.uint64(bits)
    groups = 0
    if bits <= 8 and packed.size >= 8:
        groups = min(codes.size // BYTE_GROUP, (packed.size - 8) // bits + 1)
    several = 0  # groups that are squeezed several at a time
    if codes.itemsize == 1 and not big:
        several = groups - groups % GROUPS
    for g in range(0, several, GROUPS):
        pack_groups(codes, BYTE_GROUP * g, bits, packed, bits * g)
    # each store overwrites the start of the next group, which is stored later
    for g in range(several, groups):
        word = _load(codes, BYTE_GROUP * g)
        if big:
            word = shr(_swap(_squeeze(_swap(word), width)), np.uint64(64) - np.uint64(8) * width)
        else:
            word = _squeeze(word, width)
        _store(word, packed, bits * g)
    held, word = 0, np.uint64(0)
    at = bits * groups
    for i in range(BYTE_GROUP * groups, codes.size):
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
    """Pack rows of ``row`` codes, each into whole bytes."""
    row_bytes = (row * bits + 7) // 8
    for r in range(codes.size // row):
        pack_row(
            codes[row * r : row * (r + 1)], bits, big, packed[row_bytes * r : row_bytes * (r + 1)]
        )


@jit
def _cut(word: Word, at: int, bits: int, big: bool) -> Word:
    """Return the code that starts at bit ``at`` (0 to 7) of the eight bytes of ``word``."""
    word = shr(_swap(word), np.uint64(64 - bits - at)) if big else shr(word, np.uint64(at))
    return word & (shl(np.uint64(1), np.uint64(bits)) - np.uint64(1))


@jit
def _unpack_singly(packed: Array, start: int, bits: int, big: bool, codes: Array) -> None:
    """Unpack code by code; a code of at most 32 bits lies within eight bytes."""
    whole = 0  # number of codes whose eight bytes end before the array does
    if packed.size >= 8:
        whole = max(0, min(codes.size, (8 * (packed.size - 8) + 7) // bits + 1 - start))
    for i in range(whole):
        at = bits * (start + i)
        codes[i] = _cut(_load(packed, at >> 3), at & 7, bits, big)
    for i in range(whole, codes.size):
        at = bits * (start + i)
        word = np.uint64(0)
        for k in range(packed.size - (at >> 3)):
            word |= shl(np.uint64(packed[(at >> 3) + k]), np.uint64(8 * k))
        codes[i] = _cut(word, at & 7, bits, big)


@jit
def _unpack_row(packed: Array, start: int, bits: int, big: bool, codes: Array) -> None:
    width = np.uint64(bits)
    head = min(-start % BYTE_GROUP, codes.size)  # codes before the first whole group
    first = bits * (start + head) // 8
    groups = 0
    if bits <= 8 and packed.size >= first + 8:
        groups = min((codes.size - head) // BYTE_GROUP, (packed.size - 8 - first) // bits + 1)
    _unpack_singly(packed, start, bits, big, codes[:head])
    for g in range(groups):
        word = _load(packed, first + bits * g)
        if big:
            word = shr(_swap(word), np.uint64(64) - np.uint64(8) * width)
            word = _swap(_spread(word, width))
        else:
            word = _spread(word, width)
        _store(word, codes, head + BYTE_GROUP * g)
    done = head + BYTE_GROUP * groups
    _unpack_singly(packed, start + done, bits, big, codes[done:])


@kernel
def unpack(
    packed: Array, row_bytes: int, start: int, bits: int, big: bool, count: int, codes: Array
) -> None:
    """Unpack ``count`` codes from code ``start`` on in each row of ``row_bytes`` bytes."""
    for r in range(codes.size // count):
        _unpack_row(
            packed[row_bytes * r : row_bytes * (r + 1)], start, bits, big,
            codes[count * r : count * (r + 1)],
        )  # fmt: skip


@kernel
def pack_words(
    codes: Array, row: int, group: int, group_words: int, runs: BitRuns, words: Array
) -> None:
    """Pack rows of ``row`` codes, each into whole groups of ``group`` codes."""
    code, low, width, word, at = runs
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
    words: Array, row: int, group: int, group_words: int, runs: BitRuns, codes: Array
) -> int:
    """Unpack rows of ``row`` codes; return the union of the bits in the padding of the groups."""
    code, low, width, word, at = runs
    groups = (row + group - 1) // group
    codes[:] = 0
    padding = np.uint64(0)
    for g in range(codes.size // row * groups):
        first = row * (g // groups) + group * (g % groups)
        held = min(group, row - group * (g % groups))
        for f in range(code.size):
            mask = shl(np.uint64(1), np.uint64(width[f])) - np.uint64(1)
            part = shr(np.uint64(words[group_words * g + word[f]]), np.uint64(at[f])) & mask
            if code[f] < held:
                codes[first + code[f]] |= codes.dtype.type(shl(part, np.uint64(low[f])))
            else:
                padding |= part
    return int(padding)
