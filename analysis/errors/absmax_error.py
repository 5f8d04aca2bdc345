"""The exact mean square error of absmax block quantization, whatever the scale is rounded to.

A block of n independent weights is divided by a scale that depends on its greatest magnitude m
alone. With ``F(m) = P(|X| <= m)``, m has the density ``n F' F**(n-1)``; given m, the others are
independent and distributed as X is on [-m, m]. So the error of one weight is
``integral of n F' F**(n-1) [(n-1)/n G(m)/F(m) + e(m)/n] dm``, where ``G(m)`` is the integral of
the squared error over [-m, m] and ``e(m)`` that of the greatest weight itself, averaged over its
two signs. All of it holds for a real n >= 1 too.

The integral is taken over ``g = -log(-log F**n)``, in which m's density is Gumbel's,
``exp(-g - exp(-g))``: smooth for every n. Gauss-Legendre panels end wherever the scale
steps, or m crosses a decision point of its own block.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors.distributions import Distribution, Empirical, parse_distribution
from analysis.errors.expected_error import squared_error_within
from analysis.errors.grids import Grid, grid_of
from analysis.errors.panels import sampled_panels
from analysis.errors.scale_rules import ScaleRule, scale_rule
from minifloat.formats import NumberFormat

LEAST_GUMBEL = -4.0  # g is below with a chance of exp(-exp(4)) = 2e-24
DIGITS = 25.0  # exp(-25) = 1e-11 of the error lies beyond the greatest g
GREATEST_GUMBEL = 690.0  # exp(-690) is about the least that float64 holds
ORDERS = ((0.02, 2), (0.1, 4), (math.inf, 10))  # nodes of a panel, by its width
RULES = {nodes: np.polynomial.legendre.leggauss(nodes) for _, nodes in ORDERS}
LEAST_MAGNITUDE = 1e-300  # in place of 0, by which nothing can be divided
Array = NDArray[Any]


def absmax_mse(
    fmt: NumberFormat | str,
    distribution: Distribution | str,
    block_size: float,
    scale: NumberFormat | str = "exact",
    *,
    tensor_scale: float | None = None,
) -> float:
    """Return the expected squared error of a weight under absmax block quantization.

    As `minifloat.quantize` does it: the scale is the block's greatest magnitude over the lesser of
    ``fmt.max`` and ``-fmt.min``, rounded; each weight goes to the nearest value times scale.

    Parameters
    ----------
    fmt : format or str
        With negative values.
    distribution : Distribution or str
        Of variance 1: weights are independent draws from it.
    block_size : float
        Weights to a scale, at least 1; need not be whole.
    scale : format or str
        As in `analysis.errors.scale_rules.scale_rule`: "exact", "float16", "e8m0", "e4m3fn", ...
    tensor_scale : float, optional
        As there.

    Returns
    -------
    float
        Relative to the variance. For a closed-form density accurate to 1e-8 of itself, Student's
        t from nu = 2.5 on; for `Empirical` a finite sum, over draws with replacement.

    Raises
    ------
    ValueError
        If ``block_size`` is below 1 or not finite, the format has no negative or no positive
        values, or a name or an option is not known.

    Examples
    --------
    >>> from analysis import absmax_mse
    >>> round(absmax_mse("e2m2", "normal", 128), 9)
    0.002871875
    >>> round(absmax_mse("e2m1", "normal", 32, "e8m0"), 9)
    0.013218762
    """
    grid, density, rule = _checked(fmt, distribution, block_size, scale, tensor_scale)
    if isinstance(density, Empirical):
        return _sum_over_weights(grid, density, block_size, rule)
    low, high, often = _panels(grid, density, block_size, rule)
    width = high - low
    total = least = 0.0
    for most, nodes in ORDERS:
        some = (width > least) & (width <= most)
        least = most
        points, weights = RULES[nodes]
        g = low[some, None] + width[some, None] * (1 + points) / 2
        weight = (often * width)[some, None] / 2 * weights * np.exp(-g - np.exp(-g))
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
    """Return the expected squared error of a weight in a block whose greatest is at a quantile.

    Parameters
    ----------
    fmt, distribution, block_size, scale, tensor_scale
        As in `absmax_mse`; the distribution in closed form.
    quantile : array_like
        In (0, 1): the share of blocks whose greatest magnitude is less.

    Returns
    -------
    ndarray of float64, in the shape of ``quantile``
        Relative to the variance of the distribution, not to the block's own.

    Raises
    ------
    ValueError
        As `absmax_mse`, and if a quantile is out of range or the distribution is `Empirical`.

    Examples
    --------
    >>> from analysis import absmax_mse_at
    >>> absmax_mse_at("e2m2", "normal", 128, [0.1, 0.9]).round(6).tolist()
    [0.002593, 0.003129]
    """
    share = np.asarray(quantile, np.float64)
    if not ((share > 0) & (share < 1)).all():
        raise ValueError(f"quantile must be in (0, 1), got {quantile!r}")
    grid, density, rule = _checked(fmt, distribution, block_size, scale, tensor_scale)
    if isinstance(density, Empirical):
        raise ValueError("distribution must have a density, got weights")
    g = -np.log(-np.log(share.reshape(-1)))
    return _error_given(grid, density, block_size, rule, g).reshape(share.shape)


def _checked(
    fmt: NumberFormat | str,
    distribution: Distribution | str,
    block_size: float,
    scale: NumberFormat | str,
    tensor_scale: float | None,
) -> tuple[Grid, Distribution, ScaleRule]:
    if not 1 <= block_size < math.inf:
        raise ValueError(f"block_size must be finite and at least 1, got {block_size}")
    grid, density = grid_of(fmt), parse_distribution(distribution)
    if not grid.top:
        raise ValueError(f"fmt must have values of both signs for absmax scaling, got {fmt}")
    return grid, density, scale_rule(scale, grid, density, tensor_scale)


def _error_given(grid: Grid, density: Distribution, n: float, rule: ScaleRule, g: Array) -> Array:
    """Return the expected squared error of a weight, given the greatest's Gumbel variable."""
    below = np.exp(-np.exp(-g) / n)
    m = np.maximum(_greatest_at(density, n, g), LEAST_MAGNITUDE)
    scales = rule(m, grid.top)
    others = squared_error_within(grid, density, scales, m) / below
    greatest = (_error_at(grid, scales, m) + _error_at(grid, scales, -m)) / 2
    return np.asarray(((n - 1) * others + greatest) / n)


def _error_at(grid: Grid, scales: Array, x: Array) -> Array:
    return np.asarray((x - scales * grid.nearest(x / scales)) ** 2)


def _panels(
    grid: Grid, density: Distribution, n: float, rule: ScaleRule
) -> tuple[Array, Array, Array]:
    """Return the ends of panels, lower and upper, and how often each counts.

    They end on an even grid and at every point that is not smooth: where the scale steps, and
    where m crosses a decision point with its own scale. Of many like steps some stand for all.
    """
    end = min(DIGITS / (1 - 2 / density.tail_index) + 8, GREATEST_GUMBEL)
    even = np.concatenate([np.arange(LEAST_GUMBEL, 4, 0.5), np.arange(4, end, 1.0), [end]])
    if not rule.scales.size:
        return even[:-1], even[1:], np.ones(even.size - 1)
    kinks = _kinks(grid, density, n, rule, end)
    g = _gumbel(density, n, kinks)
    inside = (g > LEAST_GUMBEL) & (g < end)
    g, order = np.unique(np.concatenate([even, g[inside]]), return_index=True)
    m = np.concatenate([_greatest_at(density, n, even), kinks[inside]])[order]
    groups = np.searchsorted(even, (g[1:] + g[:-1]) / 2)
    some, often = sampled_panels(m, groups)
    return g[some], g[some + 1], often


def _greatest_at(density: Distribution, n: float, g: Array) -> Array:
    return density.magnitude_beyond(-np.expm1(-np.exp(-g) / n))


def _gumbel(density: Distribution, n: float, m: Array) -> Array:
    """Return g from m; infinite where the chance of more than m is 1 or 0."""
    beyond = 2 * density.upper_moments(m).zeroth
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(-n * np.log1p(-beyond)))


def _kinks(grid: Grid, density: Distribution, n: float, rule: ScaleRule, end: float) -> Array:
    """Return the m where the error is not smooth, about as far as g goes."""
    first, final = _greatest_at(density, n, np.array([LEAST_GUMBEL, end]))
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


def _sum_over_weights(grid: Grid, density: Empirical, n: float, rule: ScaleRule) -> float:
    """Return the error for n draws with replacement: a sum over the greatest magnitude.

    With F and F- the shares of weights up to a magnitude m and below it, a weight below m is in a
    block of greatest magnitude m with chance ``F**(n-1) - F-**(n-1)``, a weight at m with chance
    ``F**(n-1)``.
    """
    m, counts = np.unique(np.abs(density.sorted), return_counts=True)
    share = np.cumsum(counts) / density.sorted.size
    before = np.concatenate([[0.0], share[:-1]])
    positive = m > 0  # a block of zeros has no error
    m, share, before = m[positive], share[positive], before[positive]
    if n == 1:
        below = np.zeros(m.size)
    else:
        below = share ** (n - 1) - before ** (n - 1)
    scales = rule(m, grid.top)
    inside = squared_error_within(grid, density, scales, np.nextafter(m, 0.0))
    at_m = sum(
        (np.searchsorted(density.sorted, x, side="right") - np.searchsorted(density.sorted, x))
        * _error_at(grid, scales, x)
        for x in (m, -m)
    )
    return float(below @ inside + share ** (n - 1) @ (at_m / density.sorted.size))
