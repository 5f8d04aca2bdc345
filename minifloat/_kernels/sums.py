"""Loops of `minifloat.arithmetic`: sums and dot products as matrix units and accumulators do them.

Numbers are float64, in which every step is exact: products of two float32 numbers, powers of two,
and sums of whole numbers below 2**53. Where a sum has more bits, it is rounded to odd, which keeps
it on the right side of every tie of a shorter format; so each result is rounded once.

``b`` is a tile of columns, one term of all of them after the other, so that the loops over columns
are vectors. ``ea`` and ``eb`` are the exponents that the unit reads, `NOTHING` for what no exponent
comes from; the exponent of a product is their sum. ``sums`` are the running sums of each row and
column; ``room`` is work space, float64 of shape (4 + `DIGITS`, columns), and ``tops`` int16 of
shape (2, columns).

A step of *aligned* terms: the largest exponent is found, each term is cut at so many bits below it,
the cut terms are added exactly, and the sum is rounded. An *exact* step takes the terms apart into
such sums, one below the other, until nothing is left, and puts these together with carries.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, kernel

Array = NDArray[Any]
Double = Any  # a float64

NOTHING = -8192  # exponent of zeros, infinities and NaN
LEAST = -600  # below the exponent of every product of two float32 numbers
SLICE = 26  # bits of a digit of an exact sum
DIGITS = 26  # of them: from the largest product of two float32 numbers to the smallest
TOWARD_ZERO, DOWNWARD, NEAREST_EVEN = range(3)  # how aligned terms are cut

GRID = np.dtype(  # of a format
    [
        ("mantissa_bits", np.int64),
        ("emin", np.int64),
        ("largest", np.float64),
        ("least", np.float64),
        ("above", np.float64),  # what becomes of a number beyond the largest
        ("below", np.float64),
    ]
)
STEP = np.dtype(
    [
        ("terms", np.int64),
        ("lanes", np.int64),  # sums of every second term, for 2
        ("group", np.int64),  # neighbours that are added before they are aligned
        ("bits", np.int64),
        ("cut", np.int64),
        ("floor", np.int64),  # least exponent that terms are aligned to
        ("emin", np.int64),  # least exponent of a running sum
        ("late", np.int64),  # bits of the products' sum when the running sum enters, or -1: at once
        ("drops", np.int64),  # whether it is dropped then if it is far smaller
        ("limit", np.float64),  # products of this magnitude are infinite
    ]
)


@inlined
def power(e: Any) -> Double:
    """Return 2**e for -1023 < e < 1024."""
    return np.int64((np.int64(1023) + np.int64(e)) << np.int64(52)).view(np.float64)


@inlined
def exponent(x: Double) -> Any:
    """Return floor(log2 |x|); less than -1000 for zero, and 1000 for infinity and NaN."""
    field = np.int64((np.float64(x).view(np.int64) >> np.int64(52)) & np.int64(2047))
    return min(np.int64(field - np.int64(1023)), np.int64(1000))


@inlined
def grid_of(record: Array) -> Any:
    """Return the fields of a `GRID` as loops keep them in registers, exponents as words."""
    r = record[0]
    gap = np.int64(r["mantissa_bits"]) << np.int64(52)
    lowest = (np.int64(1023) + np.int64(r["emin"])) << np.int64(52)
    return gap, lowest, r["largest"], r["least"], r["above"], r["below"]


@inlined
def rounded(v: Double, grid: Any, mode: Any) -> Double:
    """Return a number rounded to a grid, to nearest even unless ``mode`` says how.

    ``mode`` is the smallest fraction of a gap that rounds away from zero, of positive and then of
    negative numbers, where the neighbour toward zero is even and where it is odd; the modulus of
    numbers that wrap around, or 0; and the least magnitude that is not flushed to zero.
    """
    gap, lowest, largest, least, above, below = grid
    word = np.int64(np.float64(v).view(np.int64) & np.int64(0x7FF0000000000000))
    word = np.int64(min(max(word, lowest), np.int64(0x7E80000000000000)) - gap)
    x = np.float64(v * np.int64(np.int64(0x7FE0000000000000) - word).view(np.float64))
    if mode is None:
        y = np.float64(np.rint(x) * np.int64(word).view(np.float64))
        y = above if y > largest else y
        return below if y < least else y
    even, odd, minus_even, minus_odd, modulus, normal = mode
    kept = np.float64(np.trunc(x))
    half = np.float64(kept * 0.5)
    is_odd, is_negative = half != np.trunc(half), x < 0.0
    threshold = (minus_odd if is_odd else minus_even) if is_negative else (odd if is_odd else even)
    kept = np.float64(kept + (np.copysign(1.0, x) if abs(x - kept) >= threshold else 0.0))
    y = np.float64(kept * np.int64(word).view(np.float64))
    if modulus != 0.0:
        y = np.float64(y - modulus * np.floor((y - least) / modulus))
    y = above if y > largest else y
    y = below if y < least else y
    return np.float64(y * 0.0) if abs(y) < normal else y


@inlined
def to_odd(total: Double, error: Double) -> Double:
    """Return total + error rounded to odd; ``total`` is that sum, rounded to nearest.

    If it is inexact, it becomes the neighbour of the sum whose last bit is set.
    """
    word = np.float64(total).view(np.int64)
    inexact = ((error > 0.0) | (error < 0.0)) & ((word & np.int64(1)) == 0)
    step = np.int64(1) if (error > 0.0) == (total > 0.0) else np.int64(-1)
    return np.int64(word + (step if inexact else np.int64(0))).view(np.float64)


@inlined
def two_sum(a: Double, b: Double) -> tuple[Double, Double]:
    """Return a + b and what it lacks, exactly (Knuth's TwoSum); NaN if the sum is not finite."""
    total = np.float64(a + b)
    part = np.float64(total - a)
    return total, np.float64((a - (total - part)) + (b - part))


@inlined
def sum_to_odd(a: Double, b: Double) -> Double:
    """Return a + b rounded to odd: if it is inexact, the neighbour whose last bit is set."""
    total, error = two_sum(a, b)
    return to_odd(total, error)


@inlined
def _fill(target: Array, row: int, value: Any) -> None:
    for j in range(target.shape[1]):
        target[row, j] = value


@inlined
def _find_tops(
    tops: Array, lane: int, a: Array, ea: Array, eb: Array, i: int, first: int, stop: int, step: int
) -> None:
    """Raise ``tops[lane]`` to the exponents of the products of some terms."""
    for k in range(first, stop, step):
        e = np.int16(ea[i, k])
        for j in range(tops.shape[1]):
            tops[lane, j] = max(tops[lane, j], np.int16(e + eb[k, j]))


@inlined
def _find_tops_of_sums(tops: Array, sums: Array, i: int, emin: int) -> None:
    """Raise ``tops[0]`` to the exponents of the running sums that are not zero."""
    for j in range(tops.shape[1]):
        x = sums[i, j]
        e = np.int64(max(exponent(x), np.int64(emin)))
        tops[0, j] = max(np.int64(tops[0, j]), e if x != 0.0 else np.int64(NOTHING))


@inlined
def _add_cut(
    room: Array, a: Array, b: Array, i: int, first: int, stop: int, step: int, cut: int,
    limit: Double,
) -> None:  # fmt: skip
    """Add to ``room[0]`` the terms, times ``room[1]`` and cut to whole numbers."""
    for k in range(first, stop, step):
        x = a[i, k]
        if limit < np.inf:
            for j in range(room.shape[1]):
                p = np.float64(x * b[k, j])
                p = np.float64(p * np.inf) if abs(p) >= limit else p
                room[0, j] += np.trunc(p * room[1, j])
        elif cut == TOWARD_ZERO:
            for j in range(room.shape[1]):
                room[0, j] += np.trunc(x * b[k, j] * room[1, j])
        elif cut == DOWNWARD:
            for j in range(room.shape[1]):
                room[0, j] += np.floor(x * b[k, j] * room[1, j])
        else:
            for j in range(room.shape[1]):
                room[0, j] += np.rint(x * b[k, j] * room[1, j])


@inlined
def _add_cut_groups(
    room: Array, a: Array, b: Array, i: int, first: int, stop: int, group: int, cut: int
) -> None:
    """Do as `_add_cut`, but with exact sums of neighbouring terms in place of terms."""
    for start in range(first, stop, group):
        _fill(room, 2, 0.0)
        for k in range(start, min(start + group, stop)):
            x = a[i, k]
            for j in range(room.shape[1]):
                room[2, j] += x * b[k, j]
        _add_cut_numbers(room, 2, cut)


@inlined
def _add_cut_numbers(room: Array, row: int, cut: int) -> None:
    """Add ``room[row]`` to ``room[0]``, times ``room[1]`` and cut to whole numbers."""
    for j in range(room.shape[1]):
        x = np.float64(room[row, j] * room[1, j])
        if cut == TOWARD_ZERO:
            room[0, j] += np.trunc(x)
        elif cut == DOWNWARD:
            room[0, j] += np.floor(x)
        else:
            room[0, j] += np.rint(x)


@inlined
def _find_scales(room: Array, tops: Array, lane: int, bits: int) -> None:
    """Write to ``room[1]`` what makes whole numbers of terms that are cut."""
    for j in range(room.shape[1]):
        room[1, j] = power(np.int64(bits - np.int64(tops[lane, j])))


@inlined
def _scale_back(room: Array, row: int, tops: Array, lane: int, bits: int) -> None:
    """Write to ``room[row]`` the sum in ``room[0]`` as it is, no longer a whole number."""
    for j in range(room.shape[1]):
        room[row, j] = room[0, j] * power(np.int64(np.int64(tops[lane, j]) - bits))


@inlined
def _join_lanes(room: Array, tops: Array, bits: int) -> None:
    """Write to ``room[0]`` the sum of two lanes, ``room[2]`` and ``room[3]``, cut at one place."""
    for j in range(room.shape[1]):
        top = np.int64(max(tops[0, j], tops[1, j]))
        up, down = power(np.int64(bits - top)), power(np.int64(top - bits))
        room[0, j] = (np.floor(room[2, j] * up) + np.floor(room[3, j] * up)) * down
        tops[0, j] = top


@inlined
def _with_late_sum(
    v: Double, top: Any, x: Double, emin: int, bits: int, late: int, drops: int
) -> Double:
    """Return the products' sum ``v`` plus a running sum that enters late, all cut downward."""
    e = np.int64(max(exponent(x), np.int64(emin)))
    c = 0.0 if (drops != 0) & (e < top - bits - 1) else x
    top, wide = np.int64(max(top, e)), np.int64(late + 1)
    v = np.floor(v * power(np.int64(wide - top))) * power(np.int64(top - wide))
    c = np.floor(c * power(np.int64(bits - top))) * power(np.int64(top - bits))
    total = np.float64(v + c)
    e = np.int64(max(exponent(total), np.int64(emin)))
    return np.floor(total * power(np.int64(late - e))) * power(np.int64(e - late))


@kernel(cost=4.0)
def add_aligned(
    b: Array, eb: Array, a: Array, ea: Array, first: int, stop: int, chunk: int, sums: Array,
    step: Array, grid: Array, mode: Any, room: Array, tops: Array,
) -> None:  # fmt: skip
    """Add the products of the terms ``first .. stop - 1``, a step of aligned terms after the other.

    ``step`` and ``grid`` are records; ``chunk``, a multiple of a step's terms, are the terms that
    stay in the cache while the rows pass.
    """
    s = step[0]
    terms, lanes, group, bits, cut = s["terms"], s["lanes"], s["group"], s["bits"], s["cut"]
    floor, emin, late, drops, limit = s["floor"], s["emin"], s["late"], s["drops"], s["limit"]
    fields = grid_of(grid)
    columns = b.shape[1]
    for begin in range(first, stop, chunk):
        for i in range(sums.shape[0]):
            for k in range(begin, min(begin + chunk, stop), terms):
                end = min(k + terms, stop)
                _fill(tops, 0, floor)
                _fill(room, 0, 0.0)
                _find_tops(tops, 0, a, ea, eb, i, k, end, lanes)
                if late < 0:
                    _find_tops_of_sums(tops, sums, i, emin)
                _find_scales(room, tops, 0, bits)
                if late < 0:
                    for j in range(columns):
                        room[2, j] = sums[i, j]
                    _add_cut_numbers(room, 2, cut)
                if group == 1:
                    _add_cut(room, a, b, i, k, end, lanes, cut, limit)
                else:
                    _add_cut_groups(room, a, b, i, k, end, group, cut)
                if lanes == 1:
                    _scale_back(room, 0, tops, 0, bits)
                else:
                    _scale_back(room, 2, tops, 0, bits)
                    _fill(tops, 1, floor)
                    _fill(room, 0, 0.0)
                    _find_tops(tops, 1, a, ea, eb, i, k + 1, end, lanes)
                    _find_scales(room, tops, 1, bits)
                    _add_cut(room, a, b, i, k + 1, end, lanes, cut, limit)
                    _scale_back(room, 3, tops, 1, bits)
                    _join_lanes(room, tops, bits)
                for j in range(columns):
                    v = room[0, j]
                    if late >= 0:
                        top = np.int64(tops[0, j])
                        v = _with_late_sum(v, top, sums[i, j], emin, bits, late, drops)
                    sums[i, j] = rounded(v, fields, mode)


@inlined
def _add_digit(room: Array, row: int, p: Double, j: int, up: Double, has_above: bool) -> Any:
    """Add a term's digit to a sum of digits, and return whether something is left below it.

    ``up`` is what the term is multiplied by, so that its digit ends at the point.
    """
    x = np.float64(p * up)
    kept = np.float64(np.trunc(x))
    above = np.float64(np.trunc(x * 2.0**-SLICE) * 2.0**SLICE) if has_above else 0.0
    room[row, j] += np.float64(kept - above)
    return abs(np.float64(x - kept)) > 0.0


@inlined
def _put_together(room: Array, tops: Array, count: int) -> None:
    """Write the sum of so many sums of digits, rounded to odd, to ``room[2]``."""
    columns = room.shape[1]
    _fill(room, 0, 0.0)
    for row in range(3 + count, 4, -1):
        for j in range(columns):
            total = np.float64(room[row, j] + room[0, j])
            room[0, j] = np.floor(total * 2.0**-SLICE)
            room[row, j] = np.float64(total - room[0, j] * 2.0**SLICE)
    for j in range(columns):
        room[2, j] = room[4, j] + room[0, j]
    for row in range(5, 4 + count):
        for j in range(columns):
            room[2, j] = sum_to_odd(np.float64(room[2, j] * 2.0**SLICE), room[row, j])
    for j in range(columns):
        x = room[4, j]
        v = np.float64(room[2, j] * power(np.int64(np.int64(tops[0, j]) - SLICE * count)))
        room[2, j] = v if x - x == 0.0 else x


@kernel(cost=8.0)
def add_exact(
    b: Array, eb: Array, a: Array, ea: Array, first: int, stop: int, terms: int, sums: Array,
    grid: Array, mode: Any, room: Array, tops: Array,
) -> None:  # fmt: skip
    """Add the products of the terms ``first .. stop - 1``, so many at a time, exactly."""
    fields, columns = grid_of(grid), b.shape[1]
    for i in range(sums.shape[0]):
        for k in range(first, stop, terms):
            end = min(k + terms, stop)
            for j in range(columns):
                tops[0, j] = LEAST
            _find_tops(tops, 0, a, ea, eb, i, k, end, 1)
            _find_tops_of_sums(tops, sums, i, LEAST)
            count, rest = 0, True
            while rest and count < DIGITS:
                row, rest = 4 + count, False
                for j in range(columns):
                    room[1, j] = power(np.int64(SLICE * (count + 1) - np.int64(tops[0, j])))
                    room[row, j] = 0.0
                for j in range(columns):
                    rest |= _add_digit(room, row, sums[i, j], j, room[1, j], count > 0)
                for n in range(k, end):
                    x = a[i, n]
                    for j in range(columns):
                        p = np.float64(x * b[n, j])
                        rest |= _add_digit(room, row, p, j, room[1, j], count > 0)
                count += 1
            _put_together(room, tops, count)
            for j in range(columns):
                sums[i, j] = rounded(room[2, j], fields, mode)


@kernel(cost=2.0)
def add_products(
    b: Array, a: Array, first: int, stop: int, chunk: int, sums: Array, grid: Array, mode: Any,
    product: Any, product_mode: Any,
) -> None:  # fmt: skip
    """Add the products of the terms ``first .. stop - 1`` one by one, each sum rounded.

    If ``product`` is not None, it is the grid that products are rounded to first, in a mode
    of their own.
    """
    fields, columns = grid_of(grid), b.shape[1]
    product_fields = grid_of(grid if product is None else product)
    for begin in range(first, stop, chunk):
        for i in range(sums.shape[0]):
            for k in range(begin, min(begin + chunk, stop)):
                x = a[i, k]
                for j in range(columns):
                    p = np.float64(x * b[k, j])
                    if product is not None:
                        p = rounded(p, product_fields, product_mode)
                    sums[i, j] = rounded(sum_to_odd(sums[i, j], p), fields, mode)


@kernel
def add_numbers(sums: Array, others: Array, grid: Array, mode: Any) -> None:
    """Add to each number another one, each sum rounded."""
    fields = grid_of(grid)
    for i in range(sums.size):
        sums[i] = rounded(sum_to_odd(sums[i], others[i]), fields, mode)


@kernel
def round_numbers(numbers: Array, grid: Array, mode: Any) -> None:
    """Round each number."""
    fields = grid_of(grid)
    for i in range(numbers.size):
        numbers[i] = rounded(numbers[i], fields, mode)


@kernel
def add_pairs(rows: Array, pairs: Array, grid: Array, mode: Any) -> None:
    """For each pair ``(i, j)`` add row j to row i, each sum rounded."""
    fields = grid_of(grid)
    for n in range(pairs.shape[0]):
        into, other = pairs[n, 0], pairs[n, 1]
        for j in range(rows.shape[1]):
            total = sum_to_odd(rows[into, j], rows[other, j])
            rows[into, j] = rounded(total, fields, mode)


@kernel
def find_exponents(x: Array, emin: int, out: Array) -> None:
    """Write the exponents that a unit reads: at least ``emin``, and `NOTHING` for zero and such."""
    for i in range(x.size):
        e = np.int64(max(exponent(x[i]), np.int64(emin)))
        out[i] = np.int16(e if (x[i] != 0.0) & (x[i] - x[i] == 0.0) else np.int64(NOTHING))
