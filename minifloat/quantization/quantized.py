"""`Quantized`: weights as packed codes, with the scales of their blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import code_dtype
from minifloat.codec import decode
from minifloat.formats import Integer, NumberFormat
from minifloat.packing import byte_count, pack_words, unpack
from minifloat.packing.layouts import Layout, parse_layout
from minifloat.quantization.scales import FLOAT32, scale_format

DOUBLE_FORMAT, DOUBLE_BLOCK = "e4m3fn", 256


@dataclass(frozen=True, eq=False)
class DoubleScales:
    """Scales that are quantized themselves, after their mean is subtracted (QLoRA).

    Attributes
    ----------
    quantized : Quantized
        The differences from the mean, in C order: E4M3FN in blocks of 256 with float32 scales.
    mean : float
        A float32 number.

    Raises
    ------
    ValueError
        If the differences are not such, or the mean is not a finite float32 number.
    """

    quantized: Quantized
    mean: float

    def __post_init__(self) -> None:
        codes = self.quantized
        plan = (codes.fmt.name, codes.block_size, len(codes.shape), codes.scale_format)
        if plan != (DOUBLE_FORMAT, DOUBLE_BLOCK, 1, "float32"):
            raise ValueError(
                f"quantized must be 1-d, {DOUBLE_FORMAT} in blocks of {DOUBLE_BLOCK} with float32 "
                f"scales, got {codes!r}"
            )
        if not _is_float32(self.mean):
            raise ValueError(f"mean must be a finite float32 number, got {self.mean!r}")

    def values(self) -> NDArray[np.float32]:
        """Return the scales: difference plus mean, both float32, rounded to float32.

        Returns
        -------
        ndarray of float32, 1-d

        Raises
        ------
        ValueError
            If a code is not one of its format's.

        Examples
        --------
        >>> import minifloat as mf
        >>> from minifloat.quantization.quantized import DoubleScales
        >>> q = mf.quantize([0.5, -1.0], "e4m3fn", block_size=256, scale="float32")
        >>> DoubleScales(q, 2.0).values()
        array([2.5, 1. ], dtype=float32)
        """
        return self.quantized.dequantize() + np.float32(self.mean)

    @property
    def bits(self) -> int:
        """Bits of storage: codes, scales of the scales, and the mean."""
        size = self.quantized.size
        return round(self.quantized.bits_per_weight * size) + 32 if size else 32

    @property
    def nbytes(self) -> int:
        """Bytes of storage."""
        return self.quantized.nbytes + 4


@dataclass(frozen=True, eq=False)
class Quantized:
    """Weights as packed codes and scales.

    Attributes
    ----------
    packed : ndarray of uint8
        The codes in C order, as `minifloat.pack` has them (little-endian).
    scales : ndarray of float32
        Values of ``scale_format``; the shape of the weights with the length of ``axis`` replaced
        by the number of blocks, or 0-d for one scale. 0 for a block of zeros, or the least value
        of a format without zero.
    fmt : NumberFormat
        What the codes mean.
    shape : tuple of int
        That of the weights.
    block_size : int or None
        Elements that share a scale along ``axis`` (the last block may be shorter); None: all.
    axis : int or None
        The axis that blocks run along; None: one scale for the tensor.
    scale_format : str
        float32, or the name of a `Format`.
    tensor_scale : float, optional
        A float32 number by which all scales are multiplied.
    zeros : ndarray of unsigned integers, optional
        For each scale the code that means 0, of the codes' dtype.
    double : DoubleScales, optional
        The scales as they are stored, if they are quantized themselves.

    Raises
    ------
    ValueError
        If the bytes, the scales or the zeros are not as many as the other fields ask for, or not
        of their dtype, or one of them is not what it must be.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]
    fmt: NumberFormat
    shape: tuple[int, ...]
    block_size: int | None
    axis: int | None
    scale_format: str
    tensor_scale: float | None = None
    zeros: NDArray[Any] | None = None
    double: DoubleScales | None = None

    def __post_init__(self) -> None:
        count = byte_count(self.size, self.fmt.bits)
        if self.packed.dtype != np.uint8 or self.packed.shape != (count,):
            raise ValueError(
                f"packed must be {count} bytes for {self.size} codes of {self.fmt}, got "
                f"{self.packed.dtype} of shape {self.packed.shape}"
            )
        wanted = scale_shape(self.shape, self.block_size, self.axis)
        if self.scales.dtype != np.float32 or self.scales.shape != wanted:
            raise ValueError(
                f"scales must be float32 of shape {wanted}, got {self.scales.dtype} of shape "
                f"{self.scales.shape}"
            )
        if scale_format(self.scale_format)[0] != self.scale_format:
            raise ValueError(
                f"scale_format must be the name {scale_format(self.scale_format)[0]!r}, got "
                f"{self.scale_format!r}"
            )
        if self.tensor_scale is not None:
            _check_tensor_scale(self.tensor_scale)
        if self.zeros is not None:
            _check_zeros(self.zeros, wanted, self.fmt)
        if self.double is not None and not np.array_equal(
            self.double.values().reshape(wanted), self.scales
        ):
            raise ValueError("scales must be those of double, got others")

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
        """Bits of storage per weight, all scales and zeros counted; of no weights the format's.

        The bits that are left in an array's last byte are not counted.
        """
        if not self.size:
            return float(self.fmt.bits)
        if self.double is not None:
            bits = self.double.bits
        else:
            bits = self.scales.size * scale_format(self.scale_format)[1]
        if self.tensor_scale is not None:
            bits += 32
        if self.zeros is not None:
            bits += self.zeros.size * self.fmt.bits
        return self.fmt.bits + bits / self.size

    @property
    def nbytes(self) -> int:
        """Bytes of storage: packed codes, scales in the width of their format, packed zeros."""
        total = self.packed.nbytes
        if self.double is not None:
            total += self.double.nbytes
        else:
            total += byte_count(self.scales.size, scale_format(self.scale_format)[1])
        if self.tensor_scale is not None:
            total += 4
        if self.zeros is not None:
            total += byte_count(self.zeros.size, self.fmt.bits)
        return total

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

        With zeros the value is the code less its block's zero. With a tensor scale the product of
        the three is taken in float64, where it is exact if the significands of the formats of
        values and scales have at most 29 bits together (NVFP4's have 6, NF4's with E4M3FN scales
        28), and then rounded to float32.

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
            rows, length = as_rows(np.asarray(values), self.axis)
            size = self.block_size or max(length, 1)
            scales = as_rows(self.scales, self.axis)[0]
            if self.zeros is not None:
                zeros = as_rows(self.zeros, self.axis)[0]
                rows = rows - spread(zeros, size, length).astype(rows.dtype)
            if self.tensor_scale is not None:
                scales = scales.astype(np.float64) * self.tensor_scale
            out = np.empty(self.shape, np.float32)
            target = np.moveaxis(out, self.axis, -1) if self.axis is not None else out
            scaled = rows * spread(scales, size, length)
            target[...] = scaled.reshape(target.shape)
        return out

    def __matmul__(self, x: ArrayLike) -> NDArray[np.float32]:
        """Return ``dequantize() @ x`` from the packed codes; see `minifloat.products.matmul`."""
        from minifloat.products import matmul

        return matmul(self, x)

    def __repr__(self) -> str:
        blocks = "tensor" if self.axis is None else f"axis {self.axis}"
        size = "" if self.block_size is None else f", block_size {self.block_size}"
        scales = self.scale_format
        if self.double is not None:
            scales += f" in {self.double.quantized.fmt}"
        if self.tensor_scale is not None:
            scales += f" x {self.tensor_scale:.4g}"
        zeros = "" if self.zeros is None else ", zeros"
        return (
            f"<Quantized {self.fmt} {self.shape}: {self.bits_per_weight:.4g} bits per weight, "
            f"{blocks}{size}, scales {scales}{zeros}>"
        )


def scale_shape(
    shape: tuple[int, ...], block_size: int | None, axis: int | None
) -> tuple[int, ...]:
    """Return the shape of the scales: the length of ``axis`` replaced by the number of blocks."""
    if axis is None:
        return ()
    length = shape[axis]
    axis %= len(shape)
    blocks = -(-length // (block_size or max(length, 1)))
    return (*shape[:axis], blocks, *shape[axis + 1 :])


def _is_float32(number: object) -> bool:
    if not isinstance(number, float) or not abs(number) <= FLOAT32.greatest:
        return False
    return float(np.float32(number)) == number


def _check_tensor_scale(scale: float) -> None:
    if not (_is_float32(scale) and scale > 0):
        raise ValueError(f"tensor_scale must be a float32 number above 0, got {scale!r}")


def _check_zeros(zeros: NDArray[Any], shape: tuple[int, ...], fmt: NumberFormat) -> None:
    if not (isinstance(fmt, Integer) and not fmt.signed):
        raise ValueError(f"zeros must belong to an unsigned integer format, got {fmt}")
    dtype = code_dtype(fmt.bits)
    if zeros.dtype != dtype or zeros.shape != shape:
        raise ValueError(
            f"zeros must be {np.dtype(dtype)} of shape {shape}, got {zeros.dtype} of shape "
            f"{zeros.shape}"
        )
    if zeros.size and int(zeros.max()) >= fmt.code_count:
        raise ValueError(f"zeros must be below {fmt.code_count} for {fmt}, got {zeros.max()}")


def as_rows(a: NDArray[Any], axis: int | None) -> tuple[NDArray[Any], int]:
    """View ``a`` as rows along ``axis`` (one row for None); return them and their length."""
    if axis is None:
        return a.reshape(1, -1), a.size
    moved = np.moveaxis(a, axis, -1)
    length = moved.shape[-1]
    return moved.reshape(-1, length) if length else moved.reshape(0, 0), length


def spread(scales: NDArray[Any], size: int, length: int) -> NDArray[Any]:
    """Repeat the scales of each row over the elements of their blocks (or leave a single one)."""
    if scales.shape[1] == 1:
        return scales
    return np.repeat(scales, size, axis=1)[:, :length]
