"""One recipe a tensor, within several budgets: an integer program, by SciPy's HiGHS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
INFEASIBLE = 2  # of `scipy.optimize.milp`
CLOSE = 0.99  # a loss of so many units, or more, is found to a part in 10^6


def least_loss(
    losses: Floats, costs: Sequence[Floats], limits: Sequence[float]
) -> list[int] | None:
    """Return the recipe of each tensor: the least sum of losses within the limits.

    Parameters
    ----------
    losses : ndarray of float64, (n, k)
        Of n tensors by k recipes.
    costs : sequence of ndarray of float64, (n, k)
    limits : sequence of float
        Of the sum of each cost.

    Returns
    -------
    list of int or None
        None if no choice keeps the limits.

    Raises
    ------
    ModuleNotFoundError
        Without SciPy.

    Notes
    -----
    HiGHS lets a sum exceed its limit by a part in 10^6. Such a choice is forbidden, and the program
    solved again, until the sums are kept exactly. It also takes a loss for the least that is above
    that by 10^-6 of the unit of the losses. So the program is solved again in the unit of the loss
    that was found, without the recipes that lose more alone, until that is the loss itself.
    """
    optimize, sparse = _scipy()
    n, k = losses.shape
    rows = np.arange(n)
    one_each = sparse.kron(sparse.eye(n), np.ones((1, k)))
    bounds = [optimize.LinearConstraint(one_each, 1, 1)]
    for table, limit in zip(costs, limits, strict=True):
        unit = max(abs(limit), float(table.max(initial=0))) or 1.0
        bounds.append(optimize.LinearConstraint(table.reshape(1, -1) / unit, -np.inf, limit / unit))
    best: list[int] | None = None
    least = float(losses.max(initial=0))
    while True:
        allowed = losses <= least
        found = optimize.milp(
            np.where(allowed, losses / (least or 1.0), 0).reshape(-1),
            integrality=np.ones(n * k),
            bounds=optimize.Bounds(0, allowed.reshape(-1).astype(float)),
            constraints=bounds,
            options={"mip_rel_gap": 0},
        )
        if found.status == INFEASIBLE:
            return best
        if found.x is None:
            raise RuntimeError(f"HiGHS found no allocation: {found.message}")
        picks = found.x.reshape(n, k).argmax(axis=1)
        if any(
            table[rows, picks].sum() > limit for table, limit in zip(costs, limits, strict=True)
        ):
            this = np.zeros((n, k))
            this[rows, picks] = 1
            bounds.append(optimize.LinearConstraint(this.reshape(1, -1), -np.inf, n - 1))
            continue
        loss = float(losses[rows, picks].sum())
        if best is None or loss < float(losses[rows, best].sum()):
            best = [int(pick) for pick in picks]
        if loss >= CLOSE * least:
            return best
        least = loss


def _scipy() -> tuple[Any, Any]:
    try:
        from scipy import optimize, sparse
    except ImportError as error:
        raise ModuleNotFoundError(
            'allocation needs SciPy; pip install "minifloat[analysis]" brings it', name="scipy"
        ) from error
    return optimize, sparse
