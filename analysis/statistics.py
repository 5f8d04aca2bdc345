"""Means of independent draws with their standard errors, and lines through points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error."""

    mean: float
    standard_error: float

    @classmethod
    def of(cls, draws: ArrayLike) -> Estimate:
        """Return the mean of independent draws and its standard error.

        Parameters
        ----------
        draws : array_like of float, (draws,)
            At least one.

        Returns
        -------
        Estimate
            The standard error is the standard deviation over the root of the number of draws; 0 for
            a single draw, which says nothing of its error.

        Examples
        --------
        >>> Estimate.of([1.0, 3.0])
        Estimate(mean=2.0, standard_error=1.0)
        """
        x = np.asarray(draws, np.float64)
        spread = float(x.std(ddof=1) / math.sqrt(x.size)) if x.size > 1 else 0.0
        return cls(float(x.mean()), spread)


def fitted(x: NDArray[Any], y: NDArray[Any]) -> tuple[float, float]:
    """Return the slope of the line of least squares through points, and its standard error.

    Parameters
    ----------
    x, y : ndarray of float64, (points,)
        At least three points.

    Returns
    -------
    slope, error : float
        The error is that of the scatter around the line.

    Examples
    --------
    >>> fitted(np.arange(3.0), np.array([0.0, 2.0, 4.0]))
    (2.0, 0.0)
    """
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    return slope, math.sqrt(float(rest @ rest) / (len(x) - 2) / float(x @ x))
