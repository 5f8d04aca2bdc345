"""`Quantized.dequantize`: packed codes to float32, float16 or bfloat16, a part at a time.

A weight is its value (minus the zero point) times its scale, times the tensor scale if there is
one. The product is computed in float64, where it is exact unless there are more than 53 bits of
precision, and rounded once to the result's type. Two ways give the same bits:

    kernel       from the packed codes to the result, in registers
    definition   codes of a part of the weights, their values, and NumPy's product: for formats that
                 the kernel has no rule for, few weights, and where there is no JIT

Both see the weights as rows in the order of their memory. Where blocks are one of several formats,
a part is written as each of them, and a block is taken from the one that it is. Rotated weights are
then float32, and are rotated back in float64, and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat import _arrays, _jit
from minifloat._tensors import numpy_dtype
from minifloat._threads import each
from minifloat.codec import decode, encode
from minifloat.formats.base import shown
from minifloat.packing import unpack
from minifloat.products.packed_rows import PackedRows, read_only
from minifloat.quantization.memory_rows import MemoryRows

if TYPE_CHECKING:
    from minifloat.quantization.quantized import Quantized

Array = NDArray[Any]
Writer: TypeAlias = Callable[[slice, Array], None]  # of some rows, to an array of their weights

PART = 1 << 16  # weights whose values and scales are in memory at a time
FEW = 1 << 12  # fewer weights are not worth compiling a kernel
LEAST, PARTS = 1 << 16, 4  # weights that are worth a thread, and parts for each thread


def dequantize(q: Quantized, dtype: object, out: Any, threads: int) -> Any:
    """Return the weights; see `Quantized.dequantize`."""
    _arrays.check_cpu()
    target = _checked_dtype(dtype)
    given = None if out is None else _arrays.check_output(out, q.shape, target)
    is_direct = given is not None and _can_be_written(given, q)
    weights = given if given is not None and is_direct else np.empty(q.shape, target)
    flat = weights.reshape(-1).view(np.ndarray)  # without a class of its own, such as memmap
    if q.size and q.rotation is not None:
        write_rotated_back(q, weights, threads)
    elif q.size and not (_is_worth_a_kernel(q) and write_by_kernel(q, flat, threads)):
        write_by_definition(q, flat, threads)
    if given is not None and not is_direct:
        given[...] = weights
    return weights if out is None else out


def _can_be_written(out: Array, q: Quantized) -> bool:
    """Return whether weights can be written there one after the other, while others are read."""
    parts = (q.packed, q.scales, q.zero_points, q.choices)
    held = (part for part in parts if part is not None)
    is_plain = out.flags.c_contiguous and out.flags.aligned
    return is_plain and not any(np.may_share_memory(out, part) for part in held)


def is_target(dtype: np.dtype[Any]) -> bool:
    """Return whether weights are rounded to this type."""
    return dtype.name in ("float32", "float16", "bfloat16") and dtype.isnative


def _checked_dtype(dtype: object) -> np.dtype[Any]:
    """Return float32, float16 or bfloat16 as a dtype, or raise a ValueError."""
    try:
        target = numpy_dtype(dtype)
    except TypeError:
        target = np.dtype(object)
    if not is_target(target):
        raise ValueError(
            f"dtype must be float32, float16 or bfloat16, got {shown(dtype)}; the last one is "
            "ml_dtypes.bfloat16"
        )
    return target


def write_rotated_back(q: Quantized, out: Array, threads: int) -> None:
    """Write rotated weights to an array of their shape, some along the first axis at a time."""
    rotation, axis, stored = q.rotation, q.axis, q.stored
    assert rotation is not None
    assert axis is not None

    def write(part: slice) -> None:
        some = stored if axis == 0 else stored[part]
        rows = np.moveaxis(some.dequantize(), axis, -1).astype(np.float64, order="C")
        with np.errstate(over="ignore", invalid="ignore"):  # of a scale that is NaN
            rotation.transform(rows, back=True)
            out[part] = _rounded(np.moveaxis(rows, -1, axis), out.dtype)

    step = max(1, PART * q.shape[0] // q.size)
    starts = [0] if axis == 0 else range(0, q.shape[0], step)
    each(write, [slice(k, q.shape[0] if axis == 0 else k + step) for k in starts], threads)


def _is_worth_a_kernel(q: Quantized) -> bool:
    return q.fmt.bits <= 8 and not q.fmt.is_lookup and q.size >= FEW and _jit.load()


def write_by_kernel(q: Quantized, out: Array, threads: int) -> bool:
    """Write the weights to a 1-d array from the packed codes; return whether the kernel can."""
    writers = [_kernel_writer(reading, out.dtype) for reading in q.readings()]
    some = [writer for writer in writers if writer is not None]
    if len(some) < len(writers):
        return False
    share = q.size if threads == 1 else max(LEAST, -(-q.size // (threads * PARTS)))
    _write(q, out, some, share, threads)
    return True


def write_by_definition(q: Quantized, out: Array, threads: int) -> None:
    """Write the weights to a 1-d array, a part after the other."""
    write = _table_writer if q.fmt.is_lookup else _slow_writer
    _write(q, out, [write(each, out.dtype) for each in q.readings()], PART, threads)


def _write(q: Quantized, out: Array, writers: list[Writer], share: int, threads: int) -> None:
    """Write parts of the weights, each block by the writer of the format that it has."""
    rows, choices = MemoryRows.of(q.blocks), _flat(q.choices)

    def write(part: slice) -> None:
        target = out[rows.weights_of(part)]
        writers[0](part, target)
        if choices is None:
            return
        own, other = rows.spread(choices, part), np.empty_like(target)
        for k, writer in enumerate(writers[1:], 1):
            writer(part, other)
            np.copyto(target, other, where=own == k)

    each(write, rows.parts(share if choices is None else PART), threads)


def _kernel_writer(q: Quantized, dtype: np.dtype[Any]) -> Writer | None:
    """Return what writes rows of plain weights from their packed codes, if the kernel can."""
    from minifloat._kernels import dequantize as kernels  # these import Numba
    from minifloat._kernels.decoders import HAS_HALVES
    from minifloat._kernels.lanes import LANES
    from minifloat.products.decoders import exact_rule_of

    found = exact_rule_of(q.fmt)
    if found is None or (dtype == np.float16 and not HAS_HALVES):
        return None
    rule, exponent = found
    rows, bits = MemoryRows.of(q.blocks), q.fmt.bits
    mantissa = {"float32": 23, "float16": 10, "bfloat16": 7}[dtype.name]
    each_has_own = True if rows.block == 1 else None
    block = rows.length if each_has_own else rows.block
    loose = True if rows.length * bits % 8 or block * bits % 8 else None
    how: Any = (
        (0,) * bits, loose, rule, np.array([2.0**exponent], np.float32), _flat(q.scales),
        _factor(q, dtype), _flat(q.zero_points), each_has_own, rows.per_row, rows.size,
        rows.length, block, rows.height, rows.matrix,
    )  # fmt: skip
    packed = PackedRows(q.packed, rows.length * bits, LANES)

    def write(part: slice, out: Array) -> None:
        words = out if mantissa == 23 else out.view(np.uint16)
        first = part.start * rows.length
        for start, stop, codes, base in packed.of(part):
            where = rows.weights_of(slice(start, stop))
            target = words[where.start - first : where.stop - first]
            kernels.dequantize(target, (0,) * mantissa, start, stop, codes, base, *how)

    return write


def _slow_writer(q: Quantized, dtype: np.dtype[Any]) -> Writer:
    """Return what writes rows of plain weights by the definition."""
    rows = MemoryRows.of(q.blocks)
    scales, zeros = _flat(q.scales), _flat(q.zero_points)
    assert scales is not None
    factor = _factor(q, dtype)

    def write(part: slice, out: Array) -> None:
        values = _values(q, rows.weights_of(part))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if zeros is not None:
                values = values - rows.spread(zeros, part).astype(values.dtype)
            own = rows.spread(scales, part)
            if factor is not None:
                own = own.astype(np.float64) * factor
            out[...] = _rounded(values * own, dtype)

    return write


def _table_writer(q: Quantized, dtype: np.dtype[Any]) -> Writer:
    """Return what writes rows of weights whose blocks have tables of values."""
    rows = MemoryRows.of(q.blocks)
    tables = q.scales.reshape(-1, q.fmt.code_count)

    def write(part: slice, target: Array) -> None:
        where = rows.weights_of(part)
        block = rows.spread(np.arange(len(tables)), part)
        codes = unpack(q.packed, q.fmt.bits, where.stop - where.start, start=where.start)
        target[...] = _rounded(tables[block, codes], dtype)

    return write


def _factor(q: Quantized, dtype: np.dtype[Any]) -> float | None:
    """Return what scales are multiplied by in float64; None where float32 products are rounded."""
    return 1.0 if q.tensor_scale is None and dtype != np.float32 else q.tensor_scale


def _flat(numbers: Array | None) -> Array | None:
    """Return scales or zero points in the order of their memory."""
    return None if numbers is None else read_only(numbers).reshape(-1)


def _values(q: Quantized, where: slice) -> Array:
    """Return the values of some codes, as float32 where that holds those of the format."""
    codes = unpack(q.packed, q.fmt.bits, where.stop - where.start, start=where.start)
    codes[(codes >= q.fmt.code_count) | (codes == q.fmt.unused_code)] = 0  # another candidate's
    try:
        return np.asarray(decode(codes, q.fmt))
    except ValueError:  # values that only float64 holds
        return np.asarray(decode(codes, q.fmt, dtype=np.float64))


def _rounded(products: Array, dtype: np.dtype[Any]) -> Array:
    """Return float32 products as they are, and float64 ones rounded once, to nearest even."""
    if dtype == np.float32:
        return products.astype(np.float32, copy=False)
    return encode(products, dtype.name, overflow="ieee").view(dtype)
