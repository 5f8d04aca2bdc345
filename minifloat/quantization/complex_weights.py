"""Complex weights as codes of phases, with a scale for each axis.

A weight gets the nearest of some phases, whatever its magnitude. What a code means is its value
with the real part times one scale and the imaginary part times another (Fairy2i,
PKULab1806/Fairy2i-W2):

    scale = sum Re(w) Re(c) / sum Re(c)**2    over weights w and the values c of their codes

and so for the imaginary parts: the scales of least squared error for these codes. With {1, i, -1,
-i} they are the mean of |Re w| where the code is 1 or -1, and of |Im w| where it is i or -i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat.codec.complex_codes import checked, complex_array, encode
from minifloat.formats.base import shown
from minifloat.formats.complex_codebook import FAIRY, ComplexCodebook
from minifloat.packing import pack, unpack
from minifloat.quantization import checks

FLOOR = 1e-6  # of a scale, as in the code of Fairy2i
SCALE_BITS = 32


@dataclass(frozen=True, eq=False, repr=False)
class ComplexQuantized:
    """Complex weights as packed codes and scales; equal to another with the same ones.

    ``np.asarray(q)`` dequantizes. The arrays are read-only.

    Attributes
    ----------
    packed : ndarray of uint8
        The codes in C order, as `minifloat.pack` has them.
    scales : ndarray of float32, (2,) or (..., 2)
        Of the real and of the imaginary parts: of all weights, or of each row. Finite and above 0.
    fmt : ComplexCodebook
        Of phases: all values have magnitude 1.
    shape : tuple of int
        Shape of the weights.

    Raises
    ------
    ValueError
        If the size, the dtype or a number of an array contradicts the format or the shape.
    TypeError
        If a part is of another kind.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]
    fmt: ComplexCodebook
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_phases(self.fmt)
        shape = checks.checked_shape(self.shape)
        object.__setattr__(self, "shape", shape)
        held = checks.checked_bytes(self.packed, self.size, self.fmt)  # type: ignore[arg-type]  # bits alone
        if self.fmt.code_count < 1 << self.fmt.bits and self.size:
            largest = int(unpack(held, self.fmt.bits, self.size).max())
            if largest >= self.fmt.code_count:
                raise ValueError(
                    f"packed must have codes below {self.fmt.code_count}, got {largest}"
                )
        object.__setattr__(self, "packed", held)
        of_rows = (*shape[:-1], 2)
        wanted = of_rows if getattr(self.scales, "ndim", 1) > 1 else (2,)
        scales = checks.checked_array("scales", self.scales, np.float32, wanted)
        wrong = ~(np.isfinite(scales) & (scales > 0))
        if wrong.any():
            raise ValueError(f"scales must be finite and above 0, got {scales[wrong].flat[0]}")
        object.__setattr__(self, "scales", scales)

    @property
    def size(self) -> int:
        """Number of complex weights."""
        return math.prod(self.shape)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """The codes in the shape of the weights; a new array at each call."""
        return unpack(self.packed, self.fmt.bits, self.size).reshape(self.shape)

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage for each complex weight, scales counted; without weights of a code."""
        if not self.size:
            return float(self.fmt.bits)
        return self.fmt.bits + self.scales.size * SCALE_BITS / self.size

    @property
    def nbytes(self) -> int:
        """Bytes of storage."""
        return self.packed.nbytes + self.scales.nbytes

    def dequantize(self) -> NDArray[np.complex64]:
        """Return the weights that the codes mean: both parts times their scale, rounded once."""
        return self._of(self.codes, self.scales)

    def dequantize_rows(self, rows: slice) -> NDArray[np.complex64]:
        """Return some rows of a matrix, those of a slice without a step."""
        count, length = self.shape
        first, last, _ = rows.indices(count)
        number = max(last - first, 0)
        codes = unpack(self.packed, self.fmt.bits, number * length, start=first * length)
        scales = self.scales if self.scales.ndim == 1 else self.scales[first:last]
        return self._of(codes.reshape(number, length), scales)

    def _of(self, codes: NDArray[np.uint8], scales: NDArray[np.float32]) -> NDArray[np.complex64]:
        values = self.fmt.values()
        every = scales if scales.ndim == 1 else scales[..., np.newaxis, :]
        parts = np.empty((*codes.shape, 2), np.float32)
        parts[..., 0] = values.real[codes] * every[..., 0]
        parts[..., 1] = values.imag[codes] * every[..., 1]
        return parts.view(np.complex64)[..., 0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the dequantized weights."""
        if copy is False:
            raise ValueError("copy must not be False: dequantizing makes a new array")
        return self.dequantize().astype(np.complex64 if dtype is None else dtype, copy=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ComplexQuantized):
            return NotImplemented
        return (
            (self.fmt, self.shape) == (other.fmt, other.shape)
            and np.array_equal(self.packed, other.packed)
            and np.array_equal(self.scales, other.scales)
        )

    __hash__ = None  # type: ignore[assignment]  # as of arrays

    def __repr__(self) -> str:
        return (
            f"<ComplexQuantized {self.fmt.name} {self.shape}: {self.bits_per_weight:.4g} bits per "
            "complex weight>"
        )


def quantize(
    w: ArrayLike,
    fmt: ComplexCodebook = FAIRY,
    *,
    block: Literal["tensor", "channel"] = "tensor",
) -> ComplexQuantized:
    """Quantize complex weights: the nearest phase of each, and a scale for each axis.

    Parameters
    ----------
    w : array_like of complex
        Finite weights of any shape.
    fmt : ComplexCodebook
        Of phases: all values have magnitude 1, so that codes do not depend on a scale.
    block : str
        What shares two scales: "tensor" as in Fairy2i, or "channel", a row along the last axis.

    Returns
    -------
    ComplexQuantized
        Scales are at least 1e-6, as in Fairy2i.

    Raises
    ------
    ValueError
        If a weight is infinite or NaN, a scale is beyond float32, a value of the format has another
        magnitude, or there is no such block.
    TypeError
        If ``w`` is not numeric, or ``fmt`` is another format.

    Examples
    --------
    >>> from minifloat.quantization.complex_weights import quantize
    >>> q = quantize([2 + 1j, -0.5 + 3j, -4])
    >>> q, q.dequantize().tolist()
    (<ComplexQuantized fairy (3,): 23.33 bits per complex weight>, [(3+0j), 3j, (-3+0j)])
    """
    _check_phases(fmt)
    if not isinstance(block, str) or block not in ("tensor", "channel"):
        raise ValueError(f"block must be tensor or channel, got {shown(block)}")
    weights = complex_array("w", w)
    codes = encode(weights, fmt)
    by_row = block == "channel" and weights.ndim > 1
    axis = -1 if by_row else None
    values = fmt.values()[codes]
    scales = []
    for part, of_code in ((weights.real, values.real), (weights.imag, values.imag)):
        power = np.square(of_code).sum(axis=axis)
        scales.append((part * of_code).sum(axis=axis) / np.where(power == 0, 1, power))
    found = np.maximum(np.stack(scales, axis=-1), FLOOR)
    if found.max(initial=0) > np.finfo(np.float32).max:
        raise ValueError(f"w must have scales of float32, got {found.max():g}; use smaller weights")
    return ComplexQuantized(
        packed=pack(codes.reshape(-1), fmt.bits),
        scales=found.astype(np.float32),
        fmt=fmt,
        shape=weights.shape,
    )


def _check_phases(fmt: ComplexCodebook) -> None:
    if not checked(fmt).is_phases:
        raise ValueError(
            f"fmt must have values of magnitude 1, got {shown(fmt)}; encode scaled weights with "
            "minifloat.codec.complex_codes"
        )
