"""Instability: its grid, which runs diverged, and what the formats are said to do.

The criteria are those of `analysis.training.instability`, whose records it takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from analysis.records import Row, Rows
from analysis.statistics import Estimate
from analysis.training.recipe import TrainingRecipe

PLAIN = "float32"
BFLOAT16 = "e8m7"
MANTISSAS = tuple(f"e8m{m}" for m in range(6, 0, -1))
EXPONENTS = tuple(f"e{e}m7" for e in range(7, 3, -1))
FORMATS = (PLAIN, BFLOAT16, *MANTISSAS, *EXPONENTS)
RATE = 3e-3
FACTORS = (1, 4, 16)  # of the rate
SEEDS = 5
PARTS = 20  # of a run, whose mean losses are compared
LOST = 0.5  # bits per byte that a run has lost again when it diverged
Z = 1.959964  # of a normal 95 % interval


class Case(NamedTuple):
    """A run: a format of all operands, the learning rate over `RATE`, and the seed."""

    format: str
    factor: int
    seed: int

    @property
    def recipe(self) -> TrainingRecipe:
        """Its training recipe."""
        return recipe_of(self.format)


def cases() -> list[Case]:
    """Return all runs: a whole seed before the next one."""
    return [Case(f, k, seed) for seed in range(SEEDS) for k in FACTORS for f in FORMATS]


def recipe_of(name: str) -> TrainingRecipe:
    """Return the recipe that rounds both operands of every product to a format.

    Examples
    --------
    >>> print(recipe_of("e8m3"))
    forward=e8m3ieee backward=e8m3ieee places=all
    """
    if name == PLAIN:
        return TrainingRecipe()
    return TrainingRecipe(forward=f"{name}ieee", backward=f"{name}ieee", places="all")


def removed(name: str) -> int:
    """Return how many bits of bfloat16 a format lacks.

    Examples
    --------
    >>> removed("e8m7"), removed("e8m3"), removed("e5m7")
    (0, 4, 3)
    """
    exponent, mantissa = name.removeprefix("e").split("m")
    return 15 - int(exponent) - int(mantissa)


def part_means(losses: Iterable[float]) -> list[float]:
    """Return the mean losses of the whole twentieths of a run.

    Examples
    --------
    >>> part_means([2.0] * 40 + [1.0] * 40)[9:11]
    [2.0, 1.0]
    """
    every = list(losses)
    size = max(1, len(every) // PARTS)
    starts = range(0, len(every) - size + 1, size)
    return [math.fsum(every[start : start + size]) / size for start in starts]


def has_diverged(row: Row) -> bool:
    """Return whether a run has diverged, by the criteria.

    Examples
    --------
    >>> has_diverged({"not_finite": 0, "training": 2.6, "lowest": 2.0})
    True
    >>> has_diverged({"not_finite": 0, "training": 2.1, "lowest": 2.0})
    False
    """
    return bool(row["not_finite"]) or row["training"] - row["lowest"] >= LOST


class Share(NamedTuple):
    """Some of all, with Wilson's interval of 95 %."""

    some: int
    all: int

    @property
    def interval(self) -> tuple[float, float]:
        """The interval.

        Examples
        --------
        >>> [round(end, 3) for end in Share(0, 5).interval], Share(5, 5).interval[1]
        ([0.0, 0.434], 1.0)
        """
        n, p = self.all, self.some / self.all
        middle = p + Z**2 / (2 * n)
        half = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
        low, high = ((middle + sign * half) / (1 + Z**2 / n) for sign in (-1, 1))
        return (0.0 if self.some == 0 else low), (1.0 if self.some == n else high)


def share(rows: Rows, **wanted: Any) -> Share | None:
    """Return how many of some runs diverged; None if there are none."""
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return Share(sum(map(has_diverged, found)), len(found)) if found else None


def mean(rows: Rows, column: str, name: str, factor: int, *, excess: bool) -> Estimate | None:
    """Return the mean of a column over the runs of a format at a rate that did not diverge.

    Parameters
    ----------
    rows : list of dict
    column : str
        "validation" or "sharpness".
    name : str
        The format.
    factor : int
        Of the rate.
    excess : bool
        Whether it is what there is more than in bfloat16 with the same seed and rate, in a run that
        did not diverge either.
    """
    found = _of_seeds(rows, column, name, factor)
    if excess:
        base = _of_seeds(rows, column, BFLOAT16, factor)
        found = {seed: value - base[seed] for seed, value in found.items() if seed in base}
    return Estimate.of(list(found.values())) if found else None


def exponent_over_mantissa(rows: Rows) -> dict[tuple[int, int], Estimate]:
    """Return by how much validation's loss is higher without bits of the exponent.

    Than without as many bits of the mantissa, with the same seed, in runs that did not diverge.

    Returns
    -------
    dict of (int, int) to Estimate
        By the rate's factor and the number of bits, where two seeds or more have both runs.
    """
    found = {}
    for factor in FACTORS:
        for exponent, mantissa in zip(EXPONENTS, MANTISSAS, strict=False):
            ours = _of_seeds(rows, "validation", exponent, factor)
            others = _of_seeds(rows, "validation", mantissa, factor)
            values = [ours[seed] - others[seed] for seed in ours if seed in others]
            if len(values) > 1:
                found[factor, removed(exponent)] = Estimate.of(values)
    return found


def _of_seeds(rows: Rows, column: str, name: str, factor: int) -> dict[int, float]:
    return {
        row["seed"]: row[column]
        for row in rows
        if (row["format"], row["factor"]) == (name, factor)
        and row[column] is not None
        and not has_diverged(row)
    }


def verdict(rows: Rows, name: str) -> str:
    """Return "less stable" or "more stable" than bfloat16 over all rates, or nothing.

    Seeds and rates count for which both are measured.
    """
    both = _measured_alike(rows, (name, BFLOAT16))
    ours, plain = share(both, format=name), share(both, format=BFLOAT16)
    if ours is None or plain is None or name == BFLOAT16:
        return ""
    if ours.interval[0] > plain.interval[1]:
        return "less stable"
    return "more stable" if ours.interval[1] < plain.interval[0] else ""


def by_kind(rows: Rows) -> dict[str, Share]:
    """Return the shares of diverged runs with one to four bits of each field removed.

    Seeds and rates count for which all of these are measured; nothing before there is one.
    """
    kinds = {"mantissa": MANTISSAS[:4], "exponent": EXPONENTS}
    alike = _measured_alike(rows, kinds["mantissa"] + kinds["exponent"])
    shares = {}
    for kind, names in kinds.items():
        found = [row for row in alike if row["format"] in names]
        if found:
            shares[kind] = Share(sum(map(has_diverged, found)), len(found))
    return shares


def _measured_alike(rows: Rows, names: tuple[str, ...]) -> Rows:
    """Return the rows of seeds and rates for which all of some formats are measured."""
    there = {(row["format"], row["factor"], row["seed"]) for row in rows}
    return [
        row for row in rows if all((name, row["factor"], row["seed"]) in there for name in names)
    ]
