"""The shape of a tensor of weights: crest factors, tails, and the distance from a Gaussian.

Shapes are fitted about 0 and at the tensor's own rms value, since errors are relative to that value
and quantizers keep the mean. Each fit has one parameter left, found by maximum likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, ndtr

from analysis.weights.space_utilization import qsur

QUANTILES = 1 << 14  # runs of sorted neighbours that represent all weights in the fits
MIN_BIN, FARTHEST_BIN = 1 / 32, 16.0  # of the divergence, in standard deviations
MIN_NU = 2.1  # below it most of the variance lies beyond any weight of a real tensor
CHUNK = 1 << 20  # elements of the float64 temporaries

Array = NDArray[Any]


@dataclass(frozen=True)
class Quartiles:
    """The three quartiles of a set of numbers, and their maximum.

    Attributes
    ----------
    first, median, third, maximum : float
        In the numbers' unit.

    Examples
    --------
    >>> from analysis.weights.tensor_statistics import Quartiles
    >>> import numpy as np
    >>> Quartiles.of(np.arange(9.0))
    Quartiles(first=2.0, median=4.0, third=6.0, maximum=8.0)
    """

    first: float
    median: float
    third: float
    maximum: float

    @classmethod
    def of(cls, numbers: Array) -> Quartiles:
        """Return the quartiles of an array that is not empty."""
        return cls(*(float(q) for q in np.quantile(numbers, [0.25, 0.5, 0.75, 1.0])))


@dataclass(frozen=True)
class TensorStatistics:
    """Statistics of a tensor's weights.

    Attributes
    ----------
    size : int
        Elements.
    mean, rms : float
        In the weights' unit.
    crest_factor : float
        Largest magnitude over rms value, of the tensor.
    channel_crest_factors, block_crest_factors : Quartiles
        The same of each channel (the whole length of the axis) and of each block.
    kurtosis : float
        Fourth central moment over the squared variance: 3 for a Gaussian; NaN for equal weights.
    student_nu : float
        Degrees of freedom of the Student t that fits best, from 2.1; inf for the Gaussian.
    shape : float
        Exponent of the generalised Gaussian ``exp(-|x / a|**shape)`` that fits best: 2 for a
        Gaussian, 1 for a Laplace.
    gaussian_divergence : float
        Kullback-Leibler divergence from the Gaussian of the same mean and variance, bits; NaN for
        equal weights. See `gaussian_divergence`.
    space_utilization : float
        The share of their quantization space that the blocks fill, per dimension, in [0, 1]; see
        `qsur`, which is not OSTQuant's measure. 0 if there are fewer whole blocks than elements in
        a block.
    """

    size: int
    mean: float
    rms: float
    crest_factor: float
    channel_crest_factors: Quartiles
    block_crest_factors: Quartiles
    kurtosis: float
    student_nu: float
    shape: float
    gaussian_divergence: float
    space_utilization: float


def tensor_statistics(
    weights: ArrayLike, *, block_size: int = 128, axis: int = -1
) -> TensorStatistics:
    """Return the statistics of a tensor.

    Parameters
    ----------
    weights : array_like
        Finite, not all 0, of any shape.
    block_size : int
        Elements of a block along ``axis``; the last block may be shorter.
    axis : int
        The axis that blocks run along.

    Returns
    -------
    TensorStatistics

    Raises
    ------
    ValueError
        If the weights are empty, not finite, or all 0, or an option is out of range.

    Examples
    --------
    >>> from analysis.weights.tensor_statistics import tensor_statistics
    >>> import numpy as np
    >>> weights = np.random.default_rng(0).laplace(size=(256, 256))
    >>> statistics = tensor_statistics(weights)
    >>> round(statistics.shape, 1), round(statistics.kurtosis)
    (1.0, 6)
    """
    w = _checked(weights)
    channel_crests = crest_factors(w, block_size=None, axis=axis)
    block_crests = crest_factors(w, block_size=block_size, axis=axis)
    mean, rms, kurtosis = _moments(w.reshape(-1))
    ascending = np.sort(w, axis=None)
    magnitudes = _magnitudes(ascending, rms)
    rows = _rows(w, axis)
    blocks = rows[:, : rows.shape[1] // block_size * block_size].reshape(-1, block_size)
    return TensorStatistics(
        size=w.size,
        mean=mean,
        rms=rms,
        crest_factor=max(float(ascending[-1]), -float(ascending[0])) / rms,
        channel_crest_factors=Quartiles.of(channel_crests),
        block_crest_factors=Quartiles.of(block_crests),
        kurtosis=kurtosis,
        student_nu=_student_nu(magnitudes),
        shape=_generalised_shape(magnitudes),
        gaussian_divergence=_divergence(ascending, mean, math.sqrt(max(rms**2 - mean**2, 0.0))),
        space_utilization=qsur(blocks).per_dimension if blocks.any() else 0.0,
    )


def crest_factors(weights: ArrayLike, *, block_size: int | None, axis: int = -1) -> Array:
    """Return the crest factor of each block: its largest magnitude over its rms value.

    Parameters
    ----------
    weights : array_like
        Finite, not all 0.
    block_size : int or None
        Elements of a block along ``axis``; the last block may be shorter. None: the whole axis.
    axis : int

    Returns
    -------
    ndarray of float64, shape (N,)
        Of the blocks that are not all 0, block by block along the axis.

    Raises
    ------
    ValueError
        If the weights are empty, not finite, or all 0, or an option is out of range.

    Examples
    --------
    >>> from analysis.weights.tensor_statistics import crest_factors
    >>> crest_factors([[1.0, -1.0, 3.0, 0.0]], block_size=2).round(3).tolist()
    [1.0, 1.414]
    """
    rows = _rows(_checked(weights), axis)
    length = rows.shape[1]
    if block_size is not None and block_size < 1:
        raise ValueError(f"block_size must be at least 1 (or None), got {block_size}")
    size = length if block_size is None else block_size
    crests = []
    for start in range(0, length, size):
        block = rows[:, start : start + size].astype(np.float64)
        absmax = np.abs(block).max(axis=1)
        block /= np.where(absmax > 0, absmax, 1.0)[:, None]  # the square of 1e-200 is 0
        crests.append(1 / np.sqrt(np.square(block).mean(axis=1)[absmax > 0]))
    return np.concatenate(crests)


def gaussian_divergence(weights: ArrayLike) -> float:
    """Return the divergence of weights from the Gaussian of the same mean and variance.

    Parameters
    ----------
    weights : array_like
        Finite, not all 0.

    Returns
    -------
    float
        Bits; 0 for a Gaussian, NaN for weights that are all equal.

    Raises
    ------
    ValueError
        If the weights are empty, not finite, or all 0.

    Notes
    -----
    The Kullback-Leibler divergence, sum q log2(q / p) over bins that hold the share q of the
    weights and p of the Gaussian. Bins are 3.5 size^(-1/3) standard deviations wide (Scott's rule),
    but at least 1/32, up to 16 on both sides; the last ones are unbounded. Binning can only lower
    the divergence, so this is a lower bound, defined also for weights with ties. Sampling adds
    about (bins with weights - 1) / (2 size ln 2) bits.

    Examples
    --------
    >>> from analysis.weights.tensor_statistics import gaussian_divergence
    >>> import numpy as np
    >>> round(gaussian_divergence(np.random.default_rng(0).laplace(size=1 << 18)), 2)
    0.11
    """
    ascending = np.sort(_checked(weights), axis=None)
    mean, rms, _ = _moments(ascending)
    return _divergence(ascending, mean, math.sqrt(max(rms**2 - mean**2, 0.0)))


def fit_student_nu(weights: ArrayLike) -> float:
    """Return the degrees of freedom of the Student t that fits best, of mean 0 and the same rms.

    Parameters
    ----------
    weights : array_like
        Finite, not all 0.

    Returns
    -------
    float
        At least 2.1; inf if the Gaussian fits at least as well.

    Raises
    ------
    ValueError
        If the weights are empty, not finite, or all 0.

    Examples
    --------
    >>> from analysis.weights.tensor_statistics import fit_student_nu
    >>> import numpy as np
    >>> round(fit_student_nu(np.random.default_rng(0).standard_t(8, size=1 << 18)))
    8
    """
    w = _checked(weights)
    return _student_nu(_magnitudes(np.sort(w, axis=None), _moments(w.reshape(-1))[1]))


def fit_generalised_shape(weights: ArrayLike) -> float:
    """Return the exponent of the generalised Gaussian that fits best, of mean 0 and the same rms.

    Parameters
    ----------
    weights : array_like
        Finite, not all 0.

    Returns
    -------
    float
        From 0.1 to 50: 1 for a Laplace, 2 for a Gaussian, larger towards the uniform.

    Raises
    ------
    ValueError
        If the weights are empty, not finite, or all 0.

    Examples
    --------
    >>> from analysis.weights.tensor_statistics import fit_generalised_shape
    >>> import numpy as np
    >>> round(fit_generalised_shape(np.random.default_rng(0).standard_normal(1 << 18)), 2)
    2.0
    """
    w = _checked(weights)
    return _generalised_shape(_magnitudes(np.sort(w, axis=None), _moments(w.reshape(-1))[1]))


def _checked(weights: ArrayLike) -> Array:
    w = np.asarray(weights)
    if not w.size or not np.isfinite(w).all() or not w.any():
        raise ValueError(f"weights must be finite and not all 0, got shape {w.shape}")
    return w if w.dtype in (np.float32, np.float64) else w.astype(np.float64)


def _rows(w: Array, axis: int) -> Array:
    """View weights as a matrix whose rows run along the axis."""
    w = np.atleast_1d(w)
    if not -w.ndim <= axis < w.ndim:
        raise ValueError(f"axis must be an axis of weights, of shape {w.shape}, got {axis}")
    return np.moveaxis(w, axis, -1).reshape(-1, w.shape[axis])


def _moments(w: Array) -> tuple[float, float, float]:
    """Return mean, rms value and kurtosis, in float64."""
    peak = float(np.abs(w).max())  # the fourth power of 1e-100 is 0
    chunks = [w[start : start + CHUNK] for start in range(0, w.size, CHUNK)]
    parts = [chunk.astype(np.float64) / peak for chunk in chunks]
    mean = math.fsum(float(part.sum()) for part in parts) / w.size
    square = math.fsum(float(np.square(part).sum()) for part in parts) / w.size
    second = math.fsum(float(np.square(part - mean).sum()) for part in parts) / w.size
    fourth = math.fsum(float(((part - mean) ** 4).sum()) for part in parts) / w.size
    kurtosis = fourth / second**2 if second > 1e-30 else math.nan
    return mean * peak, math.sqrt(square) * peak, kurtosis


def _magnitudes(ascending: Array, rms: float) -> Array:
    """Return the magnitudes of sorted weights over their rms, of many the rms of equal runs."""
    x = ascending.astype(np.float64) / rms
    if x.size <= QUANTILES:
        return np.abs(x)
    starts = (np.arange(QUANTILES) * (x.size / QUANTILES)).astype(np.intp)
    lengths = np.diff(starts, append=x.size)
    return np.asarray(np.sqrt(np.add.reduceat(np.square(x, out=x), starts) / lengths))


def _student_nu(x: Array) -> float:
    """Fit 1/nu; the Gaussian is 0, an ordinary point."""
    squares = np.square(x)

    def cost(inverse: float) -> float:
        nu = 1 / inverse
        peak = gammaln((nu + 1) / 2) - gammaln(nu / 2) - math.log(math.pi * (nu - 2)) / 2
        return float((nu + 1) / 2 * np.log1p(squares / (nu - 2)).mean() - peak)

    inverse = _argmin(cost, 1e-4, 1 / MIN_NU)
    gaussian = float(squares.mean()) / 2 + math.log(2 * math.pi) / 2
    return math.inf if gaussian <= cost(inverse) else 1 / inverse


def _generalised_shape(x: Array) -> float:
    def cost(log_shape: float) -> float:
        shape = math.exp(log_shape)
        log_width = (gammaln(1 / shape) - gammaln(3 / shape)) / 2  # a, for variance 1
        density = math.log(shape / 2) - log_width - gammaln(1 / shape)
        with np.errstate(over="ignore"):
            return float(np.power(x / math.exp(log_width), shape).mean() - density)

    return math.exp(_argmin(cost, math.log(0.1), math.log(50.0)))


def _argmin(cost: Callable[[float], float], low: float, high: float) -> float:
    """Return the minimum of a function with one minimum."""
    return float(minimize_scalar(cost, bounds=(low, high), method="bounded").x)


def _divergence(ascending: Array, mean: float, deviation: float) -> float:
    if not deviation > 1e-15 * abs(mean):
        return math.nan
    width = max(3.5 * ascending.size ** (-1 / 3), MIN_BIN)
    right = np.arange(0, FARTHEST_BIN, width)
    tails = ndtr(-right)  # P(z > edge), accurate far out
    expected = tails - np.append(tails[1:], 0.0)
    edges = np.concatenate([-right[:0:-1], right])
    ends = np.searchsorted(ascending, (mean + deviation * edges).astype(ascending.dtype))
    shares = np.diff(ends, prepend=0, append=ascending.size) / ascending.size
    ratios = shares / np.concatenate([expected[::-1], expected])
    return max(float((shares * np.log2(np.where(shares > 0, ratios, 1.0))).sum()), 0.0)
