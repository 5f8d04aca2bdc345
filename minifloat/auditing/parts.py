"""The part of large weights by which mistakes are told: the rows that are furthest off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.quantization.quantized import Quantized

Array = NDArray[Any]

LARGEST = 1 << 19  # weights of a part
MULTIPLE = 128  # rows: orders of codes, and tiles, begin anew at such a row


@dataclass(frozen=True)
class Part:
    """Some neighbouring rows of a matrix, or of one matrix of several; or all weights.

    Attributes
    ----------
    index : tuple of int
        Of the matrix.
    rows : slice
    """

    index: tuple[int, ...] = ()
    rows: slice | None = None

    def of(self, weights: Array) -> Array:
        """Return the part of an array; a view."""
        return weights if self.rows is None else weights[self.index][self.rows]

    def matrix(self, q: Quantized) -> Quantized:
        """Return the matrix of quantized weights that the rows are of."""
        for place in self.index:
            q = q[place]
        return q

    def rows_of(self, q: Quantized) -> Quantized:
        """Return the part of such a matrix."""
        return q if self.rows is None else q[self.rows]


ALL = Part()


def worst_part(w: Array, held: Array) -> Part:
    """Return the rows with the largest squared error or a NaN, `LARGEST` weights or a few more.

    Small weights, and those of one dimension, are one part.
    """
    if w.size <= LARGEST or w.ndim < 2:
        return ALL
    index: tuple[int, ...] = ()
    while w.ndim > 2:
        errors = [_squares(w[k], held[k]) for k in range(len(w))]
        worst = int(np.argmax(errors))
        index, w, held = (*index, worst), w[worst], held[worst]
    count = max(1, LARGEST // (MULTIPLE * w.shape[1])) * MULTIPLE
    slices = [slice(start, start + count) for start in range(0, len(w), count)]
    errors = [_squares(w[rows], held[rows]) for rows in slices]
    return Part(index, slices[int(np.argmax(errors))])


def _squares(w: Array, held: Array) -> float:
    """Return the sum of squared errors; inf with a NaN or an infinity."""
    total = 0.0
    with np.errstate(all="ignore"):
        for a, b in zip(w, held, strict=True):
            errors = np.subtract(a, b, dtype=np.float64).reshape(-1)
            total += float(errors @ errors)
    return total if math.isfinite(total) else math.inf
