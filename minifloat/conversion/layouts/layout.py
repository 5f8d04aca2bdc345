"""What a layout is: the recipes that it stores, its tensors, and the files that speak of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minifloat.conversion.containers import SAFETENSORS, Container
from minifloat.files.checkpoints.stored import Stored
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Settings = dict[str, Any]  # the quantization_config of config.json


def _nothing(recipe: Recipe, left_out: Sequence[str]) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Layout:
    """A way to store quantized weights.

    Attributes
    ----------
    settings : callable
        Returns the quantization_config for a recipe and the modules that are not quantized; a
        ValueError if the layout does not store the recipe.
    tensors : callable
        Returns the tensors that store weights of a name.
    more : callable
        Returns the contents of other JSON files that loaders need, by their names.
    container : Container
        The kind of file.
    whole_blocks : bool
        Whether rows must be whole blocks, as loaders reshape them into blocks.
    matrices : bool
        Whether it stores matrices.
    experts : tuple of int
        The axes along which the inputs of experts that are one 3-d tensor may run; none if the
        layout has no place for them.
    fuses : bool
        Whether loaders take one tensor scale for layers that they fuse (`FUSED` in `fused.py`).
    """

    settings: Callable[[Recipe, Sequence[str]], Settings]
    tensors: Callable[[str, Quantized], list[Stored]]
    more: Callable[[Recipe, Sequence[str]], Mapping[str, Any]] = _nothing
    container: Container = SAFETENSORS
    whole_blocks: bool = True
    matrices: bool = True
    experts: tuple[int, ...] = ()
    fuses: bool = False


def not_stored(layout: str, stored: str, recipe: Recipe, what: str) -> ValueError:
    """Return the error that a layout has no place for a recipe.

    Parameters
    ----------
    layout : str
    stored : str
        Some recipes that it stores.
    recipe : Recipe
    what : str
        What there is no place for.
    """
    return ValueError(
        f"recipe must be one that the layout {layout} stores ({stored}), got {recipe}: it has no "
        f'place for {what}; layout="minifloat" stores any'
    )
