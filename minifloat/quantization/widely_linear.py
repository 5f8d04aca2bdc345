"""Real weights as two complex matrices, each of phases: Fairy2i.

With the halves of a real vector as real and imaginary part of a complex one, z, a real matrix of
even sides is U z + W conj(z), with

    [A B]        U = (A + D + i (C - B)) / 2
    [C D]        W = (A - D + i (B + C)) / 2

and back: A = Re W + Re U, B = Im W - Im U, C = Im W + Im U, D = Re U - Re W. U and W are quantized
as complex weights, and further stages quantize what the stages before have left (Fairy2i,
PKULab1806/Fairy2i-W2). A stage has 2 bits for each of m n numbers of U and of W, so one bit for
each of the 4 m n real weights.

What is ours: turned by 45 degrees, the four phases {1, i, -1, -i} are the pairs of signs. So with
one scale a stage is binary quantization, `bipolar_int1`, of a rotation of the weights, and on
normal weights, which any rotation leaves normal, its error is that of one bit: 1 - 2/pi, 4.40 dB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._tensors import AnyTensor
from minifloat.formats.base import check_int
from minifloat.formats.complex_codebook import FAIRY, ComplexCodebook
from minifloat.quantization.checks import finite_floats
from minifloat.quantization.complex_weights import ComplexQuantized, quantize
from minifloat.quantization.errors import max_and_squares

Complex = NDArray[np.complexfloating[Any, Any]]
Stage = tuple[ComplexQuantized, ComplexQuantized]

MOST_STAGES = 8


def to_complex(
    matrix: ArrayLike | AnyTensor,
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return U and W of a real matrix.

    Parameters
    ----------
    matrix : array_like of float or integers, (2 m, 2 n)

    Returns
    -------
    tuple of ndarray of complex128, (m, n)
        Exact where float64 has the sums of two numbers.

    Raises
    ------
    ValueError
        If it is no matrix of even sides, or not finite.
    TypeError
        If it is not of real numbers.

    Examples
    --------
    >>> from minifloat.quantization.widely_linear import to_complex, to_real
    >>> u, w = to_complex([[1.0, 2.0], [3.0, 4.0]])
    >>> u, w
    (array([[2.5+0.5j]]), array([[-1.5+2.5j]]))
    >>> to_real(u, w).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return _complex_pair("matrix", matrix)


def _complex_pair(
    name: str, matrix: ArrayLike | AnyTensor
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    given = finite_floats(name, matrix)
    if given.ndim != 2 or given.shape[0] % 2 or given.shape[1] % 2:
        raise ValueError(f"{name} must have two even sides, got shape {given.shape}")
    (a, b), (c, d) = (np.hsplit(half / 2, 2) for half in np.vsplit(given, 2))
    u, w = a + d + 1j * (c - b), a - d + 1j * (b + c)
    return np.asarray(u, np.complex128), np.asarray(w, np.complex128)


def to_real(u: Complex, w: Complex) -> NDArray[Any]:
    """Return the real matrix of U and W; see `to_complex`.

    Parameters
    ----------
    u, w : ndarray of complex64 or complex128, (m, n)

    Returns
    -------
    ndarray of float32 or float64, (2 m, 2 n)
    """
    return np.concatenate([_upper_half(u, w), _lower_half(u, w)])


def _upper_half(u: Complex, w: Complex) -> NDArray[Any]:
    return np.hstack([w.real + u.real, w.imag - u.imag])


def _lower_half(u: Complex, w: Complex) -> NDArray[Any]:
    return np.hstack([w.imag + u.imag, u.real - w.real])


@dataclass(frozen=True, repr=False)
class WidelyLinear:
    """Real weights as sums of complex matrices; equal to another one of equal stages.

    ``np.asarray(q)`` dequantizes, and `minifloat.linear` multiplies without making floats of all
    weights.

    Attributes
    ----------
    stages : tuple of (ComplexQuantized, ComplexQuantized)
        U and W of each stage, all of one shape (m, n); their sums are U and W.

    Raises
    ------
    ValueError
        If there is no stage, or shapes differ or are of no matrix.
    TypeError
        If the stages are something else.
    """

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        rule = "stages must be pairs of ComplexQuantized"
        if not isinstance(self.stages, tuple | list):
            raise TypeError(f"{rule}, got {type(self.stages).__name__}")
        if not 1 <= len(self.stages) <= MOST_STAGES:
            raise ValueError(f"{rule}, 1 to {MOST_STAGES}, got {len(self.stages)}")
        for stage in self.stages:
            pair = isinstance(stage, tuple | list) and len(stage) == 2
            if not pair or not all(isinstance(part, ComplexQuantized) for part in stage):
                raise TypeError(f"{rule}, got {type(stage).__name__}")
        shapes = {part.shape for stage in self.stages for part in stage}
        if len(shapes) > 1 or len(next(iter(shapes))) != 2:
            raise ValueError(f"{rule} of one shape (m, n), got {sorted(shapes)}")
        if len({part.fmt for stage in self.stages for part in stage}) > 1:
            raise ValueError(f"{rule} of one format, got several")
        object.__setattr__(self, "stages", tuple((u, w) for u, w in self.stages))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the real weights, (outputs, inputs)."""
        rows, columns = self.stages[0][0].shape
        return 2 * rows, 2 * columns

    @property
    def size(self) -> int:
        """Number of real weights."""
        return self.shape[0] * self.shape[1]

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage per real weight, scales counted; without weights those of codes."""
        parts = [part for stage in self.stages for part in stage]
        return sum(part.bits_per_weight for part in parts) / 4

    @property
    def nbytes(self) -> int:
        """Bytes of storage."""
        return sum(part.nbytes for stage in self.stages for part in stage)

    def dequantize(self) -> NDArray[np.float32]:
        """Return the real weights: sums of the stages in float32, the first stage first."""
        return self.dequantize_rows(slice(None))

    def dequantize_rows(self, rows: slice) -> NDArray[np.float32]:
        """Return some rows of the weights, those of a slice without a step."""
        half, (first, last, _) = self.shape[0] // 2, rows.indices(self.shape[0])
        below = slice(max(first - half, 0), max(last - half, 0))
        with np.errstate(over="ignore", invalid="ignore"):
            upper = _upper_half(*self._sums(slice(first, last)))  # which ends at the half
            lower = _lower_half(*self._sums(below))
        return np.concatenate([upper, lower]).astype(np.float32, copy=False)

    def _sums(self, rows: slice) -> tuple[Complex, Complex]:
        u, w = (part.dequantize_rows(rows) for part in self.stages[0])
        for later_u, later_w in self.stages[1:]:
            u += later_u.dequantize_rows(rows)
            w += later_w.dequantize_rows(rows)
        return u, w

    def sqnr(self, w: ArrayLike | AnyTensor) -> float:
        """Return the SQNR in dB, as `Quantized.sqnr` does."""
        weights = finite_floats("w", w)
        if weights.shape != self.shape:
            raise ValueError(f"w must have shape {self.shape}, got {weights.shape}")
        noise = max_and_squares(weights.reshape(-1), self.dequantize().reshape(-1))[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(10 * np.log10(np.square(weights).sum() / np.float64(noise)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the dequantized weights."""
        if copy is False:
            raise ValueError("copy must not be False: dequantizing makes a new array")
        return self.dequantize().astype(np.float32 if dtype is None else dtype, copy=False)

    def __repr__(self) -> str:
        count = f"{len(self.stages)} stage{'s' * (len(self.stages) > 1)}"
        return (
            f"<WidelyLinear {self.stages[0][0].fmt.name} {self.shape}: "
            f"{self.bits_per_weight:.4g} bits per weight, {count}>"
        )


def fairy2i(
    w: ArrayLike | AnyTensor,
    stages: SupportsIndex = 2,
    *,
    fmt: ComplexCodebook = FAIRY,
    block: Literal["tensor", "channel"] = "tensor",
) -> WidelyLinear:
    """Quantize real weights as two complex matrices of phases.

    Parameters
    ----------
    w : array_like, (2 m, 2 n)
        Finite weights.
    stages : int
        1 to 8; each quantizes what the stages before it left, with one bit for each weight.
    fmt, block
        As for `minifloat.quantization.complex_weights.quantize`, for U and for W.

    Returns
    -------
    WidelyLinear

    Raises
    ------
    ValueError
        If the weights are no matrix of even sides or not finite, or an option is out of range.
    TypeError
        If ``w`` is not numeric, or an option has another type.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.quantization.widely_linear import fairy2i
    >>> w = np.random.default_rng(0).standard_normal((256, 256))
    >>> [(q, round(q.sqnr(w), 1)) for q in (fairy2i(w, 1), fairy2i(w, 2))]
    [(<WidelyLinear fairy (256, 256): 1.002 bits per weight, 1 stage>, 4.4), \
(<WidelyLinear fairy (256, 256): 2.004 bits per weight, 2 stages>, 8.9)]
    """
    count = check_int("stages", stages, 1, MOST_STAGES)
    u, rest = _complex_pair("w", w)
    found: list[Stage] = []
    for _ in range(count):
        found.append((quantize(u, fmt, block=block), quantize(rest, fmt, block=block)))
        u, rest = u - found[-1][0].dequantize(), rest - found[-1][1].dequantize()
    return WidelyLinear(tuple(found))
