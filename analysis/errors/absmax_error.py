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
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors.distributions import Distribution, parse_distribution
from analysis.errors.expected_error import squared_error_within
from analysis.errors.grids import Grid, grid_of
from analysis.errors.laws import Array, Law
from analysis.errors.panels import sampled_panels
from analysis.errors.scale_rules import ScaleRule, scale_rule
from minifloat.formats import Format, NumberFormat
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleFormat, ScaleSearch

MIN_GUMBEL = -4.0  # g is smaller with a chance of exp(-exp(4)) = 2e-24
DIGITS = 25.0  # exp(-25) = 1e-11 of the error lies beyond the largest g
MAX_GUMBEL = 690.0  # exp(-690) is about the smallest normal float64
ORDERS = ((0.02, 2), (0.1, 4), (math.inf, 10))  # nodes of a panel, by its width
RULES = {nodes: np.polynomial.legendre.leggauss(nodes) for _, nodes in ORDERS}
MIN_MAGNITUDE = 1e-300  # in place of 0, which cannot divide


def absmax_mse(
    fmt: Recipe | NumberFormat | str,
    distribution: Distribution | str,
    block_size: float | None = None,
    scale: ScaleFormat | Format | str = "float32",
    *,
    tensor_scale: float | None = None,
) -> float:
    """Return the expected squared error of a weight under absmax block quantization.

    As in `minifloat.quantize`: the scale is the block's absmax over ``fmt.max_abs``, rounded, and
    each weight rounds to the nearest value times scale. `absmax_mse_of_weights` is the same for
    weights instead of a density.

    Parameters
    ----------
    fmt : Recipe, format or str
        With negative values: a recipe, its text or name ("nvfp4", "e2m1/32/e8m0:ceil"), or, with
        ``block_size``, a format.
    distribution : Distribution or str
        Of variance 1: weights are independent draws from it.
    block_size : float, optional
        Weights that share a scale, at least 1; need not be whole. Left out for a recipe.
    scale : str, Format or ScaleFormat
        With ``block_size``: the format of scales, as for `minifloat.Recipe`, such as "float16" or
        "e8m0:up". float32 counts as exact. A format narrower than 1e-4 to 1e4 (e4m3fn) has a tensor
        scale too, as in NVFP4.
    tensor_scale : float, optional
        As for `analysis.errors.scale_rules.scale_rule`.

    Returns
    -------
    float
        Relative to the variance; accurate to 1e-8 of itself, for Student's t from nu = 2.5 on.

    Raises
    ------
    ValueError
        If ``block_size`` is below 1 or not finite, ``scale`` is given without it, the format has no
        negative or no positive values, a name or an option is not known, or the theory does not
        cover the recipe: it covers the search "absmax", without zero points and double
        quantization, in blocks of a known size.
    TypeError
        If ``distribution`` is neither a `Distribution` nor a name, or ``block_size`` no number.

    Examples
    --------
    >>> from analysis import absmax_mse
    >>> round(absmax_mse("e2m2", "normal", 128), 9)
    0.002871875
    >>> round(absmax_mse("mxfp4", "normal"), 9), round(absmax_mse("nvfp4", "normal"), 9)
    (0.013218762, 0.009047542)
    """
    density = parse_distribution(distribution)
    grid, n, rule = checked_scaling(fmt, density, block_size, scale, tensor_scale)
    return mse_in_blocks(grid, density, n, rule)


def mse_in_blocks(grid: Grid, density: Distribution, n: float, rule: ScaleRule) -> float:
    """Return the expected squared error of a weight in blocks of n; see `absmax_mse`.

    Parameters
    ----------
    grid : Grid
    density : Distribution
    n : float
        At least 1.
    rule : ScaleRule
        How a block's scale follows from its absmax.
    """
    low, high, count = _panels(grid, density, n, rule)
    width = high - low
    total = min_width = 0.0
    for max_width, nodes in ORDERS:
        panels = (width > min_width) & (width <= max_width)
        min_width = max_width
        points, weights = RULES[nodes]
        g = low[panels, None] + width[panels, None] * (1 + points) / 2
        weight = (count * width)[panels, None] / 2 * weights * np.exp(-g - np.exp(-g))
        error = error_given(grid, density, n, rule, g.reshape(-1))
        total += float(weight.reshape(-1) @ error)
    return total


def absmax_mse_at(
    fmt: Recipe | NumberFormat | str,
    distribution: Distribution | str,
    quantile: ArrayLike,
    block_size: float | None = None,
    scale: ScaleFormat | Format | str = "float32",
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
    >>> absmax_mse_at("e2m2", "normal", [0.1, 0.9], 128).round(6).tolist()
    [0.002593, 0.003129]
    """
    share = np.asarray(quantile, np.float64)
    if not ((share > 0) & (share < 1)).all():
        raise ValueError(f"quantile must be in (0, 1), got {quantile!r}")
    density = parse_distribution(distribution)
    grid, n, rule = checked_scaling(fmt, density, block_size, scale, tensor_scale)
    g = -np.log(-np.log(share.reshape(-1)))
    return error_given(grid, density, n, rule, g).reshape(share.shape)


def checked_scaling(
    fmt: Recipe | NumberFormat | str,
    law: Law,
    block_size: float | None,
    scale: ScaleFormat | Format | str,
    tensor_scale: float | None,
) -> tuple[Grid, float, ScaleRule]:
    """Check the arguments of absmax scaling; return the grid, the block size and the scale rule.

    Parameters
    ----------
    fmt, block_size, scale, tensor_scale
        As for `absmax_mse`.
    law : Law
        Of the weights.

    Returns
    -------
    Grid, float, ScaleRule

    Raises
    ------
    ValueError
        As `absmax_mse`.
    """
    if block_size is None:
        if scale != "float32":
            raise ValueError(
                f"scale must come with block_size, got {scale} without; a recipe's text has its "
                'own, such as "e2m2/32/e8m0"'
            )
        recipe = Recipe.parse(fmt)
        size: float = covered_block(recipe)
    else:
        if isinstance(fmt, Recipe):
            raise ValueError(f"block_size must be left out for a recipe, got {block_size}")
        recipe, size = with_tensor_scale(Recipe(fmt, scale=scale)), block_size
    if not isinstance(size, Real):
        raise TypeError(f"block_size must be a number, got {type(size).__name__}")
    if not 1 <= size < math.inf:
        raise ValueError(f"block_size must be finite and at least 1, got {size}")
    if not recipe.fmt.min < 0 < recipe.fmt.max:
        raise ValueError(f"fmt must have values of both signs for absmax scaling, got {recipe.fmt}")
    return grid_of(recipe.fmt), size, scale_rule(recipe, law, tensor_scale)


def with_tensor_scale(recipe: Recipe) -> Recipe:
    """Return the recipe; with a tensor scale if its scales do not reach from 1e-4 to 1e4."""
    values = recipe.scale.values
    return recipe.replace(tensor_scale=not values.smallest < 1e-4 < 1e4 < values.largest)


def covered_block(recipe: Recipe) -> int:
    """Return the weights that share a scale; refuse recipes that the theory does not cover."""
    if recipe.alternatives:
        raise ValueError(
            f"recipe must have one candidate for an absmax error, got {recipe}; use "
            "analysis.adaptive_mse"
        )
    if recipe.search is not ScaleSearch.ABSMAX or recipe.double or recipe.zero_point:
        raise ValueError(
            "recipe must have the search absmax, without double and zero points, for an exact "
            f"error, got {recipe}; measure it by minifloat.compare"
        )
    if isinstance(recipe.block, str):
        raise ValueError(
            f"recipe must have blocks of a known size for an exact error, got {recipe}; "
            "use recipe.replace(block=...)"
        )
    if recipe.rotation is not None:
        raise ValueError(
            f"recipe must have no rotation for an exact error, got {recipe}; leave it out, and use "
            "the law of rotated weights, analysis.errors.rotated.Rotated"
        )
    return recipe.block if isinstance(recipe.block, int) else math.prod(recipe.block)


def errors_of_largest(grid: Grid, scales: Array, x: Array) -> Array:
    """Return the squared errors of the weights ``x``, each with its own scale."""
    return np.asarray((x - scales * grid.nearest(x / scales)) ** 2)


def error_given(grid: Grid, density: Distribution, n: float, rule: ScaleRule, g: Array) -> Array:
    """Return the expected squared error of a weight, given the Gumbel variable of its block."""
    share_below = np.exp(-np.exp(-g) / n)
    m = np.maximum(absmax_at(density, n, g), MIN_MAGNITUDE)
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
    even = even_panels(density)
    end = float(even[-1])
    if not rule.scales.size:
        return even[:-1], even[1:], np.ones(even.size - 1)
    kinks = kinks_of(grid, density, n, rule, end)
    g = gumbel_of(density, n, kinks)
    inside = (g > MIN_GUMBEL) & (g < end)
    g, order = np.unique(np.concatenate([even, g[inside]]), return_index=True)
    m = np.concatenate([absmax_at(density, n, even), kinks[inside]])[order]
    groups = np.searchsorted(even, (g[1:] + g[:-1]) / 2)
    indices, count = sampled_panels(m, groups)
    return g[indices], g[indices + 1], count


def even_panels(density: Distribution) -> Array:
    """Return ends of panels that hold all but 1e-11 of the error."""
    end = min(DIGITS / (1 - 2 / density.tail_index) + 8, MAX_GUMBEL)
    return np.concatenate([np.arange(MIN_GUMBEL, 4, 0.5), np.arange(4, end, 1.0), [end]])


def absmax_at(density: Distribution, n: float, g: Array) -> Array:
    """Return the absmax of a block of ``n`` weights, of its Gumbel variable."""
    return density.magnitude_beyond(-np.expm1(-np.exp(-g) / n))


def gumbel_of(density: Distribution, n: float, m: Array) -> Array:
    """Return g from m; infinite where P(|X| > m) is 1 or 0."""
    beyond = 2 * density.upper_moments(m).zeroth
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(-n * np.log1p(-beyond)))


def kinks_of(grid: Grid, density: Distribution, n: float, rule: ScaleRule, end: float) -> Array:
    """Return each m at which the error has a kink, within the range of g."""
    first, final = absmax_at(density, n, np.array([MIN_GUMBEL, end]))
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
