"""The law of a random weight, as error sums need it: its partial moments.

Quantization sends each weight of a cell to one value, the cell's target. The expected squared error
of a cell is ``integral of (t - target)**2 dF(t)``, which follows from the moments
``integral of t**k dF(t)`` over the cell for k = 0, 1, 2. A law has them beyond a point; those of a
cell are differences.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]  # float64, or long double from `Empirical`


class Moments(NamedTuple):
    """``integral of t**k dF(t)`` for k = 0, 1, 2 over the same set."""

    zeroth: Array
    first: Array
    second: Array


class Law:
    """The law of a random weight whose mean square is 1.

    A density in closed form (`analysis.errors.distributions`), or the weights of a tensor
    (`analysis.errors.empirical`).
    """

    #: No magnitude is larger.
    end: float = math.inf
    #: Whether X and -X have the same law.
    symmetric: bool

    @property
    def name(self) -> str:
        """A name for tables and messages."""
        raise NotImplementedError

    def upper_moments(self, x: ArrayLike, sign: int = 1) -> Moments:
        """Return the moments beyond ``x >= 0`` of X, or of -X with ``sign`` -1."""
        raise NotImplementedError

    def magnitude_beyond(self, p: ArrayLike) -> Array:
        """Return the magnitude m with ``P(|X| > m) = p``."""
        raise NotImplementedError

    def squared_errors(self, sign: int, low: Array, high: Array, targets: Array) -> Array:
        """Return ``integral from low to high of (t - target)**2 dF(t)``, cell by cell.

        Parameters
        ----------
        sign : int
            1 for cells of X, -1 for cells of -X.
        low, high : ndarray of float64
            Ends of the cells, at least 0; a cell may be empty.
        targets : ndarray of float64
            The value to which each cell rounds.

        Returns
        -------
        ndarray of float64, in the shape of ``low``
        """
        above, beyond = self.upper_moments(low, sign), self.upper_moments(high, sign)
        zeroth, first, second = (a - b for a, b in zip(above, beyond, strict=True))
        return np.asarray(second - 2 * targets * first + targets * targets * zeroth, np.float64)
