"""All allocations that no other beats in loss and cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 1 << 16  # sums that are kept of some of the tensors

Floats = NDArray[np.float64]


def front(losses: Floats, costs: Floats) -> list[list[int]]:
    """Return the choices, one recipe a tensor, that no other choice beats, by increasing cost.

    Parameters
    ----------
    losses, costs : ndarray of float64, (n, k)
        Of n tensors by k recipes.

    Returns
    -------
    list of list of int
        Of choices with equal sums the first.

    Raises
    ------
    ValueError
        If more than `MAX_POINTS` sums of some of the tensors have to be kept.

    Notes
    -----
    A part of an unbeaten choice is unbeaten among the choices of that part, so the tensors are
    added one by one and the beaten sums dropped (Nemhauser and Ullmann's method for knapsacks).
    """
    loss, cost = np.zeros(1), np.zeros(1)
    steps = []  # for each tensor, from which point and by which recipe each point came
    for each_loss, each_cost in zip(losses, costs, strict=True):
        loss = np.add.outer(loss, each_loss).reshape(-1)
        cost = np.add.outer(cost, each_cost).reshape(-1)
        order = np.lexsort((loss, cost))
        least = np.minimum.accumulate(loss[order])
        kept = order[np.concatenate(([True], loss[order][1:] < least[:-1]))]
        if kept.size > MAX_POINTS:
            raise ValueError(
                f"tensors must have at most {MAX_POINTS} sums of costs and losses that no other "
                f"beats, got {kept.size}; take fewer recipes, or allocate for some budgets"
            )
        loss, cost = loss[kept], cost[kept]
        steps.append(np.divmod(kept, len(each_loss)))
    picks = np.empty((loss.size, len(steps)), np.intp)
    points = np.arange(loss.size)
    for tensor, (sources, recipes) in reversed(list(enumerate(steps))):
        picks[:, tensor] = recipes[points]
        points = sources[points]
    return [[int(pick) for pick in row] for row in picks]
