"""Two roundings of training in FP4: QuEST's scales, and MS-EDEN's scales that undo a shrinking.

Both are of float32 arithmetic: see `minifloat.quantization.block_rounding.BlockRounder`.
"""

from __future__ import annotations

import numpy as np

from minifloat._kernels import block_rounding as kernels
from minifloat._kernels.scales import VALUES, AbsmaxToScale
from minifloat.codec.plans import encode_plan, round_plan
from minifloat.codec.stochastic import NO_WORDS, mode_record
from minifloat.formats.names import parse
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.quantization.block_rounding import SMALLEST, BlockRounder, Found
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import absmax_to_scale
from minifloat.quantization.step_rounding import Array, Steps

GAUSSIAN_STEP = 0.487079
EDEN_MARGIN = 17 / 16 * 0.93


class QuestRounder(BlockRounder):
    """Rounds to nearest, with scales of least expected squared error for Gaussian blocks in E2M1.

    A scale is 0.487079 times the root of the block's mean square (QuEST's table,
    IST-DASLab/Quartet), as a value of the scale's format, the nearest that is not 0. That a power
    of two is the nearest, ties to even, is ours.

    Parameters
    ----------
    recipe : Recipe
        Of E2M1, without a tensor scale.
    axis, size, factor
        As of `BlockRounder`.
    """

    def __init__(self, recipe: Recipe, axis: int, size: int, *, factor: float = 1.0) -> None:
        super().__init__(recipe, axis, size, exact=False, factor=factor)
        self.works &= not recipe.tensor_scale

    def of_blocks(self, x: Array) -> Found | None:
        """Return the mean square of each block, in float64; None if a number is not finite."""
        squares = self.blocks.dots(x, x)
        return squares / self.blocks.lengths(x.shape) if np.isfinite(squares).all() else None

    def steps(self, found: Found, tensor: float = 1.0) -> Steps | None:
        """Return the scales for mean squares."""
        wanted = (np.sqrt(found) * GAUSSIAN_STEP).astype(np.float32).view(np.int32)
        steps = np.empty(found.size, np.float32)
        nearest = AbsmaxToScale(VALUES, 1.0, 0.0)
        kernels.steps_of(wanted, self.recipe.scale.values, nearest, True, 1.0, SMALLEST, steps)
        return steps


class EdenRounder(BlockRounder):
    """Rounds to nearest, and then each scale, stochastically, so that a block does not shrink.

    Scales are those of absmax times 17/16 times 0.93, as in MS-EDEN's backward pass. With z a
    block's quotients and q their values, S = <z, z> / <z, q>, and the scale becomes scale * S,
    rounded stochastically (arXiv 2601.22813, Algorithm 1, where S is that of a block).

    Parameters
    ----------
    recipe : Recipe
        Of E2M1, with scales of a format.
    axis, size
        As of `BlockRounder`.
    seed : int
        The number drawn for a block depends on it and on the block's place in memory.
    """

    def __init__(self, recipe: Recipe, axis: int, size: int, seed: int) -> None:
        super().__init__(recipe, axis, size, exact=False)
        plan = encode_plan(
            parse(recipe.scale.name), "float32", Rounding.STOCHASTIC, Overflow.SATURATE,
            NaNPolicy.RAISE,
        )  # fmt: skip
        self._scale_plan = round_plan(plan, np.dtype(np.float32))
        self._scale_mode = mode_record(Rounding.STOCHASTIC, seed)

    def round(
        self,
        x: Array,
        found: Found,
        out: Array,
        *,
        tensor: float = 1.0,
        start: int = 0,
        block: int = 0,
        clipped: object = None,
    ) -> bool:
        """As of `BlockRounder`, but that nothing is said of what is ``clipped``."""
        scales, recipe = np.empty(found.size, np.float32), self.recipe
        rule = absmax_to_scale(recipe.fmt, recipe.scale_rounding, tensor, recipe.absmax_at)
        if not kernels.steps_of(found, recipe.scale.values, rule, False, 1.0, 0.0, scales):
            return False
        factor = np.float32(tensor * EDEN_MARGIN)
        steps = np.maximum(scales * factor, np.float32(SMALLEST))
        values = np.empty(x.shape, np.float32)
        if not self.blocks.values(x, steps, values):
            return False
        products = self.blocks.dots(x, values) * steps
        gains = np.divide(
            self.blocks.dots(x, x), products, out=np.ones(steps.size), where=products > 0
        )
        plan = self._scale_plan
        right = (scales * gains.astype(np.float32)).astype(plan.encode.source_name)
        nans, _ = plan.round_stochastic(right, NO_WORDS, block, scales, self._scale_mode)
        steps = np.maximum(scales * factor, np.float32(SMALLEST))
        steps[scales == 0] = 0
        self.blocks.multiply(values, steps, out)
        return not nans
