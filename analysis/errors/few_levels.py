"""Exact squared errors of binary and ternary weights whose law is normal.

A row is taken as infinitely long, so that its mean and its mean magnitude are those of the law.
The rules are those of `minifloat.quantization.few_levels`.
"""

from __future__ import annotations

import math

from minifloat.quantization.few_levels import OPERATORS

MEAN_MAGNITUDE = math.sqrt(2 / math.pi)  # of the standard normal law


def binary_error(operator: str, mean: float = 0.0, deviation: float = 1.0) -> float:
    """Return the expected squared error of an operator of BiBench on normal weights.

    Parameters
    ----------
    operator : str
        One of `minifloat.quantization.few_levels.OPERATORS`.
    mean, deviation : float
        Of the weights; the deviation is above 0.

    Returns
    -------
    float

    Examples
    --------
    >>> round(binary_error("dorefa"), 6), round(binary_error("bnn"), 4)
    (0.36338, 0.4042)
    >>> round(binary_error("xnor", mean=0.5) - binary_error("dorefa", mean=0.5), 3)
    0.165
    """
    rule = OPERATORS[operator]
    center = mean if rule.center else 0.0
    second = mean**2 + deviation**2
    product = _mean_times_sign(mean, deviation, center)
    scale = {
        "one": 1.0,
        "mean": _mean_times_sign(mean - center, deviation, 0.0),
        "learned": product,
    }[rule.scale]
    return second - 2 * scale * product + scale**2


def ternary_error(threshold: float, scale: float | None = None) -> float:
    """Return the expected squared error of ternary weights on the standard normal law.

    Parameters
    ----------
    threshold : float
        Weights of at most this magnitude become 0: at least 0.
    scale : float, optional
        The magnitude of the others; default: the best one, their mean magnitude.

    Returns
    -------
    float

    Examples
    --------
    >>> round(ternary_error(0.612003), 6)  # the least one
    0.190174
    >>> round(ternary_error(0.7 * MEAN_MAGNITUDE), 4)  # TWN
    0.1916
    >>> round(ternary_error(MEAN_MAGNITUDE / 2, MEAN_MAGNITUDE), 4)  # BitNet b1.58
    0.2634
    """
    share = math.erfc(threshold / math.sqrt(2))
    mass = MEAN_MAGNITUDE * math.exp(-(threshold**2) / 2)
    best = mass / share if scale is None else scale
    return 1 - 2 * best * mass + best**2 * share


def _mean_times_sign(mean: float, deviation: float, center: float) -> float:
    """Return the expectation of w sign(w - center)."""
    away = (center - mean) / deviation
    return mean * math.erf(-away / math.sqrt(2)) + deviation * MEAN_MAGNITUDE * math.exp(
        -(away**2) / 2
    )
