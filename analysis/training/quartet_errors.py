"""Errors and misalignment of FP4 roundings on Gaussian numbers, beside Quartet's figures.

Numbers are standard normal in blocks along the last axis, as a random rotation makes them. For a
rounding Q the *error* is the mean of (Q(x) - x)^2 over that of x^2. The *misalignment* is
1 - E[1 / S] with S = <x, x> / <x, Q(x)> of a block (Quartet, arXiv 2505.14669, where it says how
far a gradient shrinks): 0 for a rounding that is right in the mean, above 0 where numbers shrink.

**Criteria**

A figure of ours agrees with a published one if it differs by at most 5 % of it and two standard
errors. That a rounding shrinks is said if its misalignment is above two standard errors. The error
is over batches of blocks. Quartet's scale rule for absmax could not be read, so that both of OCP's
and the one without clipping (``up``) are measured; what "QuEST" rounds its scale to is ours, too.
MS-EDEN (arXiv 2601.22813) states that its error is more than two times below that of stochastic
rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.models.evaluation import Progress, counter
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from analysis.training.operands import Array, Operand, rounded

BATCHES, BLOCKS = 40, 4096  # of 32 numbers
SIZE = 32


class Case(NamedTuple):
    """A rounding, and the published error and misalignment of its kind."""

    operand: str
    error: float | None = None
    misalignment: float | None = None


CASES = (
    Case("stochastic(e2m1/32/e8m0:up)", 2.77e-2, 0.0),
    Case("e2m1/32/e8m0:up", 1.37e-2, 9.3e-3),
    Case("e2m1/32/e8m0:floor", 1.37e-2, 9.3e-3),
    Case("quest(e2m1/32/e8m0)", 1.32e-2, 1.3e-2),
    Case("e2m1/32/e8m0:floor/mse", 1.32e-2, 1.3e-2),
    Case("stochastic(e2m1/32/e8m0:floor,0.75)"),
    Case("e2m1/16/e4m3fn/tensor-scale"),
    Case("e2m1/16/ue5m3"),
    Case("stochastic(e2m1/16/e4m3fn/tensor-scale)"),
    Case("stochastic(e2m1/16/e4m3fn/tensor-scale,0.94)"),  # below 16/17: nothing is clipped
    Case("eden(e2m1/16/e4m3fn/tensor-scale256)"),
    Case("e1m2/32/e8m0:up"),
    Case("e1m2/16/e4m3fn/tensor-scale"),
    Case("e1m2/16/ue5m3"),
)


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each rounding and quantity.

    Parameters
    ----------
    quick : bool
        Whether to draw a twentieth of the blocks.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns operand, quantity ("error" or "misalignment"), ours, standard_error, and
        published (None where there is no figure).

    Examples
    --------
    >>> rows = records(quick=True)
    >>> [row["quantity"] for row in rows[:2]], rows[0]["published"]
    (['error', 'misalignment'], 0.0277)
    """
    batches = BATCHES // 20 if quick else BATCHES
    step = counter(progress, len(CASES))
    rows: Rows = []
    for case in CASES:
        operand = Operand.parse(case.operand)
        draws = [_measured(operand, batch) for batch in range(batches)]
        errors, shrinks = (Estimate.of(values) for values in zip(*draws, strict=True))
        rows += [
            _row(case.operand, "error", errors, case.error),
            _row(case.operand, "misalignment", shrinks, case.misalignment),
        ]
        step()
    return rows


def _measured(operand: Operand, batch: int) -> tuple[float, float]:
    """Return the error and the misalignment of a batch."""
    draw = np.random.default_rng((2026, batch))
    x = draw.standard_normal((BLOCKS // 32, 32 * SIZE), np.float32)
    q = rounded(x, operand, batch).values / np.float32(operand.factor)
    error = float(np.square(q - x, dtype=np.float64).sum() / np.square(x, dtype=np.float64).sum())
    return error, float(1 - aligned(x, q).mean())


def aligned(x: Array, q: Array) -> NDArray[np.float64]:
    """Return 1 / S = <x, q> / <x, x> of each 32 numbers.

    Examples
    --------
    >>> x = np.ones((1, 64), np.float32)
    >>> aligned(x, x * np.float32(0.5)).tolist()
    [0.5, 0.5]
    """
    exact, rough = (values.astype(np.float64).reshape(-1, SIZE) for values in (x, q))
    return np.asarray((exact * rough).sum(1) / (exact * exact).sum(1))


def _row(operand: str, quantity: str, ours: Estimate, published: float | None) -> Row:
    return {
        "operand": operand,
        "quantity": quantity,
        "ours": ours.mean,
        "standard_error": ours.standard_error,
        "published": published,
    }


def agrees(ours: Estimate, published: float) -> bool:
    """Return whether a figure of ours agrees with a published one, see the criteria.

    Examples
    --------
    >>> agrees(Estimate(1.04, 0.0), 1.0), agrees(Estimate(1.06, 0.001), 1.0)
    (True, False)
    """
    return abs(ours.mean - published) <= 0.05 * published + 2 * ours.standard_error
