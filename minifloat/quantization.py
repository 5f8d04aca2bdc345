"""Codes with scales: `quantize` weights to a `Quantized`, and back with `dequantize`.

A scale belongs to a block of neighbours along one axis. With rule "absmax" it is the block's
greatest magnitude over the format's, rounded to the scale's format, and an element is
``encode(w / scale)``. The quotient is taken in float64, where it is on the right side of every
decision point of a format of up to 11 bits of precision, for float32 weights and scales: a
quotient that is not on a decision point differs from it by more than float64's rounding error. So
each weight is rounded once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import source_array
from minifloat.codec import decode, encode, round_to
from minifloat.formats import NumberFormat
from minifloat.layouts import Layout, parse_layout
from minifloat.names import parse
from minifloat.packing import byte_count, pack, pack_words, unpack

SCALE_BITS = {"float32": 32, "float16": 16, "bfloat16": 16}
CHUNK = 1 << 16  # elements that are scaled at a time


@dataclass(frozen=True, eq=False)
class Quantized:
    """Weights as packed codes and scales.

    Attributes
    ----------
    packed : ndarray of uint8
        The codes in C order, as `minifloat.pack` has them (little-endian).
    scales : ndarray of float32
        Values of ``scale_format``; the shape of the weights with the length of ``axis`` replaced
        by the number of blocks, or 0-d for one scale. 0 for a block of zeros.
    fmt : NumberFormat
        What the codes mean.
    shape : tuple of int
        That of the weights.
    block_size : int or None
        Elements that share a scale along ``axis`` (the last block may be shorter); None: all.
    axis : int or None
        The axis that blocks run along; None: one scale for the tensor.
    scale_format : str
        float32, float16 or bfloat16.

    Raises
    ------
    ValueError
        If the bytes or the scales are not as many as the other fields ask for, or not of their
        dtype.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]
    fmt: NumberFormat
    shape: tuple[int, ...]
    block_size: int | None
    axis: int | None
    scale_format: str

    def __post_init__(self) -> None:
        count = byte_count(self.size, self.fmt.bits)
        if self.packed.dtype != np.uint8 or self.packed.shape != (count,):
            raise ValueError(
                f"packed must be {count} bytes for {self.size} codes of {self.fmt}, got "
                f"{self.packed.dtype} of shape {self.packed.shape}"
            )
        wanted = _scale_shape(self.shape, self.block_size, self.axis)
        if self.scales.dtype != np.float32 or self.scales.shape != wanted:
            raise ValueError(
                f"scales must be float32 of shape {wanted}, got {self.scales.dtype} of shape "
                f"{self.scales.shape}"
            )

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def codes(self) -> NDArray[Any]:
        """The codes in the shape of the weights, uint8 to 8 bits; a new array at each call."""
        return unpack(self.packed, self.fmt.bits, self.size).reshape(self.shape)

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage per weight, scales counted; the format's bits for an empty tensor."""
        if not self.size:
            return float(self.fmt.bits)
        scale_bits = self.scales.size * SCALE_BITS[self.scale_format]
        return self.fmt.bits + scale_bits / self.size

    @property
    def nbytes(self) -> int:
        """Bytes of storage: packed codes, and scales in the width of their format."""
        return self.packed.nbytes + self.scales.size * SCALE_BITS[self.scale_format] // 8

    def words(self, layout: Layout | str) -> NDArray[np.uint32]:
        """Return the codes in 32-bit words, packed along the last axis, for kernels to read.

        Parameters
        ----------
        layout : Layout or str
            A layout for codes of ``fmt.bits`` bits, or its name, such as "1+4".

        Returns
        -------
        ndarray of uint32
            As `minifloat.pack_words` gives it.

        Raises
        ------
        ValueError
            If there is no such layout, or it is for codes of another width, or the weights are 0-d.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.quantize([[1.0, -0.5, 0.1, 0.02]] * 3, "e2m2").words("1+4").shape
        (3, 5)
        """
        return pack_words(self.codes, parse_layout(layout, self.fmt.bits))

    def dequantize(self) -> NDArray[np.float32]:
        """Return value times scale, rounded once to float32.

        Returns
        -------
        ndarray of float32, in the shape of the weights

        Raises
        ------
        ValueError
            If a code is not one of the format's.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.quantize([1.0, -0.4, 0.3], "e2m1", scale="float32").dequantize()
        array([ 1.        , -0.33333334,  0.33333334], dtype=float32)
        """
        with np.errstate(over="ignore", under="ignore"):
            try:
                values = decode(self.codes, self.fmt)
            except ValueError:  # values that only float64 holds
                values = decode(self.codes, self.fmt, dtype=np.float64)
            rows, length = _rows(np.asarray(values), self.axis)
            size = self.block_size or max(length, 1)
            scales = _rows(self.scales, self.axis)[0]
            out = np.empty(self.shape, np.float32)
            target = np.moveaxis(out, self.axis, -1) if self.axis is not None else out
            scaled = rows * _spread(scales, size, length)
            target[...] = scaled.reshape(target.shape)
        return out

    def save(self, path: str | PathLike[str]) -> None:
        """Write these weights to a file; see `minifloat.save`.

        Parameters
        ----------
        path : path
            Ends in .npz or .safetensors.

        Raises
        ------
        ValueError, OSError
            As `minifloat.save`.

        Examples
        --------
        >>> import os, tempfile
        >>> import minifloat as mf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mf.quantize([1.0, -0.5], "e2m2").save(os.path.join(folder, "w.npz"))
        ...     os.listdir(folder)
        ['w.npz']
        """
        from minifloat.storage import save

        save(self, path)

    @staticmethod
    def load(path: str | PathLike[str]) -> Quantized:
        """Read what `save` wrote; see `minifloat.load`.

        Parameters
        ----------
        path : path
            Ends in .npz or .safetensors.

        Returns
        -------
        Quantized

        Raises
        ------
        ValueError
            As `minifloat.load`.

        Examples
        --------
        >>> import os, tempfile
        >>> import minifloat as mf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "w.npz")
        ...     mf.quantize([1.0, -0.5], "e2m2").save(path)
        ...     mf.Quantized.load(path)
        <Quantized e2m2 (2,): 13 bits per weight, axis 0, block_size 128, scales float16>
        """
        from minifloat.storage import load

        return load(path)

    def __repr__(self) -> str:
        blocks = "tensor" if self.axis is None else f"axis {self.axis}"
        size = "" if self.block_size is None else f", block_size {self.block_size}"
        return (
            f"<Quantized {self.fmt} {self.shape}: {self.bits_per_weight:.4g} bits per weight, "
            f"{blocks}{size}, scales {self.scale_format}>"
        )


def _scale_shape(
    shape: tuple[int, ...], block_size: int | None, axis: int | None
) -> tuple[int, ...]:
    """Return the shape of the scales: the length of ``axis`` replaced by the number of blocks."""
    if axis is None:
        return ()
    length = shape[axis]
    blocks = -(-length // (block_size or max(length, 1)))
    return (*shape[:axis], blocks, *shape[axis + 1 :])


def quantize(
    w: ArrayLike,
    fmt: NumberFormat | str,
    *,
    block_size: int | None = 128,
    axis: int | None = -1,
    scale: str = "float16",
    rule: str = "absmax",
) -> Quantized:
    """Quantize weights to ``fmt`` with a scale for each block.

    An all-zero block gets scale 0 and comes back as zeros. A scale too small for its format becomes
    its least positive value, never 0. Ties go to the even code.

    Parameters
    ----------
    w : array_like of float16, bfloat16, float32, float64 or integers
        Finite weights of any shape.
    fmt : format or str
        A `Format`, `Integer` or `Codebook`, or a name such as ``"e2m2"``.
    block_size : int, optional
        Elements along ``axis`` that share a scale; the last block may be shorter. None: the whole
        length of the axis (one scale for each channel).
    axis : int, optional
        The axis that blocks run along. None: one scale for the whole tensor.
    scale : str
        float32, float16 or bfloat16.
    rule : str
        "absmax": the block's greatest magnitude becomes the format's.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError
        If a weight is infinite or NaN (with its index), a scale is beyond its format, a weight is
        negative and the format has no negative values, or an option has no such value.
    TypeError
        If ``w`` is not numeric.

    Examples
    --------
    >>> import minifloat as mf
    >>> q = mf.quantize([[1.0, -0.5, 0.1, 0.02]], "e2m2", block_size=2, scale="float32")
    >>> q.codes.tolist(), q.scales.tolist()
    ([[15, 27, 15, 6]], [[0.1428571492433548, 0.014285714365541935]])
    >>> q.bits_per_weight
    21.0
    """
    fmt = parse(fmt)
    weights, _ = source_array(w)
    axis = _check_options(weights, block_size, axis, scale, rule)
    rows, length = _rows(weights, axis)
    size = block_size if block_size is not None and axis is not None else max(length, 1)
    scales = _absmax_scales(rows, size, fmt, scale, weights, axis)
    codes_shape = np.moveaxis(weights, axis, -1).shape if axis is not None else weights.shape
    codes = np.empty(rows.shape, encode(np.zeros(0), fmt).dtype)
    step = max(1, CHUNK // max(length, 1))
    for start in range(0, rows.shape[0], step):
        some = slice(start, start + step)
        divisor = _spread(scales[some], size, length).astype(np.float64)
        divisor[divisor == 0] = 1.0
        encode(rows[some] / divisor, fmt, out=codes[some])
    codes = codes.reshape(codes_shape)
    scales = scales.reshape((*codes_shape[:-1], scales.shape[1]) if axis is not None else ())
    if axis is not None:
        codes, scales = np.moveaxis(codes, -1, axis), np.moveaxis(scales, -1, axis)
    return Quantized(
        packed=pack(codes.reshape(-1), fmt.bits),
        scales=np.ascontiguousarray(scales).reshape(scales.shape),
        fmt=fmt,
        shape=weights.shape,
        block_size=block_size if axis is not None else None,
        axis=axis,
        scale_format=scale,
    )


def _check_options(
    weights: NDArray[Any], block_size: int | None, axis: int | None, scale: str, rule: str
) -> int | None:
    """Check the options; return the axis, non-negative, or None for one scale."""
    if rule != "absmax":
        raise ValueError(f'rule must be "absmax", got {rule!r}')
    if scale not in SCALE_BITS:
        raise ValueError(f"scale must be one of {', '.join(SCALE_BITS)}, got {scale!r}")
    for name, value in (("block_size", block_size), ("axis", axis)):
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool)):
            raise TypeError(f"{name} must be an int or None, got {value!r}")
    if block_size is not None and block_size < 1:
        raise ValueError(f"block_size must be at least 1 (or None for all), got {block_size}")
    if axis is None or weights.ndim == 0:
        return None
    if not -weights.ndim <= axis < weights.ndim:
        raise ValueError(f"axis must be an axis of w, of shape {weights.shape}, got {axis}")
    return axis % weights.ndim


def _rows(a: NDArray[Any], axis: int | None) -> tuple[NDArray[Any], int]:
    """View ``a`` as rows along ``axis`` (one row for None); return them and their length."""
    if axis is None:
        return a.reshape(1, -1), a.size
    moved = np.moveaxis(a, axis, -1)
    length = moved.shape[-1]
    return moved.reshape(-1, length) if length else moved.reshape(0, 0), length


def _spread(scales: NDArray[Any], size: int, length: int) -> NDArray[Any]:
    """Repeat the scales of each row over the elements of their blocks (or leave a single one)."""
    if scales.shape[1] == 1:
        return scales
    return np.repeat(scales, size, axis=1)[:, :length]


def _absmax_scales(
    rows: NDArray[Any],
    size: int,
    fmt: NumberFormat,
    scale: str,
    weights: NDArray[Any],
    axis: int | None,
) -> NDArray[np.float32]:
    """Return the scales of all blocks, one row of them for each row."""
    blocks = 1 if axis is None else -(-rows.shape[1] // size)
    greatest = np.zeros((rows.shape[0], blocks), np.float64)
    least = np.zeros((rows.shape[0], blocks), np.float64)
    for k in range(blocks):
        block = rows[:, k * size : (k + 1) * size]
        greatest[:, k], least[:, k] = block.max(axis=1, initial=0), block.min(axis=1, initial=0)
    absmax = np.maximum(greatest, -least)
    if not np.isfinite(absmax).all():
        row, k = (int(i) for i in np.argwhere(~np.isfinite(absmax))[0])
        place = _index(rows, row, k * size, size, weights, axis)
        raise ValueError(
            f"w must be finite, got {weights[place]} at index {place}; replace it before quantizing"
        )
    if fmt.min >= 0 and least.min(initial=0) < 0:
        raise ValueError(f"fmt must have negative values for weights below 0, got {fmt}")
    wanted = absmax / (fmt.max if fmt.min >= 0 else min(fmt.max, -fmt.min))
    if scale == "float32":
        with np.errstate(over="ignore"):
            rounded = wanted.astype(np.float32)
        smallest = float(np.finfo(np.float32).smallest_subnormal)
    else:
        rounded = round_to(wanted, scale, overflow="ieee", dtype=np.float64).astype(np.float32)
        smallest = parse(scale).smallest
    if not np.isfinite(rounded).all():
        row, k = (int(i) for i in np.argwhere(~np.isfinite(rounded))[0])
        raise ValueError(
            f"scale must hold every block's scale, got {wanted[row, k]:g} for {scale}, in block "
            f"{k} of row {row}; use a wider scale or smaller weights"
        )
    rounded[(rounded == 0) & (absmax > 0)] = smallest
    return rounded


def _index(
    rows: NDArray[Any], row: int, start: int, size: int, weights: NDArray[Any], axis: int | None
) -> tuple[int, ...]:
    """Return the index in the weights of the first element of a block that is not finite."""
    column = start + int(np.flatnonzero(~np.isfinite(rows[row, start : start + size]))[0])
    if axis is None:
        return tuple(int(i) for i in np.unravel_index(column, weights.shape))
    others = weights.shape[:axis] + weights.shape[axis + 1 :]
    index = [int(i) for i in np.unravel_index(row, others)] if others else []
    return (*index[:axis], column, *index[axis:])
