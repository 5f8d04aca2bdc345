"""INT v.s. FP (2025): its theorems on block formats, their crossovers, and their errors.

The paper gives the signal to quantization noise (QSNR) of an integer and of a float of the same
width under the same block scale, as functions of the crest factor: the block's absmax over its rms
value. Below the crossover the integer has the smaller error. Here the theorems are as printed,
beside the exact expectation for Gaussian blocks (`analysis.published.gaussian_blocks`).

The paper's symbols: kappa crest factor, g block size, b bits, rho scale ratio, Q largest value,
B exponent bias, M mantissa bits, T_N where the normal range begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from analysis.published.gaussian_blocks import block_qsnr, crest_factor
from minifloat.formats import Format
from minifloat.formats.names import parse

# A scale rounded up to a power of two is rho in [1, 2) times the exact one. If the exact scale is
# log-uniform in its binade, so is rho; the middles of equal parts represent it.
POWER_OF_TWO_RATIOS = 2.0 ** ((np.arange(64) + 0.5) / 64)


@dataclass(frozen=True)
class Pair:
    """An integer and a float of the same width under the same block scale.

    Attributes
    ----------
    name : str
        The paper's.
    integer, minifloat : str
        The formats.
    block_size : int
        g, elements to a scale.
    scale_ratio : float
        rho in the theorems: the scale over the one that maps the absmax to the largest value.
    power_of_two : bool
        Whether scales are powers of two (UE8M0, rounded up). Otherwise they are precise: the
        theorems assume that the largest element has no error, and leave it out of the noise.
    """

    name: str
    integer: str
    minifloat: str
    block_size: int
    scale_ratio: float
    power_of_two: bool


MX8 = Pair("MX8", "int8", "e4m3fn", 32, 1.5, power_of_two=True)
MX6 = Pair("MX6", "int6", "e2m3", 32, 1.5, power_of_two=True)
MX4 = Pair("MX4", "int4", "e2m1", 32, 1.5, power_of_two=True)
NV4 = Pair("NV4", "int4", "e2m1", 16, 1.0, power_of_two=False)
PAIRS = (MX8, MX6, MX4, NV4)


@dataclass(frozen=True)
class Crossover:
    """Where both formats of a pair have the same error.

    Attributes
    ----------
    crest_factor : float
        Without unit; below it the integer has the smaller error.
    qsnr : float
        Of either format there, dB.
    """

    crest_factor: float
    qsnr: float


@dataclass(frozen=True)
class TheoremErrors:
    """The theorems beside the exact expectation, for Gaussian blocks of one absmax.

    Attributes
    ----------
    maximum : float
        Absmax of the block, in the Gaussian's sigmas.
    crest_factor : float
        Absmax over the block's rms value: the variable of the theorems.
    integer_theorem, integer_exact, float_theorem, float_exact : float
        QSNR, dB.
    """

    maximum: float
    crest_factor: float
    integer_theorem: float
    integer_exact: float
    float_theorem: float
    float_exact: float

    @property
    def integer_error(self) -> float:
        """By how much the theorem is too high for the integer, dB."""
        return self.integer_theorem - self.integer_exact

    @property
    def float_error(self) -> float:
        """By how much the theorem is too high for the float, dB."""
        return self.float_theorem - self.float_exact


def integer_theorem(
    bits: int, crest_factor: float, *, scale_ratio: float = 1.0, block_size: int | None = None
) -> float:
    """Return the QSNR of an integer block format, by the paper's theorem.

    Parameters
    ----------
    bits : int
        b, at least 2.
    crest_factor : float
        kappa, at least 1.
    scale_ratio : float
        rho, positive.
    block_size : int, optional
        g, at least 2, if the largest element has no error (a precise scale). None: its error is
        like that of the others (a power of two).

    Returns
    -------
    float
        dB.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    4.78 + 6.02 b - 20 log10 rho - 20 log10 kappa (+ 10 log10(g / (g - 1))), with the constants as
    printed: 10 log10 3 = 4.771 and 20 log10 2 = 6.021. This is a uniform error over a step of
    rho max / Q, with 2^(b-1) in place of Q = 2^(b-1) - 1: too good by 1.16 dB at 4 bits, by 0.07 dB
    at 8.

    Examples
    --------
    >>> from analysis.published.int_versus_fp import integer_theorem
    >>> round(integer_theorem(8, 7.55, scale_ratio=1.5), 2)
    31.86
    """
    if bits < 2:
        raise ValueError(f"bits must be at least 2, got {bits}")
    _check(crest_factor, scale_ratio, block_size)
    qsnr = 4.78 + 6.02 * bits - 20 * math.log10(scale_ratio) - 20 * math.log10(crest_factor)
    return qsnr if block_size is None else qsnr + 10 * math.log10(block_size / (block_size - 1))


def float_theorem(
    fmt: Format | str,
    crest_factor: float,
    *,
    scale_ratio: float = 1.0,
    block_size: int | None = None,
) -> float:
    """Return the QSNR of a float block format on Gaussian elements, by the paper's theorem.

    Parameters
    ----------
    fmt : Format or str
        With subnormals.
    crest_factor : float
        kappa, at least 1 (and below sqrt(g) with ``block_size``).
    scale_ratio : float
        rho, positive.
    block_size : int, optional
        g, at least 2, if the largest element has no error (a precise scale). None: its error is
        like that of the others (a power of two).

    Returns
    -------
    float
        dB.

    Raises
    ------
    ValueError
        If an argument is out of range, the format has no subnormals, or the theorem subtracts more
        energy for the largest element than the normal range has.
    TypeError
        If ``fmt`` is not a `Format`.

    Notes
    -----
    -10 log10(alpha (w_norm - kappa^2 / g) + beta (rho kappa)^2 p_sub), without the second term in
    the bracket for a power of two. alpha = 1 / (24 4^M), beta = 4^(1 - B - M) / (12 Q^2). For
    normal elements and t = T_N / sigma = rho kappa 2^(1 - B) / Q the subnormal range holds the
    share p_sub = 2 Phi(t) - 1 of them, the normal range the share
    w_norm = 2 (t phi(t) + 1 - Phi(t)) of their energy.

    alpha has the mean of 1 / u^2 over significands u uniform in [1, 2), 1/2. If the scale is
    log-uniform in its binade, so are they, and the mean is 3 / (8 ln 2): for elements in the normal
    range the theorem is too good by 0.34 dB.

    Examples
    --------
    >>> from analysis.published.int_versus_fp import float_theorem
    >>> round(float_theorem("e4m3fn", 7.55, scale_ratio=1.5), 2)
    31.86
    """
    minifloat = parse(fmt)
    if not isinstance(minifloat, Format):
        raise TypeError(f"fmt must be an ExMy format, got {fmt}")
    if not minifloat.subnormals:
        raise ValueError(f"fmt must have subnormals, got {fmt}")
    _check(crest_factor, scale_ratio, block_size)
    bias, mantissa_bits, largest_value = minifloat.bias, minifloat.mantissa_bits, minifloat.max
    alpha = 1 / (24 * 4.0**mantissa_bits)
    beta = 4.0 ** (1 - bias - mantissa_bits) / (12 * largest_value**2)
    reach = scale_ratio * crest_factor  # Q times the scale, in rms values
    t = reach * 2.0 ** (1 - bias) / largest_value
    density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    p_sub = 2 * float(ndtr(t)) - 1
    w_norm = 2 * (t * density + float(ndtr(-t)))
    largest = 0.0 if block_size is None else crest_factor**2 / block_size
    noise = alpha * (w_norm - largest) + beta * reach**2 * p_sub
    if noise <= 0:
        raise ValueError(
            f"crest_factor must be smaller, so that noise is left in blocks of {block_size}, "
            f"got {crest_factor}"
        )
    return -10 * math.log10(noise)


def ample_range_qsnr(mantissa_bits: int) -> float:
    """Return the QSNR of a float whose elements are all normal numbers: 13.80 + 6.02 M dB.

    Parameters
    ----------
    mantissa_bits : int
        M, at least 0.

    Returns
    -------
    float
        -10 log10 alpha, dB.

    Raises
    ------
    ValueError
        If ``mantissa_bits`` is negative.

    Examples
    --------
    >>> from analysis.published.int_versus_fp import ample_range_qsnr
    >>> round(ample_range_qsnr(3), 2)
    31.86
    """
    if mantissa_bits < 0:
        raise ValueError(f"mantissa_bits must be at least 0, got {mantissa_bits}")
    return 10 * math.log10(24 * 4.0**mantissa_bits)


def theorem_crossover(pair: Pair) -> Crossover | None:
    """Return where the theorems give both formats of a pair the same error.

    Parameters
    ----------
    pair : Pair

    Returns
    -------
    Crossover or None
        None if the theorems do not cross at crest factors from 1 to 20, or with precise scales to
        0.9 sqrt(g).

    Raises
    ------
    ValueError
        If a field of ``pair`` is out of range.

    Examples
    --------
    >>> from analysis.published.int_versus_fp import PAIRS, theorem_crossover
    >>> [round(theorem_crossover(pair).crest_factor, 2) for pair in PAIRS]
    [7.55, 1.96, 2.04, 2.46]
    """
    limit = 20.0 if pair.power_of_two else 0.9 * math.sqrt(pair.block_size)

    def lead(kappa: float) -> float:
        integer, minifloat = _theorems(pair, kappa)
        return integer - minifloat

    root = _root(lead, 1.0, limit)
    return None if root is None else Crossover(root, _theorems(pair, root)[1])


def exact_crossover(pair: Pair) -> Crossover | None:
    """Return where both formats of a pair have the same error on Gaussian blocks.

    Scales that are powers of two are averaged over their place in the binade.

    Parameters
    ----------
    pair : Pair

    Returns
    -------
    Crossover or None
        None if one format has the smaller error for every absmax from 0.1 to 20 sigmas.

    Raises
    ------
    ValueError
        If a field of ``pair`` is out of range.

    Examples
    --------
    >>> from analysis.published.int_versus_fp import MX6, exact_crossover
    >>> round(exact_crossover(MX6).crest_factor, 2)
    2.0
    """

    def lead(maximum: float) -> float:
        integer, minifloat = _exact(pair, maximum)
        return integer - minifloat

    root = _root(lead, 0.1, 20.0)
    if root is None:
        return None
    return Crossover(crest_factor(root, pair.block_size), _exact(pair, root)[1])


def theorem_errors(pair: Pair, maxima: Iterable[float]) -> tuple[TheoremErrors, ...]:
    """Return both theorems and the exact expectation for Gaussian blocks.

    Parameters
    ----------
    pair : Pair
    maxima : iterable of float
        Absmax of the blocks, in sigmas.

    Returns
    -------
    tuple of TheoremErrors
        One for each of ``maxima``.

    Raises
    ------
    ValueError
        If a magnitude is not positive or a field of ``pair`` is out of its range.

    Examples
    --------
    >>> from analysis.published.int_versus_fp import MX4, theorem_errors
    >>> errors, = theorem_errors(MX4, [2.35])
    >>> round(errors.integer_error, 2), round(errors.float_error, 2)
    (1.0, 0.11)
    """
    records = []
    for maximum in maxima:
        kappa = crest_factor(maximum, pair.block_size)
        integer, minifloat = _theorems(pair, kappa)
        exact_integer, exact_minifloat = _exact(pair, maximum)
        records.append(
            TheoremErrors(maximum, kappa, integer, exact_integer, minifloat, exact_minifloat)
        )
    return tuple(records)


def _theorems(pair: Pair, kappa: float) -> tuple[float, float]:
    """Return the theorems' QSNR of the integer and the float, dB."""
    rho = pair.scale_ratio
    block_size = None if pair.power_of_two else pair.block_size
    bits = parse(pair.integer).bits
    return (
        integer_theorem(bits, kappa, scale_ratio=rho, block_size=block_size),
        float_theorem(pair.minifloat, kappa, scale_ratio=rho, block_size=block_size),
    )


def _exact(pair: Pair, maximum: float) -> tuple[float, float]:
    """Return the expected QSNR of the integer and the float, dB."""
    ratios = POWER_OF_TWO_RATIOS if pair.power_of_two else (pair.scale_ratio,)
    integer, minifloat = (
        block_qsnr(fmt, maximum, pair.block_size, scale_ratios=ratios)
        for fmt in (pair.integer, pair.minifloat)
    )
    return integer, minifloat


def _root(function: Callable[[float], float], low: float, high: float) -> float | None:
    """Return where a function changes its sign between two ends, if it does."""
    if function(low) * function(high) > 0:
        return None
    return float(brentq(function, low, high, xtol=1e-12))


def _check(crest_factor: float, scale_ratio: float, block_size: int | None) -> None:
    if not 1 <= crest_factor < math.inf:
        raise ValueError(f"crest_factor must be at least 1 and finite, got {crest_factor}")
    if not 0 < scale_ratio < math.inf:
        raise ValueError(f"scale_ratio must be positive and finite, got {scale_ratio}")
    if block_size is not None and block_size < 2:
        raise ValueError(f"block_size must be at least 2 (or None), got {block_size}")
