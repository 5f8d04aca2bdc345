"""Arguments of the verbs that make composites, checked."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.formats.base import shown

Array = NDArray[Any]


def checked_number(name: str, number: float, most: float = math.inf) -> float:
    """Return a number of 0 to ``most`` as a float.

    Raises
    ------
    TypeError
        If it is no real number.
    ValueError
        If it is out of range, or NaN.
    """
    rule = f"{name} must be a number of at least 0" + (f", at most {most:g}" * (most < math.inf))
    if not isinstance(number, Real) or isinstance(number, bool | np.bool_):
        raise TypeError(f"{rule}, got {shown(number)}")
    try:
        value = float(number)
    except OverflowError:  # of an int beyond float64
        value = math.inf if number > 0 else -math.inf
    if not 0 <= value <= most:
        raise ValueError(f"{rule}, got {shown(number)}")
    return value
