"""Complex numbers to codes of a `ComplexCodebook`, and back.

A number gets the nearest value. Of two that are as near it gets the one that is counterclockwise of
it, as seen from 0; of values that lie in the same direction, and at 0, the one of the lowest code.
So the sectors of {1, i, -1, -i} are half open, as in the code of iFairy and Fairy2i
(PKULab1806/Fairy2i-W2): phases in [-pi/4, pi/4) become 1, those in [pi/4, 3 pi/4) become i, and so
on.

z is nearer to c than to b if Re(conj(z) (c - b)) > (|c|**2 - |b|**2) / 2. That is computed in
float64, and exact where the parts of all c - b are 0 or plus or minus one power of two and all
magnitudes are equal, as of {1, i, -1, -i}: then a decision is the sign of one sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat.formats.base import shown
from minifloat.formats.complex_codebook import FAIRY, ComplexCodebook

Array = NDArray[Any]


def encode(z: ArrayLike, fmt: ComplexCodebook = FAIRY) -> NDArray[np.uint8]:
    """Return the codes of the values that are nearest to complex numbers.

    Parameters
    ----------
    z : array_like of complex, float or integers
        Finite.
    fmt : ComplexCodebook

    Returns
    -------
    ndarray of uint8
        In the shape of ``z``.

    Raises
    ------
    ValueError
        If a number is infinite or NaN.
    TypeError
        If ``z`` is not numeric, or ``fmt`` is another format.

    Examples
    --------
    >>> from minifloat.codec.complex_codes import encode
    >>> encode([2 + 1j, 1 + 1j, -0.5 - 3j])
    array([0, 1, 3], dtype=uint8)
    """
    numbers, values = complex_array("z", z), checked(fmt).values()
    re, im = numbers.real, numbers.imag
    codes = np.zeros(numbers.shape, np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):  # an infinite sum has the right sign
        for code in range(1, len(values)):
            step = values[code] - values[codes]
            along = re * step.real + im * step.imag
            rise = (np.square(np.abs(values[code])) - np.square(np.abs(values[codes]))) / 2
            turn = re * step.imag - im * step.real
            codes[(along > rise) | ((along == rise) & (turn > 0))] = code
    return codes


def decode(codes: ArrayLike, fmt: ComplexCodebook = FAIRY) -> NDArray[np.complex64]:
    """Return the values of codes.

    Parameters
    ----------
    codes : array_like of integers
    fmt : ComplexCodebook

    Returns
    -------
    ndarray of complex64

    Raises
    ------
    ValueError
        If a code is not one of the format's.
    TypeError
        If codes are not integers, or ``fmt`` is another format.

    Examples
    --------
    >>> from minifloat.codec.complex_codes import decode
    >>> decode([0, 1, 3]).tolist()
    [(1+0j), 1j, -1j]
    """
    values, given = checked(fmt).values(), _arrays.code_array(codes)
    wrong = (given < 0) | (given >= len(values))
    if wrong.any():
        raise ValueError(
            f"codes must be in 0..{len(values) - 1} for {fmt}, got {given[wrong].flat[0]}"
        )
    return np.asarray(values[given], np.complex64)


def round_to(z: ArrayLike, fmt: ComplexCodebook = FAIRY) -> NDArray[np.complex64]:
    """Return the values that are nearest to complex numbers: `encode`, then `decode`.

    Parameters
    ----------
    z, fmt
        As for `encode`.

    Returns
    -------
    ndarray of complex64

    Raises
    ------
    ValueError, TypeError
        As `encode`.

    Examples
    --------
    >>> from minifloat.codec.complex_codes import round_to
    >>> round_to([0.3 - 0.2j]).tolist()
    [(1+0j)]
    """
    return decode(encode(z, fmt), fmt)


def checked(fmt: ComplexCodebook) -> ComplexCodebook:
    """Return a complex format, or raise a TypeError."""
    if not isinstance(fmt, ComplexCodebook):
        raise TypeError(f"fmt must be a ComplexCodebook, got {shown(fmt)}")
    return fmt


def complex_array(name: str, z: ArrayLike) -> NDArray[np.complex128]:
    """Return finite numbers as an array of complex128, or raise."""
    given = _arrays.as_array(name, z)
    if given.dtype.kind not in "cfiu" or given.dtype.itemsize > 16:
        raise TypeError(f"{name} must be complex64, complex128, floats or integers, got "
                        f"{given.dtype}")  # fmt: skip
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        numbers = given.astype(np.complex128)
    if not np.isfinite(numbers).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise ValueError(f"{name} must be finite, got {numbers[index]} at index {index}")
    return numbers
