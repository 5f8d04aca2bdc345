"""K-sort: columns in an order in which those of like size share a block.

A block's scale follows its largest weight. Where inputs (or channels of keys) differ in size, large
and small ones in one block cost the small ones their precision; sorted by size they meet their like
(Accurate Block Quantization, arXiv 2403.20137, sorts the rows of the key projection by norm, and
those of the query projection equally). The order can be stored, at ceil(log2 inputs) bits an input
(`sort_columns`). Or it is free: where both matrices of a product are sorted alike, nothing need be
stored. So it is for keys and queries (`sort_heads`), and for an inner width: ``up[order]`` and
``down[:, order]`` of a layer with an elementwise function between them.

An order may also hurt. PermuQuant (arXiv 2605.09503) takes one only if the error falls with it,
which is the rule here, too.
"""

from __future__ import annotations

from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import source_array
from minifloat._tensors import AnyTensor
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.quantization import gptq, quantize
from minifloat.quantization.checks import wide_floats
from minifloat.quantization.composite import Composite
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]


def sort_columns(
    w: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str,
    by: Literal["norm", "absmax"] | ArrayLike | AnyTensor = "norm",
    *,
    hessian: ArrayLike | AnyTensor | None = None,
    damp: float | None = None,
    threads: SupportsIndex = 1,
) -> Composite:
    """Quantize a matrix with its columns sorted, if that loses less.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        As for `minifloat.quantize`; blocks run along the inputs.
    recipe : Recipe, format or str
    by : "norm", "absmax" or array_like of float, (inputs,)
        What columns are sorted by, from the smallest on: their Euclidean norm, their largest
        magnitude, or numbers, such as ``hessian.diagonal()``, the second moments of the inputs.
    hessian : array_like, (inputs, inputs), optional
        X^T X of the layer's inputs. Then the error is that of the outputs, trace(D H D^T) with
        D = w - w'; else it is the sum of D**2.
    damp : float, optional
        With it, the matrix is quantized by `minifloat.gptq`, column after column in this order.
    threads : int
        As for `minifloat.quantize`.

    Returns
    -------
    Composite
        With an order, or without it if the error is not smaller with it.

    Raises
    ------
    ValueError
        As `minifloat.quantize` and `minifloat.gptq`; if ``by`` is something else, or ``damp`` is
        given without a Hessian.
    TypeError
        As these.

    Notes
    -----
    The matrix is quantized twice.

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> from minifloat.composites import sort_columns
    >>> rng = np.random.default_rng(0)
    >>> w = rng.standard_normal((64, 256)) * np.exp(rng.standard_normal(256))
    >>> c, plain = sort_columns(w, "int4/32/float16"), mf.quantize(w, "int4/32/float16")
    >>> c.parts["order"] / c.size
    0.125
    >>> round(plain.sqnr(w), 1), round(c.dense.sqnr(w[:, c.order]), 1)
    (16.5, 17.5)
    """
    weights = source_array(w, "w")[0]
    if weights.ndim != 2:
        raise ValueError(f"w must be of shape (outputs, inputs), got shape {weights.shape}")
    if damp is not None and hessian is None:
        raise ValueError("damp must come with a hessian, for gptq, got none")
    order = np.argsort(_keys(weights, by), kind="stable")
    moments = None
    if hessian is not None:
        moments = source_array(hessian, "hessian")[0]
        if moments.shape != (weights.shape[1],) * 2:
            raise ValueError(
                f"hessian must have a row and a column for each input of w, got {moments.shape}"
            )

    def quantized(columns: Array) -> Composite:
        if moments is None or damp is None:
            q = quantize(weights[:, columns], recipe, threads=threads)
        else:
            own = moments[np.ix_(columns, columns)]
            q = gptq(weights[:, columns], recipe, own, damp=damp, threads=threads)
        return Composite(q, order=columns)

    plain = quantized(np.arange(weights.shape[1]))
    found = quantized(order)
    if _error(weights, found, moments) < _error(weights, plain, moments):
        return found
    return Composite(plain.dense)


def sort_heads(
    w_key: ArrayLike | AnyTensor,
    w_query: ArrayLike | AnyTensor,
    head_size: SupportsIndex,
    by: Literal["norm", "absmax"] | ArrayLike | AnyTensor = "norm",
    *,
    pairs: bool = False,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """Return the projections of keys and queries with the channels of each head sorted.

    Products of queries and keys stay as they are, so that the order is free; but keys that are
    quantized in blocks of channels lose less where channels of like size share a block.

    Parameters
    ----------
    w_key : array_like, (key heads * head_size, inputs)
    w_query : array_like, (query heads * head_size, inputs)
        A multiple of the key heads: consecutive query heads share a key head.
    head_size : int
        Channels of a head.
    by : "norm", "absmax" or array_like of float, (key heads * head_size,)
        What the channels of keys are sorted by: a function of the rows of ``w_key``, or numbers,
        such as the second moments of the keys.
    pairs : bool
        Whether channel i turns with channel i + head_size / 2 (rotary embeddings of the kind
        "half"): then such pairs are sorted by the sum of their squares, and stay pairs. The angles
        must be sorted, too: pair k of a head in the new order turns as pair ``order % head_size``
        did.

    Returns
    -------
    w_key, w_query : ndarray
        With their rows sorted.
    order : ndarray of int64, (key heads * head_size,)
        Row k of the first is row ``order[k]`` of the one given.

    Raises
    ------
    ValueError
        If a shape does not fit.
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.composites import sort_heads
    >>> keys, queries = np.diag([4.0, 1.0, 3.0, 2.0]), np.diag([1.0, 2.0, 3.0, 4.0])
    >>> k, q, order = sort_heads(keys, queries, 2)
    >>> order.tolist()
    [1, 0, 3, 2]
    >>> bool((q[:2].T @ k[:2] == queries[:2].T @ keys[:2]).all())
    True
    """
    key, query = (source_array(w, name)[0] for w, name in ((w_key, "w_key"), (w_query, "w_query")))
    size = check_int("head_size", head_size, 1)
    if key.ndim != 2 or len(key) % size:
        raise ValueError(f"w_key must have rows for heads of {shown(size)}, got shape {key.shape}")
    if query.ndim != 2 or not len(key) or len(query) % len(key):
        raise ValueError(
            f"w_query must have a multiple of the {len(key)} rows of w_key, got shape {query.shape}"
        )
    if not isinstance(pairs, bool):
        raise TypeError(f"pairs must be True or False, got {shown(pairs)}")
    if pairs and size % 2:
        raise ValueError(f"head_size must be even for pairs, got {size}")
    heads = _keys(key.T, by).reshape(-1, size)
    if pairs:
        half = (heads[:, : size // 2] ** 2 + heads[:, size // 2 :] ** 2).argsort(1, kind="stable")
        within = np.concatenate([half, half + size // 2], axis=1)
    else:
        within = heads.argsort(axis=1, kind="stable")
    order = (within + np.arange(len(heads))[:, np.newaxis] * size).reshape(-1)
    group = len(query) // len(key)
    every = np.repeat(within, group, axis=0)
    every = (every + np.arange(len(every))[:, np.newaxis] * size).reshape(-1)
    return key[order], query[every], order


def _keys(weights: Array, by: object) -> NDArray[np.float64]:
    """Return a number for each column to sort by."""
    if isinstance(by, str):
        if by not in ("norm", "absmax"):
            raise ValueError(f"by must be norm, absmax or numbers, got {shown(by)}")
        wide = np.abs(wide_floats("w", weights))
        with np.errstate(over="ignore"):
            norms = np.linalg.norm(wide, axis=0) if by == "norm" else wide.max(axis=0, initial=0)
        return np.asarray(norms)
    numbers = wide_floats("by", by)  # type: ignore[arg-type]
    if numbers.shape != weights.shape[1:] or not np.isfinite(numbers).all():
        raise ValueError(
            f"by must be {weights.shape[1]} finite numbers, or norm or absmax, got shape "
            f"{numbers.shape}"
        )
    return numbers


def _error(weights: Array, c: Composite, hessian: Array | None) -> float:
    """Return the error of weights, or of the outputs of a layer with this Hessian."""
    with np.errstate(over="ignore", invalid="ignore"):
        difference = weights.astype(np.float64) - c.dequantize()
        if hessian is None:
            return float((difference * difference).sum())
        return float(((difference @ hessian.astype(np.float64)) * difference).sum())
