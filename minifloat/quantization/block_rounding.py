"""Blocks of float32 numbers rounded in one pass: what codes and scales mean, without codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import block_rounding as kernels
from minifloat.quantization.choosing import best_of
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleSearch, absmax_to_scale
from minifloat.quantization.step_rounding import Array, StepRounder, Steps
from minifloat.quantization.tensor_scales import tensor_scale_of

Found = NDArray[Any]  # of blocks: the words of their largest magnitudes, or other figures

LARGEST_WORD = 0x7F7FFFFF  # of a finite float32
SMALLEST = 2.0**-126  # step where operations are rounded to float32


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
    factor, seed
        As of `StepRounder`; a factor if not exact.

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
        self.recipe, self.axis, self.size = recipe, axis, size
        self.blocks = StepRounder(recipe.fmt, axis, size, factor=factor, seed=seed)
        self._candidates = recipe.candidates
        self.works = (
            self.blocks.works and recipe.fmt.min < 0
            and recipe.search is ScaleSearch.ABSMAX and not isinstance(recipe.block, tuple)
            and not (recipe.rotation or recipe.double or recipe.zero_point or recipe.one_scale)
            and all(each.fmt == recipe.fmt for each in self._candidates)
            and (exact or len(self._candidates) == 1)
        )  # fmt: skip
        powers = not recipe.scale.values.mantissa_bits and not recipe.tensor_scale
        powers &= len(self._candidates) == 1
        self._steps = np.dtype(np.float64 if exact and not powers else np.float32)
        self._least = 0.0 if exact else SMALLEST

    def count(self, shape: Sequence[int]) -> int:
        """Return how many blocks an array has."""
        return self.blocks.count(shape)

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
        words = x.reshape(-1).view(np.int32)
        top = kernels.largest_words(words, *self.blocks.layout(x), found)
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
            self.blocks.find_clipped(x, steps, clipped)
        return self.blocks.round(x, steps, out, start=start)

    def _round_to_better(self, x: Array, found: Found, out: Array, tensor: float) -> bool:
        """Round each block to the candidate of least squared error."""
        values, blocks = np.empty(x.shape, np.float32), self.blocks
        every, errors = [], []
        for k, candidate in enumerate(self._candidates):
            steps = self._steps_of(candidate, found, tensor, saturates=k > 0)
            if steps is None or not blocks.values(x, steps, values):
                return False
            every.append(steps)
            errors.append(blocks.squared_errors(x, values, steps))
        return blocks.round(x, np.choose(best_of(errors), every), out)

    def _steps_of(
        self, recipe: Recipe, found: Found, tensor: float, *, saturates: bool = False
    ) -> Steps | None:
        steps = np.empty(found.size, self._steps)
        rule = absmax_to_scale(recipe.fmt, recipe.scale_rounding, tensor, recipe.absmax_at)
        fits = kernels.steps_of(
            found, recipe.scale.values, rule, saturates, tensor, self._least, steps
        )
        return steps if fits else None
