"""Records of draws: a quantity, measured at a parameter, beside what the theory says of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from analysis.records import Row, Rows
from analysis.statistics import Estimate, fitted

OF_A_DRAW = ("draw", "measured", "theory")  # the columns in which draws of a mean differ


def record(
    quantity: str,
    labels: dict[str, str],
    at: float,
    draw: int,
    measured: float | None,
    theory: float | None,
) -> Row:
    """Return the record of a draw.

    Parameters
    ----------
    quantity : str
        What is measured.
    labels : dict of str to str
        Of what, by column: a format and a rounding mode, for example.
    at : int or float
        The parameter that varies: a size, a length, a condition number, a step.
    draw : int
        The number of the matrix, starting point or seed.
    measured : float or None
        None where there is no number.
    theory : float or None
        What the theory says of this quantity, for this very draw where it depends on it.

    Returns
    -------
    dict
        ``quantity``, the labels, ``at``, ``draw``, ``measured`` and ``theory``, both with six
        digits.
    """
    return {
        "quantity": quantity,
        **labels,
        "at": at,
        "draw": draw,
        "measured": _rounded(measured),
        "theory": _rounded(theory),
    }


def _rounded(x: float | None) -> float | None:
    return None if x is None else float(f"{x:.6g}")


def means(rows: Iterable[Row], quantity: str) -> Rows:
    """Return the means of a quantity over draws, in the order of the records.

    Parameters
    ----------
    rows : iterable of dict
        Made by `record`.
    quantity : str

    Returns
    -------
    list of dict
        ``quantity``, the labels, ``at``, and ``draws`` (those that have a number), ``mean``,
        ``error`` (the standard error, 0 for a single draw) and ``theory`` (its mean, or None).
        Groups whose draws all lack a number are left out.

    Examples
    --------
    >>> rows = [record("error", {"format": "e2m2"}, 8, k, 1.0 + k, None) for k in range(2)]
    >>> for name, value in means(rows, "error")[0].items():
    ...     print(name, value)
    quantity error
    format e2m2
    at 8
    draws 2
    mean 1.5
    error 0.5
    theory None
    """
    groups: dict[tuple[tuple[str, object], ...], Rows] = {}
    for row in rows:
        if row["quantity"] == quantity and row["measured"] is not None:
            shared = tuple(item for item in row.items() if item[0] not in OF_A_DRAW)
            groups.setdefault(shared, []).append(row)
    found = []
    for shared, group in groups.items():
        estimate = Estimate.of([row["measured"] for row in group])
        theories = [row["theory"] for row in group if row["theory"] is not None]
        found.append(
            {
                **dict(shared),
                "draws": len(group),
                "mean": estimate.mean,
                "error": estimate.standard_error,
                "theory": float(np.mean(theories)) if theories else None,
            }
        )
    return found


def power(points: Iterable[Row]) -> tuple[float, float]:
    """Return the exponent p of a law ``mean = c * at**p`` and its standard error.

    Parameters
    ----------
    points : iterable of dict
        From `means`; at least three, with positive means.

    Returns
    -------
    p, error : float
        By least squares on logarithms; the error is that of the scatter around the line.

    Examples
    --------
    >>> p, error = power({"at": x, "mean": 3 * x**2} for x in (1.0, 2.0, 4.0))
    >>> round(p, 12), round(error, 12)
    (2.0, 0.0)
    """
    return fitted(*np.log([(point["at"], point["mean"]) for point in points]).T)
