"""Weights that the source holds quantized: they are not rounded again, their layout changes."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from minifloat.files import WeightsError
from minifloat.files.checkpoints.model import Model
from minifloat.files.checkpoints.weights import Array, Dequantizable
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

REMEDY = "take the model that was not quantized"


def check_held(model: Model, recipe: Recipe, chosen: Container[str]) -> None:
    """Refuse quantized weights of another recipe, and patterns that leave some of them out.

    Raises
    ------
    WeightsError
        If a tensor is of another recipe, or of none.
    ValueError
        If it is not chosen: it cannot be copied, as the new layout would not say what it is.
    """
    for name, each in model.weights.items():
        about = each.description
        if not about.layout:
            continue
        if about.recipe is None or not _is_same(recipe, about.recipe, about.shape):
            of = f" of {about.recipe}" if about.recipe else ", which no recipe expresses"
            remedy = ", or name that recipe to change its layout alone" if about.recipe else ""
            raise WeightsError(
                f"{model.source}: must hold plain numbers, or weights of {recipe}, but "
                f"{name!r:.100} is quantized already, as {about.layout}{of}; {REMEDY}{remedy}"
            )
        if name not in chosen:
            raise ValueError(
                f"include and exclude must leave in all weights that are quantized already, got "
                f"{name!r} left out; leave it in"
            )


def relabelled(held: Array | Quantized | Dequantizable, recipe: Recipe) -> Quantized:
    """Return quantized weights under the name of a recipe with the same codes and scales.

    Raises
    ------
    ValueError
        If no recipe expresses the weights.
    """
    if isinstance(held, Quantized):
        return replace(held, recipe=recipe)
    reason = held.reason if isinstance(held, Dequantizable) else "they are no codes"
    raise ValueError(f"it is quantized in a way that no recipe expresses: {reason}; {REMEDY}")


def _is_same(asked: Recipe, held: Recipe, shape: tuple[int, ...]) -> bool:
    """Return whether codes and scales mean the same under both recipes.

    A channel may be a group as long as a row; how scales were found does not matter.
    """
    fields = ["fmt", "scale", "tensor_scale", "double", "zero_point", "rotation", "flag"]
    if asked.flag:
        fields += ["absmax_at", "alternatives", "one_scale"]
    if any(getattr(asked, field) != getattr(held, field) for field in fields):
        return False
    tiles = [_tile(recipe, shape) for recipe in (asked, held)]
    return tiles[0] == tiles[1]


def _tile(recipe: Recipe, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the rows and columns of a block of weights of a shape; none for one scale."""
    if recipe.block == "tensor":
        return ()
    if recipe.block == "channel":
        return 1, shape[-1]
    height, width = recipe.block if isinstance(recipe.block, tuple) else (1, recipe.block)
    return min(height, shape[-2]), min(width, shape[-1])
