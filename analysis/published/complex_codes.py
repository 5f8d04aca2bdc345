"""iFairy's complex weights: a code of two bits for a pair, which means 1, i, -1 or -i.

A complex weight has the phase of the four that is nearest, and one of two scales: the mean real
part of those on the real axis, and the mean imaginary part of those on the other (Fairy2i,
PKULab1806/Fairy2i-W2). A real matrix with blocks A11, A12, A21, A22 is U x + W conj(x) for complex
U and W; a second stage does the same with the error of the first.

What is ours: turned by 45 degrees, the four phases are the pairs of signs. So with one scale this
is binary quantization, `bipolar_int1`, of each pair's Hadamard transform, and on normal weights,
which any rotation leaves normal, its error is that of one bit: 1 - 2/pi, 4.40 dB. What the second
stage leaves is exactly 8.85 dB below the weights (8.86 is published).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex128]
FLOOR = 1e-6  # of a scale
PHASES = np.array([1, 1j, -1, -1j])


@dataclass(frozen=True, eq=False)
class PhaseCodes:
    """Complex weights as phases.

    Attributes
    ----------
    codes : ndarray of uint8
        k for i**k.
    real_scale, imaginary_scale : float
        Of the codes 0 and 2, and of 1 and 3.
    """

    codes: NDArray[np.uint8]
    real_scale: float
    imaginary_scale: float

    def dequantize(self) -> Complex:
        """Return the weights that the codes mean."""
        scales = np.where(self.codes % 2 == 0, self.real_scale, self.imaginary_scale)
        return np.asarray(scales * PHASES[self.codes], np.complex128)


def phase_quantize(weights: Complex) -> PhaseCodes:
    """Return the nearest phases of complex weights, and the scales of both axes.

    The sectors are half open: real weights are those of phases in [-pi/4, pi/4), and so on.

    Parameters
    ----------
    weights : ndarray of complex

    Returns
    -------
    PhaseCodes

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.published.complex_codes import phase_quantize
    >>> q = phase_quantize(np.array([2 + 1j, -0.5 + 3j, -4 + 0j]))
    >>> q.codes.tolist(), q.real_scale, q.imaginary_scale
    ([0, 1, 2], 3.0, 3.0)
    """
    re, im = weights.real, weights.imag
    up, down = re + im, re - im  # the weights turned by 45 degrees: their signs are the sector
    codes = np.select(
        [(up >= 0) & (down > 0), (up > 0) & (down <= 0), (up <= 0) & (down < 0), up < 0],
        [0, 1, 2, 3],
    ).astype(np.uint8)
    on_real = codes % 2 == 0
    scales = [
        max(float(np.abs(part[inside]).mean()) if inside.any() else 0.0, FLOOR)
        for part, inside in ((re, on_real), (im, ~on_real))
    ]
    return PhaseCodes(codes, *scales)


def to_complex(matrix: NDArray[np.float64]) -> tuple[Complex, Complex]:
    """Return U and W with ``matrix @ (re x, im x)`` the parts of ``U x + W conj(x)``.

    Parameters
    ----------
    matrix : ndarray of float64, (2 m, 2 n)

    Returns
    -------
    tuple of ndarray of complex, (m, n)

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.published.complex_codes import to_complex
    >>> to_complex(np.array([[1.0, 2.0], [3.0, 4.0]]))
    (array([[2.5+0.5j]]), array([[-1.5+2.5j]]))
    """
    (a, b), (c, d) = (np.hsplit(half, 2) for half in np.vsplit(matrix, 2))
    u, w = (a + d + 1j * (c - b)) / 2, (a - d + 1j * (b + c)) / 2
    return np.asarray(u, np.complex128), np.asarray(w, np.complex128)


def to_real(u: Complex, w: Complex) -> NDArray[np.float64]:
    """Return the real matrix of `to_complex`.

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.published.complex_codes import to_complex, to_real
    >>> to_real(*to_complex(np.array([[1.0, 2.0], [3.0, 4.0]]))).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return np.block([[w.real + u.real, w.imag - u.imag], [w.imag + u.imag, u.real - w.real]])


def fairy2i(matrix: NDArray[np.float64], stages: int) -> NDArray[np.float64]:
    """Return a real matrix after so many stages, of one bit for a weight each.

    Parameters
    ----------
    matrix : ndarray of float64, (2 m, 2 n)
    stages : int
        1 or 2 in Fairy2i; each quantizes what the stages before it left.

    Returns
    -------
    ndarray of float64, (2 m, 2 n)

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.published.complex_codes import fairy2i
    >>> fairy2i(np.array([[1.0, 2.0], [3.0, 4.0]]), 1).tolist()
    [[2.5, 2.5], [2.5, 2.5]]
    """
    parts = to_complex(matrix)
    read = [np.zeros_like(part) for part in parts]
    for _ in range(stages):
        read = [
            held + phase_quantize(part - held).dequantize()
            for part, held in zip(parts, read, strict=True)
        ]
    return to_real(*read)
