"""Relative errors of L-Mul and of Mitchell's method, over all pairs of values of a format.

They are finite sums, rounded once. `analysis.numerics.gaussian_products` has the errors on data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

LATTICE = 1024  # points between 1 and 2


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
