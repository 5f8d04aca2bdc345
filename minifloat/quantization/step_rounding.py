"""Blocks of float32 numbers over their steps, rounded to values of a format, by kernels.

A step is what a value of 1 means in a block. Blocks run along the last axis or the one before it,
over the numbers as they lie in memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import block_rounding as kernels
from minifloat._kernels import block_sums as sums
from minifloat.codec.plans import ArithmeticPlan, RoundPlan, encode_plan, round_plan
from minifloat.codec.stochastic import mode_record
from minifloat.formats.base import NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding

Array = NDArray[np.float32]
Figures = NDArray[np.float64]  # of blocks
Steps = NDArray[Any]

_SINGLE = np.dtype(np.float32)


class StepRounder:
    """Rounds the numbers of blocks, whose steps are given.

    With float64 steps, quotients and products are rounded once; with float32 steps each operation
    is rounded to float32. All arrays are C-contiguous.

    Parameters
    ----------
    fmt : NumberFormat
        Of the values.
    axis : int
        -1 or -2, along which blocks run.
    size : int
        Numbers of a block.
    factor : float
        Quotients by float32 steps are multiplied by it.
    seed : int, optional
        Rounding is stochastic, as `minifloat.round_to` does it with the quotients of the whole
        array; without it, to nearest.

    Attributes
    ----------
    works : bool
        Whether the kernels have a way to this format.
    """

    def __init__(
        self,
        fmt: NumberFormat,
        axis: int,
        size: int,
        *,
        factor: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self.fmt, self.axis, self.size, self.factor = fmt, axis, size, factor
        self._plan = _plan_of(fmt, seed is not None)
        self.works = self._plan is not None
        self._mode = None if seed is None else mode_record(Rounding.STOCHASTIC, seed)

    def count(self, shape: Sequence[int]) -> int:
        """Return how many blocks an array has."""
        lengths = list(shape)
        lengths[self.axis] = -(-lengths[self.axis] // self.size)
        return math.prod(lengths)

    def lengths(self, shape: Sequence[int]) -> NDArray[np.int64]:
        """Return how many numbers each block has."""
        length = shape[self.axis]
        own = np.diff(np.arange(0, length, self.size), append=length)
        if self.axis == -2:
            own = np.repeat(own, shape[-1])
        return np.tile(own, self.count(shape) // own.size)

    def layout(self, x: Array) -> tuple[int, int, int, Any]:
        """Return height, width, size and direction of the blocks of an array, for kernels."""
        height = x.shape[-2] if x.ndim > 1 else 1
        return height, x.shape[-1], self.size, True if self.axis == -2 else None

    def round(self, x: Array, steps: Steps, out: Array, *, start: int = 0) -> bool:
        """Write values times steps to ``out``, which may be ``x``.

        ``start`` is the place of the first number, where ``x`` is a part of an array in memory.
        Return whether no quotient is NaN.
        """
        return self._round(x, steps, out, start, multiplied=True)

    def values(self, x: Array, steps: Steps, out: Array) -> bool:
        """Write values alone; else as `round`."""
        return self._round(x, steps, out, 0, multiplied=None)

    def _round(
        self, x: Array, steps: Steps, out: Array, start: int, *, multiplied: bool | None
    ) -> bool:
        plan, room = self._plan, _room(x)
        assert plan is not None
        assert isinstance(plan.encode, ArithmeticPlan)
        assert plan.record is not None
        quotients, values = np.empty((2, room), np.float32)
        nans = kernels.round_blocks(
            x.reshape(-1), steps, *self.layout(x), True if steps.dtype == np.float64 else None,
            self.factor, plan.record, plan.decode.table, plan.encode.in_steps, self._mode, start,
            multiplied, np.empty(room, steps.dtype), quotients, values,
            np.empty(room, plan.encode.code_dtype), np.empty(kernels.PART + 1, np.uint64),
            out.reshape(-1),
        )  # fmt: skip
        return not nans

    def codes(self, x: Array, steps: Figures, out: NDArray[Any]) -> bool:
        """Write the codes of values, to nearest; else as `round`."""
        assert self._plan is not None
        plan, room = self._plan.encode, _room(x)
        assert isinstance(plan, ArithmeticPlan)
        nans = kernels.encode_blocks(
            x.reshape(-1), steps, *self.layout(x), plan.record, plan.in_steps,
            np.empty(room, steps.dtype), np.empty(room, np.float32), out.reshape(-1),
        )  # fmt: skip
        return not nans

    def multiply(self, values: Array, steps: Steps, out: Array) -> None:
        """Write values times steps."""
        kernels.multiply_blocks(
            values.reshape(-1), steps, *self.layout(values), np.empty(_room(values), steps.dtype),
            out.reshape(-1),
        )  # fmt: skip

    def find_clipped(self, x: Array, steps: Steps, out: NDArray[np.bool_]) -> None:
        """Write which quotients by float32 steps are beyond the largest magnitude of the format."""
        spread, quotients = np.empty((2, _room(x)), np.float32)
        kernels.find_clipped(
            x.reshape(-1), steps, *self.layout(x), self.factor, self.fmt.max_abs, spread,
            quotients, out.reshape(-1),
        )  # fmt: skip

    def squared_errors(self, x: Array, values: Array, steps: Steps) -> Figures:
        """Return the squared error of each block, whose numbers become values times the step."""
        found = np.empty(steps.size)
        sums.squared_errors(x.reshape(-1), values.reshape(-1), steps, *self.layout(x), found)
        return found

    def dots(self, x: Array, y: Array) -> Figures:
        """Return the sum of the products of the numbers of each block."""
        found = np.empty(self.count(x.shape))
        sums.dots(x.reshape(-1), y.reshape(-1), *self.layout(x), found)
        return found


def _plan_of(fmt: NumberFormat, is_stochastic: bool) -> RoundPlan | None:
    """Return how float32 numbers are rounded to a format; None if no kernel of blocks does it."""
    rounding = Rounding.STOCHASTIC if is_stochastic else Rounding.NEAREST_EVEN
    try:
        plan = encode_plan(fmt, "float32", rounding, Overflow.SATURATE, NaNPolicy.RAISE)
        found = round_plan(plan, _SINGLE)
    except ValueError:  # blocks have tables, or float32 does not hold every value
        return None
    reads_single = isinstance(plan, ArithmeticPlan) and plan.source_name == "float32"
    return found if reads_single and found.record is not None else None


def _room(x: Array) -> int:
    return min(x.size, kernels.PART)
