"""Exponent against mantissa: every ExMy of 3 to 8 bits in the forward pass, and the law of it.

Both operands of the layers' forward products are rounded to ExMy with an exact (float32) scale for
each block; gradients pass straight through, and the backward pass is not rounded. All splits of 3
to 8 bits stand in blocks of 32, three of them in blocks of 4, 16 and 64, too. The published
counterpart is the scaling law of arXiv 2501.02423 (`analysis.published.scaling_law`), whose runs
round the backward pass, too: at one size and one number of tokens it says that a format costs

    excess = k log2(B) / ((E + 1/2)^delta (M + 1/2)^nu)

over a run without rounding, with delta = 3.1926 and nu = 2.9543, and that the best split of five
bits is E2M2.

**Criteria**

The excess is the loss of validation, in bits per byte, less that of the run without rounding with
the same seed, which has the same weights at the start and the same batches. The law is fitted to
the means over seeds by weighted least squares; a mean counts with its standard error and a tenth of
itself, in squares, since no form of three numbers is right to less. Its 95 % intervals are of
the scatter around the fit. An exponent agrees with the published one if that is within the
interval. Beside it stands a form of ours with two numbers, excess = c e^p, where e is the exact
squared error of the format on Gaussian numbers (`analysis.errors.absmax_error`). The form with
the smaller mean weighted square is said to fit better.

A split is the best of its width if its loss is below that of each other one by more than two
standard errors of the difference over seeds; splits within two standard errors of the lowest are
not told apart from it.

At 0.2 million weights and 250,000 bytes the law's dependence on size and data cannot be seen, nor
outliers of large models, which want exponents: this study speaks of nearly Gaussian operands.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.models.evaluation import Progress
from analysis.records import Rows
from analysis.training.exponent_mantissa_losses import CELLS, Cell
from analysis.training.grid import growing_runs, whole_seeds
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
        Whether to run two formats for four steps each, with one seed.
    progress : callable, optional

    Raises
    ------
    MissingPackage
        If the package of a text is not installed.
    """
    if quick:
        recipes = ["", CELLS[0].recipe, Cell.of("e2m2").recipe]
        wanted = [Setup(MODEL, recipe, items=4 * 512, batch=4) for recipe in recipes]
    else:
        wanted = setups()
    yield from growing_runs(wanted, known, progress=progress)


def setups() -> list[Setup]:
    """Return all runs of the study: a whole seed before the next one."""
    recipes = ["", *(cell.recipe for cell in CELLS)]
    return whole_seeds(recipes, MODEL, ITEMS, BATCH, SEEDS)
