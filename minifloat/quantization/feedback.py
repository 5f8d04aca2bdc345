"""GPTQ: round one column at a time, and compensate its error in the columns not yet rounded.

The inputs X of a layer, a row for each sample, have the Hessian H = X^T X. Let a row of weights w
be rounded to v, and d = v - w: then the squared error of the row's outputs is d H d^T. With the
upper triangular R of H = R R^T, and G = diag(R) R^-1, which has ones on its diagonal,

    d H d^T = sum_k (R_kk e_k)**2    where d = e G, that is, v_k = w_k + sum_{j<k} e_j G_jk + e_k.

So e_k is the error of rounding the *updated* weight u_k = w_k + sum_{j<k} e_j G_jk, which is known
when the weights before it are rounded. GPTQ (Frantar et al., arXiv 2210.17323) rounds it to
nearest, which makes e_k as small as possible. The e of weights that are not rounded yet are 0, and
w + e G are the best weights until then. (The paper's Cholesky factor of the inverse of H is R^-1.)

A kernel sums over j within a panel of `PANEL` columns; one matrix product then updates all columns
after the panel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._kernels import gptq as kernels
from minifloat._tensors import AnyTensor
from minifloat.codec.decision_points import decision_points, first_keys, sorted_values
from minifloat.formats import NumberFormat
from minifloat.formats.base import shown

Array = NDArray[Any]

PANEL = 128
ASYMMETRY = 1e-4  # relative to the largest element: sums in float32 may differ so much


def feedback(hessian: ArrayLike | AnyTensor, inputs: int, damp: float) -> NDArray[np.float64]:
    """Return G of the damped Hessian.

    An input that is always 0 (a zero on the diagonal) is coupled to no other, whatever ``damp`` is.

    Parameters
    ----------
    hessian : array_like of float or integers, (inputs, inputs)
        Symmetric and positive semidefinite; a constant factor does not matter.
    inputs : int
    damp : float
        This times the mean of the diagonal is added to the diagonal.

    Returns
    -------
    ndarray of float64, (inputs, inputs)

    Raises
    ------
    TypeError
        If the Hessian is not of real numbers.
    ValueError
        If it has another shape, is not finite or not symmetric, or is not positive definite when
        damped.

    Examples
    --------
    >>> from minifloat.quantization.feedback import feedback
    >>> feedback([[2.0, 1.0], [1.0, 2.0]], 2, damp=0)
    array([[ 1. , -0.5],
           [ 0. ,  1. ]])
    """
    damped = checked_hessian(hessian, inputs)
    if not damped.any():
        return np.eye(inputs)
    diagonal = damped.diagonal().copy()
    dead = diagonal == 0
    np.fill_diagonal(damped, np.where(dead, 1.0, diagonal + damp * diagonal.mean()))
    try:
        if diagonal.min() < 0 or (damped[dead] != np.eye(inputs)[dead]).any():
            raise np.linalg.LinAlgError
        upper = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
    except np.linalg.LinAlgError:
        raise ValueError(
            f"hessian must be positive semidefinite, and definite with damp, got one that is not "
            f"with damp={damp:g}; use X.T @ X in float64, or more damp"
        ) from None
    inverse = _inverse(upper)
    inverse *= upper.diagonal()[:, np.newaxis]
    return inverse


def checked_hessian(hessian: ArrayLike | AnyTensor, inputs: int) -> NDArray[np.float64]:
    """Return a Hessian in float64, symmetric, its largest element 1 unless it is of zeros.

    Raises
    ------
    TypeError
        If it is not of real numbers.
    ValueError
        If it has another shape, is not finite or not symmetric.
    """
    given = _arrays.source_array(hessian, "hessian")[0]
    if given.shape != (inputs, inputs):
        raise ValueError(
            f"hessian must have a row and a column for each input of w, ({inputs}, {inputs}), got "
            f"{given.shape}"
        )
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        wide = given.astype(np.float64)
        largest = float(np.abs(wide).max(initial=0))
    if not math.isfinite(largest):
        wrong = wide[~np.isfinite(wide)].flat[0]
        raise ValueError(f"hessian must be finite, got {wrong}; leave such samples out")
    if largest == 0:
        return wide
    wide /= largest
    difference = float(np.abs(wide - wide.T).max())
    if difference > ASYMMETRY:
        raise ValueError(
            f"hessian must be symmetric, got elements that differ by {difference:.2g} of the "
            "largest; use X.T @ X"
        )
    return np.asarray((wide + wide.T) / 2)


def _inverse(upper: Array) -> NDArray[np.float64]:
    """Invert an upper triangular matrix, by halves."""
    n = len(upper)
    if n <= PANEL:
        return np.linalg.inv(upper)
    inverse = np.zeros((n, n))
    first, last = slice(0, n // 2), slice(n // 2, n)
    inverse[first, first] = _inverse(upper[first, first])
    inverse[last, last] = _inverse(upper[last, last])
    inverse[first, last] = -inverse[first, first] @ upper[first, last] @ inverse[last, last]
    return inverse


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


@lru_cache(maxsize=64)
def steps(fmt: NumberFormat) -> Array:
    """Return the values of a format in order, each with the first float64 that rounds to it.

    Parameters
    ----------
    fmt : NumberFormat

    Returns
    -------
    ndarray of `minifloat._kernels.gptq.STEP`

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.quantization.feedback import steps
    >>> rows = steps(mf.parse("int2"))
    >>> rows["value"], rows["key"][2:].view("float64")
    (array([-1.,  0.,  1.]), array([0.5]))
    """
    values = sorted_values(fmt)
    rows = np.zeros(len(values), kernels.STEP)
    rows["key"] = [np.iinfo(np.int64).min, *first_keys(decision_points(fmt))]
    rows["code"] = [value.code for value in values]
    rows["value"] = fmt.values()[rows["code"]]
    return rows


class GptqRows:
    """Some rows of weights that become codes, from the first column to the last.

    Parameters
    ----------
    weights : ndarray of float64, (rows, inputs)
    feedback : ndarray of float64, (inputs, inputs)
        The result of `feedback`.
    formats : sequence of NumberFormat
        What each block may be; one format for most recipes.
    codes : ndarray, (rows, inputs)
        Receives the codes.

    Examples
    --------
    >>> import numpy as np, minifloat as mf
    >>> from minifloat.quantization.feedback import GptqRows, feedback
    >>> codes = np.zeros((1, 2), np.uint8)
    >>> factors = feedback([[1, 0.75], [0.75, 1]], 2, damp=0)
    >>> rows = GptqRows(np.array([[0.4, 0.4]]), factors, [mf.parse("int4")], codes)
    >>> rows.round(slice(0, 1), np.ones(1))  # by 1.0, to 0
    >>> rows.updated(slice(1, 2)).round(3)
    array([[0.7]])
    """

    def __init__(
        self, weights: Array, feedback: Array, formats: Sequence[NumberFormat], codes: Array
    ) -> None:
        self.weights = weights
        self.feedback = feedback
        self.steps = [steps(fmt) for fmt in formats]
        self.codes = codes
        self.carry = np.zeros_like(weights)  # to subtract; never -0, so that weights of -0 stay

    def updated(self, columns: slice) -> Array:
        """Return the updated weights of some columns, when all columns before them are rounded."""
        with np.errstate(over="ignore", invalid="ignore"):
            updated = self.weights[:, columns] - self.carry[:, columns]
        _check_finite(updated)
        return updated

    def round(
        self,
        columns: slice,
        scales: Array,
        *,
        zeros: Array | None = None,
        choices: Array | None = None,
    ) -> None:
        """Round the next columns; each row has one scale, perhaps a zero point or its format."""
        zero_points = np.empty(0) if zeros is None else zeros.astype(np.float64)
        every = np.zeros(len(scales), np.uint8) if choices is None else choices
        for start in range(columns.start, columns.stop, PANEL):
            stop = min(start + PANEL, columns.stop)
            errors = self.weights[:, start:stop].copy()
            codes = np.empty(errors.shape, self.codes.dtype)
            carry, within = self.carry[:, start:stop], self.feedback[start:stop, start:stop].copy()
            for k in np.unique(every):
                rows = every == k
                own_errors, own_codes = errors[rows], codes[rows]
                own_zeros = zero_points if zeros is None else zero_points[rows]
                kernels.round_panel(
                    own_errors, carry[rows], scales[rows], own_zeros, within, self.steps[k],
                    own_codes,
                )  # fmt: skip
                errors[rows], codes[rows] = own_errors, own_codes
            _check_finite(errors)
            self.codes[:, start:stop] = codes
            with np.errstate(over="ignore", invalid="ignore"):
                self.carry[:, stop:] += errors @ self.feedback[start:stop, stop:]


def _check_finite(updated: Array) -> None:
    if not np.isfinite(updated).all():
        raise ValueError(
            "hessian must be far enough from singular for finite updates, got infinite ones; "
            "use more damp"
        )
