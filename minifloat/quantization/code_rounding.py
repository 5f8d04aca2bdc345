"""How the quotient of a weight and its scale becomes a code, other than by rounding to nearest.

Scales, zero points and choices are those of rounding to nearest. The quotient is then rounded in
another mode; in a stochastic one by the words of `minifloat.round_to` with the same seed: a weight
has the word of its index in C order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np

from minifloat._kernels import random_words
from minifloat.codec import encode, round_to
from minifloat.codec.stochastic import RANDOM_BITS
from minifloat.formats.base import check_seed
from minifloat.formats.rounding import Rounding, RoundingLike, choose
from minifloat.quantization.blocks import Array, Blocks, spread
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scale_search import divisors

ZERO_POINT_BITS = 15  # so that quotients and zero points are values of int16


@dataclass(frozen=True)
class CodeRounding:
    """A mode other than nearest_even, and a random word for each weight in a stochastic one.

    Attributes
    ----------
    mode : Rounding
    words : ndarray of uint32, optional
        Of `RANDOM_BITS` bits, in the shape of the weights.
    """

    mode: Rounding
    words: Array | None

    @classmethod
    def of(
        cls,
        rounding: RoundingLike,
        seed: SupportsIndex | None,
        recipe: Recipe,
        shape: tuple[int, ...],
    ) -> CodeRounding | None:
        """Return what the arguments of `minifloat.quantize` ask for; None for nearest_even.

        Raises
        ------
        ValueError
            If there is no such mode, the seed does not go with it, or the recipe rounds to nearest
            alone.
        """
        mode = choose(Rounding, "rounding", rounding)
        if not mode.is_stochastic and seed is not None:
            raise ValueError(
                f"rounding must be stochastic to use seed, got {mode}; leave seed out, or pass "
                'rounding="stochastic"'
            )
        if mode is Rounding.NEAREST_EVEN:
            return None
        wide = recipe.zero_point and recipe.fmt.bits > ZERO_POINT_BITS
        if recipe.fmt.is_lookup or recipe.arithmetic != "exact" or wide:
            raise ValueError(
                f"rounding must be nearest_even for {recipe}, got {mode}; tables of blocks, the "
                f"authors' arithmetic, and zero points of over {ZERO_POINT_BITS} bits have no other"
            )
        return cls(mode, _words(seed, mode, shape) if mode.is_stochastic else None)

    def encode(
        self,
        recipe: Recipe,
        blocks: Blocks,
        rows: slice,
        weights: Array,
        scales: Array,
        held: Array | None,
        tensor_scale: float | None,
        codes: Array,
    ) -> None:
        """Write the codes of some rows of weights.

        Parameters
        ----------
        recipe : Recipe
        blocks : Blocks
        rows : slice
            Of `Blocks.rows`.
        weights, codes : ndarray, (rows, length)
        scales : ndarray, (rows, blocks)
        held : ndarray, (rows, blocks), optional
            Zero points, or which candidate each block is.
        tensor_scale : float, optional
        """
        if weights.size == 0:
            return
        options: dict[str, Any] = {"rounding": self.mode}
        if self.words is not None:
            options |= {"random": blocks.rows(self.words)[rows], "random_bits": RANDOM_BITS}
        place = None if held is None else spread(held, blocks.width, blocks.length)
        factors = recipe.factors(tensor_scale)
        for k, (each, factor) in enumerate(zip(recipe.candidates, factors, strict=True)):
            divisor = spread(divisors(scales) * factor, blocks.width, blocks.length)
            with np.errstate(over="ignore", under="ignore"):
                quotients = weights / divisor
            if recipe.zero_point:
                whole = round_to(np.float64(quotients), "int16", **options)
                codes[...] = np.clip(whole + place, 0, recipe.fmt.max)
            elif recipe.flag is None:  # all candidates read a code alike
                encode(quotients, each.fmt, out=codes, **options)
                return
            else:
                np.copyto(codes, encode(quotients, each.fmt, **options), where=place == k)


def _words(seed: SupportsIndex | None, mode: Rounding, shape: tuple[int, ...]) -> Array:
    """Return the words of the stream ``seed``: halves of 64 bits, whose top bits count."""
    if seed is None:
        raise ValueError(f'seed must be given for rounding="{mode}", got None; pass seed=0, say')
    number = check_seed(seed)
    size = int(np.prod(shape, dtype=np.int64))
    pairs = np.empty((size + 1) // 2, np.uint64)
    random_words.fill(pairs, np.uint64(number))
    words = pairs.view(np.uint32)[:size]
    words >>= 32 - RANDOM_BITS
    return words.reshape(shape)
