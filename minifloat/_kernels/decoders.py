"""Packed codes of up to 8 bits to float32 lanes.

Contract: `LANES` bytes from each step of a block on can be read. If ``loose`` is None each block
begins at a whole byte, and positions among the codes are in bytes, which is faster; else they are
in bits.

A step is `LANES` codes. Their bytes are loaded at once, and each lane gets the bytes in which its
code lies. Codes of up to 5 bits lie in lanes of 32 bits, are shifted to the bottom, and choose from
a table in two registers: a shuffle, a shift and a choice. Where the CPU cannot choose so, and for
wider codes, lanes have 16 bits, and the code is shifted to the top; here codes of 5 bits, E2M2:

    bytes             ...ddddd cccccbbb bbaaaaa.     (a code may lie across two)
    `high_windows`    seemm... ........              the bits below belong to the neighbours
    `_halves`         s000eemm 00000000              shifted right, sign kept, and masked

which is the float16 of the value times a power of two, and the CPU's own conversion makes it
float32. Where the word's lower byte is 0, some CPUs do the shift and the mask in one instruction, a
product of bit matrices. Integers are masked and converted. Other codes are looked up in memory.

The shuffle's pattern must be a constant: the width of the codes is the length of a tuple, and so
part of its type.
"""

import platform
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numpy.typing import NDArray

from minifloat._jit import inlined
from minifloat._kernels.lanes import (
    FLOAT,
    HALF,
    I8,
    I16,
    I32,
    I64,
    LANES,
    address_of,
    constants,
    data_of,
    float_vectors,
    joined,
    lanes_of,
    operation,
    splat,
)

Array = NDArray[Any]

TABLE_BITS = 5  # two registers


class Halves(NamedTuple):
    """Codes become the words of float16, by a shift that keeps the sign, and a mask."""

    shift: int
    mask: int


class HalvesOrNaN(NamedTuple):
    """The same, but a code is NaN if its bits in ``looked_at`` equal ``nan``."""

    shift: int
    mask: int
    looked_at: int
    nan: int


class Matrix(NamedTuple):
    """As `Halves` for upper bytes alone: each bit of the result is a bit of the code's byte.

    The lowest byte of ``bits`` says which that is for the highest bit.
    """

    bits: int
    kept: int  # which bytes of a step are not 0, from its first on


class Signed(NamedTuple):
    """Codes are two's complement, at the top of 16 bits."""

    mask: int


class Unsigned(NamedTuple):
    """Codes are positive, at the top of 16 bits."""

    mask: int


class InRegisters(NamedTuple):
    """Codes are looked up by their `TABLE_BITS` bits, whose highest may belong to a neighbour."""

    table: Array  # float32


class InMemory(NamedTuple):
    """Codes are looked up by their upper 8 bits, the widest code's."""

    table: Array  # float32


Rule = Any  # how codes become values: one of these

# features of the CPU that the code is compiled for
_ASKED_FOR = config.CPU_FEATURES  # type: ignore[attr-defined]  # made of the environment
FEATURES = set((get_host_cpu_features() if _ASKED_FOR is None else _ASKED_FOR).split(","))
HAS_HALVES = "+f16c" in FEATURES or platform.machine() in ("arm64", "aarch64")
HAS_MATRIX = {"+gfni", "+avx512bw", "+avx512vl"} <= FEATURES
HAS_TABLES = "+avx512f" in FEATURES


def _loaded(builder: Any, address: Any) -> Any:
    """Return the bytes of a step."""
    return builder.load(builder.bitcast(address, ir.VectorType(I8, LANES).as_pointer()), align=1)


def high_windows(builder: Any, bits: int, address: Any, offset: Any) -> Any:
    """Return codes from a bit of a byte on, each at the top of 16 bits."""
    lanes = _loaded(builder, address)
    if offset is not None:
        wide = ir.VectorType(I64, 2)
        both = builder.bitcast(lanes, wide)
        upper = builder.shuffle_vector(both, ir.Constant(wide, [0, 0]), constants(I32, [1, 2]))
        kind = ir.FunctionType(wide, [wide] * 3)
        shift = cgutils.get_or_insert_function(builder.module, kind, "llvm.fshr.v2i64")
        amount = splat(builder, builder.zext(offset, I64), 2)
        lanes = builder.bitcast(builder.call(shift, [upper, both, amount]), lanes.type)
    starts = [bits * j // 8 for j in range(LANES)]
    shuffle = constants(I32, [byte for start in starts for byte in (start, (start + 1) % LANES)])
    lanes = builder.bitcast(builder.shuffle_vector(lanes, lanes, shuffle), lanes_of(I16))
    return builder.shl(lanes, constants(I16, [16 - bits - bits * j % 8 for j in range(LANES)]))


def _low_windows(builder: Any, bits: int, address: Any, offset: Any) -> Any:
    """Return codes of up to `TABLE_BITS` bits, each at the bottom of 32 bits."""
    lanes = _loaded(builder, address)
    starts = [bits * j // 8 for j in range(LANES)]
    shuffle = constants(I32, [(start + k) % LANES for start in starts for k in range(4)])
    lanes = builder.bitcast(builder.shuffle_vector(lanes, lanes, shuffle), lanes_of(I32))
    down = constants(I32, [bits * j % 8 for j in range(LANES)])
    if offset is not None:
        down = builder.add(down, splat(builder, offset))
    return builder.lshr(lanes, down)


def _floats_of_halves(builder: Any, words: Any) -> Any:
    return builder.fpext(builder.bitcast(words, lanes_of(HALF)), lanes_of(FLOAT))


def _numbers(builder: Any, rule: Any) -> list[Any]:
    """Return vectors of a rule's numbers, of 16 bits."""
    parts = cgutils.unpack_tuple(builder, rule)
    return [splat(builder, builder.trunc(part, I16)) for part in parts]


def _halves(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    shift, mask, *_ = _numbers(builder, rule)
    return _floats_of_halves(builder, builder.and_(builder.ashr(codes, shift), mask))


def _halves_or_nan(context: Any, builder: Any, rule_type: Any, codes: Any, rule: Any) -> Any:
    _, _, looked_at, nan = _numbers(builder, rule)
    values = _halves(context, builder, rule_type, codes, rule)
    is_nan = builder.icmp_unsigned("==", builder.and_(codes, looked_at), nan)
    nans = ir.Constant(lanes_of(FLOAT), [float("nan")] * LANES)
    return builder.select(is_nan, nans, values)


def _matrix(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    bits, kept = cgutils.unpack_tuple(builder, rule)
    size = 2 * LANES
    kind = ir.VectorType(I8, size)
    bits = builder.bitcast(splat(builder, bits, size // 8), kind)
    times = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind, kind, I8]),
        f"llvm.x86.vgf2p8affineqb.{8 * size}",
    )
    product = builder.call(times, [builder.bitcast(codes, kind), bits, ir.Constant(I8, 0)])
    kept = builder.bitcast(builder.trunc(kept, I32), ir.VectorType(ir.IntType(1), size))
    words = builder.select(kept, product, ir.Constant(kind, [0] * size))
    return _floats_of_halves(builder, builder.bitcast(words, lanes_of(I16)))


def _signed(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    return builder.sitofp(builder.and_(codes, *_numbers(builder, rule)), lanes_of(FLOAT))


def _unsigned(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    return builder.uitofp(builder.and_(codes, *_numbers(builder, rule)), lanes_of(FLOAT))


def _in_registers(context: Any, builder: Any, rule_type: Any, codes: Any, rule: Any) -> Any:
    (array,) = cgutils.unpack_tuple(builder, rule)
    tables = [
        builder.load(
            address_of(
                context, builder, rule_type[0], array, ir.Constant(I32, first), lanes_of(FLOAT)
            ),
            align=4,
        )
        for first in (0, LANES)
    ]
    kind = ir.FunctionType(lanes_of(FLOAT), [lanes_of(FLOAT), lanes_of(I32), lanes_of(FLOAT)])
    choose = cgutils.get_or_insert_function(
        builder.module, kind, f"llvm.x86.avx512.vpermi2var.ps.{32 * LANES}"
    )
    return builder.call(choose, [tables[0], codes, tables[1]])


def _in_memory(context: Any, builder: Any, rule_type: Any, codes: Any, rule: Any) -> Any:
    (array,) = cgutils.unpack_tuple(builder, rule)
    table = data_of(context, builder, rule_type[0], array)
    codes = builder.zext(builder.lshr(codes, constants(I16, [8] * LANES)), lanes_of(I32))
    values = ir.Constant(lanes_of(FLOAT), ir.Undefined)
    for j in range(LANES):
        lane = ir.Constant(I32, j)
        value = builder.load(builder.gep(table, [builder.extract_element(codes, lane)]))
        values = builder.insert_element(values, value, lane)
    return values


_CONVERSIONS: dict[Any, tuple[Callable[..., Any], Callable[..., Any]]] = {
    Halves: (high_windows, _halves),
    HalvesOrNaN: (high_windows, _halves_or_nan),
    Matrix: (high_windows, _matrix),
    Signed: (high_windows, _signed),
    Unsigned: (high_windows, _unsigned),
    InRegisters: (_low_windows, _in_registers),
    InMemory: (high_windows, _in_memory),
}


@operation
def values_at(
    _: Any, packed: Any, at: Any, step: Any, apart: Any, rows: Any, width: Any, loose: Any,
    rule: Any,
) -> Any:  # fmt: skip
    """Return the values of `LANES` codes, by the rule that its type names, and of more rows.

    The codes begin ``step`` bytes after the position ``at``. The rows are as many as the tuple is
    long, and so far ``apart``. What depends on the position alone is computed once where a loop
    varies the step.
    """
    bits, kind, tight = len(width), float_vectors(len(rows)), loose is types.none
    windows, convert = _CONVERSIONS[rule.instance_class]

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, at, step, apart, *_, rule = args
        start = data_of(context, builder, signature.args[0], array)
        vectors = []
        for _ in range(kind.count):
            byte, offset = at, None
            if not tight:
                byte = builder.ashr(at, at.type(3))
                offset = builder.trunc(builder.and_(at, at.type(7)), I32)
            codes = windows(builder, bits, builder.gep(start, [builder.add(byte, step)]), offset)
            vectors.append(convert(context, builder, signature.args[-1], codes, rule))
            at = builder.add(at, apart)
        return joined(builder, vectors)

    integers = (types.intp,) * 3
    return kind(packed, *integers, rows, width, loose, rule), build


@inlined
def unit_of(loose: Any) -> int:
    """Return how many bits positions count."""
    return 8 if loose is None else 1
