"""Noise in place of rounding: by how much losses differ from those with rounding.

The criteria are those of `analysis.training.noise`, whose records it takes.
"""

from __future__ import annotations

from typing import NamedTuple

from analysis.records import Row, Rows
from analysis.statistics import Estimate
from analysis.training.noise_laws import SOURCES

RECIPES = ("e2m1/32/float32", "e1m1/32/float32")
NONE, ROUNDED = "none", "rounded"
LOSSES = ("training", "own", "plain", "rounded")
MATTERS = 0.01  # bits per byte


class Case(NamedTuple):
    """A run."""

    seed: int
    recipe: str
    source: str


def table(rows: Rows) -> Rows:
    """Return a row for each recipe and source: its losses, less those of rounding.

    Parameters
    ----------
    rows : list of dict
        As `growing` yields them; of some seeds or all.

    Returns
    -------
    list of dict
        With the columns recipe, source, runs, ratio, and for each of `LOSSES` its name, NAME_error,
        and NAME_differs: whether it differs from rounding by the criteria (0 or 1). Losses are the
        mean differences to rounding over seeds; those of rounding itself are the losses.
    """
    known = {Case(row["seed"], row["recipe"], row["source"]): row for row in rows}
    lines: Rows = []
    for recipe in RECIPES:
        for source in (ROUNDED, NONE, *SOURCES):
            seeds = [c.seed for c in known if (c.recipe, c.source) == (recipe, source)]
            pairs = [
                (known[Case(seed, recipe, source)], known.get(Case(seed, recipe, ROUNDED)))
                for seed in sorted(seeds)
            ]
            whole = [
                (own, other)
                for own, other in pairs
                if other is not None and None not in (own["own"], other["own"])
            ]
            if whole:
                lines.append(_line(recipe, source, whole))
    return lines


def _line(recipe: str, source: str, pairs: list[tuple[Row, Row]]) -> Row:
    ratio = Estimate.of([own["ratio"] for own, _ in pairs]).mean
    line: Row = {"recipe": recipe, "source": source, "runs": len(pairs), "ratio": ratio}
    for name in LOSSES:
        less = 0 if source == ROUNDED else 1
        mean = Estimate.of([own[name] - less * other[name] for own, other in pairs])
        far = abs(mean.mean) > max(MATTERS, 2 * mean.standard_error)
        line[name] = mean.mean
        line[f"{name}_error"] = mean.standard_error
        line[f"{name}_differs"] = int(less and len(pairs) > 1 and far)
    return line
