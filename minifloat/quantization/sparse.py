"""A sparse matrix in compressed rows (CSR): numbers of 16 bits, columns as gaps of few bits.

Each entry has a value, a float16, and its *gap*: how many columns lie between it and the entry
before it in its row, or the row's begin. Gaps have the same number of bits, of all that hold the
matrix the one with the least bits in all. A gap g that is too long for b bits is cut by an entry of
value 0, whose gap is the longest one, 2**b - 1; then g - 2**b columns are left. So such an entry
is as any other to what reads it, and costs as much. (Deep Compression, arXiv 1510.00149, pads in
this way.) A row's number of entries takes the bits that hold the number of inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import Codes, code_dtype, source_array
from minifloat._tensors import AnyTensor
from minifloat.formats.base import check_int, shown
from minifloat.packing import byte_count
from minifloat.quantization.checks import checked_array, checked_shape, read_only

VALUE_BITS = 16
MOST_GAP_BITS = 16


@dataclass(frozen=True, eq=False, repr=False)
class Sparse:
    """A sparse matrix; `Sparse.of` makes one of an array. The arrays are read-only.

    Attributes
    ----------
    values : ndarray of float32, (entries,)
        Row after row; finite numbers that float16 holds.
    gaps : ndarray of uint8, or uint16 beyond 8 bits, (entries,)
        For each entry the columns between it and the one before it in its row.
    row_lengths : ndarray of uint32, (outputs,)
        Entries of each row.
    gap_bits : int
        Bits of a gap, 1 to 16.
    shape : tuple of int
        (outputs, inputs).

    Raises
    ------
    ValueError
        If the size, the dtype or a number of an array contradicts the shape or the others.
    TypeError
        If a part is no array, int or shape.
    """

    values: NDArray[np.float32]
    gaps: Codes
    row_lengths: NDArray[np.uint32]
    gap_bits: int
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        shape = checked_shape(self.shape)
        if len(shape) != 2:
            raise ValueError(f"shape must be (outputs, inputs), got {shape}")
        self._set("shape", shape)
        self._set("gap_bits", check_int("gap_bits", self.gap_bits, 1, MOST_GAP_BITS))
        size = (self.values.size if isinstance(self.values, np.ndarray) else 0,)
        self._set("values", checked_array("values", self.values, np.float32, size))
        self._set("gaps", checked_array("gaps", self.gaps, code_dtype(self.gap_bits), size))
        lengths = checked_array("row_lengths", self.row_lengths, np.uint32, shape[:1])
        self._set("row_lengths", lengths)
        if int(lengths.sum(dtype=np.uint64)) != size[0]:
            raise ValueError(
                f"row_lengths must add up to the number of entries, {size[0]}, got {lengths.sum()}"
            )
        wrong = ~holds_in_float16(self.values)
        if wrong.any():
            raise ValueError(
                f"values must be finite and of float16, got {self.values[wrong][0]}; round them "
                "to it first"
            )
        if size[0]:
            if int(self.gaps.max()) >> self.gap_bits:
                raise ValueError(
                    f"gaps must be below 2**{self.gap_bits}, for gap_bits={self.gap_bits}, got "
                    f"{self.gaps.max()}"
                )
            if int(self.columns.max()) >= shape[1]:
                raise ValueError(
                    f"gaps must lead to columns below {shape[1]}, got {self.columns.max()}"
                )

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def of(cls, matrix: ArrayLike | AnyTensor) -> Sparse:
        """Return the numbers of a matrix that are not 0, each rounded to float16.

        Parameters
        ----------
        matrix : array_like of floats or integers, (outputs, inputs)

        Returns
        -------
        Sparse

        Raises
        ------
        ValueError
            If it is not 2-d, or a number is not finite or rounds beyond float16's largest, 65504.
        TypeError
            If it is not numeric.

        Examples
        --------
        >>> from minifloat.composites import Sparse
        >>> s = Sparse.of([[0.0, 0.0, 7.5, 0.0], [-1.0, 0.0, 0.0, 2.0]])
        >>> s.values.tolist(), s.gaps.tolist(), s.row_lengths.tolist()
        ([7.5, -1.0, 2.0], [2, 0, 2], [1, 2])
        >>> s.gap_bits, s.bits
        (2, 60)
        """
        given = source_array(matrix, "matrix")[0]
        if given.ndim != 2:
            raise ValueError(f"matrix must be of shape (outputs, inputs), got shape {given.shape}")
        rows, columns = np.nonzero(given)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            values = given[rows, columns].astype(np.float16).astype(np.float32)
        if not np.isfinite(values).all():
            wrong = given[rows, columns][~np.isfinite(values)][0]
            raise ValueError(f"matrix must be of numbers up to 65504 in magnitude, got {wrong}")
        starts = np.searchsorted(rows, rows)  # the first entry of each one's row
        before = np.where(np.arange(rows.size) > starts, np.roll(columns, 1), -1)
        gaps = columns - before - 1
        bits = min(
            range(1, MOST_GAP_BITS + 1),
            key=lambda b: int((1 + (gaps >> b)).sum()) * (VALUE_BITS + b),
        )
        cuts = gaps >> bits  # entries of value 0 before each one
        ends = np.cumsum(cuts + 1)
        total = int(ends[-1]) if ends.size else 0
        filled = np.full(total, (1 << bits) - 1, code_dtype(bits))
        filled[ends - 1] = gaps & ((1 << bits) - 1)
        every = np.zeros(total, np.float32)
        every[ends - 1] = values
        lengths = np.bincount(rows, cuts + 1, minlength=given.shape[0]).astype(np.uint32)
        return cls(every, filled, lengths, bits, given.shape)

    @property
    def size(self) -> int:
        """Number of entries, with those of value 0 that cut long gaps."""
        return self.values.size

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """For each row the number of entries up to its end."""
        return read_only(np.cumsum(self.row_lengths, dtype=np.int64))

    @property
    def columns(self) -> NDArray[np.int64]:
        """The column of each entry; a new array at each call."""
        places = np.cumsum(self.gaps.astype(np.int64) + 1)
        starts = np.concatenate([[0], places])[self.ends - self.row_lengths]
        return np.asarray(places - np.repeat(starts, self.row_lengths) - 1)

    @property
    def bits(self) -> int:
        """Bits of storage: values, gaps and the rows' numbers of entries."""
        entries = self.size * (VALUE_BITS + self.gap_bits)
        return entries + self.shape[0] * length_bits(self.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of storage, each array in whole bytes."""
        gaps = byte_count(self.size, self.gap_bits)
        lengths = byte_count(self.shape[0], length_bits(self.shape[1]))
        return self.size * VALUE_BITS // 8 + gaps + lengths

    def dequantize(self) -> NDArray[np.float32]:
        """Return the matrix with its zeros.

        Returns
        -------
        ndarray of float32, (outputs, inputs)

        Examples
        --------
        >>> from minifloat.composites import Sparse
        >>> Sparse.of([[0.0, 7.5], [-1.0, 0.0]]).dequantize()
        array([[ 0. ,  7.5],
               [-1. ,  0. ]], dtype=float32)
        """
        matrix = np.zeros(self.shape, np.float32)
        rows = np.repeat(np.arange(self.shape[0]), self.row_lengths)
        matrix[rows, self.columns] = self.values
        return matrix

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sparse):
            return NotImplemented
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return all(np.array_equal(a, b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]  # as of arrays

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by the fields: arrays that come back would be writeable otherwise."""
        return type(self), tuple(getattr(self, f.name) for f in fields(self))

    def __repr__(self) -> str:
        return (
            f"<Sparse {shown(self.shape)}: {self.size} entries of float16, gaps of "
            f"{self.gap_bits} bits>"
        )


def length_bits(inputs: int) -> int:
    """Return the bits of a row's number of entries."""
    return max(1, inputs.bit_length())


def holds_in_float16(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which numbers are finite and values of float16."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        halves = numbers.astype(np.float16)
    return np.asarray(np.isfinite(halves) & (halves == numbers))
