"""The layers that several models share: softmax, GELU and norms, in float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.models.packages import optional

Array = NDArray[np.float32]


def softmax(scores: Array) -> Array:
    """Return the softmax over the last axis, computed in place: ``scores`` is overwritten.

    Parameters
    ----------
    scores : ndarray of float32
        -inf gives 0.

    Returns
    -------
    ndarray of float32
        ``scores`` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.models.layers import softmax
    >>> softmax(np.float32([[0, 0], [0, -np.inf]]))
    array([[0.5, 0.5],
           [1. , 0. ]], dtype=float32)
    """
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def gelu(x: Array) -> Array:
    """Return x (1 + erf(x / sqrt 2)) / 2.

    Parameters
    ----------
    x : ndarray of float32

    Returns
    -------
    ndarray of float32

    Raises
    ------
    MissingPackage
        If SciPy is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.models.layers import gelu
    >>> gelu(np.float32([-9, 0, 1])).round(4)
    array([-0.    ,  0.    ,  0.8413], dtype=float32)
    """
    y: Array = x * np.float32(0.5) * (1 + optional("scipy.special").erf(x * np.float32(0.5**0.5)))
    return y


def layer_norm(x: Array, gain: Array, bias: Array, epsilon: float) -> Array:
    """Return ``(x - mean) / sqrt(variance + epsilon) * gain + bias`` over the last axis.

    Parameters
    ----------
    x : ndarray of float32, (..., width)
    gain, bias : ndarray of float32, (width,)
    epsilon : float

    Returns
    -------
    ndarray of float32, (..., width)

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.models.layers import layer_norm
    >>> one = np.ones(2, np.float32)
    >>> layer_norm(np.float32([[1, 5]]), 2 * one, one, 0.0)
    array([[-1.,  3.]], dtype=float32)
    """
    x = x - x.mean(axis=-1, keepdims=True)
    x /= np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(epsilon))
    return x * gain + bias


def rms_norm(x: Array, gain: Array, epsilon: float) -> Array:
    """Return ``x / sqrt(mean square + epsilon) * gain`` over the last axis.

    Parameters
    ----------
    x : ndarray of float32, (..., width)
    gain : ndarray of float32, (width,)
    epsilon : float

    Returns
    -------
    ndarray of float32, (..., width)

    Examples
    --------
    >>> import numpy as np
    >>> from analysis.models.layers import rms_norm
    >>> rms_norm(np.float32([[1, -7]]), np.ones(2, np.float32), 0.0)
    array([[ 0.2, -1.4]], dtype=float32)
    """
    mean_square = np.mean(x * x, axis=-1, keepdims=True)
    normed: Array = x / np.sqrt(mean_square + np.float32(epsilon))
    return normed * gain
