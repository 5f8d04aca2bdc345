"""Recipes side by side: exact error against bits per weight, and the best split of the bits.

A code counts with its full width, and a block's scale with its bits over the block size, so that
recipes are compared by their whole storage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize

from analysis.errors.absmax_error import absmax_mse, with_tensor_scale
from analysis.errors.distributions import Distribution, parse_distribution
from analysis.errors.expected_error import optimal_scale
from analysis.errors.range_error import is_range_format, range_mse
from minifloat.formats import Format, NumberFormat
from minifloat.formats.names import parse
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleFormat

FORMATS = ("e2m2", "int5", "e3m1", "e4m0", "nf5", "nf4", "e2m1", "int4")  # int5 is e1m3
BLOCK_SIZES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
CROSSOVER_STEPS = 6  # block sizes tried in each octave


@dataclass(frozen=True)
class ExactError:
    """The exact error of one recipe on weights of one distribution, and its storage.

    Attributes
    ----------
    recipe : Recipe
    distribution : str
    bits_per_weight : float
        Bits of a code and of its share of the scale.
    mse : float
        Mean square error over the variance.
    """

    recipe: Recipe
    distribution: str
    bits_per_weight: float
    mse: float

    @property
    def format(self) -> str:
        """The name of the recipe's format."""
        return self.recipe.fmt.name

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise, ``-10 log10(mse)``, in dB."""
        return -10 * math.log10(self.mse)


@dataclass(frozen=True)
class SplitError:
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
        """E and M as papers write them: E2M2."""
        return f"E{self.exponent_bits}M{self.mantissa_bits}"


def recipes_of(
    formats: Iterable[NumberFormat | str] = FORMATS,
    block_sizes: Sequence[int] = BLOCK_SIZES,
    scales: Sequence[ScaleFormat | Format | str] = ("float16",),
) -> tuple[Recipe, ...]:
    """Return a recipe for each combination of format, scale and block size.

    Parameters
    ----------
    formats : iterable of formats or str
    block_sizes : sequence of int
    scales : sequence of str, Format or ScaleFormat
        As for `minifloat.Recipe`. A narrow scale format (e4m3fn) gets a tensor scale.

    Returns
    -------
    tuple of Recipe
        Block sizes vary fastest, then scales, then formats.

    Raises
    ------
    ValueError
        As `minifloat.Recipe`.

    Examples
    --------
    >>> from analysis.formats.format_comparison import recipes_of
    >>> [str(recipe) for recipe in recipes_of(["int4", "nf4"], [64])]
    ['int4/64/float16', 'nf4/64/float16']
    """
    return tuple(
        with_tensor_scale(Recipe(parse(fmt), block=block_size, scale=scale))
        for fmt in formats
        for scale in scales
        for block_size in block_sizes
    )


def exact_error(
    recipe: Recipe | NumberFormat | str, distribution: Distribution | str = "normal"
) -> ExactError:
    """Return the exact error of a recipe, and its bits per weight.

    Parameters
    ----------
    recipe : Recipe, format or str
        As for `minifloat.quantize`; one that `analysis.absmax_mse` covers.
    distribution : Distribution or str

    Returns
    -------
    ExactError

    Raises
    ------
    ValueError
        As `analysis.absmax_mse`.

    Examples
    --------
    >>> from analysis.formats.format_comparison import exact_error
    >>> for name in ("mxfp4", "nvfp4", "e2m2"):
    ...     error = exact_error(name)
    ...     print(error.recipe, error.bits_per_weight, round(error.sqnr_db, 2))
    e2m1/32/e8m0 4.25 18.79
    e2m1/16/e4m3fn/tensor-scale 4.5 20.43
    e2m2/128/float16 5.125 25.42
    """
    recipe, density = Recipe.parse(recipe), parse_distribution(distribution)
    mse = absmax_mse(recipe, density)
    return ExactError(recipe, density.name, recipe.bits_per_weight, mse)


def exact_errors(
    recipes: Iterable[Recipe | NumberFormat | str],
    distributions: Iterable[Distribution | str] = ("normal",),
) -> tuple[ExactError, ...]:
    """Return the error of every recipe under every distribution.

    Parameters
    ----------
    recipes : iterable of Recipes, formats or str
    distributions : iterable of Distributions or str

    Returns
    -------
    tuple of ExactError
        Distributions vary fastest.

    Raises
    ------
    ValueError
        As `exact_error`.

    Examples
    --------
    >>> from analysis.formats.format_comparison import exact_errors, recipes_of
    >>> errors = exact_errors(recipes_of(["e2m2", "int5"], [32, 64]))
    >>> str(min(errors, key=lambda error: error.mse).recipe)
    'int5/32/float16'
    """
    laws = list(distributions)
    return tuple(exact_error(recipe, law) for recipe in recipes for law in laws)


def pareto_front(errors: Iterable[ExactError]) -> tuple[ExactError, ...]:
    """Return the errors that no other beats: no other has as few bits and a smaller error.

    Parameters
    ----------
    errors : iterable of ExactError

    Returns
    -------
    tuple of ExactError
        By bits per weight, ascending; errors descend.

    Examples
    --------
    >>> from analysis.formats.format_comparison import exact_errors, pareto_front, recipes_of
    >>> errors = exact_errors(recipes_of(["e2m1", "nf4"], [64]))
    >>> [error.format for error in pareto_front(errors)]
    ['nf4']
    """
    front: list[ExactError] = []
    for error in sorted(errors, key=lambda error: (error.bits_per_weight, error.mse)):
        if not front or error.mse < front[-1].mse:
            front.append(error)
    return tuple(front)


def crossover_block_sizes(
    fmt: NumberFormat | str,
    rival: NumberFormat | str,
    distribution: Distribution | str = "normal",
    scale: ScaleFormat | Format | str = "float32",
    *,
    smallest: float = 2.0,
    largest: float = 65536.0,
    stretch: float = 1.0,
) -> tuple[float, ...]:
    """Return the block sizes at which two formats have the same error.

    The error is an exact function of a real block size. Where the difference changes its sign on a
    grid of six sizes per octave, the crossover is refined. An unsigned integer has zero points, and
    scales that are not rounded.

    Parameters
    ----------
    fmt, rival : format or str
    distribution : Distribution or str
    scale : str, Format or ScaleFormat
        As for `analysis.absmax_mse`.
    smallest, largest : float
        Range of block sizes.
    stretch : float
        The blocks of ``rival`` are so many times as long. With 5 bits for a zero point beside 16
        for a scale, 21/16 gives both the same bits in all.

    Returns
    -------
    tuple of float
        Block sizes of ``fmt``, ascending; empty if one format is better throughout.

    Raises
    ------
    ValueError
        As `analysis.absmax_mse`, or if ``smallest`` is not below ``largest``.

    Examples
    --------
    >>> from analysis.formats.format_comparison import crossover_block_sizes
    >>> [round(n, 1) for n in crossover_block_sizes("e2m2", "int5")]
    [97.4]
    >>> [round(n) for n in crossover_block_sizes("e2m2", "uint5", smallest=380, largest=400)]
    [392]
    """
    if not 1 <= smallest < largest:
        raise ValueError(f"smallest must be in 1..largest = {largest}, got {smallest}")

    return crossings(
        lambda size: block_mse(fmt, distribution, size, scale),
        lambda size: block_mse(rival, distribution, stretch * size, scale),
        smallest,
        largest,
    )


def crossings(
    ours: Callable[[float], float],
    theirs: Callable[[float], float],
    smallest: float,
    largest: float,
) -> tuple[float, ...]:
    """Return the block sizes at which two errors, functions of a block size, are equal.

    Parameters
    ----------
    ours, theirs : callable
        From a block size to an error above 0.
    smallest, largest : float
        Range of block sizes.

    Returns
    -------
    tuple of float
        Ascending.

    Examples
    --------
    >>> from analysis.formats.format_comparison import crossings
    >>> [round(n, 6) for n in crossings(lambda n: n, lambda n: 64 / n, 1, 100)]
    [8.0]
    """

    def lead(log_size: float) -> float:
        size = math.exp(log_size)
        return math.log(ours(size) / theirs(size))

    count = 2 + int(CROSSOVER_STEPS * math.log2(largest / smallest))
    sizes = np.linspace(math.log(smallest), math.log(largest), count)
    leads = np.array([lead(size) for size in sizes])
    changes = np.flatnonzero(leads[:-1] * leads[1:] < 0)
    return tuple(
        math.exp(scipy.optimize.brentq(lead, sizes[k], sizes[k + 1], xtol=1e-9)) for k in changes
    )


def block_mse(
    fmt: NumberFormat | str,
    distribution: Distribution | str,
    block_size: float,
    scale: ScaleFormat | Format | str = "float32",
) -> float:
    """Return the exact error of a format in blocks: `range_mse` for unsigned integers.

    Parameters
    ----------
    fmt, distribution, block_size, scale
        As for `analysis.absmax_mse`. An unsigned integer has zero points, and scales that are not
        rounded.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As `analysis.absmax_mse` and `analysis.range_mse`.

    Examples
    --------
    >>> from analysis.formats.format_comparison import block_mse
    >>> [round(block_mse(name, "normal", 64), 5) for name in ("int5", "uint5")]
    [0.00252, 0.00194]
    """
    if is_range_format(parse(fmt)):
        return range_mse(fmt, distribution, block_size)
    return absmax_mse(fmt, distribution, block_size, scale)


def splits(
    bits: int,
    distribution: Distribution | str = "normal",
    block_size: float | None = None,
    scale: ScaleFormat | Format | str = "float32",
) -> tuple[SplitError, ...]:
    """Return every split of a width into sign, exponent and mantissa, the best one first.

    The formats have subnormals and no special values.

    Parameters
    ----------
    bits : int
        3..8.
    distribution : Distribution or str
    block_size : float, optional
        For absmax scaling; None for the single scale with the smallest error.
    scale : str, Format or ScaleFormat
        For absmax scaling, as for `analysis.absmax_mse`.

    Returns
    -------
    tuple of SplitError

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
    errors = []
    for exponent_bits in range(1, bits):
        mantissa_bits = bits - 1 - exponent_bits
        fmt = Format(exponent_bits, mantissa_bits)
        if block_size is None:
            mse = optimal_scale(fmt, distribution)[1]
        else:
            mse = absmax_mse(fmt, distribution, block_size, scale)
        errors.append(SplitError(exponent_bits, mantissa_bits, mse))
    return tuple(sorted(errors, key=lambda split: split.mse))
