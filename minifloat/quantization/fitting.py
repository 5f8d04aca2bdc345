"""Codebooks that are fitted to data: those of least weighted squared error, exactly.

The best levels of sorted data in one dimension are the means of intervals, which dynamic
programming finds (`minifloat._kernels.optimal_levels`). k-means, the usual way (SqueezeLLM, arXiv
2306.07629, takes scikit-learn's), stops at a local minimum. The dynamic program is known (Fisher
1958; Wu 1991; Wang and Song, Ckmeans.1d.dp, 2011; Gronlund et al., arXiv 1701.07204); the layers
from coarse to fine are of this library.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._kernels import optimal_levels as kernels
from minifloat._tensors import AnyTensor
from minifloat.formats import Codebook
from minifloat.formats.base import MAX_CODE_BITS, check_int
from minifloat.quantization.checks import checked_factors

Array = NDArray[Any]


def fit_codebook(
    values: ArrayLike | AnyTensor,
    levels: SupportsIndex,
    weights: ArrayLike | AnyTensor | None = None,
    *,
    name: str = "codebook",
) -> Codebook:
    """Return the codebook of so many levels that has the least weighted squared error on data.

    It is the optimum, not a local one: no other ``levels`` numbers have a smaller
    ``sum(weights * (values - nearest)**2)`` by more than float64's rounding of the data's own sum
    of squares about their mean.

    Parameters
    ----------
    values : array_like
        Finite data of any shape, at least two different ones with a weight above 0.
    levels : int
        2 to 65536. Where fewer values differ, the codebook has just these.
    weights : array_like, optional
        A factor for each squared error, at least 0, of a shape that broadcasts to that of
        ``values``: a diagonal of the Fisher information, as SqueezeLLM has it, or of a Hessian.
    name : str
        Of the codebook.

    Returns
    -------
    Codebook
        With ascending values.

    Raises
    ------
    ValueError
        If data or weights are not finite, a weight is negative, or all data with a weight above 0
        are equal.
    TypeError
        If they are not numeric.

    Notes
    -----
    With m levels and n different values it takes some 2 ns times m n log2(n), and 4 m n + 100 n
    bytes.

    To fit one codebook to a whole tensor that is quantized in blocks, give it the weights over
    their blocks' scales, and the squares of these scales as weights. For a codebook for each block
    or row see the formats lut1 to lut8 of a recipe (`minifloat.formats.Lookup`).

    Examples
    --------
    >>> import minifloat as mf
    >>> list(mf.fit_codebook([0.0, 0.1, 0.9, 1.1, 5.0], 3))
    [0.05, 1.0, 5.0]
    >>> list(mf.fit_codebook([0.0, 1.0, 6.0, 8.0, 30.0], 2, weights=[4, 4, 4, 4, 0]))
    [0.5, 7.0]
    """
    _arrays.check_cpu()
    count = check_int("levels", levels, 2, 1 << MAX_CODE_BITS)
    given = _arrays.source_array(values, "values")[0]
    shape = given.shape
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        given = given.astype(np.float64).reshape(-1)
    if not np.isfinite(given).all():
        wrong = given[~np.isfinite(given)][0]
        raise ValueError(f"values must be finite, got {wrong}; leave it out")
    factors = None
    if weights is not None:
        factors = checked_factors("weights", weights, shape).reshape(-1)
        given, factors = given[factors > 0], factors[factors > 0]
    different, place = np.unique(given + 0.0, return_inverse=True)  # + 0.0: no -0
    if different.size < 2:
        raise ValueError(
            "values must have at least two different ones with a weight above 0, got "
            f"{different.size}"
        )
    mass = np.bincount(place, factors).astype(np.float64)
    if different.size <= count:
        return Codebook(different.tolist(), name)
    return Codebook(np.unique(best_levels(different[None], mass[None], count)[0]).tolist(), name)


def best_levels(
    values: Array, weights: Array | None, count: int, seed: int | None = None
) -> NDArray[np.float64]:
    """Return the ``count`` levels of least squared error for each row of data, ascending.

    Parameters
    ----------
    values : ndarray of float64, (rows, n)
        Each row ascending; n at least 1.
    weights : ndarray of float64, (rows, n), optional
        Finite and at least 0. A row without weights above 0 is fitted as if all were 1.
    count : int
    seed : int, optional
        So many levels are the best ones, and ``count``, 2**k times as many, are found by splitting
        cells in two, each in the best way.

    Returns
    -------
    ndarray of float64, (rows, count)

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.quantization.fitting import best_levels
    >>> best_levels(np.array([[1.0, 2.0, 6.0]]), None, 2)
    array([[1.5, 6. ]])
    """
    rows, n = values.shape
    exponents = np.frexp(np.abs(values).max(axis=1, keepdims=True))[1]
    scaled = np.ldexp(values, -exponents)  # so that no square overflows
    if weights is None:
        masses = np.ones(values.shape)
    else:
        largest = weights.max(axis=1, keepdims=True)
        masses = np.where(largest > 0, np.ldexp(weights, -np.frexp(largest)[1]), 1.0)
    centres = (masses * scaled).sum(axis=1) / masses.sum(axis=1)
    levels = np.empty((rows, count))
    sums, errors = np.empty((3, n + 1)), np.empty((2, n + 1))
    seed = count if seed is None else seed
    starts, cuts = np.empty((seed, n + 1), np.int32), np.empty(count + 1, np.int64)
    kernels.optimal_levels(scaled, masses, centres, seed, levels, sums, errors, starts, cuts)
    return np.asarray(np.ldexp(levels, exponents))
