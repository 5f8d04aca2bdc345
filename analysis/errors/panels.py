"""Sums over thousands of similar panels, from a few of them.

A scale in float16 has a thousand steps per octave. Over steps of one width the integral of a panel
is a smooth function of its index, so a polynomial through a few panels gives the sum over all.
`sampled_panels` chooses the panels to integrate and their weights.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = 10  # panels of a run that are integrated; the polynomial has degree 9
SAME_WIDTH = 1e-6  # relative; neighbours that differ by less have one width
Array = NDArray[Any]


def sampled_panels(
    ends: Array, groups: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the panels to integrate and the weight of each.

    Parameters
    ----------
    ends : ndarray of float64, shape (N + 1,)
        The ends of the panels, in a variable in which runs of panels are evenly spaced.
    groups : ndarray of int, shape (N,)
        A panel never represents one of another group.

    Returns
    -------
    indices : ndarray of int
    weights : ndarray of float64
        1 for a panel that represents only itself.

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.errors.panels import sampled_panels
    >>> indices, weights = sampled_panels(np.arange(101.0), np.zeros(100, int))
    >>> indices.size, float((weights * indices**3).sum().round(3)) == sum(i**3 for i in range(100))
    (10, True)
    """
    width = np.diff(ends)
    starts = np.abs(np.diff(width)) > SAME_WIDTH * width[1:]
    starts |= np.diff(groups) != 0
    first = np.concatenate([[0], np.flatnonzero(starts) + 1, [width.size]])
    indices, weights = [], []
    for start, stop in pairwise(first):
        chosen, weight = _samples(int(stop - start))
        indices.append(start + chosen)
        weights.append(weight)
    return np.concatenate(indices), np.concatenate(weights)


@lru_cache(maxsize=4096)
def _samples(count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return indices of a run near Chebyshev's points, and the weights of their interpolation."""
    if count <= 2 * SAMPLES:
        return np.arange(count), np.ones(count)
    chebyshev = (1 - np.cos(np.pi * (np.arange(SAMPLES) + 0.5) / SAMPLES)) / 2
    chosen = np.round(chebyshev * (count - 1)).astype(np.intp)
    line = np.linspace(-1, 1, count)
    basis = np.polynomial.legendre.legvander(line, SAMPLES - 1)
    return chosen, np.linalg.solve(basis[chosen].T, basis.sum(axis=0))
