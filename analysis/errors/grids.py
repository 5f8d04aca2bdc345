"""The values of a format as a grid on the line: sorted, finite, with the points between them."""

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
    """What rounding to the nearest value of a format needs to know of it.

    Attributes
    ----------
    values : ndarray of float64, shape (K,)
        The finite values, ascending; 0 and -0 are one.
    middles : ndarray of float64, shape (K - 1,)
        The decision points, half-way between neighbours.
    half, mirrored : pairs of ndarrays
        Decision points and values that apply above 0, to x and to -x. The first value takes over
        at 0.
    top : float
        What absmax scaling maps the block's greatest magnitude to, as `minifloat.quantize` does:
        the lesser of the greatest value and that of the negative side. 0 for an unsigned format.
    """

    values: NDArray[np.float64]
    middles: NDArray[np.float64]

    @property
    def half(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Decision points above 0, and the values they lie between."""
        first = int(np.searchsorted(self.middles, 0.0, side="right"))
        return self.middles[first:], self.values[first:]

    @property
    def mirrored(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same of the grid's mirror image."""
        return Grid(-self.values[::-1], -self.middles[::-1]).half

    @property
    def symmetric(self) -> bool:
        """Whether the mirror image is the grid itself."""
        return bool(np.array_equal(self.values, -self.values[::-1]))

    @property
    def top(self) -> float:
        """Greatest magnitude that both signs have."""
        return max(0.0, float(min(self.values[-1], -self.values[0])))

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
        Infinities and NaNs left out, as rounding that saturates never gives them.

    Raises
    ------
    ValueError, TypeError
        If ``fmt`` is not a format or the name of one.

    Examples
    --------
    >>> from analysis.errors.grids import grid_of
    >>> grid_of("e2m1").values.size, grid_of("int4full").top
    (15, 7.0)
    """
    return _grid(parse(fmt))
