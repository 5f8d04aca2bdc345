"""Noise in place of rounding: the same variance, the same law, and what is still different.

The weights of the layers are rounded in each forward product, or get noise in place of it that
has the variance of the rounding error. The variance is the exact one of the recipe on Gaussian
numbers (`analysis.errors.absmax_error`) times the block's mean square. Gradients pass
straight through. The sources:

    none        nothing
    rounded     to nearest, by the recipe
    gaussian    Gaussian noise
    law         the rounding error of other Gaussian numbers, drawn for each block: the exact law of
                the error, of single weights and within a block, but independent of the weight
    cell        uniform over the distance of the weight's neighbours in the grid: as the error
                depends on the weight's magnitude, but not on its place between them
    pqt         c R max |block|, R = round(N(0, 1) / 2): pseudo-quantization training by Gaussian
                weight sampling (arXiv 2505.11170), c = 2^(1 - b_t) such that the variance is that
                of the recipe
    frozen      Gaussian noise, the same in all steps

The published counterpart is arXiv 2505.11170, by whose abstract training with such noise prepares
weights for formats down to FP6. Its formula could not be read; ``pqt`` has it from memory, with b_t
fixed and not learned, and blocks of a row.

**Criteria**

Each trained model is validated with the weights that it was trained with (``own``), with unrounded
weights, and with weights rounded by the recipe, in bits per byte. A source differs from rounding
in one of these if the difference of runs with the same seed is above 0.01 and two standard errors
over seeds. ``ratio`` says how well the exact error on Gaussian numbers holds for the trained
weights: their squared rounding error over the predicted one.

At 0.2 million weights and 250,000 bytes this says what rounding does to the first phase of
learning; it cannot say whether noise is more stable over billions of tokens, which is the paper's
claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ndtr

import minifloat as mf
from analysis.errors.absmax_error import absmax_mse
from analysis.models.evaluation import Progress
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from analysis.studies import grown
from analysis.training.run import Run, Setup
from analysis.training.through import (
    Change,
    change_weights,
    finish,
    layers,
    training_loss,
    validation,
)

MODEL, ITEMS, BATCH, SEEDS = "0.2M", 250_000, 8, 5
RECIPES = ("e2m1/32/float32", "e1m1/32/float32")
NONE, ROUNDED, FROZEN = "none", "rounded", "frozen"
LOSSES = ("training", "own", "plain", "rounded")
MATTERS = 0.01  # bits per byte

Array = NDArray[np.float32]
Noise = Callable[[Array, mf.Recipe, np.random.Generator], Array]


class Case(NamedTuple):
    """A run."""

    seed: int
    recipe: str
    source: str


def noise_variance(recipe: mf.Recipe) -> float:
    """Return the exact squared error of a recipe on Gaussian numbers, over their variance."""
    return _variance(str(recipe))


@lru_cache(maxsize=64)
def _variance(recipe: str) -> float:
    return absmax_mse(recipe, "normal")


def gaussian(w: Array, recipe: mf.Recipe, draw: np.random.Generator) -> Array:
    """Return Gaussian noise of the recipe's variance, (rows, inputs)."""
    spread = math.sqrt(noise_variance(recipe))
    return draw.standard_normal(w.shape, np.float32) * (spread * root_mean_squares(w, recipe))


def law(w: Array, recipe: mf.Recipe, draw: np.random.Generator) -> Array:
    """Return the rounding errors of other Gaussian numbers, with the blocks' root mean squares."""
    other = draw.standard_normal(w.shape, np.float32)
    return (mf.quantize(other, recipe).dequantize() - other) * root_mean_squares(w, recipe)


def cell(w: Array, recipe: mf.Recipe, draw: np.random.Generator) -> Array:
    """Return noise that is uniform over the width of the cell between a weight's neighbours."""
    scales = np.repeat(mf.quantize(w, recipe).row_scales(), _block(recipe), axis=1)
    values = np.unique(np.abs(recipe.fmt.values()))
    above = np.searchsorted(values, np.abs(w) / scales).clip(1, len(values) - 1)
    widths = (values[above] - values[above - 1]) * scales
    widths[np.abs(w) == _largest(w, recipe)] = 0  # it is rounded to itself
    return np.asarray(widths * (draw.random(w.shape, np.float32) - np.float32(0.5)), np.float32)


def pqt(w: Array, recipe: mf.Recipe, draw: np.random.Generator) -> Array:
    """Return c R max |block|, with R = round(N(0, 1) / 2), and c for the recipe's variance."""
    r = np.rint(draw.standard_normal(w.shape, np.float32) / 2)
    return np.asarray(2.0 ** (1 - noise_bits(recipe)) * r * _largest(w, recipe), np.float32)


SOURCES: dict[str, Noise] = {
    "gaussian": gaussian, "law": law, "cell": cell, "pqt": pqt, FROZEN: gaussian,
}  # fmt: skip
R_VARIANCE = 0.3254130  # of round(N(0, 1) / 2)


@lru_cache(maxsize=64)
def noise_bits(recipe: mf.Recipe) -> float:
    """Return b_t with which PQT's noise has the variance of a recipe, on Gaussian numbers.

    2^(2 - 2 b_t) R_VARIANCE E[max^2] is the recipe's variance, with the largest of a block.

    Examples
    --------
    >>> round(noise_bits(mf.Recipe.parse("e2m1/32/float32")), 2)
    4.75
    """
    n = _block(recipe)
    square, _ = quad(lambda m: 2 * m * (1 - (2 * ndtr(m) - 1) ** n), 0, 12)
    return 1 - math.log2(noise_variance(recipe) / (R_VARIANCE * square)) / 2


def root_mean_squares(w: Array, recipe: mf.Recipe) -> Array:
    """Return for each weight the root mean square of its block."""
    rows = _blocks(w, recipe)
    roots = np.sqrt(np.square(rows, dtype=np.float64).mean(axis=2))
    return np.repeat(roots, rows.shape[2], axis=1).astype(np.float32)


def _largest(w: Array, recipe: mf.Recipe) -> Array:
    return np.repeat(_blocks(np.abs(w), recipe).max(axis=2), _block(recipe), axis=1)


def _block(recipe: mf.Recipe) -> int:
    assert isinstance(recipe.block, int)
    return recipe.block


def _blocks(w: Array, recipe: mf.Recipe) -> Array:
    """Return weights as (rows, blocks, block); the block divides the inputs."""
    return w.reshape(len(w), -1, _block(recipe))


def changed(case: Case, run: Run) -> Change | None:
    """Return what a source does to weights in the step of now; None where nothing is done."""
    recipe = mf.Recipe.parse(case.recipe)
    if case.source == NONE:
        return None
    if case.source == ROUNDED:
        return rounded(recipe)
    source = SOURCES[case.source]

    def noisy(w: torch.Tensor, place: int) -> torch.Tensor:
        step = 0 if case.source == FROZEN else run.model.products.step
        draw = np.random.default_rng((case.seed, step, place))
        values = w.contiguous().numpy()
        return torch.from_numpy(values + source(values, recipe, draw))

    return noisy


def rounded(recipe: mf.Recipe) -> Change:
    """Return the change that rounds to nearest."""

    def change(w: torch.Tensor, place: int) -> torch.Tensor:
        return torch.from_numpy(mf.quantize(w.contiguous().numpy(), recipe).dequantize())

    return change


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Yield the records so far, whole seeds in turn.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call, which are not measured again.
    quick : bool
        Whether to run each source for four steps, with one recipe and one seed.
    progress : callable, optional

    Yields
    ------
    list of dict
        With the columns seed, recipe, source, training (mean loss of the last twentieth of the
        steps), own, plain, rounded (losses of validation), all in bits for each byte and None where
        the run diverged, and ratio.

    Raises
    ------
    MissingPackage
        If the package of a text is not installed.
    """
    sources = (NONE, ROUNDED, *SOURCES)
    wanted = [Case(0, RECIPES[0], source) for source in sources] if quick else cases()
    setup = (
        Setup(MODEL, items=4 * 512, batch=4) if quick else Setup(MODEL, items=ITEMS, batch=BATCH)
    )
    yield from grown(
        known,
        wanted,
        lambda row: Case(row["seed"], row["recipe"], row["source"]),
        lambda case: measured(case, setup),
        progress,
    )


def cases() -> list[Case]:
    """Return all runs; one without noise has records for all recipes, and its case is the first."""
    return [
        Case(seed, recipe, source)
        for seed in range(SEEDS)
        for source in (NONE, ROUNDED, *SOURCES)
        for recipe in (RECIPES[:1] if source == NONE else RECIPES)
    ]


def measured(case: Case, setup: Setup) -> Rows:
    """Train a run, and return its records: one, or without noise one for each recipe."""
    run = Run(Setup(MODEL, seed=case.seed, items=setup.items, batch=setup.batch), setup.data())
    change = changed(case, run)
    change_weights(run.model, change)
    finish(run)
    run.model.set_step(run.setup.steps)  # noise of its own in validation
    losses = {"training": training_loss(run), "own": validation(run)}
    change_weights(run.model, None)
    losses["plain"] = validation(run)
    recipes = RECIPES if case.source == NONE else (case.recipe,)
    return [_record(case._replace(recipe=recipe), run, losses) for recipe in recipes]


def _record(case: Case, run: Run, losses: dict[str, float | None]) -> Row:
    recipe = mf.Recipe.parse(case.recipe)
    change_weights(run.model, rounded(recipe))
    last = validation(run)
    weights = [layer.weight.detach().numpy() for layer in layers(run.model)]
    ratio = None if run.diverged else error_ratio(weights, recipe)
    return case._asdict() | losses | {"rounded": last, "ratio": ratio}


def error_ratio(weights: list[Array], recipe: mf.Recipe) -> float:
    """Return the squared rounding error of weights over that predicted for Gaussian numbers."""
    pairs = [
        (mf.quantize(w, recipe).dequantize() - w, root_mean_squares(w, recipe)) for w in weights
    ]
    errors, squares = (
        math.fsum(float(np.square(part, dtype=np.float64).sum()) for part in side)
        for side in zip(*pairs, strict=True)
    )
    return errors / (noise_variance(recipe) * squares)


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
