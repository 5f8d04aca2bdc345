"""How a block's scale follows from its absmax: as a step function, or exactly.

A rounded scale is constant between two neighbouring thresholds of the absmax. Between them the
error is smooth in the absmax, so a quadrature splits there. The thresholds are those of
`minifloat.quantize`, by its own rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors.grids import grid_of
from analysis.errors.laws import Law
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleRounding, absmax_to_scale

TENSOR_SIZE = 2**24  # weights of the tensor whose absmax sets a tensor scale


@dataclass(frozen=True, eq=False)
class ScaleRule:
    """A scale as a function of the block's absmax.

    Attributes
    ----------
    absmax_at : float
        The magnitude of the weights' format that absmax becomes.
    thresholds : ndarray of float64, shape (N,)
        The absmax at which the scale steps up, ascending, in standard deviations.
    scales : ndarray of float64, shape (N + 1,)
        The scale below, between and above the thresholds. Both are empty where the scale is
        exact, ``absmax / absmax_at``.
    """

    absmax_at: float
    thresholds: NDArray[np.float64]
    scales: NDArray[np.float64]

    def __call__(self, absmax: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scales of blocks of these largest magnitudes."""
        if not self.scales.size:
            return np.asarray(absmax / self.absmax_at)
        return self.scales[np.searchsorted(self.thresholds, absmax)]


def scale_rule(recipe: Recipe, law: Law, tensor_scale: float | None = None) -> ScaleRule:
    """Return how a recipe's scales follow from the absmax of blocks of unit variance.

    Rounding to float32 changes a mean square error by less than 1e-13 of itself, so such scales
    are exact here. Beyond the values of its format a scale becomes the largest or the smallest,
    never 0.

    Parameters
    ----------
    recipe : Recipe
        Its block does not matter.
    law : Law
        Of the weights, for the default of ``tensor_scale``.
    tensor_scale : float, optional
        A second scale, for the whole tensor, in standard deviations: scales are
        ``tensor_scale`` times a value of their format. Default: 1, so that the standard deviation
        is 1; for a recipe with a tensor scale, as `minifloat.quantize` finds it, with the median
        absmax of 2**24 weights as the tensor's.

    Returns
    -------
    ScaleRule

    Raises
    ------
    ValueError
        If ``tensor_scale`` is not positive and finite, or is given for exact scales.

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> from analysis.errors.distributions import Normal
    >>> from analysis.errors.scale_rules import scale_rule
    >>> rule = scale_rule(mf.RECIPES["mxfp4"], Normal())
    >>> rule(np.array([3.9, 4.0, 7.9])).tolist()
    [0.5, 1.0, 1.0]
    """
    top, rounding = recipe.absmax_at, recipe.scale_rounding
    to_power = rounding is not ScaleRounding.NEAREST_EVEN
    if tensor_scale is not None and not 0 < tensor_scale < math.inf:
        raise ValueError(f"tensor_scale must be positive and finite, got {tensor_scale}")
    if recipe.scale.name == "float32" and not to_power:
        if tensor_scale is not None:
            raise ValueError(f"tensor_scale must be left out for exact scales, got {tensor_scale}")
        return ScaleRule(top, np.empty(0), np.empty(0))
    if recipe.scale.name == "float32":
        values = np.ldexp(1.0, np.arange(-149, 128))
    else:
        values = grid_of(recipe.scale.name).values
        values = values[values > 0]
    if to_power:
        values = values[np.frexp(values)[0] == 0.5]
    if tensor_scale is None:
        tensor_scale = tensor_scale_of(recipe, usual_absmax(law))
    _, reference, carry = absmax_to_scale(recipe.fmt, rounding, tensor_scale, top)
    if not to_power:
        thresholds = (values[:-1] + values[1:]) / 2 * reference
    elif carry:  # the next power of two from this multiple of a power on
        thresholds = np.nextafter(values[:-1] * (carry * reference), 0.0)
    else:  # the next power of two above each power
        thresholds = values[:-1] * reference
    return ScaleRule(top, thresholds, values * tensor_scale)


def usual_absmax(law: Law) -> float:
    """Return the median absmax of a tensor of `TENSOR_SIZE` weights.

    Examples
    --------
    >>> from analysis.errors.distributions import Normal
    >>> round(usual_absmax(Normal()), 3)
    5.485
    """
    return float(law.magnitude_beyond(-math.expm1(-math.log(2) / TENSOR_SIZE)))


def tensor_scale_of(recipe: Recipe, absmax: float) -> float:
    """Return the tensor scale of a tensor of this absmax, 1 for a recipe without one.

    Parameters
    ----------
    recipe : Recipe
    absmax : float
        Largest magnitude of the tensor, above 0.

    Returns
    -------
    float
        That of `minifloat.quantize`, before it is rounded to float32.

    Examples
    --------
    >>> import minifloat as mf
    >>> from analysis.errors.scale_rules import tensor_scale_of
    >>> tensor_scale_of(mf.RECIPES["nvfp4"], 2688.0), tensor_scale_of(mf.RECIPES["mxfp4"], 9.0)
    (1.0, 1.0)
    """
    if not recipe.tensor_scale:
        return 1.0
    to_power = recipe.scale_rounding is not ScaleRounding.NEAREST_EVEN
    largest = recipe.largest_scale or (1.0 if to_power else recipe.scale.values.largest)
    return absmax / (recipe.absmax_at * largest)
