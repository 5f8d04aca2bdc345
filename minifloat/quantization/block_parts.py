"""Arrays rotated and rounded part by part, on several threads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minifloat import _threads
from minifloat.quantization.block_rounding import BlockRounder, Found
from minifloat.quantization.rotations import Rotation

Array = NDArray[np.float32]

PART = 1 << 18  # numbers of the parts that all threads have at a time, about


@dataclass(frozen=True)
class Part:
    """Neighbours in memory, whole blocks: rows of one matrix, or whole matrices.

    Attributes
    ----------
    rows : slice
        Of all rows of an array.
    shape : tuple of int
        (rows, width), or (matrices, height, width) for several.
    place : int
        Of the first row in its matrix.
    """

    rows: slice
    shape: tuple[int, ...]
    place: int


def parts_of(shape: Sequence[int], axis: int, unit: int, threads: int = 1) -> list[Part]:
    """Return the parts of an array, of about `PART` numbers over the number of threads.

    Parameters
    ----------
    shape : sequence of int
    axis : int
        -1 or -2, along which blocks run.
    unit : int
        Along axis -2, a part of a matrix has a multiple of so many rows, but for the last.
    threads : int

    Examples
    --------
    >>> [part.rows for part in parts_of((48, 4096), -2, 32, threads=2)]
    [slice(0, 32, None), slice(32, 48, None)]
    """
    size = PART // threads
    width = shape[-1]
    total = math.prod(shape[:-1])
    if axis == -1:
        step = max(1, size // width)
        return [
            Part(rows, (rows.stop - rows.start, width), 0) for rows in _threads.slices(total, step)
        ]
    height = shape[-2]
    if height * width <= size:
        step = size // (height * width)
        return [
            Part(
                slice(some.start * height, some.stop * height),
                (some.stop - some.start, height, width),
                0,
            )
            for some in _threads.slices(total // height, step)
        ]
    step = max(1, size // (width * unit)) * unit
    return [
        Part(slice(top + r.start, top + r.stop), (r.stop - r.start, width), r.start)
        for top in range(0, total, height)
        for r in _threads.slices(height, step)
    ]


def rotated(
    x: Array, rotation: Rotation, axis: int = -1, *, back: bool = False, threads: int = 1,
    out: Array | None = None,
) -> Array:  # fmt: skip
    """Return an array rotated along an axis, -1 or -2, as `minifloat.Rotation` does it.

    ``out``, C-contiguous, receives the result, and may be ``x``.
    """
    out = np.empty(x.shape, np.float32) if out is None else out
    if not x.size:
        return out
    rows, result = (a.reshape(-1, x.shape[-1]) for a in (x, out))

    def work(part: Part) -> None:
        _rotated_part(part, rows, result, rotation, axis, x.shape[axis], back=back)

    _threads.each(work, parts_of(x.shape, axis, rotation.size, threads), threads)
    return out


def _rotated_part(
    part: Part, rows: Array, result: Array, rotation: Rotation, axis: int, length: int,
    *, back: bool = False,
) -> Array:  # fmt: skip
    """Write a part of ``rows``, rotated, to ``result``, and return it in its shape."""
    given = np.ascontiguousarray(rows[part.rows]).reshape(part.shape)
    turned = result[part.rows].reshape(part.shape)
    if axis == -1:
        rotation.transform(given, back=back, out=turned)
    else:
        rotation.transform_down(given, back=back, start=part.place, length=length, out=turned)
    return turned


def rounded_in_blocks(
    x: Array,
    rounder: BlockRounder,
    rotation: Rotation | None = None,
    *,
    clipped: NDArray[np.bool_] | None = None,
    threads: int = 1,
) -> Array | None:
    """Return an array rotated and rounded in blocks along the rounder's axis.

    None where the format has no scale for a block, or a number is not finite. ``clipped``, in the
    shape of ``x``, receives what `BlockRounder.round` says.
    """
    if not rounder.works:
        return None
    axis, length, width = rounder.axis, x.shape[rounder.axis], x.shape[-1]
    unit = rounder.size if rotation is None else math.lcm(rounder.size, rotation.size)
    out = np.empty(x.shape, np.float32)
    if not x.size:
        return out
    given = x if rotation is not None else np.ascontiguousarray(x)
    rows, result = (a.reshape(-1, width) for a in (given, out))
    mask = None if clipped is None else clipped.reshape(-1, width)
    parts = parts_of(x.shape, axis, min(unit, length), threads)
    counts = [rounder.count(part.shape) for part in parts]
    places = list(zip(parts, itertools.accumulate(counts, initial=0), strict=False))

    def of_blocks(part: Part) -> Found | None:
        if rotation is None:
            return rounder.of_blocks(rows[part.rows].reshape(part.shape))
        return rounder.of_blocks(_rotated_part(part, rows, result, rotation, axis, length))

    def round_part(part: Part, block: int, found: Found | None, tensor: float = 1.0) -> bool:
        numbers = (rows if rotation is None else result)[part.rows].reshape(part.shape)
        return found is not None and rounder.round(
            numbers, found, result[part.rows].reshape(part.shape), tensor=tensor,
            start=part.rows.start * width, block=block,
            clipped=None if mask is None else mask[part.rows],
        )  # fmt: skip

    if not rounder.recipe.tensor_scale:
        done = _threads.each(lambda place: round_part(*place, of_blocks(place[0])), places, threads)
    else:
        every = _threads.each(of_blocks, parts, threads)
        known = [int(found.max(initial=0)) for found in every if found is not None]
        if len(known) < len(every):
            return None
        tensor = rounder.tensor_scale(max(known))
        pairs = list(zip(places, every, strict=True))
        done = _threads.each(lambda pair: round_part(*pair[0], pair[1], tensor), pairs, threads)
    return out if all(done) else None
