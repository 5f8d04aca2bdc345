"""Vectors of numbers, mostly `LANES`, as a type for kernels, and what is done with them.

LLVM does not vectorize plain loops over bits that are packed closely. So a vector is a type here,
and each operation is one of LLVM's on all lanes. Several vectors are one value: of several rows or
of several arrays, as many as a tuple that is handed over is long. Importing this imports Numba.
"""

from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 16

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
HALF, FLOAT, DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()

ELEMENTS = {
    types.uint8: I8, types.int8: I8, types.int16: I16, types.int32: I32, types.float32: FLOAT,
    types.float64: DOUBLE,
}  # fmt: skip


class Vectors(types.Type):
    """``count`` vectors of one of the `ELEMENTS`."""

    def __init__(self, element: Any, count: int, lanes: int = LANES) -> None:
        super().__init__(f"{count}x{lanes}x{element}")
        self.element, self.count, self.lanes = element, count, lanes


@register_model(Vectors)
class _VectorsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        vector = ir.VectorType(ELEMENTS[kind.element], kind.lanes)
        super().__init__(manager, kind, ir.ArrayType(vector, kind.count))


def float_vectors(count: int) -> Vectors:
    return Vectors(types.float32, count)


def operation(define: Callable[..., Any]) -> Callable[..., Any]:
    """Make an intrinsic, called without the compiler's context, which comes first in ``define``."""
    return intrinsic(define)


def lanes_of(kind: Any, lanes: int = LANES) -> Any:
    return ir.VectorType(kind, lanes)


def constants(kind: Any, values: list[int]) -> Any:
    return ir.Constant(ir.VectorType(kind, len(values)), values)


def splat(builder: Any, value: Any, lanes: int = LANES) -> Any:
    """Return a vector with one number in all lanes."""
    first = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(first, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, first, constants(I32, [0] * lanes))


def data_of(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return cgutils.create_struct_proxy(array_type)(context, builder, value=array).data


def address_of(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any
) -> Any:
    """Return the address of an array's element, as a pointer to ``kind``."""
    address = builder.gep(data_of(context, builder, array_type, array), [index])
    return builder.bitcast(address, kind.as_pointer())


def addresses_below(
    context: Any, builder: Any, array_type: Any, args: Any, count: int, kind: Any
) -> Iterator[Any]:
    """Yield the address of ``array[row, column]``, the first of ``args``, and of those below it."""
    array, row, column = args[:3]
    struct = cgutils.create_struct_proxy(array_type)(context, builder, value=array)
    length = builder.extract_value(struct.shape, 1)
    index = builder.add(builder.mul(row, length), column)
    for _ in range(count):
        yield address_of(context, builder, array_type, array, index, kind)
        index = builder.add(index, length)


def joined(builder: Any, vectors: list[Any]) -> Any:
    result = ir.Constant(ir.ArrayType(vectors[0].type, len(vectors)), ir.Undefined)
    for k, vector in enumerate(vectors):
        result = builder.insert_value(result, vector, k)
    return result


def separate(builder: Any, vectors: Any) -> list[Any]:
    return [builder.extract_value(vectors, k) for k in range(vectors.type.count)]


@operation
def zero_vectors(_: Any, rows: Any, several: Any) -> Any:
    """Return vectors of zeros, one for each row and each of several vectors."""
    kind = float_vectors(len(rows) * len(several))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return joined(builder, [ir.Constant(lanes_of(FLOAT), [0.0] * LANES)] * kind.count)

    return kind(rows, several), build


@operation
def load(_: Any, x: Any, n: Any, at: Any, several: Any) -> Any:
    """Return ``x[n, at : at + LANES]``, and the same of the rows after it."""
    kind = float_vectors(len(several))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = addresses_below(
            context, builder, signature.args[0], args, kind.count, lanes_of(FLOAT)
        )
        return joined(builder, [builder.load(where, align=4) for where in rows])

    return kind(x, types.intp, types.intp, several), build


@operation
def store(_: Any, vectors: Any, out: Any, at: Any) -> Any:
    """Write a single vector."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (vector,) = separate(builder, args[0])
        where = address_of(context, builder, signature.args[1], args[1], args[2], lanes_of(FLOAT))
        builder.store(vector, where, align=4)
        return context.get_dummy_value()

    return types.none(vectors, out, types.intp), build


@operation
def spread(_: Any, numbers: Any, b: Any, rows: Any) -> Any:
    """Return ``numbers[0, b]`` in all lanes, and so of the rows after it."""
    kind = float_vectors(len(rows))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, b, _ = args
        place = [array, b.type(0), b]
        below = addresses_below(context, builder, signature.args[0], place, kind.count, FLOAT)
        return joined(builder, [splat(builder, builder.load(where)) for where in below])

    return kind(numbers, types.intp, rows), build


def _of_pairs(instruction: str) -> Callable[..., Any]:
    """Make an operation that does an instruction of LLVM with each pair of vectors."""

    @operation
    def define(_: Any, a: Any, b: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pairs = zip(*(separate(builder, vectors) for vectors in args), strict=True)
            return joined(builder, [getattr(builder, instruction)(*pair) for pair in pairs])

        return a(a, b), build

    return define


times, minus = _of_pairs("fmul"), _of_pairs("fsub")


def fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c``, rounded once where the CPU can do that in one instruction."""
    kind = ir.FunctionType(a.type, [a.type] * 3)
    bits = 32 if a.type.element == FLOAT else 64
    add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f{bits}")
    return builder.call(add, [a, b, c])
