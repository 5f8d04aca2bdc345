"""What other ways to multiply lose: relative errors, and errors on Gaussian data at equal bits.

The relative error of L-Mul and of Mitchell's method is taken over all pairs of values of a format.
On Gaussian data an error has two sources, the rounding of the operands to a format and the method
that multiplies them; so methods are compared with exact products in formats of as many bits.
Both are finite sums, exact but for float64, and draws stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.errors.distributions import Normal
from analysis.errors.expected_error import optimal_scale
from analysis.errors.grids import grid_of
from minifloat import arithmetic, round_to
from minifloat.formats.names import parse

Array = NDArray[Any]
Multiply = Callable[[Array, Array, str], Array]  # of values of a format, which is the last one

METHODS: dict[str, Multiply] = {
    "exact": lambda a, b, fmt: a * b,
    "l-mul formula": lambda a, b, fmt: np.asarray(arithmetic.l_mul(a, b, fmt)),
    "l-mul addition": lambda a, b, fmt: np.asarray(arithmetic.l_mul(a, b, fmt, variant="addition")),
    "mitchell": lambda a, b, fmt: np.asarray(arithmetic.mitchell(a, b)),
}

# Mean relative error and share of inexact products of L-Mul in FP8, arXiv 2412.18948.
PUBLISHED = {
    "e6m1": (0.319, 1.0),
    "e5m2": (0.111, 0.938),
    "e4m3": (0.068, 0.968),
    "e3m4": (0.069, 0.992),
    "e2m5": (0.072, 0.997),
    "e1m6": (0.073, 0.999),
}

AS_GOOD = 1.1  # times the error of a format of as many bits: the method is as good as it

LATTICE = 1024  # points between 1 and 2

POSITIVE_MEAN = 2 / math.pi  # of the product of two magnitudes of standard normals


class RelativeError(NamedTuple):
    """The relative error of products, ``product / exact - 1``, over pairs of values.

    ``share`` is that of pairs whose product is not exact.
    """

    mean: float
    mean_abs: float
    largest: float
    share: float


def relative_error(method: str, fmt: str, *, normal: bool = False) -> RelativeError:
    """Return the relative error over all pairs of values above zero.

    Parameters
    ----------
    method : str
        A key of `METHODS`.
    fmt : str
    normal : bool
        Whether to leave out subnormal numbers: then the error depends on the mantissa bits alone.

    Returns
    -------
    RelativeError
        Every pair counts the same; sums are rounded once.

    Examples
    --------
    >>> from analysis.numerics.multiplication import relative_error
    >>> error = relative_error("l-mul formula", "e5m2", normal=True)
    >>> f"{error.mean_abs:.4f} {error.share:.4f}"
    '0.1111 0.9375'
    """
    found = parse(fmt)
    kinds = ("normal",) if normal else ("normal", "subnormal")
    codes = [code for code in range(found.code_count) if found.kind(code) in kinds]
    values = np.array([found.value(code) for code in codes])
    values = values[values > 0]
    exact = np.multiply.outer(values, values)
    errors = (METHODS[method](values[:, None], values, fmt) - exact) / exact
    magnitudes = np.abs(errors)
    return RelativeError(
        math.fsum(errors.flat) / errors.size,
        math.fsum(magnitudes.flat) / errors.size,
        float(magnitudes.max()),
        np.count_nonzero(errors) / errors.size,
    )


class TableRow(NamedTuple):
    """L-Mul or Mitchell's method in one format: over normal numbers, and over all."""

    exponent_bits: int
    mantissa_bits: int
    method: str
    normal: RelativeError
    all: RelativeError


def error_table(bits: int = 8) -> list[TableRow]:
    """Return the relative errors in every ExMy of at most so many bits, with a sign.

    Parameters
    ----------
    bits : int
        At least 3.

    Returns
    -------
    list of TableRow
        By mantissa bits, exponent bits and method; every code is a number.

    Examples
    --------
    >>> from analysis.numerics.multiplication import error_table
    >>> for row in error_table(3):
    ...     print(row.method, row.normal.largest)
    l-mul formula 0.5
    l-mul addition 0.5
    mitchell 0.1111111111111111
    """
    rows = []
    for m in range(1, bits - 1):
        for e in range(1, bits - m):
            for method in list(METHODS)[1:]:
                name = f"e{e}m{m}none"
                errors = (relative_error(method, name, normal=only) for only in (True, False))
                rows.append(TableRow(e, m, method, *errors))
    return rows


def significand_error(method: str, mantissa_bits: int) -> float:
    """Return the mean relative error of products of real numbers, rounding of operands included.

    Parameters
    ----------
    method : str
        A key of `METHODS`, or "rounded": the exact product, rounded to the format as well.
    mantissa_bits : int
        M of the operands, 1..7.

    Returns
    -------
    float
        The mean of ``abs(product / (x y) - 1)`` for x and y uniform in 1..2, a sum over a lattice
        of `LATTICE` points each way.

    Examples
    --------
    >>> from analysis.numerics.multiplication import significand_error
    >>> [round(significand_error(method, 2), 3) for method in ("exact", "l-mul formula")]
    [0.059, 0.118]
    """
    fmt = f"e5m{mantissa_bits}none"
    x = 1 + (np.arange(LATTICE) + 0.5) / LATTICE
    operands = round_to(x, fmt, dtype=np.float64)
    products = METHODS["exact" if method == "rounded" else method](operands[:, None], operands, fmt)
    if method == "rounded":
        products = round_to(products, fmt, dtype=np.float64)
    return float(np.abs(products / np.multiply.outer(x, x) - 1).mean())


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
        """Return the multiplier of a text: a method, and one format or two."""
        method, *formats = text.rsplit(":", 1)
        left, *right = formats[0].split("*")
        return cls(method, left, right[0] if right else left)

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
    >>> from analysis.numerics.multiplication import gaussian_error
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
    >>> from analysis.numerics.multiplication import dot_error
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


class Measured(NamedTuple):
    """The mean of an error over draws, and its standard error."""

    mean: float
    error: float


def measured_error(
    multiplier: Multiplier | str,
    length: int,
    *,
    positive: bool = False,
    draws: int = 24,
    dots: int = 64,
    seed: int = 0,
) -> Measured:
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
    Measured
        The standard error is that of the mean over draws.

    Examples
    --------
    >>> from analysis.numerics.multiplication import dot_error, measured_error
    >>> found = measured_error("l-mul formula:e2m2", 64)
    >>> abs(found.mean - dot_error("l-mul formula:e2m2", 64)) < 4 * found.error
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
    return _measured(found)


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
    >>> from analysis.numerics.multiplication import shift_cost
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


def changed_share(scale: float, bits: int) -> float:
    """Return the share of sums whose INT8 result a dyadic scale changes.

    Parameters
    ----------
    scale : float
        A float32 number in ``2**-24 .. 1``.
    bits : int
        Of the multiplier, 1..31.

    Returns
    -------
    float
        Over all integer sums with a result in -127..127; in integers, so there is no rounding.

    Examples
    --------
    >>> from analysis.numerics.multiplication import changed_share
    >>> changed_share(1.25 / 1024, 3), round(changed_share(1.25 / 1024, 2), 3)
    (0.0, 0.978)
    """
    limit = int(127 / scale)
    sums = np.arange(-limit, limit + 1)
    whole = arithmetic.dyadic(scale, 24)  # float32 has 24 bits, so it is the scale itself
    wanted = (2 * sums * whole.multiplier + (1 << whole.shift)) >> (whole.shift + 1)
    return float(np.mean(arithmetic.requantize(sums, arithmetic.dyadic(scale, bits)) != wanted))


def changed_shares(bits: int, *, draws: int = 24, seed: int = 0) -> Measured:
    """Return the mean `changed_share` of random scales, with its standard error over them.

    Parameters
    ----------
    bits : int
        Of the multiplier, 1..31.
    draws : int
        Scales, log-uniform in ``2**-11 .. 2**-10``; at least 2.
    seed : int

    Returns
    -------
    Measured

    Examples
    --------
    >>> from analysis.numerics.multiplication import changed_shares
    >>> changed_shares(24, draws=2).mean
    0.0
    """
    scales = (2.0 ** np.random.default_rng(seed).uniform(-11, -10, draws)).astype(np.float32)
    return _measured([changed_share(scale, bits) for scale in scales.tolist()])


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


def _measured(found: list[float]) -> Measured:
    return Measured(float(np.mean(found)), float(np.std(found, ddof=1)) / math.sqrt(len(found)))


def _parsed(multiplier: Multiplier | str) -> Multiplier:
    return Multiplier.of(multiplier) if isinstance(multiplier, str) else multiplier
