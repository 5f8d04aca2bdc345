"""What the kernels need of an accumulator, and the calls that add with it: `Plan`, `Negated`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import sums as kernels
from minifloat.arithmetic.accumulators import CUTS, Accumulator
from minifloat.arithmetic.sum_formats import SumFormat
from minifloat.formats.rounding import Rounding, Threshold, away_threshold

Array = NDArray[Any]
Mode = tuple[float, float, float, float, float, float] | None

CHUNK = 256  # terms that stay in the cache
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

    @classmethod
    def of(cls, accumulator: Accumulator, rounding: Rounding) -> Plan:
        """Return the plan of an accumulator that rounds in a mode, which is not stochastic."""
        product, flush = accumulator.product, accumulator.flush
        return cls(
            accumulator,
            grid_of(accumulator.fmt, accumulator.overflow),
            mode_of(rounding, modulus_of(accumulator), normal_of(accumulator.fmt, flush)),
            None if product is None else grid_of(product),
            None if product is None else mode_of(rounding, 0.0, normal_of(product, flush)),
            step_of(accumulator),
        )

    def terms_at_once(self, count: int) -> int:
        """Return how many of so many terms one step adds."""
        terms = self.accumulator.terms
        return max(count, 1) if terms == "all" else int(terms)

    def add(self, a: Array, ea: Array, b: Array, eb: Array, sums: Array) -> None:
        """Add the products of all terms of the rows ``a`` and columns ``b``, in their order."""
        self.add_part(a, ea, b, eb, slice(0, len(b)), sums)

    def add_part(self, a: Array, ea: Array, b: Array, eb: Array, part: slice, sums: Array) -> None:
        """Add the products of a part of the terms, step by step."""
        first, count, columns = part.start, part.stop, b.shape[1]
        at_once = self.terms_at_once(len(b))
        chunk = max(at_once, CHUNK // at_once * at_once)
        room = np.empty((4 + kernels.DIGITS, columns))
        tops = np.empty((2, columns), np.int16)
        if self.accumulator.bits is not None:
            kernels.add_aligned(
                b, eb, a, ea, first, count, chunk, sums, self.step, self.grid, self.mode, room, tops
            )
        elif at_once == 1:
            kernels.add_products(
                b, a, first, count, chunk, sums, self.grid, self.mode, self.product,
                self.product_mode,
            )  # fmt: skip
        else:
            kernels.add_exact(
                b, eb, a, ea, first, count, at_once, sums, self.grid, self.mode, room, tops
            )

    def add_by_list(self, a: Array, b: Array, sums: Array, pairs: Array) -> None:
        """Add the products of all terms as a list of additions says."""
        rows = listed(a, b, sums)
        if self.product is not None:
            kernels.round_numbers(rows[1:].reshape(-1), self.product, self.product_mode)
        first = begun(pairs)
        numbers = rows[first]
        kernels.round_numbers(numbers.reshape(-1), self.grid, self.mode)
        rows[first] = numbers
        self.add_pairs(rows, pairs)
        sums[...] = rows[0].reshape(sums.shape)

    def add_pairs(self, rows: Array, pairs: Array) -> None:
        """Add, for each pair of places, the second row of numbers to the first one."""
        kernels.add_pairs(rows, pairs, self.grid, self.mode)


@dataclass(frozen=True, eq=False)
class Negated:
    """An accumulator that adds terms one by one and rounds downward: negatives are rounded upward.

    So an exact sum of 0 is -0, unless both its terms are +0 (IEEE 754-2019, 6.3).
    """

    upward: Plan

    @classmethod
    def of(cls, accumulator: Accumulator) -> Negated:
        """Return the plan of an accumulator that rounds downward."""
        return cls(Plan.of(accumulator, Rounding.UPWARD))

    def add(self, a: Array, ea: Array, b: Array, eb: Array, sums: Array) -> None:
        """Add as `Plan.add` does."""
        np.negative(sums, out=sums)
        self.upward.add(-a, ea, b, eb, sums)
        np.negative(sums, out=sums)

    def add_by_list(self, a: Array, b: Array, sums: Array, pairs: Array) -> None:
        """Add as `Plan.add_by_list` does."""
        np.negative(sums, out=sums)
        self.upward.add_by_list(-a, b, sums, pairs)
        np.negative(sums, out=sums)


def listed(a: Array, b: Array, sums: Array) -> Array:
    """Return what a list of additions adds: the sums so far, and the products, a row each."""
    rows = np.empty((len(b) + 1, *sums.shape))
    rows[0] = sums
    with np.errstate(invalid="ignore"):
        np.multiply(a.T[:, :, None], b[:, None, :], out=rows[1:])
    return rows.reshape(len(rows), -1)


def begun(pairs: Array) -> Array:
    """Return the rows of terms that a sum begins with."""
    first: Array = np.unique(pairs[:, 0])
    return first[first > 0]


def add_numbers(sums: Array, others: Array, fmt: SumFormat) -> None:
    """Add numbers to numbers, in a format, to nearest even."""
    kernels.add_numbers(sums.reshape(-1), others.reshape(-1), grid_of(fmt), None)


@lru_cache(maxsize=64)
def grid_of(fmt: SumFormat, overflow: str | None = None) -> Array:
    """Return the record of a format; what is beyond it overflows to infinity, if it has any."""
    to_infinity = fmt.has_inf if overflow is None else overflow == "infinity"
    beyond = (math.inf, -math.inf) if to_infinity else (fmt.largest, fmt.least)
    row = (fmt.mantissa_bits, fmt.emin, fmt.largest, fmt.least, *beyond)
    return np.array([row], kernels.GRID)


def modulus_of(accumulator: Accumulator) -> float:
    """Return the modulus of sums that wrap around, or 0."""
    wraps = accumulator.overflow == "wrap"
    return math.ldexp(1.0, accumulator.fmt.emin) if wraps else 0.0


def normal_of(fmt: SumFormat, flush: bool) -> float:
    """Return the least magnitude that is not flushed to zero."""
    return math.ldexp(1.0, fmt.emin) if flush else 0.0


def mode_of(rounding: Rounding, modulus: float, normal: float) -> Mode:
    """Return what the kernels need of a mode, see `sums.rounded`."""
    if rounding is Rounding.NEAREST_EVEN and not modulus and not normal:
        return None
    even, odd, minus_even, minus_odd = (
        FRACTIONS[away_threshold(rounding, odd=odd, negative=negative)]
        for negative in (False, True)
        for odd in (False, True)
    )
    return even, odd, minus_even, minus_odd, modulus, normal


def step_of(accumulator: Accumulator) -> Array:
    """Return the record of a step."""
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
