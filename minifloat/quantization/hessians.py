"""Hessians of layers: X^T X of the inputs X of a layer, which say what its outputs lose.

With D the differences of the weights of a layer, (outputs, inputs), the squared error of its
outputs is trace(D H D^T).
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat.formats.base import shown
from minifloat.quantization.rotations import Rotation

Array = NDArray[Any]

ASYMMETRY = 1e-4  # relative to the largest element: sums in float32 may differ so much


def checked_hessian(hessian: ArrayLike | AnyTensor, inputs: int) -> NDArray[np.float64]:
    """Return a Hessian over its largest element: a new array, exactly symmetric.

    Parameters
    ----------
    hessian : array_like of float or integers, (inputs, inputs)
    inputs : int

    Returns
    -------
    ndarray of float64, (inputs, inputs)

    Raises
    ------
    TypeError
        If the Hessian is not of real numbers.
    ValueError
        If it has another shape, or is not finite or not symmetric.

    Examples
    --------
    >>> from minifloat.quantization.hessians import checked_hessian
    >>> checked_hessian([[2.0, 1.0], [1.0, 2.0]], 2)
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    given = _arrays.source_array(hessian, "hessian")[0]
    if given.shape != (inputs, inputs):
        raise ValueError(
            f"hessian must have a row and a column for each input of w, ({inputs}, {inputs}), got "
            f"{given.shape}"
        )
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        scaled = given.astype(np.float64)
        largest = float(np.abs(scaled).max(initial=0))
    if not math.isfinite(largest):
        wrong = scaled[~np.isfinite(scaled)].flat[0]
        raise ValueError(f"hessian must be finite, got {wrong}; leave such samples out")
    if largest == 0:
        return scaled
    scaled /= largest
    difference = float(np.abs(scaled - scaled.T).max())
    if difference > ASYMMETRY:
        raise ValueError(
            f"hessian must be symmetric, got elements that differ by {difference:.2g} of the "
            "largest; use X.T @ X"
        )
    return (scaled + scaled.T) / 2


def damped(hessian: Array, damp: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Add ``damp`` times the mean of the diagonal to the diagonal of a checked Hessian.

    Inputs that are always 0, with a zero on the diagonal, have 1 there instead.

    Parameters
    ----------
    hessian : ndarray of float64, (inputs, inputs)
        It is changed.
    damp : float

    Returns
    -------
    tuple of ndarray of float64 and ndarray of bool, (inputs,)
        The Hessian, and which inputs are always 0.

    Raises
    ------
    ValueError
        If a number on the diagonal is negative, or an input that is always 0 is coupled to another:
        then the Hessian is not positive semidefinite.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.quantization.hessians import damped
    >>> damped(np.diag([1.0, 0.0]), damp=0.5)[0].diagonal().tolist()
    [1.25, 1.0]
    """
    diagonal = hessian.diagonal().copy()
    dead = diagonal == 0
    mean = diagonal.mean() if diagonal.size else 0.0
    np.fill_diagonal(hessian, np.where(dead, 1.0, diagonal + damp * mean))
    if diagonal.min(initial=0) < 0 or (hessian[dead] != np.eye(len(hessian))[dead]).any():
        raise not_definite_error(damp)
    return hessian, dead


def not_definite_error(damp: float) -> ValueError:
    """Return the error of a Hessian that is not positive definite, or not semidefinite."""
    return ValueError(
        "hessian must be positive semidefinite, and definite with damp, got one that is not "
        f"with damp={damp:g}; use X.T @ X in float64, or more damp"
    )


def checked_damp(damp: float) -> float:
    """Return ``damp`` as a float, or raise unless it is a finite number of at least 0."""
    if not isinstance(damp, Real) or isinstance(damp, bool):
        raise TypeError(f"damp must be a finite number of at least 0, got {shown(damp)}")
    try:
        number = float(damp)
    except OverflowError:  # of an int beyond float64
        number = math.inf
    if not 0 <= number < math.inf:
        raise ValueError(f"damp must be a finite number of at least 0, got {number}")
    return number


def rotated(hessian: ArrayLike | AnyTensor, rotation: Rotation | None, inputs: int) -> Any:
    """Return the Hessian of rotated inputs; one of another shape as it is, to be refused."""
    if rotation is None:
        return hessian
    rotation.check_length(inputs)
    given = _arrays.source_array(hessian, "hessian")[0]
    if given.shape != (inputs, inputs):
        return given
    with np.errstate(over="ignore", invalid="ignore"):
        wide = given.astype(np.float64)
        return np.asarray(rotation.rotate(rotation.rotate(wide), axis=0))
