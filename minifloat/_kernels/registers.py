"""Loops of `minifloat.registers`: instructions on rows of 32-bit registers.

A register is a row of `TILE_GROUPS` words, one for each group of a tile; constants are rows too. An
instruction is one loop over its rows. Arithmetic on halves is exact or rounded to odd: the last bit
of an inexact result is set, which keeps it on the right side of every tie of a shorter format. The
final rounding to the half then equals one rounding of the exact result.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel

Array = NDArray[Any]

TILE_GROUPS = 512  # groups that are processed together
AND, OR, XOR, SHL, SHR, LOP3, PRMT, HMUL2, HADD2, HSUB2, HFMA2, LDS = range(12)
ONE_HALF = np.float32(0.5)
NEGATIVE_ZERO = np.uint32(0x8000_8000)


@jit
def _widen(half: Any, brain: bool, smallest: Any) -> Any:
    """Return the value of a float16 (or, if ``brain``, bfloat16) word as a float32.

    Magnitudes below ``smallest`` are read as zero.
    """
    magnitude = np.int32(half & np.int32(0x7FFF))
    magnitude = np.int32(0) if magnitude < smallest else magnitude
    sign = np.int32(np.left_shift(np.int32(half & np.int32(0x8000)), np.int32(16)))
    if brain:
        return np.int32(np.left_shift(magnitude, np.int32(16)) | sign).view(np.float32)
    bias = np.int32(0x7000_0000) if magnitude >= np.int32(0x7C00) else np.int32(0x3800_0000)
    normal = np.int32(np.left_shift(magnitude, np.int32(13)) + bias)
    # the last bit of 0.5 in float32 is the lowest bit of float16
    small = np.float32(np.int32(magnitude | np.int32(0x3F00_0000)).view(np.float32) - ONE_HALF)
    word = np.float32(small).view(np.int32) if magnitude < np.int32(0x400) else normal
    return np.int32(word | sign).view(np.float32)


@jit
def _narrow(value: Any, brain: bool, smallest: Any) -> Any:
    """Round a float32 (exact, or rounded to odd) to the word of a half, to nearest even.

    Magnitudes below ``smallest`` become zero.
    """
    word = np.float32(value).view(np.int32)
    sign = np.int32(np.right_shift(word, np.int32(16)) & np.int32(0x8000))
    magnitude = np.int32(word & np.int32(0x7FFF_FFFF))
    if brain:
        odd = np.int32(np.right_shift(magnitude, np.int32(16)) & np.int32(1))
        half = np.int32(np.right_shift(np.int32(magnitude + np.int32(0x7FFF) + odd), np.int32(16)))
    else:
        odd = np.int32(np.right_shift(magnitude, np.int32(13)) & np.int32(1))
        capped = np.int32(min(magnitude, np.int32(0x4780_0000)))  # 2**16, which is infinity
        half = np.int32(capped - np.int32(0x3800_0000) + np.int32(0xFFF) + odd)
        half = np.int32(min(np.right_shift(half, np.int32(13)), np.int32(0x7C00)))
        shifted = np.float32(np.int32(magnitude).view(np.float32) + ONE_HALF)
        small = np.int32(np.float32(shifted).view(np.int32) - np.int32(0x3F00_0000))
        half = small if magnitude < np.int32(0x3880_0000) else half
    half = np.int32(0) if half < smallest else half
    nan = magnitude > np.int32(0x7F80_0000)
    return np.int32(0x7FFF) if nan else np.int32(half | sign)


@jit
def _to_odd(total: Any, error: Any) -> Any:
    """Return a sum rounded to odd, given it rounded to nearest even and the sign of the error."""
    bits = np.float32(total).view(np.int32)
    inexact = (total - total == np.float32(0.0)) & (error != np.float32(0.0))
    zero = total == np.float32(0.0)
    away = zero | ((error > np.float32(0.0)) == (total > np.float32(0.0)))
    step = np.int32(1) if away else np.int32(-1)
    moved = np.int32(bits + step) if inexact & ((bits & np.int32(1)) == 0) else bits
    return np.int32(moved).view(np.float32)


@jit
def _sum_error(a: Any, b: Any, total: Any) -> Any:
    """Return the exact error of ``total = a + b`` (Knuth's TwoSum)."""
    b_part = total - a
    return (a - (total - b_part)) + (b - b_part)


@jit
def _multiply(x: Any, y: Any, brain: bool) -> Any:
    """Return x * y, exact in float32 for float16 and rounded to odd for bfloat16."""
    if not brain:
        return np.float32(x * y)
    exact = np.float64(x) * np.float64(y)
    total = np.float32(exact)
    return _to_odd(total, np.float32(np.sign(exact - np.float64(total))))


@jit
def _add(x: Any, y: Any) -> Any:
    """Return x + y in float32, rounded to odd."""
    total = np.float32(x + y)
    return _to_odd(total, _sum_error(x, y, total))


@jit
def _multiply_add(x: Any, y: Any, z: Any, brain: bool) -> Any:
    """Return x * y + z rounded to odd."""
    if not brain:
        return _add(np.float32(x * y), z)
    product, addend = np.float64(x) * np.float64(y), np.float64(z)
    total = product + addend
    error = _sum_error(product, addend, total)
    short = np.float32(total)
    # the sign is right: the first term is 0 or larger in magnitude than the second
    error = (total - np.float64(short)) + error
    return _to_odd(short, np.float32(np.sign(error)))


@jit
def _halves(op: int, a: Array, b: Array, c: Array, out: Array, brain: bool, smallest: int) -> None:
    low, up, floor = np.int32(0xFFFF), np.int32(16), np.int32(smallest)
    for i in range(out.size):
        p, q = np.int32(a[i]), np.int32(b[i])
        x = _widen(np.int32(p & low), brain, floor)
        y = _widen(np.int32(q & low), brain, floor)
        u = _widen(np.int32(np.right_shift(p, up) & low), brain, floor)
        v = _widen(np.int32(np.right_shift(q, up) & low), brain, floor)
        if op == HMUL2:
            x, u = _multiply(x, y, brain), _multiply(u, v, brain)
        elif op == HADD2:
            x, u = _add(x, y), _add(u, v)
        else:
            r = np.int32(c[i])
            z = _widen(np.int32(r & low), brain, floor)
            w = _widen(np.int32(np.right_shift(r, up) & low), brain, floor)
            x, u = _multiply_add(x, y, z, brain), _multiply_add(u, v, w, brain)
        first, second = _narrow(x, brain, floor), _narrow(u, brain, floor)
        out[i] = np.uint32(np.int32(first | np.left_shift(second, up)))


@jit
def _lop3(a: Array, b: Array, c: Array, table: int, out: Array) -> None:
    """Select a half of the table by a, a quarter by b, and a bit by c."""
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
def _byte(word: Any, down: Any, repeated: Any) -> Any:
    """Return a byte of a word or, if ``repeated`` is 0xFF, eight copies of its top bit."""
    byte = np.uint32(np.right_shift(np.uint32(word), down) & np.uint32(0xFF))
    top = np.uint32(np.right_shift(byte, np.uint32(7)) * np.uint32(0xFF))
    return np.uint32(byte ^ np.uint32((byte ^ top) & repeated))


@jit
def _prmt(a: Array, b: Array, selector: int, out: Array) -> None:
    n0, n1, n2, n3 = selector & 15, selector >> 4 & 15, selector >> 8 & 15, selector >> 12 & 15
    s0, s1 = a if n0 & 7 < 4 else b, a if n1 & 7 < 4 else b
    s2, s3 = a if n2 & 7 < 4 else b, a if n3 & 7 < 4 else b
    d0, d1 = np.uint32(8 * (n0 & 3)), np.uint32(8 * (n1 & 3))
    d2, d3 = np.uint32(8 * (n2 & 3)), np.uint32(8 * (n3 & 3))
    r0, r1 = np.uint32(0xFF * (n0 >> 3)), np.uint32(0xFF * (n1 >> 3))
    r2, r3 = np.uint32(0xFF * (n2 >> 3)), np.uint32(0xFF * (n3 >> 3))
    for i in range(out.size):
        low = _byte(s0[i], d0, r0) | np.left_shift(_byte(s1[i], d1, r1), np.uint32(8))
        high = _byte(s2[i], d2, r2) | np.left_shift(_byte(s3[i], d3, r3), np.uint32(8))
        out[i] = np.uint32(low | np.left_shift(np.uint32(high), np.uint32(16)))


@jit
def _step(op: int, a: Array, b: Array, c: Array, extra: int, table: Array, out: Array,
          brain: bool, smallest: int) -> int:  # fmt: skip
    """Execute one instruction on the rows a, b and c; ``extra`` is its constant or truth table.

    Return the number of look-ups outside the table; they read its last word.
    """
    outside, last = np.int64(0), np.int64(table.size - 1)
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
            outside += index > last
            out[i] = table[int(min(index, last))]
    elif op == HSUB2:
        for i in range(out.size):
            out[i] = b[i] ^ NEGATIVE_ZERO
        _halves(HADD2, a, out, out, out, brain, smallest)
    else:
        _halves(op, a, b, c, out, brain, smallest)
    return int(outside)


@kernel(cost=3)
def execute(
    words: Array, code: Array, outputs: Array, registers: Array, table: Array, brain: bool,
    smallest: int, halves: Array,
) -> int:  # fmt: skip
    """Run a program on the rows of ``words``, one group each; write the rows of ``halves``.

    ``code`` has a row ``op, result, a, b, c, extra`` for each instruction. The rows of
    ``registers`` are the input words, the results, and the constants, which the caller has filled
    in. Return the number of look-ups outside the table.
    """
    groups = words.shape[0]
    outside = 0
    for start in range(0, groups, TILE_GROUPS):
        size = min(TILE_GROUPS, groups - start)
        for word in range(words.shape[1]):
            row = registers[word]
            for i in range(size):
                row[i] = words[start + i, word]
        for k in range(code.shape[0]):
            outside += _step(
                code[k, 0], registers[code[k, 2], :size], registers[code[k, 3], :size],
                registers[code[k, 4], :size], code[k, 5], table, registers[code[k, 1], :size],
                brain, smallest,
            )  # fmt: skip
        for pair in range(outputs.size):
            row = registers[outputs[pair]]
            for i in range(size):
                halves[start + i, pair] = row[i]
    return outside


@jit
def _add_bits(words: Array, width: int, low: int, at: int, codes: Array) -> None:
    mask = np.uint32((1 << width) - 1)
    for i in range(codes.size):
        bits = np.uint32(np.right_shift(words[i], np.uint32(at)) & mask)
        codes[i] |= np.left_shift(bits, np.uint32(low))


@jit
def _count_wrong_halves(pairs: Array, shift: int, codes: Array, want: Array, numbers: Array) -> int:
    wrong = np.int64(0)
    for i in range(codes.size):
        half = np.uint32(np.right_shift(pairs[i], np.uint32(shift)) & np.uint32(0xFFFF))
        wrong += (half != want[codes[i]]) & numbers[codes[i]]
    return int(wrong)


@kernel
def count_wrong(
    words: Array, pairs: Array, runs: Array, codes: Array, want: Array, numbers: Array
) -> int:
    """Count the halves in ``pairs`` that differ from the decoded values of the codes in ``words``.

    ``runs`` has a column for each `BitRun` of the layout in the words that are not zero; ``codes``
    is scratch for the codes of a tile. The half of a code is ``want[code]``; codes that are not
    ``numbers[code]`` are not compared.
    """
    wrong = 0
    for start in range(0, words.shape[0], TILE_GROUPS):
        size = min(TILE_GROUPS, words.shape[0] - start)
        for position in range(2 * pairs.shape[1]):
            tile = codes[:size]
            tile[:] = 0
            for r in range(runs.shape[1]):
                if runs[0, r] == position:
                    row = words[start : start + size, runs[3, r]]
                    _add_bits(row, runs[2, r], runs[1, r], runs[4, r], tile)
            halves = pairs[start : start + size, position >> 1]
            wrong += _count_wrong_halves(halves, 16 * (position & 1), tile, want, numbers)
    return wrong
