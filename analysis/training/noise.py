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

from collections.abc import Iterator

import numpy as np
import torch

import minifloat as mf
from analysis.models.evaluation import Progress
from analysis.records import Row, Rows
from analysis.studies import grown
from analysis.training.noise_laws import FROZEN, SOURCES, error_ratio
from analysis.training.noise_losses import NONE, RECIPES, ROUNDED, Case
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
