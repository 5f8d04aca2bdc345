"""The values of a format as a grid on the line: sorted, finite, with decision points between."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import NumberFormat
from minifloat.formats.names import parse


@dataclass(frozen=True, eq=False)
class Grid:
    """The values to which weights round, and the decision points between them.

    Attributes
    ----------
    values : ndarray of float64, shape (K,)
        Finite, ascending; 0 and -0 are one.
    middles : ndarray of float64, shape (K - 1,)
        The decision points, half-way between neighbours.
    """

    values: NDArray[np.float64]
    middles: NDArray[np.float64]

    @property
    def half(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Decision points above 0, and the values that they separate."""
        first = int(np.searchsorted(self.middles, 0.0, side="right"))
        return self.middles[first:], self.values[first:]

    @property
    def mirrored(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`half` of the grid's mirror image."""
        return Grid(-self.values[::-1], -self.middles[::-1]).half

    @property
    def symmetric(self) -> bool:
        """Whether the mirror image is the grid itself."""
        return bool(np.array_equal(self.values, -self.values[::-1]))

    def nearest(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the nearest value; either one for a tie."""
        return self.values[np.searchsorted(self.middles, x)]


@lru_cache(maxsize=256)
def _grid(fmt: NumberFormat) -> Grid:
    values = fmt.values()
    values = np.unique(values[np.isfinite(values)]) + 0.0  # + 0.0: no -0
    return Grid(values, (values[:-1] + values[1:]) / 2)


def grid_of(fmt: NumberFormat | str) -> Grid:
    """Return a format's grid.

    Parameters
    ----------
    fmt : format or str

    Returns
    -------
    Grid
        Without infinities and NaNs, which saturating rounding never gives.

    Raises
    ------
    ValueError, TypeError
        If ``fmt`` is not a format or the name of one.

    Examples
    --------
    >>> from analysis.errors.grids import grid_of
    >>> grid_of("e2m1").values.size, grid_of("int4full").symmetric
    (15, False)
    """
    return _grid(parse(fmt))
