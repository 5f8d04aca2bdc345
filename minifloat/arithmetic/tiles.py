"""A matrix of dot products, in tiles of columns that threads share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat import _jit
from minifloat._threads import each
from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.orders import CHAINS, additions
from minifloat.arithmetic.plans import Plan, add_float32, plan_of

Array = NDArray[Any]
Terms = tuple[Array, Array]  # values and exponents

COLUMNS = 64  # of a tile
ROWS = 256  # of a tile, at most
PRODUCTS = 1 << 21  # that are in memory at a time where the order asks for that
SMALL = 256  # products that are worth no compiling


def add_up(
    accumulator: Accumulator,
    a: Terms,
    b: Callable[[slice], Terms],
    sums: Array,
    threads: int,
) -> None:
    """Add to the sums of each row and column the products of the row of a and the column of b.

    ``a`` has rows, ``b`` returns some columns, contiguous, and ``sums`` is float64 of shape (rows,
    columns).
    """
    plan = plan_of(accumulator)
    rows, columns = sums.shape
    if rows * columns * a[0].shape[1] > SMALL:
        _jit.load()
    height = min(ROWS, max(1, -(-rows // threads))) if columns < COLUMNS * threads else ROWS
    parts = [
        (slice(i, min(i + height, rows)), slice(j, min(j + COLUMNS, columns)))
        for j in range(0, columns, COLUMNS)
        for i in range(0, rows, height)
    ]

    def work(part: tuple[slice, slice]) -> None:
        mine, these = part
        tile = np.ascontiguousarray(sums[part])
        _add_tile(plan, (a[0][mine], a[1][mine]), b(these), tile)
        sums[part] = tile

    each(work, parts, threads)


def _add_tile(plan: Plan, a: Terms, b: Terms, tile: Array) -> None:
    order, promote = plan.accumulator.order, plan.accumulator.promote
    if order not in CHAINS:
        _add_by_list(plan, a[0], b[0], tile)
        return
    (values, exponents), (others, their_exponents) = a, b
    if order == "reversed":
        values, exponents = values[:, ::-1], exponents[:, ::-1]
        others, their_exponents = others[::-1], their_exponents[::-1]

    def add(part: slice, sums: Array) -> None:
        plan.add(
            np.ascontiguousarray(values[:, part]),
            np.ascontiguousarray(exponents[:, part]),
            np.ascontiguousarray(others[part]),
            np.ascontiguousarray(their_exponents[part]),
            sums,
        )

    if promote is None:
        add(slice(None), tile)
        return
    for k in range(0, len(others), promote):
        partial = np.zeros_like(tile)
        add(slice(k, k + promote), partial)
        add_float32(tile, partial)


def _add_by_list(plan: Plan, a: Array, b: Array, tile: Array) -> None:
    """Make all products of some rows, and add them up as the order's list says."""
    count, columns = b.shape
    pairs = additions(plan.accumulator.order, count)
    height = max(1, PRODUCTS // ((count + 1) * columns))
    for i in range(0, len(a), height):
        rows = tile[i : i + height]
        products = np.empty((count + 1, *rows.shape))
        products[0] = rows
        with np.errstate(invalid="ignore"):
            np.multiply(a[i : i + height].T[:, :, None], b[:, None, :], out=products[1:])
        plan.add_in_pairs(products.reshape(count + 1, -1), pairs)
        rows[...] = products[0]
