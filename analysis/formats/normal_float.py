"""NormalFloat codebooks of any width, by the recipe of NF4.

The values are quantiles of the normal distribution, evenly spaced in probability up to an offset,
more of them above 0 than below by one, and 0. The offset of N bits is the mean of ``1 - 2**-(N+1)``
and ``1 - 1/(2**(N+1) - 2)``: half a cell below probability 1. The NF5 of FPE2M2's authors,
"nf5" in `minifloat`, keeps the offset of 4 bits.

Source of the recipe: create_normal_map in functional.py of bitsandbytes.
"""

from __future__ import annotations

from statistics import NormalDist

from minifloat.formats import Codebook

NARROWEST, WIDEST = 2, 8


def offset(bits: int) -> float:
    """Return the largest probability of NF4's recipe for a width.

    Examples
    --------
    >>> from analysis.formats.normal_float import offset
    >>> round(offset(4), 7), round(offset(5), 7)
    (0.9677083, 0.984123)
    """
    cells = float(1 << (bits + 1))
    return 1 - (1 / cells + 1 / (cells - 2)) / 2


def normal_float(bits: int, *, offset_bits: int | None = None) -> Codebook:
    """Return the NormalFloat codebook of a width.

    Parameters
    ----------
    bits : int
        2..8.
    offset_bits : int, optional
        The width whose offset it has; default ``bits``.

    Returns
    -------
    Codebook

    Raises
    ------
    ValueError
        If a width is out of range.

    Examples
    --------
    >>> from analysis.formats.normal_float import normal_float
    >>> [round(float(value), 4) for value in normal_float(3).values()]
    [-1.0, -0.535, -0.2469, 0.0, 0.1833, 0.382, 0.623, 1.0]
    """
    of = bits if offset_bits is None else offset_bits
    for name, width in (("bits", bits), ("offset_bits", of)):
        if not NARROWEST <= width <= WIDEST:
            raise ValueError(f"{name} must be in {NARROWEST}..{WIDEST}, got {width}")
    count = 2 ** (bits - 1)
    positive, negative = _quantiles(offset(of), count), _quantiles(offset(of), count - 1)
    values = sorted([*(-value for value in negative), 0.0, *positive])
    return Codebook([value / values[-1] for value in values])


def _quantiles(largest: float, count: int) -> list[float]:
    """Return quantiles of evenly spaced probabilities, the last one before 1/2 left out."""
    step = (largest - 0.5) / count
    return [NormalDist().inv_cdf(largest - k * step) for k in range(count)]
