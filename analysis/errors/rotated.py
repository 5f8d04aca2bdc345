"""Laws of weights that a Hadamard rotation has mixed, and of weights with outliers.

A rotated weight is a signed sum of n weights over sqrt(n). If these are independent draws from a
symmetric density, signs do not matter, and its characteristic function is that of the density at
t / sqrt(n), to the power n. `Rotated` computes the density from it. Normal weights stay normal.

Weights that are rotated together are uncorrelated, but not independent. Expected errors of
`analysis.errors.absmax_error` with this law take them as independent: of blocks with a scale of
their own that is an approximation, of a fixed scale (`analysis.errors.expected_error`) it is exact.

An outlier of A standard deviations among n normal weights becomes a shift of A / sqrt(n), up or
down, in all n: a `NormalMixture`, and these weights are independent but for one dimension of n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import scipy.special as special
from numpy.polynomial import legendre

from analysis.errors.distributions import Distribution, Normal
from analysis.errors.laws import Array

LEAST_SIZE = 4  # below it the characteristic function decays too slowly
DEGREE = 17  # of the polynomial of a panel
NEGLIGIBLE = 1e-14  # density; the end of the panels
FLOOR = 1e-17  # of the characteristic function
MOST = 1 << 16  # frequencies
CHUNK = 256  # points at a time
STEPS = 60  # of bisection


class Panels(NamedTuple):
    """A density on panels of x >= 0, as Legendre series, and its moments beyond a point.

    ``edges`` has one more element than there are panels. The arrays of series are of shape (order,
    panels): of the density, and of the integrals of x**k times it, k = 0, 1, 2, of shape (3, order,
    panels). ``beyond``, (3, panels), are the moments beyond each panel's end.
    """

    edges: Array
    density: Array
    integrals: Array
    beyond: Array


@dataclass(frozen=True)
class Rotated(Distribution):
    """The law of a signed sum of ``size`` independent draws, over sqrt(size).

    Accurate to 1e-8 of itself where the density is above 1e-6; beyond a density of 1e-14 it is 0.
    Expected errors are accurate to 1e-6 of themselves, of Student's t from nu = 4 on to 1e-4.

    Parameters
    ----------
    distribution : Distribution
        Of the draws.
    size : int
        At least 4.

    Raises
    ------
    ValueError
        If ``size`` is less.

    Examples
    --------
    >>> from analysis.errors.absmax_error import absmax_mse
    >>> from analysis.errors.distributions import Laplace
    >>> round(absmax_mse("int4/128/float16", Laplace()), 5)
    0.02569
    >>> round(absmax_mse("int4/128/float16", Rotated(Laplace(), 128)), 5)
    0.01391
    """

    distribution: Distribution
    size: int

    def __post_init__(self) -> None:
        if self.size < LEAST_SIZE:
            raise ValueError(f"size must be at least {LEAST_SIZE}, got {self.size}")

    @property
    def name(self) -> str:
        """rotated(distribution, size)."""
        return f"rotated({self.distribution.name}, {self.size})"

    @property
    def tail_index(self) -> float:  # type: ignore[override]  # a constant in the base class
        """That of the draws."""
        return self.distribution.tail_index

    def characteristic(self, t: Array) -> Array:
        """Return that of the draws at t / sqrt(size), to the power ``size``."""
        return np.asarray(self.distribution.characteristic(t / math.sqrt(self.size)) ** self.size)

    @cached_property
    def _panels(self) -> Panels:
        return _panels_of(self)

    def smooth_width(self, x: Array) -> Array:
        """That of the draws, or of a normal law."""
        return np.maximum(super().smooth_width(x), self.distribution.smooth_width(x))

    def _place(self, x: Array) -> tuple[Array, Array]:
        """Return the panel of each point, and where it lies in it, from -1 to 1."""
        edges = self._panels.edges
        index = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, edges.size - 2)
        width = edges[index + 1] - edges[index]
        return index, np.minimum(2 * (x - edges[index]) / width - 1, 1.0)

    def _density(self, x: Array) -> Array:
        index, u = self._place(x)
        series = self._panels.density[:, index]
        found = np.maximum(legendre.legval(u, series, tensor=False), 0.0)
        return np.where(x <= self._panels.edges[-1], found, 0.0)

    def _upper(self, x: Array) -> tuple[Array, Array, Array]:
        index, u = self._place(x)
        zeroth, first, second = (
            np.maximum(beyond[index] + legendre.legval(u, series[:, index], tensor=False), 0.0)
            for series, beyond in zip(self._panels.integrals, self._panels.beyond, strict=True)
        )
        return zeroth, first, second

    def _quantile(self, p: Array) -> Array:
        return quantile(self, p, float(self._panels.edges[-1]))


def quantile(law: Distribution, p: Array, end: float) -> Array:
    """Return by bisection the x of [0, end] with P(X > x) = p.

    Parameters
    ----------
    law : Distribution
    p : ndarray of float64
        In (0, 1/2].
    end : float
    """
    low, high = np.zeros_like(p), np.full_like(p, end)
    for _ in range(STEPS):
        middle = (low + high) / 2
        is_below = law.upper_moments(middle).zeroth > p
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return high


@lru_cache(maxsize=32)
def _panels_of(law: Rotated) -> Panels:
    end = 8.0
    while _inverted(law, end, np.array([end]))[0] > NEGLIGIBLE:
        end *= 1.25
    edges = [0.0]
    while edges[-1] < end:
        edges.append(edges[-1] + max(0.25, edges[-1] / 8))
    ends = np.array(edges)
    nodes, weights = legendre.leggauss(DEGREE + 1)
    half = np.diff(ends) / 2
    x = ends[:-1] + half * (1 + nodes[:, np.newaxis])  # (nodes, panels)
    density = np.maximum(_inverted(law, ends[-1], x.reshape(-1)).reshape(x.shape), 0.0)
    # the series through the nodes: its coefficients are scalar products, by Gauss's rule
    factors = np.arange(DEGREE + 1)[:, np.newaxis] + 0.5
    project = legendre.legvander(nodes, DEGREE).T * weights * factors
    integrals = np.array(
        [legendre.legint(project @ (density * x**k), lbnd=1, axis=0) * -half for k in range(3)]
    )
    inside = np.array([(weights @ (density * x**k)) * half for k in range(3)])
    beyond = inside[:, ::-1].cumsum(axis=1)[:, ::-1] - inside
    return Panels(ends, project @ density, integrals, beyond)


def _inverted(law: Rotated, end: float, x: Array) -> Array:
    """Return the density at points up to ``end``: the mean of cos(t x) over frequencies.

    The trapezoidal rule gives the density repeated at a distance of 4 ends.
    """
    step = math.pi / (2 * end)
    count = 64
    while count < MOST and abs(law.characteristic(np.array([count * step]))[0]) > FLOOR:
        count *= 2
    t = step * np.arange(1, count + 1)
    weights = law.characteristic(t)
    parts = [0.5 + np.cos(np.outer(x[k : k + CHUNK], t)) @ weights for k in range(0, len(x), CHUNK)]
    return np.asarray(np.concatenate(parts) * step / math.pi)


@dataclass(frozen=True)
class NormalMixture(Distribution):
    """A mixture of normal laws around means on both sides of 0.

    Parameters
    ----------
    shares, means, deviations : tuple of float
        The chance of each part, its mean, which is above and below 0 with the same chance, and its
        standard deviation; the variance of all is 1.

    Raises
    ------
    ValueError
        If shares do not add up to 1, or the variance is not 1.

    Examples
    --------
    >>> law = NormalMixture.of_rotated_outlier(10.0, 128)
    >>> law.name
    'normals(1 of 0.664 +- 0.748)'
    """

    shares: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def __post_init__(self) -> None:
        variance = sum(
            p * (m * m + d * d)
            for p, m, d in zip(self.shares, self.means, self.deviations, strict=True)
        )
        if abs(sum(self.shares) - 1) > 1e-9 or abs(variance - 1) > 1e-9:
            raise ValueError(
                f"shares must add up to 1, and the variance must be 1, got {sum(self.shares)} and "
                f"{variance}"
            )

    @classmethod
    def of_rotated_outlier(cls, magnitude: float, size: int) -> NormalMixture:
        """Return the law of normal weights and one outlier, after they are rotated together.

        Parameters
        ----------
        magnitude : float
            Of the outlier, in standard deviations of the other weights.
        size : int
            Weights with the outlier.
        """
        power = (size - 1 + magnitude**2) / size
        return cls((1.0,), (magnitude / math.sqrt(size * power),),
                   (math.sqrt((size - 1) / size / power),))  # fmt: skip

    @classmethod
    def contaminated(cls, share: float, ratio: float, size: int = 1) -> NormalMixture:
        """Return the law of normal weights of which a share is larger, and is rotated.

        Parameters
        ----------
        share : float
            Chance that a weight has the larger deviation.
        ratio : float
            Of the deviations.
        size : int
            Weights that are rotated together; 1 for weights as they are. Of n weights k are large
            with the chances of the binomial law, and the sum of these and the others is normal.
        """
        base = 1 / (1 - share + share * ratio**2)
        k = np.arange(size + 1)
        logs = special.gammaln(size + 1) - special.gammaln(k + 1) - special.gammaln(size - k + 1)
        shares = np.exp(logs + special.xlogy(k, share) + special.xlog1py(size - k, -share))
        deviations = np.sqrt(base * (size - k + k * ratio**2) / size)
        return cls(tuple(shares.tolist()), (0.0,) * (size + 1), tuple(deviations.tolist()))

    @property
    def name(self) -> str:
        """The largest parts."""
        parts = zip(self.shares, self.means, self.deviations, strict=True)
        largest = sorted(parts, reverse=True)[:3]
        return f"normals({', '.join(f'{p:.3g} of {m:.3g} +- {d:.3g}' for p, m, d in largest)})"

    def characteristic(self, t: Array) -> Array:
        """Return the mean of cos(t mean) exp(-(t deviation)**2 / 2) over the parts."""
        total = np.zeros_like(t)
        for p, m, d in zip(self.shares, self.means, self.deviations, strict=True):
            total += p * np.cos(m * t) * np.exp(-0.5 * (d * t) ** 2)
        return total

    def smooth_width(self, x: Array) -> Array:
        """In proportion to the narrowest part of some weight."""
        narrow = min(d for p, d in zip(self.shares, self.deviations, strict=True) if p > FLOOR)
        return np.full(np.shape(x), 0.25 * narrow)

    def _moments(self, x: Array) -> Array:
        """Return the density and the moments beyond points, (4, points)."""
        total = np.zeros((4, *x.shape))
        for p, m, d in zip(self.shares, self.means, self.deviations, strict=True):
            if p < FLOOR:
                continue
            for mean in (m, -m) if m else (0.0,):
                z = (x - mean) / d
                density, tail = Normal().pdf(z), special.ndtr(-z)
                first = mean * tail + d * density
                second = (mean**2 + d**2) * tail + d * (x + mean) * density
                share = p / 2 if m else p
                total += share * np.array([density / d, tail, first, second])
        return total

    def _density(self, x: Array) -> Array:
        return np.asarray(self._moments(x)[0])

    def _upper(self, x: Array) -> tuple[Array, Array, Array]:
        _, zeroth, first, second = self._moments(x)
        return zeroth, first, second

    def _quantile(self, p: Array) -> Array:
        return quantile(self, p, max(self.means) + 40 * max(self.deviations))
