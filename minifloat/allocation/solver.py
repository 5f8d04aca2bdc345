"""One recipe a tensor, within several budgets: an integer program, by SciPy's HiGHS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
INFEASIBLE = 2  # of `scipy.optimize.milp`


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
    solved again, until the sums are kept exactly.
    """
    optimize, sparse = _scipy()
    n, k = losses.shape
    one_each = sparse.kron(sparse.eye(n), np.ones((1, k)))
    bounds = [optimize.LinearConstraint(one_each, 1, 1)]
    for table, limit in zip(costs, limits, strict=True):
        unit = max(abs(limit), float(table.max(initial=0))) or 1.0
        bounds.append(optimize.LinearConstraint(table.reshape(1, -1) / unit, -np.inf, limit / unit))
    objective = losses.reshape(-1) / (losses.max(axis=1).sum() or 1.0)
    while True:
        found = optimize.milp(
            objective,
            integrality=np.ones(n * k),
            bounds=optimize.Bounds(0, 1),
            constraints=bounds,
            options={"mip_rel_gap": 0},
        )
        if found.status == INFEASIBLE:
            return None
        if found.x is None:
            raise RuntimeError(f"HiGHS found no allocation: {found.message}")
        picks = found.x.reshape(n, k).argmax(axis=1)
        rows = np.arange(n)
        if all(
            table[rows, picks].sum() <= limit for table, limit in zip(costs, limits, strict=True)
        ):
            return [int(pick) for pick in picks]
        this = np.zeros((n, k))
        this[rows, picks] = 1
        bounds.append(optimize.LinearConstraint(this.reshape(1, -1), -np.inf, n - 1))


def _scipy() -> tuple[Any, Any]:
    try:
        from scipy import optimize, sparse
    except ImportError as error:
        raise ModuleNotFoundError(
            'allocation needs SciPy; pip install "minifloat[analysis]" brings it', name="scipy"
        ) from error
    return optimize, sparse
