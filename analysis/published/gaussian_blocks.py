"""Blocks of Gaussian weights: their crest factors, and the errors of formats.

The crest factor of a block is its absmax over its rms value. The error of absmax scaling depends on
it, so here a block is considered *given* its absmax: the other g - 1 elements are then independent
normals truncated to that interval, and the expected error is a finite sum
(`analysis.errors.expected_error`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ndtr

from analysis.errors.distributions import Normal
from analysis.errors.expected_error import squared_error_within
from analysis.errors.grids import grid_of
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse

FARTHEST = 40.0  # sigmas; a normal is beyond with probability 7e-350


def expected_absmax(block_size: int) -> float:
    """Return the mean of the largest magnitude of a block of standard normals.

    Parameters
    ----------
    block_size : int
        g, at least 1.

    Returns
    -------
    float
        In sigmas, to about 10 digits.

    Raises
    ------
    ValueError
        If ``block_size`` is below 1.

    Notes
    -----
    The integral of P(max > t) = 1 - (2 Phi(t) - 1)^g over t > 0, by adaptive quadrature.

    Examples
    --------
    >>> from analysis.published.gaussian_blocks import expected_absmax
    >>> [round(expected_absmax(g), 2) for g in (1, 32, 128)]
    [0.8, 2.35, 2.83]
    """
    _check_block_size(block_size)

    def beyond(t: float) -> float:
        if t == 0:
            return 1.0
        return float(-np.expm1(block_size * np.log1p(-2 * ndtr(-t))))

    typical = math.sqrt(2 * math.log(block_size) + 1)  # where P falls from 1 to 0
    steps = [typical - 1, typical, typical + 1, FARTHEST]
    edges = [0.0, *(edge for edge in steps if edge > 0)]
    pieces = (quad(beyond, *piece, epsabs=1e-12, epsrel=1e-12)[0] for piece in pairwise(edges))
    return math.fsum(pieces)


def expected_crest_factor(block_size: int) -> float:
    """Return the mean of the largest magnitude over the rms value, of a block of normals.

    Parameters
    ----------
    block_size : int
        g, at least 1.

    Returns
    -------
    float
        Without unit, between 1 and sqrt(g).

    Raises
    ------
    ValueError
        If ``block_size`` is below 1.

    Notes
    -----
    The direction of a normal vector is independent of its length, so that
    E[max] = E[max / rms] E[rms]. The rms value of g normals is chi-distributed:
    E[rms] = sqrt(2/g) Gamma((g+1)/2) / Gamma(g/2).

    Examples
    --------
    >>> from analysis.published.gaussian_blocks import expected_crest_factor
    >>> [round(expected_crest_factor(g), 2) for g in (1, 32, 128)]
    [1.0, 2.37, 2.83]
    """
    _check_block_size(block_size)
    log_gammas = math.lgamma((block_size + 1) / 2) - math.lgamma(block_size / 2)
    return expected_absmax(block_size) / (math.sqrt(2 / block_size) * math.exp(log_gammas))


def crest_factor(maximum: float, block_size: int) -> float:
    """Return the crest factor of a block of standard normals, given its absmax.

    Parameters
    ----------
    maximum : float
        In sigmas, positive.
    block_size : int
        g, at least 1.

    Returns
    -------
    float
        ``maximum`` over the root of the block's expected mean square. Never above sqrt(g).

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> from analysis.published.gaussian_blocks import crest_factor
    >>> round(crest_factor(3.0, 32), 3), round(crest_factor(1000.0, 32) ** 2, 3)
    (2.711, 31.999)
    """
    _check_maximum(maximum)
    _check_block_size(block_size)
    return maximum / math.sqrt(_energy(maximum, block_size) / block_size)


def block_qsnr(
    fmt: NumberFormat | str,
    maximum: float,
    block_size: int,
    *,
    scale_ratios: Sequence[float] | NDArray[np.float64] = (1.0,),
) -> float:
    """Return the signal to quantization noise of normal blocks, given their absmax.

    Elements round to the nearest value; those beyond the last value saturate.

    Parameters
    ----------
    fmt : format or str
        Its values must be symmetric about 0.
    maximum : float
        Absmax of the block, in sigmas, positive.
    block_size : int
        g, at least 1.
    scale_ratios : sequence of float
        rho: the scale over ``maximum / fmt.max``, positive; 1 is absmax scaling. Signal and noise
        are averaged over all ratios.

    Returns
    -------
    float
        -10 log10 of (expected squared error / expected square), dB; inf without error.

    Raises
    ------
    ValueError
        If an argument is out of range or the format is not symmetric.

    Notes
    -----
    Given the absmax m, the other elements have the density phi(x) / (2 Phi(m) - 1) on [-m, m], and
    their expected error is the integral of the squared error over that interval, cell by cell. The
    error of the largest element is known: 0 for a ratio of 1.

    Examples
    --------
    >>> from analysis.published.gaussian_blocks import block_qsnr
    >>> round(block_qsnr("int8", 3.0, 32), 2), round(block_qsnr("e4m3fn", 3.0, 32), 2)
    (44.34, 32.63)
    """
    _check_maximum(maximum)
    _check_block_size(block_size)
    ratios = np.asarray(scale_ratios, np.float64).reshape(-1)
    if ratios.size == 0 or not np.all((ratios > 0) & np.isfinite(ratios)):
        raise ValueError(f"scale_ratios must be positive and finite, got {scale_ratios}")
    fmt = parse(fmt)
    grid = grid_of(fmt)
    if not grid.symmetric:
        raise ValueError(f"fmt must be symmetric about 0, got {fmt}")
    scales = ratios * maximum / fmt.max_abs
    within = squared_error_within(grid, Normal(), scales, np.full(scales.shape, maximum))
    others = within / (2 * _half_mass(maximum))
    largest = np.square(maximum - scales * grid.nearest(maximum / scales))
    noise = float((largest + (block_size - 1) * others).mean())
    return -10 * math.log10(noise / _energy(maximum, block_size)) if noise > 0 else math.inf


def _energy(maximum: float, block_size: int) -> float:
    """Return the expected sum of squares of a block: of the largest element and the others."""
    if maximum < 0.01:  # the closed form would cancel, and the others are uniform to 1e-5
        variance = maximum**2 / 3
    else:
        variance = 1 - maximum * float(Normal().pdf(maximum)) / _half_mass(maximum)
    return maximum**2 + (block_size - 1) * variance


def _half_mass(maximum: float) -> float:
    """Return P(0 < x < maximum)."""
    return float(ndtr(maximum)) - 0.5


def _check_maximum(maximum: float) -> None:
    if not 0 < maximum < math.inf:
        raise ValueError(f"maximum must be positive and finite, got {maximum}")


def _check_block_size(block_size: int) -> None:
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
