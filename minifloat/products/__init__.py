"""Products with quantized weights, which stay packed: `linear`, and ``q @ x`` of a `Quantized`.

One of three ways, by the weights and by how many vectors ``x`` has:

    packed        few vectors: each is multiplied straight from the packed codes
    tiles         more: a tile of rows is decoded by the same kernel, for NumPy to multiply by
    dequantized   tiles by `Quantized.dequantize`: codes wider than 8 bits, zeros of blocks that run
                  down the columns, and infinities or NaN in ``x``

No way has more of the weights in memory than what is packed and, for each thread, a tile.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._kernels import products as kernels
from minifloat._kernels.vectors import scale_down, scale_up
from minifloat._threads import check_threads, each
from minifloat.formats import NumberFormat
from minifloat.products.decoders import rule_of

Array = NDArray[Any]

TILE = 1 << 18  # weights that are decoded at a time: 1 MiB of float32
LINE = 64  # bytes of a line of the CPU's cache
ROWS = 8  # so many rows, and multiples, begin at a whole byte
SEVERAL, SEVERAL_ROWS = 4, 2  # vectors and rows that are multiplied at once

HEAD_START = 3 << 18  # products that the caller's thread sums up while others are woken
NOTHING = np.zeros(kernels.LANES, np.uint8)

# Vectors up to which products straight from the codes took less time than tiles, on AVX-512.
FEW, FEW_LOOKED_UP = 64, 8


@runtime_checkable
class PackedMatrix(Protocol):
    """What products ask of weights; `minifloat.Quantized` has it."""

    @property
    def packed(self) -> NDArray[np.uint8]:
        """The codes in C order."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights."""

    @property
    def scales(self) -> NDArray[np.float32]:
        """The scales of blocks."""

    @property
    def tensor_scale(self) -> float | None:
        """The factor of all scales."""

    @property
    def fmt(self) -> NumberFormat:
        """Format of the codes."""

    @property
    def blocks(self) -> Any:
        """Which weights share a scale: `minifloat.quantization.blocks.Blocks`."""

    def row_scales(self) -> NDArray[np.float32]:
        """Return the scales of each row."""

    def row_zero_points(self) -> NDArray[Any] | None:
        """Return the zero points of each row, or None."""

    def dequantize(self) -> NDArray[np.float32]:
        """Return the weights."""

    def __getitem__(self, rows: Any) -> PackedMatrix: ...


def linear(
    x: ArrayLike, q: PackedMatrix, bias: ArrayLike | None = None, *, threads: int = 1
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

    Codes that a format does not use, which `quantize` does not write, are not looked for. A weight
    beyond float32, which `dequantize` makes infinite, may count as the number that it is.

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> q = mf.quantize([[1.0, -7.0, 3.0], [0.5, 0.0, 3.5]], "e2m2", scale="float32")
    >>> mf.linear(np.float32([1, 2, 3]), q, bias=[10, 20])
    array([ 6., 31.], dtype=float32)
    """
    _check_weights(q)
    check_threads(threads)
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


def matmul(q: PackedMatrix, x: ArrayLike) -> NDArray[np.float32]:
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


def vecmat(x: ArrayLike, q: PackedMatrix) -> NDArray[np.float32]:
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
    a = _float32("x", x)
    if a.ndim == 0 or a.shape[-1] != q.shape[0]:
        raise ValueError(
            f"x must have {q.shape[0]} elements along the last axis for weights of shape "
            f"{q.shape}, got shape {a.shape}"
        )
    y = np.zeros((*a.shape[:-1], q.shape[1]), np.float32)
    if q.shape[0] and q.shape[1]:
        for rows in _tiles(*q.shape):
            y += _times_transposed(a[..., rows], q[rows].dequantize().T)
    return y


def _check_weights(q: PackedMatrix) -> None:
    if not isinstance(q, PackedMatrix):
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


def _product(q: PackedMatrix, x: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    rows, length = q.shape
    if len(x) * rows * length == 0:
        return np.zeros((len(x), rows), np.float32)
    y = np.full((len(x), rows), np.nan, np.float32)  # what is not written is not finite
    if _is_direct(q) and _Direct(q).write(x, y, threads):
        return y
    wrong = ~np.isfinite(y).all(axis=1)

    def dequantize_and_multiply(some: slice) -> None:
        y[wrong, some] = _times_transposed(x[wrong], q[some].dequantize())

    each(dequantize_and_multiply, _tiles(rows, length), threads)
    return y


def _parts(rows: slice, share: int, ahead: int = 0) -> list[slice]:
    """Part rows into shares, of which the first has so many more rows."""
    starts = range(rows.start + ahead + share, rows.stop, share)
    return [slice(start, stop) for start, stop in pairwise((rows.start, *starts, rows.stop))]


def _tiles(rows: int, length: int) -> list[slice]:
    return _parts(slice(0, rows), max(ROWS, TILE // length // ROWS * ROWS))


def _times_transposed(x: Array, weights: Array) -> Array:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(x @ weights.T)


def _along_rows(q: PackedMatrix) -> bool:
    return bool(q.blocks.axis != 0)


def _is_direct(q: PackedMatrix) -> bool:
    """Return whether the kernels can do it."""
    return q.fmt.bits <= 8 and (_along_rows(q) or q.row_zero_points() is None)


class _Direct:
    """Weights that the kernels decode.

    The kernels see vectors multiplied by a power of two, so that the greatest magnitude is in
    [0.5, 1), and what underflows does not count. Blocks that run down the columns make groups of
    rows with the same scales; these multiply the vectors, or where these are many, the tiles.
    """

    def __init__(self, q: PackedMatrix) -> None:
        self.rows, self.length = q.shape
        rule, exponent = rule_of(q.fmt)
        self.few = FEW_LOOKED_UP if isinstance(rule, kernels.InMemory) else FEW
        self.factor, unit = _factor(q.tensor_scale, exponent)
        self.groups: list[tuple[slice, Array | None]] = [(slice(0, self.rows), None)]
        factor, width = self.factor, q.blocks.width
        self.block = self.length
        if not _along_rows(q):
            groups = _parts(slice(0, self.rows), width)
            self.groups = list(zip(groups, np.ascontiguousarray(q.scales), strict=True))
            self.few = min(self.few, width // 2)
            scales, zeros = np.ones((self.rows, 1), np.float32), None
            factor = np.float32(1.0)
        else:
            scales, zeros = q.row_scales(), q.row_zero_points()
            if q.blocks.axis is None:
                scales = np.full((self.rows, 1), scales[0, 0])
                zeros = None if zeros is None else np.full((self.rows, 1), zeros[0, 0])
            else:
                self.block = min(width, self.length)
        self.packed = np.ascontiguousarray(q.packed)
        self.row_bits = self.length * q.fmt.bits
        self.roomy = max(0, (self.packed.size - kernels.LANES) * 8 // self.row_bits)
        self.tail_byte = self.roomy * self.row_bits // 8
        self.tail = np.concatenate((self.packed[self.tail_byte :], NOTHING))
        self.loose = True if self.row_bits % 8 or self.block * q.fmt.bits % 8 else None
        self.weights: Any = (
            (0,) * q.fmt.bits, self.loose, rule, self.block, np.ascontiguousarray(scales), factor,
            None if zeros is None else np.ascontiguousarray(zeros), unit, self.length,
        )  # fmt: skip

    def write(self, x: Array, y: Array, threads: int) -> bool:
        """Write the products with ``x`` to ``y``; return whether all of both is finite."""
        x = np.ascontiguousarray(x)
        if len(x) > self.few:
            return self.write_by_tiles(x, y, threads)
        if len(self.groups) == 1:
            return self.write_group(x, *self.groups[0], y, threads)
        if not np.isfinite(x).all():  # which else each group would find out
            return False
        return all(each(lambda group: self.write_group(x, *group, y, 1), self.groups, threads))

    def write_group(
        self, x: Array, rows: slice, scales: Array | None, y: Array, threads: int
    ) -> bool:
        """Do so straight from the codes, for rows and vectors that are multiplied by scales."""
        down, powers = _with_room(len(x), self.length, self.block), np.empty(len(x))
        if not scale_down(x, scales, float(self.factor), self.block, down, powers):
            return False
        down = down.reshape(len(x), -1)
        ahead = min(HEAD_START // down.size, rows.stop - rows.start)
        share = max(1, -(-(rows.stop - rows.start - ahead) // threads))
        parts = _parts(rows, share, ahead)
        each(lambda some: self.multiply(down, y, some), parts, threads)
        return scale_up(y[:, rows], powers)

    def write_by_tiles(self, x: Array, y: Array, threads: int) -> bool:
        """Do so by tiles."""
        down, powers = np.empty((len(x), 1, self.length), np.float32), np.empty(len(x))
        if not scale_down(x, None, 1.0, self.length, down, powers):
            return False
        tiles = _tiles(self.rows, self.length)
        each(lambda some: self.multiply_tile(down[:, 0], y, some), tiles, threads)
        return scale_up(y, powers)

    def multiply(self, x: Array, y: Array, some: slice) -> None:
        """Multiply by some rows straight from the codes."""
        one = (0,)
        for start, stop, packed, base in self.parts(some):
            n = len(x) // SEVERAL * SEVERAL if stop - start >= SEVERAL_ROWS else 0
            if n:
                kernels.multiply(
                    x[:n], one * SEVERAL, y[:n], one * SEVERAL_ROWS, start, stop, packed, base,
                    *self.weights,
                )  # fmt: skip
            if n < len(x):
                kernels.multiply(x[n:], one, y[n:], one, start, stop, packed, base, *self.weights)

    def multiply_tile(self, x: Array, y: Array, some: slice) -> None:
        """Decode a tile and multiply by it."""
        tile = np.empty((some.stop - some.start) * self.length + kernels.LANES, np.float32)
        for start, stop, packed, base in self.parts(some):
            kernels.decode(tile, start, stop, packed, base, *self.weights)
            weights = tile[: (stop - start) * self.length].reshape(stop - start, self.length)
            self.scale(weights, start, stop)
            y[:, start:stop] = _times_transposed(x, weights)

    def scale(self, weights: Array, start: int, stop: int) -> None:
        """Multiply weights by the scales of their groups, where there are any."""
        size = self.groups[0][0].stop
        for rows, scales in self.groups[start // size : -(-stop // size)]:
            some = slice(max(rows.start - start, 0), rows.stop - start)
            if scales is not None:
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    weights[some] *= (scales * np.float64(self.factor)).astype(np.float32)

    def parts(self, some: slice) -> list[tuple[int, int, Array, int]]:
        """Return rows (from, to), the codes, and the bit that these begin with.

        The last rows, after which too few bytes follow, are read from a copy.
        """
        low, middle, high = some.start, min(max(some.start, self.roomy), some.stop), some.stop
        both = [(low, middle, self.packed, 0), (middle, high, self.tail, 8 * self.tail_byte)]
        return [part for part in both if part[0] < part[1]]


@lru_cache(maxsize=64)
def _factor(tensor_scale: float | None, exponent: int) -> tuple[Any, float]:
    """Return what scales are multiplied by, and zeros, for values that lack a power of two."""
    with np.errstate(over="ignore", under="ignore"):
        factor: Any = float(np.ldexp(tensor_scale or 1.0, exponent))
        if float(np.float32(factor)) == factor:  # rounded once, times a scale, either way
            factor = np.float32(factor)
        return factor, float(np.ldexp(1.0, -exponent))


def _with_room(count: int, length: int, block: int) -> Array:
    """Return zeros for vectors in blocks, each with room for whole steps, from a cache line on."""
    shape = (count, -(-length // block), -(-block // kernels.LANES) * kernels.LANES)
    size = math.prod(shape)
    found = np.zeros(size + LINE // 4, np.float32)
    start = -found.__array_interface__["data"][0] % LINE // 4
    return found[start : start + size].reshape(shape)
