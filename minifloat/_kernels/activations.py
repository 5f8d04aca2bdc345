"""Loops of `minifloat.products` over vectors that become 8-bit integers.

Contract of every kernel: contiguous arrays and plain numbers in, results into arrays passed in; no
exceptions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import kernel
from minifloat._kernels.scales import AbsmaxToScale, ScaleValues, ranges, scales_of

Array = NDArray[Any]

LARGEST = 127.0


@kernel
def to_integers(
    x: Array, words: Array, block: int, grid: ScaleValues, rule: AbsmaxToScale, lows: Array,
    maxima: Array, wide: Array, x_scales: Array, integers: Array,
) -> bool:  # fmt: skip
    """Round each number over its block's scale to the nearest of -127..127, even in a tie.

    ``x`` and ``x_scales`` are float32 of shapes (count, length) and (count, blocks), the integers
    int8 in the shape of ``x``; ``words`` are those of ``x``. ``lows``, ``maxima`` and ``wide``,
    float64 for each block, become the lowest number, absmax and the scale. A scale of 0 counts as
    1. The quotient is one of float64, which is on the right side of every tie. Return
    whether all is finite; if not, nothing is rounded.
    """
    count, length = x.shape
    ranges(words, None, length, block, lows, maxima)
    for k in range(maxima.size):
        maxima[k] = max(maxima[k], -lows[k])
    scales_of(maxima, grid, rule, wide)
    for k in range(wide.size):
        if not wide[k] < np.inf:
            return False
    blocks = x_scales.shape[1]
    for n in range(count):
        for b in range(blocks):
            x_scales[n, b] = wide[n * blocks + b]
            scale = np.float64(x_scales[n, b]) if x_scales[n, b] > 0 else np.float64(1.0)
            for i in range(b * block, min(b * block + block, length)):
                steps = np.rint(np.float64(x[n, i]) / scale)
                integers[n, i] = np.int8(min(max(steps, -LARGEST), LARGEST))
    return True


@kernel
def prepare(
    x: Array, block: int, grid: ScaleValues, rule: AbsmaxToScale, room: Array, own: Array,
    integers: Array, part: int, run: int, lanes: int, planes: int, factor: int, out: Array,
    offsets: Array, scales: Array,
) -> bool:  # fmt: skip
    """Do `to_integers` and `lay_out`, and write each part's scale; see these.

    ``own`` and ``integers`` are their x_scales and integers, and ``room`` float64 of shape
    (3, blocks of all vectors). ``out`` and ``offsets`` need not be zeros. ``scales`` is of the
    shape of ``offsets``; those of parts that are all padding become 0.
    """
    words = x.reshape(-1).view(np.int32)
    if not to_integers(x, words, block, grid, rule, room[0], room[1], room[2], own, integers):
        return False
    out[:] = 0
    offsets[:] = 0
    scales[:] = 0
    lay_out(integers, part, run, lanes, planes, factor, out, offsets)
    for n in range(x.shape[0]):
        for p in range(-(-x.shape[1] // part)):
            scales[n, p] = own[n, p * part // block]
    return True


@kernel
def lay_out(
    integers: Array, part: int, run: int, lanes: int, planes: int, factor: int, out: Array,
    offsets: Array,
) -> None:  # fmt: skip
    """Write vectors in runs and in the order of decoded codes, as `integer_products` reads them.

    ``out`` is zeros of shape (count, runs * padded), ``offsets`` zeros of (count, parts), with
    parts that are all padding at the end of a row. A part's offset becomes the sum of its integers
    times ``factor``.
    """
    count, length = integers.shape
    step = lanes * planes
    padded = -(-run // step) * step
    for n in range(count):
        begin = 0
        for column in range(0, length, run):
            end = min(column + run, length)
            for start in range(column, end, step):
                for plane in range(planes):
                    first = start + plane
                    for i in range(min(lanes, -(-(end - first) // planes))):
                        out[n, begin + start - column + plane * lanes + i] = (
                            integers[n, first + i * planes]
                        )  # fmt: skip
            begin += padded
        for p in range(-(-length // part)):
            total = 0
            for i in range(p * part, min(p * part + part, length)):
                total += integers[n, i]
            offsets[n, p] = total * factor
