"""Products with quantized weights, which stay packed: `linear`, and ``q @ x`` of a `Quantized`.

One of three ways, by the weights and by how many vectors ``x`` has:

    packed        few vectors: each is multiplied straight from the packed codes
    tiles         more: a tile of rows is decoded by the same kernel, for NumPy to multiply by
    dequantized   tiles by `Quantized.dequantize`: blocks that do not begin at whole bytes or do not
                  run along the rows, codes wider than 8 bits, zeros, and infinities or NaN in ``x``

No way has more of the weights in memory than what is packed and, for each thread, a tile.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._kernels import products as kernels
from minifloat.formats import Format, Integer, NumberFormat
from minifloat.packing import byte_count
from minifloat.quantized import Quantized

Array = NDArray[Any]

TILE = 1 << 18  # weights that are decoded at a time: 1 MiB of float32
LINE = 64  # bytes of a line of the CPU's cache
ROWS = 8  # so many rows, and multiples, begin at a whole byte
SEVERAL = 4  # vectors that the values of a step are multiplied by

# Vectors up to which products straight from the codes took less time than tiles, on AVX-512.
FEW, FEW_LOOKED_UP = 28, 8


def linear(
    x: ArrayLike, q: Quantized, bias: ArrayLike | None = None, *, threads: int = 1
) -> NDArray[np.float32]:
    """Return ``x @ q.dequantize().T + bias``, without making floats of all weights.

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
        Threads to share the rows of ``q`` among; the result does not depend on it. For many vectors
        NumPy multiplies, whose own threads come on top.

    Returns
    -------
    ndarray of float32, shape (..., out)
        A new array.

    Raises
    ------
    TypeError
        If ``q`` is not `Quantized`, or ``x`` or ``bias`` has a dtype that is not listed above.
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Products are summed in float32, so with ``w = q.dequantize().T`` and exact arithmetic an element
    differs from ``x @ w + bias`` by at most

        gamma * (|x| @ |w| + |bias|) + n * 2**-133 * (1 + top),    gamma = n u / (1 - n u)

    with u = 2**-24 and n = in + 8 (the rounding of a weight, of its scale and of the result are
    among the 8): Higham, *Accuracy and Stability of Numerical Algorithms*, (3.5). The last term is
    that of products which underflow; top is the greatest magnitude of ``x`` times (1 + that of the
    scales times that of the format).

    Codes that a format does not use, which `quantize` does not write, are not looked for.

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
    if type(x) is np.ndarray and x.dtype == np.float32:  # what it is most often, at once
        return x
    a = _arrays.source_array(x, name)[0]
    with np.errstate(over="ignore", under="ignore"):
        return a.astype(np.float32, copy=False)


def _product(q: Quantized, x: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    rows, length = q.shape
    y = np.zeros((x.shape[0], rows), np.float32)
    if y.size == 0 or length == 0:
        return y
    tile = max(ROWS, TILE // length // ROWS * ROWS)
    tiles = [(start, min(start + tile, rows)) for start in range(0, rows, tile)]

    def dequantize_and_multiply(start: int, stop: int, some: Any = slice(None)) -> None:
        weights = _rows(q, start, stop).dequantize()
        y[some, start:stop] = _times_transposed(x[some], weights)

    if not (_is_direct(q) and np.isfinite(x).all()):
        _each(tiles, dequantize_and_multiply, threads)
        return y
    job = _Direct(q, x, y)
    if x.shape[0] <= (FEW if isinstance(job.rule, tuple) else FEW_LOOKED_UP):
        share = -(-rows // threads)
        parts = [(start, min(start + share, rows)) for start in range(0, rows, share)]
        _each(parts, job.multiply, threads)
    else:
        _each(tiles, job.decode_and_multiply, threads)
    if not np.isfinite(y).all():  # weights that are not, or an overflow before the end
        for start, stop in tiles:
            wrong = ~np.isfinite(y[:, start:stop]).all(axis=1)
            if wrong.any():
                dequantize_and_multiply(start, stop, wrong)
    return y


def _each(parts: list[tuple[int, int]], work: Callable[[int, int], None], threads: int) -> None:
    """Do parts, each from a row to another, on some threads."""
    if threads == 1:
        for start, stop in parts:
            work(start, stop)
    else:
        list(_pool(threads, os.getpid()).map(work, *zip(*parts, strict=True)))


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return threads that wait for work: to start them takes a tenth of a product of 4096 x 4096.

    A forked process has none of its parent's threads, and makes its own.
    """
    return ThreadPoolExecutor(threads, thread_name_prefix=f"minifloat-{process}")


def _times_transposed(x: Array, weights: Array) -> Array:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(x @ weights.T)


def _is_direct(q: Quantized) -> bool:
    """Return whether the kernels can do it: every block along the rows begins at a whole byte."""
    bits, length = q.fmt.bits, q.shape[1]
    along_rows = q.axis is None or q.axis % 2 == 1
    whole = length * bits % 8 == 0 and (q.block_size is None or q.block_size * bits % 8 == 0)
    return bits <= 8 and along_rows and whole and q.zeros is None


class _Direct:
    """Products of ``x`` with weights that the kernels decode, written to ``y``.

    The kernels see vectors multiplied by a power of two, so that the greatest magnitude is in
    [0.5, 1), and what underflows does not count.
    """

    def __init__(self, q: Quantized, x: Array, y: Array) -> None:
        self.rule, exponent = _rule(q.fmt)
        self.y, self.bits, self.length = y, q.fmt.bits, q.shape[1]
        self.packed = np.ascontiguousarray(q.packed)
        self.row_bytes = q.shape[1] * q.fmt.bits // 8
        self.block = q.block_size or q.shape[1]
        self.scales = np.ascontiguousarray(q.scales)
        if q.axis is None:
            self.scales, self.block = np.full((q.shape[0], 1), q.scales), q.shape[1]
        self.powers = np.frexp(np.abs(x).max(axis=1))[1][:, None]
        self.x = _aligned(x.shape[0], (-(-x.shape[1] // kernels.LANES) + 1) * kernels.LANES)
        with np.errstate(over="ignore", under="ignore"):
            np.ldexp(x, -self.powers, out=self.x[:, : x.shape[1]])
            self.factor = float(np.ldexp(q.tensor_scale or 1.0, exponent))

    def multiply(self, start: int, stop: int) -> None:
        """Multiply by some rows straight from the codes."""
        whole = self.x.shape[0] // SEVERAL * SEVERAL

        def multiply(y: Array, *weights: Any) -> None:
            if whole:
                several = (0,) * SEVERAL
                kernels.multiply(self.x[:whole], several, y[:whole], *weights)
            if whole < self.x.shape[0]:
                kernels.multiply(self.x[whole:], (0,), y[whole:], *weights)

        self.each_part(start, stop, multiply)

    def decode_and_multiply(self, start: int, stop: int) -> None:
        """Decode a tile and multiply by it."""
        tile = np.empty((stop - start) * self.length + kernels.LANES, np.float32)

        def decode(y: Array, *packed: Any) -> None:
            kernels.decode(tile, *packed)
            weights: Array = tile[: y.shape[1] * self.length].reshape(y.shape[1], -1)
            y[:] = _times_transposed(self.x[:, : self.length], weights)

        self.each_part(start, stop, decode)

    def each_part(self, start: int, stop: int, work: Callable[..., None]) -> None:
        """Do some rows: the last ones, after which too few bytes follow, from a copy of theirs."""
        roomy = max(0, (self.packed.size - kernels.LANES) // self.row_bytes)
        for low, high in ((start, min(stop, roomy)), (max(start, roomy), stop)):
            if low >= high:
                continue
            packed = self.packed[low * self.row_bytes :]
            if high > roomy:
                packed = np.append(packed, np.zeros(kernels.LANES, np.uint8))
            y = np.empty((self.x.shape[0], high - low), np.float32)
            work(
                y, packed, (0,) * self.bits, self.rule, self.block, self.scales[low:high],
                self.factor, self.length,
            )  # fmt: skip
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                np.ldexp(y, self.powers, out=self.y[:, low:high])


def _aligned(rows: int, length: int) -> Array:
    """Return zeros that begin at a line of the CPU's cache."""
    room = np.zeros(rows * length + LINE // 4, np.float32)
    start = -room.ctypes.data % LINE // 4
    return room[start : start + rows * length].reshape(rows, length)


@lru_cache(maxsize=64)
def _rule(fmt: NumberFormat) -> tuple[Any, int]:
    """Return how the kernels make values of codes, and the power of two these lack.

    The register rule serves a format if it is right for each of its codes; else there is a table,
    by the top 8 bits of a code shifted up, with values of at most 1.
    """
    if isinstance(fmt, Integer) and fmt.signed:
        return (16 - fmt.bits,), 0
    values = fmt.values()
    if isinstance(fmt, Format) and fmt.exponent_bits <= 5 and 0 <= 15 - fmt.bias <= 64:
        shift = 5 - fmt.exponent_bits + (not fmt.signed)
        magnitude = (1 << fmt.exponent_bits + fmt.mantissa_bits) - 1
        mask = magnitude << (10 - fmt.mantissa_bits) | (0x8000 if fmt.signed else 0)
        top = (np.arange(fmt.code_count) << 16 - fmt.bits).astype(np.uint16).view(np.int16)
        halves = ((top >> shift).view(np.uint16) & np.uint16(mask)).view(np.float16)
        exponent = 15 - fmt.bias
        with np.errstate(invalid="ignore"):  # signalling NaN
            found = np.ldexp(halves.astype(np.float64), exponent)
        if np.array_equal(found, values, equal_nan=True):
            return (shift, mask), exponent
    exponent = math.frexp(max(abs(fmt.min), abs(fmt.max)))[1]
    table = np.full(1 << fmt.bits, np.nan, np.float32)
    table[: values.size] = np.ldexp(values, -exponent)
    return np.repeat(table, 256 >> fmt.bits), exponent


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
