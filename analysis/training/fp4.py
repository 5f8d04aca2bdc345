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

A recipe of the grid is said to be the best if its excess over float32's loss with the same seeds is
lower than that of each other one by more than two standard errors of their difference over seeds;
those that are not behind by so much are not told apart from the lowest.

A model of 0.2 million weights that reads 250,000 bytes, in 244 steps, says whether a rounding
disturbs the first phase of learning. It cannot say what happens after billions of tokens, where the
published instabilities are.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.models.evaluation import Progress
from analysis.records import Rows
from analysis.training.fp4_losses import GRID, OTHERS, recipes
from analysis.training.grid import growing_runs, whole_seeds
from analysis.training.recipe import TRAINING_RECIPES
from analysis.training.run import Setup

MODEL, ITEMS, BATCH, SEEDS = "0.2M", 250_000, 8, 5


def growing(
    known: Rows, *, quick: bool = False, progress: Progress | None = None
) -> Iterator[Rows]:
    """Yield the records so far, see `analysis.training.grid.growing_runs`: whole seeds in turn.

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
        some = [GRID[0].recipe, GRID[-1].recipe, *(TRAINING_RECIPES[name] for name in OTHERS[:2])]
        wanted = [Setup(MODEL, recipe, items=4 * 512, batch=4) for recipe in some]
    else:
        wanted = setups()
    yield from growing_runs(wanted, known, progress=progress)


def setups() -> list[Setup]:
    """Return all runs of the study: a whole seed before the next one."""
    return whole_seeds(recipes(), MODEL, ITEMS, BATCH, SEEDS)
