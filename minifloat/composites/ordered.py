"""GPTQ in the order of the inputs' importance, with blocks that follow it."""

from __future__ import annotations

from typing import SupportsIndex, Unpack

import numpy as np
from numpy.typing import ArrayLike

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat.formats import NumberFormat
from minifloat.quantization import gptq
from minifloat.quantization.composite import Composite
from minifloat.quantization.feedback import act_order
from minifloat.quantization.hessians import checked_hessian
from minifloat.quantization.recipe_fields import RecipeFields
from minifloat.quantization.recipes import Recipe


def ordered_gptq(
    w: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str,
    hessian: ArrayLike | AnyTensor,
    *,
    damp: float = 0.01,
    zero_dead: bool = False,
    importance: ArrayLike | AnyTensor | None = None,
    threads: SupportsIndex = 1,
    **changes: Unpack[RecipeFields],
) -> Composite:
    """Quantize a layer's weights by GPTQ, columns and blocks by decreasing diagonal of the Hessian.

    Inputs of like size share blocks, and each scale is found when the columns before it are
    rounded. The order is kept with the weights: GPTQ's code calls it act order without static
    groups, and stores a group index for each input. `minifloat.gptq` with ``act_order`` and
    ``static_groups`` needs no order, and has blocks of neighbours.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
    recipe : Recipe, format or str
    hessian : array_like of float or integers, (inputs, inputs)
    damp : float
    zero_dead : bool
    importance : array_like, optional
    threads : int
    **changes
        All as for `minifloat.gptq`.

    Returns
    -------
    Composite
        With ``dense`` and ``order``. Inputs with equal diagonals stay in their order.

    Raises
    ------
    ValueError, TypeError
        As `minifloat.gptq`.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.composites import ordered_gptq
    >>> hessian = [[1, 0, 0], [0, 9, 3], [0, 3, 4]]
    >>> c = ordered_gptq([[1.0, 0.4, 0.9]], "int4/2/e8m0", hessian)
    >>> c.order, c.dequantize()
    (array([1, 2, 0]), array([[1.   , 0.375, 0.875]], dtype=float32))
    """
    weights = _arrays.source_array(w, "w")[0]
    if weights.ndim != 2:
        raise ValueError(f"w must be of shape (outputs, inputs), got shape {weights.shape}")
    inputs = weights.shape[1]
    order = act_order(hessian, inputs)
    factors = None
    if importance is not None:
        given = _arrays.source_array(importance, "importance")[0]
        factors = given[..., order] if given.ndim and given.shape[-1] == inputs else given
    dense = gptq(
        weights[:, order],
        recipe,
        checked_hessian(hessian, inputs)[np.ix_(order, order)],
        damp=damp,
        zero_dead=zero_dead,
        importance=factors,
        threads=threads,
        **changes,
    )
    return Composite(dense, order=order)
