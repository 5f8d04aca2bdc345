"""Products with weights of several parts: a sum of the products with each.

With factors of the inputs, ``x`` is divided by them first. The dense part multiplies ``x`` in its
own order. The product with two thin matrices is two thin products. The sparse part is read once
for all vectors. A vector whose product is not finite is multiplied by the dequantized weights,
since parts of a sum may be infinite where it is not.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays, products
from minifloat._arrays import Codes
from minifloat._kernels import sparse as kernels
from minifloat._tensors import AnyTensor
from minifloat._threads import check_threads
from minifloat.products.integer import Activations
from minifloat.products.matrix import PackedMatrix
from minifloat.products.operands import add_bias, vectors_of
from minifloat.products.tiles import times_transposed

Array = NDArray[Any]


class SparseMatrix(Protocol):
    """What products ask of a sparse matrix; `minifloat.composites.Sparse` has it."""

    @property
    def values(self) -> NDArray[np.float32]:
        """The numbers, row after row."""

    @property
    def gaps(self) -> Codes:
        """The columns between each number and the one before it."""

    @property
    def ends(self) -> NDArray[np.int64]:
        """For each row how many numbers there are up to its end."""


class Parts(Protocol):
    """What products ask of weights in several parts; `minifloat.Composite` has it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the weights."""

    @property
    def dense(self) -> PackedMatrix:
        """The dense part."""

    @property
    def order(self) -> NDArray[np.int64] | None:
        """The input of each column of the dense part."""

    @property
    def sparse(self) -> SparseMatrix | None:
        """What is added to it."""

    @property
    def low_rank(self) -> tuple[PackedMatrix, PackedMatrix] | None:
        """Two thin matrices whose product is added to it."""

    @property
    def input_factors(self) -> NDArray[np.float32] | None:
        """What inputs are divided by."""

    @property
    def bias(self) -> NDArray[np.float32] | None:
        """What is added to products."""

    def dequantize(self) -> NDArray[np.float32]:
        """Return the weights."""


def linear(
    x: ArrayLike | AnyTensor,
    c: Parts,
    bias: ArrayLike | AnyTensor | None = None,
    *,
    activations: Activations | None = None,
    threads: SupportsIndex = 1,
) -> Any:
    """Return ``x @ c.dequantize().T + c.bias + bias``; all of it is told by `minifloat.linear`.

    Parameters
    ----------
    x, bias, activations, threads
        As for `minifloat.products.linear`. ``activations`` are those of the dense part.
    c : Composite

    Returns
    -------
    ndarray of float32, shape (..., out)

    Raises
    ------
    TypeError, ValueError
        As `minifloat.linear`.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.products import composites
    >>> thin = mf.quantize([[0.5]], "int4/1/e8m0"), mf.quantize([[1.0, 1.0]], "int4/1/e8m0")
    >>> composites.linear([1, 2], mf.Composite(mf.quantize([[1.0, -7.0]], "e2m2"), low_rank=thin))
    array([-11.5], dtype=float32)
    """
    threads = check_threads(threads)
    a = vectors_of(x, c.shape)
    batch = math.prod(a.shape[:-1])
    given = a.reshape(batch, c.shape[1])
    with np.errstate(all="ignore"):
        divided = given if c.input_factors is None else given / c.input_factors
        ordered = divided if c.order is None else divided[:, c.order]
        y: Array = products.linear(ordered, c.dense, activations=activations, threads=threads)
        if c.sparse is not None:
            y += _sparse_product(divided, c.sparse)
        if c.low_rank is not None:
            left, right = c.low_rank
            thin = products.linear(divided, right, threads=threads)
            y += products.linear(thin, left, threads=threads)
        if activations is None:
            wrong = ~np.isfinite(y).all(axis=1)
            if wrong.any():
                y[wrong] = times_transposed(given[wrong], c.dequantize())
        add_bias(y, c.bias, c.shape[:1])
        add_bias(y, bias, c.shape[:1])
    return _arrays.as_given(x, y.reshape(*a.shape[:-1], c.shape[0]))


def _sparse_product(x: Array, sparse: SparseMatrix) -> Array:
    """Return the product of each vector with a sparse matrix, of float32."""
    y = np.empty((sparse.ends.size, len(x)), np.float32)
    columns = np.ascontiguousarray(x.T)
    kernels.multiply(y, sparse.values, sparse.gaps, sparse.ends, columns, np.empty(len(x)))
    return y.T
