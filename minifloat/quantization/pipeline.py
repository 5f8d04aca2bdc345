"""From weights to packed codes: scales and codes of some rows at a time, down to bytes.

1. `Blocks` says which weights share a scale; the weights are seen as rows.
2. A tensor scale, if the recipe has one, is found from all blocks.
3. `block_scales` finds the scales of blocks, and their zero points; where blocks are one of several
   candidates, `chosen_scales` finds which each is.
4. If the recipe is double, the scales are quantized themselves.
5. A weight's code is ``encode(w / scale)``. The quotient is taken in float64, where it is on the
   right side of every decision point of a format of up to 11 bits of precision, for float32 weights
   and scales: a quotient that is not on a decision point differs from it by more than float64's
   rounding error. So each weight is rounded once.
6. The codes of these rows are packed, so that the codes of a tensor are never in memory unpacked.

Where a block is one row high, steps 3, 5 and 6 are done for some rows after the others. One kernel
does all three (`minifloat._kernels.quantize`) if scales come from absmax and it has a way to the
format's codes (`minifloat.quantization.coders`); else `block_scales` and `_encode` do, and they say
why the kernel fails where it does.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from minifloat._arrays import code_dtype, first_index
from minifloat._kernels import quantize as quantize_kernels
from minifloat._kernels.quantize import Coder
from minifloat._threads import each
from minifloat.codec import encode
from minifloat.packing import byte_count, pack, unpack
from minifloat.quantization.blocks import Array, Blocks, spread
from minifloat.quantization.choosing import encode_chosen
from minifloat.quantization.code_rounding import CodeRounding
from minifloat.quantization.coders import coder_of, scratch_of
from minifloat.quantization.gptq_codes import encode_by_gptq, encode_in_order
from minifloat.quantization.group_scales import group_scales
from minifloat.quantization.quantized import DoubleScales, Quantized
from minifloat.quantization.recipes import DOUBLE_RECIPE, Recipe
from minifloat.quantization.scale_search import (
    NotFiniteError,
    ScaleRangeError,
    divisors,
    words_of,
)
from minifloat.quantization.scales import FLOAT32, ScaleSearch, absmax_to_scale
from minifloat.quantization.tasks import (
    Task,
    chunks,
    is_not_finite,
    not_finite_error,
    single_groups,
)
from minifloat.quantization.tensor_scales import longest_of, tensor_scale_of

MORE = 4  # times as many weights at a time, where nothing is as large as they
LESS = 1 / 16  # times as many, where the search for scales is slow: so threads share few rows, too


def quantized(
    weights: Array,
    recipe: Recipe,
    axis: int | None,
    *,
    wide: bool = False,
    importance: Array | None = None,
    feedback: Array | None = None,
    order: Array | None = None,
    tensor_scale: float | None = None,
    rounding: CodeRounding | None = None,
    threads: int = 1,
) -> Quantized:
    """Quantize weights; all arguments are checked.

    Parameters
    ----------
    weights : ndarray
    recipe : Recipe
    axis : int or None
    wide : bool
        Whether the weights are computed with in float64.
    importance : ndarray of the weights' shape, optional
    feedback : ndarray, optional
        The G of `minifloat.quantization.feedback`, for GPTQ; without it weights are rounded to
        nearest.
    order : ndarray of integers, (inputs,), optional
        For GPTQ with scales that are those of the weights as given: the columns in the order in
        which they are rounded. The feedback is that of columns in this order.
    tensor_scale : float, optional
        For recipes with one; by default that of these weights.
    rounding : CodeRounding, optional
        Without feedback: how weights become codes; by default to nearest.
    threads : int
    """
    task = Task.of(weights, recipe, axis, wide, importance, tensor_scale, rounding)
    try:
        result = _quantized(task, feedback, order, threads)
    except NotFiniteError:
        raise not_finite_error(weights) from None
    except ScaleRangeError as error:
        index = task.blocks.scale_index(error.row, error.block)
        raise ValueError(
            f"scale must hold every block's scale, got {error.wanted:g} for {recipe.scale}, at "
            f"index {index} of the scales; use a wider scale or smaller weights"
        ) from None
    _check_float32(result, weights)
    return result


def _check_float32(result: Quantized, weights: Array) -> None:
    """Raise if a weight became one beyond float32, which can be where it is rounded up."""
    factors = result.recipe.factors(result.tensor_scale)
    largest = max(
        max(abs(each.fmt.max), abs(each.fmt.min)) * factor
        for each, factor in zip(result.recipe.candidates, factors, strict=True)
    )
    rotation = result.recipe.rotation
    largest *= 1.0 if rotation is None else math.sqrt(rotation.size)  # of a sum, over its norm
    if float(result.scales.max(initial=0)) * largest <= FLOAT32.values.largest:
        return
    if rotation is not None:
        raise ValueError(
            "w must become numbers within float32's 3.4e+38 when it is rotated, and rotated back, "
            "got some that may not; scale w down"
        )
    index = first_index(result.dequantize(), is_not_finite)
    if index is not None:
        raise ValueError(
            "w must become numbers within float32's 3.4e+38, got one that is rounded beyond, "
            f"{weights[index]} at index {index}; scale w down"
        )


def _quantized(task: Task, feedback: Array | None, order: Array | None, threads: int) -> Quantized:
    recipe, blocks = task.recipe, task.blocks
    if recipe.tensor_scale and task.tensor_scale is None:
        task = replace(task, tensor_scale=tensor_scale_of(longest_of(task, threads), recipe))
    arrays, double = _Arrays(task, feedback, order), None
    if feedback is not None and order is None:
        each(arrays.find_and_put_by_gptq, chunks(blocks, blocks.height), threads)
    elif feedback is None and arrays.in_one_pass:
        each(arrays.find_and_put, arrays.parts(), threads)
    else:
        each(arrays.find, arrays.parts() if blocks.height == 1 else single_groups(blocks), threads)
        if recipe.double:
            double = _double_scales(blocks.restore_scales(arrays.scales).reshape(-1))
            values = double.values().reshape(blocks.scale_shape)
            arrays.scales[...] = blocks.scale_rows(values)
        each(arrays.put, arrays.parts() if feedback is None else chunks(blocks), threads)
    held = None if arrays.held is None else blocks.restore_scales(arrays.held)
    return Quantized.of_checked(
        packed=_in_order_of_weights(arrays.packed, blocks, recipe.fmt.bits),
        scales=blocks.restore_scales(arrays.scales),
        recipe=recipe,
        shape=task.weights.shape,
        axis=blocks.axis,
        tensor_scale=task.tensor_scale,
        zero_points=held if recipe.zero_point else None,
        double=double,
        choices=held if recipe.flag else None,
    )


class _Arrays:
    """Scales and packed codes of a task, filled by some rows at a time.

    Attributes
    ----------
    scales : ndarray of float32, (groups of rows, blocks of a row)
    held : ndarray, of the same shape, optional
        The zero points of blocks, or which candidate each is.
    packed : ndarray of uint8
        The codes in the order of the rows.
    """

    def __init__(self, task: Task, feedback: Array | None, order: Array | None) -> None:
        self.task, self.feedback, self.order = task, feedback, order
        recipe, blocks = task.recipe, task.blocks
        self.scales = np.empty((blocks.group_count, blocks.per_row), np.float32)
        self.held: Array | None = None
        if recipe.zero_point or recipe.flag:
            dtype = code_dtype(recipe.fmt.bits) if recipe.zero_point else np.uint8
            self.held = np.zeros(self.scales.shape, dtype)
        self.packed = np.empty(byte_count(task.weights.size, recipe.fmt.bits), np.uint8)
        self._coder: Coder | None = None  # of the one kernel, if it does this
        if task.weights.size and not recipe.flag and task.rounding is None and feedback is None:
            self._coder = coder_of(recipe, double=task.dtype == np.float64)
        self._by_absmax = recipe.search is ScaleSearch.ABSMAX and not recipe.alternatives

    @property
    def in_one_pass(self) -> bool:
        """Whether the scales of some rows are final before those of others are found."""
        return self.task.blocks.height == 1 and not self.task.recipe.double

    def parts(self) -> list[slice]:
        """Return the rows that are done at a time."""
        if self._coder is not None and self._by_absmax and self.in_one_pass:
            return chunks(self.task.blocks, times=MORE)
        return chunks(self.task.blocks, times=1 if self._by_absmax else LESS)

    def find(self, groups: slice) -> None:
        """Find the scales of some groups of rows, and their zero points or candidates."""
        self.scales[groups], held = group_scales(self.task, groups)
        if self.held is not None and held is not None:
            self.held[groups] = held

    def put(self, rows: slice) -> None:
        """Write the codes of some rows, whose scales are there."""
        group = self.task.blocks.group_of(rows)
        scales, held = self.scales[group], None if self.held is None else self.held[group]
        if self._coder is not None:
            self._in_one_kernel(self._coder, rows, scales, held, finds=False)
            return
        task, codes = self.task, self._room(rows)
        if self.feedback is not None and self.order is not None:
            encode_in_order(task, self.feedback, self.order, rows, scales, held, codes)
        elif task.rounding is not None:
            task.rounding.encode(
                task.recipe, task.blocks, rows, task.rows(rows), scales, held, task.tensor_scale,
                codes,
            )  # fmt: skip
        elif task.recipe.flag:
            assert held is not None
            encode_chosen(
                task.recipe, task.rows(rows), task.blocks.width, task.tensor_scale or 1.0, scales,
                held, codes,
            )  # fmt: skip
        else:
            _encode(task, task.rows(rows), scales, held, codes)
        self._pack(rows, codes)

    def find_and_put(self, rows: slice) -> None:
        """Do both for rows that have scales of their own."""
        if self._coder is not None and self._by_absmax:
            held = None if self.held is None else self.held[rows]
            if self._in_one_kernel(self._coder, rows, self.scales[rows], held, finds=True):
                return
        self.find(rows)
        self.put(rows)

    def find_and_put_by_gptq(self, rows: slice) -> None:
        """Do both for whole groups of rows, block after block."""
        assert self.feedback is not None
        codes = self._room(rows)
        encode_by_gptq(self.task, self.feedback, rows, self.scales, self.held, codes)
        self._pack(rows, codes)

    def _room(self, rows: slice) -> Array:
        length, bits = self.task.blocks.length, self.task.recipe.fmt.bits
        return np.empty((rows.stop - rows.start, length), code_dtype(bits))

    def _pack(self, rows: slice, codes: Array) -> None:
        pack(codes.reshape(-1), self.task.recipe.fmt.bits, out=self._bytes(rows))

    def _bytes(self, rows: slice) -> Array:
        """Return the bytes of some rows' codes."""
        length, bits = self.task.blocks.length, self.task.recipe.fmt.bits
        first = rows.start * length * bits // 8
        return self.packed[first : first + byte_count((rows.stop - rows.start) * length, bits)]

    def _in_one_kernel(
        self, coder: Coder, rows: slice, scales: Array, held: Array | None, *, finds: bool
    ) -> bool:
        """Do the steps 3, 5 and 6 in one kernel, the third only if it ``finds`` scales.

        Return False if a block has no scale: then `block_scales` has the reason.
        """
        task = self.task
        recipe, fmt, blocks = task.recipe, task.recipe.fmt, task.blocks
        words, half = words_of(task.source_rows(rows))
        widens = words.itemsize == 2 and not coder.by_quotient and not recipe.zero_point
        is_single = words.dtype == np.int32 and not coder.by_quotient
        scratch = scratch_of(fmt, words.size, blocks.width, is_single=is_single)
        tensor_scale = task.tensor_scale or 1.0
        return quantize_kernels.quantize(
            words, words if is_single else scratch.words, half, blocks.length, blocks.width,
            tensor_scale, recipe.scale.values,
            absmax_to_scale(fmt, recipe.scale_rounding, tensor_scale, recipe.absmax_at),
            finds or None, coder.ranks, coder.plan, coder.by_quotient or None, widens or None,
            fmt.bits, fmt.bits > 8 or None, fmt.min < 0, float(fmt.max), scratch,
            scales.reshape(-1), None if held is None else held.reshape(-1), self._bytes(rows),
        )  # fmt: skip


def _in_order_of_weights(packed: Array, blocks: Blocks, bits: int) -> Array:
    if blocks.axis is None or blocks.axis == len(blocks.shape) - 1:
        return packed
    codes = unpack(packed, bits, math.prod(blocks.shape))
    codes = codes.reshape(blocks.row_count, blocks.length)
    return pack(blocks.restore(codes).reshape(-1), bits)


def _encode(task: Task, weights: Array, scales: Array, zeros: Array | None, codes: Array) -> None:
    """Write the codes of some rows, whose scales and zero points are given row by row."""
    if weights.size == 0:
        return
    fmt, width, length = task.recipe.fmt, task.blocks.width, task.blocks.length
    divisor = spread(divisors(scales) * (task.tensor_scale or 1.0), width, length)
    with np.errstate(over="ignore", under="ignore"):
        quotients = weights / divisor
        if zeros is None:
            encode(quotients, fmt, out=codes)
        else:
            codes[...] = np.clip(np.rint(quotients) + spread(zeros, width, length), 0, fmt.max)


def _double_scales(scales: Array) -> DoubleScales:
    """Quantize scales, so that no positive one becomes 0 and none negative."""
    mean = float(np.float32(scales.mean(dtype=np.float64))) if scales.size else 0.0
    differences = scales - np.float32(mean)
    blocks = Blocks.of(DOUBLE_RECIPE.block, differences.shape, 0)
    task = Task(DOUBLE_RECIPE, differences, blocks, differences.dtype, None)
    double = DoubleScales(_quantized(task, None, None, 1), mean)
    while True:
        values = double.values()
        low = (values < 0) | ((values == 0) & (scales > 0))
        if not low.any():
            return double
        codes = double.quantized.codes
        codes[low] = _next_larger(codes[low])
        packed = pack(codes, double.quantized.recipe.fmt.bits)
        double = DoubleScales(replace(double.quantized, packed=packed), mean)


def _next_larger(codes: Array) -> Array:
    """Return the codes of E4M3FN's next larger values; -0 counts as below the smallest."""
    return np.where(codes > 0x80, codes - 1, np.where(codes == 0x80, 1, codes + 1)).astype(np.uint8)
