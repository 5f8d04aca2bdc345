"""Loops of `minifloat.products`: packed codes to float32 lanes, and their products with ``x``.

Contract of every kernel: contiguous arrays and plain integers in, results into an array passed in;
no exceptions. `LANES` bytes from each step of a block on can be read. In ``x`` each block is padded
with zeros to whole steps: there a step's lanes hold the next block's codes.
If ``loose`` is None each block begins at a whole byte, and positions among the codes are in bytes,
which is faster; else they are in bits.

A step is `LANES` codes. Their bytes are loaded at once, and each lane of 16 bits gets the two bytes
in which its code lies, shifted so that the code is at the top; here codes of 5 bits, E2M2:

    bytes             ...ddddd cccccbbb bbaaaaa.     (a code may lie across two)
    `_windows`        seemm... ........              the bits below belong to the neighbours
    `_halves`         s000eemm 00000000              shifted right, sign kept, and masked

which is the float16 of the value times a power of two, and the CPU's own conversion makes it
float32. Where the word's lower byte is 0, some CPUs do the shift and the mask in one instruction, a
product of bit matrices. Integers are masked and converted. Other codes are looked up: in registers,
where the table fits and the CPU can, or in memory.

LLVM does not vectorize plain loops over bits that are packed this closely. So a vector is a type
here, and each operation is one of LLVM's on all lanes. The shuffle's pattern must be a constant:
the width of the codes is the length of a tuple, and so part of its type. There is no branch among
the steps: next to a branch Numba counts references to the arrays, which takes longer than a block.
"""

import math
import platform
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
from minifloat._kernels.prefetch import prefetch

Array = NDArray[Any]

LANES = 16
TABLE_BITS = 5  # two registers
AHEAD = 2048  # bytes from the read position to the prefetched one


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
_FEATURES = set((get_host_cpu_features() if _ASKED_FOR is None else _ASKED_FOR).split(","))
HAS_HALVES = "+f16c" in _FEATURES or platform.machine() in ("arm64", "aarch64")
HAS_MATRIX = {"+gfni", "+avx512bw", "+avx512vl"} <= _FEATURES
HAS_TABLES = "+avx512f" in _FEATURES

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_HALF, _FLOAT = ir.HalfType(), ir.FloatType()


class _Vectors(types.Type):
    """``count`` vectors of int16 codes or of float32."""

    def __init__(self, element: Any, count: int) -> None:
        super().__init__(f"{count}x{LANES}x{element}")
        self.element, self.count = element, count


@register_model(_Vectors)
class _VectorsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        element = {types.int16: _I16, types.float32: _FLOAT}[kind.element]
        super().__init__(manager, kind, ir.ArrayType(_vector(element), kind.count))


def _floats(count: int) -> _Vectors:
    return _Vectors(types.float32, count)


def operation(define: Callable[..., Any]) -> Callable[..., Any]:
    """Make an intrinsic, called without the compiler's context, which comes first in ``define``."""
    return intrinsic(define)


def _vector(kind: Any) -> Any:
    return ir.VectorType(kind, LANES)


def _constant(kind: Any, values: list[int]) -> Any:
    return ir.Constant(ir.VectorType(kind, len(values)), values)


def _splat(builder: Any, value: Any, lanes: int = LANES) -> Any:
    """Return a vector with one number in all lanes."""
    first = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(first, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, first, _constant(_I32, [0] * lanes))


def _data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return cgutils.create_struct_proxy(array_type)(context, builder, value=array).data


def _at(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """Return the address of an array's element, as a pointer to ``kind``."""
    address = builder.gep(_data(context, builder, array_type, array), [index])
    return builder.bitcast(address, kind.as_pointer())


def _below(
    context: Any, builder: Any, array_type: Any, args: Any, count: int, kind: Any
) -> Iterator[Any]:
    """Yield the address of ``array[row, column]``, the first of ``args``, and of those below it."""
    array, row, column = args[:3]
    struct = cgutils.create_struct_proxy(array_type)(context, builder, value=array)
    length = builder.extract_value(struct.shape, 1)
    index = builder.add(builder.mul(row, length), column)
    for _ in range(count):
        yield _at(context, builder, array_type, array, index, kind)
        index = builder.add(index, length)


def _shifted(builder: Any, loaded: Any, offset: Any) -> Any:
    """Return the bits of two 64-bit lanes without the first few, less than 8."""
    wide = ir.VectorType(_I64, 2)
    both = builder.bitcast(loaded, wide)
    upper = builder.shuffle_vector(both, ir.Constant(wide, [0, 0]), _constant(_I32, [1, 2]))
    down = _splat(builder, offset, 2)
    up = builder.sub(ir.Constant(wide, [63, 63]), down)  # and once more: by 64 is not defined
    upper = builder.shl(builder.shl(upper, up), ir.Constant(wide, [1, 1]))
    return builder.bitcast(builder.or_(builder.lshr(both, down), upper), loaded.type)


@operation
def _windows(_: Any, packed: Any, at: Any, apart: Any, rows: Any, width: Any, loose: Any) -> Any:
    """Return `LANES` codes from ``at`` on, each at the top of 16 bits, and those of more rows.

    The rows are as many as the tuple is long, and so far apart.
    """
    bits, kind, tight = len(width), _Vectors(types.int16, len(rows)), loose is types.none
    starts = [bits * j // 8 for j in range(LANES)]
    shuffle = _constant(_I32, [byte for start in starts for byte in (start, (start + 1) % LANES)])
    up = _constant(_I16, [16 - bits - bits * j % 8 for j in range(LANES)])

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, index, apart, *_ = args
        loaded = ir.VectorType(_I8, LANES)
        vectors = []
        for _ in range(kind.count):
            byte = index if tight else builder.ashr(index, index.type(3))
            where = _at(context, builder, signature.args[0], array, byte, loaded)
            lanes = builder.load(where, align=1)
            if not tight:
                lanes = _shifted(builder, lanes, builder.and_(index, index.type(7)))
            lanes = builder.shuffle_vector(lanes, lanes, shuffle)
            vectors.append(builder.shl(builder.bitcast(lanes, _vector(_I16)), up))
            index = builder.add(index, apart)
        return _together(builder, vectors)

    return kind(packed, types.intp, types.intp, rows, width, loose), build


def _floats_of_halves(builder: Any, words: Any) -> Any:
    return builder.fpext(builder.bitcast(words, _vector(_HALF)), _vector(_FLOAT))


def _numbers(builder: Any, rule: Any) -> list[Any]:
    """Return vectors of a rule's numbers, of 16 bits."""
    parts = cgutils.unpack_tuple(builder, rule)
    return [_splat(builder, builder.trunc(part, _I16)) for part in parts]


def _halves(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    shift, mask, *_ = _numbers(builder, rule)
    return _floats_of_halves(builder, builder.and_(builder.ashr(codes, shift), mask))


def _halves_or_nan(context: Any, builder: Any, rule_type: Any, codes: Any, rule: Any) -> Any:
    _, _, looked_at, nan = _numbers(builder, rule)
    values = _halves(context, builder, rule_type, codes, rule)
    is_nan = builder.icmp_unsigned("==", builder.and_(codes, looked_at), nan)
    nans = ir.Constant(_vector(_FLOAT), [float("nan")] * LANES)
    return builder.select(is_nan, nans, values)


def _matrix(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    bits, kept = cgutils.unpack_tuple(builder, rule)
    size = 2 * LANES
    kind = ir.VectorType(_I8, size)
    bits = builder.bitcast(_splat(builder, bits, size // 8), kind)
    times = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind, kind, _I8]),
        f"llvm.x86.vgf2p8affineqb.{8 * size}",
    )
    product = builder.call(times, [builder.bitcast(codes, kind), bits, ir.Constant(_I8, 0)])
    kept = builder.bitcast(builder.trunc(kept, _I32), ir.VectorType(ir.IntType(1), size))
    words = builder.select(kept, product, ir.Constant(kind, [0] * size))
    return _floats_of_halves(builder, builder.bitcast(words, _vector(_I16)))


def _signed(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    return builder.sitofp(builder.and_(codes, *_numbers(builder, rule)), _vector(_FLOAT))


def _unsigned(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    return builder.uitofp(builder.and_(codes, *_numbers(builder, rule)), _vector(_FLOAT))


def _in_registers(context: Any, builder: Any, rule_type: Any, codes: Any, rule: Any) -> Any:
    (array,) = cgutils.unpack_tuple(builder, rule)
    tables = [
        builder.load(
            _at(context, builder, rule_type[0], array, ir.Constant(_I32, first), _vector(_FLOAT)),
            align=4,
        )
        for first in (0, LANES)
    ]
    index = builder.lshr(codes, _constant(_I16, [16 - TABLE_BITS] * LANES))
    index = builder.zext(index, _vector(_I32))
    kind = ir.FunctionType(_vector(_FLOAT), [_vector(_FLOAT), _vector(_I32), _vector(_FLOAT)])
    choose = cgutils.get_or_insert_function(
        builder.module, kind, f"llvm.x86.avx512.vpermi2var.ps.{32 * LANES}"
    )
    return builder.call(choose, [tables[0], index, tables[1]])


def _in_memory(context: Any, builder: Any, rule_type: Any, codes: Any, rule: Any) -> Any:
    (array,) = cgutils.unpack_tuple(builder, rule)
    table = _data(context, builder, rule_type[0], array)
    codes = builder.zext(builder.lshr(codes, _constant(_I16, [8] * LANES)), _vector(_I32))
    values = ir.Constant(_vector(_FLOAT), ir.Undefined)
    for j in range(LANES):
        lane = ir.Constant(_I32, j)
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


def _together(builder: Any, vectors: list[Any]) -> Any:
    result = ir.Constant(ir.ArrayType(vectors[0].type, len(vectors)), ir.Undefined)
    for k, vector in enumerate(vectors):
        result = builder.insert_value(result, vector, k)
    return result


def _apart(builder: Any, vectors: Any) -> list[Any]:
    return [builder.extract_value(vectors, k) for k in range(vectors.type.count)]


@operation
def _values(_: Any, codes: Any, rule: Any) -> Any:
    """Return the values of codes, by the rule that the second argument's type names."""
    convert = _CONVERSIONS[rule.instance_class]

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def one(vector: Any) -> Any:
            return convert(context, builder, signature.args[1], vector, args[1])

        return _together(builder, [one(vector) for vector in _apart(builder, args[0])])

    return _floats(codes.count)(codes, rule), build


@operation
def _zeros(_: Any, rows: Any, several: Any) -> Any:
    """Return vectors of zeros, one for each row and each of several vectors."""
    kind = _floats(len(rows) * len(several))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _together(builder, [ir.Constant(_vector(_FLOAT), [0.0] * LANES)] * kind.count)

    return kind(rows, several), build


@operation
def _load(_: Any, x: Any, n: Any, at: Any, several: Any) -> Any:
    """Return ``x[n, at : at + LANES]``, and the same of the rows after it."""
    kind = _floats(len(several))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = _below(context, builder, signature.args[0], args, kind.count, _vector(_FLOAT))
        return _together(builder, [builder.load(where, align=4) for where in rows])

    return kind(x, types.intp, types.intp, several), build


@operation
def _store(_: Any, vectors: Any, out: Any, at: Any) -> Any:
    """Write a single vector."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (vector,) = _apart(builder, args[0])
        where = _at(context, builder, signature.args[1], args[1], args[2], _vector(_FLOAT))
        builder.store(vector, where, align=4)
        return context.get_dummy_value()

    return types.none(vectors, out, types.intp), build


@operation
def _factors(_: Any, numbers: Any, row: Any, b: Any, factor: Any, rows: Any) -> Any:
    """Return ``numbers[row, b] * factor``, rounded to float32, in all lanes; and for more rows."""
    kind = _floats(len(rows))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        factor = args[3]
        held = context.get_value_type(numbers.dtype)
        vectors = []
        for where in _below(context, builder, signature.args[0], args, kind.count, held):
            number = builder.load(where)
            if isinstance(numbers.dtype, types.Integer):
                number = builder.uitofp(number, factor.type)
            elif number.type != factor.type:
                number = builder.fpext(number, factor.type)
            number = builder.fmul(number, factor)
            if number.type != _FLOAT:
                number = builder.fptrunc(number, _FLOAT)
            vectors.append(_splat(builder, number))
        return _together(builder, vectors)

    return kind(numbers, types.intp, types.intp, factor, rows), build


def _of_pairs(instruction: str) -> Callable[..., Any]:
    """Make an operation that does an instruction of LLVM with each pair of vectors."""

    @operation
    def define(_: Any, a: Any, b: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pairs = zip(*(_apart(builder, vectors) for vectors in args), strict=True)
            return _together(builder, [getattr(builder, instruction)(*pair) for pair in pairs])

        return a(a, b), build

    return define


_times, _minus = _of_pairs("fmul"), _of_pairs("fsub")


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c``, rounded once where the CPU can do that in one instruction."""
    kind = ir.FunctionType(_vector(_FLOAT), [_vector(_FLOAT)] * 3)
    add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
    return builder.call(add, [a, b, c])


@operation
def _plus_products(_: Any, total: Any, values: Any, x: Any) -> Any:
    """Return the totals plus the product of each row's values with each vector."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        totals, rows, several = (_apart(builder, vectors) for vectors in args)
        pairs = [(a, b) for a in rows for b in several]
        return _together(
            builder, [_fused(builder, *pair, c) for pair, c in zip(pairs, totals, strict=True)]
        )

    return total(total, values, x), build


@operation
def _plus_scaled(_: Any, total: Any, part: Any, scales: Any) -> Any:
    """Return the totals plus the parts, each times its row's scale."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        totals, parts, rows = (_apart(builder, vectors) for vectors in args)
        several = len(parts) // len(rows)
        return _together(
            builder,
            [_fused(builder, rows[k // several], parts[k], totals[k]) for k in range(len(totals))],
        )

    return total(total, part, scales), build


@operation
def _sums(_: Any, total: Any) -> Any:
    """Return the sum of each vector's lanes, added up in pairs."""
    kind = types.UniTuple(types.float32, total.count)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums = []
        for vector in _apart(builder, args[0]):
            half = LANES // 2
            while half:
                halves = (
                    builder.shuffle_vector(
                        vector, vector, _constant(_I32, list(range(first, first + half)))
                    )
                    for first in (0, half)
                )
                vector = builder.fadd(*halves)
                half //= 2
            sums.append(builder.extract_element(vector, ir.Constant(_I32, 0)))
        return context.make_tuple(builder, kind, sums)

    return kind(total), build


@inlined
def _unit(loose: Any) -> int:
    """Return how many bits positions count."""
    return 8 if loose is None else 1


@inlined
def _decoded(
    packed: Array, at: int, apart: int, rows: Any, width: Any, loose: Any, rule: Rule, zeros: Any,
    row: int, b: int, unit: float,
) -> Any:  # fmt: skip
    """Return the values of a step of each row."""
    values = _values(_windows(packed, at, apart, rows, width, loose), rule)
    if zeros is None:
        return values
    return _minus(values, _factors(zeros, row, b, unit, rows))


@inlined
def _plus_block(
    total: Any, packed: Array, at: int, apart: int, rows: Any, width: Any, loose: Any, rule: Rule,
    scales: Array, factor: Any, zeros: Any, unit: float, row: int, b: int, x: Array, n: int, i: int,
    several: Any, steps: int,
) -> Any:  # fmt: skip
    """Return the totals plus the products of a block of each row with several vectors."""
    part = _zeros(rows, several)
    for _ in range(steps):
        for k in range(len(rows)):
            ahead = at + k * apart
            prefetch(packed, (ahead if loose is None else ahead >> 3) + AHEAD)
        values = _decoded(packed, at, apart, rows, width, loose, rule, zeros, row, b, unit)
        part = _plus_products(part, values, _load(x, n, i, several))
        at += LANES * len(width) // _unit(loose)
        i += LANES
    return _plus_scaled(total, part, _factors(scales, row, b, factor, rows))


@kernel
def multiply(
    x: Array, several: Any, y: Array, rows: Any, first: int, stop: int, packed: Array, base: int,
    width: Any, loose: Any, rule: Rule, block: int, scales: Array, factor: Any, zeros: Any,
    unit: float, length: int,
) -> None:  # fmt: skip
    """Write the products of packed weights' rows ``first .. stop - 1`` with ``x[n]`` to ``y[n]``.

    ``packed`` begins with bit ``base`` of the codes. ``scales[row, b] * factor`` is a block's
    scale; if there are zero points, ``zeros[row, b] * unit`` is subtracted from its values. The
    lengths of the tuples ``several`` and ``rows`` say how many vectors and rows are multiplied at
    once; the number of vectors is a multiple of the first, and there are at least so many rows.
    """
    last = scales.shape[1] - 1
    steps, last_steps = -(-block // LANES), -(-(length - last * block) // LANES)
    apart = length * len(width) // _unit(loose)
    for group in range(first, stop, len(rows)):
        row = min(group, stop - len(rows))
        for n in range(0, y.shape[0], len(several)):
            total = _zeros(rows, several)
            at, i = row * apart - base // _unit(loose), 0
            for b in range(last):
                total = _plus_block(
                    total, packed, at, apart, rows, width, loose, rule, scales, factor, zeros, unit,
                    row, b, x, n, i, several, steps,
                )  # fmt: skip
                at += block * len(width) // _unit(loose)
                i += steps * LANES
            total = _plus_block(
                total, packed, at, apart, rows, width, loose, rule, scales, factor, zeros, unit,
                row, last, x, n, i, several, last_steps,
            )  # fmt: skip
            sums = _sums(total)
            for k in range(len(sums)):
                y[n + k % len(several), row + k // len(several)] = sums[k]


@kernel
def decode(
    weights: Array, first: int, stop: int, packed: Array, base: int, width: Any, loose: Any,
    rule: Rule, block: int, scales: Array, factor: Any, zeros: Any, unit: float, length: int,
) -> None:  # fmt: skip
    """Write the weights of some rows, one after the other, and up to `LANES` numbers more."""
    bits, one = len(width), (0,)
    for row in range(first, stop):
        for b in range(scales.shape[1]):
            scale = _factors(scales, row, b, factor, one)
            at = ((row * length + b * block) * bits - base) // _unit(loose)
            begin = (row - first) * length
            for i in range(begin + b * block, begin + min(b * block + block, length), LANES):
                values = _decoded(packed, at, 0, one, width, loose, rule, zeros, row, b, unit)
                _store(_times(values, scale), weights, i)
                at += LANES * bits // _unit(loose)


@jit
def _number(x: Array, n: int, i: int, scales: Any, factor: float) -> Any:
    if scales is None:
        return np.float64(x[n, i])
    return np.float64(x[n, i]) * (np.float64(scales[i]) * np.float64(factor))


@kernel
def scale_down(x: Array, scales: Any, factor: float, block: int, out: Array, powers: Array) -> bool:
    """Divide each vector by the smallest power of two above its magnitudes, if all are finite.

    ``x`` is float32 of shape (count, length), ``powers`` float64 of shape (count,), and ``out``
    float32 of shape (count, blocks, steps); its padding behind the numbers of a block stays as it
    is. With ``scales``, float32 of shape (length,), the vectors are ``x * scales * factor``. Return
    whether all is finite; if not, ``out`` is of no use.
    """
    count, length = x.shape
    for n in range(count):
        top: Any = 0
        for i in range(length):
            number = np.float64(_number(x, n, i, scales, factor))
            top = max(top, number.view(np.int64) & 0x7FFFFFFFFFFFFFFF)
        if top >= 0x7FF0000000000000:
            return False
        exponent = math.frexp(np.int64(top).view(np.float64))[1]
        powers[n], down = math.ldexp(1.0, exponent), math.ldexp(1.0, -exponent)
        for b in range(out.shape[1]):
            for i in range(min(block, length - b * block)):
                out[n, b, i] = _number(x, n, b * block + i, scales, factor) * down
    return True


@kernel
def scale_up(y: Array, powers: Array) -> bool:
    """Multiply each row by its power of two, and return whether all is finite."""
    finite = True
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            number = np.float32(y[n, i] * powers[n])
            y[n, i] = number
            finite = finite and bool(abs(number) < np.inf)
    return finite
