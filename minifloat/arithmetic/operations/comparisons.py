"""Comparisons of numbers of any formats, which round nothing.

Names are NumPy's. NaN is neither less than, equal to nor greater than any number, NaN included, so
every comparison with it is False, but `not_equal` is True. -0 equals 0. These are IEEE 754-2019's
quiet comparisons (clause 5.11), which raise no flag.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat import _arrays
from minifloat.arithmetic.operations.results import Numbers, Operands


def equal(a: Numbers, b: Numbers) -> Any:
    """Return where a equals b (compareQuietEqual).

    Parameters
    ----------
    a, b : array_like of float16, bfloat16, float32, float64 or integers up to 2**53
        Numbers of any formats, of shapes that broadcast; tensors too.

    Returns
    -------
    ndarray of bool, of the broadcast shape
        A NumPy bool for scalars, a tensor if an operand is one.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers, or the shapes do not broadcast.

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> arithmetic.equal([-0.0, float("nan"), 0.5], [0.0, float("nan"), 0.5])
    array([ True, False,  True])
    """
    return _compared(np.equal, a, b)


def not_equal(a: Numbers, b: Numbers) -> Any:
    """Return where a does not equal b, as where one is NaN; otherwise as `equal`."""
    return _compared(np.not_equal, a, b)


def less(a: Numbers, b: Numbers) -> Any:
    """Return where a is less than b; otherwise as `equal`."""
    return _compared(np.less, a, b)


def less_equal(a: Numbers, b: Numbers) -> Any:
    """Return where a is less than b or equals it; otherwise as `equal`."""
    return _compared(np.less_equal, a, b)


def greater(a: Numbers, b: Numbers) -> Any:
    """Return where a is greater than b; otherwise as `equal`."""
    return _compared(np.greater, a, b)


def greater_equal(a: Numbers, b: Numbers) -> Any:
    """Return where a is greater than b or equals it; otherwise as `equal`."""
    return _compared(np.greater_equal, a, b)


def _compared(compare: np.ufunc, a: Numbers, b: Numbers) -> Any:
    operands = Operands.of(a, b)
    with np.errstate(invalid="ignore"):
        answers: NDArray[np.bool_] = np.asarray(compare(*operands.arrays))
    return _arrays.as_given(operands.like, answers)
