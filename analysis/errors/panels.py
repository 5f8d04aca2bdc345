"""Sums over thousands of like panels, from a few of them.

A scale in float16 steps a thousand times to the octave. Over steps of one width the integral of a
panel is a smooth function of its index, so a polynomial through a few panels gives the sum over
all. `sampled_panels` says which to integrate and how often each counts.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = 10  # panels of a run that are integrated; the polynomial has degree 9
SAME_WIDTH = 1e-6  # relative; neighbours that differ by less are of one width
Array = NDArray[Any]


def sampled_panels(
    ends: Array, groups: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the panels to integrate and the weight of each.

    Parameters
    ----------
    ends : ndarray of float64, shape (N + 1,)
        The ends of the panels in a variable in which runs of them are evenly spaced.
    groups : ndarray of int, shape (N,)
        Panels of different groups are never represented by each other.

    Returns
    -------
    indices : ndarray of int
    weights : ndarray of float64
        1 for a panel that stands for itself.

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
        some, weight = _samples(int(stop - start))
        indices.append(start + some)
        weights.append(weight)
    return np.concatenate(indices), np.concatenate(weights)


@lru_cache(maxsize=4096)
def _samples(count: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return indices of a run near Chebyshev's points, and the weights of their interpolation."""
    if count <= 2 * SAMPLES:
        return np.arange(count), np.ones(count)
    chebyshev = (1 - np.cos(np.pi * (np.arange(SAMPLES) + 0.5) / SAMPLES)) / 2
    some = np.round(chebyshev * (count - 1)).astype(np.intp)
    line = np.linspace(-1, 1, count)
    basis = np.polynomial.legendre.legvander(line, SAMPLES - 1)
    return some, np.linalg.solve(basis[some].T, basis.sum(axis=0))
