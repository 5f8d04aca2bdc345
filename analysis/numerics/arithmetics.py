"""The arithmetics in which numerical methods are compared, and records of what the methods do.

The methods are plain NumPy code. Given float64 arrays they compute in float64; given arrays of
`Arithmetic.array` they round every operation to its format. All their records have the same
columns, see `record`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.records import Row, Rows
from minifloat import arithmetic as small
from minifloat.formats import Format
from minifloat.formats.names import parse
from minifloat.formats.rounding import Rounding

Array = NDArray[np.float64]

NEAREST, STOCHASTIC, TOWARD_ZERO = "nearest_even", "stochastic", "toward_zero"
ROUNDINGS = (NEAREST, STOCHASTIC, TOWARD_ZERO)


@dataclass(frozen=True)
class Arithmetic:
    """A format, and the rounding of every operation to it.

    Attributes
    ----------
    fmt : str
        An ExMy.
    rounding : str
        A `minifloat.Rounding`.
    """

    fmt: str
    rounding: str = NEAREST

    @property
    def unit(self) -> float:
        """The unit roundoff u: the largest relative error of one operation, without underflow.

        Half the gap above 1 to nearest, the whole gap in the other modes.

        Examples
        --------
        >>> Arithmetic("bfloat16").unit, Arithmetic("bfloat16", "toward_zero").unit
        (0.00390625, 0.0078125)
        """
        gap = 2.0**-self.mantissa_bits
        return gap / 2 if self.rounding == NEAREST else gap

    @property
    def mantissa_bits(self) -> int:
        """Bits of the mantissa, without the leading 1."""
        return self._format.mantissa_bits

    @property
    def largest(self) -> float:
        """The largest number of the format."""
        return self._format.max

    @property
    def smallest_normal(self) -> float:
        """The smallest normal number of the format."""
        return 2.0**self._format.emin

    @property
    def _format(self) -> Format:
        found = parse(self.fmt)
        if not isinstance(found, Format):
            raise ValueError(f"fmt must be an ExMy, got {self.fmt}")
        return found

    def array(self, x: ArrayLike, seed: int = 0) -> Any:
        """Return numbers rounded to the format, as an array that computes in it."""
        rounding = Rounding(self.rounding)
        return small.array(
            x, self.fmt, rounding=rounding, seed=seed if rounding.is_stochastic else None
        )


def arithmetics(formats: Iterable[str]) -> Iterator[Arithmetic]:
    """Yield each format in each of `ROUNDINGS`."""
    for fmt in formats:
        for rounding in ROUNDINGS:
            yield Arithmetic(fmt, rounding)


def draws_of(arithmetic: Arithmetic, draws: int) -> range:
    """Return the draws of a method without random data: one, but for stochastic rounding."""
    return range(draws if arithmetic.rounding == STOCHASTIC else 1)


def record(
    quantity: str,
    arithmetic: Arithmetic,
    at: float,
    draw: int,
    measured: float | None,
    theory: float | None,
) -> Row:
    """Return a record of a numerical method.

    Parameters
    ----------
    quantity : str
        What is measured.
    arithmetic : Arithmetic
    at : float
        The parameter that varies: a size, a condition number, a step.
    draw : int
        The number of the matrix, starting point or seed.
    measured : float or None
        None where the method gave no number.
    theory : float or None
        What the theory says of this quantity, for this very draw where it depends on it.

    Returns
    -------
    dict
        Numbers have six digits.
    """
    return {
        "quantity": quantity,
        "format": arithmetic.fmt,
        "rounding": arithmetic.rounding,
        "at": float(at),
        "draw": draw,
        "measured": None if measured is None else float(f"{measured:.6g}"),
        "theory": None if theory is None else float(f"{theory:.6g}"),
    }


@dataclass(frozen=True)
class Mean:
    """The records of one quantity, arithmetic and parameter together.

    Attributes
    ----------
    quantity, fmt, rounding : str
    at : float
    draws : int
        Those that gave a number.
    mean, error : float
        Mean over draws and its standard error, 0 for a single draw.
    theory : float or None
        Mean over draws.
    """

    quantity: str
    fmt: str
    rounding: str
    at: float
    draws: int
    mean: float
    error: float
    theory: float | None


def means(rows: Rows, quantity: str) -> list[Mean]:
    """Return the means of a quantity over draws, in the order of the records.

    Parameters
    ----------
    rows : list of dict
        Made by `record`.
    quantity : str

    Returns
    -------
    list of Mean
        Without those whose draws all lack a number.
    """
    groups: dict[tuple[str, str, float], Rows] = {}
    for row in rows:
        if row["quantity"] == quantity and row["measured"] is not None:
            groups.setdefault((row["format"], row["rounding"], row["at"]), []).append(row)
    found = []
    for (fmt, rounding, at), group in groups.items():
        values = np.array([row["measured"] for row in group])
        theories = [row["theory"] for row in group if row["theory"] is not None]
        found.append(
            Mean(
                quantity, fmt, rounding, at, len(values), float(values.mean()),
                standard_error(values),
                float(np.mean(theories)) if theories else None,
            )
        )  # fmt: skip
    return found


def standard_error(values: Array) -> float:
    """Return the standard error of the mean; 0 for a single value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def slope(points: Iterable[Mean]) -> tuple[float, float]:
    """Return the exponent p of a law ``mean = c * at**p`` and its standard error.

    Parameters
    ----------
    points : iterable of Mean
        At least three, with positive means.

    Returns
    -------
    p, error : float
        By least squares on logarithms; the error is that of the scatter around the line.

    Examples
    --------
    >>> points = [Mean("", "", "", x, 1, 3 * x**2, 0.0, None) for x in (1.0, 2.0, 4.0)]
    >>> [round(number, 12) for number in slope(points)]
    [2.0, 0.0]
    """
    return fitted(*np.log([(point.at, point.mean) for point in points]).T)


def fitted(x: Array, y: Array) -> tuple[float, float]:
    """Return the slope of the line of least squares through points, and its standard error.

    Parameters
    ----------
    x, y : ndarray of float64, (points,)
        At least three points.

    Returns
    -------
    slope, error : float
        The error is that of the scatter around the line.
    """
    x = x - x.mean()
    exponent = float(x @ y / (x @ x))
    rest = y - y.mean() - exponent * x
    return exponent, math.sqrt(float(rest @ rest) / (len(x) - 2) / float(x @ x))
