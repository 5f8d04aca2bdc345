"""A pitfall of integer quantization in 16 bits: the largest weight may round beyond the last level.

With 127 levels a block's scale is s = max / 127, and the largest element becomes max / s. If both
quotients are rounded to bfloat16, the result can be 127.5, which rounds to 128, and in eight bits
wraps to -128 unless it is clipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

LEVELS = 127


def share_beyond_last_level(dtype: str) -> float:
    """Return the share of standard normals x for which round(x / (x / 127)) exceeds 127.

    Parameters
    ----------
    dtype : str
        bfloat16, float16 or float32: the type of x, the scale and the quotient.

    Returns
    -------
    float
        Probability, exact but for float64's rounding.

    Raises
    ------
    ValueError
        If ``dtype`` is none of these.
    ModuleNotFoundError
        For bfloat16, if ml_dtypes is not installed.

    Notes
    -----
    Every positive value of a 16-bit type is tried and weighted with the probability that a normal
    rounds to it. In float32 the scale is a normal number except with probability 1e-36, and then
    only the significand counts: all significands in [1, 2) are tried.

    References
    ----------
    INT v.s. FP (2025), table 11: 16.82 %, 0.02 % and 0 %.

    Examples
    --------
    >>> from analysis.published.scale_pitfall import share_beyond_last_level
    >>> [f"{share_beyond_last_level(dtype):.2%}" for dtype in ("float16", "float32")]
    ['0.02%', '0.00%']
    """
    x = _positive_values(dtype)
    with np.errstate(all="ignore"):  # subnormal scales, and a scale of 0
        quotient = x / (x / x.dtype.type(LEVELS))
    beyond = np.rint(quotient.astype(np.float64)) > LEVELS
    probability = _probabilities(x.astype(np.float64))
    return float(probability[beyond].sum() / probability.sum())


def _positive_values(dtype: str) -> NDArray[Any]:
    """Return the positive finite values of a 16-bit type, or those of float32 in [1, 2)."""
    if dtype == "float32":
        return np.arange(0x3F80_0000, 0x4000_0000, dtype=np.uint32).view(np.float32)
    if dtype == "float16":
        return np.arange(1, 0x7C00, dtype=np.uint16).view(np.float16)
    if dtype == "bfloat16":
        import ml_dtypes

        return np.arange(1, 0x7F80, dtype=np.uint16).view(ml_dtypes.bfloat16)
    raise ValueError(f"dtype must be bfloat16, float16 or float32, got {dtype}")


def _probabilities(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance that a standard normal's magnitude rounds to each ascending value."""
    middles = (values[1:] + values[:-1]) / 2
    ends = np.concatenate([values[:1] / 2, middles, values[-1:]])
    probability: NDArray[np.float64] = 2 * -np.diff(ndtr(-ends))
    return probability
