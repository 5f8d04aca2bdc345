"""Means over items and over draws of the rounding, with their intervals, and what they decide.

A row of records has a recipe, a grouping of the input channels (`analysis.models.groupings`), an
item such as a recording or a chunk of a text, and the metrics. Rows of a recipe are ordered by
grouping, then by item, the same items in each.

- A figure is a mean over items and groupings. Its error is the larger of two: the standard error
  over items (of means over groupings), and the standard deviation over groupings (of means over
  items). Its interval is the mean plus and minus the error times Student's quantile for 95 %, with
  the degrees of freedom of the error that was taken. A recipe that was measured in one grouping has
  the first error alone, which is then a lower bound.
- A lead of one recipe over another, paired, is resolved if its interval leaves out 0. Otherwise, if
  it has the same sign in every grouping, the recipe is ahead.
- A recipe is nearly lossless if the changes of all metrics from the unchanged model have intervals
  below their limits: "yes"; it is "no" if one lies above, and "open" if neither is the case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from analysis.models.evaluation import REFERENCE
from analysis.records import Rows


@dataclass(frozen=True)
class Figure:
    """A mean over items and groupings.

    Attributes
    ----------
    draws : tuple of float
        The mean over items of each grouping.
    over_items : float
        Standard error over items.
    items : int
        Number of items.
    """

    draws: tuple[float, ...]
    over_items: float
    items: int

    @property
    def mean(self) -> float:
        """Over all."""
        return float(np.mean(self.draws))

    @property
    def over_draws(self) -> float | None:
        """Standard deviation over groupings; None if there is only one."""
        return float(np.std(self.draws, ddof=1)) if len(self.draws) > 1 else None

    @property
    def half(self) -> float:
        """Half the length of the interval of 95 %."""
        freedom, error = self.items - 1, self.over_items
        if self.over_draws is not None and self.over_draws > error:
            freedom, error = len(self.draws) - 1, self.over_draws
        return float(student.ppf(0.975, freedom)) * error

    @property
    def lead(self) -> str:
        """Return "resolved", "ahead" or "" for a difference of two recipes."""
        if abs(self.mean) > self.half:
            return "resolved"
        return "ahead" if len(set(np.sign(self.draws))) == 1 and len(self.draws) > 1 else ""


def figure(rows: Rows, metric: str, recipe: str, other: str = "") -> Figure:
    """Return a metric of a recipe, or by how much it is above that of another.

    Parameters
    ----------
    rows : list of dict
    metric : str
        A column of the rows.
    recipe : str
    other : str, optional
        Of the same groupings, or `REFERENCE`, which has only one.

    Returns
    -------
    Figure

    Examples
    --------
    >>> rows = [{"recipe": "e2m2", "grouping": g, "recording": r, "nats": 1 + g + r}
    ...         for g in range(2) for r in range(3)]
    >>> found = figure(rows, "nats", "e2m2")
    >>> found.draws, round(found.over_items, 3), round(found.over_draws, 3)
    ((2.0, 3.0), 0.577, 0.707)
    """
    values = _table(rows, metric, recipe)
    if other:
        values = values - _table(rows, metric, other)
    items = values.mean(axis=0)
    error = float(items.std(ddof=1)) / len(items) ** 0.5
    return Figure(tuple(map(float, values.mean(axis=1))), error, len(items))


def _table(rows: Rows, metric: str, recipe: str) -> np.ndarray:
    """Return a metric by grouping and item."""
    draws: dict[int, list[float]] = {}
    for row in rows:
        if row["recipe"] == recipe:
            draws.setdefault(row["grouping"], []).append(row[metric])
    return np.array(list(draws.values()))


def verdict(rows: Rows, recipe: str, limits: Mapping[str, float]) -> str:
    """Return whether a recipe is nearly lossless: "yes", "no" or "open".

    Parameters
    ----------
    rows : list of dict
        With those of `REFERENCE`, too.
    recipe : str
    limits : mapping of str to float
        The most that each metric may change.

    Returns
    -------
    str

    Examples
    --------
    >>> rows = [{"recipe": recipe, "grouping": 0, "nats": value + r}
    ...         for recipe, value in (("fp32", 1), ("e2m2", 1.1)) for r in range(3)]
    >>> verdict(rows, "e2m2", {"nats": 0.2}), verdict(rows, "e2m2", {"nats": 0.01})
    ('yes', 'no')
    """
    changes = {metric: figure(rows, metric, recipe, REFERENCE) for metric in limits}
    if any(found.mean - found.half > limits[metric] for metric, found in changes.items()):
        return "no"
    below = all(found.mean + found.half <= limits[metric] for metric, found in changes.items())
    return "yes" if below else "open"
