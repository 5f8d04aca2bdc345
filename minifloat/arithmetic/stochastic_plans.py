"""Accumulators that round at random: each sum is computed first, and then rounded.

Result k of a call has a stream of its own, word k of the seed's stream. Of its words, the even ones
round sums, in the order of the additions, and the odd ones round products, in the order of the
terms. In a list of additions the terms that a sum begins with are rounded by the even words behind
those. So the bits depend on the seed and on the place of a result, and on neither tiles nor
threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import random_words
from minifloat._kernels import stochastic_sums as kernels
from minifloat._kernels import sums as sum_kernels
from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.step_plans import Plan, begun, grid_of, listed, modulus_of, normal_of
from minifloat.codec.stochastic import STOCHASTIC_KINDS
from minifloat.formats.rounding import Rounding

Array = NDArray[Any]

# float64 with more exponents than any sum: rounding to it changes no sum
LEAST = sum_kernels.LEAST
WIDE = np.array([(52, LEAST, math.inf, -math.inf, math.inf, -math.inf)], sum_kernels.GRID)
MODE = np.dtype([("kind", np.int64), ("bits", np.int64)])


def streams_of(seed: int, shape: tuple[int, ...]) -> Array:
    """Return the stream of each result, in C order."""
    streams = np.empty(shape, np.uint64)
    random_words.fill(streams.reshape(-1), np.uint64(seed))
    return streams


@dataclass(frozen=True, eq=False)
class StochasticPlan:
    """A stochastic accumulator; ``steps`` adds as it does, and rounds nothing."""

    accumulator: Accumulator
    steps: Plan
    mode: Array

    @classmethod
    def of(cls, accumulator: Accumulator) -> StochasticPlan:
        """Return the plan of an accumulator."""
        steps = replace(
            Plan.of(accumulator, Rounding.NEAREST_EVEN),
            grid=WIDE, mode=None, product=None, product_mode=None,
        )  # fmt: skip
        kind = STOCHASTIC_KINDS[accumulator.rounding]
        return cls(accumulator, steps, np.array([(kind, accumulator.random_bits)], MODE))

    def drawing(self, streams: Array) -> DrawnSums:
        """Return the plan of a tile, whose results have these streams."""
        return DrawnSums(self, np.ascontiguousarray(streams).reshape(-1))


@dataclass(eq=False)
class DrawnSums:
    """The sums of a tile."""

    plan: StochasticPlan
    streams: Array
    step: int = field(default=0, init=False)

    def add(self, a: Array, ea: Array, b: Array, eb: Array, sums: Array) -> None:
        """Add as `Plan.add` does."""
        steps, product = self.plan.steps, self.plan.accumulator.product
        at_once = steps.terms_at_once(len(b))
        for k in range(0, len(b), at_once):
            if product is None:
                steps.add_part(a, ea, b, eb, slice(k, min(k + at_once, len(b))), sums)
            else:
                self.add_rounded(a[:, k, None] * b[k], sums)
            self.round(sums, 2 * self.step)
            self.step += 1

    def add_rounded(self, products: Array, to: Array) -> None:
        """Add products that are rounded first."""
        self.round_products(products, 2 * self.step + 1)
        sum_kernels.add_numbers(to.reshape(-1), products.reshape(-1), WIDE, None)

    def add_by_list(self, a: Array, b: Array, sums: Array, pairs: Array) -> None:
        """Add as `Plan.add_by_list` does."""
        rows = listed(a, b, sums)
        if self.plan.accumulator.product is not None:
            for k in range(len(b)):
                self.round_products(rows[k + 1], 2 * k + 1)
        for row in begun(pairs).tolist():
            self.round(rows[row], 2 * (len(pairs) + row))
        for k, pair in enumerate(pairs):
            self.plan.steps.add_pairs(rows, pair[None])
            self.round(rows[pair[0]], 2 * k)
        sums[...] = rows[0].reshape(sums.shape)

    def round(self, numbers: Array, word: int) -> None:
        """Round sums by a word of each stream."""
        own = self.plan.accumulator
        grid, normal = grid_of(own.fmt, own.overflow), normal_of(own.fmt, own.flush)
        flat = numbers.reshape(-1)
        kernels.round_drawn(flat, self.streams, word, grid, self.plan.mode, modulus_of(own), normal)

    def round_products(self, numbers: Array, word: int) -> None:
        """Round products by a word of each stream."""
        own = self.plan.accumulator
        assert own.product is not None
        grid, normal = grid_of(own.product), normal_of(own.product, own.flush)
        flat = numbers.reshape(-1)
        kernels.round_drawn(flat, self.streams, word, grid, self.plan.mode, 0.0, normal)
