"""Densities of variance 1, with their partial moments in closed form.

Each distribution computes its moments beyond a point, ``upper_moments``, as sums of terms of one
sign, so that they are accurate to a few units in the last place also far out in the tail. Moments
up to a point follow from them by symmetry.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.special as special
from numpy.typing import ArrayLike

from analysis.errors.laws import Array, Law, Moments
from minifloat.formats.base import shown
from minifloat.formats.grammar import lowered

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)  # of a narrow cell
FAR_TAIL = 1e-20  # of Student's t; farther out SciPy's own quantile loses accuracy
DILOGARITHM_TERMS = 24  # of its power series, for arguments up to 1/4


class Distribution(Law):
    """A symmetric density of mean 0 and variance 1.

    Subclasses define the members that raise NotImplementedError here, for ``x >= 0``. Relative
    accuracy is 1e-12 wherever the value is a normal float64 number.
    """

    #: Moments of an order below it exist. Infinite for exponential tails.
    tail_index: float = math.inf
    symmetric = True

    @property
    def name(self) -> str:
        """The name that `parse_distribution` reads."""
        raise NotImplementedError

    @property
    def entropy(self) -> float:
        """Differential entropy, in bits."""
        raise NotImplementedError

    @property
    def cube_root_integral(self) -> float:
        """``integral of f(t)**(1/3) dt``, a factor of the Panter-Dite formula."""
        raise NotImplementedError

    def _density(self, x: Array) -> Array:
        raise NotImplementedError

    def _upper(self, x: Array) -> tuple[Array, Array, Array]:
        """Return the moments beyond finite ``x >= 0``."""
        raise NotImplementedError

    def _quantile(self, p: Array) -> Array:
        """Return ``x >= 0`` with P(X > x) = p, for p in (0, 1/2]."""
        raise NotImplementedError

    def characteristic(self, t: Array) -> Array:
        """Return the characteristic function, the mean of cos(t X), for ``t >= 0``."""
        raise NotImplementedError

    def smooth_width(self, x: Array) -> Array:
        """Widths above which an interval from ``x >= 0`` is too wide for eight Gauss nodes."""
        return np.full(np.shape(x), 0.25)

    def squared_errors(self, sign: int, low: Array, high: Array, targets: Array) -> Array:
        """Return ``integral from low to high of (t - target)**2 f(t) dt``, cell by cell.

        A wide cell is computed from its moments. In a narrow one they would cancel: its error is
        of the order of its width squared, and its moments are not. Its integrand is smooth, so
        eight Gauss-Legendre nodes give it to 1e-12 of itself.
        """
        errors = np.zeros(low.shape, np.float64)
        width = high - low
        wide = width > self.smooth_width(low)
        errors[wide] = super().squared_errors(sign, low[wide], high[wide], targets[wide])
        narrow = ~wide & (width > 0)
        radius = 0.5 * width[narrow, None]
        points = low[narrow, None] + radius * (1 + NODES)
        squares = (points - targets[narrow, None]) ** 2
        errors[narrow] = radius[:, 0] * ((squares * self.pdf(points)) @ WEIGHTS)
        return errors

    def pdf(self, x: ArrayLike) -> Array:
        """Return the density.

        Parameters
        ----------
        x : array_like

        Returns
        -------
        ndarray of float64

        Examples
        --------
        >>> from analysis.errors.distributions import Laplace
        >>> float(Laplace().pdf(0.0).round(6))
        0.707107
        """
        return self._density(np.abs(np.asarray(x, np.float64)))

    def cdf(self, x: ArrayLike) -> Array:
        """Return ``P(X <= x)``, accurate relative to itself below 0 (see `upper_moments` above).

        Parameters
        ----------
        x : array_like

        Returns
        -------
        ndarray of float64

        Examples
        --------
        >>> from analysis.errors.distributions import Normal
        >>> float(Normal().cdf(-1.0).round(6))
        0.158655
        """
        points = np.asarray(x, np.float64)
        tail = self.upper_moments(np.abs(points)).zeroth
        return np.where(points > 0, 1 - tail, tail)

    def partial_moment(self, order: int, x: ArrayLike) -> Array:
        """Return ``integral of t**order f(t) dt`` from minus infinity to ``x``.

        Parameters
        ----------
        order : int
            1 or 2.
        x : array_like

        Returns
        -------
        ndarray of float64

        Raises
        ------
        ValueError
            If ``order`` is neither 1 nor 2.

        Examples
        --------
        >>> from analysis.errors.distributions import Normal
        >>> float(Normal().partial_moment(2, 0.0))
        0.5
        """
        if order not in (1, 2):
            raise ValueError(f"order must be 1 or 2, got {order}")
        points = np.asarray(x, np.float64)
        tail = self.upper_moments(np.abs(points))
        if order == 1:
            return -tail.first
        return np.where(points > 0, 1 - tail.second, tail.second)

    def upper_moments(self, x: ArrayLike, sign: int = 1) -> Moments:
        """Return the moments beyond ``x >= 0`` of X, or of -X with ``sign`` -1.

        Parameters
        ----------
        x : array_like
            At least 0; infinity gives zeros.
        sign : int
            1 or -1, which makes no difference for a symmetric density.

        Returns
        -------
        Moments

        Raises
        ------
        ValueError
            If an ``x`` is negative.

        Examples
        --------
        >>> from analysis.errors.distributions import Laplace
        >>> [round(float(m), 6) for m in Laplace().upper_moments(0.0)]
        [0.5, 0.353553, 0.5]
        """
        points = np.asarray(x, np.float64)
        if (points < 0).any():
            raise ValueError(f"x must be at least 0, got {float(points.min())}")
        finite = np.isfinite(points)
        moments = self._upper(np.where(finite, points, 1.0))
        return Moments(*(np.where(finite, moment, 0.0) for moment in moments))

    def magnitude_beyond(self, p: ArrayLike) -> Array:
        """Return the magnitude m with ``P(|X| > m) = p``.

        Parameters
        ----------
        p : array_like
            In (0, 1].

        Returns
        -------
        ndarray of float64

        Raises
        ------
        ValueError
            If a ``p`` is out of range.

        Examples
        --------
        >>> from analysis.errors.distributions import Normal
        >>> float(Normal().magnitude_beyond(0.05).round(6))
        1.959964
        """
        chance = np.asarray(p, np.float64)
        if not ((chance > 0) & (chance <= 1)).all():
            raise ValueError(f"p must be in (0, 1], got {p!r}")
        return np.maximum(self._quantile(np.atleast_1d(chance) / 2), 0.0).reshape(chance.shape)


@dataclass(frozen=True)
class Normal(Distribution):
    """The standard normal distribution.

    Examples
    --------
    >>> from analysis.errors.distributions import Normal
    >>> float(Normal().pdf(0.0).round(6))
    0.398942
    """

    name = "normal"
    entropy = 0.5 * math.log2(2 * math.pi * math.e)
    cube_root_integral = (2 * math.pi) ** (1 / 3) * math.sqrt(3)

    def _density(self, x: Array) -> Array:
        return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)

    def characteristic(self, t: Array) -> Array:
        """exp(-t**2 / 2)."""
        return np.exp(-0.5 * t * t)

    def _upper(self, x: Array) -> tuple[Array, Array, Array]:
        tail, density = special.ndtr(-x), self._density(x)
        return tail, density, tail + x * density

    def _quantile(self, p: Array) -> Array:
        quantile: Array = -special.ndtri(p)
        return quantile


@dataclass(frozen=True)
class Laplace(Distribution):
    """The two-sided exponential distribution, ``f(t) = exp(-|t|/b) / 2b`` with b = 1/sqrt(2).

    Examples
    --------
    >>> from analysis.errors.distributions import Laplace
    >>> round(Laplace().entropy, 6)
    1.942695
    """

    name = "laplace"
    entropy = math.log2(math.sqrt(2) * math.e)
    cube_root_integral = 3 * 2 ** (1 / 3)

    def _density(self, x: Array) -> Array:
        return np.exp(-math.sqrt(2) * x) / math.sqrt(2)

    def characteristic(self, t: Array) -> Array:
        """1 / (1 + t**2 / 2)."""
        return np.asarray(1 / (1 + 0.5 * t * t))

    def _upper(self, x: Array) -> tuple[Array, Array, Array]:
        b = math.sqrt(0.5)
        tail = 0.5 * np.exp(-x / b)
        return tail, tail * (x + b), tail * (x * x + 2 * b * x + 2 * b * b)

    def _quantile(self, p: Array) -> Array:
        return np.asarray(-math.sqrt(0.5) * np.log(2 * p))


@dataclass(frozen=True)
class Logistic(Distribution):
    """The logistic distribution, ``P(X > x) = 1 / (1 + exp(x/s))`` with s = sqrt(3)/pi.

    Its second moment beyond a point holds a dilogarithm:
    ``x**2 S + 2 s x L - 2 s**2 Li2(-exp(-x/s))`` with S the tail and ``L = log(1 + exp(-x/s))``.

    Examples
    --------
    >>> from analysis.errors.distributions import Logistic
    >>> float(Logistic().upper_moments(0.0).second.round(12))
    0.5
    """

    name = "logistic"
    entropy = math.log2(math.sqrt(3) / math.pi) + 2 / math.log(2)
    cube_root_integral = float((math.sqrt(3) / math.pi) ** (2 / 3) * special.beta(1 / 3, 1 / 3))

    def _density(self, x: Array) -> Array:
        s = math.sqrt(3) / math.pi
        decay = np.exp(-x / s)
        return decay / (s * (1 + decay) ** 2)

    def characteristic(self, t: Array) -> Array:
        """Return u / sinh(u) with u = pi s t."""
        u = np.clip(math.sqrt(3) * t, 1e-9, 700.0)
        return np.asarray(u / np.sinh(u))

    def _upper(self, x: Array) -> tuple[Array, Array, Array]:
        s = math.sqrt(3) / math.pi
        decay = np.exp(-x / s)
        tail, log = decay / (1 + decay), s * np.log1p(decay)
        return tail, x * tail + log, x * x * tail + 2 * x * log + 2 * s * s * _dilogarithm(decay)

    def _quantile(self, p: Array) -> Array:
        return math.sqrt(3) / math.pi * (np.log1p(-p) - np.log(p))


def _dilogarithm(w: Array) -> Array:
    """Return ``-Li2(-w)`` for w in [0, 1]; SciPy's spence(1 + w) rounds a small w away."""
    powers = np.arange(1, DILOGARITHM_TERMS + 1)
    small = np.minimum(w, 0.25)
    series = np.zeros_like(small)
    for k in powers[::-1]:
        series = small * (1 / k**2 - series)  # Horner's rule on w - w**2/4 + w**3/9 - ...
    return np.where(w <= 0.25, series, -special.spence(1 + w))


@dataclass(frozen=True)
class Uniform(Distribution):
    """The uniform distribution on [-sqrt(3), sqrt(3)].

    Examples
    --------
    >>> from analysis.errors.distributions import Uniform
    >>> float(Uniform().cdf(0.0))
    0.5
    """

    name = "uniform"
    entropy = math.log2(2 * math.sqrt(3))
    cube_root_integral = (2 * math.sqrt(3)) ** (2 / 3)
    end = math.sqrt(3)

    def _density(self, x: Array) -> Array:
        return np.where(x <= math.sqrt(3), 1 / (2 * math.sqrt(3)), 0.0)

    def characteristic(self, t: Array) -> Array:
        """sin(u) / u with u = sqrt(3) t."""
        return np.sinc(math.sqrt(3) * t / math.pi)

    def _upper(self, x: Array) -> tuple[Array, Array, Array]:
        end = math.sqrt(3)
        tail = np.maximum(end - x, 0.0) / (2 * end)
        return tail, tail * (end + x) / 2, tail * (3 + end * x + x * x) / 3

    def _quantile(self, p: Array) -> Array:
        return math.sqrt(3) * (1 - 2 * p)


@dataclass(frozen=True)
class StudentT(Distribution):
    """Student's t distribution, scaled to variance 1.

    With ``c = sqrt((nu - 2)/nu)``, ``x = c t`` and ``g`` the density of t, the moments beyond t are
    ``first = (nu + t**2) g(t) / (nu - 1)`` and ``second = (nu P + t (nu + t**2) g(t)) / (nu - 2)``
    with P the tail: both follow from ``(nu + t**2) g' = -(nu + 1) t g`` by parts.

    Parameters
    ----------
    nu : float
        Degrees of freedom, above 2.

    Raises
    ------
    ValueError
        If ``nu`` is not above 2, or not finite.

    Examples
    --------
    >>> from analysis.errors.distributions import StudentT
    >>> StudentT(5).name
    'student_t(5)'
    """

    nu: float

    def __post_init__(self) -> None:
        if not 2 < self.nu < math.inf:
            raise ValueError(
                f"nu must be finite and above 2, where the variance is finite, got {self.nu}; "
                "the limit of large nu is the normal distribution"
            )

    @property
    def name(self) -> str:
        """student_t(nu)."""
        return f"student_t({repr(float(self.nu)).removesuffix('.0')})"

    @property
    def tail_index(self) -> float:  # type: ignore[override]  # a constant in the base class
        """Moments of order below nu exist."""
        return self.nu

    @property
    def entropy(self) -> float:
        """Differential entropy, in bits."""
        half, more = self.nu / 2, (self.nu + 1) / 2
        nats = more * (special.digamma(more) - special.digamma(half))
        return float(nats - math.log(self._peak) + math.log(self._c)) / math.log(2)

    @property
    def cube_root_integral(self) -> float:
        """``integral of f**(1/3)``."""
        integral = math.sqrt(self.nu) * special.beta(0.5, (self.nu - 2) / 6)
        return float((self._peak * self._c**2) ** (1 / 3) * integral)

    @property
    def _c(self) -> float:
        return math.sqrt((self.nu - 2) / self.nu)

    @property
    def _peak(self) -> float:
        """The density of t at 0."""
        return float(special.poch(self.nu / 2, 0.5)) / math.sqrt(self.nu * math.pi)

    def smooth_width(self, x: Array) -> Array:
        """Wider far out: the density has its singularities at ``+-i sqrt(nu - 2)``."""
        return np.maximum(min(0.25, 0.8 * math.sqrt(self.nu - 2)), x / 8)

    def characteristic(self, t: Array) -> Array:
        """2 (u/2)**(nu/2) K(u) / Gamma(nu/2), u = sqrt(nu - 2) t, K the Bessel function of nu/2."""
        half = self.nu / 2
        u = np.maximum(math.sqrt(self.nu - 2) * t, 1e-9)
        logs = half * np.log(u / 2) - special.gammaln(half) - u + math.log(2)
        return np.asarray(np.exp(logs) * special.kve(half, u))

    def _density_t(self, t: Array) -> Array:
        return self._peak * np.exp(-0.5 * (self.nu + 1) * np.log1p(t * t / self.nu))

    def _density(self, x: Array) -> Array:
        return self._density_t(x / self._c) / self._c

    def _upper(self, x: Array) -> tuple[Array, Array, Array]:
        nu, c = self.nu, self._c
        t = x / c
        tail = special.stdtr(nu, -t)
        spread = nu * self._peak * np.exp(-0.5 * (nu - 1) * np.log1p(t * t / nu))
        second = (nu * tail + t * spread) / (nu - 2)  # spread is (nu + t**2) g(t)
        return tail, c * spread / (nu - 1), c * c * second

    def _quantile(self, p: Array) -> Array:
        t = -special.stdtrit(self.nu, np.maximum(p, FAR_TAIL))
        far = p < FAR_TAIL
        t[far] = np.sqrt(self.nu * (1 / special.betaincinv(self.nu / 2, 0.5, 2 * p[far]) - 1))
        return np.asarray(self._c * t)


_NAMED: dict[str, Callable[[], Distribution]] = {
    "normal": Normal,
    "laplace": Laplace,
    "logistic": Logistic,
    "uniform": Uniform,
}
_STUDENT = re.compile(r"student_t\( *([0-9.e+]+) *\)")


def parse_distribution(name: Distribution | str) -> Distribution:
    """Return the distribution that ``name`` names; a distribution is returned as it is.

    Parameters
    ----------
    name : Distribution or str
        normal, laplace, logistic, uniform, or student_t(nu) with a number for nu.

    Returns
    -------
    Distribution

    Raises
    ------
    ValueError
        If the name is not known, or nu is not a number above 2.
    TypeError
        If ``name`` is neither.

    Examples
    --------
    >>> from analysis import parse_distribution
    >>> parse_distribution("student_t(5)")
    StudentT(nu=5.0)
    """
    if isinstance(name, Distribution):
        return name
    if isinstance(name, Law):
        raise TypeError(
            f"distribution must be a Distribution (a density), got {name.name}; "
            "use absmax_mse_of_weights or law_of"
        )
    if not isinstance(name, str):
        raise TypeError(
            f"distribution must be a Distribution or the name of one, got {shown(name)}; "
            "absmax_mse_of_weights takes weights"
        )
    word = lowered(name)
    if word in _NAMED:
        return _NAMED[word]()
    if match := _STUDENT.fullmatch(word):
        try:
            return StudentT(float(match[1]))
        except ValueError as error:
            raise ValueError(f"distribution must be a known one, got {name!r}: {error}") from None
    known = ", ".join(_NAMED)
    raise ValueError(f"distribution must be one of {known} or student_t(nu), got {name!r}")


def law_of(distribution: Law | str) -> Law:
    """Return the distribution that a name names; a law is returned as it is.

    Parameters
    ----------
    distribution : Law or str
        A `Distribution` or its name, or `analysis.Empirical`.

    Returns
    -------
    Law

    Raises
    ------
    ValueError, TypeError
        As `parse_distribution`.

    Examples
    --------
    >>> from analysis.errors.distributions import law_of
    >>> law_of("laplace")
    Laplace()
    """
    return distribution if isinstance(distribution, Law) else parse_distribution(distribution)
