"""Whether two measures rank designs alike: Kendall's tau, with an interval.

Pairs of designs are ordered by either measure; tau is the share of pairs in the same order less
that in the other. Between widths everything that counts cells agrees, so the pairs within a width
are the telling ones. The interval is the middle 95 % of tau when the designs are drawn again, with
replacement: it says how much hangs on which designs were taken, and not on how each was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
SEED = 18


@dataclass(frozen=True)
class Agreement:
    """How alike two measures rank designs.

    Attributes
    ----------
    tau : float
        1 for the same order, -1 for the opposite.
    low, high : float
        Ends of the interval of 95 %.
    same, pairs : int
        Pairs in the same order, and all pairs.
    """

    tau: float
    low: float
    high: float
    same: int
    pairs: int


def agreement(
    one: Sequence[float], other: Sequence[float], group: Sequence[object] | None = None
) -> Agreement:
    """Return how alike two measures rank designs.

    Parameters
    ----------
    one, other : sequence of float
        A number for each design.
    group : sequence, optional
        Of each design; only pairs within a group count. By default all pairs do.

    Returns
    -------
    Agreement

    Raises
    ------
    ValueError
        If the numbers of designs differ, or there is no pair.

    Examples
    --------
    >>> from analysis.hardware.rankings import agreement
    >>> found = agreement([1, 2, 3, 4], [10, 30, 20, 40])
    >>> found.same, found.pairs, round(found.tau, 2)
    (5, 6, 0.67)
    """
    x, y = np.asarray(one, np.float64), np.asarray(other, np.float64)
    names = list(group) if group is not None else [None] * x.size
    if not x.size == y.size == len(names):
        raise ValueError(f"designs must be as many, got {x.size}, {y.size} and {len(names)}")
    signs: NDArray[Any] = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
    counts = np.array([[a == b for b in names] for a in names]).reshape(x.size, x.size)
    np.fill_diagonal(counts, False)
    if not counts.any():
        raise ValueError("designs must make a pair, got none")
    drawn = np.random.default_rng(SEED).multinomial(x.size, [1 / x.size] * x.size, size=DRAWS)
    pairs = np.einsum("di,ij,dj->d", drawn, counts, drawn, optimize=True)
    taus = np.einsum("di,ij,dj->d", drawn, counts * signs, drawn, optimize=True)[pairs > 0]
    low, high = np.percentile(taus / pairs[pairs > 0], [2.5, 97.5])
    return Agreement(
        float(signs[counts].mean()),
        float(low),
        float(high),
        int((signs[counts] > 0).sum()) // 2,
        int(counts.sum()) // 2,
    )
