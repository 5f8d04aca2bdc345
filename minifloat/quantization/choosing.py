"""Which candidate each block of weights becomes, for recipes with alternatives.

Each candidate finds the scales of all blocks by the recipe's search, as if there were no other. A
block becomes the one of least squared error, a sum in float64; errors that differ by less than
2**-40 of themselves count as equal, and of equal ones the first wins. So the choice does not hang
on how such a sum is rounded. An alternative's scale saturates where it is beyond the scale format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import choosing as kernels
from minifloat.quantization.blocks import Array
from minifloat.quantization.feedback import steps_of_each
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scale_search import NO_IMPORTANCE, block_scales, divisors
from minifloat.quantization.step_rounding import StepRounder


def chosen_scales(
    recipe: Recipe,
    rows: Array,
    width: int,
    tensor_scale: float,
    importance: Array | None = None,
    *,
    saturate: bool = False,
) -> tuple[Array, NDArray[np.uint8]]:
    """Return the scales of blocks, and the number of the candidate that each becomes.

    Parameters
    ----------
    recipe : Recipe
        With alternatives.
    rows, width, tensor_scale, importance, saturate
        As for `minifloat.quantization.scale_search.block_scales`.

    Returns
    -------
    tuple of ndarray of float64, (rows, blocks), and ndarray of uint8

    Raises
    ------
    ScaleRangeError, NotFiniteError, ValueError
        As `minifloat.quantization.scale_search.block_scales`.

    Examples
    --------
    >>> import minifloat as mf
    >>> import numpy as np
    >>> from minifloat.quantization.choosing import chosen_scales
    >>> rows = np.array([[6.0, 3.9, 1.0, 4.0, 2.9, 2.0]])
    >>> chosen_scales(mf.Recipe("e2m1|e2m1@4", scale="float32"), rows, 3, 1.0)
    (array([[1., 1.]]), array([[0, 1]], dtype=uint8))
    """
    first, *others = recipe.candidates
    found = block_scales(first, rows, width, tensor_scale, importance, saturate=saturate)[0]
    every = np.empty((len(recipe.candidates), *found.shape))
    every[0] = found
    for k, other in enumerate(others, 1):
        every[k] = found
        if not recipe.one_scale:
            every[k] = block_scales(other, rows, width, tensor_scale, importance, saturate=True)[0]
    factors = recipe.factors(tensor_scale)
    choices = None
    if importance is None and rows.dtype == np.float32 and rows.size:
        choices = _choices_of_single(recipe, rows, width, every, factors)
    if choices is None:
        choices = _choices(recipe, rows, width, every, factors, importance)
    return np.take_along_axis(every, choices[np.newaxis].astype(np.intp), 0)[0], choices


def _choices(
    recipe: Recipe, rows: Array, width: int, scales: Array, factors: Sequence[float],
    importance: Array | None,
) -> NDArray[np.uint8]:  # fmt: skip
    """Return the best candidate of each block; ``scales`` has a row of blocks for each."""
    choices = np.zeros(scales.shape[1:], np.uint8)
    if rows.size:
        weights = NO_IMPORTANCE
        if importance is not None:
            weights = np.ascontiguousarray(importance, np.float64).reshape(-1)
        kernels.choose(
            rows.reshape(-1), weights, rows.shape[1], width, scales.reshape(len(scales), -1),
            np.array(factors), *_steps_of(recipe), _scratch(width, rows.shape[1]),
            choices.reshape(-1),
        )  # fmt: skip
    return choices


def _choices_of_single(
    recipe: Recipe, rows: Array, width: int, scales: Array, factors: Sequence[float]
) -> NDArray[np.uint8] | None:
    """Return what `_choices` does for float32 rows, sooner; None if a format is not arithmetic."""
    values, errors = np.empty(rows.shape, np.float32), []
    for candidate, found, factor in zip(recipe.candidates, scales, factors, strict=True):
        blocks = StepRounder(candidate.fmt, -1, width)
        steps = divisors(found.reshape(-1)) * factor
        if not blocks.works or not blocks.values(rows, steps, values):
            return None
        errors.append(blocks.squared_errors(rows, values, steps))
    return best_of(errors).reshape(scales.shape[1:])


def best_of(errors: Sequence[NDArray[np.float64]]) -> NDArray[np.uint8]:
    """Return which candidate has the least error in each block, of equal ones the first.

    Examples
    --------
    >>> best_of([np.array([1.0, 2.0]), np.array([1 - 2.0**-50, 1.0])])
    array([0, 1], dtype=uint8)
    """
    choices, least = np.zeros(errors[0].size, np.uint8), errors[0]
    for k, others in enumerate(errors[1:], 1):
        better = others < least * kernels.MARGIN
        choices[better] = k
        least = np.where(better, others, least)
    return choices


def encode_chosen(
    recipe: Recipe,
    rows: Array,
    width: int,
    tensor_scale: float,
    scales: Array,
    choices: NDArray[np.uint8],
    codes: Array,
) -> None:
    """Write the codes of weights into ``codes``, each by the candidate of its block.

    Parameters
    ----------
    recipe, rows, width, tensor_scale
        As for `chosen_scales`.
    scales, choices : ndarray, (rows, blocks)
        Of each row.
    codes : ndarray, (rows, length)
        Contiguous.
    """
    factors = recipe.factors(tensor_scale)
    if not rows.size or _encode_single(recipe, rows, width, scales, choices, factors, codes):
        return
    kernels.encode_chosen(
        rows.reshape(-1), rows.shape[1], width, np.ascontiguousarray(scales).reshape(-1),
        np.ascontiguousarray(choices).reshape(-1), np.array(factors), *_steps_of(recipe),
        _scratch(width, rows.shape[1]), codes.reshape(-1),
    )  # fmt: skip


def _encode_single(
    recipe: Recipe, rows: Array, width: int, scales: Array, choices: NDArray[np.uint8],
    factors: Sequence[float], codes: Array,
) -> bool:  # fmt: skip
    """Do what `encode_chosen` does for float32 rows, sooner; False where it cannot."""
    every = [StepRounder(each.fmt, -1, width) for each in recipe.candidates]
    if rows.dtype != np.float32 or not all(blocks.works for blocks in every):
        return False
    plain, held = divisors(scales).reshape(-1), np.ascontiguousarray(choices).reshape(-1)
    found = np.empty_like(codes)
    for k, (blocks, factor) in enumerate(zip(every, factors, strict=True)):
        blocks.codes(rows, plain * factor, found if k else codes)
        if k:
            kernels.copy_chosen(found.reshape(-1), held, k, rows.shape[1], width, codes.reshape(-1))
    return True


def _steps_of(recipe: Recipe) -> tuple[Array, Array]:
    return steps_of_each(tuple(each.fmt for each in recipe.candidates))


def _scratch(width: int, length: int) -> Any:
    size = min(width, length)
    keys, places = np.empty((2, size), np.int64)
    return kernels.Scratch(np.empty(size), keys, places)
