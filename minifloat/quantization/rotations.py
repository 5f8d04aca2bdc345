"""Rotations: blocks of weights multiplied by a Hadamard matrix with random signs.

A block b of n neighbours along an axis becomes

    H (s * b) / sqrt(n)

with a sign s for each place along the axis, and H a Hadamard matrix: entries 1 and -1, rows that
are orthogonal. So each new number is a signed sum of all n: an outlier is spread over its block.
The product with another vector does not change if that is rotated, too, and the size of an error
does not. As in QuIP# (arXiv 2402.04396) and QuaRot (arXiv 2404.00456), H is a small matrix times
one of Sylvester, so that a block takes n log2(n) additions. These papers take the small ones from
a table; here they are Paley's. And theirs come from a random generator; here the signs are a stated
function of the seed, so that a file needs the seed alone.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, SupportsIndex, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._kernels import hadamard as kernels
from minifloat._kernels import random_words
from minifloat._kernels.column_sums import LANES
from minifloat._tensors import AnyTensor, Tensor
from minifloat.formats.base import check_int, check_seed, shown
from minifloat.formats.grammar import lowered

Array = NDArray[Any]
Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]

MAX_SIZE = 1 << 20
MAX_CORE = 256  # numbers of a block that take as many additions each
MAX_LENGTH = 1 << 30  # of an axis
_TEXT = re.compile(r"hadamard([0-9]{1,20})(?::([0-9]{1,20}))?")


@dataclass(frozen=True, repr=False)
class Rotation:
    """Blocks multiplied by a Hadamard matrix with random signs; text: ``hadamard128:7``.

    Parameters
    ----------
    size : int
        Numbers of a block, which are rotated together; it divides the axis. A power of two, or one
        times m, where Paley's construction from a prime gives a matrix of size m <= 256: 12, 20,
        24, 28, 36, 40, 44, 48, 56, 60, ...
    seed : int
        Of the signs, 0 to 2**64 - 1.

    Raises
    ------
    ValueError
        If there is no such matrix, or ``seed`` is out of range.
    TypeError
        If ``size`` or ``seed`` is no int.

    Notes
    -----
    H is the Kronecker product of S and C. S is Sylvester's: it begins with (1), and a matrix A
    becomes the blocks (A, A; A, -A). C is (1) for a power of two; else its size m is the smallest,
    of those for which size / m is a power of two, that Paley (1933) has. With a prime q, the
    Jacobsthal matrix Q, whose entry i, j is 1 if j - i is a square modulo q, -1 if it is none, 0 if
    it is 0, is bordered by ones; let B have 0 in its corner:

        q = 3 mod 4, m = q + 1      B = (0, 1; -1, Q)    C = I + B
        q = 1 mod 4, m = 2 (q + 1)  B = (0, 1; 1, Q)     C = (B + I, B - I; B - I, -B - I)

    The first is taken if both have m.

    The sign of place i along the axis is -1 if the highest bit of number i (from 0) of SplitMix64
    (Steele, Lea and Flood, 2014) with this seed is 1.

    Examples
    --------
    >>> import minifloat as mf
    >>> rotation = mf.Rotation.parse("hadamard4")
    >>> rotation
    Rotation(size=4, seed=0)
    >>> rotation.signs(4)
    array([-1,  1,  1, -1], dtype=int8)
    >>> mf.quantize([[8.0, 0.0, 0.0, 0.0]], "int4/4/float32/hadamard4").codes.tolist()
    [[9, 9, 9, 9]]
    """

    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        size = check_int("size", self.size, 2, MAX_SIZE)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "seed", check_seed(self.seed))
        if core_size(size) is None:
            near = next(n for n in range(size - 1, 0, -1) if core_size(n))
            raise ValueError(
                "size must be a power of two, or one times 12, 20, 28, 36 or another size of "
                f"Paley's Hadamard matrices, got {size}; the next below it is {near}"
            )

    @classmethod
    def parse(cls, rotation: Rotation | str) -> Rotation:
        """Return the rotation that a text means: ``hadamard128``, or ``hadamard128:7`` of seed 7.

        Parameters
        ----------
        rotation : Rotation or str

        Returns
        -------
        Rotation
            ``Rotation.parse(str(rotation)) == rotation``.

        Raises
        ------
        ValueError
            If the text has no meaning, or there is no such matrix.
        TypeError
            If it is neither.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.Rotation.parse("hadamard96:5")
        Rotation(size=96, seed=5)
        """
        if isinstance(rotation, Rotation):
            return rotation
        if not isinstance(rotation, str):
            raise TypeError(f"rotation must be a Rotation or text, got {shown(rotation)}")
        match = _TEXT.fullmatch(lowered(rotation))
        if match is None:
            raise ValueError(
                f"rotation must be text as hadamard128 or hadamard128:7, got {shown(rotation)}"
            )
        return cls(int(match[1]), int(match[2] or 0))

    def __str__(self) -> str:
        return f"hadamard{self.size}" + (f":{self.seed}" if self.seed else "")

    def __repr__(self) -> str:
        return f"Rotation(size={self.size}, seed={self.seed})"

    def signs(self, length: SupportsIndex) -> NDArray[np.int8]:
        """Return the signs of the first places along an axis.

        Parameters
        ----------
        length : int

        Returns
        -------
        ndarray of int8, (length,)
            1 or -1. Those of a longer axis begin with them.

        Raises
        ------
        ValueError, TypeError
            If ``length`` is negative, or no int.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.Rotation(4, seed=1).signs(6).tolist()
        [-1, -1, -1, 1, 1, -1]
        """
        count = check_int("length", length, 0, MAX_LENGTH)
        words = np.empty(count, np.uint64)
        random_words.fill(words, np.uint64(self.seed))
        return np.where(words >> np.uint64(63), -1, 1).astype(np.int8)

    def matrix(self) -> NDArray[np.int8]:
        """Return H, (size, size), of 1 and -1; its rows are orthogonal.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.Rotation(4).matrix().tolist()
        [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]
        """
        core = _core(self.size)
        sylvester = np.ones((1, 1), np.int8)
        while len(sylvester) * len(core) < self.size:
            sylvester = np.block([[sylvester, sylvester], [sylvester, -sylvester]])
        return np.kron(sylvester, core)

    @overload
    def rotate(self, x: Tensor, *, axis: SupportsIndex = ...) -> Tensor: ...
    @overload
    def rotate(self, x: ArrayLike, *, axis: SupportsIndex = ...) -> Floats: ...
    def rotate(self, x: ArrayLike | AnyTensor, *, axis: SupportsIndex = -1) -> Any:
        """Return numbers whose blocks along an axis are rotated: H (s * b) / sqrt(n).

        Parameters
        ----------
        x : array_like
            Float64 and integers are computed with in float64, others in float32.
        axis : int
            Its length must be a multiple of ``size``.

        Returns
        -------
        ndarray of float32 or float64, in the shape of ``x``
            New; a tensor if ``x`` is one. Each operation is one of that float: products with
            s / sqrt(n), which is rounded once; then each m neighbours become the sum of the columns
            of C times them, added from the left; then S replaces numbers a, b at distance m by
            a + b and a - b, then those at distance 2 m, 4 m, ...

        Raises
        ------
        ValueError
            If ``size`` does not divide the length, or there is no such axis, or none at all.
        TypeError
            If ``x`` is not numeric.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.Rotation(4).rotate([0.0, 8.0, 0.0, 0.0])
        array([ 4., -4.,  4., -4.])
        """
        return self._along(x, axis, back=False)

    @overload
    def rotate_back(self, x: Tensor, *, axis: SupportsIndex = ...) -> Tensor: ...
    @overload
    def rotate_back(self, x: ArrayLike, *, axis: SupportsIndex = ...) -> Floats: ...
    def rotate_back(self, x: ArrayLike | AnyTensor, *, axis: SupportsIndex = -1) -> Any:
        """Undo `rotate`: s * (H^T b) / sqrt(n).

        Parameters
        ----------
        x, axis
            As for `rotate`.

        Returns
        -------
        ndarray of float32 or float64, in the shape of ``x``
            As of `rotate`, with the rows of C for its columns, and the products with s / sqrt(n)
            last.

        Raises
        ------
        ValueError, TypeError
            As `rotate`.

        Examples
        --------
        >>> import minifloat as mf
        >>> mf.Rotation(4).rotate_back([4.0, -4.0, 4.0, -4.0])
        array([-0.,  8.,  0., -0.])
        """
        return self._along(x, axis, back=True)

    def _along(self, x: ArrayLike | AnyTensor, axis: SupportsIndex, *, back: bool) -> Any:
        given, name = _arrays.source_array(x, "x")
        number, count = check_int("axis", axis), given.ndim
        if not count:
            raise ValueError("x must have an axis to rotate along, got a number; give an array")
        if not -count <= number < count:
            raise ValueError(
                f"axis must be in {-count}..{count - 1} for shape {given.shape}, got "
                f"{shown(number)}"
            )
        if given.shape[number] % self.size:
            raise ValueError(
                f"x must have a multiple of {self.size} numbers along axis {number}, got shape "
                f"{given.shape}; append zeros, or use a rotation of another size"
            )
        wide = name == "float64"
        dtype = np.float64 if wide else np.float32
        rows = np.ascontiguousarray(np.moveaxis(given, number, -1), dtype)
        out = np.empty(rows.shape, dtype)
        self.transform(rows, back=back, out=out)
        return _arrays.as_given(x, np.ascontiguousarray(np.moveaxis(out, -1, number)))

    def check_length(self, length: int) -> None:
        """Raise a ValueError unless blocks fill an axis of this length."""
        if length % self.size:
            fits = (n for n in range(min(self.size, length), 1, -1) if not length % n)
            best = next((n for n in fits if core_size(n)), None)
            remedy = "leave it out" if best is None else f"use hadamard{best}"
            raise ValueError(
                f"rotation must have a size that divides the length of the axis, {length}, got "
                f"{self}; {remedy}"
            )

    def transform(self, rows: Array, *, back: bool = False, out: Array | None = None) -> None:
        """Rotate rows: C-contiguous, of float32 or float64, of a length that was checked.

        Parameters
        ----------
        rows : ndarray, (..., length)
        back : bool
            Whether to undo it.
        out : ndarray, optional
            For the result, as ``rows``; without it they are rotated in place.
        """
        if not rows.size:
            return
        factors, core = _tables(self, rows.shape[-1], rows.dtype.char, back)
        self._transform(rows, rows if out is None else out, factors, core, back)

    def transform_down(
        self,
        columns: Array,
        *,
        back: bool = False,
        start: int = 0,
        length: int | None = None,
        out: Array | None = None,
    ) -> None:
        """Rotate columns: of whole blocks, C-contiguous, of float32 or float64.

        Parameters
        ----------
        columns : ndarray, (..., places, columns)
        back : bool
            Whether to undo it.
        start : int
            The place along the axis where they begin.
        length : int, optional
            Of the axis; without it they are all of it.
        out : ndarray, optional
            For the result, as ``columns``; without it they are rotated in place.
        """
        if not columns.size:
            return
        places, width = columns.shape[-2:]
        result = columns if out is None else out
        assert columns.flags.c_contiguous
        assert result.flags.c_contiguous
        factors, core = _tables(self, length or places, columns.dtype.char, back)
        factors = factors[start : start + places]
        if len(core) == 1:
            kernels.rotate_down(
                columns.reshape(-1), result.reshape(-1), self.size, factors, width, back
            )
            return
        rows = np.array(columns.swapaxes(-1, -2), order="C")
        self._transform(rows, rows, factors, core, back)
        result[...] = rows.swapaxes(-1, -2)

    def _transform(self, rows: Array, out: Array, factors: Array, core: Array, back: bool) -> None:
        assert rows.flags.c_contiguous  # else a single row would be read as if it were
        assert out.flags.c_contiguous
        if not rows.size:
            return
        scratch = np.empty(factors.size + core.shape[1], rows.dtype)
        kernels.rotate(rows.reshape(-1), out.reshape(-1), self.size, factors, core, scratch, back)


def core_size(size: int) -> int | None:
    """Return the size of C in the matrix of a size; None if there is no such matrix here.

    Examples
    --------
    >>> from minifloat.quantization.rotations import core_size
    >>> [core_size(n) for n in (1, 128, 20, 384, 28, 30)]
    [1, 1, 20, 12, 28, None]
    """
    odd = size // (size & -size)
    if odd == 1:
        return 1
    sizes = (odd << k for k in range(2, 8))
    return next((m for m in sizes if m <= MAX_CORE and not size % m and _primes_of(m)), None)


def _primes_of(m: int) -> list[int]:
    """Return the primes q, 3 or 1 modulo 4, from which Paley makes a matrix of size m."""
    first, second = m - 1, m // 2 - 1
    return [q for q, rest in ((first, 3), (second, 1)) if q % 4 == rest and _is_prime(q)]


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % k for k in range(2, math.isqrt(n) + 1))


@lru_cache(maxsize=32)
def _core(size: int) -> NDArray[np.int8]:
    """Return C of the matrix of a size."""
    m = core_size(size)
    assert m is not None
    if m == 1:
        return np.ones((1, 1), np.int8)
    q = _primes_of(m)[0]
    squares = {k * k % q for k in range(1, q)}
    symbols = np.array([0] + [1 if k in squares else -1 for k in range(1, q)], np.int8)
    places = np.arange(q)
    bordered = np.ones((q + 1, q + 1), np.int8)
    bordered[0, 0] = 0
    bordered[1:, 1:] = symbols[(places - places[:, np.newaxis]) % q]
    unit = np.eye(q + 1, dtype=np.int8)
    if m == q + 1:
        bordered[1:, 0] = -1
        return unit + bordered
    plus, minus = bordered + unit, bordered - unit
    return np.block([[plus, minus], [minus, -plus]])


@lru_cache(maxsize=32)
def _tables(rotation: Rotation, length: int, kind: str, back: bool) -> tuple[Array, Array]:
    """Return s / sqrt(n) for each place of a row, and C^T, or C, with zeros up to whole vectors.

    All threads read them.
    """
    factors = rotation.signs(length) * (1 / math.sqrt(rotation.size))
    core = _core(rotation.size)
    padded = np.zeros((len(core), -(-len(core) // LANES) * LANES), kind)
    padded[:, : len(core)] = core if back else core.T
    return factors.astype(kind), padded
