"""The exact mean square error of a scaled grid under a law, and the scale that minimizes it.

With nearest rounding and saturation the error is a sum over cells,
``sum_k integral over cell k of (t - s v_k)**2 dF(t)``; `Law.squared_errors` computes each. All
terms are positive, so the sum is as accurate as its parts.
"""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
import scipy.optimize
from numpy.typing import ArrayLike

from analysis.errors.distributions import law_of
from analysis.errors.grids import Grid, grid_of
from analysis.errors.laws import Array, Law, Moments
from minifloat.formats import NumberFormat

SCAN_STEPS = 48  # scales tried in each octave
FEW_STEPS = 4  # the same, to bound the scan
LEAST_GAIN = 1e-12  # of a scale over zeros, below which none is searched for
FARTHEST = 1e100  # standard deviations, beyond which none is
CELLS_AT_ONCE = 1 << 16  # in one array of cells; bounds the memory and stays in cache


def expected_mse(fmt: NumberFormat | str, distribution: Law | str, scale: float) -> float:
    """Return the mean of ``(x - q)**2``, where q is the nearest value of ``fmt`` times ``scale``.

    Values beyond the largest saturate; infinities and NaNs of the format are never used.

    Parameters
    ----------
    fmt : format or str
    distribution : Law or str
        A name that `parse_distribution` reads, a `Distribution`, or `Empirical` weights.
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
    TypeError
        If ``scale`` is no number.

    Examples
    --------
    >>> from analysis import expected_mse
    >>> round(expected_mse("int4", "normal", 0.36), 8)
    0.01291984
    """
    if not isinstance(scale, Real):
        raise TypeError(f"scale must be a number, got {type(scale).__name__}")
    if not 0 < scale < math.inf:
        raise ValueError(f"scale must be positive and finite, got {scale}")
    law = law_of(distribution)
    return float(mse_at_scales(grid_of(fmt), law, np.array([scale]))[0])


def optimal_scale(fmt: NumberFormat | str, distribution: Law | str) -> tuple[float, float]:
    """Return the scale that minimizes `expected_mse`, and that error.

    A floating-point grid has a local minimum near every power of two that suits it, so all minima
    are found: a scan of 48 scales per octave brackets them, and each is refined on the derivative
    ``-2 sum_k v_k integral over cell k of (t - s v_k) dF(t)``.

    Parameters
    ----------
    fmt : format or str
    distribution : Law or str

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
    grid, law = grid_of(fmt), law_of(distribution)
    scales = scales_of_minima(grid, law)
    errors = mse_at_scales(grid, law, scales)
    best = int(np.argmin(errors))
    return float(scales[best]), float(errors[best])


def code_entropy(fmt: NumberFormat | str, distribution: Law | str, scale: float) -> float:
    """Return the entropy of the rounded values: the bits that an ideal lossless coder needs.

    0 and -0 count as one value.

    Parameters
    ----------
    fmt : format or str
    distribution : Law or str
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
    law = law_of(distribution)
    return float(entropy_at_scales(grid_of(fmt), law, np.array([scale]))[0])


def scan_of_scales(grid: Grid, law: Law) -> Array:
    """Return scales from "nearly all weights saturate" to "nearly all round to 0".

    The best scale is between the first and the last. Let a scale s reduce the error from 1, that of
    zeros, by g. As x**2 - (x - q)**2 = 2 x q - q**2, g is at most 2 s max|v| E|x|; and at most
    E[x**2; |x| > s min|v| / 2], since other weights are nearer to 0 than to a value that is not 0.
    """
    magnitudes = np.abs(grid.values[grid.values != 0])
    if not magnitudes.size:
        raise ValueError("fmt must have a value that is not 0")
    largest, smallest = float(magnitudes.max()), float(magnitudes.min())
    low, high = 0.05 / largest, 8 / smallest
    some = _geometric(low, high, FEW_STEPS)  # the gain of any scale is a bound for the best's
    gain = 1 - float(mse_at_scales(grid, law, some).min())
    gain = max(gain, LEAST_GAIN)
    low = min(low, gain / (2 * largest * float(_beyond(law, 0.0).first)))
    while high < FARTHEST / smallest and float(_beyond(law, high * smallest / 2).second) > gain:
        high *= 2
    return _geometric(low, high, SCAN_STEPS)


def _geometric(low: float, high: float, steps: int) -> Array:
    """Return numbers from low to high, so many or more in each octave."""
    return np.geomspace(low, high, 2 + int(steps * math.log2(high / low)))


def _beyond(law: Law, magnitude: float) -> Moments:
    """Return the moments of |X| beyond a magnitude."""
    sides = zip(law.upper_moments(magnitude, 1), law.upper_moments(magnitude, -1), strict=True)
    return Moments(*(above + below for above, below in sides))


def scales_of_minima(grid: Grid, law: Law) -> Array:
    """Return the scale of every local minimum of the error, and the best scale of the scan."""
    scales = scan_of_scales(grid, law)
    errors = mse_at_scales(grid, law, scales)
    inner = errors[1:-1]
    lowest = np.flatnonzero((inner <= errors[:-2]) & (inner <= errors[2:])) + 1
    minima = [_refine(grid, law, scales[k - 1], scales[k + 1]) for k in lowest]
    return np.array([*minima, scales[np.argmin(errors)]])


def mse_at_scales(grid: Grid, law: Law, scales: Array) -> Array:
    """Return the mean square error at each scale."""
    return squared_error_within(grid, law, scales, np.full(scales.shape, math.inf))


def squared_error_within(grid: Grid, law: Law, scales: Array, limits: Array) -> Array:
    """Return ``integral from -m to m of (t - q(t))**2 dF(t)`` for pairs of scale and m.

    Parameters
    ----------
    grid : Grid
    law : Law
    scales, limits : ndarray, shape (N,)
        q rounds to the nearest of ``scale * grid.values``; the limit m may be infinite.

    Returns
    -------
    ndarray of float64, shape (N,)
    """
    limits = np.minimum(limits, law.end)
    if grid.symmetric and law.symmetric:
        return 2 * _on_one_side(*grid.half, law, 1, scales, limits)
    return _on_one_side(*grid.half, law, 1, scales, limits) + _on_one_side(
        *grid.mirrored, law, -1, scales, limits
    )


def _on_one_side(
    middles: Array, values: Array, law: Law, sign: int, scales: Array, limits: Array
) -> Array:
    """Return the integral over [0, m] for the variable times ``sign``."""
    out = np.empty(scales.shape)
    step = max(1, CELLS_AT_ONCE // values.size)
    for start in range(0, scales.size, step):
        chunk = slice(start, start + step)
        low, high = _cells(middles, scales[chunk], limits[chunk])
        targets = scales[chunk, None] * values
        out[chunk] = law.squared_errors(sign, low, high, targets).sum(axis=1)
    return out


def _cells(middles: Array, scales: Array, limits: Array) -> tuple[Array, Array]:
    """Return the ends of the cells on the half-line, shape (N, K); beyond the limit all empty."""
    edges = np.empty((scales.size, middles.size + 2))
    edges[:, 0] = 0
    np.multiply.outer(scales, middles, out=edges[:, 1:-1])
    edges[:, -1] = math.inf
    edges = np.minimum(edges, limits[:, None])
    return edges[:, :-1], edges[:, 1:]


def _slope(grid: Grid, law: Law, scale: float) -> float:
    """Return ``d mse / d scale``."""
    total = 0.0
    scales, limits = np.array([scale]), np.array([math.inf])
    for sign, (middles, values) in ((1, grid.half), (-1, grid.mirrored)):
        low, high = _cells(middles, scales, limits)
        above, beyond = law.upper_moments(low, sign), law.upper_moments(high, sign)
        pull = (above.first - beyond.first) - scale * values * (above.zeroth - beyond.zeroth)
        total -= 2 * float((pull * values).sum())
    return total


def _refine(grid: Grid, law: Law, low: float, high: float) -> float:
    """Return the minimum between two scales: the root of the derivative, if it changes sign."""
    if _slope(grid, law, low) < 0 < _slope(grid, law, high):
        root = scipy.optimize.brentq(
            lambda scale: _slope(grid, law, scale), low, high, xtol=1e-300, rtol=1e-14
        )
        return float(root)
    minimum = scipy.optimize.minimize_scalar(
        lambda scale: float(mse_at_scales(grid, law, np.array([scale]))[0]),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-9 * low},
    )
    return float(minimum.x)


def entropy_at_scales(grid: Grid, law: Law, scales: Array) -> Array:
    """Return the entropy of the rounded values at each scale, in bits."""
    total = np.zeros(scales.shape)
    limits = np.full(scales.shape, math.inf)
    middle = np.zeros(scales.shape)
    for sign, (middles, _) in ((1, grid.half), (-1, grid.mirrored)):
        low, high = _cells(middles, scales, limits)
        above, beyond = law.upper_moments(low, sign), law.upper_moments(high, sign)
        chances = np.asarray(above.zeroth - beyond.zeroth, np.float64)
        if 0.0 not in grid.middles:  # the first cell goes on below 0
            middle += chances[:, 0]
            chances = chances[:, 1:]
        total -= _plogp(chances).sum(axis=1)
    return total - _plogp(middle)


def _plogp(p: ArrayLike) -> Array:
    p = np.asarray(p)
    return p * np.log2(np.where(p > 0, p, 1.0))
