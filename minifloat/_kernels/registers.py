"""Loops of `minifloat.registers`: instructions on rows of 32-bit registers.

A register is a row of `TILE` words, one for each of as many groups; constants are rows as well. An
instruction is one loop over its rows. Arithmetic on halves goes through float64, where products of
halves are exact. What a sum loses is made good by rounding to odd: where the result is inexact its
last bit is set, which keeps it on the right side of every tie of a shorter format. So the one
rounding that counts is the last, to the half.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

TILE = 512  # groups at a time
AND, OR, XOR, SHL, SHR, LOP3, PRMT, HMUL2, HADD2, HSUB2, HFMA2, LDS = range(12)
NEGATIVE_ZERO = np.uint32(0x8000_8000)

jit = njit(cache=True, nogil=True)


@jit
def _widen(half: Any, brain: bool, flush: bool) -> Any:
    """Return the value of a float16 (or, if ``brain``, bfloat16) word as a float64."""
    magnitude = np.int32(half & np.int32(0x7FFF))
    sign = np.int32(np.left_shift(np.int32(half & np.int32(0x8000)), np.int32(16)))
    least = np.int32(0x80) if brain else np.int32(0x400)  # of the normal numbers
    if flush and magnitude < least:
        magnitude = np.int32(0)
    if brain:
        word = np.int32(np.left_shift(magnitude, np.int32(16)))
    else:
        normal = np.int32(np.left_shift(magnitude, np.int32(13)) + np.int32(0x3800_0000))
        if magnitude >= np.int32(0x7C00):
            normal = np.int32(normal + np.int32(0x3800_0000))
        small = np.float32(np.float32(magnitude) * np.float32(2.0**-24))
        word = np.int32(small.view(np.int32)) if magnitude < least else normal
    return np.float64(np.int32(word | sign).view(np.float32))


@jit
def _add_to_odd(a: Any, b: Any) -> Any:
    """Return a + b in float64, rounded to odd."""
    total = np.float64(a + b)
    behind = total - a
    lost = (a - (total - behind)) + (b - behind)  # exactly, by Knuth's TwoSum
    bits = np.float64(total).view(np.int64)
    even = (bits & np.int64(1)) == 0
    if (total - total == 0.0) and lost != 0.0 and even:  # finite and inexact
        bits = bits + np.int64(1) if (lost > 0.0) == (total > 0.0) else bits - np.int64(1)
    return np.int64(bits).view(np.float64)


@jit
def _narrow(value: Any, brain: bool, flush: bool) -> Any:
    """Round a float64 (exact, or rounded to odd) to the word of a half, to nearest even."""
    short = np.float32(value)
    word = np.int32(short.view(np.int32))
    back = np.float64(short)
    if back != value and (word & np.int32(1)) == 0:  # float32 rounded to odd as well
        word = np.int32(word + np.int32(1)) if abs(back) < abs(value) else np.int32(word - 1)
    sign = np.int32(np.right_shift(word, np.int32(16)) & np.int32(0x8000))
    magnitude = np.int32(word & np.int32(0x7FFF_FFFF))
    if brain:
        odd = np.int32(np.right_shift(magnitude, np.int32(16)) & np.int32(1))
        half = np.int32(np.right_shift(np.int32(magnitude + np.int32(0x7FFF) + odd), np.int32(16)))
        least = np.int32(0x80)
    else:
        odd = np.int32(np.right_shift(magnitude, np.int32(13)) & np.int32(1))
        capped = np.int32(min(magnitude, np.int32(0x4780_0000)))  # 2**16, which is infinity
        half = np.int32(capped - np.int32(0x3800_0000) + np.int32(0xFFF) + odd)
        half = np.int32(min(np.right_shift(half, np.int32(13)), np.int32(0x7C00)))
        if magnitude < np.int32(0x3880_0000):  # subnormal: 0.5 has float16's least bit for its last
            shifted = np.float32(np.int32(magnitude).view(np.float32) + np.float32(0.5))
            half = np.int32(np.float32(shifted).view(np.int32) - np.int32(0x3F00_0000))
        least = np.int32(0x400)
    if flush and half < least:
        half = np.int32(0)
    if value != value:
        return np.int32(0x7FFF)
    return np.int32(half | sign)


@jit
def _half(op: int, a: Any, b: Any, c: Any, brain: bool, flush: bool) -> Any:
    """Return the word of one half of HMUL2, HADD2 or HFMA2."""
    x, y = _widen(a, brain, flush), _widen(b, brain, flush)
    if op == HMUL2:
        return _narrow(x * y, brain, flush)
    if op == HADD2:
        return _narrow(_add_to_odd(x, y), brain, flush)
    return _narrow(_add_to_odd(x * y, _widen(c, brain, flush)), brain, flush)


@jit
def _halves(op: int, a: Array, b: Array, c: Array, out: Array, brain: bool, flush: bool) -> None:
    low, up = np.int32(0xFFFF), np.int32(16)
    for i in range(out.size):
        x, y, z = np.int32(a[i]), np.int32(b[i]), np.int32(c[i])
        first = _half(op, np.int32(x & low), np.int32(y & low), np.int32(z & low), brain, flush)
        second = _half(
            op,
            np.int32(np.right_shift(x, up) & low),
            np.int32(np.right_shift(y, up) & low),
            np.int32(np.right_shift(z, up) & low),
            brain,
            flush,
        )
        out[i] = np.uint32(np.int32(first | np.left_shift(second, up)))


@jit
def _lop3(a: Array, b: Array, c: Array, table: int, out: Array) -> None:
    """Pick by a between the halves of the table, by b between quarters, by c between bits."""
    full = np.uint32(0xFFFF_FFFF)
    k0, k1 = full * np.uint32(table & 1), full * np.uint32(table >> 1 & 1)
    k2, k3 = full * np.uint32(table >> 2 & 1), full * np.uint32(table >> 3 & 1)
    k4, k5 = full * np.uint32(table >> 4 & 1), full * np.uint32(table >> 5 & 1)
    k6, k7 = full * np.uint32(table >> 6 & 1), full * np.uint32(table >> 7 & 1)
    for i in range(out.size):
        x, y, z = np.uint32(a[i]), np.uint32(b[i]), np.uint32(c[i])
        q0, q1 = np.uint32(k0 ^ (z & (k0 ^ k1))), np.uint32(k2 ^ (z & (k2 ^ k3)))
        q2, q3 = np.uint32(k4 ^ (z & (k4 ^ k5))), np.uint32(k6 ^ (z & (k6 ^ k7)))
        h0, h1 = np.uint32(q0 ^ (y & (q0 ^ q1))), np.uint32(q2 ^ (y & (q2 ^ q3)))
        out[i] = np.uint32(h0 ^ (x & (h0 ^ h1)))


@jit
def _prmt(a: Array, b: Array, selector: int, out: Array) -> None:
    out[:] = 0
    for byte in range(4):
        nibble = selector >> 4 * byte & 0xF
        source = a if nibble & 7 < 4 else b
        down, up = np.uint32(8 * (nibble & 3)), np.uint32(8 * byte)
        repeat = nibble >= 8
        for i in range(out.size):
            picked = np.uint32(np.right_shift(np.uint32(source[i]), down) & np.uint32(0xFF))
            if repeat:
                picked = np.uint32(0xFF) if picked >= np.uint32(0x80) else np.uint32(0)
            out[i] |= np.uint32(np.left_shift(picked, up))


@jit
def _step(op: int, a: Array, b: Array, c: Array, extra: int, table: Array, out: Array,
          brain: bool, flush: bool) -> int:  # fmt: skip
    """Carry out one instruction on the rows a, b and c; ``extra`` is what is not a register.

    Return the number of look-ups beyond the table, which read its last word.
    """
    beyond = 0
    if op == AND:
        for i in range(out.size):
            out[i] = a[i] & b[i]
    elif op == OR:
        for i in range(out.size):
            out[i] = a[i] | b[i]
    elif op == XOR:
        for i in range(out.size):
            out[i] = a[i] ^ b[i]
    elif op == SHL:
        for i in range(out.size):
            out[i] = np.left_shift(np.uint32(a[i]), np.uint32(extra))
    elif op == SHR:
        for i in range(out.size):
            out[i] = np.right_shift(np.uint32(a[i]), np.uint32(extra))
    elif op == LOP3:
        _lop3(a, b, c, extra, out)
    elif op == PRMT:
        _prmt(a, b, extra, out)
    elif op == LDS:
        for i in range(out.size):
            index = np.int64(a[i] >> np.uint32(2))
            beyond += index >= table.size
            out[i] = table[min(index, table.size - 1)]
    elif op == HSUB2:
        for i in range(out.size):
            out[i] = b[i] ^ NEGATIVE_ZERO
        _halves(HADD2, a, out, out, out, brain, flush)
    else:
        _halves(op, a, b, c, out, brain, flush)
    return beyond


@jit
def execute(
    words: Array, code: Array, outputs: Array, registers: Array, table: Array, brain: bool,
    flush: bool, halves: Array,
) -> int:  # fmt: skip
    """Run a program on the rows of ``words``, one group each; results go to those of ``halves``.

    ``code`` has a row ``op, result, a, b, c, extra`` for each instruction; the registers' rows are
    the input words, the results, and the constants, filled in already. Return the number of
    look-ups beyond the table.
    """
    groups = words.shape[0]
    beyond = 0
    for start in range(0, groups, TILE):
        size = min(TILE, groups - start)
        for word in range(words.shape[1]):
            row = registers[word]
            for i in range(size):
                row[i] = words[start + i, word]
        for k in range(code.shape[0]):
            beyond += _step(
                code[k, 0], registers[code[k, 2], :size], registers[code[k, 3], :size],
                registers[code[k, 4], :size], code[k, 5], table, registers[code[k, 1], :size],
                brain, flush,
            )  # fmt: skip
        for pair in range(outputs.size):
            row = registers[outputs[pair]]
            for i in range(size):
                halves[start + i, pair] = row[i]
    return beyond
