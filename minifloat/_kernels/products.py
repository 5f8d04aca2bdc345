"""Loops of `minifloat.products`: packed codes to float32 lanes, and their products with ``x``.

Contract of every kernel: contiguous arrays and plain integers in, results into an array passed in;
no exceptions. A block begins at a whole byte, and `LANES` bytes from each of its steps on can be
read, as can `LANES` floats of ``x``.

A step is `LANES` codes. Their bytes are loaded at once, and each lane of 16 bits gets the two bytes
in which its code lies, shifted so that the code is at the top; here codes of 5 bits, E2M2:

    bytes             ...ddddd cccccbbb bbaaaaa.     (a code may lie across two)
    `_windows`        seemm... ........              what is below belongs to the neighbours
    `_halves`         s000eemm 00000000              shifted right, sign kept, and masked

which is the float16 of the value times a power of two, and the CPU's own conversion makes it
float32. Integers are shifted to the low end and converted; other codes are looked up.

Numba's loops would leave the lanes to LLVM to find, and it does not find them in bits that are
packed this closely. So a vector is a type here, and each operation one of LLVM's on all lanes. The
shuffle's pattern must be a constant: the codes' width is the length of a tuple, and so in its type.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

Array = NDArray[Any]
Rule = Any  # how codes become values: (shift, mask), (shift,) or a table

LANES = 16
AHEAD = 2048  # bytes between what is read and what is asked for

jit = njit(cache=True, nogil=True)

_I8, _I16, _I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_HALF, _FLOAT = ir.HalfType(), ir.FloatType()


class _Codes(types.Type):
    def __init__(self) -> None:
        super().__init__("LanesOfInt16")


class _Floats(types.Type):
    """``count`` vectors of float32."""

    def __init__(self, count: int = 1) -> None:
        super().__init__(f"{count}xLanesOfFloat32")
        self.count = count


@register_model(_Codes)
class _CodesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _vector(_I16))


@register_model(_Floats)
class _FloatsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.ArrayType(_vector(_FLOAT), kind.count))


def operation(define: Callable[..., Any]) -> Callable[..., Any]:
    """Make an intrinsic, called without the compiler's context, which comes first in ``define``."""
    return intrinsic(define)


def _vector(kind: Any) -> Any:
    return ir.VectorType(kind, LANES)


def _constant(kind: Any, values: list[int]) -> Any:
    return ir.Constant(ir.VectorType(kind, len(values)), values)


def _splat(builder: Any, value: Any) -> Any:
    """Return a vector with one number in all lanes."""
    first = ir.Constant(_vector(value.type), ir.Undefined)
    first = builder.insert_element(first, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, first, _constant(_I32, [0] * LANES))


def _data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return cgutils.create_struct_proxy(array_type)(context, builder, value=array).data


def _at(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """Return the address of an array's element as that of something of a kind."""
    address = builder.gep(_data(context, builder, array_type, array), [index])
    return builder.bitcast(address, kind.as_pointer())


@operation
def _windows(_: Any, packed: Any, at: Any, width: Any) -> Any:
    """Return `LANES` codes from byte ``at`` on, each at the top of 16 bits."""
    bits = len(width)
    starts = [bits * j // 8 for j in range(LANES)]
    shuffle = _constant(_I32, [byte for start in starts for byte in (start, (start + 1) % LANES)])
    up = _constant(_I16, [16 - bits - bits * j % 8 for j in range(LANES)])

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(_I8, LANES)
        found = builder.load(
            _at(context, builder, signature.args[0], args[0], args[1], kind), align=1
        )
        found = builder.shuffle_vector(found, found, shuffle)
        return builder.shl(builder.bitcast(found, _vector(_I16)), up)

    return _Codes()(packed, types.intp, width), build


@operation
def _prefetch(_: Any, packed: Any, at: Any) -> Any:
    """Ask for the bytes from ``at`` on, which need not exist, to be fetched into the cache."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = _at(context, builder, signature.args[0], args[0], args[1], _I8)
        kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(fetch, [where, *(ir.Constant(_I32, flag) for flag in (0, 3, 1))])
        return context.get_dummy_value()

    return types.none(packed, types.intp), build


def _halves(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    shift, mask = (builder.trunc(part, _I16) for part in cgutils.unpack_tuple(builder, rule))
    words = builder.and_(builder.ashr(codes, _splat(builder, shift)), _splat(builder, mask))
    return builder.fpext(builder.bitcast(words, _vector(_HALF)), _vector(_FLOAT))


def _integers(context: Any, builder: Any, _: Any, codes: Any, rule: Any) -> Any:
    (shift,) = cgutils.unpack_tuple(builder, rule)
    numbers = builder.ashr(codes, _splat(builder, builder.trunc(shift, _I16)))
    return builder.sitofp(numbers, _vector(_FLOAT))


def _looked_up(context: Any, builder: Any, rule_type: Any, codes: Any, rule: Any) -> Any:
    """Look up the top 8 bits, the widest code's."""
    table = _data(context, builder, rule_type, rule)
    codes = builder.zext(builder.lshr(codes, _constant(_I16, [8] * LANES)), _vector(_I32))
    found = ir.Constant(_vector(_FLOAT), ir.Undefined)
    for j in range(LANES):
        lane = ir.Constant(_I32, j)
        value = builder.load(builder.gep(table, [builder.extract_element(codes, lane)]))
        found = builder.insert_element(found, value, lane)
    return found


def _on_each(count: int, builder: Any, build: Callable[..., Any], *args: Any) -> Any:
    """Return what ``build`` makes of the vectors of each argument; a single one goes with all."""
    result = ir.Constant(ir.ArrayType(_vector(_FLOAT), count), ir.Undefined)
    for k in range(count):
        vectors = [builder.extract_value(a, min(k, a.type.count - 1)) for a in args]
        result = builder.insert_value(result, build(*vectors), k)
    return result


@operation
def _values(_: Any, codes: Any, rule: Any) -> Any:
    """Return the values of codes, by the rule that the second argument's type names."""
    convert: Callable[..., Any] = _looked_up
    if isinstance(rule, types.BaseTuple):
        convert = _halves if len(rule) == 2 else _integers

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = convert(context, builder, signature.args[1], *args)
        return _on_each(1, builder, lambda: values)

    return _Floats()(codes, rule), build


@operation
def _zeros(_: Any, several: Any) -> Any:
    """Return as many vectors of zeros as the tuple is long."""
    kind = _Floats(len(several))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(_vector(_FLOAT), [0.0] * LANES)
        return _on_each(kind.count, builder, lambda: zero)

    return kind(several), build


@operation
def _load(_: Any, x: Any, n: Any, at: Any, several: Any) -> Any:
    """Return ``x[n, at : at + LANES]``, and the same of the rows after it."""
    kind = _Floats(len(several))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, row, column, _ = args
        found = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=array)
        length = builder.extract_value(found.shape, 1)
        index = builder.add(builder.mul(row, length), column)
        result = ir.Constant(ir.ArrayType(_vector(_FLOAT), kind.count), ir.Undefined)
        for k in range(kind.count):
            where = _at(context, builder, signature.args[0], array, index, _vector(_FLOAT))
            result = builder.insert_value(result, builder.load(where, align=4), k)
            index = builder.add(index, length)
        return result

    return kind(x, types.intp, types.intp, several), build


@operation
def _store(_: Any, vectors: Any, out: Any, at: Any) -> Any:
    """Write vectors one after the other."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = args[2]
        for k in range(vectors.count):
            where = _at(context, builder, signature.args[1], args[1], index, _vector(_FLOAT))
            builder.store(builder.extract_value(args[0], k), where, align=4)
            index = builder.add(index, ir.Constant(index.type, LANES))
        return context.get_dummy_value()

    return types.none(vectors, out, types.intp), build


@operation
def _all_lanes(_: Any, number: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _on_each(1, builder, lambda: _splat(builder, args[0]))

    return _Floats()(types.float32), build


@operation
def _times(_: Any, a: Any, b: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _on_each(a.count, builder, builder.fmul, *args)

    return a(a, b), build


@operation
def _times_plus(_: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c``, rounded once where the CPU can do that in one instruction."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_vector(_FLOAT), [_vector(_FLOAT)] * 3)
        name = f"llvm.fmuladd.v{LANES}f32"
        add = cgutils.get_or_insert_function(builder.module, kind, name)
        return _on_each(c.count, builder, lambda *vectors: builder.call(add, vectors), *args)

    return c(a, b, c), build


@operation
def _first_lanes(_: Any, count: Any, a: Any, b: Any) -> Any:
    """Return ``count`` lanes of ``a``, the others of ``b``."""
    numbers = _constant(_I32, list(range(LANES)))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        few = _splat(builder, builder.trunc(args[0], _I32))
        chosen = builder.icmp_signed("<", numbers, few)
        return _on_each(a.count, builder, lambda *ab: builder.select(chosen, *ab), *args[1:])

    return a(types.intp, a, b), build


@jit
def _sum(lanes: Array) -> Any:
    """Add the lanes up in pairs."""
    half = LANES // 2
    while half > 0:
        for j in range(half):
            lanes[j] += lanes[j + half]
        half //= 2
    return lanes[0]


@jit
def multiply(
    x: Array, several: Any, y: Array, packed: Array, width: Any, rule: Rule, block: int,
    scales: Array, factor: float, length: int,
) -> None:  # fmt: skip
    """Write the products of rows of packed weights with ``x[n, :length]`` to ``y[n, row]``.

    ``packed`` begins with the first row, ``scales[row, b]`` times ``factor`` is a block's scale.
    Each step's values meet as many vectors as the tuple ``several`` is long, of which the number
    of vectors is a multiple.
    """
    bits = len(width)
    lanes = np.empty(LANES * len(several), np.float32)
    for row in range(y.shape[1]):
        for n in range(0, y.shape[0], len(several)):
            total = _zeros(several)
            at = row * (length * bits // 8)
            for b in range(scales.shape[1]):
                start, stop = b * block, min(b * block + block, length)
                part = _zeros(several)
                for i in range(start, stop - LANES + 1, LANES):
                    _prefetch(packed, at + AHEAD)
                    values = _values(_windows(packed, at, width), rule)
                    part = _times_plus(values, _load(x, n, i, several), part)
                    at += LANES * bits // 8
                rest = (stop - start) % LANES
                if rest > 0:
                    values = _values(_windows(packed, at, width), rule)
                    more = _times_plus(values, _load(x, n, stop - rest, several), part)
                    part = _first_lanes(rest, more, part)
                    at += rest * bits // 8
                scale = _all_lanes(np.float32(scales[row, b] * factor))
                total = _times_plus(scale, part, total)
            _store(total, lanes, 0)
            for k in range(len(several)):
                y[n + k, row] = _sum(lanes[LANES * k : LANES * (k + 1)])


@jit
def decode(
    weights: Array, packed: Array, width: Any, rule: Rule, block: int, scales: Array,
    factor: float, length: int,
) -> None:  # fmt: skip
    """Write the weights themselves, row by row, and up to `LANES` numbers after the last."""
    bits = len(width)
    for row in range(scales.shape[0]):
        for b in range(scales.shape[1]):
            first = row * length + b * block
            stop = row * length + min(b * block + block, length)
            scale = _all_lanes(np.float32(scales[row, b] * factor))
            at = first * bits // 8
            for i in range(first, stop, LANES):
                _store(_times(_values(_windows(packed, at, width), rule), scale), weights, i)
                at += LANES * bits // 8
