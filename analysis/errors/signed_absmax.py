"""The exact mean square error of full-range integers under scales of both signs.

A full-range integer of N bits has one more value below 0 than above, ``-2**(N - 1)``. llama.cpp's
Q4_0 and Q5_0 use it for the weight of the largest magnitude, whatever its sign: the scale takes the
opposite sign. The others are cut off half a step beyond the largest value. For a symmetric law this
is the error under scales of one sign that map the absmax to ``2**(N - 1)``, without the error of
the largest weight: that is 0 if it is negative, and else one step squared.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.errors.absmax_error import absmax_at, even_panels, mse_in_blocks
from analysis.errors.distributions import Distribution, parse_distribution
from analysis.errors.grids import grid_of
from analysis.errors.scale_rules import ScaleRule
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse

NODES = np.polynomial.legendre.leggauss(12)


def signed_absmax_mse(
    fmt: NumberFormat | str, distribution: Distribution | str, block_size: float
) -> float:
    """Return the expected squared error of a weight, its block's largest at the lowest value.

    Parameters
    ----------
    fmt : format or str
        A full-range integer, such as "int5full".
    distribution : Distribution or str
        Of variance 1.
    block_size : float
        Weights that share a scale, which is not rounded; at least 1.

    Returns
    -------
    float
        Relative to the variance; accurate to 1e-8 of itself.

    Raises
    ------
    ValueError
        If ``block_size`` is below 1 or not finite, the format is another, or a name is not known.
    TypeError
        If ``distribution`` is neither a `Distribution` nor a name.

    Examples
    --------
    >>> from analysis import absmax_mse, signed_absmax_mse
    >>> f"{signed_absmax_mse('int5full', 'normal', 32):.6f} {absmax_mse('int5', 'normal', 32):.6f}"
    '0.001821 0.002049'
    """
    integer, density = parse(fmt), parse_distribution(distribution)
    if integer.name != f"int{integer.bits}full":
        raise ValueError(f"fmt must be a full-range integer such as int5full, got {integer.name}")
    if not 1 <= block_size < math.inf:
        raise ValueError(f"block_size must be finite and at least 1, got {block_size}")
    lowest = -float(integer.min)
    rule = ScaleRule(lowest, np.empty(0), np.empty(0))
    one_sign = mse_in_blocks(grid_of(integer), density, block_size, rule)
    step = _mean_square_of_absmax(density, block_size) / lowest**2
    return one_sign - step / (2 * block_size)


def _mean_square_of_absmax(density: Distribution, n: float) -> float:
    ends = even_panels(density)
    points, weights = NODES
    width = np.diff(ends)[:, None]
    g = (ends[:-1, None] + width * (1 + points) / 2).reshape(-1)
    chances = (width / 2 * weights).reshape(-1) * np.exp(-g - np.exp(-g))
    return float(chances @ absmax_at(density, n, g) ** 2)
