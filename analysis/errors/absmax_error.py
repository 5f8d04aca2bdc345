"""The exact mean square error of absmax block quantization, whatever the scale is rounded to.

A block of n independent weights is divided by a scale that depends only on its absmax m. With
``F(m) = P(|X| <= m)``, m has the density ``n F' F**(n-1)``. Given m, the other weights are
independent and distributed as X is on [-m, m]. So the error of one weight is
``integral of n F' F**(n-1) [(n-1)/n G(m)/F(m) + e(m)/n] dm``. Here ``G(m)`` is the integral of
the squared error over [-m, m], and ``e(m)`` the squared error of the largest weight, averaged over
its two signs. All of it holds for a real n >= 1 too.

The integration variable is ``g = -log(-log F**n)``, in which m has Gumbel's density,
``exp(-g - exp(-g))``: smooth for every n. Gauss-Legendre panels end wherever the scale
steps, or m crosses a decision point of its own block.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors.distributions import Distribution, parse_distribution
from analysis.errors.expected_error import squared_error_within
from analysis.errors.grids import Grid, grid_of
from analysis.errors.laws import Array, Law
from analysis.errors.panels import sampled_panels
from analysis.errors.scale_rules import ScaleRule, scale_rule
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse

MIN_GUMBEL = -4.0  # g is smaller with a chance of exp(-exp(4)) = 2e-24
DIGITS = 25.0  # exp(-25) = 1e-11 of the error lies beyond the largest g
MAX_GUMBEL = 690.0  # exp(-690) is about the smallest normal float64
ORDERS = ((0.02, 2), (0.1, 4), (math.inf, 10))  # nodes of a panel, by its width
RULES = {nodes: np.polynomial.legendre.leggauss(nodes) for _, nodes in ORDERS}
MIN_MAGNITUDE = 1e-300  # in place of 0, which cannot divide


def absmax_mse(
    fmt: NumberFormat | str,
    distribution: Distribution | str,
    block_size: float,
    scale: NumberFormat | str = "exact",
    *,
    tensor_scale: float | None = None,
) -> float:
    """Return the expected squared error of a weight under absmax block quantization.

    As in `minifloat.quantize`: the scale is the block's absmax over ``fmt.max_abs``, rounded, and
    each weight rounds to the nearest value times scale. `absmax_mse_of_weights` is the same for
    weights instead of a density.

    Parameters
    ----------
    fmt : format or str
        With negative values.
    distribution : Distribution or str
        Of variance 1: weights are independent draws from it.
    block_size : float
        Weights to a scale, at least 1; need not be whole.
    scale : format or str
        As for `analysis.errors.scale_rules.scale_rule`: "exact", "float16", "e8m0:up", ...
    tensor_scale : float, optional
        As for `scale_rule`.

    Returns
    -------
    float
        Relative to the variance; accurate to 1e-8 of itself, for Student's t from nu = 2.5 on.

    Raises
    ------
    ValueError
        If ``block_size`` is below 1 or not finite, the format has no negative or no positive
        values, or a name or an option is not known.
    TypeError
        If ``distribution`` is neither a `Distribution` nor a name.

    Examples
    --------
    >>> from analysis import absmax_mse
    >>> round(absmax_mse("e2m2", "normal", 128), 9)
    0.002871875
    >>> round(absmax_mse("e2m1", "normal", 32, "e8m0"), 9)
    0.013218762
    """
    density = parse_distribution(distribution)
    grid, rule = checked_scaling(fmt, density, block_size, scale, tensor_scale)
    low, high, count = _panels(grid, density, block_size, rule)
    width = high - low
    total = min_width = 0.0
    for max_width, nodes in ORDERS:
        panels = (width > min_width) & (width <= max_width)
        min_width = max_width
        points, weights = RULES[nodes]
        g = low[panels, None] + width[panels, None] * (1 + points) / 2
        weight = (count * width)[panels, None] / 2 * weights * np.exp(-g - np.exp(-g))
        error = _error_given(grid, density, block_size, rule, g.reshape(-1))
        total += float(weight.reshape(-1) @ error)
    return total


def absmax_mse_at(
    fmt: NumberFormat | str,
    distribution: Distribution | str,
    block_size: float,
    quantile: ArrayLike,
    scale: NumberFormat | str = "exact",
    *,
    tensor_scale: float | None = None,
) -> NDArray[np.float64]:
    """Return the expected squared error of a weight in a block whose absmax is at a quantile.

    Parameters
    ----------
    fmt, distribution, block_size, scale, tensor_scale
        As for `absmax_mse`.
    quantile : array_like
        In (0, 1): the share of blocks whose absmax is smaller.

    Returns
    -------
    ndarray of float64, in the shape of ``quantile``
        Relative to the variance of the distribution, not to that of the block.

    Raises
    ------
    ValueError
        As `absmax_mse`, and if a quantile is out of range.
    TypeError
        As `absmax_mse`.

    Examples
    --------
    >>> from analysis import absmax_mse_at
    >>> absmax_mse_at("e2m2", "normal", 128, [0.1, 0.9]).round(6).tolist()
    [0.002593, 0.003129]
    """
    share = np.asarray(quantile, np.float64)
    if not ((share > 0) & (share < 1)).all():
        raise ValueError(f"quantile must be in (0, 1), got {quantile!r}")
    density = parse_distribution(distribution)
    grid, rule = checked_scaling(fmt, density, block_size, scale, tensor_scale)
    g = -np.log(-np.log(share.reshape(-1)))
    return _error_given(grid, density, block_size, rule, g).reshape(share.shape)


def checked_scaling(
    fmt: NumberFormat | str,
    law: Law,
    block_size: float,
    scale: NumberFormat | str,
    tensor_scale: float | None,
) -> tuple[Grid, ScaleRule]:
    """Check the arguments of absmax scaling; return the format's grid and the rule of scales.

    Parameters
    ----------
    fmt, block_size, scale, tensor_scale
        As for `absmax_mse`.
    law : Law
        Of the weights.

    Returns
    -------
    Grid, ScaleRule

    Raises
    ------
    ValueError
        As `absmax_mse`.
    """
    if not 1 <= block_size < math.inf:
        raise ValueError(f"block_size must be finite and at least 1, got {block_size}")
    fmt = parse(fmt)
    if not fmt.min < 0 < fmt.max:
        raise ValueError(f"fmt must have values of both signs for absmax scaling, got {fmt}")
    return grid_of(fmt), scale_rule(scale, fmt, law, tensor_scale)


def errors_of_largest(grid: Grid, scales: Array, x: Array) -> Array:
    """Return the squared errors of the weights ``x``, each with its own scale."""
    return np.asarray((x - scales * grid.nearest(x / scales)) ** 2)


def _error_given(grid: Grid, density: Distribution, n: float, rule: ScaleRule, g: Array) -> Array:
    """Return the expected squared error of a weight, given the Gumbel variable of its block."""
    share_below = np.exp(-np.exp(-g) / n)
    m = np.maximum(_absmax_at(density, n, g), MIN_MAGNITUDE)
    scales = rule(m)
    others = squared_error_within(grid, density, scales, m) / share_below
    largest = (errors_of_largest(grid, scales, m) + errors_of_largest(grid, scales, -m)) / 2
    return np.asarray(((n - 1) * others + largest) / n)


def _panels(
    grid: Grid, density: Distribution, n: float, rule: ScaleRule
) -> tuple[Array, Array, Array]:
    """Return the ends of panels, lower and upper, and how often each counts.

    Panels end on an even grid and at every kink: where the scale steps, and where m crosses a
    decision point of its own block. Of many similar steps only a sample is integrated.
    """
    end = min(DIGITS / (1 - 2 / density.tail_index) + 8, MAX_GUMBEL)
    even = np.concatenate([np.arange(MIN_GUMBEL, 4, 0.5), np.arange(4, end, 1.0), [end]])
    if not rule.scales.size:
        return even[:-1], even[1:], np.ones(even.size - 1)
    kinks = _kinks(grid, density, n, rule, end)
    g = _gumbel(density, n, kinks)
    inside = (g > MIN_GUMBEL) & (g < end)
    g, order = np.unique(np.concatenate([even, g[inside]]), return_index=True)
    m = np.concatenate([_absmax_at(density, n, even), kinks[inside]])[order]
    groups = np.searchsorted(even, (g[1:] + g[:-1]) / 2)
    indices, count = sampled_panels(m, groups)
    return g[indices], g[indices + 1], count


def _absmax_at(density: Distribution, n: float, g: Array) -> Array:
    return density.magnitude_beyond(-np.expm1(-np.exp(-g) / n))


def _gumbel(density: Distribution, n: float, m: Array) -> Array:
    """Return g from m; infinite where P(|X| > m) is 1 or 0."""
    beyond = 2 * density.upper_moments(m).zeroth
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(-n * np.log1p(-beyond)))


def _kinks(grid: Grid, density: Distribution, n: float, rule: ScaleRule, end: float) -> Array:
    """Return each m at which the error has a kink, within the range of g."""
    first, final = _absmax_at(density, n, np.array([MIN_GUMBEL, end]))
    start, stop = np.searchsorted(rule.thresholds, [first, final])
    steps = rule.thresholds[start:stop]
    low = np.concatenate([[first], steps])
    high = np.concatenate([steps, [final]])
    scales = rule.scales[start : stop + 1]
    middles = np.unique(np.abs(grid.middles))
    reached = (middles > (low / scales).min()) & (middles < (high / scales).max())
    crossings = np.multiply.outer(middles[reached], scales)
    inside = (crossings > low) & (crossings < high)
    return np.concatenate([steps, crossings[inside]])
