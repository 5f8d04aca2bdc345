"""The arithmetics in which numerical methods are compared.

The methods are plain NumPy code. Given float64 arrays they compute in float64; given arrays of
`Arithmetic.array` they round every operation to its format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.numerics import draws
from analysis.records import Row
from minifloat import arithmetic as small
from minifloat.formats import Format
from minifloat.formats.names import parse
from minifloat.formats.rounding import Rounding

Array = NDArray[np.float64]

NEAREST, STOCHASTIC, TOWARD_ZERO = "nearest_even", "stochastic", "toward_zero"
ROUNDINGS = (NEAREST, STOCHASTIC, TOWARD_ZERO)


@dataclass(frozen=True)
class Arithmetic:
    """A format, and the rounding of every operation to it.

    Attributes
    ----------
    fmt : str
        An ExMy.
    rounding : str
        A `minifloat.Rounding`.
    """

    fmt: str
    rounding: str = NEAREST

    @property
    def unit(self) -> float:
        """The unit roundoff u: the largest relative error of one operation, without underflow.

        Half the gap above 1 to nearest, the whole gap in the other modes.

        Examples
        --------
        >>> Arithmetic("bfloat16").unit, Arithmetic("bfloat16", "toward_zero").unit
        (0.00390625, 0.0078125)
        """
        gap = 2.0**-self.mantissa_bits
        return gap / 2 if self.rounding == NEAREST else gap

    @property
    def mantissa_bits(self) -> int:
        """Bits of the mantissa, without the leading 1."""
        return self._format.mantissa_bits

    @property
    def largest(self) -> float:
        """The largest number of the format."""
        return self._format.max

    @property
    def smallest_normal(self) -> float:
        """The smallest normal number of the format."""
        return 2.0**self._format.emin

    @property
    def _format(self) -> Format:
        found = parse(self.fmt)
        if not isinstance(found, Format):
            raise ValueError(f"fmt must be an ExMy, got {self.fmt}")
        return found

    def array(self, x: ArrayLike, seed: int = 0) -> Any:
        """Return numbers rounded to the format, as an array that computes in it."""
        rounding = Rounding(self.rounding)
        return small.array(
            x, self.fmt, rounding=rounding, seed=seed if rounding.is_stochastic else None
        )


def arithmetics(formats: Iterable[str]) -> Iterator[Arithmetic]:
    """Yield each format in each of `ROUNDINGS`."""
    for fmt in formats:
        for rounding in ROUNDINGS:
            yield Arithmetic(fmt, rounding)


def draws_of(arithmetic: Arithmetic, count: int) -> range:
    """Return the draws of a method without random data: one, but for stochastic rounding."""
    return range(count if arithmetic.rounding == STOCHASTIC else 1)


def record(
    quantity: str,
    arithmetic: Arithmetic,
    at: float,
    draw: int,
    measured: float | None,
    theory: float | None,
) -> Row:
    """Return a record of a numerical method: `analysis.numerics.draws.record` of an arithmetic."""
    labels = {"format": arithmetic.fmt, "rounding": arithmetic.rounding}
    return draws.record(quantity, labels, float(at), draw, measured, theory)
