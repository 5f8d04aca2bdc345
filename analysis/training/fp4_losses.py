"""FP4 training: the grid of recipes, the effects of their parts, and the loss of each.

The criteria are those of `analysis.training.fp4`, whose records it takes.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from analysis.records import Row, Rows
from analysis.statistics import Estimate
from analysis.training.recipe import TRAINING_RECIPES, TrainingRecipe, fp4

MATTERS = 0.01  # bits per byte
SCALES = ("e8m0:up", "e4m3fn", "e4m3fn/tensor-scale", "ue5m3", "ue5m3/tensor-scale")
ROBUST = tuple(scale for scale in SCALES if scale != "e4m3fn")  # reach small gradients, too
OTHERS = ("float32", "quartet", "ms_eden")


class Parts(NamedTuple):
    """The parts of a recipe of the grid."""

    element: str
    scale: str
    block: int
    hadamard: bool
    stochastic: bool

    @property
    def recipe(self) -> TrainingRecipe:
        """The recipe that has them."""
        return fp4(
            self.scale, self.block, element=self.element, hadamard=self.hadamard,
            stochastic=self.stochastic,
        )  # fmt: skip


GRID = [Parts("e2m1", *rest) for rest in product(SCALES, (16, 32), (False, True), (False, True))]
UNIFORM = [Parts("e1m2", "ue5m3", 16, hadamard, True) for hadamard in (False, True)]
EFFECTS: dict[str, tuple[str, Any, Any]] = {  # a part, with what it is compared, and with what
    "Hadamard": ("hadamard", False, True),
    "stochastic rounding": ("stochastic", False, True),
    "blocks of 16, not 32": ("block", 32, 16),
    "tensor scale, E4M3": ("scale", "e4m3fn", "e4m3fn/tensor-scale"),
    "tensor scale, UE5M3": ("scale", "ue5m3", "ue5m3/tensor-scale"),
    "UE5M3, not E8M0": ("scale", "e8m0:up", "ue5m3"),
    "UE5M3, not E4M3": ("scale", "e4m3fn", "ue5m3"),
    "E1M2, not E2M1": ("element", "e2m1", "e1m2"),
}


def recipes() -> list[TrainingRecipe]:
    """Return all recipes of the study, the one without rounding first."""
    return [TRAINING_RECIPES[name] for name in OTHERS] + [p.recipe for p in GRID + UNIFORM]


class Effect(NamedTuple):
    """The effect of a part on the loss, the pairs left out, what is said of it, and the seeds."""

    difference: Estimate
    left_out: int
    words: str
    seeds: int


def effects(rows: Rows, scales: tuple[str, ...] = SCALES) -> dict[str, Effect]:
    """Return the effects of the parts, by the criteria above.

    Parameters
    ----------
    rows : list of dict
        As `analysis.training.fp4.growing` yields them; of some seeds or all.
    scales : tuple of str
        Pairs of recipes with other scales do not count.
    """
    losses = {(row["seed"], row["recipe"]): row["validation"] for row in rows}
    seeds = sorted({seed for seed, _ in losses})
    found = {}
    for name, effect in EFFECTS.items():
        texts = pairs(*effect, scales)
        means, left_out = [], 0
        for seed in seeds:
            keys = [((seed, without), (seed, with_it)) for without, with_it in texts]
            measured = [(losses[a], losses[b]) for a, b in keys if a in losses and b in losses]
            whole = [b - a for a, b in measured if a is not None and b is not None]
            left_out += len(measured) - len(whole)
            if whole:
                means.append(float(np.mean(whole)))
        if means:
            estimate = Estimate.of(means)
            found[name] = Effect(estimate, left_out, _words(estimate, len(means)), len(means))
    return found


def pairs(
    part: str, without: Any, with_it: Any, scales: tuple[str, ...] = SCALES
) -> list[tuple[str, str]]:
    """Return pairs of recipes of the study that differ in a part alone, as texts.

    Examples
    --------
    >>> len(pairs("hadamard", False, True)), len(pairs("element", "e2m1", "e1m2"))
    (21, 2)
    """
    every = [parts for parts in GRID + UNIFORM if parts.scale in scales]
    found = []
    for parts in every:
        other = parts._replace(**{part: with_it})
        if getattr(parts, part) == without and other in every:
            found.append((str(parts.recipe), str(other.recipe)))
    return found


def _words(effect: Estimate, seeds: int) -> str:
    if seeds < 2 or abs(effect.mean) <= max(MATTERS, 2 * effect.standard_error):
        return ""
    return "helps" if effect.mean < 0 else "harms"


def table(rows: Rows) -> Rows:
    """Return a row for each recipe: the mean loss over seeds, its error, and diverged runs.

    Parameters
    ----------
    rows : list of dict
        As `analysis.training.fp4.growing` yields them.

    Returns
    -------
    list of dict
        With the columns recipe, runs, diverged, loss, standard_error, excess (over float32's loss
        with the same seed) and excess_error; None where no run is left.

    Examples
    --------
    >>> row = {"validation": 2.0, "diverged": 0}
    >>> rows = [row | {"recipe": "float32", "seed": s} for s in (0, 1)]
    >>> rows += [row | {"recipe": "a", "seed": s, "validation": 2.5 + s} for s in (0, 1)]
    >>> table(rows)[1]["excess"], table(rows)[1]["excess_error"]
    (1.0, 0.5)
    """
    plain = {row["seed"]: row["validation"] for row in rows if row["recipe"] == "float32"}
    return [_line(recipe, rows, plain) for recipe in dict.fromkeys(row["recipe"] for row in rows)]


def _line(recipe: str, rows: Rows, plain: dict[int, float | None]) -> Row:
    runs = [row for row in rows if row["recipe"] == recipe]
    whole = [row for row in runs if row["validation"] is not None]
    pairs = [(row["validation"], plain.get(row["seed"])) for row in whole]
    excess = [loss - other for loss, other in pairs if other is not None]
    loss = Estimate.of([row["validation"] for row in whole]) if whole else None
    over = Estimate.of(excess) if excess else None
    return {
        "recipe": recipe,
        "runs": len(runs),
        "diverged": sum(row["diverged"] for row in runs),
        "loss": loss and loss.mean,
        "standard_error": loss and loss.standard_error,
        "excess": over and over.mean,
        "excess_error": over and over.standard_error,
    }


class Best(NamedTuple):
    """The recipe of the grid with the lowest excess, and all that are not told apart from it."""

    lowest: str
    tied: list[str]
    seeds: int


def best(rows: Rows) -> Best | None:
    """Return the best recipe of the grid by the criteria; None before two seeds are whole.

    Parameters
    ----------
    rows : list of dict
        As `analysis.training.fp4.growing` yields them. A seed counts if all runs of the grid are
        there; a recipe counts if none of its runs diverged.
    """
    losses = {(row["seed"], row["recipe"]): row["validation"] for row in rows}
    texts = [str(parts.recipe) for parts in GRID]
    seeds = sorted({seed for seed, _ in losses})
    whole = [seed for seed in seeds if all((seed, text) in losses for text in texts)]
    if len(whole) < 2:
        return None
    by_recipe = {text: [losses[seed, text] for seed in whole] for text in texts}
    found = {text: np.array(runs) for text, runs in by_recipe.items() if None not in runs}
    if not found:
        return None
    lowest = min(found, key=lambda text: float(found[text].mean()))
    behind = {text: Estimate.of(runs - found[lowest]) for text, runs in found.items()}
    tied = [text for text, d in behind.items() if text != lowest and d.mean <= 2 * d.standard_error]
    return Best(lowest, tied, len(whole))
