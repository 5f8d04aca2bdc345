"""FP4 training: which parts of a recipe matter, in the order of Elucidating the Design Space.

E2M1 in the three products of all layers: with E8M0, E4M3 and UE5M3 scales, E4M3 and UE5M3 also with
a tensor scale, in blocks of 16 and 32, with and without Hadamard rotations of both operands, with
gradients rounded to nearest or stochastically; and beside this grid E1M2 with and without
rotations, and the recipes of Quartet and MS-EDEN. Published counterparts: arXiv 2509.17791 (the
best are Hadamard, tensor scales and stochastic rounding together; UE5M3 scales are recommended),
arXiv 2505.14669, arXiv 2601.22813, and arXiv 2606.20381 (E1M2 is better than E2M1 with Hadamard).

**Criteria**

The loss is that of validation, in bits per byte. The effect of a part is the mean difference of the
losses of runs that differ in this part alone, with it less without it, over the whole grid; its
standard error is over seeds, which have the same weights at the start and the same batches with
and without the part. A part is said to help (or to harm) if the effect is below -0.01 (above 0.01)
and beyond two standard errors. Pairs in which a run diverged are left out, and counted.

A model of 0.2 million weights that reads a million bytes says whether a rounding disturbs the
first phase of learning. It cannot say what happens after billions of tokens, where the published
instabilities are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from analysis.models.evaluation import Progress
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from analysis.training.grid import growing_runs, study_runs
from analysis.training.recipe import TRAINING_RECIPES, TrainingRecipe, fp4
from analysis.training.run import Setup

MODEL, ITEMS, SEEDS = "0.2M", 1_000_000, 5
MATTERS = 0.01  # bits per byte
SCALES = ("e8m0:up", "e4m3fn", "e4m3fn/tensor-scale", "ue5m3", "ue5m3/tensor-scale")
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


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Yield the records so far, see `analysis.training.grid.growing_runs`.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call, which are not measured again.
    quick : bool
        Whether to run four recipes for four steps each, with one seed.
    progress : callable, optional

    Raises
    ------
    MissingPackage
        If the package of a text is not installed.
    """
    if quick:
        some = [GRID[0].recipe, GRID[-1].recipe, *map(TrainingRecipe.parse, OTHERS[:2])]
        short = [Setup(MODEL, recipe, items=4 * 512, batch=4) for recipe in some]
        yield from growing_runs(short, known, progress=progress)
    else:
        yield from study_runs(setups(), known, progress)


def setups() -> list[Setup]:
    """Return all runs of the study: a whole seed before the next one."""
    recipes = [TRAINING_RECIPES[name] for name in OTHERS]
    recipes += [parts.recipe for parts in GRID + UNIFORM]
    return [Setup(MODEL, r, seed=seed, items=ITEMS) for seed in range(SEEDS) for r in recipes]


class Effect(NamedTuple):
    """The effect of a part on the loss, the pairs left out, and what is said of it."""

    difference: Estimate
    left_out: int
    words: str


def effects(rows: Rows) -> dict[str, Effect]:
    """Return the effects of the parts, by the criteria above.

    Parameters
    ----------
    rows : list of dict
        As `growing` yields them; of some seeds or all.
    """
    losses = {(row["seed"], row["recipe"]): row["validation"] for row in rows}
    seeds = sorted({seed for seed, _ in losses})
    found = {}
    for name, effect in EFFECTS.items():
        texts = pairs(*effect)
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
            found[name] = Effect(estimate, left_out, _words(estimate, len(means)))
    return found


def pairs(part: str, without: Any, with_it: Any) -> list[tuple[str, str]]:
    """Return pairs of recipes of the study that differ in a part alone, as texts.

    Examples
    --------
    >>> len(pairs("hadamard", False, True)), len(pairs("element", "e2m1", "e1m2"))
    (21, 2)
    """
    every = GRID + UNIFORM
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
        As `growing` yields them.

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
