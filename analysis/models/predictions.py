"""Probabilities of the next token, and how far those of two models are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array


def log_probabilities(logits: Array) -> Array:
    """Return the logarithm of the softmax over the last axis, in place of the logits.

    Parameters
    ----------
    logits : ndarray of float32, (..., vocabulary)
        Overwritten. Sums are in float64.

    Returns
    -------
    ndarray of float32
        ``logits`` itself.

    Examples
    --------
    >>> np.exp(log_probabilities(np.float32([[2, 2]]))).round(4)
    array([[0.5, 0.5]], dtype=float32)
    """
    logits -= logits.max(axis=-1, keepdims=True)
    total = np.exp(logits).sum(axis=-1, dtype=np.float64, keepdims=True)
    logits -= np.log(total).astype(np.float32)
    return logits


def mean_nats(logits: Array, tokens: NDArray[np.integer[Any]]) -> float:
    """Return the mean -log probability of tokens.

    Parameters
    ----------
    logits : ndarray of float32, (tokens, vocabulary)
        Overwritten.
    tokens : ndarray of integers, 1-d

    Returns
    -------
    float

    Examples
    --------
    >>> round(mean_nats(np.zeros((2, 8), np.float32), np.array([3, 5])), 6)
    2.079442
    """
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = logits[np.arange(len(logits)), tokens]
    total = np.exp(logits, out=logits).sum(axis=-1, dtype=np.float64)
    return float(np.mean(np.log(total) - chosen))


def divergence(ours: Array, exact: Array) -> NDArray[np.float64]:
    """Return the Kullback-Leibler divergence of distributions from the exact ones, in nats.

    Parameters
    ----------
    ours, exact : ndarray of float32, (..., vocabulary)
        Logarithms of probabilities.

    Returns
    -------
    ndarray of float64, (...)

    Examples
    --------
    >>> half, most = np.log(np.array([[[0.5, 0.5]], [[0.9, 0.1]]], np.float32))
    >>> divergence(most, half).round(4)
    array([0.5108])
    """
    apart: NDArray[np.float64] = (np.exp(exact, dtype=np.float64) * (exact - ours)).sum(axis=-1)
    return apart
