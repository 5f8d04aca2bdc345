"""Numbers over the steps of their blocks, rounded to a format, and times the steps again.

An array is matrices of ``height`` rows of ``width`` numbers. Blocks have ``size`` neighbours: of a
row (``down`` is None), or of a column; the last one of each may be shorter. What a block has one
of, such as its step, lies in the order of the blocks: row by row along rows, or band by band of
``size`` rows, where each column has one. So neighbours in memory are worked on together.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
from minifloat._kernels.codec import CHECK_EVERY, encode, round_stochastic, round_to
from minifloat._kernels.scales import AbsmaxToScale, ScaleValues, scale_of

Array = NDArray[Any]

PART = CHECK_EVERY  # numbers that pass all steps while they are in the cache


@kernel
def largest_words(
    words: Array, height: int, width: int, size: int, down: Any, largest: Array
) -> int:
    """Find the largest float32 word, without its sign, of each block, and of all."""
    if down is None:
        block = 0
        for row in range(0, words.size, width):
            for start in range(row, row + width, size):
                largest[block] = _largest(words[start : min(start + size, row + width)])
                block += 1
    else:
        band = 0
        for top in range(0, words.size, height * width):
            for start in range(0, height, size):
                found = largest[band : band + width]
                found[:] = 0
                for row in range(start, min(start + size, height)):
                    at = top + row * width
                    _keep_largest(words[at : at + width], found)
                band += width
    return int(_largest(largest))


@jit
def _largest(words: Array) -> Any:
    largest = np.int32(0)
    for i in range(words.size):
        largest = max(largest, np.int32(words[i] & np.int32(0x7FFFFFFF)))
    return largest


@jit
def _keep_largest(words: Array, found: Array) -> None:
    for i in range(words.size):
        found[i] = max(found[i], np.int32(words[i] & np.int32(0x7FFFFFFF)))


@kernel
def steps_of(
    largest: Array, grid: ScaleValues, rule: AbsmaxToScale, saturates: bool, factor: float,
    least: float, steps: Array,
) -> bool:  # fmt: skip
    """Find what a value of 1 means in each block: its scale (1 for 0) times a factor.

    ``largest`` are float32 words. Products are rounded to the float of ``steps``, and are ``least``
    or more. Return whether the format of the scales has them all, or the largest stands for them.
    """
    fits = True
    for i in range(largest.size):
        scale = scale_of(np.float64(np.int32(largest[i]).view(np.float32)), grid, rule)
        if saturates:
            scale = min(scale, grid.largest)
        fits &= scale <= grid.largest
        steps[i] = 1.0 if scale == 0 else scale
        steps[i] = max(steps[i] * steps.dtype.type(factor), steps.dtype.type(least))
    return fits


@inlined
def _fill(run: Array, step: Any) -> None:
    for i in range(run.size):
        run[i] = step


@inlined
def _copy(steps: Array, run: Array) -> None:
    for i in range(run.size):
        run[i] = steps[i]


@jit
def _spread_along(steps: Array, low: int, high: int, width: int, size: int, spread: Array) -> None:
    """Write the step of each number from ``low`` to ``high``, of blocks along rows."""
    row, column = low // width, low % width
    block = row * ((width + size - 1) // size) + column // size
    at = low
    while at < high:
        left = min(size - column % size, width - column)
        stop = min(at + left, high)
        _fill(spread[at - low : stop - low], steps[block])
        block += 1
        column = 0 if column + left == width else column + left
        at = stop


@jit
def _spread_down(
    steps: Array, low: int, high: int, height: int, width: int, size: int, spread: Array
) -> None:
    """Write the step of each number from ``low`` to ``high``, of blocks along columns."""
    row, column = low // width, low % width
    at = low
    while at < high:
        stop = min(at + width - column, high)
        band = row // height * ((height + size - 1) // size) + row % height // size
        first = band * width + column
        _copy(steps[first : first + stop - at], spread[at - low : stop - low])
        row, column = row + 1, 0
        at = stop


@jit
def _divide(x: Array, spread: Array, factor: Any, quotients: Array) -> None:
    """Write float32 quotients, times the factor, each rounded."""
    factor = np.float32(factor)
    for i in range(x.size):
        quotients[i] = np.float32(np.float32(x[i] / spread[i]) * factor)


@jit
def _divide_to_odd(x: Array, spread: Array, words: Array) -> None:
    """Write the words of float64 quotients, rounded to float32 and to odd.

    They are on the right side of every point between two values of a format.
    """
    T = np.int32
    for i in range(x.size):
        quotient = np.float64(x[i]) / spread[i]
        nearest = np.float32(quotient)
        word = T(nearest.view(T))
        back = np.float64(nearest)
        moves = (back != quotient) & (T(word & T(1)) == 0)
        outward = abs(back) < abs(quotient)
        words[i] = T(word + T(T(outward) - T(not outward))) if moves else word


@jit
def _multiply(values: Array, spread: Array, out: Array) -> None:
    for i in range(values.size):
        out[i] = np.float32(values[i] * spread[i])


@jit
def _spread(
    steps: Array, low: int, high: int, height: int, width: int, size: int, down: Any, spread: Array
) -> None:
    if down is None:
        _spread_along(steps, low, high, width, size, spread)
    else:
        _spread_down(steps, low, high, height, width, size, spread)


@kernel
def round_blocks(
    x: Array, steps: Array, height: int, width: int, size: int, down: Any, exact: Any,
    factor: float, plan: Array, table: Array, in_steps: Any, mode: Array | None, start: int,
    multiplied: Any, spread: Array, quotients: Array, values: Array, codes: Array, scratch: Array,
    out: Array,
) -> int:  # fmt: skip
    """Round float32 numbers in blocks; return how many quotients are NaN.

    ``steps`` are float64, and quotients and products are rounded once, if ``exact`` is not None;
    else they are float32, and each operation is rounded. ``mode`` is None for rounding to nearest;
    in a stochastic mode the random word of a number is that of its place, from ``start``. ``plan``,
    ``table`` and ``in_steps`` are as of `minifloat._kernels.codec.round_to`; ``spread`` (of the
    steps' type), ``quotients`` and ``values`` (float32), ``codes`` and ``scratch`` (uint64, and one
    more) have room for a part. ``out``, which may be ``x``, gets the values, and times the steps if
    ``multiplied`` is not None.
    """
    nans = 0
    no_words = scratch[:0].view(np.uint32)
    for low in range(0, x.size, PART):
        high = min(low + PART, x.size)
        part, count = x[low:high], high - low
        _spread(steps, low, high, height, width, size, down, spread)
        words = quotients[:count].view(np.int32)
        if exact is None:
            _divide(part, spread, factor, quotients)
        else:
            _divide_to_odd(part, spread, words)
        rounded = out[low:high] if multiplied is None else values[:count]
        if mode is None:
            more, _ = round_to(words, rounded.view(np.int32), plan, table, codes, in_steps)
        else:
            more, _ = round_stochastic(
                words, no_words, start + low, rounded.view(np.int32), plan, table, codes, mode,
                scratch,
            )  # fmt: skip
        nans += more
        if multiplied is not None:
            _multiply(rounded, spread, out[low:high])
    return nans


@kernel
def encode_blocks(
    x: Array, steps: Array, height: int, width: int, size: int, down: Any, plan: Array,
    in_steps: Any, spread: Array, quotients: Array, codes: Array,
) -> int:  # fmt: skip
    """Write the codes of what `round_blocks` rounds exactly, to nearest; return how many are NaN.

    ``plan`` and ``in_steps`` are as of `minifloat._kernels.codec.encode`.
    """
    nans = 0
    for low in range(0, x.size, PART):
        high = min(low + PART, x.size)
        _spread(steps, low, high, height, width, size, down, spread)
        words = quotients[: high - low].view(np.int32)
        _divide_to_odd(x[low:high], spread, words)
        more, _ = encode(words, codes[low:high], plan, in_steps)
        nans += more
    return nans


@kernel
def multiply_blocks(
    values: Array, steps: Array, height: int, width: int, size: int, down: Any, spread: Array,
    out: Array,
) -> None:  # fmt: skip
    """Write values times the steps of their blocks, as `round_blocks` does it."""
    for low in range(0, values.size, PART):
        high = min(low + PART, values.size)
        _spread(steps, low, high, height, width, size, down, spread)
        _multiply(values[low:high], spread, out[low:high])


@kernel
def find_clipped(
    x: Array, steps: Array, height: int, width: int, size: int, down: Any, factor: float,
    limit: float, spread: Array, quotients: Array, clipped: Array,
) -> None:  # fmt: skip
    """Write whether a quotient's magnitude is beyond ``limit``; float32 steps as `round_blocks`."""
    for low in range(0, x.size, PART):
        high = min(low + PART, x.size)
        _spread(steps, low, high, height, width, size, down, spread)
        _divide(x[low:high], spread, factor, quotients)
        _find_beyond(quotients[: high - low], limit, clipped[low:high])


@jit
def _find_beyond(x: Array, limit: Any, beyond: Array) -> None:
    limit = np.float32(limit)
    for i in range(x.size):
        beyond[i] = abs(x[i]) > limit
