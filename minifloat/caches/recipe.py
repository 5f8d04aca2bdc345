"""How a key-value cache holds its tokens, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.quantization.recipes import Recipe

Along: TypeAlias = Literal["tokens", "channels"]
SomeRecipe: TypeAlias = Recipe | NumberFormat | str


@dataclass(frozen=True, init=False)
class CacheRecipe:
    """How a key-value cache holds its tokens.

    The first tokens and the last ones are wide (float16), the tokens between are packed. Tokens
    leave the window ``step`` at a time, and are packed together. The defaults are those of KIVI
    (arXiv 2402.02750): keys in blocks along tokens, since some channels of keys are large at all
    tokens; values in blocks along channels.

    Attributes
    ----------
    keys, values : Recipe
        Given as for `minifloat.quantize`. With a rotation ("hadamard64") its block lies along the
        blocks of the scales.
    keys_along, values_along : "tokens" or "channels"
        Where blocks run: over neighbouring tokens of one channel, or over neighbouring channels of
        one token. Along tokens the block should divide ``step``, or be "channel" (all of a step).
    step : int
        Tokens that are packed together, at least 1.
    window : int
        At least so many of the last tokens are wide, and fewer than ``window + step``.
    first : int
        So many of the first tokens are wide for ever.
    heavy : int
        So many of the other tokens are wide, of each head others: those that have got most of the
        attention so far (MiKV, arXiv 2402.18096). Tokens that leave the window compete with them,
        and the losers are packed for ever.
    heavy_recipe : Recipe or None
        How these are held, in blocks along channels; None: in float16. MiKV has float16 or INT8.

    Examples
    --------
    >>> CacheRecipe("int4/32/float16", "nvfp4", window=64).values.bits_per_weight
    4.5
    """

    keys: Recipe
    values: Recipe
    keys_along: Along = "tokens"
    values_along: Along = "channels"
    step: int = 32
    window: int = 0
    first: int = 0
    heavy: int = 0
    heavy_recipe: Recipe | None = None

    def __init__(
        self,
        keys: SomeRecipe,
        values: SomeRecipe,
        *,
        keys_along: Along = "tokens",
        values_along: Along = "channels",
        step: int = 32,
        window: int = 0,
        first: int = 0,
        heavy: int = 0,
        heavy_recipe: SomeRecipe | None = None,
    ) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name, given in (("keys", keys), ("values", values)):
            recipe = Recipe.parse(given)
            signed = recipe.fmt.is_lookup or recipe.fmt.min < 0 or recipe.zero_point
            if not signed:
                raise ValueError(
                    f"{name} must have a format with negative values, or zero points, got {recipe}"
                )
            put(name, recipe)
        for name, along in (("keys_along", keys_along), ("values_along", values_along)):
            if along not in get_args(Along):
                raise ValueError(f'{name} must be "tokens" or "channels", got {shown(along)}')
            put(name, along)
        put("step", check_int("step", step, 1))
        for name, count in (("window", window), ("first", first), ("heavy", heavy)):
            put(name, check_int(name, count, 0))
        put("heavy_recipe", None if heavy_recipe is None else Recipe.parse(heavy_recipe))
        if heavy_recipe is not None and not heavy:
            raise ValueError(
                f"heavy_recipe must be None without heavy tokens, got {self.heavy_recipe}"
            )
