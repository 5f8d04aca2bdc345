"""One call of `encode` or `round_to`: where it may write, and its errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat import _arrays
from minifloat.codec.plans import Counts, EncodePlan, RoundPlan, TablePlan
from minifloat.codec.stochastic import NO_WORDS, StochasticMode
from minifloat.formats.rounding import Overflow

Array = NDArray[Any]


@dataclass
class Call:
    """The numbers that a call rounds, and the plan, mode and threads that it uses."""

    values: Array
    plan: EncodePlan
    mode: StochasticMode | None
    threads: int

    def encode(self, codes: Array, *, fresh: bool) -> None:
        """Write the codes, or raise an error."""
        if not fresh:
            self._keep_apart(codes, in_place=False)
        counts = self._apply(self.plan.encode, self.plan.encode_stochastic, codes)
        raise_for(counts, self.values, self.plan)

    def round_to(self, plan: RoundPlan, target: Array, *, fresh: bool) -> None:
        """Write the rounded values, or raise an error."""
        if not fresh:
            self._keep_apart(target, in_place=True)
        counts = self._apply(plan.round_to, plan.round_stochastic, target)
        raise_for(counts, self.values, self.plan)

    def _keep_apart(self, out: Array, *, in_place: bool) -> None:
        """Copy the inputs that ``out`` overlaps.

        Where these are the numbers, raise all errors first, so that none is lost with an error.
        ``in_place`` says that a result may be written over the number that it comes from.
        """
        if np.may_share_memory(self.values, out):
            if self.plan.overflow is Overflow.RAISE or self.plan.nan_is_error:
                raise_for(self._count(), self.values, self.plan)
            if _arrays.overlapping(self.values, out, in_place=in_place):
                self.values = self.values.copy()
        words = None if self.mode is None else self.mode.random_words
        if self.mode is not None and words is not None and np.may_share_memory(words, out):
            self.mode = StochasticMode(self.mode.record, words.copy())

    def _count(self) -> Counts:
        """Return how many NaNs and overflows there are."""
        dtype = self.plan.code_dtype

        def encode(values: Array) -> Counts:
            return self.plan.encode(values, np.empty(values.size, dtype))

        def encode_stochastic(values: Array, words: Array, start: int, mode: Array) -> Counts:
            codes = np.empty(values.size, dtype)
            return self.plan.encode_stochastic(values, words, start, codes, mode)

        return self._apply(encode, encode_stochastic, None)

    def _apply(
        self,
        deterministic: Callable[..., Counts],
        stochastic: Callable[..., Counts],
        target: Array | None,
    ) -> Counts:
        """Call ``deterministic(values[, target])`` or its stochastic sister on chunks."""
        arrays: list[tuple[Array, DTypeLike]] = [(self.values, self._source_dtype())]
        mode = self.mode
        if mode is not None and mode.random_words is not None:
            arrays.append((mode.random_words, np.uint32))
        places = 0 if target is None else 1

        def work(start: int, values: Array, *rest: Array) -> Counts:
            out = rest[len(rest) - places :]
            if mode is None:
                return deterministic(values, *out)
            words = NO_WORDS if mode.random_words is None else rest[0]
            return stochastic(values, words, start, *out, mode.record)

        return _arrays.apply_in_chunks(
            work,
            arrays,
            target,
            chunked=target is None or isinstance(self.plan, TablePlan),
            ordered=mode is not None,
            threads=self.threads,
        )

    def _source_dtype(self) -> np.dtype[Any]:
        """Return the dtype in which the kernel reads the values."""
        name = self.plan.source_name
        if _arrays.dtype_name(self.values.dtype) == name:  # bfloat16 has no dtype in NumPy
            return self.values.dtype.newbyteorder("=")
        return np.dtype(name)


def raise_for(counts: Counts, values: Array, plan: EncodePlan) -> None:
    """Raise if there are NaNs or overflows that the plan's policies do not allow."""
    nans, overflows = counts
    fmt = plan.fmt
    if nans and plan.nan_is_error:
        index = _arrays.first_index(values, np.isnan)
        raise ValueError(
            f"x must hold no NaN for {fmt}, which has none, got {nans} NaN, the first at index "
            f'{index}; replace it, or pass nan="zero" or nan="max"'
        )
    if overflows and plan.overflow is Overflow.RAISE:
        low, high = fmt.min, fmt.max

        def outside(x: Array) -> Array:
            exact = x.astype(np.float64)
            return np.asarray((exact < low) | (exact > high))

        index = _arrays.first_index(values, outside)
        example = "" if index is None else f", for example {values[index]!s} at index {index}"
        raise ValueError(
            f"x must round to {fmt}'s range {low:g} .. {high:g} with "
            f'overflow="raise", got {overflows} beyond it{example}; scale x, or pass '
            f'overflow="saturate"'
        )
