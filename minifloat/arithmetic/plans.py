"""Plans: what the kernels need of an accumulator, made once and cached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import sums as kernels
from minifloat.arithmetic.accumulators import CUTS, Accumulator
from minifloat.arithmetic.doubles import DoublePlan
from minifloat.arithmetic.sum_formats import FLOAT64, SumFormat
from minifloat.formats.rounding import Rounding, Threshold, away_threshold

Array = NDArray[Any]
Mode = tuple[float, float, float, float, float, float] | None

CHUNK = 256  # terms that stay in the cache
PRODUCTS = 1 << 16  # that are kept at a time where the order asks for that: they fit in a cache
FRACTIONS = {  # the smallest fraction that reaches a threshold
    Threshold.ABOVE_ZERO: 5e-324,
    Threshold.HALF: 0.5,
    Threshold.ABOVE_HALF: math.nextafter(0.5, 1.0),
    Threshold.NEVER: 2.0,
}


@dataclass(frozen=True, eq=False)
class Plan:
    """The records of an accumulator."""

    accumulator: Accumulator
    grid: Array
    mode: Mode
    product: Array | None
    product_mode: Mode
    step: Array

    def add(self, a: Array, ea: Array, b: Array, eb: Array, sums: Array) -> None:
        """Add the products of all terms of the rows ``a`` and columns ``b``, in their order."""
        terms, (count, columns) = self.accumulator.terms, b.shape
        at_once = max(count, 1) if terms == "all" else int(terms)
        chunk = max(at_once, CHUNK // at_once * at_once)
        room = np.empty((4 + kernels.DIGITS, columns))
        tops = np.empty((2, columns), np.int16)
        if self.accumulator.bits is not None:
            kernels.add_aligned(
                b, eb, a, ea, 0, count, chunk, sums, self.step, self.grid, self.mode, room, tops
            )
        elif at_once == 1:
            kernels.add_products(
                b, a, 0, count, chunk, sums, self.grid, self.mode, self.product, self.product_mode
            )
        else:
            kernels.add_exact(
                b, eb, a, ea, 0, count, at_once, sums, self.grid, self.mode, room, tops
            )

    def add_by_list(self, a: Array, b: Array, sums: Array, pairs: Array) -> None:
        """Add the products of all terms as a list of additions says."""
        rows = np.empty((len(b) + 1, *sums.shape))
        rows[0] = sums
        with np.errstate(invalid="ignore"):
            np.multiply(a.T[:, :, None], b[:, None, :], out=rows[1:])
        rows = rows.reshape(len(rows), -1)
        if self.product is not None:
            kernels.round_numbers(rows[1:].reshape(-1), self.product, self.product_mode)
        first = np.unique(pairs[:, 0])
        first = first[first > 0]  # terms that a sum begins with
        begun = rows[first]
        kernels.round_numbers(begun.reshape(-1), self.grid, self.mode)
        rows[first] = begun
        self.add_pairs(rows, pairs)
        sums[...] = rows[0].reshape(sums.shape)

    def add_pairs(self, rows: Array, pairs: Array) -> None:
        """Add, for each pair of places, the second row of numbers to the first one."""
        kernels.add_pairs(rows, pairs, self.grid, self.mode)


@lru_cache(maxsize=256)
def plan_of(accumulator: Accumulator) -> Plan | DoublePlan:
    """Return the plan of an accumulator."""
    if accumulator.fmt == FLOAT64:
        return DoublePlan(accumulator)
    product = accumulator.product
    return Plan(
        accumulator,
        _grid(accumulator.fmt, accumulator.overflow),
        _mode(accumulator, accumulator.fmt, wraps=accumulator.overflow == "wrap"),
        None if product is None else _grid_of(product),
        None if product is None else _mode(accumulator, product, wraps=False),
        _step(accumulator),
    )


def add_numbers(sums: Array, others: Array, fmt: SumFormat) -> None:
    """Add numbers to numbers, in a format, to nearest even."""
    kernels.add_numbers(sums.reshape(-1), others.reshape(-1), _grid_of(fmt), None)


@lru_cache(maxsize=64)
def _grid_of(fmt: SumFormat) -> Array:
    return _grid(fmt, "infinity" if fmt.has_inf else "saturate")


def _grid(fmt: SumFormat, overflow: str) -> Array:
    beyond = (math.inf, -math.inf) if overflow == "infinity" else (fmt.largest, fmt.least)
    row = (fmt.mantissa_bits, fmt.emin, fmt.largest, fmt.least, *beyond)
    return np.array([row], kernels.GRID)


def _mode(accumulator: Accumulator, fmt: SumFormat, *, wraps: bool) -> Mode:
    rounding = accumulator.rounding
    if rounding is Rounding.NEAREST_EVEN and not wraps and not accumulator.flush:
        return None
    even, odd, minus_even, minus_odd = (
        FRACTIONS[away_threshold(rounding, odd=odd, negative=negative)]
        for negative in (False, True)
        for odd in (False, True)
    )
    modulus = math.ldexp(1.0, fmt.emin) if wraps else 0.0
    normal = math.ldexp(1.0, fmt.emin) if accumulator.flush else 0.0
    return even, odd, minus_even, minus_odd, modulus, normal


def _step(accumulator: Accumulator) -> Array:
    fmt = accumulator.fmt
    limit = math.inf if accumulator.limit is None else math.ldexp(1.0, accumulator.limit)
    row = (
        1 if accumulator.terms == "all" else accumulator.terms,
        accumulator.lanes,
        accumulator.group,
        0 if accumulator.bits is None else accumulator.bits,
        CUTS.index(accumulator.cut),
        kernels.LEAST if accumulator.floor is None else accumulator.floor,
        kernels.LEAST if fmt.is_fixed else fmt.emin,
        -1 if accumulator.late is None else accumulator.late,
        accumulator.drops,
        limit,
    )
    return np.array([row], kernels.STEP)
