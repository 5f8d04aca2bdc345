"""Loops of `minifloat.products` for 8-bit activations: sums of integers, exact, then scaled.

Contract of every kernel: contiguous arrays and plain numbers in, results into an array passed in;
no exceptions. What can be read of packed codes: see `integer_decoders`.

A part is the columns whose products are summed in int32. A run is a part, padded to whole steps; or
several parts, where a step has them all in lanes of their own. The integers of ``x`` lie in runs,
with zeros as padding, in the order of the decoded codes: there a step's lanes hold codes of the
next run.

Sixteen results are computed at a time, of some rows and vectors. Their totals are in 16 lanes each,
and become one vector in the way of a tournament, see `_turned`.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from minifloat._jit import inlined, kernel
from minifloat._kernels.decoders import FEATURES, unit_of
from minifloat._kernels.integer_decoders import (
    BYTES,
    Decoder,
    bytes_type,
    call,
    concatenated,
    part_of,
)
from minifloat._kernels.lanes import (
    DOUBLE,
    FLOAT,
    I8,
    I16,
    I32,
    I64,
    LANES,
    Vectors,
    addresses_below,
    constants,
    data_of,
    joined,
    lanes_of,
    operation,
    separate,
    splat,
)
from minifloat._kernels.prefetch import SECOND, fetch, prefetch_block

Array = NDArray[Any]

FOUR = BYTES // LANES  # bytes whose products go to one lane
GROUP = 4  # rows

# How four products are summed to each lane; longer tuples name the better ways.
WORDS, PAIRS, FOURS, WIDE_FOURS = ((0,) * length for length in (1, 2, 3, 4))
LARGEST_IN_PAIRS = 129  # times 127, twice, is within int16

HAS_WIDE_FOURS = {"+avx512vnni", "+avx512bw"} <= FEATURES
HAS_FOURS = "+avxvnni" in FEATURES or {"+avx512vnni", "+avx512vl"} <= FEATURES
HAS_PAIRS = "+avx2" in FEATURES


def _dot_words(builder: Any, total: Any, integers: Any, x: Any) -> Any:
    """Do it with products of 16 bits; 255 * 127 fits."""
    words = ir.VectorType(I16, integers.type.count)
    products = builder.mul(builder.zext(integers, words), builder.sext(x, words))
    pairs = ir.VectorType(I32, words.count // 2)
    products, half = builder.bitcast(products, pairs), constants(I32, [16] * pairs.count)
    odd = builder.ashr(products, half)
    sums = builder.add(odd, builder.ashr(builder.shl(products, half), half))
    both = (
        builder.shuffle_vector(sums, sums, constants(I32, list(range(k, pairs.count, 2))))
        for k in (0, 1)
    )
    return builder.add(total, builder.add(*both))


def _dot_pairs(builder: Any, total: Any, integers: Any, x: Any) -> Any:
    """Do it by an instruction whose sums of two products saturate beyond int16."""
    words = ir.VectorType(I16, 2 * total.type.count)
    pairs = call(builder, "llvm.x86.avx2.pmadd.ub.sw", words, integers, x)
    ones = constants(I16, [1] * words.count)
    sums = call(builder, "llvm.x86.avx2.pmadd.wd", total.type, pairs, ones)
    return builder.add(total, sums)


def _dot_fours(builder: Any, total: Any, integers: Any, x: Any) -> Any:
    name = f"llvm.x86.avx512.vpdpbusd.{32 * total.type.count}"
    integers, x = (builder.bitcast(vector, total.type) for vector in (integers, x))
    return call(builder, name, total.type, total, integers, x)


_WAYS: list[tuple[Callable[..., Any], int]] = [  # and lanes of the totals
    (_dot_words, LANES),
    (_dot_pairs, LANES // 2),
    (_dot_fours, LANES // 2),
    (_dot_fours, LANES),
]


@operation
def _no_result(_: Any) -> Any:
    """Return a float64 zero in each lane."""
    kind = Vectors(types.float64, 1)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return joined(builder, [ir.Constant(lanes_of(DOUBLE), [0.0] * LANES)])

    return kind(), build


def _even_and_odd(builder: Any, a: Any, b: Any, size: int) -> list[Any]:
    """Return the even and the odd groups of ``size`` lanes of two vectors.

    Single lanes stay in their quarters of the vectors, which is faster: those of ``a`` and then of
    ``b`` in each quarter.
    """
    quarter = LANES // 4
    found = []
    for first in (0, 1):
        if size == 1:
            lanes = [
                vector * LANES + q * quarter + first + 2 * k
                for q in range(4) for vector in (0, 1) for k in range(quarter // 2)
            ]  # fmt: skip
        else:
            lanes = [
                vector * LANES + (first + 2 * k) * quarter + j
                for vector in (0, 1) for k in (0, 1) for j in range(quarter)
            ]  # fmt: skip
        found.append(builder.shuffle_vector(a, b, constants(I32, lanes)))
    return found


def _turned(builder: Any, entries: list[list[Any]], parts: int, k: int = 0) -> list[list[Any]]:
    """Make one entry of several, from round ``k`` on; at first an entry is one vector.

    In each round two entries become one: the vectors' even lanes plus their odd ones. The parts lie
    in equal shares of the lanes; when a part is in one lane, the two are not added but both kept.
    At the end there is for each part a vector whose lane j has the sum of the part's lanes of
    vector j. Single lanes are paired in the first two rounds, then groups of 4.
    """
    while len(entries) > 1:
        merged = []
        for a, b in zip(entries[::2], entries[1::2], strict=True):
            pairs = [
                _even_and_odd(builder, *pair, 1 if k < 2 else 4) for pair in zip(a, b, strict=True)
            ]
            if parts << k < LANES:
                merged.append([builder.add(*pair) for pair in pairs])
            else:
                merged.append([pair[j] for j in (0, 1) for pair in pairs])
        entries, k = merged, k + 1
    return entries


@operation
def _sums(
    _: Any, packed: Any, at: Any, apart: Any, rows: Any, width: Any, loose: Any, permute: Any,
    rule: Any, x: Any, n: Any, i: Any, several: Any, planes: Any, way: Any, parts: Any, steps: Any,
    short: Any,
) -> Any:  # fmt: skip
    """Return the sums of a run's products, of some rows and vectors: a vector for each part.

    `GROUP` rows are done at a time, since registers are few. If the tuple ``short`` is not empty,
    the run has as many steps as it is long, and there is no loop.
    """
    decoder = Decoder.of(packed, width, loose, permute, rule)
    dot, lanes = _WAYS[len(way) - 1]
    tight = loose is types.none
    step = BYTES * len(planes) * len(width) // (8 if tight else 1)

    def plus(builder: Any, total: Any, integers: Any, x: Any) -> Any:
        pieces = [
            dot(
                builder,
                part_of(builder, total, first, lanes),
                *(part_of(builder, a, FOUR * first, FOUR * lanes) for a in (integers, x)),
            )
            for first in range(0, LANES, lanes)
        ]
        return concatenated(builder, pieces)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        packed, at, apart, _, _, _, _, rule, x_array, n, i, *_, steps, _ = args
        far = builder.mul(apart, apart.type(len(rows)))  # to the rows that come next
        entries = []
        for _ in range(0, len(rows), GROUP):
            totals = [
                cgutils.alloca_once_value(builder, constants(I32, [0] * LANES))
                for _ in range(GROUP * len(several))
            ]

            def add(number: Any, totals: list[Any], at: Any) -> None:
                """Add the products of a step, by its number."""
                column = builder.mul(number, i.type(BYTES * len(planes)))
                place = x_array, n, builder.add(i, column)
                begins = list(addresses_below(context, builder, x, place, len(several), I8))
                index = builder.add(at, builder.mul(number, at.type(step)))
                for row in range(GROUP):
                    ahead = builder.add(index, far)
                    ahead = ahead if tight else builder.ashr(ahead, ahead.type(3))
                    begin_of = data_of(context, builder, signature.args[0], packed)
                    fetch(builder, begin_of, ahead, SECOND)
                    integers = decoder.step(context, builder, packed, index, rule)
                    for k, begin in enumerate(begins):
                        total = totals[row * len(begins) + k]
                        for plane, vector in enumerate(integers):
                            where = builder.gep(begin, [ir.Constant(I64, BYTES * plane)])
                            where = builder.bitcast(where, bytes_type().as_pointer())
                            operand = builder.load(where, align=1)
                            old = builder.load(total)
                            builder.store(plus(builder, old, vector, operand), total)
                    index = builder.add(index, apart)

            if len(short):
                for k in range(len(short)):
                    add(i.type(k), totals, at)
            else:
                with cgutils.for_range(builder, steps) as loop:
                    add(loop.index, totals, at)
            at = builder.add(at, builder.mul(apart, apart.type(GROUP)))
            entries += _turned(builder, [[builder.load(total)] for total in totals], len(parts))
        rounds = (LANES // len(entries)).bit_length() - 1
        (shares,) = _turned(builder, entries, len(parts), rounds)
        return joined(builder, shares)

    return Vectors(types.int32, len(parts))(
        packed, types.intp, types.intp, rows, width, loose, permute, rule, x, types.intp,
        types.intp, several, planes, way, parts, types.intp, short,
    ), build  # fmt: skip


@operation
def _turn(_: Any, scales: Any, row: Any, b: Any, turned: Any) -> Any:
    """Write ``scales[row + k, b + j]`` to ``turned[b + j, k]``, 16 of both."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = lanes_of(FLOAT)
        *source, _ = args
        below = addresses_below(context, builder, signature.args[0], source, LANES, kind)
        (vectors,) = _turned(builder, [[builder.load(where, align=4)] for where in below], LANES)
        target = args[3], args[2], ir.Constant(I64, 0)
        places = addresses_below(context, builder, signature.args[3], target, LANES, kind)
        for vector, where in zip(vectors, places, strict=True):
            builder.store(vector, where, align=4)
        return context.get_dummy_value()

    return types.none(scales, types.intp, types.intp, turned), build


def _below(
    context: Any, builder: Any, array_type: Any, args: Any, count: int, lanes: list[int]
) -> Any:
    """Return for each lane the element of ``array[row, column]``, ``args``, or of a row below."""
    held = context.get_value_type(array_type.dtype)
    few = ir.Constant(ir.VectorType(held, count), ir.Undefined)
    for k, where in enumerate(addresses_below(context, builder, array_type, args, count, held)):
        few = builder.insert_element(few, builder.load(where), ir.Constant(I32, k))
    return builder.shuffle_vector(few, few, constants(I32, lanes))


@operation
def _plus_scaled(
    _: Any, result: Any, sums: Any, part: Any, row: Any, turned: Any, zeros: Any, held: Any, n: Any,
    x_scales: Any, offsets: Any, rows: Any, several: Any,
) -> Any:  # fmt: skip
    """Return the results plus each part's sums, plus what these lack, scaled; part after part."""
    row_of = [k // len(several) for k in range(LANES)]
    vector_of = [k % len(several) for k in range(LANES)]
    wide = lanes_of(DOUBLE)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        result, sums, part, row, turned, zeros, held, n, x_scales, offsets, *_ = args
        turned_type, zeros_type, held_type, _, scales_type, offsets_type, *_ = signature.args[4:]

        def of_vectors(array_type: Any, array: Any, column: Any) -> Any:
            place = array, n, column
            return _below(context, builder, array_type, place, len(several), vector_of)

        (total,) = separate(builder, result)
        for k, vector in enumerate(separate(builder, sums)):
            column = builder.add(part, part.type(k))
            block = builder.load(builder.gep(data_of(context, builder, held_type, held), [column]))
            offset = of_vectors(offsets_type, offsets, column)
            if zeros_type is not types.none:
                place = zeros, row, block
                zero = _below(context, builder, zeros_type, place, len(rows), row_of)
                offset = builder.mul(builder.zext(zero, offset.type), offset)
            place = turned, block, ir.Constant(I64, 0)
            (where,) = addresses_below(context, builder, turned_type, place, 1, lanes_of(FLOAT))
            scale = builder.fmul(
                builder.fpext(builder.load(where, align=4), wide),
                builder.fpext(of_vectors(scales_type, x_scales, column), wide),
            )
            integers = builder.sitofp(builder.add(vector, offset), wide)
            total = builder.fadd(total, builder.fmul(integers, scale))
        return joined(builder, [total])

    return result(
        result, sums, types.intp, types.intp, turned, zeros, held, types.intp, x_scales, offsets,
        rows, several,
    ), build  # fmt: skip


@operation
def _store(_: Any, result: Any, factor: Any, y: Any, n: Any, row: Any, rows: Any, several: Any
           ) -> Any:  # fmt: skip
    """Write results times a factor to ``y[n, row]``, and those of more vectors and rows."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (total,) = separate(builder, args[0])
        total = builder.fmul(total, splat(builder, args[1]))
        total = builder.fptrunc(total, lanes_of(FLOAT))
        count, kind = len(several), ir.VectorType(FLOAT, len(rows))
        where = addresses_below(context, builder, signature.args[2], args[2:5], count, kind)
        for k, begin in enumerate(where):
            own = constants(I32, list(range(k, LANES, count)))
            builder.store(builder.shuffle_vector(total, total, own), begin, align=4)
        return context.get_dummy_value()

    return types.none(result, types.float64, y, types.intp, types.intp, rows, several), build


@inlined
def _turn_all(scales: Array, row: int, turned: Array, rows: Any, several: Any) -> None:
    """Write the scales of some rows to ``turned``, those of each block side by side."""
    blocks = scales.shape[1]
    if len(several) == 1 and blocks >= LANES:
        for b in range(0, blocks - LANES, LANES):
            _turn(scales, row, b, turned)
        _turn(scales, row, blocks - LANES, turned)
    else:
        for b in range(blocks):
            for k in range(LANES):
                turned[b, k] = scales[row + k // len(several), b]


@inlined
def _plus_runs(
    result: Any, x: Array, offsets: Array, x_scales: Array, several: Any, n: int, rows: Any,
    row: int, turned: Array, codes: Array, at: int, apart: int, held: Array, width: Any, loose: Any,
    permute: Any, rule: Any, way: Any, planes: Any, parts: Any, run: int, zeros: Any, first: int,
    stop: int, short: Any,
) -> Any:  # fmt: skip
    """Return the results plus the products of the columns ``first .. stop - 1``, run after run.

    Of the rows at ``at``, where ``first`` begins a run.
    """
    step = BYTES * len(planes)
    i, part = first // run * (-(-run // step) * step), first // run * len(parts)
    at += first * len(width) // unit_of(loose)
    for column in range(first, stop, run):
        steps = -(-min(run, stop - column) // step)
        sums = _sums(
            codes, at, apart, rows, width, loose, permute, rule, x, n, i, several, planes, way,
            parts, steps, short,
        )  # fmt: skip
        result = _plus_scaled(
            result, sums, part, row, turned, zeros, held, n, x_scales, offsets, rows, several
        )
        at += run * len(width) // unit_of(loose)
        i += steps * step
        part += len(parts)
    return result


@kernel
def multiply(
    x: Array, offsets: Array, x_scales: Array, several: Any, y: Array, rows: Any, first: int,
    stop: int, turned: Array, packed: Array, safe_rows: int, tail: Array, tail_byte: int,
    held: Array, width: Any, loose: Any, permute: Any, rule: Any, way: Any, planes: Any, parts: Any,
    run: int, short: Any, scales: Array, zeros: Any, factor: float, length: int,
) -> None:  # fmt: skip
    """Write the products of packed weights' rows ``first .. stop - 1`` with ``x[n]`` to ``y[n]``.

    The first ``safe_rows`` rows are read from ``packed``. Rows that are computed together with
    others are read from ``tail``, which begins with byte ``tail_byte`` of the codes. The lengths of
    the tuples ``several`` and ``rows`` say how many vectors and rows are multiplied at once, 16
    together; the number of vectors is a multiple of the first, and ``stop`` is at least the second.
    ``run`` is the number of columns of a run, and ``parts`` as long as it has parts. Where that is
    a few whole steps, the tuple ``short`` may be as long as these are many, which is faster; else
    it is empty.

    ``scales[row, b]`` and ``zeros[row, b]``, or None, are of blocks of weights, and ``held[part]``
    is the block b. ``x_scales[n, part]`` is a part's scale, and ``offsets[n, part]`` is added to
    its sum; times the zero point, where there is one. ``turned`` is scratch space of 16 scales for
    each block of a row.
    """
    apart = length * len(width) // unit_of(loose)
    whole = length // run * run if len(short) else 0  # columns
    for group in range(first, stop, len(rows)):
        row = min(group, stop - len(rows))
        codes, base = packed, 0
        if row + len(rows) > safe_rows:
            codes, base = tail, tail_byte * 8 // unit_of(loose)
        _turn_all(scales, row, turned, rows, several)
        blocks = len(rows) * scales.shape[1]
        prefetch_block(scales, (row + 2 * len(rows)) * scales.shape[1], blocks)
        for n in range(0, y.shape[0], len(several)):
            result, at = _no_result(), row * apart - base
            if len(short):
                result = _plus_runs(
                    result, x, offsets, x_scales, several, n, rows, row, turned, codes, at, apart,
                    held, width, loose, permute, rule, way, planes, parts, run, zeros, 0, whole,
                    short,
                )  # fmt: skip
            result = _plus_runs(
                result, x, offsets, x_scales, several, n, rows, row, turned, codes, at, apart, held,
                width, loose, permute, rule, way, planes, parts, run, zeros, whole, length, (),
            )  # fmt: skip
            _store(result, factor, y, n, row, rows, several)
