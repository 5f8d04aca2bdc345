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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minifloat._arrays import code_dtype, dtype_name, first_index
from minifloat._kernels import quantize as quantize_kernels
from minifloat._kernels import scales as kernels
from minifloat._kernels.quantize import Coder
from minifloat._threads import each, slices
from minifloat.codec import encode
from minifloat.codec.plans import WORD_DTYPES
from minifloat.packing import byte_count, pack, unpack
from minifloat.quantization.blocks import Array, Blocks, spread, tiles
from minifloat.quantization.choosing import chosen_scales, encode_chosen
from minifloat.quantization.code_rounding import CodeRounding
from minifloat.quantization.coders import coder_of, scratch_of
from minifloat.quantization.feedback import GptqRows
from minifloat.quantization.quantized import DoubleScales, Quantized
from minifloat.quantization.recipes import DOUBLE_RECIPE, Recipe
from minifloat.quantization.scale_search import (
    NotFiniteError,
    ScaleRangeError,
    block_absmax,
    block_scales,
    divisors,
    words_of,
)
from minifloat.quantization.scales import FLOAT32, ScaleRounding, ScaleSearch, absmax_to_scale

CHUNK = 1 << 20  # weights that are quantized at a time
MORE = 4  # times as many, where nothing is as large as they
LESS = 1 / 16  # times as many, where the search for scales is slow: so threads share few rows, too
SMALLEST_FLOAT32 = 2.0**-149


@dataclass(frozen=True)
class Task:
    """Weights, their recipe and their blocks."""

    recipe: Recipe
    weights: Array
    blocks: Blocks
    dtype: np.dtype[Any]  # float32, or float64 for weights that are wider
    importance: Array | None
    tensor_scale: float | None = None
    rounding: CodeRounding | None = None  # None: to nearest

    @classmethod
    def of(
        cls,
        weights: Array,
        recipe: Recipe,
        axis: int | None,
        wide: bool,
        importance: Array | None = None,
        tensor_scale: float | None = None,
        rounding: CodeRounding | None = None,
    ) -> Task:
        """Return the task of some weights; ``wide`` ones are computed with in float64."""
        blocks = Blocks.of(recipe.block, weights.shape, axis)
        if recipe.rotation is not None:
            recipe.rotation.check_length(blocks.length)
        dtype = np.dtype(np.float64 if wide else np.float32)
        return cls(recipe, weights, blocks, dtype, importance, tensor_scale, rounding)

    def rows(self, rows: slice) -> Array:
        """Return some rows of the weights, contiguous, and rotated if the recipe says so."""
        with np.errstate(invalid="ignore"):  # of a signalling NaN
            part = self.blocks.rows(self.weights)[rows]
            if self.recipe.rotation is None:
                return np.ascontiguousarray(part, self.dtype)
            rotated = np.array(part, np.float64, order="C")
            self.recipe.rotation.transform(rotated)
            with np.errstate(over="ignore"):
                return rotated.astype(self.dtype, copy=False)

    def source_rows(self, rows: slice) -> Array:
        """Return some rows of the weights in their own float, or integers in float64."""
        if self.recipe.rotation is not None:
            return self.rows(rows)
        dtype = self.weights.dtype.newbyteorder("=")
        if dtype_name(dtype) not in WORD_DTYPES:
            dtype = self.dtype
        return np.ascontiguousarray(self.blocks.rows(self.weights)[rows], dtype)

    def importance_of(self, rows: slice) -> Array | None:
        """Return the importance of some rows."""
        return None if self.importance is None else self.blocks.rows(self.importance)[rows]


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


def longest(
    weights: Array, recipe: Recipe, axis: int | None, *, wide: bool = False, threads: int = 1
) -> float:
    """Return the largest absmax of all blocks, which `tensor_scale_of` makes a tensor scale of.

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    task = Task.of(weights, recipe, axis, wide)
    try:
        return _longest(task, threads)
    except NotFiniteError:
        raise not_finite_error(weights) from None


def not_finite_error(weights: Array) -> ValueError:
    """Return the error that names the first weight that is infinite or NaN."""
    index = first_index(weights, is_not_finite)
    if index is None:
        return ValueError(
            "w must be finite when it is rotated, got sums that are not; scale w down"
        )
    return ValueError(
        f"w must be finite, got {weights[index]} at index {index}; replace it before quantizing"
    )


def is_not_finite(weights: Array) -> Array:
    """Return which weights are infinite or NaN."""
    with np.errstate(invalid="ignore"):  # ml_dtypes' isfinite warns of a signalling NaN
        return np.asarray(~np.isfinite(weights))


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
    recipe, blocks, bits = task.recipe, task.blocks, task.recipe.fmt.bits
    if recipe.tensor_scale and task.tensor_scale is None:
        task = replace(task, tensor_scale=tensor_scale_of(_longest(task, threads), recipe))
    scales = np.empty((blocks.group_count, blocks.per_row), np.float32)
    zeros = np.zeros(scales.shape, code_dtype(bits)) if recipe.zero_point else None
    choices = np.zeros(scales.shape, np.uint8) if recipe.flag else None
    packed = np.empty(byte_count(task.weights.size, bits), np.uint8)
    length = blocks.length
    coder = None
    if task.weights.size and choices is None and task.rounding is None:
        coder = coder_of(recipe, double=task.dtype == np.float64)
    by_absmax = recipe.search is ScaleSearch.ABSMAX and not recipe.alternatives

    def find(groups: slice) -> None:
        scales[groups], codes = _group_scales(task, groups)
        held = choices if zeros is None else zeros
        if held is not None and codes is not None:
            held[groups] = codes

    def put(rows: slice) -> None:
        group = blocks.group_of(rows)
        row_zeros = None if zeros is None else zeros[group]
        if coder is not None and feedback is None:
            _quantize_rows(task, coder, rows, scales[group], row_zeros, packed, finds=False)
            return
        codes = np.empty((rows.stop - rows.start, length), code_dtype(bits))
        if feedback is not None and order is not None:
            row_held = choices[group] if choices is not None else row_zeros
            _encode_in_order(task, feedback, order, rows, scales[group], row_held, codes)
        elif task.rounding is not None:
            task.rounding.encode(
                recipe, blocks, rows, task.rows(rows), scales[group],
                row_zeros if choices is None else choices[group], task.tensor_scale, codes,
            )  # fmt: skip
        elif choices is not None:
            encode_chosen(
                recipe, task.rows(rows), blocks.width, task.tensor_scale or 1.0, scales[group],
                choices[group], codes,
            )  # fmt: skip
        else:
            _encode(task, task.rows(rows), scales[group], row_zeros, codes)
        pack(codes.reshape(-1), bits, out=_bytes_of_rows(rows, blocks, packed, bits))

    def find_and_put(rows: slice) -> None:
        if coder is not None and by_absmax:
            row_zeros = None if zeros is None else zeros[rows]
            if _quantize_rows(task, coder, rows, scales[rows], row_zeros, packed, finds=True):
                return
        find(rows)
        put(rows)

    def find_and_put_by_gptq(rows: slice) -> None:
        codes = np.empty((rows.stop - rows.start, length), code_dtype(bits))
        assert feedback is not None
        held = choices if zeros is None else zeros
        _encode_by_gptq(task, feedback, rows, scales, held, codes)
        pack(codes.reshape(-1), bits, out=_bytes_of_rows(rows, blocks, packed, bits))

    double = None
    in_one_pass = coder is not None and by_absmax and not (recipe.double or blocks.height > 1)
    chunks = _chunks(blocks, times=MORE if in_one_pass else 1 if by_absmax else LESS)
    if feedback is not None and order is None:
        each(find_and_put_by_gptq, _chunks(blocks, blocks.height), threads)
    elif blocks.height == 1 and not recipe.double and feedback is None:
        each(find_and_put, chunks, threads)
    else:
        each(find, chunks if blocks.height == 1 else _single_groups(blocks), threads)
        if recipe.double:
            double = _double_scales(blocks.restore_scales(scales).reshape(-1))
            values = double.values().reshape(blocks.scale_shape)
            scales[...] = blocks.scale_rows(values)
        each(put, chunks if feedback is None else _chunks(blocks), threads)
    return Quantized.of_checked(
        packed=_in_order_of_weights(packed, blocks, bits),
        scales=blocks.restore_scales(scales),
        recipe=recipe,
        shape=task.weights.shape,
        axis=blocks.axis,
        tensor_scale=task.tensor_scale,
        zero_points=None if zeros is None else blocks.restore_scales(zeros),
        double=double,
        choices=None if choices is None else blocks.restore_scales(choices),
    )


def _chunks(blocks: Blocks, height: int = 1, times: float = 1) -> list[slice]:
    """Return rows that fit in the cache, or a few; their codes begin at a byte."""
    length, row_count = blocks.length, blocks.row_count
    whole = math.lcm(8 // math.gcd(8, length), height)
    step = max(1, int(times * CHUNK) // max(length, 1) // whole) * whole
    return slices(row_count, step)


def _single_groups(blocks: Blocks) -> list[slice]:
    return [slice(group, group + 1) for group in range(blocks.group_count)]


def _bytes_of_rows(rows: slice, blocks: Blocks, packed: Array, bits: int) -> Array:
    """Return the bytes of some rows' codes."""
    first = rows.start * blocks.length * bits // 8
    return packed[first : first + byte_count((rows.stop - rows.start) * blocks.length, bits)]


def _in_order_of_weights(packed: Array, blocks: Blocks, bits: int) -> Array:
    if blocks.axis is None or blocks.axis == len(blocks.shape) - 1:
        return packed
    codes = unpack(packed, bits, math.prod(blocks.shape))
    codes = codes.reshape(blocks.row_count, blocks.length)
    return pack(blocks.restore(codes).reshape(-1), bits)


def _group_scales(
    task: Task, groups: slice, *, saturate: bool = False
) -> tuple[Array, Array | None]:
    """Return a row of scales for each of some groups of rows, and of zero points, or of choices."""
    tall = task.blocks.height > 1
    find = chosen_scales if task.recipe.alternatives else block_scales
    parts, code_parts = [], []
    for place, weights, importance in _block_rows(task, groups):
        width = weights.shape[1] if tall else task.blocks.width
        try:
            scales, codes = find(
                task.recipe, weights, width, task.tensor_scale or 1.0, importance,
                saturate=saturate,
            )  # fmt: skip
        except ScaleRangeError as error:
            group, block = error.row, error.block
            if tall:
                group, block = 0, place + error.row
            raise ScaleRangeError(groups.start + group, block, error.wanted) from None
        parts.append(scales.T if tall else scales)
        if codes is not None:
            code_parts.append(codes.T if tall else codes)
    return np.concatenate(parts, axis=1), np.concatenate(code_parts, axis=1) if code_parts else None


def _block_rows(task: Task, groups: slice) -> Iterator[tuple[int, Array, Array | None]]:
    """Yield the weights of some groups as `block_scales` takes them, and their importance.

    Where a block has several rows, one group is taken apart: each of its blocks becomes a row. The
    number with each part is that of its first block.
    """
    blocks = task.blocks
    if blocks.height == 1:
        yield 0, task.rows(groups), task.importance_of(groups)
        return
    (group,) = range(groups.start, groups.stop)
    rows = blocks.rows_of(group)
    factors = task.importance_of(rows)
    factor_tiles = None if factors is None else tiles(factors, blocks.width)
    place = 0
    for k, weights in enumerate(tiles(task.rows(rows), blocks.width)):
        importance = None if factor_tiles is None else factor_tiles[k]
        yield place, np.ascontiguousarray(weights), importance
        place += len(weights)


def _longest(task: Task, threads: int) -> float:
    """Return the largest absmax of all blocks; with zero points, the length of their range."""
    recipe, blocks = task.recipe, task.blocks
    tiled = recipe.zero_point and blocks.height > 1
    parts = _single_groups(blocks) if tiled else _chunks(blocks)
    find = _longest_range if recipe.zero_point else _largest
    return max(each(lambda part: find(task, part), parts, threads), default=0.0)


def tensor_scale_of(largest: float, recipe: Recipe) -> float:
    """Return the factor of all scales for the largest absmax of all blocks; 1 for zeros."""
    nearest = recipe.scale_rounding is ScaleRounding.NEAREST_EVEN
    powers = recipe.scale.values.mantissa_bits == 0 or not nearest
    top = recipe.largest_scale or (1.0 if powers else recipe.scale.values.largest)
    exact = largest / recipe.absmax_at / top
    with np.errstate(over="ignore"):
        rounded = np.float32(exact)
    # the largest block's scale over this one must not be just beyond a power of two
    if recipe.scale_rounding is ScaleRounding.DOWN and float(rounded) > exact:
        rounded = np.nextafter(rounded, np.float32(0))
    if recipe.scale_rounding is ScaleRounding.UP and float(rounded) < exact:
        rounded = np.nextafter(rounded, np.float32(np.inf))
    if rounded > 0 and not np.isfinite(_scale_of(largest, recipe, float(rounded))):
        rounded = np.nextafter(rounded, np.float32(np.inf))
    if rounded == np.inf:
        raise ValueError(f"tensor_scale must be a float32 number, got {exact:g}; scale w down")
    if rounded == 0:
        return 1.0 if exact == 0 else SMALLEST_FLOAT32
    return float(rounded)


def _largest(task: Task, rows: slice) -> float:
    """Return the largest magnitude of some rows."""
    weights = task.source_rows(rows)
    return float(block_absmax(task.recipe, weights, max(weights.shape[1], 1)).max(initial=0))


def _longest_range(task: Task, groups: slice) -> float:
    """Return the length of the longest range of the blocks of some groups."""
    longest = 0.0
    for _, weights, _ in _block_rows(task, groups):
        width = task.blocks.width if task.blocks.height == 1 else weights.shape[1]
        longest = max(longest, float(block_absmax(task.recipe, weights, width).max(initial=0)))
    return longest


def _scale_of(absmax: float, recipe: Recipe, tensor_scale: float) -> float:
    """Return the scale of a block; inf where it is beyond its format."""
    scales = np.empty(1)
    rule = absmax_to_scale(recipe.fmt, recipe.scale_rounding, tensor_scale, recipe.absmax_at)
    kernels.scales_of(np.array([absmax]), recipe.scale.values, rule, scales)
    return float(scales[0])


def _quantize_rows(
    task: Task, coder: Coder, rows: slice, scales: Array, zeros: Array | None, packed: Array,
    *, finds: bool,
) -> bool:  # fmt: skip
    """Do the steps 3, 5 and 6 in one kernel, the third only if it ``finds`` scales.

    Return False if a block has no scale: then `block_scales` has the reason.
    """
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
        finds or None, coder.ranks, coder.plan, coder.by_quotient or None, widens or None, fmt.bits,
        fmt.bits > 8 or None, fmt.min < 0, float(fmt.max), scratch, scales.reshape(-1),
        None if zeros is None else zeros.reshape(-1),
        _bytes_of_rows(rows, blocks, packed, fmt.bits),
    )  # fmt: skip


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


def _encode_by_gptq(
    task: Task,
    feedback: Array,
    rows: slice,
    scales: Array,
    held: Array | None,
    codes: Array,
) -> None:
    """Write the scales and codes of some rows by GPTQ, block after block.

    ``held`` receives the zero points of blocks, or which candidate each is.
    """
    blocks = task.blocks
    groups = slice(rows.start // blocks.height, -(-rows.stop // blocks.height))
    group_of_rows = blocks.group_of(rows)
    units = [groups] if blocks.height == 1 else _single_groups(blocks)[groups]
    recipe, as_rotated = task.recipe, task.recipe.replace(rotation=None)
    as_given = replace(
        task, recipe=recipe.candidates[0].replace(search=ScaleSearch.ABSMAX), importance=None
    )
    for unit in units:
        _group_scales(as_given, unit)  # raises the errors of the weights as given
    weights = task.rows(rows).astype(np.float64)
    gptq_rows = GptqRows(weights, feedback, [each.fmt for each in recipe.candidates], codes)
    importance = task.importance_of(rows)
    for k in range(blocks.per_row):
        columns = slice(k * blocks.width, min((k + 1) * blocks.width, blocks.length))
        updated = gptq_rows.updated(columns)
        part = replace(
            task,
            recipe=as_rotated,
            weights=updated,
            blocks=replace(blocks, shape=updated.shape, width=updated.shape[1]),
            dtype=updated.dtype,
            importance=None if importance is None else importance[:, columns],
        )
        every = [slice(0, len(updated))] if blocks.height == 1 else _single_groups(part.blocks)
        found = [_group_scales(part, unit, saturate=True) for unit in every]
        scales[groups, k] = np.concatenate([unit_scales[:, 0] for unit_scales, _ in found])
        if held is not None:
            held[groups, k] = np.concatenate([row[:, 0] for _, row in found if row is not None])
        row_scales = scales[group_of_rows, k : k + 1]
        row_held = None if held is None else held[group_of_rows, k : k + 1]
        _round(task, gptq_rows, columns, row_scales, row_held)


def _encode_in_order(
    task: Task, feedback: Array, order: Array, rows: slice, scales: Array, held: Array | None,
    codes: Array,
) -> None:  # fmt: skip
    """Write the codes of some rows by GPTQ, column by column in an order, by scales given.

    ``scales`` and ``held``, the zero points of blocks or which candidate each is, have a row for
    each of the rows.
    """
    weights = np.ascontiguousarray(task.rows(rows)[:, order], np.float64)
    ordered = np.empty_like(codes)
    gptq_rows = GptqRows(weights, feedback, [each.fmt for each in task.recipe.candidates], ordered)
    every = slice(0, len(order))
    _round(task, gptq_rows, every, scales, held, order // task.blocks.width)
    codes[:, order] = ordered


def _round(
    task: Task, gptq_rows: GptqRows, columns: slice, scales: Array, held: Array | None,
    blocks: Array | None = None,
) -> None:  # fmt: skip
    """Round the next columns, by scales and zero points, or choices, of each row's blocks."""
    factors, wide = np.array(task.recipe.factors(task.tensor_scale)), scales.astype(np.float64)
    if task.recipe.flag:
        assert held is not None
        gptq_rows.round(columns, wide * factors[held], choices=held, blocks=blocks)
    else:
        gptq_rows.round(columns, wide * factors[0], zeros=held, blocks=blocks)


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
