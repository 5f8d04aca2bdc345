"""Tiles of weights: rows that one call of NumPy's product takes at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TILE = 1 << 18  # weights of a tile: 1 MiB of float32
HEAD_START = 3 << 18  # products that the caller's thread sums up while others are woken
ROWS = 8  # this many rows of packed codes, whatever their width, fill whole bytes


def parts_of(rows: slice, share: int, ahead: int = 0) -> list[slice]:
    """Split rows into parts of ``share``; the first part has ``ahead`` rows more."""
    starts = range(rows.start + ahead + share, rows.stop, share)
    return [slice(start, stop) for start, stop in pairwise((rows.start, *starts, rows.stop))]


def shares_of(rows: int, cost: int, threads: int, together: int = 1) -> list[slice]:
    """Split rows into a part for each thread; the first part has the rows of the head start too.

    A row costs so many products. Parts are multiples of ``together`` rows, but for the last one.
    Below three head starts one thread is about as fast, and all is one part.
    """
    if rows * cost < 3 * HEAD_START:
        return [slice(0, rows)]
    ahead = HEAD_START // cost // together * together
    share = -(-(rows - ahead) // (threads * together)) * together
    return parts_of(slice(0, rows), max(together, share), ahead)


def tiles_of(rows: int, length: int, size: int | None = None) -> list[slice]:
    """Split all rows into tiles, of a `TILE` if no other size is given.

    Each begins at a whole byte of the packed codes.
    """
    return parts_of(slice(0, rows), max(ROWS, (size or TILE) // length // ROWS * ROWS))


def times_transposed(x: Array, weights: Array, out: Array | None = None) -> Array:
    """Return ``x @ weights.T``, without warnings about what overflows or underflows."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(np.matmul(x, weights.T, out=out))
