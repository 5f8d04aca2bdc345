"""The shape of a tensor of weights: how far its largest stand out, and how it is spread.

Shapes are fitted about 0 and at the tensor's own rms value, since relative errors are relative to
that and quantizers keep the mean. Each fit has one parameter left, found by maximum likelihood.
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

QUANTILES = 1 << 14  # runs of neighbours that stand for all weights in the fits
LEAST_BIN, FARTHEST_BIN = 1 / 32, 16.0  # of the divergence, in standard deviations
LEAST_NU = 2.1  # below it the variance sits in weights that no tensor has
CHUNK = 1 << 20  # elements of the float64 temporaries

Array = NDArray[Any]


@dataclass(frozen=True)
class Quartiles:
    """The three quartiles of a set of numbers, and its greatest.

    Attributes
    ----------
    first, median, third, greatest : float
        In the numbers' unit.

    Examples
    --------
    >>> from analysis.weights.tensor_statistics import Quartiles
    >>> import numpy as np
    >>> Quartiles.of(np.arange(9.0))
    Quartiles(first=2.0, median=4.0, third=6.0, greatest=8.0)
    """

    first: float
    median: float
    third: float
    greatest: float

    @classmethod
    def of(cls, numbers: Array) -> Quartiles:
        """Return the quartiles of an array that is not empty."""
        return cls(*(float(q) for q in np.quantile(numbers, [0.25, 0.5, 0.75, 1.0])))


@dataclass(frozen=True)
class TensorStatistics:
    """What a tensor's weights look like.

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
        QSUR of the blocks over the best, for each dimension, in [0, 1]; see `qsur`. 0 where there
        are fewer whole blocks than elements to a block.
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
        Elements along ``axis`` to a block; the last may be shorter.
    axis : int
        Along which blocks run.

    Returns
    -------
    TensorStatistics

    Raises
    ------
    ValueError
        If the weights are not finite, none, or all 0, or an option is out of its range.

    Examples
    --------
    >>> from analysis.weights.tensor_statistics import tensor_statistics
    >>> import numpy as np
    >>> weights = np.random.default_rng(0).laplace(size=(256, 256))
    >>> found = tensor_statistics(weights)
    >>> round(found.shape, 1), round(found.kurtosis)
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
        Elements along ``axis`` to a block, the last may be shorter; None: the axis's length.
    axis : int

    Returns
    -------
    ndarray of float64, shape (N,)
        For the blocks that are not all 0, block by block along the axis.

    Raises
    ------
    ValueError
        If the weights are not finite, none, or all 0, or an option is out of its range.

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
    found = []
    for start in range(0, length, size):
        block = rows[:, start : start + size].astype(np.float64)
        largest = np.abs(block).max(axis=1)
        block /= np.where(largest > 0, largest, 1.0)[:, None]  # the square of 1e-200 is 0
        found.append(1 / np.sqrt(np.square(block).mean(axis=1)[largest > 0]))
    return np.concatenate(found)


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
        If the weights are not finite, none, or all 0.

    Notes
    -----
    The Kullback-Leibler divergence, sum q log2(q / p) over bins of which the weights fill the share
    q and the Gaussian the share p. Bins are 3.5 size^(-1/3) standard deviations wide (Scott's
    rule), but no less than 1/32, to 16 on both sides, where the last ones begin, without end.
    Binning can only lose divergence, so this is a lower bound, defined also for weights with ties.
    Chance adds about (bins with weights - 1) / (2 size ln 2) bits.

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
        From 2.1; inf where the Gaussian fits no worse than any.

    Raises
    ------
    ValueError
        If the weights are not finite, none, or all 0.

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
        From 0.1 to 50: 1 for a Laplace, 2 for a Gaussian, ever greater towards the uniform.

    Raises
    ------
    ValueError
        If the weights are not finite, none, or all 0.

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
    """Return the magnitudes of sorted weights over their rms; for many, the rms of equal runs."""
    x = ascending.astype(np.float64) / rms
    if x.size <= QUANTILES:
        return np.abs(x)
    starts = (np.arange(QUANTILES) * (x.size / QUANTILES)).astype(np.intp)
    lengths = np.diff(starts, append=x.size)
    return np.asarray(np.sqrt(np.add.reduceat(np.square(x, out=x), starts) / lengths))


def _student_nu(x: Array) -> float:
    """Fit 1/nu, in which the Gaussian is a point like any other."""
    squares = np.square(x)

    def loss(inverse: float) -> float:
        nu = 1 / inverse
        peak = gammaln((nu + 1) / 2) - gammaln(nu / 2) - math.log(math.pi * (nu - 2)) / 2
        return float((nu + 1) / 2 * np.log1p(squares / (nu - 2)).mean() - peak)

    inverse = _least(loss, 1e-4, 1 / LEAST_NU)
    gaussian = float(squares.mean()) / 2 + math.log(2 * math.pi) / 2
    return math.inf if gaussian <= loss(inverse) else 1 / inverse


def _generalised_shape(x: Array) -> float:
    def loss(log_shape: float) -> float:
        shape = math.exp(log_shape)
        log_width = (gammaln(1 / shape) - gammaln(3 / shape)) / 2  # a, for variance 1
        density = math.log(shape / 2) - log_width - gammaln(1 / shape)
        with np.errstate(over="ignore"):
            return float(np.power(x / math.exp(log_width), shape).mean() - density)

    return math.exp(_least(loss, math.log(0.1), math.log(50.0)))


def _least(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one minimum is least."""
    return float(minimize_scalar(loss, bounds=(low, high), method="bounded").x)


def _divergence(ascending: Array, mean: float, deviation: float) -> float:
    if not deviation > 1e-15 * abs(mean):
        return math.nan
    width = max(3.5 * ascending.size ** (-1 / 3), LEAST_BIN)
    right = np.arange(0, FARTHEST_BIN, width)
    tails = ndtr(-right)  # P(z > edge), accurate far out
    expected = tails - np.append(tails[1:], 0.0)
    edges = np.concatenate([-right[:0:-1], right])
    ends = np.searchsorted(ascending, (mean + deviation * edges).astype(ascending.dtype))
    shares = np.diff(ends, prepend=0, append=ascending.size) / ascending.size
    ratios = shares / np.concatenate([expected[::-1], expected])
    return max(float((shares * np.log2(np.where(shares > 0, ratios, 1.0))).sum()), 0.0)
