"""The exact mean square error where each block is the better one of two candidates.

Let D be the error of a block as the first candidate less that as the second. The block has the
smaller one, so with the expected errors A and B of the two (`analysis.errors.absmax_error`)

    E min = (A + B) / 2 - E|D| / 2

Given the block's absmax m, the other n - 1 weights are independent, and D is the sum of d(x) over
the block, where d(x) is the difference of one weight's squared errors. So the characteristic
function of D is ``exp(i t d(m)) phi(t)**(n - 1)``, where phi is that of d(X) on [-m, m]. D is
bounded; within half of a period L, |D| and the sign of D are Fourier series, and so

    E|D|    = L / 4 - 2 L / pi**2 * sum over odd j of  Re phi_D(2 pi j / L) / j**2
    E sign  =             4 / pi * sum over odd j of  Im phi_D(2 pi j / L) / j

Between the decision points of both grids d is a line, so Gauss-Legendre nodes give phi. Where both
candidates round to the same, d is 0: the chance that all n - 1 are such is left out of the series,
which then fall off quickly. The integral over m is that of `analysis.errors.absmax_error`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from analysis.errors.absmax_error import (
    MIN_MAGNITUDE,
    ORDERS,
    RULES,
    absmax_at,
    covered_block,
    error_given,
    even_panels,
    gumbel_of,
    kinks_of,
)
from analysis.errors.distributions import Distribution, parse_distribution
from analysis.errors.grids import Grid, grid_of
from analysis.errors.laws import Array
from analysis.errors.scale_rules import ScaleRule, scale_rule, tensor_scale_of, usual_absmax
from minifloat.formats import NumberFormat
from minifloat.quantization.recipes import Recipe

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)  # of a cell of phi
STEPS = np.array([0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6])  # ends of cells, where no point is near
GROWTH = 1.5  # of cells beyond, which only heavy tails reach
TERMS = 48  # of a series that are summed at a time
FEW = 8  # of them that tell how large the next ones are
MOST_TERMS = 1 << 11
ENOUGH = 1e-8  # of the first term: what a series leaves out
LEAST_BLOCK = 8  # of fewer weights phi would have to be known where its nodes do not resolve it
MOST_KINKS = 1 << 12  # scales of more steps count as smooth


class AdaptiveError(NamedTuple):
    """What a recipe with two candidates loses.

    Attributes
    ----------
    mse : float
        The expected squared error of a weight, relative to the variance.
    share : float
        The share of blocks that are the second candidate.
    """

    mse: float
    share: float


class _Candidate(NamedTuple):
    grid: Grid
    rule: ScaleRule


def adaptive_mse(
    recipe: Recipe | NumberFormat | str,
    distribution: Distribution | str,
    *,
    tensor_scale: float | None = None,
) -> AdaptiveError:
    """Return the expected squared error of a weight where each block chooses the better candidate.

    Parameters
    ----------
    recipe : Recipe or str
        With one alternative, such as "four_over_six" or "if4", and the search absmax.
    distribution : Distribution or str
        Of variance 1: weights are independent draws from it.
    tensor_scale : float, optional
        As for `analysis.errors.scale_rules.scale_rule`.

    Returns
    -------
    AdaptiveError
        The error is accurate to 1e-6 of itself, the share to 1e-3; with scales of 6 mantissa bits
        or more, float32 apart, to 1e-4 and 1e-3.

    Raises
    ------
    ValueError
        If the recipe has another number of candidates, or blocks of fewer than 8 weights, or the
        theory does not cover it otherwise; see `absmax_mse`.
    TypeError
        If ``distribution`` is neither a `Distribution` nor a name.

    Notes
    -----
    It takes about a second for a Gaussian and ten for long tails: some thousand characteristic
    functions of some hundred nodes each.

    Examples
    --------
    >>> from analysis import adaptive_mse
    >>> error = adaptive_mse("four_over_six", "normal")
    >>> f"{error.mse:.5f} {error.share:.3f}"
    '0.00756 0.452'
    """
    recipe, density = Recipe.parse(recipe), parse_distribution(distribution)
    if len(recipe.candidates) != 2:
        raise ValueError(
            f"recipe must have two candidates for an exact error, got {recipe}, with "
            f"{len(recipe.candidates)}; measure it by minifloat.compare"
        )
    n = covered_block(recipe.candidates[0])
    if n < LEAST_BLOCK:
        raise ValueError(
            f"recipe must have blocks of at least {LEAST_BLOCK} weights for an exact error, got "
            f"{recipe}; measure it by minifloat.compare"
        )
    pair = _candidates(recipe, density, tensor_scale)
    mse = share = 0.0
    low, high = _panels(pair, density, n)
    width, min_width = high - low, 0.0
    for max_width, nodes in ORDERS:
        panels = (width > min_width) & (width <= max_width)
        min_width = max_width
        points, weights = RULES[nodes]
        g = (low[panels, None] + width[panels, None] * (1 + points) / 2).reshape(-1)
        weight = (width[panels, None] / 2 * weights).reshape(-1) * np.exp(-g - np.exp(-g))
        both = [error_given(each.grid, density, n, each.rule, g) for each in pair]
        distance, sign = _differences(pair, density, n, g, weight)
        mse += float(weight @ (both[0] + both[1])) / 2 - float(weight @ distance) / (2 * n)
        share += float(weight @ (1 + sign)) / 2
    return AdaptiveError(mse, share)


def _candidates(
    recipe: Recipe, density: Distribution, tensor_scale: float | None
) -> list[_Candidate]:
    """Return the grids of the candidates in units of their scales, and the rules of these."""
    if tensor_scale is None and recipe.tensor_scale:
        tensor_scale = tensor_scale_of(recipe, usual_absmax(density))
    factors = recipe.factors(None)
    pair = []
    for each, factor in zip(recipe.candidates, factors, strict=True):
        own = recipe.candidates[0] if recipe.one_scale else each
        grid = grid_of(each.fmt)
        stretched = Grid(grid.values * factor, grid.middles * factor)
        pair.append(_Candidate(stretched, scale_rule(own, density, tensor_scale)))
    return pair


def _panels(pair: list[_Candidate], density: Distribution, n: int) -> tuple[Array, Array]:
    """Return the ends of panels, which end where the scale of a candidate steps, or m crosses."""
    even = even_panels(density)
    found = [
        kinks_of(each.grid, density, n, each.rule, float(even[-1]))
        for each in pair
        if each.rule.scales.size
    ]
    kinks = np.concatenate([*found, np.empty(0)])
    if kinks.size > MOST_KINKS:
        kinks, even = (
            np.empty(0),
            np.interp(np.arange(0, even.size - 1, 0.25), range(even.size), even),
        )
    g = gumbel_of(density, n, kinks)
    ends = np.unique(np.concatenate([even, g[(g > even[0]) & (g < even[-1])]]))
    return ends[:-1], ends[1:]


def _differences(
    pair: list[_Candidate], density: Distribution, n: int, g: Array, weight: Array
) -> tuple[Array, Array]:
    """Return E|D| and the mean sign of D for each block, given its Gumbel variable."""
    distance, sign = np.zeros((2, g.size))
    m = np.maximum(absmax_at(density, n, g), MIN_MAGNITUDE)
    scales = [each.rule(m) for each in pair]
    for k in np.flatnonzero(weight > 0):
        first, second = ((each.grid, float(s[k])) for each, s in zip(pair, scales, strict=True))
        nodes, mass = _nodes(first, second, density, float(m[k]))
        ends = _difference(np.array([m[k], -m[k]]), first, second)
        series = _series(_difference(nodes, first, second), mass, ends, n)
        distance[k], sign[k] = series
    return distance, sign


def _difference(x: Array, first: tuple[Grid, float], second: tuple[Grid, float]) -> Array:
    """Return the squared error of the first less that of the second, of each weight."""
    errors = [(x - scale * grid.nearest(x / scale)) ** 2 for grid, scale in (first, second)]
    return np.asarray(errors[0] - errors[1])


def _nodes(
    first: tuple[Grid, float], second: tuple[Grid, float], density: Distribution, m: float
) -> tuple[Array, Array]:
    """Return nodes of the law of X on [-m, m], and their chances; if all is symmetric, of |X|."""
    far = STEPS[-1] * GROWTH ** np.arange(1, 2 + max(0, math.log(max(m, 1) / STEPS[-1], GROWTH)))
    steps = np.concatenate([[0.0], STEPS, far])
    points = [grid.middles * scale for grid, scale in (first, second)]
    ends = np.unique(np.concatenate([steps, -steps, *points, [m, -m]]))
    least = 0.0 if first[0].symmetric and second[0].symmetric and density.symmetric else -m
    ends = ends[(ends >= least) & (ends <= m)]
    radius = np.diff(ends) / 2
    x = (ends[:-1, None] + radius[:, None] * (1 + NODES)).reshape(-1)
    mass = (radius[:, None] * WEIGHTS).reshape(-1) * density.pdf(x)
    return x, mass / mass.sum()


def _series(d: Array, mass: Array, ends: Array, n: int) -> tuple[float, float]:
    """Return E|D| and the mean sign of D, where ``ends`` has d of the two weights of absmax m."""
    every = np.concatenate([d, ends])
    bound = float(np.abs(ends).max()) + (n - 1) * float(np.abs(d).max())
    if bound == 0:
        return 0.0, 0.0
    period = 2 * bound * (1 + 1e-9)
    unit = np.exp(2j * math.pi / period * every)  # the powers that follow are products
    powers = np.empty((TERMS, every.size), np.complex128)
    powers[0], powers[1:] = unit, unit * unit
    none = float(mass[d == 0].sum()) ** (n - 1)
    distance = sign = 0.0
    for start in range(0, MOST_TERMS, TERMS):
        j = 2.0 * np.arange(start, start + TERMS) + 1
        np.multiply.accumulate(powers, axis=0, out=powers)
        phi = np.einsum("jx,x->j", powers[:, : d.size], mass)  # BLAS wakes threads for so little
        of_block = powers[:, d.size :].mean(axis=1) * (phi ** (n - 1) - none)
        distance += float((of_block.real / j**2).sum())
        sign += float((of_block.imag / j).sum())
        if np.abs(of_block[-FEW:]).max() < ENOUGH * j[-1]:
            break
        powers[0], powers[1:] = powers[-1] * unit * unit, unit * unit
    other_distance = (1 - none) * period / 4 - 2 * period / math.pi**2 * distance
    return (
        other_distance + none * float(np.abs(ends).mean()),
        4 / math.pi * sign + none * float(np.where(ends > 0, 1.0, -1.0).mean()),  # ties: the first
    )
