"""Products with quantized weights, which stay packed: `linear`, and ``q @ x`` of a `Quantized`.

With activations that become integers of 8 bits, the products are sums of integers: `integer`.

With floats there are three ways, chosen by the weights and the number of vectors in ``x``:

    packed        few vectors: each is multiplied straight from the packed codes
    tiles         more: a tile of rows is decoded by the same kernel, and NumPy multiplies by it
    dequantized   tiles by `Quantized.dequantize`: codes wider than 8 bits, zero points of blocks
                  that run down the columns, infinities or NaN in ``x``, and no JIT

With weights that are rotated, `x` or the products are rotated too (`matrix.rotated`), and the rest
is done with the weights as they are stored.

Weights whose blocks are one of several formats are a sum of plain weights, with scale 0 where a
block is another: `linear` adds the products with each. So they take the time of as many products.

Weights of several parts are a sum, too: `composites`.

No way has more of the weights in memory than the packed codes and one tile for each thread. Where
Numba can be imported the first product loads the JIT, so results do not depend on what ran before.
"""

from __future__ import annotations

import math
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays, _jit
from minifloat._tensors import AnyTensor, Tensor
from minifloat._threads import check_threads, each
from minifloat.products import integer
from minifloat.products.integer import Activations
from minifloat.products.matrix import PackedMatrix, form_of, rotate_back, rotated
from minifloat.products.operands import add_bias, float32_of, vectors_of
from minifloat.products.tiles import tiles_of, times_transposed

Array = NDArray[Any]


@overload
def linear(
    x: Tensor,
    q: PackedMatrix,
    bias: ArrayLike | AnyTensor | None = None,
    *,
    activations: Activations | None = None,
    threads: SupportsIndex = 1,
) -> Tensor: ...
@overload
def linear(
    x: ArrayLike,
    q: PackedMatrix,
    bias: ArrayLike | AnyTensor | None = None,
    *,
    activations: Activations | None = None,
    threads: SupportsIndex = 1,
) -> NDArray[np.float32]: ...
def linear(
    x: ArrayLike | AnyTensor,
    q: PackedMatrix,
    bias: ArrayLike | AnyTensor | None = None,
    *,
    activations: Activations | None = None,
    threads: SupportsIndex = 1,
) -> Any:
    """Return ``x @ q.dequantize().T + bias``; all of it is told by `minifloat.linear`.

    Parameters
    ----------
    x, q, bias, threads
        As for `minifloat.linear`.
    activations : Activations, optional
        How ``x`` becomes integers of 8 bits, what `minifloat.linear` makes of a recipe.

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
    >>> from minifloat import products
    >>> products.linear([1, 2, 3], mf.quantize([[1.0, -7.0, 3.0]], "e2m2"))
    array([-4.], dtype=float32)
    """
    _check_weights(q)
    threads = check_threads(threads)
    a = vectors_of(x, q.shape)
    batch = math.prod(a.shape[:-1])
    flat = rotated(q, a.reshape(batch, q.shape[1]), axis=1)
    stored = q if q.rotation is None else q.stored
    y = _of_addends(stored, flat, activations, threads)
    rotate_back(q, y, axis=0)
    add_bias(y, bias, q.shape[:1])
    return _arrays.as_given(x, y.reshape(*a.shape[:-1], q.shape[0]))


@overload
def matmul(q: PackedMatrix, x: Tensor) -> Tensor: ...
@overload
def matmul(q: PackedMatrix, x: ArrayLike) -> NDArray[np.float32]: ...
def matmul(q: PackedMatrix, x: ArrayLike | AnyTensor) -> Any:
    """Return ``q @ x`` for an ``x`` of shape (in,) or (in, n); see `linear`.

    Parameters
    ----------
    q : Quantized
        Weights of shape (out, in).
    x : array_like
        As for `linear`.

    Returns
    -------
    ndarray of float32, shape (out,) or (out, n)

    Raises
    ------
    TypeError, ValueError
        As `linear`.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.quantize([[1.0, -7.0, 3.0]], "e2m2") @ [1, 2, 3]
    array([-4.], dtype=float32)
    """
    _check_weights(q)
    a = float32_of("x", x)
    if a.ndim not in (1, 2) or a.shape[0] != q.shape[1]:
        raise ValueError(
            f"x must have shape ({q.shape[1]},) or ({q.shape[1]}, n) for weights of shape "
            f"{q.shape}, got {a.shape}"
        )
    return _arrays.as_given(x, linear(a.T, q).T)


@overload
def vecmat(x: Tensor, q: PackedMatrix) -> Tensor: ...
@overload
def vecmat(x: ArrayLike, q: PackedMatrix) -> NDArray[np.float32]: ...
def vecmat(x: ArrayLike | AnyTensor, q: PackedMatrix) -> Any:
    """Return ``x @ q`` for an ``x`` of shape (..., out), a tile of rows after the other.

    Parameters
    ----------
    x : array_like, shape (..., out)
        As for `linear`.
    q : Quantized
        Weights of shape (out, in).

    Returns
    -------
    ndarray of float32, shape (..., in)

    Raises
    ------
    TypeError, ValueError
        As `linear`.

    Examples
    --------
    >>> import minifloat as mf
    >>> [1, 2] @ mf.quantize([[1.0, -7.0], [3.0, 3.5]], "e2m2")
    array([7., 0.], dtype=float32)
    """
    _check_weights(q)
    a = float32_of("x", x)
    if a.ndim == 0 or a.shape[-1] != q.shape[0]:
        raise ValueError(
            f"x must have {q.shape[0]} elements along the last axis for weights of shape "
            f"{q.shape}, got shape {a.shape}"
        )
    a = rotated(q, a, axis=0)
    stored = q if q.rotation is None else q.stored
    y = np.zeros((*a.shape[:-1], q.shape[1]), np.float32)
    if q.shape[0] and q.shape[1]:
        for rows in tiles_of(*q.shape):
            y += times_transposed(a[..., rows], stored[rows].dequantize().T)
    rotate_back(q, y, axis=1)
    return _arrays.as_given(x, y)


def _check_weights(q: PackedMatrix) -> None:
    if not hasattr(q, "row_zero_points"):  # isinstance of a Protocol takes 20 us
        raise TypeError(
            f"q must be Quantized, got {type(q).__name__}; minifloat.quantize makes it of weights"
        )
    if len(q.shape) != 2:
        raise ValueError(f"q must be weights of shape (out, in), got shape {q.shape}")


def _of_addends(
    q: PackedMatrix, x: NDArray[np.float32], activations: Activations | None, threads: int
) -> NDArray[np.float32]:
    """Return the sum of the products with each of the addends of these weights."""
    parts = (q,) if q.choices is None else form_of(q, _addends)
    if activations is not None:
        if parts is None:
            raise ValueError(
                "q must have formats whose codes are all numbers, for activations of a recipe, got "
                f"{q!r}; leave activations out"
            )
        every = [integer.multiply(part, x, activations, threads) for part in parts]
    elif parts is None:
        every = [_by_tiles(q, x, threads)]
    else:
        every = [_product(part, x, threads) for part in parts]
    if len(every) == 1:
        return every[0]
    with np.errstate(over="ignore", invalid="ignore"):
        y: NDArray[np.float32] = sum(every[1:], start=every[0])
    if activations is None:
        wrong = ~np.isfinite(y).all(axis=1)  # 0 times infinity
        y[wrong] = _by_tiles(q, x[wrong], threads)
    return y


def _addends(q: PackedMatrix) -> Any:
    return q.addends()


def _product(q: PackedMatrix, x: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    rows, length = q.shape
    if len(x) * rows * length == 0:
        return np.zeros((len(x), rows), np.float32)
    y = np.empty((len(x), rows), np.float32)
    y.fill(np.nan)  # which marks products to be computed
    if _jit.load() and _write_direct(q, x, y, threads):
        return y
    wrong = ~np.isfinite(y).all(axis=1)
    y[wrong] = _by_tiles(q, x[wrong], threads)
    return y


def _by_tiles(q: PackedMatrix, x: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    """Return the product by tiles of dequantized weights."""
    rows, length = q.shape
    y = np.zeros((len(x), rows), np.float32)
    if y.size * length == 0:
        return y

    def dequantize_and_multiply(tile: slice) -> None:
        y[:, tile] = times_transposed(x, q[tile].dequantize())

    each(dequantize_and_multiply, tiles_of(rows, length), threads)
    return y


def _write_direct(q: PackedMatrix, x: Array, y: Array, threads: int) -> bool:
    """Write products by the kernels, where these can; return whether all is written."""
    direct = form_of(q, _direct)
    return direct is not None and direct.write(x, y, threads)


def _direct(q: PackedMatrix) -> Any:
    from minifloat.products.direct import Direct, can_decode  # which import Numba

    return Direct(q) if can_decode(q) else None
