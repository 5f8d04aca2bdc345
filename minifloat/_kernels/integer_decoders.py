"""Packed codes of up to 8 bits to integers of 0..255, `BYTES` of them in a vector.

Contract: `BYTES` bytes from each step on can be read. ``loose`` is as in `decoders`.

A step is so many codes that it gives whole vectors. Where each byte holds the same number of whole
codes, these are its `planes`, and a step is `BYTES` bytes of codes; vector ``k`` has the codes
``k``, ``k + planes``, ``k + 2 planes``, ...; here two planes, of codes of 4 bits:

    bytes      ponmlkji hgfedcba        (each letter is half a code)
    vector 0   ....lkji ....dcba
    vector 1   ....ponm ....hgfe

Otherwise a step is `BYTES` codes, one vector. Codes have others' bits above them, or zeros. Then an
integer is made of each code: a few of its bits are flipped, or it is looked up in a table of 256
bytes, in which all bytes with the same code have the same integer.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from minifloat._kernels.decoders import FEATURES, high_windows
from minifloat._kernels.lanes import (
    I8,
    I16,
    I32,
    LANES,
    address_of,
    constants,
    data_of,
    splat,
)

Array = NDArray[Any]

BYTES = 64  # lanes of a vector of bytes

HAS_PERMUTE = {"+avx512vbmi", "+avx512bw"} <= FEATURES
HAS_SHUFFLE = "+avx2" in FEATURES
SHUFFLED_BITS = 6  # of the widest code whose table is shuffled: four registers


class Flipped(NamedTuple):
    """The integer is the code, some bits of which are flipped."""

    mask: int
    flip: int


class Permuted(NamedTuple):
    """Codes are looked up in registers of `BYTES` bytes, by an instruction of some CPUs."""

    table: Array  # uint8


class Shuffled(NamedTuple):
    """Codes of up to `SHUFFLED_BITS` bits are looked up in registers of 16 bytes."""

    table: Array  # uint8


class InMemory(NamedTuple):
    """Codes are looked up in memory."""

    table: Array  # uint8


def planes_of(bits: int, loose: Any) -> int:
    """Return how many vectors a step gives."""
    return 8 // bits if loose is None and 8 % bits == 0 else 1


def bytes_type(lanes: int = BYTES) -> Any:
    return ir.VectorType(I8, lanes)


def call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """Call an operation of LLVM."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def part_of(builder: Any, vector: Any, first: int, lanes: int) -> Any:
    return builder.shuffle_vector(vector, vector, constants(I32, list(range(first, first + lanes))))


def concatenated(builder: Any, vectors: list[Any]) -> Any:
    """Return one vector of two, four, ... of the same length."""
    while len(vectors) > 1:
        both = constants(I32, list(range(2 * vectors[0].type.count)))
        vectors = [
            builder.shuffle_vector(*vectors[k : k + 2], both) for k in range(0, len(vectors), 2)
        ]
    return vectors[0]


def _planes(context: Any, builder: Any, array_type: Any, array: Any, byte: Any, bits: int) -> Any:
    where = address_of(context, builder, array_type, array, byte, bytes_type())
    loaded = builder.load(where, align=1)
    words = builder.bitcast(loaded, ir.VectorType(I16, BYTES // 2))
    down = (constants(I16, [k] * (BYTES // 2)) for k in range(bits, 8, bits))
    return [loaded, *(builder.bitcast(builder.lshr(words, k), loaded.type) for k in down)]


def _permuted_codes(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, bits: int, tight: bool
) -> Any:
    """Return a step's codes, by instructions that pick any byte, and 8 bits from any bit on.

    Each 64-bit lane gets the bytes of its 8 codes, which begin at a whole byte, or less than one
    behind it.
    """
    byte = index if tight else builder.ashr(index, index.type(3))
    where = address_of(context, builder, array_type, array, byte, bytes_type())
    pick = constants(I8, [bits * (j // 8) + j % 8 & BYTES - 1 for j in range(BYTES)])
    lanes = builder.load(where, align=1)
    lanes = call(builder, "llvm.x86.avx512.permvar.qi.512", lanes.type, lanes, pick)
    begin = constants(I8, [bits * (j % 8) for j in range(BYTES)])
    if not tight:
        offset = builder.trunc(builder.and_(index, index.type(7)), I8)
        begin = builder.add(begin, splat(builder, offset, BYTES))
    return call(builder, "llvm.x86.avx512.pmultishift.qb.512", lanes.type, begin, lanes)


def _shifted_codes(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, bits: int, tight: bool
) -> Any:
    """Return a step's codes by what each CPU can."""
    parts, start = [], data_of(context, builder, array_type, array)
    for _ in range(0, BYTES, LANES):
        byte, offset = index, None
        if not tight:
            byte = builder.ashr(index, index.type(3))
            offset = builder.trunc(builder.and_(index, index.type(7)), I32)
        codes = high_windows(builder, bits, builder.gep(start, [byte]), offset)
        codes = builder.lshr(codes, constants(I16, [16 - bits] * LANES))
        parts.append(builder.trunc(codes, bytes_type(LANES)))
        index = builder.add(index, index.type(bits * LANES // (8 if tight else 1)))
    return concatenated(builder, parts)


def _registers(
    context: Any, builder: Any, rule_type: Any, rule: Any, count: int, lanes: int
) -> list[Any]:
    """Return the first so many vectors of a rule's table."""
    (array,) = cgutils.unpack_tuple(builder, rule)
    starts = (ir.Constant(I32, k * lanes) for k in range(count))
    addresses = (
        address_of(context, builder, rule_type[0], array, start, bytes_type(lanes))
        for start in starts
    )
    return [builder.load(where, align=1) for where in addresses]


def _chosen(builder: Any, codes: Any, bit: int, found: list[Any]) -> Any:
    """Return for each code one of the vectors that were found, by its bits from ``bit`` on."""
    kind = codes.type
    while len(found) > 1:
        flag = builder.and_(codes, constants(I8, [1 << bit] * kind.count))
        upper = builder.icmp_unsigned("!=", flag, ir.Constant(kind, [0] * kind.count))
        found = [builder.select(upper, found[k + 1], found[k]) for k in range(0, len(found), 2)]
        bit += 1
    return found[0]


def _flipped(context: Any, builder: Any, rule_type: Any, rule: Any, codes: Any, bits: int) -> Any:
    mask, flip = (
        splat(builder, builder.trunc(part, I8), BYTES)
        for part in cgutils.unpack_tuple(builder, rule)
    )
    return builder.xor(builder.and_(codes, mask), flip)


def _permuted(context: Any, builder: Any, rule_type: Any, rule: Any, codes: Any, bits: int) -> Any:
    count = max(1, (1 << bits) // BYTES)
    tables = _registers(context, builder, rule_type, rule, count, BYTES)
    kind = codes.type
    if count == 1:
        return call(builder, "llvm.x86.avx512.permvar.qi.512", kind, *tables, codes)
    pairs = [
        call(
            builder, "llvm.x86.avx512.vpermi2var.qi.512", kind, tables[k], codes, tables[k + 1]
        )
        for k in range(0, count, 2)
    ]  # fmt: skip
    return _chosen(builder, codes, 7, pairs)


def _shuffled(context: Any, builder: Any, rule_type: Any, rule: Any, codes: Any, bits: int) -> Any:
    half = bytes_type(BYTES // 2)
    tables = _registers(context, builder, rule_type, rule, max(1, (1 << bits) // 16), 16)
    tables = [concatenated(builder, [table, table]) for table in tables]
    results = []
    for first in (0, BYTES // 2):
        part = part_of(builder, codes, first, BYTES // 2)
        low = builder.and_(part, constants(I8, [15] * half.count))
        found = [call(builder, "llvm.x86.avx2.pshuf.b", half, table, low) for table in tables]
        results.append(_chosen(builder, part, 4, found))
    return concatenated(builder, results)


def _in_memory(context: Any, builder: Any, rule_type: Any, rule: Any, codes: Any, bits: int) -> Any:
    (array,) = cgutils.unpack_tuple(builder, rule)
    table = data_of(context, builder, rule_type[0], array)
    values = ir.Constant(codes.type, ir.Undefined)
    for j in range(BYTES):
        lane = ir.Constant(I32, j)
        index = builder.zext(builder.extract_element(codes, lane), I32)
        value = builder.load(builder.gep(table, [index]))
        values = builder.insert_element(values, value, lane)
    return values


_CONVERSIONS: dict[Any, Callable[..., Any]] = {
    Flipped: _flipped,
    Permuted: _permuted,
    Shuffled: _shuffled,
    InMemory: _in_memory,
}


class Decoder(NamedTuple):
    """How integers are made of codes; of types, in the code that is being compiled."""

    bits: int
    tight: bool
    permute: bool
    array_type: Any
    rule_type: Any

    @classmethod
    def of(cls, packed: Any, width: Any, loose: Any, permute: Any, rule: Any) -> "Decoder":
        """Return the decoder for arguments of these types.

        The bits are as many as ``width`` is long. If ``permute`` is not None, instructions are used
        that need `HAS_PERMUTE`.
        """
        tight, instructions = loose is types.none, permute is not types.none
        return cls(len(width), tight, instructions, packed, rule)

    def step(self, context: Any, builder: Any, array: Any, index: Any, rule: Any) -> list[Any]:
        """Return the integers of a step from ``index`` on, a vector for each plane."""
        where = context, builder, self.array_type, array, index, self.bits
        if self.tight and 8 % self.bits == 0:
            vectors = _planes(*where)
        elif self.permute:
            vectors = [_permuted_codes(*where, self.tight)]
        else:
            vectors = [_shifted_codes(*where, self.tight)]
        convert = _CONVERSIONS[self.rule_type.instance_class]
        return [convert(context, builder, self.rule_type, rule, v, self.bits) for v in vectors]
