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

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._kernels import gptq as kernels
from minifloat._tensors import AnyTensor
from minifloat.codec.decision_points import decision_points, first_keys, sorted_values
from minifloat.formats import NumberFormat
from minifloat.quantization.hessians import checked_hessian, damped, not_definite_error

Array = NDArray[Any]

PANEL = 128


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
    given = checked_hessian(hessian, inputs)
    if not given.any():
        return np.eye(inputs)
    matrix, _ = damped(given, damp)
    try:
        upper = np.linalg.cholesky(matrix[::-1, ::-1])[::-1, ::-1]
    except np.linalg.LinAlgError:
        raise not_definite_error(damp) from None
    inverse = _inverse(upper)
    inverse *= upper.diagonal()[:, np.newaxis]
    return inverse


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


def act_order(hessian: ArrayLike | AnyTensor, inputs: int) -> NDArray[np.intp]:
    """Return the inputs by decreasing diagonal of the Hessian; of equal ones the first comes first.

    The weights that matter most are then rounded while most others can still make up for them. It
    is the option ``--act-order`` of GPTQ's code.

    Examples
    --------
    >>> from minifloat.quantization.feedback import act_order
    >>> act_order([[1.0, 0.5, 0.0], [0.5, 3.0, 0.0], [0.0, 0.0, 3.0]], 3)
    array([1, 2, 0])
    """
    return np.argsort(-checked_hessian(hessian, inputs).diagonal(), kind="stable")


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


@lru_cache(maxsize=64)
def steps_of_each(formats: tuple[NumberFormat, ...]) -> tuple[Array, Array]:
    """Return the `steps` of formats, one after the other, and where each begin; then the end."""
    every = [steps(fmt) for fmt in formats]
    return np.concatenate(every), np.cumsum([0, *map(len, every)])


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
    >>> rows.round(slice(0, 1), np.ones((1, 1)))  # by 1.0, to 0
    >>> rows.updated(slice(1, 2)).round(3)
    array([[0.7]])
    """

    def __init__(
        self, weights: Array, feedback: Array, formats: Sequence[NumberFormat], codes: Array
    ) -> None:
        self.weights = weights
        self.feedback = feedback
        self.steps, self.starts = steps_of_each(tuple(formats))
        self.codes = codes
        self.carry = np.zeros_like(weights)  # to subtract; never -0, so that weights of -0 stay

    def updated(self, columns: slice) -> Array:
        """Return the updated weights of some columns, when all columns before them are rounded."""
        with np.errstate(over="ignore", invalid="ignore"):
            updated = self.weights[:, columns] - self.carry[:, columns]
        check_updates(updated)
        return updated

    def round(
        self,
        columns: slice,
        scales: Array,
        *,
        zeros: Array | None = None,
        choices: Array | None = None,
        blocks: Array | None = None,
    ) -> None:
        """Round the next columns.

        Parameters
        ----------
        columns : slice
        scales : ndarray of float64, (rows, blocks)
            Times the tensor scale.
        zeros, choices : ndarray of unsigned integers, (rows, blocks), optional
            Zero points, and the number of each block's format.
        blocks : ndarray of integers, (columns,), optional
            Which block each column is of; by default all are of the first.
        """
        zero_points = np.empty((0, 0)) if zeros is None else zeros.astype(np.float64)
        every = np.zeros(scales.shape, np.uint8)
        if choices is not None:
            every = np.ascontiguousarray(choices)
        held = np.zeros(columns.stop - columns.start, np.intp) if blocks is None else blocks
        for start in range(columns.start, columns.stop, PANEL):
            stop = min(start + PANEL, columns.stop)
            errors = self.weights[:, start:stop].copy()
            codes = np.empty(errors.shape, self.codes.dtype)
            carry = self.carry[:, start:stop].copy()
            within = self.feedback[start:stop, start:stop].copy()
            part = held[start - columns.start : stop - columns.start]
            kernels.round_panel(
                errors, carry, scales, zero_points, every, part, within, self.steps, self.starts,
                codes,
            )  # fmt: skip
            check_updates(errors)
            self.codes[:, start:stop] = codes
            with np.errstate(over="ignore", invalid="ignore"):
                self.carry[:, stop:] += errors @ self.feedback[start:stop, stop:]


def check_updates(updated: Array) -> None:
    """Raise ValueError unless all weights that have taken over errors of others are finite."""
    if not np.isfinite(updated).all():
        raise ValueError(
            "hessian must be far enough from singular for finite updates, got infinite ones; "
            "use more damp"
        )
