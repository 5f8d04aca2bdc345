"""Rows of a cache as arrays of a file: packed ones and wide ones, one store after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat.caches.recipe import CacheRecipe
from minifloat.files import quantized as plain
from minifloat.files.arrays import Array, Arrays
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Rows: TypeAlias = Quantized | NDArray[np.float16]  # (rows, length)

RECIPES = ("keys", "values", "heavy_recipe")
OPTIONS = ("keys_along", "values_along", "step", "window", "first", "heavy")


def put_recipe(recipe: CacheRecipe, arrays: Arrays) -> dict[str, Any]:
    """Return what a text tells of a recipe; the values of its codebooks are put into arrays."""
    described: dict[str, Any] = {name: getattr(recipe, name) for name in OPTIONS}
    for name in RECIPES:
        own: Recipe | None = getattr(recipe, name)
        described[name] = None if own is None else [own.formats, own.scaling]
        if own is not None:
            arrays |= {f"recipe.{name}.{book}": x for book, x in plain.codebooks_of(own).items()}
    return described


def take_recipe(described: Mapping[str, Any], arrays: Arrays) -> CacheRecipe:
    """Return the recipe of a text; its codebooks are taken out of the arrays."""
    if described.keys() != {*OPTIONS, *RECIPES}:
        raise ValueError(f"its recipe must have {', '.join((*OPTIONS, *RECIPES))}")
    fields = dict(described)
    for name in RECIPES:
        if fields[name] is not None:
            formats, scaling = fields[name]
            fields[name] = plain.recipe_of(formats, scaling, plain.taken(f"recipe.{name}", arrays))
    return CacheRecipe(**fields)


def put(name: str, stores: Sequence[Rows], arrays: Arrays) -> list[Any]:
    """Put stores of rows into arrays, and return what a text tells of each: null of wide ones."""
    described: list[Any] = []
    for index, rows in enumerate(stores):
        if isinstance(rows, np.ndarray):
            arrays[f"{name}.{index}"] = rows
            described.append(None)
        else:
            described.append(plain.put(f"{name}.{index}", rows, arrays))
    return described


def take(name: str, described: Sequence[Any], arrays: Arrays) -> list[Rows]:
    """Return stores of rows, which are taken out of the arrays."""
    stores: list[Rows] = []
    for index, each in enumerate(described):
        if each is None:
            rows = arrays.pop(f"{name}.{index}")
            check("rows", rows, np.float16, (len(rows), *rows.shape[1:2]))
            stores.append(rows)
        else:
            stores.append(plain.take(f"{name}.{index}", each, arrays))
    return stores


def check(name: str, array: Array, dtype: type, shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless an array has this type and shape, and finite numbers."""
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(
            f"{name} must be {np.dtype(dtype)} of shape {shape}, got {array.dtype} of shape "
            f"{array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got a number that is not")
