"""Products with weights that are decoded a tile of rows at a time: those of complex codes.

No more of the weights is in memory than the packed codes and one tile for each thread.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat._threads import check_threads, each
from minifloat.products.tiles import tiles_of, times_transposed

Array = NDArray[Any]


class RowSource(Protocol):
    """What these products ask of weights."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights, (outputs, inputs)."""

    def dequantize_rows(self, rows: slice) -> Array:
        """Return some rows of the weights, as float32 or complex64."""


def linear(
    x: ArrayLike | AnyTensor,
    q: RowSource,
    bias: ArrayLike | AnyTensor | None = None,
    *,
    threads: SupportsIndex = 1,
) -> Any:
    """Return ``x @ q.dequantize().T + bias``; see `minifloat.linear`.

    Parameters
    ----------
    x : array_like, (..., inputs)
        float32 or complex64, as the weights are: other numbers are rounded to that.
    q : RowSource
    bias : array_like, (outputs,), optional
    threads : int

    Returns
    -------
    ndarray of float32 or complex64, (..., outputs)

    Raises
    ------
    ValueError, TypeError
        As `minifloat.linear`.

    Examples
    --------
    >>> from minifloat.products import complex_products
    >>> from minifloat.quantization.complex_weights import quantize
    >>> complex_products.linear([1, 2j], quantize([[2, 2j], [-2j, 2]]))
    array([-2.+0.j,  0.+2.j], dtype=complex64)
    """
    if len(q.shape) != 2:
        raise ValueError(f"q must be weights of shape (out, in), got shape {q.shape}")
    count = check_threads(threads)
    outputs, inputs = q.shape
    dtype = q.dequantize_rows(slice(0, 0)).dtype
    a = _of_dtype("x", x, dtype)
    if a.ndim == 0 or a.shape[-1] != inputs:
        raise ValueError(
            f"x must have {inputs} elements along the last axis for weights of shape {q.shape}, "
            f"got shape {a.shape}"
        )
    flat = a.reshape(math.prod(a.shape[:-1]), inputs)
    y = np.zeros((len(flat), outputs), dtype)
    tiles = tiles_of(outputs, max(inputs, 1))

    def multiply(rows: slice) -> None:
        y[:, rows] = times_transposed(flat, q.dequantize_rows(rows))

    each(multiply, tiles, count)
    if bias is not None:
        b = _of_dtype("bias", bias, dtype)
        if b.shape != (outputs,):
            raise ValueError(f"bias must have shape ({outputs},), got {b.shape}")
        y += b
    return _arrays.as_given(x, y.reshape(*a.shape[:-1], outputs))


def _of_dtype(name: str, x: ArrayLike | AnyTensor, dtype: np.dtype[Any]) -> Array:
    given = _arrays.as_array(name, x)
    if dtype.kind == "f" or given.dtype.kind != "c":
        given = _arrays.source_array(given, name)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        return given.astype(dtype)
