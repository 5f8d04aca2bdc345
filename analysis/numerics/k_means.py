"""Lloyd's k-means in small formats: points that land in another cluster than in float64.

Points of four Gaussians in the plane are rounded to the format once; float64 clusters the same
rounded points from the same four first centres. Distances are computed in the format, and centres
are sums over a cluster, one point after the other, divided by its number of points.

**Theory**

A squared distance has a relative error of up to about 4 u: twice that of its differences, and one
of the square and of the sum each. A point whose two nearest centres have squared distances that
differ by less than 4 u of their sum may be misassigned, all others cannot, if the centres are
right. A centre is the sum of m numbers of about c over m, with a rounding error of up to
u (c + 2 c + ... + m c), so a relative one of up to u m / 2. To nearest, a sum stops growing once a
point is below half a gap of it, at about 1/u points.

**Criteria**

An arithmetic *clusters* if fewer than 1 % of the points are assigned otherwise, plus two standard
errors over draws. Centres are called stagnant if their largest error is above 4 u of the spread of
the points and grows with the number of points.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.evaluation import Progress, counter
from analysis.numerics.arithmetics import Array, arithmetics, record
from analysis.records import Rows

MISASSIGNED, CENTRES = "misassigned points", "error of centres"
FORMATS = ("float16", "bfloat16", "e4m3fn")
COUNTS = (64, 256, 1024)
CLUSTERS, ROUNDS, DRAWS = 4, 8, 6
MEANS = np.array([[1.0, 1.0], [3.0, 1.5], [1.5, 3.5], [3.5, 3.5]])


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure misassigned points and the error of centres against the number of points.

    Parameters
    ----------
    quick : bool
        Two draws of few points, in bfloat16.
    progress : callable, optional

    Returns
    -------
    list of dict
        See `analysis.numerics.arithmetics.record`. Quantities against the number of points:
        `MISASSIGNED`, the share of points in another cluster than in float64, with the share of
        points that rounding can move as theory; `CENTRES`, the largest difference of a coordinate,
        with the bound of its sum.
    """
    formats, counts, draws = (("bfloat16",), (64,), 2) if quick else (FORMATS, COUNTS, DRAWS)
    step = counter(progress, len(formats) * 3 * draws * len(counts))
    found: Rows = []
    for arithmetic in arithmetics(formats):
        for draw in range(draws):
            for count in counts:
                points = arithmetic.array(sample(count, draw), draw)
                values = np.asarray(points, np.float64)
                ours, centres = lloyd(points)
                theirs, exact = lloyd(values)
                share = np.mean(ours != theirs)
                movable = close(values, exact, 4 * arithmetic.unit)
                found.append(record(MISASSIGNED, arithmetic, count, draw, share, movable))
                error = np.abs(np.asarray(centres, np.float64) - exact).max()
                bound = arithmetic.unit * count / CLUSTERS / 2 * MEANS.max()
                found.append(record(CENTRES, arithmetic, count, draw, error, bound))
                step()
    return found


def sample(count: int, draw: int) -> Array:
    """Return points of four Gaussians, (count, 2); the first four are one of each."""
    rng = np.random.default_rng((draw, count))
    return MEANS[np.arange(count) % CLUSTERS] + rng.normal(0, 0.5, (count, 2))


def lloyd(points: Any) -> tuple[NDArray[np.intp], Any]:
    """Return the cluster of each point and the centres, in the arithmetic of the points.

    Parameters
    ----------
    points : array, (n, 2)
        The first `CLUSTERS` points are the first centres.

    Returns
    -------
    clusters : ndarray of integers, (n,)
    centres : array, (CLUSTERS, 2)
    """
    centres = points[:CLUSTERS].copy()
    for _ in range(ROUNDS):
        apart = points[:, None, :] - centres
        squares = apart * apart
        distances = np.asarray(squares[..., 0] + squares[..., 1], np.float64)
        clusters = distances.argmin(axis=1)
        for cluster in range(CLUSTERS):
            mine = points[clusters == cluster]
            if len(mine):
                centres[cluster] = mine.sum(axis=0) / len(mine)
    return clusters, centres


def close(points: Array, centres: Array, tolerance: float) -> float:
    """Return the share of points whose two nearest centres are as far, up to a tolerance."""
    squares = ((points[:, None, :] - centres) ** 2).sum(axis=-1)
    nearest, next_one = np.sort(squares, axis=1)[:, :2].T
    return float(np.mean(next_one - nearest < tolerance * (next_one + nearest)))
