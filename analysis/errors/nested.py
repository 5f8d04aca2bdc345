"""Exact expected errors of formats inside formats: weights stored wide, and read narrow.

A weight is rounded to a wide format, and its code is read at a narrower width
(`minifloat.quantization.nested`). So the cells are those of the wide format, and the values those
that narrow codes mean: a grid like others, whose error is a sum over cells. How it compares to a
weight that is rounded to the narrow format at once is computed here; we know of nobody who has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.errors.absmax_error import absmax_mse, mse_in_blocks
from analysis.errors.distributions import Distribution, parse_distribution
from analysis.errors.expected_error import mse_at_scales, optimal_scale, scales_of_minima
from analysis.errors.grids import Grid
from analysis.errors.scale_rules import scale_rule
from minifloat.formats import NumberFormat
from minifloat.formats.names import parse
from minifloat.quantization.nested import (
    READINGS,
    Reading,
    cut_codebook,
    narrow_codes,
    narrow_exponent,
)
from minifloat.quantization.recipes import Recipe

MIDDLE = "middle"  # cut, and read as the middle of the values that begin with these bits


@dataclass(frozen=True)
class NestedError:
    """Mean square errors of weights that are stored wide and read narrow, over the variance.

    Attributes
    ----------
    direct : float
        Of weights rounded to the narrow format at once, at its best scale.
    shared : float
        Of the nested ones at the scale that is the best for the wide format.
    own : float
        Of the nested ones at the scale that is the best for this reading.
    in_blocks : float
        Of the nested ones in blocks with the exact scales of the wide format, absmax / max.
    direct_in_blocks : float
        Of weights rounded to the narrow format at once, in such blocks.
    """

    direct: float
    shared: float
    own: float
    in_blocks: float
    direct_in_blocks: float


def nested_grid(wide: NumberFormat | str, narrow: NumberFormat | str, reading: str) -> Grid:
    """Return the cells of a wide format with the values of narrow codes.

    Parameters
    ----------
    wide, narrow : format or str
        All values of ``wide`` are finite, on both sides of zero.
    reading : str
        "rounded" or "cut", as for `minifloat.narrow`; "middle" is cut, and means `cut_codebook`.

    Returns
    -------
    Grid
        Values may be there several times, and need not ascend strictly.

    Raises
    ------
    ValueError
        If there is no such reading, or a value of ``wide`` is not finite.

    Examples
    --------
    >>> from analysis.errors.nested import nested_grid
    >>> grid = nested_grid("e2m1", "e2m0", "cut")
    >>> grid.values[grid.values.size // 2 :].tolist(), grid.half[0].tolist()
    ([0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0], [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
    """
    wider, narrower = parse(wide), parse(narrow)
    if reading == MIDDLE:
        narrower, reading = cut_codebook(wider, narrower.bits), "cut"
    if reading not in READINGS:
        raise ValueError(f"reading must be rounded, cut or middle, got {reading!r}")
    values = wider.values()
    known = np.arange(values.size) != wider.unused_code
    if not np.isfinite(values[known]).all():
        raise ValueError(f"wide must have finite values alone, got {wider}")
    checked: Reading = "cut" if reading == "cut" else "rounded"
    codes = narrow_codes(wider, narrower, checked)
    read = narrower.values()[codes] * 2.0 ** narrow_exponent(wider, narrower)
    order = np.lexsort((~np.signbit(values), values))  # -0 before 0, unused codes last
    order = order[known[order]]
    ascending = values[order]
    return Grid(read[order] + 0.0, (ascending[:-1] + ascending[1:]) / 2)


def nested_error(
    wide: NumberFormat | str,
    narrow: NumberFormat | str,
    distribution: Distribution | str,
    reading: str,
    block_size: float = 128,
) -> NestedError:
    """Return what weights lose that are stored in a wide format and read in a narrow one.

    Parameters
    ----------
    wide, narrow : format or str
        As for `nested_grid`.
    distribution : Distribution or str
    reading : str
        As for `nested_grid`.
    block_size : float
        Of the errors in blocks.

    Returns
    -------
    NestedError
        Accurate to 1e-8 of themselves.

    Raises
    ------
    ValueError, TypeError
        As `nested_grid` and `analysis.absmax_mse`.

    Examples
    --------
    >>> from analysis.errors.nested import nested_error
    >>> error = nested_error("e2m3", "e2m2", "normal", "middle")
    >>> round(error.direct, 6), round(error.shared, 6)
    (0.003256, 0.003142)
    """
    wider, narrower = parse(wide), parse(narrow)
    density, grid = parse_distribution(distribution), nested_grid(wider, narrower, reading)
    best = optimal_scale(wider, density)[0]
    scales = np.append(scales_of_minima(grid, density), best)
    errors = mse_at_scales(grid, density, scales)
    rule = scale_rule(Recipe(wider, scale="float32"), density)
    return NestedError(
        direct=optimal_scale(narrower, density)[1],
        shared=float(errors[-1]),
        own=float(errors.min()),
        in_blocks=mse_in_blocks(grid, density, block_size, rule),
        direct_in_blocks=absmax_mse(narrower, density, block_size),
    )
