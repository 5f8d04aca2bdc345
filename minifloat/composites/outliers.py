"""Dense and sparse: few weights apart from the others, in 16 bits, so that the rest is narrow.

SqueezeLLM (arXiv 2306.07629) takes two kinds of weights out of a matrix: those beyond a threshold,
which is a function of the matrix's quartiles, and the fraction that is most sensitive by squared
gradients. The rest gets tables, for whose fit the removed weights do not count. Here a choice of
outliers is an array of bool, so that choices are joined by ``|``, and the rest has any recipe.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import as_array, source_array
from minifloat._tensors import AnyTensor
from minifloat.composites.arguments import checked_number
from minifloat.formats import NumberFormat
from minifloat.quantization import gptq, quantize
from minifloat.quantization.checks import checked_factors, finite_floats
from minifloat.quantization.composite import Composite
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleSearch
from minifloat.quantization.sparse import Sparse

Array = NDArray[Any]


def largest(numbers: ArrayLike | AnyTensor, fraction: float) -> NDArray[np.bool_]:
    """Return which numbers are the largest in magnitude, so many that they are this fraction.

    Parameters
    ----------
    numbers : array_like of floats or integers
        Weights; or the sensitivity of each, as the squared gradient of the loss (SqueezeLLM) or
        ``hessian.diagonal() * (w - q.dequantize())**2``.
    fraction : float
        0 to 1; the count is rounded down. Of equal ones the first are taken.

    Returns
    -------
    ndarray of bool
        In the shape of ``numbers``.

    Raises
    ------
    ValueError
        If a number is not finite, or the fraction is out of range.
    TypeError
        If they are not numeric.

    Examples
    --------
    >>> from minifloat.composites import largest
    >>> largest([[0.5, -8.0], [1.0, 0.25]], 0.25)
    array([[False,  True],
           [False, False]])
    """
    given = finite_floats("numbers", numbers)
    share = checked_number("fraction", fraction, most=1)
    count = int(share * given.size)
    if not count:
        return np.zeros(given.shape, np.bool_)
    magnitudes = np.abs(given.reshape(-1))
    least = np.partition(magnitudes, -count)[-count]
    chosen: NDArray[np.bool_] = magnitudes > least
    equal = np.flatnonzero(magnitudes == least)
    chosen[equal[: count - np.count_nonzero(chosen)]] = True
    return chosen.reshape(given.shape)


def beyond_quartiles(w: ArrayLike | AnyTensor, spread: float) -> NDArray[np.bool_]:
    """Return which weights are beyond SqueezeLLM's threshold.

    With the quartiles q1 and q3 of all weights it is the larger magnitude of
    q1 - spread * (q3 - q1) and q3 + spread * (q3 - q1).

    Parameters
    ----------
    w : array_like of floats or integers
    spread : float
        At least 0; the paper's code has 1.8 as an example, which takes 0.19 % of Gaussian weights.

    Returns
    -------
    ndarray of bool
        In the shape of ``w``.

    Raises
    ------
    ValueError
        If there is no weight, one is not finite, or the spread is negative.
    TypeError
        If they are not numeric.

    Examples
    --------
    >>> from minifloat.composites import beyond_quartiles
    >>> beyond_quartiles([1.0, 2.0, 3.0, 4.0, 9.0], 1.8)
    array([False, False, False, False,  True])
    """
    given = finite_floats("w", w)
    width = checked_number("spread", spread)
    if not given.size:
        raise ValueError("w must have weights for quartiles, got none")
    with np.errstate(over="ignore", invalid="ignore"):
        q1, q3 = np.quantile(given, [0.25, 0.75])
        reach = width * (q3 - q1)
        return np.asarray(np.abs(given) > max(abs(q1 - reach), abs(q3 + reach)))


def split_outliers(
    w: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str,
    outliers: ArrayLike | AnyTensor,
    *,
    hessian: ArrayLike | AnyTensor | None = None,
    damp: float = 0.01,
    importance: ArrayLike | AnyTensor | None = None,
    threads: SupportsIndex = 1,
) -> Composite:
    """Quantize a matrix whose outliers are kept apart, in 16 bits.

    For the dense part outliers are 0, and where errors are weighted (tables, the search "mse"),
    theirs have no weight. An outlier's sparse value is the weight minus what its code means,
    rounded to float16.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        As for `minifloat.quantize`; blocks run along the inputs.
    recipe : Recipe, format or str
        Of the dense part.
    outliers : array_like of bool, (outputs, inputs)
        As `largest` and `beyond_quartiles` give; they are joined by ``|``.
    hessian : array_like, (inputs, inputs), optional
        X^T X of the layer's inputs: the dense part is that of `minifloat.gptq`. Then sparse values
        are the weights themselves, and codes of outliers make up for errors, as others do. This
        combination is ours; see `spqr`.
    damp : float
        As for `minifloat.gptq`.
    importance, threads
        As for `minifloat.quantize`.

    Returns
    -------
    Composite
        With the parts dense and sparse.

    Raises
    ------
    ValueError
        As `minifloat.quantize` and `minifloat.gptq`; if ``w`` is not 2-d, ``outliers`` has another
        shape, or an outlier is beyond float16.
    TypeError
        If ``outliers`` is not bool; as these.

    Notes
    -----
    It takes the time of `minifloat.quantize` (`minifloat.gptq`); the search for the gaps' width is
    linear in the number of outliers.

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> from minifloat.composites import largest, split_outliers
    >>> w = np.random.default_rng(0).standard_normal((64, 128)) ** 3
    >>> c = split_outliers(w, "int4/64/float16", largest(w, 0.01))
    >>> plain = mf.quantize(w, "int4/32/float16")
    >>> round(c.bits_per_weight, 2), round(plain.bits_per_weight, 2)
    (4.54, 4.5)
    >>> [round(float(np.mean((w - np.asarray(each)) ** 2)), 3) for each in (c, plain)]
    [0.145, 0.207]
    """
    weights, recipe = source_array(w, "w")[0], Recipe.parse(recipe)
    if weights.ndim != 2:
        raise ValueError(f"w must be of shape (outputs, inputs), got shape {weights.shape}")
    mask = as_array("outliers", outliers)
    if mask.dtype != np.bool_:
        raise TypeError(f"outliers must be bool, got {mask.dtype}; use largest(w, fraction)")
    if mask.shape != weights.shape:
        raise ValueError(f"outliers must have the shape of w, {weights.shape}, got {mask.shape}")
    rest = np.where(mask, weights.dtype.type(0), weights)
    weighted = recipe.search is ScaleSearch.MSE and recipe.rotation is None
    if recipe.fmt.is_lookup or weighted:
        given = np.ones(1) if importance is None else importance
        importance = np.where(mask, 0.0, checked_factors("importance", given, weights.shape))
    if hessian is None:
        q = quantize(rest, recipe, importance=importance, threads=threads)
        means = np.where(mask, q.dequantize(), 0)
    else:
        q = gptq(rest, recipe, hessian, damp=damp, importance=importance, threads=threads)
        means = np.zeros(1)
    return Composite(q, sparse=Sparse.of(np.where(mask, weights.astype(np.float64) - means, 0)))
