"""What other ways to multiply lose on Gaussian data, against exact products in as many bits.

An error has two sources, the rounding of the operands to a format and the method that multiplies
them. The expectation is a sum over all pairs of values, exact but for float64; draws stand beside
it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.errors.distributions import Normal
from analysis.errors.expected_error import optimal_scale
from analysis.errors.grids import grid_of
from analysis.numerics.multiplication import METHODS
from analysis.statistics import Estimate
from minifloat import arithmetic, round_to
from minifloat.formats.names import parse

Array = NDArray[Any]

AS_GOOD = 1.1  # times the error of a format of as many bits: the method is as good as it

POSITIVE_MEAN = 2 / math.pi  # of the product of two magnitudes of standard normals


@dataclass(frozen=True)
class Multiplier:
    """A method and the formats of its two operands.

    Attributes
    ----------
    method : str
        A key of `METHODS`.
    left, right : str
        Formats; both are the same where the method is for one format.
    """

    method: str
    left: str
    right: str

    @classmethod
    def of(cls, text: str) -> Multiplier:
        """Return the multiplier of a text, ``METHOD:FORMAT`` or ``METHOD:FORMAT*FORMAT``.

        Raises
        ------
        ValueError
            If the method is not one of `METHODS`, or there are no formats.
        """
        method, _, formats = text.partition(":")
        left, _, right = formats.partition("*")
        if method not in METHODS or not left:
            known = ", ".join(METHODS)
            raise ValueError(f"multiplier must be METHOD:FORMAT, METHOD of {known}, got {text!r}")
        return cls(method, left, right or left)

    def __str__(self) -> str:
        formats = self.left if self.left == self.right else f"{self.left}*{self.right}"
        return f"{self.method}:{formats}"


# Multipliers of as many bits an operand; products of the first two formats are what they race.
RACES: dict[int, tuple[str, ...]] = {
    4: (
        "exact:e2m1", "exact:int4", "exact:bipolar_int4", "exact:int4*apot4", "exact:int4*sp2_4",
        "exact:int4*pot4", "mitchell:e2m1", "mitchell:int4", "l-mul formula:e2m1",
        "l-mul addition:e2m1",
    ),
    5: (
        "exact:e2m2", "exact:int5", "exact:bipolar_int5", "exact:int5*apot5", "exact:int5*pot5",
        "mitchell:e2m2", "mitchell:int5", "l-mul formula:e2m2", "l-mul addition:e2m2",
    ),
    8: (
        "exact:int8", "exact:e3m4ieee", "exact:e4m3fn", "exact:e5m2", "exact:bipolar_int8",
        "exact:int8*sp2_8", "exact:int8*pot8", "mitchell:int8", "mitchell:e3m4ieee",
        "mitchell:e4m3fn", "l-mul formula:e5m2", "l-mul addition:e5m2", "l-mul formula:e4m3fn",
        "l-mul addition:e4m3fn", "l-mul formula:e3m4ieee", "l-mul addition:e3m4ieee",
    ),
}  # fmt: skip


class GaussianError(NamedTuple):
    """The error of products of two standard normals, each rounded at its format's best scale.

    Attributes
    ----------
    rms : float
        Relative: of the error over that of the product. Dot products of signed data have the same,
        at any length, since the terms' errors are independent and have mean 0.
    factor : float
        The number times which products have the smallest error; a scale can take it for nothing.
    rms_with_factor : float
        The rms error with it.
    bias : float
        The mean error of products of magnitudes over their mean: what is left of the error of long
        dot products of positive data.
    """

    rms: float
    factor: float
    rms_with_factor: float
    bias: float

    @property
    def bias_with_factor(self) -> float:
        """The bias that the factor leaves."""
        return (1 + self.bias) * self.factor - 1


def gaussian_error(multiplier: Multiplier | str) -> GaussianError:
    """Return the expected errors of a multiplier: sums over all pairs of values.

    Parameters
    ----------
    multiplier : Multiplier or str
        A text such as ``"l-mul formula:e4m3fn"`` or ``"exact:int4*pot4"``.

    Returns
    -------
    GaussianError

    Notes
    -----
    With the probabilities p of the values and their shares m of the mean, ``m = E[x; x rounds to
    v]``, and products P: ``E[(P - x y)**2] = p P**2 p - 2 m P m + 1``.

    Examples
    --------
    >>> from analysis.numerics.gaussian_products import gaussian_error
    >>> for text in ("exact:int8", "exact:e4m3fn", "l-mul addition:e4m3fn"):
    ...     print(text, f"{gaussian_error(text).rms:.4f}")
    exact:int8 0.0133
    exact:e4m3fn 0.0374
    l-mul addition:e4m3fn 0.0690
    """
    m = _parsed(multiplier)
    left, right = _cells(m.left), _cells(m.right)
    products = METHODS[m.method](left.values[:, None], right.values, m.left)
    products = products * (left.scale * right.scale)
    square = float(left.chances @ np.square(products) @ right.chances)
    cross = float(left.means @ products @ right.means)
    mean = float(left.chances @ np.abs(products) @ right.chances)
    return GaussianError(
        math.sqrt(max(0.0, square - 2 * cross + 1)),
        cross / square,
        math.sqrt(max(0.0, 1 - cross * cross / square)),
        mean / POSITIVE_MEAN - 1,
    )


def dot_error(multiplier: Multiplier | str, length: int, *, positive: bool = False) -> float:
    """Return the expected relative rms error of dot products of Gaussian vectors.

    Parameters
    ----------
    multiplier : Multiplier or str
    length : int
        Of the vectors.
    positive : bool
        Whether the vectors hold magnitudes of normals, so that errors of one sign add up.

    Returns
    -------
    float
        ``sqrt(E[(dot - exact)**2] / E[exact**2])``; sums themselves are exact.

    Examples
    --------
    >>> from analysis.numerics.gaussian_products import dot_error
    >>> for length in (1, 4096):
    ...     print(f"{dot_error('l-mul addition:e4m3fn', length, positive=True):.3f}")
    0.069
    0.048
    """
    error = gaussian_error(multiplier)
    if not positive:
        return error.rms
    bias = error.bias * POSITIVE_MEAN
    variance = error.rms**2 - bias**2
    exact = length * (1 - POSITIVE_MEAN**2) + (length * POSITIVE_MEAN) ** 2
    return math.sqrt((length * variance + (length * bias) ** 2) / exact)


def measured_error(
    multiplier: Multiplier | str,
    length: int,
    *,
    positive: bool = False,
    draws: int = 24,
    dots: int = 64,
    seed: int = 0,
) -> Estimate:
    """Return the relative rms error of dot products, as measured on draws.

    Parameters
    ----------
    multiplier, length, positive
        As for `dot_error`.
    draws : int
        Independent ones, each with its own error; at least 2.
    dots : int
        Dot products of a draw.
    seed : int

    Returns
    -------
    Estimate
        Over draws.

    Examples
    --------
    >>> from analysis.numerics.gaussian_products import dot_error, measured_error
    >>> found = measured_error("l-mul formula:e2m2", 64)
    >>> abs(found.mean - dot_error("l-mul formula:e2m2", 64)) < 4 * found.standard_error
    True
    """
    m = _parsed(multiplier)
    rng = np.random.default_rng(seed)
    scale, other = _cells(m.left).scale, _cells(m.right).scale
    found = []
    for _ in range(draws):
        x, y = rng.standard_normal((2, dots, length))
        if positive:
            x, y = np.abs(x), np.abs(y)
        a, b = (
            round_to(z / s, fmt, dtype=np.float64, overflow="saturate")
            for z, s, fmt in ((x, scale, m.left), (y, other, m.right))
        )
        got = (METHODS[m.method](a, b, m.left) * (scale * other)).sum(axis=1)
        exact = (x * y).sum(axis=1)
        found.append(math.sqrt(np.square(got - exact).mean() / np.square(exact).mean()))
    return Estimate.of(found)


class ShiftCost(NamedTuple):
    """Signed powers of two of a weight: of a Gaussian one on average, and at most."""

    mean: float
    most: int


def shift_cost(fmt: str) -> ShiftCost:
    """Return the terms of Gaussian weights in a format, see `minifloat.arithmetic.shift_terms`.

    Parameters
    ----------
    fmt : str

    Returns
    -------
    ShiftCost
        At the scale that is best for the format.

    Examples
    --------
    >>> from analysis.numerics.gaussian_products import shift_cost
    >>> for fmt in ("pot4", "e2m2", "int5"):
    ...     print(fmt, f"{shift_cost(fmt).mean:.2f} {shift_cost(fmt).most}")
    pot4 0.97 1
    e2m2 1.50 2
    int5 1.41 3
    """
    found, cells = parse(fmt), _cells(fmt)
    counts = {
        found.value(code): len(terms)
        for code, terms in enumerate(arithmetic.shift_terms(fmt))
        if terms is not None
    }
    terms = np.array([counts[value] for value in cells.values.tolist()])
    return ShiftCost(float(cells.chances @ terms), int(terms.max()))


class _Cells(NamedTuple):
    """A format's values, at its best scale, and the normals that round to each."""

    scale: float
    values: Array
    chances: Array
    means: Array


@lru_cache(maxsize=64)
def _cells(fmt: str) -> _Cells:
    scale, _ = optimal_scale(fmt, "normal")
    grid = grid_of(fmt)
    edges = scale * grid.middles
    law = Normal()
    above = law.upper_moments(np.abs(edges))
    negative = edges < 0
    beyond = np.where(negative, 1 - above.zeroth, above.zeroth)  # P(x > edge)
    chances = -np.diff(beyond, prepend=1.0, append=0.0)
    means = -np.diff(above.first, prepend=0.0, append=0.0)  # the density is even
    return _Cells(scale, grid.values, chances, means)


def _parsed(multiplier: Multiplier | str) -> Multiplier:
    return Multiplier.of(multiplier) if isinstance(multiplier, str) else multiplier
