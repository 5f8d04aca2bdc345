"""The weights of a tensor as a law, and their exact error under absmax block quantization.

Everything here is a finite sum over the weights, where a density needs an integral.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors.absmax_error import checked_scaling, errors_of_largest
from analysis.errors.expected_error import squared_error_within
from analysis.errors.laws import Array, Law, Moments
from minifloat.formats import Format, NumberFormat
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleFormat


@dataclass(frozen=True, eq=False)
class Empirical(Law):
    """The law of one weight drawn from a tensor, divided by the tensor's rms.

    The mean is kept, as quantizers keep it, so the law need not be symmetric. Moments are
    differences of prefix sums over the sorted weights, in long double (where that is float64: to
    1e-16 of 1, not of themselves).

    Parameters
    ----------
    weights : array_like
        Finite, not all zero, any shape.

    Raises
    ------
    ValueError
        If there are no weights, one is not finite, or all are zero.

    Examples
    --------
    >>> from analysis import Empirical
    >>> float(Empirical([-3.0, 4.0]).upper_moments(0.0).second.round(6))
    0.64
    """

    weights: ArrayLike = field(repr=False)
    symmetric = False

    def __post_init__(self) -> None:
        try:
            weights = np.asarray(self.weights, np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise TypeError(
                f"weights must be an array of numbers, got {type(self.weights).__name__}; "
                "absmax_mse takes a law"
            ) from None
        if not weights.size or not np.isfinite(weights).all() or not weights.any():
            raise ValueError(
                f"weights must be finite and not all zero, got {weights.size} weights, "
                f"{np.count_nonzero(weights)} of them not zero, "
                f"{np.count_nonzero(~np.isfinite(weights))} not finite"
            )
        absmax = np.abs(weights).max()
        weights = weights / absmax
        weights = np.sort(weights / math.sqrt(float(np.mean(weights**2))))
        split = int(np.searchsorted(weights, 0.0))
        sides = {1: weights[split:], -1: -weights[:split][::-1]}
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "_sides", sides)
        object.__setattr__(
            self, "_sums", {sign: _suffix_sums(side, weights.size) for sign, side in sides.items()}
        )

    @property
    def sorted(self) -> Array:
        """The weights over their rms, ascending."""
        return np.asarray(self.weights)

    @property
    def name(self) -> str:
        """The number of weights, as in ``empirical(4096 weights)``."""
        return f"empirical({self.sorted.size} weights)"

    def cdf(self, x: ArrayLike) -> Array:
        """Return the share of weights at most ``x``."""
        return np.searchsorted(self.sorted, x, side="right") / self.sorted.size

    def partial_moment(self, order: int, x: ArrayLike) -> Array:
        """Return the sum of ``w**order`` over weights at most ``x``, over their number.

        Raises
        ------
        ValueError
            If ``order`` is neither 1 nor 2.
        """
        if order not in (1, 2):
            raise ValueError(f"order must be 1 or 2, got {order}")
        powers = np.cumsum(self.sorted.astype(np.longdouble) ** order) / self.sorted.size
        sums = np.concatenate([[0.0], powers])
        index = np.searchsorted(self.sorted, x, side="right")
        return np.asarray(sums[index], np.float64)

    def upper_moments(self, x: ArrayLike, sign: int = 1) -> Moments:
        """Return the moments over ``sign * w >= x``, for ``x >= 0``, in long double.

        A weight of 0 counts as positive.
        """
        sides: dict[int, Array] = vars(self)["_sides"]
        sums: dict[int, Moments] = vars(self)["_sums"]
        index = np.searchsorted(sides[sign], x)
        return Moments(*(moment[index] for moment in sums[sign]))

    def magnitude_beyond(self, p: ArrayLike) -> Array:
        """Return the largest magnitude that a share of at least ``p`` of the weights reaches."""
        magnitudes = np.sort(np.abs(self.sorted))
        index = np.ceil(np.asarray(p, np.float64) * magnitudes.size).astype(np.int64)
        return magnitudes[magnitudes.size - np.clip(index, 1, magnitudes.size)]


def absmax_mse_of_weights(
    fmt: Recipe | NumberFormat | str,
    weights: Empirical | ArrayLike,
    block_size: float | None = None,
    scale: ScaleFormat | Format | str = "float32",
    *,
    tensor_scale: float | None = None,
) -> float:
    """Return the expected squared error of a weight in blocks drawn from given weights.

    As `analysis.absmax_mse`, but each block is ``block_size`` draws with replacement from
    ``weights`` instead of from a density.

    Parameters
    ----------
    fmt, block_size, scale, tensor_scale
        As for `analysis.absmax_mse`.
    weights : Empirical or array_like
        Finite, not all zero, any shape.

    Returns
    -------
    float
        Relative to the mean square of the weights.

    Raises
    ------
    ValueError
        As `analysis.absmax_mse` and `Empirical`.

    Notes
    -----
    A sum over the distinct magnitudes m. With F(m) the share of weights of magnitude at most m and
    F-(m) the share below it, a weight below m is in a block of absmax m with chance
    ``F**(n-1) - F-**(n-1)``, a weight at m with chance ``F**(n-1)``.

    Examples
    --------
    >>> import numpy as np
    >>> from analysis import absmax_mse_of_weights
    >>> weights = np.random.default_rng(0).standard_normal(1 << 16)
    >>> round(absmax_mse_of_weights("e2m2", weights, 128), 4)
    0.0029
    """
    law = weights if isinstance(weights, Empirical) else Empirical(weights)
    grid, n, rule = checked_scaling(fmt, law, block_size, scale, tensor_scale)
    m, counts = np.unique(np.abs(law.sorted), return_counts=True)
    share = np.cumsum(counts) / law.sorted.size
    share_below = np.concatenate([[0.0], share[:-1]])
    positive = m > 0  # a block of zeros has no error
    m, share, share_below = m[positive], share[positive], share_below[positive]
    chance = np.zeros(m.size) if n == 1 else share ** (n - 1) - share_below ** (n - 1)
    scales = rule(m)
    smaller = squared_error_within(grid, law, scales, np.nextafter(m, 0.0))
    at_m = sum(
        (np.searchsorted(law.sorted, x, side="right") - np.searchsorted(law.sorted, x))
        * errors_of_largest(grid, scales, x)
        for x in (m, -m)
    )
    return float(chance @ smaller + share ** (n - 1) @ (at_m / law.sorted.size))


def _suffix_sums(side: Array, count: int) -> Moments:
    """Return the sums of ``w**k`` from each index on, over ``count``, and a 0 that ends them."""
    wide = side.astype(np.longdouble)
    sums = (np.cumsum((wide**k)[::-1])[::-1] / count for k in range(3))
    return Moments(*(np.concatenate([total, np.zeros(1, np.longdouble)]) for total in sums))
