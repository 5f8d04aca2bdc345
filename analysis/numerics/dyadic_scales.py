"""How often a dyadic scale of few bits changes the result of requantization."""

from __future__ import annotations

import numpy as np

from analysis.statistics import Estimate
from minifloat import arithmetic


def changed_share(scale: float, bits: int) -> float:
    """Return the share of sums whose INT8 result a dyadic scale changes.

    Parameters
    ----------
    scale : float
        A float32 number in ``2**-24 .. 1``.
    bits : int
        Of the multiplier, 1..31.

    Returns
    -------
    float
        Over all integer sums with a result in -127..127; in integers, so there is no rounding.

    Examples
    --------
    >>> from analysis.numerics.dyadic_scales import changed_share
    >>> changed_share(1.25 / 1024, 3), round(changed_share(1.25 / 1024, 2), 3)
    (0.0, 0.978)
    """
    limit = int(127 / scale)
    sums = np.arange(-limit, limit + 1)
    whole = arithmetic.dyadic(scale, 24)  # float32 has 24 bits, so it is the scale itself
    wanted = (2 * sums * whole.multiplier + (1 << whole.shift)) >> (whole.shift + 1)
    return float(np.mean(arithmetic.requantize(sums, arithmetic.dyadic(scale, bits)) != wanted))


def changed_shares(bits: int, *, draws: int = 24, seed: int = 0) -> Estimate:
    """Return the mean `changed_share` of random scales, with its standard error over them.

    Parameters
    ----------
    bits : int
        Of the multiplier, 1..31.
    draws : int
        Scales, log-uniform in ``2**-11 .. 2**-10``; at least 2.
    seed : int

    Returns
    -------
    Estimate

    Examples
    --------
    >>> from analysis.numerics.dyadic_scales import changed_shares
    >>> changed_shares(24, draws=2).mean
    0.0
    """
    scales = (2.0 ** np.random.default_rng(seed).uniform(-11, -10, draws)).astype(np.float32)
    return Estimate.of([changed_share(scale, bits) for scale in scales.tolist()])
