"""Factors of channels between keys and queries, which make keys easier to quantize (MiKV)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._tensors import AnyTensor


def channel_balancer(
    queries: ArrayLike | AnyTensor, keys: ArrayLike | AnyTensor
) -> NDArray[np.float16]:
    """Return MiKV's factor of each channel of keys: sqrt(max |q| / max |k|).

    Keys are multiplied by it before they are packed, and queries divided, so that scores stay the
    same but for rounding: the channels of keys become as large as those of queries (MiKV, arXiv
    2402.18096). It is given to `KeyValueCache`.

    Parameters
    ----------
    queries : array_like of float, (query_heads, n, length)
        Of some text. Each head of keys serves ``query_heads / heads`` neighbours among them.
    keys : array_like of float, (heads, m, length)

    Returns
    -------
    ndarray of float16, (heads, length)
        1 where a channel is 0 at all tokens; at least the smallest positive number of float16, and
        finite.

    Raises
    ------
    ValueError
        If the shapes do not fit, there are no tokens, or a number is not finite.
    TypeError
        If they are not numeric.

    Examples
    --------
    >>> channel_balancer([[[4.0, 1.0]]], [[[1.0, 16.0]]])
    array([[2.  , 0.25]], dtype=float16)
    """
    q, k = (
        np.asarray(_arrays.source_array(x, name)[0], np.float64)
        for x, name in ((queries, "queries"), (keys, "keys"))
    )
    if q.ndim != 3 or k.ndim != 3 or q.shape[2] != k.shape[2] or not q.size or not k.size:
        raise ValueError(
            "queries and keys must be of shape (heads, tokens, length), with one length, and not "
            f"empty, got {q.shape} and {k.shape}"
        )
    if len(q) % len(k):
        raise ValueError(f"queries must have heads a multiple of {len(k)}, got {len(q)}")
    if not (np.isfinite(q).all() and np.isfinite(k).all()):
        raise ValueError("queries and keys must be finite, got an infinity or NaN")
    most_q = np.abs(q).reshape(len(k), -1, k.shape[2]).max(axis=1)
    most_k = np.abs(k).max(axis=1)
    usable = (most_q > 0) & (most_k > 0)
    factors = np.ones_like(most_k)
    factors[usable] = np.sqrt(most_q[usable]) / np.sqrt(most_k[usable])
    limits = np.finfo(np.float16)
    least, most = float(limits.smallest_subnormal), float(limits.max)
    balancer: NDArray[np.float16] = factors.clip(least, most).astype(np.float16)
    return balancer
