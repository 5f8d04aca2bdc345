"""The analytic model of a multiply-accumulate unit of INT v.s. FP (arXiv 2510.25602).

Cells of a unit of k lanes, for codes of a sign, x bits of exponent and y of mantissa; an integer of
as many bits has x + y + 1::

    part          integer             floating point
    multiplier    k (x + y + 1)**2    k (y + 1)**2
    adder         2 k (x + y + 1)     k n
    exponents     -                   3 k x: adder, subtractor, comparator
    aligner       -                   k n log2 n
    normalizer    -                   n log2 n

``n = min(2**(x + 1) + 2 y, 24)`` is the width of the aligned sum. The paper weighs cells by figures
of a process that it does not print. Here they weigh the same, or as many transistors as static CMOS
takes: a multiplier's cell is an AND and a full adder, an adder's cell a full adder, an aligner's a
multiplexer.
"""

from __future__ import annotations

import math

from minifloat.formats import Format, Integer
from minifloat.formats.names import parse

FULL_ADDER = 28  # transistors of a mirror adder
AND, MULTIPLEXER = 6, 12
TRANSISTORS = {
    "multiplier": AND + FULL_ADDER,
    "adder": FULL_ADDER,
    "exponents": FULL_ADDER,
    "aligner": MULTIPLEXER,
    "normalizer": MULTIPLEXER,
}
MAX_WIDTH = 24


def cells(fmt: str, lanes: int = 32) -> dict[str, float]:
    """Return the cells of each part of a unit that multiplies a format with itself.

    Parameters
    ----------
    fmt : str
        A floating-point format with a sign, or an integer.
    lanes : int
        k: 32 in Microscaling, 16 in NVFP4.

    Returns
    -------
    dict of str to float
        By the parts of `TRANSISTORS`, all lanes together.

    Raises
    ------
    ValueError
        If the format is a codebook, or has no sign.

    Examples
    --------
    >>> from analysis.hardware.mac_model import cells
    >>> sum(cells("int8").values()), round(sum(cells("e4m3fn").values()), -2)
    (2560, 5300.0)
    """
    parsed = parse(fmt)
    if isinstance(parsed, Integer):
        bits = parsed.bits
        return {"multiplier": lanes * bits**2, "adder": 2 * lanes * bits}
    if not isinstance(parsed, Format) or not parsed.signed:
        raise ValueError(f"fmt must be an integer or a float with a sign, got {parsed}")
    x, y = parsed.exponent_bits, parsed.mantissa_bits
    n = min(2 ** (x + 1) + 2 * y, MAX_WIDTH)
    return {
        "multiplier": lanes * (y + 1) ** 2,
        "adder": lanes * n,
        "exponents": 3 * lanes * x,
        "aligner": lanes * n * math.log2(n),
        "normalizer": n * math.log2(n),
    }


def transistors(fmt: str, lanes: int = 32) -> float:
    """Return the transistors of those cells in static CMOS, all lanes together.

    Examples
    --------
    >>> from analysis.hardware.mac_model import transistors
    >>> round(transistors("e4m3fn") / transistors("int8"), 2)
    1.11
    """
    return sum(TRANSISTORS[part] * number for part, number in cells(fmt, lanes).items())
