"""The smallest possible errors: Lloyd-Max and uniform quantizers, and information theory's bounds.

No quantizer of N levels with codes of fixed length has a smaller error than Lloyd and Max's. No
code of R bits per weight, however long the blocks it codes together, has a smaller error than the
distortion-rate function D(R), and Shannon's lower bound is at most D(R).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray

from analysis.errors.distributions import Distribution, law_of, parse_distribution
from analysis.errors.expected_error import (
    entropy_at_scales,
    mse_at_scales,
    optimal_scale,
    scales_of_minima,
    scan_of_scales,
)
from analysis.errors.grids import Grid, grid_of
from analysis.errors.laws import Array, Law, Moments
from minifloat.formats import Codebook, NumberFormat

MAX_LEVELS = 1 << 12
NEWTON_STEPS = 200
SETTLED = 1e-8  # a last step, over the distance of levels; the error settles to its square
COMPANDER_POINTS = 1 << 14
FAR_OUT = 1e-13  # chance beyond the levels kept of a quantizer with infinitely many


@dataclass(frozen=True, eq=False)
class Quantizer:
    """A scalar quantizer and its error.

    Attributes
    ----------
    levels : ndarray of float64, shape (N,)
        Ascending, in standard deviations.
    mse : float
        Mean square error over the variance.
    entropy : float
        Of its codes, in bits per weight.
    """

    levels: NDArray[np.float64]
    mse: float
    entropy: float

    @property
    def step(self) -> float:
        """Distance of the first two levels, in standard deviations; if uniform, of all."""
        return float(self.levels[1] - self.levels[0])


def lloyd_max(distribution: Distribution | str, levels: int) -> Quantizer:
    """Return the quantizer with the smallest mean square error for a number of levels.

    Every level is the mean of its cell and every cell ends half-way between levels (Lloyd 1957,
    Max 1960). Newton's method solves these equations, starting at the companding quantizer of
    Panter and Dite. For a log-concave density (all here but Student's) they have one solution.

    Parameters
    ----------
    distribution : Distribution or str
    levels : int
        2 to 4096.

    Returns
    -------
    Quantizer
        Levels accurate to 1e-8 of their distance, the error to 1e-11 of itself.

    Raises
    ------
    ValueError
        If ``levels`` is out of range, or Newton's method does not settle.
    TypeError
        If ``distribution`` is neither a `Distribution` nor a name.

    References
    ----------
    S. P. Lloyd, Least squares quantization in PCM, 1957 (IEEE Trans. IT 28, 1982);
    J. Max, Quantizing for minimum distortion, IRE Trans. IT 6, 1960.

    Examples
    --------
    >>> from analysis.errors.optimal_quantizers import lloyd_max
    >>> quantizer = lloyd_max("normal", 4)
    >>> quantizer.levels.round(4).tolist(), round(quantizer.mse, 4)
    ([-1.5104, -0.4528, 0.4528, 1.5104], 0.1175)
    """
    _check_levels(levels)
    return _lloyd_max(parse_distribution(distribution), levels)


@lru_cache(maxsize=256)
def _lloyd_max(density: Distribution, count: int) -> Quantizer:
    odd = count % 2  # then the middle level is 0, by symmetry
    levels = _companding_levels(density, count)[(count + 1) // 2 :]
    best = _quantizer(density, _both_sides(levels, odd))
    damping = 1.0
    for _ in range(NEWTON_STEPS):
        change = _newton_change(density, levels, odd, damping)
        trial = levels + change
        if np.all(np.diff(trial, prepend=0.0) > 0):
            quantizer = _quantizer(density, _both_sides(trial, odd))
            if quantizer.mse <= best.mse * (1 + 1e-10):  # rounding errors are less
                levels, best, damping = trial, quantizer, damping / 10
                if damping < 1e-3 and np.all(np.abs(change) < SETTLED * np.diff(trial, prepend=0)):
                    return best
                continue
        damping = 10 * damping
    raise ValueError(
        f"levels must be few enough for Newton's method to settle, got {count} for {density.name}"
    )


def _both_sides(levels: Array, odd: int) -> Array:
    return np.concatenate([-levels[::-1], [0.0] * odd, levels])


def _half_edges(levels: Array, odd: int) -> Array:
    """Return the ends of the cells of the positive levels."""
    first = levels[:1] / 2 if odd else np.zeros(1)
    return np.concatenate([first, (levels[1:] + levels[:-1]) / 2, [math.inf]])


def _cell_moments(density: Distribution, edges: Array) -> Moments:
    moments = density.upper_moments(edges)
    return Moments(*(moment[:-1] - moment[1:] for moment in moments))


def _newton_change(density: Distribution, levels: Array, odd: int, damping: float) -> Array:
    """Return ``-(J + damping * D)**-1 residual``, with J tridiagonal and D its first part.

    The residual of a level is ``level * zeroth - first`` over its cell. When a level moves, the
    edge beside it moves by half as much, which changes both residuals by ``gap / 2 * f(edge)``.
    With a damping of 1 or more the step is a cautious one of Lloyd's: level to mean.
    """
    edges = _half_edges(levels, odd)
    cells = _cell_moments(density, edges)
    residual = levels * cells.zeroth - cells.first
    gaps = np.concatenate([levels[:1] * odd, np.diff(levels)]) / 4 * density.pdf(edges[:-1])
    bands = np.zeros((3, levels.size))
    bands[1] = (1 + damping) * cells.zeroth - gaps - np.append(gaps[1:], 0.0)
    bands[0, 1:] = bands[2, :-1] = -gaps[1:]
    change: Array = scipy.linalg.solve_banded((1, 1), bands, -residual)
    return change


def _companding_levels(density: Distribution, count: int) -> Array:
    """Return levels at even quantiles of the density proportional to ``f**(1/3)``."""
    chances = np.linspace(1.0, 0.0, COMPANDER_POINTS)[:-1] ** 6  # to 5e-26; most are small
    x = density.magnitude_beyond(chances)
    root = density.pdf(x) ** (1 / 3)
    mass = np.concatenate([[0.0], np.cumsum((root[1:] + root[:-1]) / 2 * np.diff(x))])
    upper = np.interp((2 * np.arange(count // 2) + 1 + count % 2) / count, mass / mass[-1], x)
    return _both_sides(upper, count % 2)


def _quantizer(density: Distribution, levels: Array) -> Quantizer:
    grid, one = Grid(levels, (levels[1:] + levels[:-1]) / 2), np.ones(1)
    mse = mse_at_scales(grid, density, one)
    entropy = entropy_at_scales(grid, density, one)
    return Quantizer(levels, float(mse[0]), float(entropy[0]))


def uniform_quantizer(distribution: Distribution | str, levels: int) -> Quantizer:
    """Return the best quantizer whose levels are evenly spaced about 0.

    An even number of levels has no level at 0 (mid-rise), an odd one has (mid-tread): 2**b - 1 of
    them are a symmetric integer format.

    Parameters
    ----------
    distribution : Distribution or str
    levels : int
        2 to 4096.

    Returns
    -------
    Quantizer

    Raises
    ------
    ValueError
        If ``levels`` is out of range.

    Examples
    --------
    >>> from analysis.errors.optimal_quantizers import uniform_quantizer
    >>> quantizer = uniform_quantizer("normal", 16)
    >>> round(quantizer.step, 4), round(quantizer.mse, 6)
    (0.3352, 0.011543)
    """
    _check_levels(levels)
    density = parse_distribution(distribution)
    numbers = np.arange(levels) - (levels - 1) / 2
    step, _ = optimal_scale(Codebook(numbers.tolist()), density)
    return _quantizer(density, step * numbers)


def _check_levels(levels: int) -> None:
    if not 2 <= levels <= MAX_LEVELS:
        raise ValueError(f"levels must be in 2..{MAX_LEVELS}, got {levels}")


def panter_dite(distribution: Distribution | str, levels: float) -> float:
    """Return the limit of Lloyd-Max for many levels: ``(integral f**(1/3))**3 / (12 N**2)``.

    Parameters
    ----------
    distribution : Distribution or str
    levels : float
        N, above 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``levels`` is not positive.

    References
    ----------
    P. F. Panter and W. Dite, Quantization distortion in pulse-count modulation, Proc. IRE 39, 1951.

    Examples
    --------
    >>> from analysis.errors.optimal_quantizers import panter_dite
    >>> round(panter_dite("normal", 1), 4)
    2.7207
    """
    if not levels > 0:
        raise ValueError(f"levels must be above 0, got {levels}")
    return float(parse_distribution(distribution).cube_root_integral ** 3 / (12 * levels**2))


def shannon_lower_bound(distribution: Distribution | str, bits: float) -> float:
    """Return Shannon's lower bound on the mean square error of any code of ``bits`` bits.

    ``2**(2 (h - R)) / (2 pi e)`` with h the differential entropy in bits. For the normal
    distribution it is D(R) itself, ``2**(-2 R)``; for others D(R) is larger and tends to it.

    Parameters
    ----------
    distribution : Distribution or str
    bits : float
        R, bits per weight, at least 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``bits`` is negative.

    References
    ----------
    C. E. Shannon, Coding theorems for a discrete source with a fidelity criterion, 1959.

    Examples
    --------
    >>> from analysis.errors.optimal_quantizers import shannon_lower_bound
    >>> round(shannon_lower_bound("normal", 5) * 2**10, 12)
    1.0
    """
    if not bits >= 0:
        raise ValueError(f"bits must be at least 0, got {bits}")
    exponent = 2 * (parse_distribution(distribution).entropy - bits)
    return float(2**exponent / (2 * math.pi * math.e))


def entropy_coded_uniform(distribution: Distribution | str, entropy: float) -> Quantizer:
    """Return the infinite uniform mid-tread quantizer whose codes have this entropy.

    With an ideal lossless coder it needs ``entropy`` bits per weight. At many bits it is
    ``pi e / 6`` = 1.53 dB above Shannon's lower bound, and no scalar quantizer is better there.

    Parameters
    ----------
    distribution : Distribution or str
    entropy : float
        In bits per weight, 0.1 to 8.

    Returns
    -------
    Quantizer
        Levels with less than 1e-13 of the distribution beyond them are left out.

    Raises
    ------
    ValueError
        If ``entropy`` is out of range, or more than 2**20 levels are needed.

    Examples
    --------
    >>> from analysis.errors.optimal_quantizers import entropy_coded_uniform
    >>> round(entropy_coded_uniform("normal", 5.0).mse, 7)
    0.0013919
    """
    if not 0.1 <= entropy <= 8:
        raise ValueError(f"entropy must be in 0.1..8 bits, got {entropy}")
    density = parse_distribution(distribution)
    last = float(density.magnitude_beyond(FAR_OUT))

    def quantizer(log_step: float) -> Quantizer:
        step = math.exp(log_step)
        count = math.ceil(last / step)
        if count > 1 << 19:
            raise ValueError(
                f"distribution must have lighter tails for an entropy of {entropy} bits, "
                f"got {density.name}"
            )
        return _quantizer(density, step * np.arange(-count, count + 1.0))

    guess = (density.entropy - entropy) * math.log(2)  # the limit of small steps
    log_step = scipy.optimize.brentq(
        lambda trial: quantizer(trial).entropy - entropy, guess - 0.1, guess + 3, xtol=1e-12
    )
    return quantizer(float(log_step))


@dataclass(frozen=True)
class EntropyLimitedScale:
    """The best scale of a format whose codes a lossless coder stores in fewer bits.

    Attributes
    ----------
    scale : float
        In standard deviations.
    mse : float
        Mean square error over the variance.
    entropy : float
        Of the rounded values, in bits per weight; at most the limit.
    """

    scale: float
    mse: float
    entropy: float


def best_scale_at_entropy(
    fmt: NumberFormat | str, distribution: Law | str, limit: float
) -> EntropyLimitedScale:
    """Return the scale with the smallest mean square error whose entropy is at most ``limit``.

    It is a minimum of the error that the limit allows, or a scale where the entropy crosses the
    limit: the best of all these is taken. A scan of 48 scales per octave brackets them.

    Parameters
    ----------
    fmt : format or str
    distribution : Law or str
        As for `analysis.expected_mse`.
    limit : float
        In bits per weight, above 0.

    Returns
    -------
    EntropyLimitedScale

    Raises
    ------
    ValueError
        If ``limit`` is not positive, or no scale meets it.

    Examples
    --------
    >>> from analysis.errors.optimal_quantizers import best_scale_at_entropy
    >>> best = best_scale_at_entropy("int5", "normal", 4.0)
    >>> round(best.scale, 4), round(best.mse, 6)
    (0.259, 0.005599)
    """
    if not limit > 0:
        raise ValueError(f"limit must be above 0, got {limit}")
    grid, law = grid_of(fmt), law_of(distribution)
    scales = scan_of_scales(grid, law)
    excess = entropy_at_scales(grid, law, scales) - limit
    allowed = scales[excess <= 0]
    if not allowed.size:
        raise ValueError(f"limit must be above the smallest entropy of {grid_of(fmt)}, got {limit}")

    def excess_at(scale: float) -> float:
        return float(entropy_at_scales(grid, law, np.array([scale]))[0]) - limit

    candidates = list(scales_of_minima(grid, law))
    for k in np.flatnonzero((excess[:-1] > 0) != (excess[1:] > 0)):
        root = scipy.optimize.brentq(excess_at, scales[k], scales[k + 1], rtol=1e-13)
        candidates += [float(root) * (1 - 1e-12), float(root) * (1 + 1e-12)]
    tried = np.concatenate([candidates, allowed])
    errors = mse_at_scales(grid, law, tried)
    entropies = entropy_at_scales(grid, law, tried)
    errors[entropies > limit] = math.inf
    best = int(np.argmin(errors))
    return EntropyLimitedScale(float(tried[best]), float(errors[best]), float(entropies[best]))
