"""Formats side by side: what each loses at how many bits, and which split of the bits is best.

A code counts with its full width, and a block's scale with the width of its format over the block
size, so that formats are compared at what they take.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize

from analysis.errors.absmax_error import absmax_mse
from analysis.errors.distributions import Distribution, parse_distribution
from analysis.errors.expected_error import optimal_scale
from analysis.errors.scale_rules import scale_rule
from minifloat.formats import Format, NumberFormat
from minifloat.formats.names import parse

FORMATS = ("e2m2", "int5", "e3m1", "e4m0", "nf5", "nf4", "e2m1", "int4")  # int5 is e1m3
BLOCK_SIZES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
CROSSOVER_STEPS = 6  # block sizes tried in each octave


@dataclass(frozen=True)
class FormatLoss:
    """What one format loses under absmax scaling, and what it takes.

    Attributes
    ----------
    format, distribution, scale : str
    block_size : float
        Weights to a scale.
    bits_per_weight : float
        Bits, the scale's share counted; an exact scale counts as float32.
    mse : float
        Mean square error over the variance.
    """

    format: str
    distribution: str
    scale: str
    block_size: float
    bits_per_weight: float
    mse: float

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise, ``-10 log10(mse)``, in dB."""
        return -10 * math.log10(self.mse)


@dataclass(frozen=True)
class SplitLoss:
    """One way to split a width: a sign, E bits of exponent and M of mantissa, and its error.

    Attributes
    ----------
    exponent_bits, mantissa_bits : int
        E and M. E = 1 is the symmetric integer format.
    mse : float
        Mean square error over the variance.
    """

    exponent_bits: int
    mantissa_bits: int
    mse: float

    @property
    def name(self) -> str:
        """As papers write it: E2M2."""
        return f"E{self.exponent_bits}M{self.mantissa_bits}"


def format_loss(
    fmt: NumberFormat | str,
    distribution: Distribution | str,
    block_size: float,
    scale: NumberFormat | str = "float16",
) -> FormatLoss:
    """Return what a format loses under absmax scaling, and what it takes.

    Parameters
    ----------
    fmt : format or str
    distribution : Distribution or str
    block_size : float
        Weights to a scale, at least 1.
    scale : format or str
        As in `analysis.errors.scale_rules.scale_rule`.

    Returns
    -------
    FormatLoss

    Raises
    ------
    ValueError
        As `analysis.absmax_mse`.

    Examples
    --------
    >>> from analysis.formats.format_comparison import format_loss
    >>> loss = format_loss("e2m2", "normal", 128)
    >>> loss.bits_per_weight, round(loss.sqnr_db, 2)
    (5.125, 25.42)
    """
    known, density = parse(fmt), parse_distribution(distribution)
    mse = absmax_mse(known, density, block_size, scale)
    rule = scale_rule(scale, known, density)
    bits = known.bits + rule.bits / block_size
    return FormatLoss(known.name, density.name, rule.name, block_size, bits, mse)


def compare_formats(
    formats: Iterable[NumberFormat | str] = FORMATS,
    distributions: Iterable[Distribution | str] = ("normal",),
    block_sizes: Sequence[float] = BLOCK_SIZES,
    scales: Sequence[NumberFormat | str] = ("float16",),
) -> tuple[FormatLoss, ...]:
    """Return the loss for every combination.

    Parameters
    ----------
    formats : iterable of formats or str
    distributions : iterable of Distributions or str
    block_sizes : sequence of float
    scales : sequence of formats or str

    Returns
    -------
    tuple of FormatLoss
        Block sizes vary fastest, then scales, distributions, formats.

    Raises
    ------
    ValueError
        As `format_loss`.

    Examples
    --------
    >>> from analysis.formats.format_comparison import compare_formats
    >>> best = min(compare_formats(["e2m2", "int5"], block_sizes=[32, 64]), key=lambda x: x.mse)
    >>> best.format, best.block_size
    ('int5', 32)
    """
    everything = list(distributions)
    return tuple(
        format_loss(fmt, distribution, block_size, scale)
        for fmt in formats
        for distribution in everything
        for scale in scales
        for block_size in block_sizes
    )


def pareto_front(losses: Iterable[FormatLoss]) -> tuple[FormatLoss, ...]:
    """Return the losses that no other beats: none is as small in bits and smaller in error.

    Parameters
    ----------
    losses : iterable of FormatLoss

    Returns
    -------
    tuple of FormatLoss
        By bits per weight, ascending; errors descend.

    Examples
    --------
    >>> from analysis.formats.format_comparison import compare_formats, pareto_front
    >>> losses = compare_formats(["e2m1", "nf4"], block_sizes=[64])
    >>> [loss.format for loss in pareto_front(losses)]
    ['nf4']
    """
    front: list[FormatLoss] = []
    for loss in sorted(losses, key=lambda loss: (loss.bits_per_weight, loss.mse)):
        if not front or loss.mse < front[-1].mse:
            front.append(loss)
    return tuple(front)


def crossover_block_sizes(
    fmt: NumberFormat | str,
    rival: NumberFormat | str,
    distribution: Distribution | str = "normal",
    scale: NumberFormat | str = "exact",
    *,
    least: float = 2.0,
    greatest: float = 65536.0,
) -> tuple[float, ...]:
    """Return the block sizes at which two formats lose the same.

    The error is an exact function of a real block size; its sign changes on a grid of six sizes to
    the octave are refined.

    Parameters
    ----------
    fmt, rival : format or str
    distribution : Distribution or str
    scale : format or str
    least, greatest : float
        Block sizes to search between.

    Returns
    -------
    tuple of float
        Ascending; empty where one format is better throughout.

    Raises
    ------
    ValueError
        As `analysis.absmax_mse`, or if ``least`` is not below ``greatest``.

    Examples
    --------
    >>> from analysis.formats.format_comparison import crossover_block_sizes
    >>> [round(n, 1) for n in crossover_block_sizes("e2m2", "int5")]
    [97.4]
    """
    if not 1 <= least < greatest:
        raise ValueError(f"least must be in 1..greatest = {greatest}, got {least}")

    def lead(log_size: float) -> float:
        ours, theirs = (
            absmax_mse(one, distribution, math.exp(log_size), scale) for one in (fmt, rival)
        )
        return math.log(ours / theirs)

    sizes = np.linspace(
        math.log(least), math.log(greatest), 2 + int(CROSSOVER_STEPS * math.log2(greatest / least))
    )
    leads = np.array([lead(size) for size in sizes])
    changes = np.flatnonzero(leads[:-1] * leads[1:] < 0)
    return tuple(
        math.exp(scipy.optimize.brentq(lead, sizes[k], sizes[k + 1], xtol=1e-9)) for k in changes
    )


def splits(
    bits: int,
    distribution: Distribution | str = "normal",
    block_size: float | None = None,
    scale: NumberFormat | str = "exact",
) -> tuple[SplitLoss, ...]:
    """Return every split of a width into sign, exponent and mantissa, the best first.

    Formats have subnormals and no special values.

    Parameters
    ----------
    bits : int
        3..8.
    distribution : Distribution or str
    block_size : float, optional
        For absmax scaling; None for the one scale of least error.
    scale : format or str
        Of absmax scaling.

    Returns
    -------
    tuple of SplitLoss

    Raises
    ------
    ValueError
        If ``bits`` is out of range, or as `analysis.absmax_mse`.

    Examples
    --------
    >>> from analysis.formats.format_comparison import splits
    >>> [split.name for split in splits(5)]
    ['E2M2', 'E1M3', 'E3M1', 'E4M0']
    """
    if not 3 <= bits <= 8:
        raise ValueError(f"bits must be in 3..8, got {bits}")
    found = []
    for exponent_bits in range(1, bits):
        mantissa_bits = bits - 1 - exponent_bits
        fmt = Format(exponent_bits, mantissa_bits)
        if block_size is None:
            mse = optimal_scale(fmt, distribution)[1]
        else:
            mse = absmax_mse(fmt, distribution, block_size, scale)
        found.append(SplitLoss(exponent_bits, mantissa_bits, mse))
    return tuple(sorted(found, key=lambda split: split.mse))
