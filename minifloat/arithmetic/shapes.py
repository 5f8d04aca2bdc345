"""Shapes that broadcast, of as many axes as an array may have: NumPy's own functions take 32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def common_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape to which shapes broadcast.

    Raises
    ------
    ValueError
        If they do not.

    Examples
    --------
    >>> common_shape((4, 1), (3,))
    (4, 3)
    """
    most = max(map(len, shapes))
    axes = zip(*((1,) * (most - len(shape)) + shape for shape in shapes), strict=True)
    lengths = [set(axis) - {1} or {1} for axis in axes]
    if any(len(length) > 1 for length in lengths):
        texts = " and ".join(map(str, shapes))
        raise ValueError(f"operands must have shapes that broadcast, got {texts}")
    return tuple(length.pop() for length in lengths)


def of_common_shape(*arrays: Array) -> list[Array]:
    """Return arrays, broadcast against each other and not to be written to."""
    shape = common_shape(*(x.shape for x in arrays))
    return [np.broadcast_to(x, shape) for x in arrays]
