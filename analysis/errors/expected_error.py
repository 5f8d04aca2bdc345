"""The exact mean square error of a scaled grid under a density, and the scale that makes it least.

With nearest rounding and saturation the error is a sum over cells,
``sum_k integral over cell k of (t - s v_k)**2 f(t) dt``. A wide cell is taken from the density's
partial moments. A narrow one would cancel there: its error is of the order of its width squared
and the moments are not. Its integrand is smooth, so eight Gauss-Legendre nodes give it to
1e-12 of itself. Nothing negative is added, so the sum is as accurate as its parts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import ArrayLike, NDArray

from analysis.errors.distributions import Distribution, parse_distribution
from analysis.errors.grids import Grid, grid_of
from minifloat.formats import NumberFormat

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
SCAN_STEPS = 48  # scales tried in each octave
CELLS_AT_ONCE = 1 << 16  # in one array of cells; bounds the memory and stays in cache
Array = NDArray[Any]


def expected_mse(fmt: NumberFormat | str, distribution: Distribution | str, scale: float) -> float:
    """Return the mean of ``(x - q)**2`` with q the value of ``fmt`` times ``scale`` nearest to x.

    Values beyond the greatest saturate; infinities and NaNs of the format are never used.

    Parameters
    ----------
    fmt : format or str
    distribution : Distribution or str
        Of variance 1, or a name that `parse_distribution` reads.
    scale : float
        Above 0, in standard deviations.

    Returns
    -------
    float
        Relative to the variance; accurate to 1e-10 of itself.

    Raises
    ------
    ValueError
        If ``scale`` is not positive and finite, or a name is not known.

    Examples
    --------
    >>> from analysis import expected_mse
    >>> round(expected_mse("int4", "normal", 0.36), 8)
    0.01291984
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"scale must be positive and finite, got {scale}")
    density = parse_distribution(distribution)
    return float(mse_at_scales(grid_of(fmt), density, np.array([scale]))[0])


def optimal_scale(fmt: NumberFormat | str, distribution: Distribution | str) -> tuple[float, float]:
    """Return the scale of least `expected_mse`, and that error.

    The error has a minimum near every power of two that suits a floating-point grid, so all of
    them are found: a scan of 48 scales to the octave brackets them, and each is polished on the
    derivative ``-2 sum_k v_k integral over cell k of (t - s v_k) f(t) dt``.

    Parameters
    ----------
    fmt : format or str
    distribution : Distribution or str

    Returns
    -------
    scale : float
        In standard deviations, accurate to 1e-9 of itself.
    mse : float
        Accurate to 1e-10 of itself.

    Raises
    ------
    ValueError
        If a name is not known, or the format has no value but 0.

    Examples
    --------
    >>> from analysis import optimal_scale
    >>> scale, mse = optimal_scale("e2m1", "normal")
    >>> f"{scale:.6f} {mse:.7f}"
    '0.487079 0.0126849'
    """
    grid, density = grid_of(fmt), parse_distribution(distribution)
    scales = scales_of_minima(grid, density)
    errors = mse_at_scales(grid, density, scales)
    best = int(np.argmin(errors))
    return float(scales[best]), float(errors[best])


def code_entropy(fmt: NumberFormat | str, distribution: Distribution | str, scale: float) -> float:
    """Return the entropy of the rounded values, which a lossless coder could store them in.

    0 and -0 count as one value.

    Parameters
    ----------
    fmt : format or str
    distribution : Distribution or str
    scale : float
        Above 0, in standard deviations.

    Returns
    -------
    float
        Bits to a weight.

    Raises
    ------
    ValueError
        If ``scale`` is not positive and finite, or a name is not known.

    Examples
    --------
    >>> from analysis import code_entropy
    >>> round(code_entropy("e2m2", "uniform", 3**0.5 / 7), 3)
    4.749
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"scale must be positive and finite, got {scale}")
    density = parse_distribution(distribution)
    return float(entropy_at_scales(grid_of(fmt), density, np.array([scale]))[0])


def scan_of_scales(grid: Grid) -> Array:
    """Return scales from where all saturates to where all but nothing is above the least value."""
    magnitudes = np.abs(grid.values[grid.values != 0])
    if not magnitudes.size:
        raise ValueError("fmt must have a value that is not 0")
    low, high = 0.05 / float(magnitudes.max()), 8 / float(magnitudes.min())
    return np.geomspace(low, high, 2 + int(SCAN_STEPS * math.log2(high / low)))


def scales_of_minima(grid: Grid, density: Distribution) -> Array:
    """Return the scale of every local minimum of the error, and the best scale of the scan."""
    scales = scan_of_scales(grid)
    errors = mse_at_scales(grid, density, scales)
    inner = errors[1:-1]
    lowest = np.flatnonzero((inner <= errors[:-2]) & (inner <= errors[2:])) + 1
    minima = [_polish(grid, density, scales[k - 1], scales[k + 1]) for k in lowest]
    return np.array([*minima, scales[np.argmin(errors)]])


def mse_at_scales(grid: Grid, density: Distribution, scales: Array) -> Array:
    """Return the mean square error at each scale."""
    return squared_error_within(grid, density, scales, np.full(scales.shape, math.inf))


def squared_error_within(grid: Grid, density: Distribution, scales: Array, limits: Array) -> Array:
    """Return ``integral from -m to m of (t - q(t))**2 f(t) dt`` for pairs of scale and m.

    Parameters
    ----------
    grid : Grid
    density : Distribution
    scales, limits : ndarray, shape (N,)
        q rounds to the nearest of ``scale * grid.values``; m is the limit, and may be infinite.

    Returns
    -------
    ndarray of float64, shape (N,)
    """
    limits = np.minimum(limits, density.end)
    if grid.symmetric and density.symmetric:
        return 2 * _on_one_side(*grid.half, density, 1, scales, limits)
    return _on_one_side(*grid.half, density, 1, scales, limits) + _on_one_side(
        *grid.mirrored, density, -1, scales, limits
    )


def _on_one_side(
    middles: Array, values: Array, density: Distribution, sign: int, scales: Array, limits: Array
) -> Array:
    """Return the integral over [0, m] of ``sign`` times the variable."""
    out = np.empty(scales.shape)
    step = max(1, CELLS_AT_ONCE // values.size)
    for start in range(0, scales.size, step):
        some = slice(start, start + step)
        low, high = _cells(middles, scales[some], limits[some])
        targets = scales[some, None] * values
        out[some] = _cell_errors(density, sign, low, high, targets).sum(axis=1)
    return out


def _cells(middles: Array, scales: Array, limits: Array) -> tuple[Array, Array]:
    """Return the ends of the cells on the half-line, shape (N, K); empty ones beyond the limit."""
    edges = np.empty((scales.size, middles.size + 2))
    edges[:, 0] = 0
    np.multiply.outer(scales, middles, out=edges[:, 1:-1])
    edges[:, -1] = math.inf
    edges = np.minimum(edges, limits[:, None])
    return edges[:, :-1], edges[:, 1:]


def _cell_errors(
    density: Distribution, sign: int, low: Array, high: Array, targets: Array
) -> Array:
    """Return ``integral from low to high of (t - target)**2 f(t) dt``, cell by cell."""
    errors = np.zeros(low.shape, np.float64)
    width = high - low
    narrow = width <= density.smooth_width(low)
    wide = ~narrow
    narrow &= width > 0
    if wide.any():
        above = density.upper_moments(low[wide], sign)
        beyond = density.upper_moments(high[wide], sign)
        zeroth, first, second = (a - b for a, b in zip(above, beyond, strict=True))
        target = targets[wide]
        errors[wide] = second - 2 * target * first + target * target * zeroth
    if narrow.any():
        radius = 0.5 * width[narrow, None]
        points = low[narrow, None] + radius * (1 + NODES)
        squares = (points - targets[narrow, None]) ** 2
        errors[narrow] = radius[:, 0] * ((squares * density.pdf(points)) @ WEIGHTS)
    return errors


def _slope(grid: Grid, density: Distribution, scale: float) -> float:
    """Return ``d mse / d scale``."""
    total = 0.0
    scales, limits = np.array([scale]), np.array([math.inf])
    for sign, (middles, values) in ((1, grid.half), (-1, grid.mirrored)):
        low, high = _cells(middles, scales, limits)
        above, beyond = density.upper_moments(low, sign), density.upper_moments(high, sign)
        pull = (above.first - beyond.first) - scale * values * (above.zeroth - beyond.zeroth)
        total -= 2 * float((pull * values).sum())
    return total


def _polish(grid: Grid, density: Distribution, low: float, high: float) -> float:
    """Return the minimum between two scales: the derivative's root, if it has just one."""
    if _slope(grid, density, low) < 0 < _slope(grid, density, high):
        root = scipy.optimize.brentq(
            lambda scale: _slope(grid, density, scale), low, high, xtol=1e-300, rtol=1e-14
        )
        return float(root)
    found = scipy.optimize.minimize_scalar(
        lambda scale: float(mse_at_scales(grid, density, np.array([scale]))[0]),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-9 * low},
    )
    return float(found.x)


def entropy_at_scales(grid: Grid, density: Distribution, scales: Array) -> Array:
    """Return the entropy of the rounded values at each scale, in bits."""
    total = np.zeros(scales.shape)
    limits = np.full(scales.shape, math.inf)
    middle = np.zeros(scales.shape)
    for sign, (middles, _) in ((1, grid.half), (-1, grid.mirrored)):
        low, high = _cells(middles, scales, limits)
        above, beyond = density.upper_moments(low, sign), density.upper_moments(high, sign)
        chances = np.asarray(above.zeroth - beyond.zeroth, np.float64)
        if 0.0 not in grid.middles:  # the first cell goes on below 0
            middle += chances[:, 0]
            chances = chances[:, 1:]
        total -= _plogp(chances).sum(axis=1)
    return total - _plogp(middle)


def _plogp(p: ArrayLike) -> Array:
    p = np.asarray(p)
    return p * np.log2(np.where(p > 0, p, 1.0))
