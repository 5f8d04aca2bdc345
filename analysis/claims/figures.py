"""Means over items and over draws of the rounding, with their intervals, and what they decide.

A row of records has a recipe, a grouping of the input channels (`analysis.models.groupings`), an
item such as a recording or a chunk of a text, and the metrics. There are two designs:

- **crossed**: each grouping is measured on the same items;
- **nested**: each grouping has items of its own, as many as the others. A grouping costs fewer
  items, so that more groupings can be drawn. Their means differ by their items, too, so that their
  deviation is an upper estimate of that over groupings, which verdicts rest on. `Figure.apart` is
  what is left without the items' part (the usual analysis of variance of one way).

What they decide:

- A figure is a mean over items and groupings. Its error is the larger of two: the standard error
  over items, and the standard deviation over groupings. Its interval is the mean plus and minus the
  error times Student's quantile for 95 %, with the degrees of freedom of the error that was taken.
  So it holds for a model in one grouping, which a user has, and all the more for the mean over
  groupings, which has an error of its own, `Figure.of_mean`. A recipe that was measured in one
  grouping has the first error alone, which is then a lower bound.
- A lead of one recipe over another, paired, is resolved if its interval leaves out 0. Otherwise, if
  it has the same sign in every grouping, the recipe is ahead.
- A recipe is nearly lossless if the changes of all metrics from the unchanged model have intervals
  below their limits: "yes"; it is "no" if one lies above, and "open" if neither is the case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from analysis.models.evaluation import REFERENCE
from analysis.records import Row, Rows

COLUMNS = ("recipe", "grouping")  # the column after them names the item


@dataclass(frozen=True)
class Figure:
    """A mean over items and groupings.

    Attributes
    ----------
    draws : tuple of float
        The mean over items of each grouping.
    over_items : float
        Standard error over items.
    freedom : int
        Its degrees of freedom.
    own_items : float
        The standard error that the mean of one grouping has from its items, if they are its own; 0
        if all groupings have the same ones.
    """

    draws: tuple[float, ...]
    over_items: float
    freedom: int
    own_items: float = 0.0

    @property
    def mean(self) -> float:
        """Over all."""
        return float(np.mean(self.draws))

    @property
    def over_draws(self) -> float | None:
        """Standard deviation over groupings, with that of their own items; None for only one."""
        return float(np.std(self.draws, ddof=1)) if len(self.draws) > 1 else None

    @property
    def apart(self) -> float | None:
        """The same without the part of own items, 0 if it is lost in that."""
        if self.over_draws is None:
            return None
        return math.sqrt(max(self.over_draws**2 - self.own_items**2, 0.0))

    @property
    def half(self) -> float:
        """Half the length of the interval of 95 %."""
        freedom, error = self.freedom, self.over_items
        if self.over_draws is not None and self.over_draws > error:
            freedom, error = len(self.draws) - 1, self.over_draws
        return float(student.ppf(0.975, freedom)) * error

    @property
    def of_mean(self) -> float:
        """Half the length of the interval of 95 % of the mean over groupings, both errors in it."""
        if len(self.draws) == 1:
            return self.half
        variance = float(np.var(self.draws, ddof=1)) / len(self.draws)
        if not self.own_items:
            variance += self.over_items**2
        return float(student.ppf(0.975, len(self.draws) - 1)) * math.sqrt(variance)

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
        Of a crossed or a nested design; all groupings with as many items.
    metric : str
        A column of the rows.
    recipe : str
    other : str, optional
        Taken in the groupings and items that both have; those of `REFERENCE` hold for all
        groupings.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there are no such rows, or groupings have not as many items.

    Examples
    --------
    >>> rows = [{"recipe": "e2m2", "grouping": g, "recording": r, "nats": 1 + g + r}
    ...         for g in range(2) for r in range(3)]
    >>> found = figure(rows, "nats", "e2m2")
    >>> found.draws, round(found.over_items, 3), round(found.over_draws, 3)
    ((2.0, 3.0), 0.577, 0.707)
    """
    cells = _cells(rows, metric, recipe)
    if other:
        theirs = _cells(rows, metric, other)
        if other == REFERENCE:
            by_item = {item: value for (_, item), value in theirs.items()}
            theirs = {cell: by_item[cell[1]] for cell in cells}
        cells = {cell: value - theirs[cell] for cell, value in cells.items() if cell in theirs}
    table: dict[int, dict[object, float]] = {}
    for (grouping, item), value in cells.items():
        table.setdefault(grouping, {})[item] = value
    first, *others = table.values() if table else [{}]
    if not first or any(len(items) != len(first) for items in others):
        raise ValueError(f"rows must hold {metric} of {recipe}, as many items in each grouping")
    crossed = all(items.keys() == first.keys() for items in others)
    order = list(first)
    values = np.array([
        [items[item] for item in order] if crossed else list(items.values())
        for items in table.values()
    ])  # fmt: skip
    draws = tuple(map(float, values.mean(axis=1)))
    count = values.shape[1]
    if crossed:
        items = values.mean(axis=0)
        return Figure(draws, float(items.std(ddof=1)) / count**0.5, count - 1)
    own = float(np.mean(values.var(axis=1, ddof=1)) / count) ** 0.5
    return Figure(draws, own / len(draws) ** 0.5, len(draws) * (count - 1), own)


def _cells(rows: Rows, metric: str, recipe: str) -> dict[tuple[int, object], float]:
    """Return a metric by grouping and item."""
    return {(row["grouping"], item_of(row)): row[metric] for row in rows if row["recipe"] == recipe}


def item_of(row: Row) -> object:
    """Return the name of a row's item.

    Examples
    --------
    >>> item_of({"recipe": "e2m2", "grouping": 0, "photo": "a", "nats": 1.5})
    'a'
    """
    return next(value for name, value in row.items() if name not in COLUMNS)


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
    >>> rows = [{"recipe": recipe, "grouping": 0, "item": r, "nats": value + r}
    ...         for recipe, value in (("fp32", 1), ("e2m2", 1.1)) for r in range(3)]
    >>> verdict(rows, "e2m2", {"nats": 0.2}), verdict(rows, "e2m2", {"nats": 0.01})
    ('yes', 'no')
    """
    changes = {metric: figure(rows, metric, recipe, REFERENCE) for metric in limits}
    if any(found.mean - found.half > limits[metric] for metric, found in changes.items()):
        return "no"
    below = all(found.mean + found.half <= limits[metric] for metric, found in changes.items())
    return "yes" if below else "open"
