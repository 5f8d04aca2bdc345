"""Blocks of float32 numbers rounded in one pass: what codes and scales would mean, without codes.

Blocks run along the last axis or the one before it, over the numbers as they lie in memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import block_rounding as kernels
from minifloat._kernels import codec as codec_kernels
from minifloat.codec import RANDOM_BITS
from minifloat.codec.plans import ArithmeticPlan, encode_plan, round_plan
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.quantization.pipeline import tensor_scale_of
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleSearch, absmax_to_scale

Array = NDArray[np.float32]
Words = NDArray[np.int32]

LARGEST_WORD = 0x7F7FFFFF  # of a finite float32
SMALLEST = 2.0**-126  # step where operations are rounded to float32
_SINGLE = np.dtype(np.float32)


class BlockRounder:
    """Rounds blocks of arrays, and of parts of them that hold whole blocks.

    Parameters
    ----------
    recipe : Recipe
        Of scales from absmax, and values.
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
        Whether a kernel does this: recipes of another search, for example, have none.
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
        rounding = Rounding.NEAREST_EVEN if seed is None else Rounding.STOCHASTIC
        plan = encode_plan(recipe.fmt, "float32", rounding, Overflow.SATURATE, NaNPolicy.RAISE)
        self._plan = round_plan(plan, _SINGLE)
        self.works = (
            isinstance(plan, ArithmeticPlan) and plan.source_name == "float32"
            and self._plan.record is not None
            and recipe.search is ScaleSearch.ABSMAX and recipe.fmt.min < 0
        )  # fmt: skip
        self._mode = None
        if seed is not None:
            record = (codec_kernels.STOCHASTIC_A, RANDOM_BITS, seed)
            self._mode = np.array([record], codec_kernels.MODE)
        powers = not recipe.scale.values.mantissa_bits and not recipe.tensor_scale
        self._steps = np.dtype(np.float64 if exact and not powers else np.float32)
        self._least = 0.0 if exact else SMALLEST

    def largest(self, x: Array) -> Words | None:
        """Return the word of the largest magnitude of each block; None if one is not finite.

        Parameters
        ----------
        x : ndarray of float32, C-contiguous
        """
        shape = list(x.shape)
        shape[self.axis] = -(-shape[self.axis] // self.size)
        found = np.empty(math.prod(shape), np.int32)
        top = kernels.largest_words(
            x.reshape(-1).view(np.int32), self._height(x), x.shape[-1], self.size, self._down, found
        )
        return found if top <= LARGEST_WORD else None

    def tensor_scale(self, largest: int) -> float:
        """Return the tensor scale of a recipe with one, for the largest word of all blocks."""
        return tensor_scale_of(float(np.int32(largest).view(np.float32)), self.recipe)

    def round(
        self, x: Array, largest: Words, out: Array, *, tensor: float = 1.0, start: int = 0
    ) -> bool:
        """Write the numbers over their steps, rounded to the format, times the steps.

        Parameters
        ----------
        x : ndarray of float32, C-contiguous
        largest : ndarray of int32
            As of `largest`.
        out : ndarray of float32, C-contiguous
            For the result; may be ``x``.
        tensor : float
            The tensor scale.
        start : int
            The place of the first number, where ``x`` is a part of an array in memory.

        Returns
        -------
        bool
            Whether the format of the scales has them, and no quotient is NaN; if not, ``out`` is
            anything.
        """
        steps = np.empty(largest.size, self._steps)
        recipe, encode, record = self.recipe, self._plan.encode, self._plan.record
        assert isinstance(encode, ArithmeticPlan)
        assert record is not None
        grid = recipe.scale.values
        rule = absmax_to_scale(recipe.fmt, recipe.scale_rounding, tensor, recipe.absmax_at)
        if not kernels.steps_of(largest, grid, rule, tensor, self._least, steps):
            return False
        room = min(x.size, kernels.PART)
        quotients, values = np.empty((2, room), np.float32)
        nans = kernels.round_blocks(
            x.reshape(-1), steps, self._height(x), x.shape[-1], self.size, self._down,
            True if self._steps == np.float64 else None, self.factor, record,
            self._plan.decode.table, encode.in_steps, self._mode, start,
            np.empty(room, self._steps), quotients, values, np.empty(room, encode.code_dtype),
            np.empty(kernels.PART + 1, np.uint64), out.reshape(-1),
        )  # fmt: skip
        return not nans

    @property
    def _down(self) -> Any:
        return True if self.axis == -2 else None

    def _height(self, x: Array) -> int:
        return x.shape[-2] if x.ndim > 1 else 1
