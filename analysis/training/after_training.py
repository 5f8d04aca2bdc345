"""Quantization-aware training beside GPTQ on the model that was trained without it.

The weights of the layers in E2M2, and in four and three bits beside it, in blocks of 32 with an
exact scale. Of each seed there is a run that rounds nothing, and one for each format that rounds
the weights in every forward product (``aware``; gradients pass straight through), with the same
weights at the start and the same batches. The first is also rounded after training, to
nearest (``nearest``) and by `minifloat.gptq` with the Hessians of its inputs on 64 windows of
training text that it has not been trained on in this order (``gptq``).

Published counterparts: Gemma 3's quantization-aware checkpoints, whose authors state that the loss
of perplexity in four bits is 54 % smaller than that of the same model rounded afterwards, and
GPTQ (arXiv 2210.17323).

**Criteria**

The loss is that of validation, in bits per byte. Quantization-aware training beats GPTQ, or loses
to it, in a format if the difference of their losses with the same seed is beyond two standard
errors over seeds. Its size is given in standard deviations between seeds of the run that rounds
nothing: below 1 another seed moves the loss by more. ``recovered`` is the part of what rounding to
nearest costs that a method takes back, given where that cost is beyond two standard errors.

A model of 0.2 million weights that reads half a million bytes is far from trained to its end, where
rounding may cost more: what is not told apart here may be in models that were trained longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import minifloat as mf
from analysis.models.evaluation import Progress
from analysis.records import Row, Rows
from analysis.studies import grown
from analysis.training.after_training_losses import AWARE, GPTQ, NEAREST, PLAIN, RECIPES
from analysis.training.run import Run, Setup
from analysis.training.through import change_weights, finish, layers, validation

MODEL, ITEMS, BATCH, SEEDS = "0.2M", 500_000, 8, 8
CALIBRATION = 64  # windows

Weights = NDArray[np.float32]


class Case(NamedTuple):
    """A run; without a recipe it rounds nothing."""

    seed: int
    recipe: str


def cases() -> list[Case]:
    """Return all runs: a whole seed before the next one."""
    return [Case(seed, recipe) for seed in range(SEEDS) for recipe in (PLAIN, *RECIPES)]


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Yield the records so far, whole seeds in turn.

    Parameters
    ----------
    known : list of dict
        Records of an earlier call, which are not measured again.
    quick : bool
        Whether to run two of the runs for four steps, with one seed.
    progress : callable, optional

    Yields
    ------
    list of dict
        With the columns seed, trained (the recipe of training, or "plain"), recipe (of the weights
        that are validated, or "plain"), method, and validation (bits for each byte; None where the
        run diverged).

    Raises
    ------
    MissingPackage
        If the package of a text is not installed.
    """
    wanted, setup = cases(), Setup(MODEL, items=ITEMS, batch=BATCH)
    if quick:
        wanted, setup = wanted[:2], Setup(MODEL, items=4 * 512, batch=4)
    yield from grown(
        known,
        wanted,
        lambda row: Case(row["seed"], row["trained"]),
        lambda case: measured(case, setup),
        progress,
    )


def measured(case: Case, setup: Setup) -> Rows:
    """Train a run; return its record, or, if it rounds nothing, those of all that is done to it."""
    recipe = "" if case.recipe == PLAIN else f"weights={case.recipe}"
    run = Run(
        Setup(setup.model, recipe, case.seed, setup.items, setup.batch, setup.rate), setup.data()
    )
    finish(run)
    if case.recipe != PLAIN:
        return [_record(case, case.recipe, AWARE, run)]
    found = [_record(case, PLAIN, PLAIN, run)]
    given = [] if run.diverged else hessians(run)
    for rounding in RECIPES:
        change_weights(run.model, None if run.diverged else _replaced(run, nearest(run, rounding)))
        found.append(_record(case, rounding, NEAREST, run))
        if not run.diverged:
            change_weights(run.model, _replaced(run, by_gptq(run, rounding, given)))
        found.append(_record(case, rounding, GPTQ, run))
    return found


def _record(case: Case, recipe: str, method: str, run: Run) -> Row:
    return {
        "seed": case.seed, "trained": case.recipe, "recipe": recipe, "method": method,
        "validation": validation(run),
    }  # fmt: skip


def nearest(run: Run, recipe: str) -> list[Weights]:
    """Return the weights of the layers, rounded to nearest."""
    return [mf.quantize(w, recipe).dequantize() for w in _weights(run)]


def by_gptq(run: Run, recipe: str, given: list[NDArray[np.float64]]) -> list[Weights]:
    """Return the weights of the layers, rounded by GPTQ with a Hessian for each layer."""
    pairs = zip(_weights(run), given, strict=True)
    return [mf.gptq(w, recipe, hessian).dequantize() for w, hessian in pairs]


def hessians(run: Run) -> list[NDArray[np.float64]]:
    """Return X^T X of the inputs of each layer, on the batch behind the last step."""
    watching = [_Watched(layer.weight.shape[1]) for layer in layers(run.model)]
    for layer, watched in zip(layers(run.model), watching, strict=True):
        layer.products = watched  # type: ignore[assignment]  # called like the layer's own
    inputs, _ = run.data.batch(run.setup.seed, run.setup.steps, CALIBRATION)
    with torch.no_grad():
        run.model(inputs)
    change_weights(run.model, None)
    return [watched.hessian for watched in watching]


class _Watched:
    """A product that adds up its inputs' Hessian."""

    def __init__(self, inputs: int) -> None:
        self.hessian = np.zeros((inputs, inputs))

    def __call__(self, x: torch.Tensor, w: torch.Tensor, place: int) -> torch.Tensor:
        rows = x.detach().double()
        self.hessian += (rows.mT @ rows).numpy()
        return torch.matmul(x, w.mT)


def _weights(run: Run) -> list[Weights]:
    return [layer.weight.detach().numpy() for layer in layers(run.model)]


def _replaced(run: Run, weights: list[Weights]) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Return the change that gives each place its weights."""
    places = [layer.place for layer in layers(run.model)]
    found = dict(zip(places, map(torch.from_numpy, weights), strict=True))
    return lambda w, place: found[place]
