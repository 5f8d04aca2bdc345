"""Products by addition: L-Mul and Mitchell's method add exponents, and fractions as they stand.

A number is ``(1 + f) 2**e`` with a fraction f below 1, and ``log2(1 + f)`` is about f. So the sum
of the fields of two numbers is about the logarithm of their product. Written out, the product

    (1 + f) (1 + g) 2**e = (1 + f + g + f g) 2**e

loses ``f g``; Mitchell's method puts nothing in its place, L-Mul a constant. If the fractions sum
up to 1 or more, then the addition of whole fields carries into the exponent: ``1 + s`` becomes
``2 s``, which is less. L-Mul's formula has no carry, the integer addition that it is meant for has.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat.arithmetic.operands import values_of
from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import shown
from minifloat.formats.names import parse

Array = NDArray[Any]
Variant: TypeAlias = Literal["formula", "addition"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

LARGEST_EXPONENT = 500  # of values of a format, so that float64 holds products of two


def l_mul(a: ArrayLike, b: ArrayLike, fmt: Format | str, *, variant: Variant = "formula") -> Any:
    """Return the products of L-Mul, exactly: they are not rounded to the format.

    Parameters
    ----------
    a, b : array_like
        Values of ``fmt``; their shapes broadcast.
    fmt : Format or str
        An ExMy with at least one mantissa bit M; M gives the offset ``2**-l``.
    variant : {"formula", "addition"}
        "formula" is ``(1 + f + g + 2**-l) 2**e``. "addition" is one addition of integers, the
        codes without their signs: what the fractions and the offset carry goes into the exponent.

    Returns
    -------
    ndarray of float64
        A NumPy scalar for two numbers. The sign is that of the exact product. Zeros, infinities
        and NaNs multiply as in IEEE 754; a subnormal number is first written with a leading 1.

    Raises
    ------
    TypeError
        If an array has a dtype that `minifloat.encode` does not take.
    ValueError
        If a number is not a value of ``fmt``, ``fmt`` has no mantissa bits or values beyond
        ``2**500``, or ``variant`` is neither.

    Notes
    -----
    l is M for M <= 3, 3 for M = 4 and 4 for larger M: the offset stands for the mean of ``f g``.

    References
    ----------
    Luo and Sun, "Addition is All You Need", arXiv 2410.00907, equation 1 and figure 2.

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> arithmetic.l_mul([1.125, 1.75], [1.25, 1.75], "e4m3fn")  # exactly 1.40625 and 3.0625
    array([1.5  , 2.625])
    >>> arithmetic.l_mul([1.125, 1.75], [1.25, 1.75], "e4m3fn", variant="addition")
    array([1.5 , 3.25])
    """
    if not isinstance(variant, str) or variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {shown(variant)}")
    fmt = _checked_format(fmt)
    offset = 2.0 ** -offset_bits(fmt.mantissa_bits)
    x, y = values_of("a", a, fmt, np.float64), values_of("b", b, fmt, np.float64)
    return _added(x, y, offset, carry=variant == "addition")


def mitchell(a: ArrayLike, b: ArrayLike) -> Any:
    """Return the products of Mitchell's logarithmic multiplication, exactly.

    Parameters
    ----------
    a, b : array_like
        Integers up to ``2**53`` or floats, in any format; their shapes broadcast.

    Returns
    -------
    ndarray of float64
        ``(1 + f + g) 2**e``, or ``2 (f + g) 2**e`` if ``f + g`` is 1 or more. The sign is that of
        the exact product; zeros, infinities and NaNs multiply as in IEEE 754.

    Raises
    ------
    TypeError
        If an array has a dtype that `minifloat.encode` does not take.
    ValueError
        If a number is not zero and not in ``2**-500 .. 2**500``, or an integer is beyond ``2**53``.

    Notes
    -----
    The product is never too large. The largest error is 1/9 of it, at ``f = g = 1/2``.

    References
    ----------
    Mitchell, "Computer Multiplication and Division Using Binary Logarithms", IRE Transactions on
    Electronic Computers EC-11, 1962.

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> arithmetic.mitchell([5, 6, -3], [7, 6, 3])  # exactly 35, 36, -9
    array([32., 32., -8.])
    """
    x, y = (_far_from_the_ends(name, values) for name, values in (("a", a), ("b", b)))
    return _added(x, y, 0.0, carry=True)


def offset_bits(mantissa_bits: int) -> int:
    """Return L-Mul's l for M mantissa bits: its offset is ``2**-l``.

    Examples
    --------
    >>> from minifloat.arithmetic.multiplication.logarithms import offset_bits
    >>> [offset_bits(m) for m in range(1, 8)]
    [1, 2, 3, 3, 4, 4, 4]
    """
    if mantissa_bits <= 3:
        return mantissa_bits
    return 3 if mantissa_bits == 4 else 4


def _checked_format(fmt: Format | str) -> Format:
    found: NumberFormat = parse(fmt)
    if not isinstance(found, Format) or found.mantissa_bits == 0:
        raise ValueError(f"fmt must be an ExMy with mantissa bits, got {found}")
    if found.max > 2.0**LARGEST_EXPONENT or found.smallest < 2.0**-LARGEST_EXPONENT:
        raise ValueError(f"fmt must have values in 2**-500..2**500, got {found}")
    return found


def _far_from_the_ends(name: str, x: ArrayLike) -> Array:
    """Return numbers as float64, or raise if a product of two could leave its range."""
    values = _arrays.source_array(x, name)[0].astype(np.float64)
    magnitudes = np.abs(values)
    finite = np.isfinite(magnitudes) & (magnitudes > 0)
    limit = 2.0**LARGEST_EXPONENT
    outside = finite & ((magnitudes > limit) | (magnitudes < 1 / limit))
    if outside.any():
        index = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ValueError(
            f"{name} must hold zeros and magnitudes in 2**-500..2**500, got {values[index]} at "
            f"index {index}; scale it"
        )
    return values


def _added(a: Array, b: Array, offset: float, *, carry: bool) -> Any:
    """Return the products by addition of fields; each step is exact in float64."""
    with np.errstate(invalid="ignore"):
        exact = np.asarray(a * b)
    (f, e), (g, other) = _fields(a), _fields(b)
    fractions, exponents = f + g + offset, e + other
    carried = np.floor(fractions) if carry else np.zeros_like(fractions)
    magnitudes = np.ldexp(1 + (fractions - carried), exponents + carried.astype(np.int64))
    ordinary = np.isfinite(exact) & (exact != 0)
    return np.where(ordinary, np.copysign(magnitudes, exact), exact)[()]


def _fields(x: Array) -> tuple[Array, Array]:
    """Return f and e of magnitudes ``(1 + f) 2**e``; of zeros and infinities any numbers."""
    significands, exponents = np.frexp(np.abs(np.where(np.isfinite(x), x, 1.0)))
    return 2 * significands - 1, exponents.astype(np.int64) - 1
