"""Packed codes of up to 8 bits to float32 lanes.

Contract: `LANES` bytes from each step of a block on can be read. If ``loose`` is None each block
begins at a whole byte, and positions among the codes are in bytes, which is faster; else they are
in bits.

A step is `LANES` codes. Their bytes are loaded at once, and each lane of 16 bits gets the two bytes
in which its code lies, shifted so that the code is at the top; here codes of 5 bits, E2M2:

    bytes             ...ddddd cccccbbb bbaaaaa.     (a code may lie across two)
    `windows`         seemm... ........              the bits below belong to the neighbours
    `_halves`         s000eemm 00000000              shifted right, sign kept, and masked

which is the float16 of the value times a power of two, and the CPU's own conversion makes it
float32. Where the word's lower byte is 0, some CPUs do the shift and the mask in one instruction, a
product of bit matrices. Integers are masked and converted. Other codes are looked up: in registers,
where the table fits and the CPU can, or in memory.

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
    Vectors,
    address_of,
    constants,
    data_of,
    factors,
    float_vectors,
    joined,
    lanes_of,
    minus,
    operation,
    separate,
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
    """Codes are looked up by their upper `TABLE_BITS` bits."""

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


def _shifted(builder: Any, loaded: Any, offset: Any) -> Any:
    """Return the bits of two 64-bit lanes without the first few, less than 8."""
    wide = ir.VectorType(I64, 2)
    both = builder.bitcast(loaded, wide)
    upper = builder.shuffle_vector(both, ir.Constant(wide, [0, 0]), constants(I32, [1, 2]))
    down = splat(builder, offset, 2)
    up = builder.sub(ir.Constant(wide, [63, 63]), down)  # and once more: by 64 is not defined
    upper = builder.shl(builder.shl(upper, up), ir.Constant(wide, [1, 1]))
    return builder.bitcast(builder.or_(builder.lshr(both, down), upper), loaded.type)


def window(context: Any, builder: Any, array_type: Any, array: Any, index: Any, bits: int,
           tight: bool) -> Any:  # fmt: skip
    """Return the codes of one step, each at the top of 16 bits."""
    starts = [bits * j // 8 for j in range(LANES)]
    shuffle = constants(I32, [byte for start in starts for byte in (start, (start + 1) % LANES)])
    up = constants(I16, [16 - bits - bits * j % 8 for j in range(LANES)])
    byte = index if tight else builder.ashr(index, index.type(3))
    where = address_of(context, builder, array_type, array, byte, ir.VectorType(I8, LANES))
    lanes = builder.load(where, align=1)
    if not tight:
        lanes = _shifted(builder, lanes, builder.and_(index, index.type(7)))
    lanes = builder.shuffle_vector(lanes, lanes, shuffle)
    return builder.shl(builder.bitcast(lanes, lanes_of(I16)), up)


@operation
def windows(_: Any, packed: Any, at: Any, apart: Any, rows: Any, width: Any, loose: Any) -> Any:
    """Return `LANES` codes from ``at`` on, each at the top of 16 bits, and those of more rows.

    The rows are as many as the tuple is long, and so far apart.
    """
    bits, kind, tight = len(width), Vectors(types.int16, len(rows)), loose is types.none

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, index, apart, *_ = args
        vectors = []
        for _ in range(kind.count):
            vectors.append(window(context, builder, signature.args[0], array, index, bits, tight))
            index = builder.add(index, apart)
        return joined(builder, vectors)

    return kind(packed, types.intp, types.intp, rows, width, loose), build


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
    index = builder.lshr(codes, constants(I16, [16 - TABLE_BITS] * LANES))
    index = builder.zext(index, lanes_of(I32))
    kind = ir.FunctionType(lanes_of(FLOAT), [lanes_of(FLOAT), lanes_of(I32), lanes_of(FLOAT)])
    choose = cgutils.get_or_insert_function(
        builder.module, kind, f"llvm.x86.avx512.vpermi2var.ps.{32 * LANES}"
    )
    return builder.call(choose, [tables[0], index, tables[1]])


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


_CONVERSIONS: dict[Any, Callable[..., Any]] = {
    Halves: _halves,
    HalvesOrNaN: _halves_or_nan,
    Matrix: _matrix,
    Signed: _signed,
    Unsigned: _unsigned,
    InRegisters: _in_registers,
    InMemory: _in_memory,
}


@operation
def values_of(_: Any, codes: Any, rule: Any) -> Any:
    """Return the values of codes, by the rule that the second argument's type names."""
    convert = _CONVERSIONS[rule.instance_class]

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def one(vector: Any) -> Any:
            return convert(context, builder, signature.args[1], vector, args[1])

        return joined(builder, [one(vector) for vector in separate(builder, args[0])])

    return float_vectors(codes.count)(codes, rule), build


@inlined
def unit_of(loose: Any) -> int:
    """Return how many bits positions count."""
    return 8 if loose is None else 1


@inlined
def decoded(
    packed: Array, at: int, apart: int, rows: Any, width: Any, loose: Any, rule: Rule, zeros: Any,
    row: int, b: int, unit: float,
) -> Any:  # fmt: skip
    """Return the values of a step of each row."""
    values = values_of(windows(packed, at, apart, rows, width, loose), rule)
    if zeros is None:
        return values
    return minus(values, factors(zeros, row, b, unit, rows))
