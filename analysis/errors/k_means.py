"""How far k-means stays from the best codebook, which `minifloat.fit_codebook` finds."""

from __future__ import annotations

import numpy as np

from analysis.errors.laws import Array
from minifloat.quantization.fitting import best_levels

MOST_STEPS = 300  # scikit-learn's


def k_means(values: Array, count: int, starts: int, rng: np.random.Generator) -> Array:
    """Return the best levels of several runs of Lloyd's iteration, each from k-means++ levels.

    Parameters
    ----------
    values : ndarray of float64, (n,)
        Ascending.
    count : int
    starts : int
        Runs.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, (count,)
        Ascending.

    References
    ----------
    D. Arthur and S. Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.errors.k_means import k_means
    >>> k_means(np.array([0.0, 1.0, 8.0, 9.0]), 2, 5, np.random.default_rng(1))
    array([0.5, 8.5])
    """
    runs = [_lloyd(values, _seeds(values, count, rng)) for _ in range(starts)]
    return min(runs, key=lambda levels: squared_error(values, levels))


def squared_error(values: Array, levels: Array) -> float:
    """Return the squared error of values that become the nearest level.

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.errors.k_means import squared_error
    >>> squared_error(np.array([0.0, 1.0, 9.0]), np.array([0.5, 9.0]))
    0.5
    """
    return float(((values - levels[_nearest(values, levels)]) ** 2).sum())


def excess(rows: Array, count: int, starts: int, seed: int = 0) -> Array:
    """Return the error of k-means over the least possible one, minus 1, for each row of data.

    Parameters
    ----------
    rows : ndarray of float64, (rows, n)
    count : int
        Levels.
    starts : int
        Runs of k-means, the best of which counts.
    seed : int

    Returns
    -------
    ndarray of float64, (rows,)

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.errors.k_means import excess
    >>> rows = np.random.default_rng(0).standard_normal((10, 300))
    >>> bool((excess(rows, 16, 1) > 0.01).all())
    True
    """
    rng, ascending = np.random.default_rng(seed), np.sort(rows, axis=1)
    best = best_levels(ascending, None, count)
    return np.array(
        [
            squared_error(row, k_means(row, count, starts, rng)) / squared_error(row, levels) - 1
            for row, levels in zip(ascending, best, strict=True)
        ]
    )


def _nearest(values: Array, levels: Array) -> Array:
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values)


def _seeds(values: Array, count: int, rng: np.random.Generator) -> Array:
    """Return data as levels, each drawn by its squared distance to those drawn before."""
    drawn = [rng.choice(values)]
    distances = (values - drawn[0]) ** 2
    while len(drawn) < count:
        drawn.append(rng.choice(values, p=distances / distances.sum()))
        distances = np.minimum(distances, (values - drawn[-1]) ** 2)
    return np.sort(drawn)


def _lloyd(values: Array, levels: Array) -> Array:
    sums = np.append(0.0, np.cumsum(values))
    for _ in range(MOST_STEPS):
        cuts = np.searchsorted(values, (levels[1:] + levels[:-1]) / 2)
        ends = np.concatenate([[0], cuts, [values.size]])
        size = np.diff(ends)
        moved = np.where(size > 0, np.diff(sums[ends]) / np.maximum(size, 1), levels)
        if np.array_equal(moved, levels):
            break
        levels = moved
    return levels
