"""What the records of the table say, by the criteria of `analysis.methods.table`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.methods.contenders import REFERENCE
from analysis.methods.table import COLUMNS, LOSS, OUTPUT_ERROR, UNCHANGED
from analysis.records import Rows
from analysis.statistics import Estimate

PERPLEXITY = 1.03  # of aim 2, over that of the unchanged model
FEW, MANY = 4.25, 5.25  # bits of aim 1, and of its yardstick and aim 2

Parts = NDArray[np.float64]  # (draws, parts) of one text
Losses = dict[str, Parts]  # by text


@dataclass(frozen=True)
class Table:
    """The records of one model.

    Attributes
    ----------
    rows : list of dict
        As `analysis.methods.table.growing` yields them.
    model : str
    """

    rows: Rows
    model: str

    @cached_property
    def losses(self) -> dict[tuple[str, float], Losses]:
        """What each method adds to the loss of the unchanged model, by method and budget."""
        own = {row["of"]: _numbers(row) for row in self._of(LOSS) if row["method"] == UNCHANGED}
        found: dict[tuple[str, float], dict[str, list[Parts]]] = {}
        for row in self._of(LOSS):
            if row["method"] != UNCHANGED:
                by_text = found.setdefault((row["method"], row["budget"]), {})
                by_text.setdefault(row["of"], []).append(_numbers(row) - own[row["of"]])
        return {
            key: {text: np.array(draws) for text, draws in by_text.items()}
            for key, by_text in found.items()
        }

    @cached_property
    def bits(self) -> dict[tuple[str, float], float]:
        """Bits per weight, by method and budget."""
        return {(row["method"], row["budget"]): row["bits"] for row in self._of(LOSS)}

    @cached_property
    def outputs(self) -> dict[tuple[str, float], Parts]:
        """How far each matrix's error of outputs lies below them, in dB, the mean of the draws."""
        found: dict[tuple[str, float], dict[str, list[Parts]]] = {}
        for row in self._of(OUTPUT_ERROR):
            by_kind = found.setdefault((row["method"], row["budget"]), {})
            by_kind.setdefault(row["of"], []).append(_numbers(row))
        return {
            key: np.concatenate([np.mean(draws, axis=0) for draws in by_kind.values()])
            for key, by_kind in found.items()
        }

    def decibels(self, method: str, budget: float) -> Estimate:
        """Return the mean of `outputs` over matrices, and its error."""
        return Estimate.of(self.outputs[method, budget])

    def decibels_lead(self, one: str, other: str, budget: float) -> Estimate:
        """Return how many dB one method is ahead of another, the mean over matrices."""
        return Estimate.of(self.outputs[one, budget] - self.outputs[other, budget])

    def loss(self, method: str, budget: float, text: str | None = None) -> Estimate:
        """Return what a method adds to the loss, the mean of the texts or of one, and its error."""
        losses = self._chosen(method, budget, text)
        return Estimate(*_mean_and_error(losses, self._between(losses, budget)))

    def lead(self, one: str, other: str, budget: float) -> Estimate:
        """Return how much less one method adds to the loss than another, by paired parts."""
        return self.difference(other, budget, one, budget)

    def difference(
        self, one: str, budget: float, other: str, its_budget: float, text: str | None = None
    ) -> Estimate:
        """Return the loss of one method less that of another, and the error of the difference.

        Parameters
        ----------
        one, other : str
            Methods.
        budget, its_budget : float
            Of the one and of the other.
        text : str, optional
            Default: the mean of the texts.

        Returns
        -------
        Estimate
        """
        first, second = self._chosen(one, budget, text), self._chosen(other, its_budget, text)
        apart = {name: (first[name].mean(0) - second[name].mean(0))[None] for name in first}
        between = self._between(first, budget) + self._between(second, its_budget)
        return Estimate(*_mean_and_error(apart, between))

    def aims(self, method: str) -> tuple[str, str]:
        """Return whether a method reaches either aim: "reached", "missed" or "open".

        Parameters
        ----------
        method : str
            With losses at both budgets of the aims.
        """
        texts = list(self.losses[method, FEW])
        first = [self.difference(method, FEW, REFERENCE, MANY, text) for text in texts]
        second = [self.loss(method, MANY, text) for text in texts]
        limit = math.log(PERPLEXITY)
        less = [Estimate(each.mean - limit, each.standard_error) for each in second]
        return _aim(first), _aim(less)

    def draws(self, method: str, budget: float) -> Parts:
        """Return the loss of each draw, the mean of the texts."""
        return _draws(self.losses[method, budget])

    def share_of_draws(self, budget: float) -> float:
        """Return the variance between draws over the squared loss, the mean of the methods."""
        drawn = [_draws(losses) for (_, of), losses in self.losses.items() if of == budget]
        shares = [draws.var(ddof=1) / draws.mean() ** 2 for draws in drawn if len(draws) > 1]
        return float(np.mean(shares)) if shares else 0.0

    def _between(self, losses: Losses, budget: float) -> float:
        """Return the variance of a mean that comes from the draws."""
        draws = _draws(losses)
        if len(draws) > 1:
            return float(draws.var(ddof=1) / len(draws))
        return self.share_of_draws(budget) * float(draws[0]) ** 2

    def _chosen(self, method: str, budget: float, text: str | None) -> Losses:
        losses = self.losses[method, budget]
        return losses if text is None else {text: losses[text]}

    def _of(self, kind: str) -> Rows:
        return [row for row in self.rows if row["model"] == self.model and row["kind"] == kind]


def _aim(differences: Sequence[Estimate]) -> str:
    if all(each.mean + 2 * each.standard_error <= 0 for each in differences):
        return "reached"
    if any(each.mean - 2 * each.standard_error > 0 for each in differences):
        return "missed"
    return "open"


def _draws(losses: Losses) -> Parts:
    """Return the mean of each draw over the texts."""
    means: Parts = np.mean([parts.mean(axis=1) for parts in losses.values()], axis=0)
    return means


def _mean_and_error(losses: Losses, between: float) -> tuple[float, float]:
    """Return the mean of the texts, and its error from parts and, added, from draws."""
    texts = [Estimate.of(parts.mean(axis=0)) for parts in losses.values()]
    within = sum(text.standard_error**2 for text in texts) / len(texts) ** 2
    return float(np.mean([text.mean for text in texts])), math.sqrt(within + between)


def _numbers(row: dict[str, object]) -> Parts:
    numbers = [row[f"at_{k}"] for k in range(COLUMNS) if row[f"at_{k}"] is not None]
    return np.array(numbers, np.float64)
