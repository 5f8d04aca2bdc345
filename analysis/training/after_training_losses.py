"""Quantization-aware training beside GPTQ: their losses, and which one is lower.

The criteria are those of `analysis.training.after_training`, whose records it takes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from analysis.records import Rows
from analysis.statistics import Estimate

RECIPES = ("e2m2/32/float32", "e2m1/32/float32", "e2m0/32/float32")
PLAIN, NEAREST, GPTQ, AWARE = "plain", "nearest", "gptq", "aware"
PUBLISHED_RECOVERED = 0.54  # Gemma 3, of four bits


def losses(rows: Rows, recipe: str, method: str) -> dict[int, float]:
    """Return the losses of a method by seed; without runs that diverged."""
    return {
        row["seed"]: row["validation"]
        for row in rows
        if (row["recipe"], row["method"]) == (recipe, method) and row["validation"] is not None
    }


class Comparison(NamedTuple):
    """Quantization-aware training beside GPTQ, in one format.

    Attributes
    ----------
    recipe : str
    runs : int
        Seeds with all four losses.
    over_plain : dict of str to Estimate
        Of nearest, gptq and aware: the loss over that of the run that rounds nothing.
    difference : Estimate
        Of aware less gptq.
    between_seeds : float
        Standard deviation of the losses of the runs that round nothing.
    """

    recipe: str
    runs: int
    over_plain: dict[str, Estimate]
    difference: Estimate
    between_seeds: float

    @property
    def words(self) -> str:
        """Return "beats GPTQ", "loses to GPTQ", "not told apart", or nothing below two seeds."""
        if self.runs < 2:
            return ""
        if abs(self.difference.mean) <= 2 * self.difference.standard_error:
            return "not told apart"
        return "beats GPTQ" if self.difference.mean < 0 else "loses to GPTQ"

    def recovered(self, method: str) -> float | None:
        """Return the part of the cost of rounding to nearest that a method takes back.

        None where that cost is within two standard errors of 0, or below two of the method's.
        """
        cost, others = self.over_plain[NEAREST], self.over_plain[method]
        if self.runs < 2 or cost.mean <= 2 * max(cost.standard_error, others.standard_error):
            return None
        return 1 - others.mean / cost.mean


def table(rows: Rows) -> list[Comparison]:
    """Return the comparison in each format that has a seed with all four losses.

    Parameters
    ----------
    rows : list of dict
        As `growing` yields them; of some seeds or all.
    """
    plain = losses(rows, PLAIN, PLAIN)
    found = []
    for recipe in RECIPES:
        own = {method: losses(rows, recipe, method) for method in (NEAREST, GPTQ, AWARE)}
        seeds = sorted(set(plain).intersection(*own.values()))
        if seeds:
            over = {
                method: Estimate.of([values[seed] - plain[seed] for seed in seeds])
                for method, values in own.items()
            }
            less = Estimate.of([own[AWARE][seed] - own[GPTQ][seed] for seed in seeds])
            spread = float(np.std([plain[seed] for seed in seeds], ddof=1)) if seeds[1:] else 0.0
            found.append(Comparison(recipe, len(seeds), over, less, spread))
    return found
