"""Products with quantized weights, which stay packed: `linear`, and ``q @ x`` of a `Quantized`.

Rows are unpacked and decoded a tile at a time, so that the weights never stand in memory as floats.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat.packing import byte_count
from minifloat.quantized import Quantized

TILE = 1 << 16  # weights that are decoded at a time, 256 KiB of float32
ROWS = 8  # so many rows, and multiples, begin at a whole byte


def linear(
    x: ArrayLike, q: Quantized, bias: ArrayLike | None = None, *, threads: int = 1
) -> NDArray[np.float32]:
    """Return ``x @ q.dequantize().T + bias``, decoding the weights a tile at a time.

    Infinities and NaN, in ``x`` or among the weights, become what they do in that expression.

    Parameters
    ----------
    x : array_like, shape (..., in)
        float32; float16, bfloat16, float64 and integers are rounded to float32 first.
    q : Quantized
        Weights of shape (out, in), of any format, blocks and scales.
    bias : array_like, shape (out,), optional
        As ``x``.
    threads : int
        Threads to share the rows of ``q`` among; the result does not depend on it.

    Returns
    -------
    ndarray of float32, shape (..., out)
        A new array.

    Raises
    ------
    TypeError
        If ``q`` is not `Quantized`, or ``x`` or ``bias`` has a dtype that is not listed above.
    ValueError
        If the shapes do not fit, or a code is not one of its format's.

    Notes
    -----
    Products are summed in float32, so with ``w = q.dequantize()`` and exact arithmetic on the right
    an element differs from ``x @ w + bias`` by at most

        gamma * (|x| @ |w| + |bias|) + n * 2**-149,    gamma = n * 2**-24 / (1 - n * 2**-24)

    with n = in + 1: Higham, *Accuracy and Stability of Numerical Algorithms*, (3.5); the last term
    is that of products below float32's normal range.

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> q = mf.quantize([[1.0, -7.0, 3.0], [0.5, 0.0, 3.5]], "e2m2", scale="float32")
    >>> mf.linear(np.float32([1, 2, 3]), q, bias=[10, 20])
    array([ 6., 31.], dtype=float32)
    """
    _check_weights(q)
    _arrays.check_threads(threads)
    a = _float32("x", x)
    if a.ndim == 0 or a.shape[-1] != q.shape[1]:
        raise ValueError(
            f"x must have {q.shape[1]} elements along the last axis for weights of shape "
            f"{q.shape}, got shape {a.shape}"
        )
    batch = math.prod(a.shape[:-1])
    y = _product(q, a.reshape(batch, q.shape[1]), threads)
    if bias is not None:
        b = _float32("bias", bias)
        if b.shape != q.shape[:1]:
            raise ValueError(f"bias must have shape {q.shape[:1]}, got {b.shape}")
        y += b
    return y.reshape(*a.shape[:-1], q.shape[0])


def matmul(q: Quantized, x: ArrayLike) -> NDArray[np.float32]:
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
    >>> mf.quantize([[1.0, -7.0, 3.0]], "e2m2", scale="float32") @ [1, 2, 3]
    array([-4.], dtype=float32)
    """
    _check_weights(q)
    a = _float32("x", x)
    if a.ndim not in (1, 2) or a.shape[0] != q.shape[1]:
        raise ValueError(
            f"x must have shape ({q.shape[1]},) or ({q.shape[1]}, n) for weights of shape "
            f"{q.shape}, got {a.shape}"
        )
    return linear(a.T, q).T


def _check_weights(q: Quantized) -> None:
    if not isinstance(q, Quantized):
        raise TypeError(
            f"q must be Quantized, got {type(q).__name__}; minifloat.quantize makes it of weights"
        )
    if len(q.shape) != 2:
        raise ValueError(f"q must be weights of shape (out, in), got shape {q.shape}")


def _float32(name: str, x: ArrayLike) -> NDArray[np.float32]:
    a = _arrays.source_array(x, name)[0]
    with np.errstate(over="ignore", under="ignore"):
        return a.astype(np.float32, copy=False)


def _product(q: Quantized, x: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    rows, length = q.shape
    y = np.zeros((x.shape[0], rows), np.float32)
    step = max(ROWS, TILE // max(length, 1) // ROWS * ROWS)

    def work(start: int) -> None:
        tile = _rows(q, start, min(start + step, rows)).dequantize()
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            np.matmul(x, tile.T, out=y[:, start : start + step])

    if y.size == 0 or length == 0:
        return y
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(0, rows, step)))
    return y


def _rows(q: Quantized, start: int, stop: int) -> Quantized:
    """Return some rows of weights; ``start`` is a multiple of `ROWS`."""
    length, bits = q.shape[1], q.fmt.bits
    first = start * length * bits // 8
    packed = q.packed[first : first + byte_count((stop - start) * length, bits)]
    axis, block_size = q.axis, q.block_size
    scales, zeros = q.scales, q.zeros
    if axis is not None:
        axis %= 2
        held: Any = slice(start, stop)
        if axis == 0:  # blocks run down the columns: give each row the scales of its own
            held = np.arange(start, stop) // (block_size or q.shape[0])
            block_size = 1
        scales = scales[held]
        zeros = None if zeros is None else zeros[held]
    return Quantized(
        packed, scales, q.fmt, (stop - start, length), block_size, axis, q.scale_format,
        q.tensor_scale, zeros,
    )  # fmt: skip
