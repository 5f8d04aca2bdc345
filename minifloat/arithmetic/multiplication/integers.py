"""Integers as the methods take them: checked, as int64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays


def integers(name: str, x: ArrayLike, low: int, high: int) -> NDArray[Any]:
    """Return integers as int64.

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If one is not in ``low .. high``.
    """
    array = _arrays.as_array(name, x)
    if not _arrays.is_integer(array.dtype):
        raise TypeError(f"{name} must be integers, got {array.dtype.name}")
    if array.size and not (low <= int(array.min()) and int(array.max()) <= high):
        raise ValueError(f"{name} must be in {low}..{high}, got {array.min()}..{array.max()}")
    return array.astype(np.int64)
