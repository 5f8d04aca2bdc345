"""Blocks of float32 numbers rounded in one pass: what codes and scales would mean, without codes.

Blocks run along the last axis or the one before it, over the numbers as they lie in memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import block_rounding as kernels
from minifloat._kernels import block_sums as sums
from minifloat._kernels import codec as codec_kernels
from minifloat.codec import RANDOM_BITS
from minifloat.codec.plans import ArithmeticPlan, RoundPlan, encode_plan, round_plan
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.quantization.pipeline import tensor_scale_of
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleSearch, absmax_to_scale

Array = NDArray[np.float32]
Found = NDArray[Any]  # of blocks: the words of their largest magnitudes, or other figures
Steps = NDArray[Any]

LARGEST_WORD = 0x7F7FFFFF  # of a finite float32
SMALLEST = 2.0**-126  # step where operations are rounded to float32
_SINGLE = np.dtype(np.float32)


class BlockRounder:
    """Rounds blocks of arrays, and of parts of them that hold whole blocks.

    Parameters
    ----------
    recipe : Recipe
        Of scales from absmax, and values; or with alternatives that differ in what absmax becomes.
    axis : int
        -1 or -2, along which blocks run.
    size : int
        Numbers of a block.
    exact : bool
        Whether quotients by steps (scales times a tensor scale), and products with them, are
        rounded once, as `minifloat.quantize` and `dequantize` do it; else steps and each operation
        are rounded to float32, and steps are 2**-126 or more.
    factor : float
        Quotients are multiplied by it, if not exact.
    seed : int, optional
        Rounding is stochastic, as `minifloat.round_to` does it with the quotients of the whole
        array; without it, to nearest.

    Attributes
    ----------
    works : bool
        Whether kernels do this: recipes of another search, for example, or of a codebook, have
        none.
    """

    def __init__(
        self,
        recipe: Recipe,
        axis: int,
        size: int,
        *,
        exact: bool = True,
        factor: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self.recipe, self.axis, self.size, self.factor = recipe, axis, size, factor
        self.is_exact = exact
        self._plan = _plan_of(recipe.fmt, seed is not None)
        self._candidates = recipe.candidates
        self.works = (
            self._plan is not None and recipe.fmt.min < 0
            and recipe.search is ScaleSearch.ABSMAX and not isinstance(recipe.block, tuple)
            and not (recipe.rotation or recipe.double or recipe.zero_point or recipe.one_scale)
            and all(each.fmt == recipe.fmt for each in self._candidates)
            and (exact or len(self._candidates) == 1)
        )  # fmt: skip
        self._mode = None if seed is None else stochastic_mode(seed)
        powers = not recipe.scale.values.mantissa_bits and not recipe.tensor_scale
        powers &= len(self._candidates) == 1
        self._steps = np.dtype(np.float64 if exact and not powers else np.float32)
        self._least = 0.0 if exact else SMALLEST

    def count(self, shape: Sequence[int]) -> int:
        """Return how many blocks an array has."""
        lengths = list(shape)
        lengths[self.axis] = -(-lengths[self.axis] // self.size)
        return math.prod(lengths)

    def of_blocks(self, x: Array) -> Found | None:
        """Return what the steps follow from; None if a number is not finite.

        Parameters
        ----------
        x : ndarray of float32, C-contiguous

        Returns
        -------
        ndarray of int32, (blocks,)
            The float32 word of the largest magnitude of each block.
        """
        found = np.empty(self.count(x.shape), np.int32)
        top = kernels.largest_words(x.reshape(-1).view(np.int32), *self._layout(x), found)
        return found if top <= LARGEST_WORD else None

    def tensor_scale(self, largest: int) -> float:
        """Return the tensor scale of a recipe with one, for the largest word of all blocks."""
        return tensor_scale_of(float(np.int32(largest).view(np.float32)), self.recipe)

    def steps(self, found: Found, tensor: float = 1.0) -> Steps | None:
        """Return what a value of 1 means in each block; None if a block has no scale.

        Parameters
        ----------
        found : ndarray
            As of `of_blocks`.
        tensor : float
            The tensor scale.
        """
        return self._steps_of(self.recipe, found, tensor)

    def round(
        self,
        x: Array,
        found: Found,
        out: Array,
        *,
        tensor: float = 1.0,
        start: int = 0,
        block: int = 0,
        clipped: NDArray[np.bool_] | None = None,
    ) -> bool:
        """Write the numbers over their steps, rounded to the format, times the steps.

        Parameters
        ----------
        x : ndarray of float32, C-contiguous
        found : ndarray
            As of `of_blocks`.
        out : ndarray of float32, C-contiguous
            For the result; may be ``x``.
        tensor : float
            The tensor scale.
        start, block : int
            The places of the first number and the first block, where ``x`` is a part of an array
            in memory.
        clipped : ndarray of bool, C-contiguous, optional
            Receives which quotients are beyond the largest magnitude of the format, if not exact.

        Returns
        -------
        bool
            Whether the format of the scales has them, and no quotient is NaN; if not, ``out`` is
            anything.
        """
        if len(self._candidates) > 1:
            return self._round_to_better(x, found, out, tensor)
        steps = self.steps(found, tensor)
        if steps is None:
            return False
        if clipped is not None:
            spread, quotients = np.empty((2, _room(x)), np.float32)
            kernels.find_clipped(
                x.reshape(-1), steps, *self._layout(x), self.factor, self.recipe.fmt.max_abs,
                spread, quotients, clipped.reshape(-1),
            )  # fmt: skip
        return self._round_by(x, steps, out, start=start)

    def _round_to_better(self, x: Array, found: Found, out: Array, tensor: float) -> bool:
        """Round to the candidate of least squared error for each block, see `choosing`."""
        first, *others = self._candidates
        best = self._steps_of(first, found, tensor)
        values, others_values = np.empty((2, *x.shape), np.float32)
        if best is None or not self._round_by(x, best, values, multiplied=None):
            return False
        rows, layout = x.reshape(-1), self._layout(x)
        least, errors = np.empty((2, best.size))
        sums.squared_errors(rows, values.reshape(-1), best, *layout, least)
        for other in others:
            steps = self._steps_of(other, found, tensor, saturates=True)
            if steps is None or not self._round_by(x, steps, others_values, multiplied=None):
                return False
            sums.squared_errors(rows, others_values.reshape(-1), steps, *layout, errors)
            sums.keep_better(
                others_values.reshape(-1), steps, errors, *layout, values.reshape(-1), best, least
            )
        self._multiply(values, best, out)
        return True

    def _steps_of(
        self,
        recipe: Recipe,
        found: Found,
        tensor: float,
        *,
        factor: float | None = None,
        saturates: bool = False,
    ) -> Steps | None:
        """Return scales times the tensor scale, or times another factor."""
        factor = tensor if factor is None else factor
        rule = absmax_to_scale(recipe.fmt, recipe.scale_rounding, tensor, recipe.absmax_at)
        steps = np.empty(found.size, self._steps)
        fits = kernels.steps_of(
            found, recipe.scale.values, rule, saturates, factor, self._least, steps
        )
        return steps if fits else None

    def _round_by(
        self, x: Array, steps: Steps, out: Array, *, start: int = 0, multiplied: bool | None = True
    ) -> bool:
        plan, room = self._plan, _room(x)
        assert plan is not None
        assert isinstance(plan.encode, ArithmeticPlan)
        assert plan.record is not None
        quotients, values = np.empty((2, room), np.float32)
        nans = kernels.round_blocks(
            x.reshape(-1), steps, *self._layout(x), True if steps.dtype == np.float64 else None,
            self.factor, plan.record, plan.decode.table, plan.encode.in_steps, self._mode, start,
            multiplied, np.empty(room, steps.dtype), quotients, values,
            np.empty(room, plan.encode.code_dtype), np.empty(kernels.PART + 1, np.uint64),
            out.reshape(-1),
        )  # fmt: skip
        return not nans

    def _multiply(self, values: Array, steps: Steps, out: Array) -> None:
        kernels.multiply_blocks(
            values.reshape(-1), steps, *self._layout(values), np.empty(_room(values), steps.dtype),
            out.reshape(-1),
        )  # fmt: skip

    def _dots(self, x: Array, y: Array) -> NDArray[np.float64]:
        """Return the sum of the products of the numbers of each block."""
        found = np.empty(self.count(x.shape))
        sums.dots(x.reshape(-1), y.reshape(-1), *self._layout(x), found)
        return found

    def _lengths(self, shape: Sequence[int]) -> NDArray[np.int64]:
        """Return how many numbers each block has."""
        length = shape[self.axis]
        own = np.diff(np.arange(0, length, self.size), append=length)
        if self.axis == -2:
            own = np.repeat(own, shape[-1])
        return np.tile(own, self.count(shape) // own.size)

    def _layout(self, x: Array) -> tuple[int, int, int, Any]:
        """Return height, width, size and direction of the blocks of an array, as of `kernels`."""
        height = x.shape[-2] if x.ndim > 1 else 1
        return height, x.shape[-1], self.size, True if self.axis == -2 else None


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


def stochastic_mode(seed: int) -> NDArray[np.void]:
    """Return how the kernels of the codec round stochastically."""
    return np.array([(codec_kernels.STOCHASTIC_A, RANDOM_BITS, seed)], codec_kernels.MODE)


def _room(x: Array) -> int:
    return min(x.size, kernels.PART)
