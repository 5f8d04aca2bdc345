"""A matrix of dot products, in tiles of columns that threads share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat import _jit
from minifloat._kernels.sums import NOTHING
from minifloat._threads import each
from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.orders import additions, is_chain, places
from minifloat.arithmetic.plans import TilePlan, plan_of
from minifloat.arithmetic.step_plans import add_numbers
from minifloat.arithmetic.stochastic_plans import StochasticPlan

Array = NDArray[Any]
Terms = tuple[Array, Array]  # values and exponents
PlanOfRows = Callable[[slice], TilePlan]

COLUMNS = 64  # of a tile
ROWS = 256  # of a tile, at most
SMALL = 256  # products that are worth no compiling
PRODUCTS = 1 << 16  # that are kept at a time where the order asks for that: they fit in a cache


def add_up(
    accumulator: Accumulator,
    a: Terms,
    b: Callable[[slice], Terms],
    sums: Array,
    threads: int,
    streams: Array | None = None,
) -> None:
    """Add to the sums of each row and column the products of the row of a and the column of b.

    ``a`` has rows, ``b`` returns some columns, contiguous, and ``sums`` is float64 of shape (rows,
    columns). Along a third axis ``b`` may have the factors of products that float64 does not hold.
    ``streams`` are those of the sums, if the accumulator is stochastic.
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

        def own(rows: slice) -> TilePlan:
            if isinstance(plan, StochasticPlan):
                assert streams is not None
                return plan.drawing(streams[part][rows])
            return plan

        _add_tile(accumulator, own, (a[0][mine], a[1][mine]), b(these), tile)
        sums[part] = tile

    each(work, parts, threads)


def _add_tile(
    accumulator: Accumulator, plan_of_rows: PlanOfRows, a: Terms, b: Terms, tile: Array
) -> None:
    order, promote = accumulator.order, accumulator.promote
    if not is_chain(order):
        _add_by_list(accumulator, plan_of_rows, a[0], b[0], tile)
        return
    plan = plan_of_rows(slice(None))
    if order != "sequential":
        order_of_terms = places(order, len(b[0]))
        a = _taken(a[0].T, order_of_terms, 0.0).T, _taken(a[1].T, order_of_terms, NOTHING).T
        b = _taken(b[0], order_of_terms, 0.0), _taken(b[1], order_of_terms, NOTHING)

    def add(part: slice, sums: Array) -> None:
        plan.add(
            np.ascontiguousarray(a[0][:, part]),
            np.ascontiguousarray(a[1][:, part]),
            np.ascontiguousarray(b[0][part]),
            np.ascontiguousarray(b[1][part]),
            sums,
        )

    if promote is None:
        add(slice(None), tile)
        return
    for k in range(0, len(b[0]), promote):
        partial = np.zeros_like(tile)
        add(slice(k, k + promote), partial)
        add_numbers(tile, partial, accumulator.outer)


def _taken(terms: Array, order: Array, filling: float) -> Array:
    """Return terms in an order, and a filling where it names none of them."""
    there = order < len(terms)
    taken = np.full((len(order), *terms.shape[1:]), filling, terms.dtype)
    taken[there] = terms[order[there]]
    return taken


def _add_by_list(
    accumulator: Accumulator, plan_of_rows: PlanOfRows, a: Array, b: Array, tile: Array
) -> None:
    """Add up the products of some rows at a time, as the order's list says."""
    count, columns = b.shape[:2]
    pairs = additions(accumulator.order, count)
    height = max(1, PRODUCTS // ((count + 1) * columns))
    for i in range(0, len(a), height):
        rows = slice(i, i + height)
        plan_of_rows(rows).add_by_list(a[rows], b, tile[rows], pairs)
