"""Which candidate each block of weights becomes, for recipes with alternatives.

Each candidate finds the scales of all blocks by the recipe's search, as if there were no other. A
block becomes the one of least squared error, a sum in float64; errors that differ by less than
2**-40 of themselves count as equal, and of equal ones the first wins. So the choice does not hang
on how such a sum is rounded. An alternative's scale saturates where it is beyond the scale format.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import choosing as kernels
from minifloat.quantization.blocks import Array
from minifloat.quantization.feedback import steps_of_each
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scale_search import NO_IMPORTANCE, block_scales


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
    choices = np.zeros(found.shape, np.uint8)
    if rows.size:
        factors = NO_IMPORTANCE
        if importance is not None:
            factors = np.ascontiguousarray(importance, np.float64).reshape(-1)
        kernels.choose(
            rows.reshape(-1), factors, rows.shape[1], width, every.reshape(len(every), -1),
            np.array(recipe.factors(tensor_scale)), *_steps_of(recipe),
            _scratch(width, rows.shape[1]), choices.reshape(-1),
        )  # fmt: skip
    return np.take_along_axis(every, choices[np.newaxis].astype(np.intp), 0)[0], choices


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
    if rows.size:
        kernels.encode_chosen(
            rows.reshape(-1), rows.shape[1], width, np.ascontiguousarray(scales).reshape(-1),
            np.ascontiguousarray(choices).reshape(-1), np.array(recipe.factors(tensor_scale)),
            *_steps_of(recipe), _scratch(width, rows.shape[1]), codes.reshape(-1),
        )  # fmt: skip


def _steps_of(recipe: Recipe) -> tuple[Array, Array]:
    return steps_of_each(tuple(each.fmt for each in recipe.candidates))


def _scratch(width: int, length: int) -> Any:
    size = min(width, length)
    keys, places = np.empty((2, size), np.int64)
    return kernels.Scratch(np.empty(size), keys, places)
