"""Loops of `minifloat.products`: packed codes to float32 lanes, and their products with ``x``.

Contract of every kernel: contiguous arrays and plain integers in, results into an array passed in;
no exceptions. A block begins at a whole byte, and `LANES` bytes from each of its steps on can be
read, as can `LANES` floats of ``x``.

A step is `LANES` codes. Their bytes are loaded at once, and each lane of 16 bits gets the two bytes
in which its code lies, shifted so that the code is at the top; here codes of 5 bits, E2M2:

    bytes             ...ddddd cccccbbb bbaaaaa.     (a code may lie across two)
    `windows`         seemm... ........              what is below belongs to the neighbours
    `halves`          s000eemm 00000000              shifted right, sign kept, and masked

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
Vector = Any  # LANES numbers, in the machine's registers
Rule = Any  # how codes become values: (shift, mask), (shift,) or a table

LANES = 32

jit = njit(cache=True, nogil=True)

_I8, _I16, _I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_HALF, _FLOAT = ir.HalfType(), ir.FloatType()


class _Codes(types.Type):  # type: ignore[misc]  # Numba's types are not typed
    def __init__(self) -> None:
        super().__init__("LanesOfInt16")


class _Floats(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("LanesOfFloat32")


@register_model(_Codes)
class _CodesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _vector(_I16))


@register_model(_Floats)
class _FloatsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _vector(_FLOAT))


def operation(define: Callable[..., Any]) -> Callable[..., Any]:
    """Make an intrinsic, called without the compiler's context, which comes first in ``define``."""
    return intrinsic(define)  # type: ignore[no-any-return]


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


@operation
def _values(_: Any, codes: Any, rule: Any) -> Any:
    """Return the values of codes, by the rule that the third argument's type names."""
    convert: Callable[..., Any] = _looked_up
    if isinstance(rule, types.BaseTuple):
        convert = _halves if len(rule) == 2 else _integers

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return convert(context, builder, signature.args[1], *args)

    return _Floats()(codes, rule), build


@operation
def _zeros(_: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_vector(_FLOAT), [0.0] * LANES)

    return _Floats()(), build


@operation
def _load(_: Any, x: Any, at: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = _at(context, builder, signature.args[0], args[0], args[1], _vector(_FLOAT))
        return builder.load(where, align=4)

    return _Floats()(x, types.intp), build


@operation
def _store(_: Any, vector: Any, out: Any, at: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = _at(context, builder, signature.args[1], args[1], args[2], _vector(_FLOAT))
        builder.store(args[0], where, align=4)
        return context.get_dummy_value()

    return types.none(vector, out, types.intp), build


@operation
def _all_lanes(_: Any, number: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return _Floats()(types.float32), build


@operation
def _times(_: Any, a: Any, b: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fmul(*args)

    return _Floats()(a, b), build


@operation
def _times_plus(_: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c``, rounded once where the CPU can do that in one instruction."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_vector(_FLOAT), [_vector(_FLOAT)] * 3)
        name = f"llvm.fmuladd.v{LANES}f32"
        add = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
        return builder.call(add, args)

    return _Floats()(a, b, c), build


@operation
def _first_lanes(_: Any, count: Any, a: Any, b: Any) -> Any:
    """Return ``count`` lanes of ``a``, the others of ``b``."""
    numbers = _constant(_I32, list(range(LANES)))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        few = _splat(builder, builder.trunc(args[0], _I32))
        return builder.select(builder.icmp_signed("<", numbers, few), *args[1:])

    return _Floats()(types.intp, a, b), build


@jit
def _sum(lanes: Array) -> float:
    """Add the lanes up in pairs."""
    half = LANES // 2
    while half > 0:
        for j in range(half):
            lanes[j] += lanes[j + half]
        half //= 2
    return lanes[0]  # type: ignore[no-any-return]


@jit
def multiply(
    x: Array, y: Array, packed: Array, width: Any, rule: Rule, block: int, scales: Array,
    factor: float, length: int,
) -> None:  # fmt: skip
    """Write the products of rows of packed weights with ``x[n, :length]`` to ``y[n, row]``.

    ``packed`` begins with the first row, ``scales[row, b]`` times ``factor`` is a block's scale.
    """
    bits = len(width)
    lanes = np.empty(LANES, np.float32)
    for row in range(y.shape[1]):
        for n in range(y.shape[0]):
            total = _zeros()
            for b in range(scales.shape[1]):
                start, stop = b * block, min(b * block + block, length)
                at = (row * length + start) * bits // 8
                part = _zeros()
                for i in range(start, stop - LANES + 1, LANES):
                    values = _values(_windows(packed, at, width), rule)
                    part = _times_plus(values, _load(x[n], i), part)
                    at += LANES * bits // 8
                rest = (stop - start) % LANES
                if rest > 0:
                    values = _values(_windows(packed, at, width), rule)
                    more = _times_plus(values, _load(x[n], stop - rest), part)
                    part = _first_lanes(rest, more, part)
                scale = np.float32(scales[row, b] * factor)
                total = _times_plus(part, _all_lanes(scale), total)
            _store(total, lanes, 0)
            y[n, row] = _sum(lanes)


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
