"""Products with 8-bit activations: sums of integers, which are exact, then scaled.

`multiply` is what counts: by kernels where these can, otherwise by NumPy, bit for bit the same.
Importing this file imports no Numba; what needs it is in `minifloat.products.direct_integer`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat import _jit
from minifloat._arrays import first_index
from minifloat._kernels import activations as kernels
from minifloat._kernels.scales import AbsmaxToScale, ScaleValues
from minifloat._threads import each
from minifloat.products.integers import small_integers
from minifloat.products.matrix import PackedMatrix, form_of
from minifloat.products.tiles import tiles_of

Array = NDArray[Any]

FEWEST = 16  # rows that the kernels multiply by
LONGEST = 1 << 16  # part; 255 * 127 times that is within int32


class Activations(NamedTuple):
    """How vectors become integers of 8 bits: as `minifloat.quantize` has it, by absmax."""

    block: int | None  # None: a vector
    scale_name: str
    scale_values: ScaleValues
    rule: AbsmaxToScale

    def width(self, length: int) -> int:
        """Return the numbers of a block of vectors of this length."""
        return length if self.block is None else min(self.block, length)


class IntegerVectors(NamedTuple):
    """Vectors as integers, and what their parts share."""

    integers: Array  # int8, (count, length)
    scales: Array  # float32, (count, parts)
    part: int  # columns of a part; the last one may be shorter


def multiply(
    q: PackedMatrix, x: NDArray[np.float32], activations: Activations, threads: int
) -> NDArray[np.float32]:
    """Return ``x @ w.T`` of vectors that become integers; see `minifloat.linear`.

    Raises
    ------
    ValueError
        If the format or the blocks of ``q`` allow no sums of integers, or ``x`` is not finite or
        beyond the scales' format.
    """
    rows, length = q.shape
    part = _part(q, activations)
    if rows >= FEWEST and x.size and _jit.load():
        made: NDArray[np.float32] | None
        made = form_of(q, _direct, part).multiply(x, activations, threads)
        if made is not None:
            return made
    vectors = _quantized(np.ascontiguousarray(x), activations, part)
    y = np.zeros((len(x), rows), np.float32)
    if y.size and length:
        each(lambda tile: _write_tile(q, vectors, y, tile), tiles_of(rows, length), threads)
    return y


def _direct(q: PackedMatrix, part: int) -> Any:
    from minifloat.products.direct_integer import DirectInteger  # which imports Numba

    return DirectInteger(q, part)


def factor_of(q: PackedMatrix, exponent: int) -> float:
    """Return the factor of all results: exact, since both are of float32."""
    return math.ldexp(1.0 if q.tensor_scale is None else q.tensor_scale, exponent)


def width_of(q: PackedMatrix) -> int:
    """Return the columns of a block of weights."""
    length = q.shape[1]
    return length if q.blocks.axis is None else int(min(q.blocks.width, length))


def _part(q: PackedMatrix, activations: Activations) -> int:
    """Return the columns of a part: the smaller of both blocks, as long as the sums allow.

    Raise an error if the format or the blocks allow no sums of integers.
    """
    small_integers(q.fmt)
    if q.blocks.axis == 0:
        raise ValueError(
            "q must have blocks along its rows, axis 1, for activations, got axis 0, where each "
            "product of a sum has another scale; use quantize(w, ..., axis=-1)"
        )
    length = q.shape[1]
    if length == 0:
        return 1
    width = width_of(q)
    block = activations.width(length)
    small, large = sorted((width, block))
    if large < length and large % small:
        raise ValueError(
            "activations must have blocks that divide the weights' or are their multiples, got "
            f'blocks of {block} for {width}; use blocks of {width}, or "channel"'
        )
    if small <= LONGEST:
        return small
    return LONGEST if small == length else math.gcd(small, LONGEST)


def _quantized(x: NDArray[np.float32], activations: Activations, part: int) -> IntegerVectors:
    """Quantize vectors; part by part their scales are those of their blocks."""
    count, length = x.shape
    integers = np.empty(x.shape, np.int8)
    if x.size == 0:
        return IntegerVectors(integers, np.zeros((count, 0), np.float32), part)
    block = activations.width(length)
    scales = np.empty((count, -(-length // block)), np.float32)
    lows, absmax, wide = np.empty((3, scales.size))
    if not kernels.to_integers(
        x, x.reshape(-1).view(np.int32), block, activations.scale_values, activations.rule, lows,
        absmax, wide, scales, integers,
    ):  # fmt: skip
        _raise(x, activations, absmax, wide)
    if block != part:
        scales = np.ascontiguousarray(scales[:, np.arange(0, length, part) // block])
    return IntegerVectors(integers, scales, part)


def _raise(x: Array, activations: Activations, absmax: Array, wide: Array) -> None:
    """Raise the error of the number or the scale that is not finite."""
    index = first_index(x, lambda a: ~np.isfinite(a))
    if index is not None:
        raise ValueError(
            f"x must be finite for activations, got {x[index]} at index {index[1]} of the last "
            "axis; replace it, or leave out activations"
        )
    beyond = absmax[~np.isfinite(wide)][0]
    raise ValueError(
        f"activations must have scales that hold every block's, got {activations.scale_name} for a "
        f"block of x with absmax {beyond:g}; use float32 scales, or smaller x"
    )


def _write_tile(q: PackedMatrix, vectors: IntegerVectors, y: Array, rows: slice) -> None:
    """Write the products with some rows; sums of integers are exact in float64, in any order."""
    tile, values = q[rows], small_integers(q.fmt)
    weights = values.table[tile.codes].astype(np.float64) + values.low
    scales, zeros = tile.row_scales().astype(np.float64), tile.row_zero_points()
    total = np.zeros((len(y), len(weights)))
    for k, block in enumerate(np.arange(0, q.shape[1], vectors.part) // width_of(q)):
        columns = slice(k * vectors.part, (k + 1) * vectors.part)
        part = weights[:, columns]
        if zeros is not None:
            part = part - zeros[:, block, None]
        sums = vectors.integers[:, columns].astype(np.float64) @ part.T
        total += sums * (scales[:, block] * vectors.scales[:, k, None].astype(np.float64))
    with np.errstate(over="ignore", under="ignore"):
        y[:, rows] = total * factor_of(q, values.exponent)
