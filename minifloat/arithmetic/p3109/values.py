"""P3109's comparisons, classes and neighbours of values, which round nothing.

Names and results are those of the draft P3109/D1 of July 2026, clauses 4.12, 4.13 and 4.16; those
of report 4.0.3 are the same.
Operands are values, as everywhere here; they have one zero, so -0 is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.operations.results import Fmt, Numbers, Operands
from minifloat.arithmetic.p3109.names import named
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse

Array = NDArray[Any]


class Class(StrEnum):
    """The classes of values (table 2)."""

    NAN = "ClsNaN"
    NEGATIVE_INFINITY = "ClsNegativeInfinity"
    NEGATIVE_NORMAL = "ClsNegativeNormal"
    NEGATIVE_SUBNORMAL = "ClsNegativeSubnormal"
    ZERO = "ClsZero"
    POSITIVE_SUBNORMAL = "ClsPositiveSubnormal"
    POSITIVE_NORMAL = "ClsPositiveNormal"
    POSITIVE_INFINITY = "ClsPositiveInfinity"


COMPARISONS: Mapping[str, Callable[[Array, Array], Any]] = {
    "CompareLess": np.less,
    "CompareLessEqual": np.less_equal,
    "CompareEqual": np.equal,
    "CompareGreaterEqual": np.greater_equal,
    "CompareGreater": np.greater,
    "TotalOrder": lambda x, y: np.isnan(x) | ~np.isnan(y) & (x <= y),  # NaN is the least
}
PREDICATES: Mapping[str, Callable[[Array], Any]] = {
    "IsZero": lambda x: x == 0,
    "IsOne": lambda x: x == 1,
    "IsNaN": np.isnan,
    "IsInfinite": np.isinf,
    "IsFinite": np.isfinite,
    "IsSignMinus": lambda x: x < 0,
}


CLASS_PREDICATES: Mapping[str, list[str]] = {
    "IsNormal": [Class.NEGATIVE_NORMAL, Class.POSITIVE_NORMAL],
    "IsSubnormal": [Class.NEGATIVE_SUBNORMAL, Class.POSITIVE_SUBNORMAL],
}


def compare(name: str, x: Numbers, y: Numbers) -> Any:
    """Compare values of any two formats.

    Parameters
    ----------
    name : str
        One of `COMPARISONS`. NaN is less than all numbers for TotalOrder, and otherwise neither
        less, equal nor greater.
    x, y : array_like
        Numbers that broadcast.

    Returns
    -------
    ndarray of bool, or a NumPy scalar

    Raises
    ------
    ValueError
        If there is no such comparison, or the shapes do not broadcast.

    Examples
    --------
    >>> from minifloat.arithmetic import p3109_values
    >>> p3109_values.compare("TotalOrder", float("nan"), [-1.0, 2.0])
    array([ True,  True])
    """
    operands = Operands.of(x, y)
    return named("name", name, COMPARISONS)(*operands.arrays)[()]


def holds(name: str, x: Numbers, fmt: Fmt | None = None) -> Any:
    """Return where a predicate holds.

    Parameters
    ----------
    name : str
        One of `PREDICATES`, or IsNormal or IsSubnormal, which need the format.
    x : array_like
    fmt : format or str, optional
        The format of the numbers.

    Returns
    -------
    ndarray of bool, or a NumPy scalar

    Raises
    ------
    ValueError
        If there is no such predicate, it needs a format, or a number is not a value of it.

    Examples
    --------
    >>> from minifloat.arithmetic import p3109_values
    >>> p3109_values.holds("IsSignMinus", [-0.0, -1.0])
    array([False,  True])
    >>> p3109_values.holds("IsSubnormal", [0.0, 2.0**-10, 1.0], "binary8p4se")
    array([False,  True, False])
    """
    if isinstance(name, str) and name in CLASS_PREDICATES:
        if fmt is None:
            raise ValueError(f"fmt must be given for {name}, got None")
        return np.isin(classify(x, fmt), CLASS_PREDICATES[name])
    return named("name", name, PREDICATES)(*Operands.of(x).arrays)[()]


def classify(x: Numbers, fmt: Fmt) -> Any:
    """Return the class of each value of a format (Class).

    Parameters
    ----------
    x : array_like
    fmt : format or str

    Returns
    -------
    ndarray of str, or a str
        Members of `Class`.

    Raises
    ------
    ValueError
        If a number is not a value of the format.

    Examples
    --------
    >>> from minifloat.arithmetic import p3109_values
    >>> p3109_values.classify([0.0, -2.0**-10, 1.0], "binary8p4se").tolist()
    ['ClsZero', 'ClsNegativeSubnormal', 'ClsPositiveNormal']
    """
    fmt = parse(fmt)
    (a,) = Operands.of(x).doubles()
    _check_values(a, fmt)
    least = getattr(fmt, "min_normal", 0.0)
    with np.errstate(invalid="ignore"):
        normal = abs(a) >= least
    conditions = [
        (np.isnan(a), Class.NAN, Class.NAN),
        (np.isinf(a), Class.NEGATIVE_INFINITY, Class.POSITIVE_INFINITY),
        (a == 0, Class.ZERO, Class.ZERO),
        (normal, Class.NEGATIVE_NORMAL, Class.POSITIVE_NORMAL),
        (~normal, Class.NEGATIVE_SUBNORMAL, Class.POSITIVE_SUBNORMAL),
    ]
    names = [np.where(a < 0, below.value, above.value) for _, below, above in conditions]
    return np.select([condition for condition, _, _ in conditions], names, "")[()]


def next_greater_than(x: Numbers, fmt: Fmt) -> Any:
    """Return the least value of a format above each value; NaN if there is none (NextGreaterThan).

    Parameters
    ----------
    x : array_like
    fmt : format or str

    Returns
    -------
    ndarray of float64, or a NumPy scalar

    Raises
    ------
    ValueError
        If a number is not a value of the format.

    Examples
    --------
    >>> from minifloat.arithmetic import p3109_values
    >>> p3109_values.next_greater_than([1.0, 224.0, float("inf")], "binary8p4se")
    array([1.125,   inf,   nan])
    """
    return _neighbour(x, parse(fmt), 1)


def next_less_than(x: Numbers, fmt: Fmt) -> Any:
    """Return the largest value of a format below each value; NaN if there is none (NextLessThan).

    Arguments and result are as for `next_greater_than`.
    """
    return _neighbour(x, parse(fmt), -1)


def _neighbour(x: Numbers, fmt: NumberFormat, step: int) -> Array:
    (a,) = Operands.of(x).doubles()
    values = _check_values(a, fmt)
    padded = np.concatenate([[np.nan], values, [np.nan]])
    place = np.searchsorted(values, a) + 1 + step
    return np.asarray(np.where(np.isnan(a), np.nan, padded[place.clip(0, padded.size - 1)])[()])


def _check_values(a: Array, fmt: NumberFormat) -> Array:
    """Return the values of the format, sorted, or raise if a number is none of them."""
    values = fmt.values()
    values = np.unique(values[~np.isnan(values)] + 0.0)
    numbers = a[~np.isnan(a)]
    place = np.searchsorted(values, numbers).clip(0, values.size - 1)
    wrong = values[place] != numbers
    if wrong.any():
        raise ValueError(
            f"x must hold values of {fmt}, got {numbers[wrong][0]!s}; use minifloat.round_to"
        )
    return values
