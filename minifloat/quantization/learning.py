"""Learned rounding: gradients decide, for each weight, between the values below and above it.

AdaRound (Nagel et al., arXiv 2004.10568) rounds a weight w down or up, and learns which. With a the
largest value of the format below the weight and b the next one, in units of the scale, the weight
is a + (b - a) h(v), and v is learned. The values of a float are not equidistant: each weight has a
gap b - a of its own. A weight that is a value, or beyond all of them, has none, and stays there.

    h(v) = clip(1.2 sigmoid(v) - 0.1, 0, 1)               the rectified sigmoid
    J = n L / L0 + weight sum_k (1 - |2 h(v_k) - 1|**beta)

J is that of a row of n weights, L = d H d^T its loss and L0 that of rounding to nearest, so that
both terms are numbers a weight. At first h is the weight's own place between a and b. For a fifth
of the steps L alone is minimized; then the regularizer pushes each h to 0 or 1, while beta falls
from 20 to 2. The steps are Adam's.

The paper takes inputs X in batches. X^T X holds all that squared errors of a layer's outputs know,
so here each step has the gradient of all inputs, and nothing is drawn. Ours are the gaps of any
format, the norm L0 of the loss, and that the best rounding met on the way is kept for each row.
With scales found by least squares first it is the weights' part of arXiv 2408.06995, 4-bit floats
for diffusion models; gradient-based rounding in general is the subject of arXiv 2308.07662.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._tensors import AnyTensor
from minifloat._threads import check_threads, each, slices
from minifloat.codec.decision_points import sorted_values
from minifloat.formats.base import check_int
from minifloat.quantization.hessians import checked_damp
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.unpacked import Unpacked

Array = NDArray[Any]

STRETCH, BELOW = 1.2, 0.1  # zeta - gamma, and -gamma
BETAS = (20.0, 2.0)
WARM_UP = 0.2  # of the steps
WEIGHT = 300.0  # of the regularizer
RATE, DECAYS, TINY = 0.05, (0.9, 0.999), 1e-8  # Adam's
KEPT = 10  # times that the rounding is looked at, evenly over the steps
CHUNK = 1 << 20  # weights that a thread learns at a time
MOST_STEPS = 1 << 30


def learn_rounding(
    w: ArrayLike | AnyTensor,
    q: Quantized,
    hessian: ArrayLike | AnyTensor,
    *,
    damp: float = 0.01,
    steps: SupportsIndex = 300,
    threads: SupportsIndex = 1,
) -> Quantized:
    """Round weights anew for a layer's inputs, each up or down, by AdaRound.

    The error is trace(D H D^T) with the damped Hessian H, D the differences of the weights, as for
    `gptq`. The scales, zero points and choices are those of ``q``. Rows whose error does not fall
    keep their codes, so the result is never worse than ``q``, or than rounding to nearest with its
    scales.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        The weights before quantization.
    q : Quantized
        By any recipe without tables, in blocks along the inputs.
    hessian : array_like of float or integers, (inputs, inputs)
        X^T X of the layer's calibration inputs X, a row for each sample (any factor will do).
    damp : float
        This times the mean of the Hessian's diagonal is added to its diagonal.
    steps : int
        Of Adam, at least 1.
    threads : int
        Threads to share the rows among; the result does not depend on it.

    Returns
    -------
    Quantized
        By the same recipe, with the same scales.

    Raises
    ------
    ValueError
        If ``q`` is not such a matrix or is not finite, ``w`` has another shape or is not finite, or
        the Hessian is not finite, symmetric and positive semidefinite, or of another shape.
    TypeError
        If ``q`` is not Quantized, or an argument has another type.

    Notes
    -----
    A step takes as long as the product of the weights and the Hessian in float32, and some 30 ns a
    weight. The products are sums by BLAS: on another machine a weight between two values that are
    about as good may go the other way.

    Examples
    --------
    >>> import minifloat as mf
    >>> hessian = [[1.0, 0.9], [0.9, 1.0]]
    >>> w = [[0.6, 0.7]]
    >>> q = mf.quantize(w, "int4/channel/e8m0:up", absmax_at=1)
    >>> q.dequantize(), mf.learn_rounding(w, q, hessian).dequantize()
    (array([[1., 1.]], dtype=float32), array([[0., 1.]], dtype=float32))
    """
    damp = checked_damp(damp)
    count = check_int("steps", steps, 1, MOST_STEPS)
    threads = check_threads(threads)
    parts = Unpacked.of(w, q, hessian, damp)
    if not q.size:
        return q
    codes = parts.codes.copy()
    values = neighbours(parts)
    step = max(1, CHUNK // q.shape[1])

    def work(rows: slice) -> None:
        with np.errstate(all="ignore"):  # of losses beyond float64, and weights without a gap
            _learn(parts, values, rows, count, codes[rows])

    each(work, slices(q.shape[0], step), threads)
    return parts.result(codes)


def _learn(
    parts: Unpacked, values: tuple[Values, Values], rows: slice, count: int, best: Array
) -> None:
    """Write the best codes of some rows into ``best``, which has those of the start."""
    below, above = (Values(side.units[rows], side.codes[rows]) for side in values)
    wanted, scales = parts.wanted[rows], parts.every_scale()[rows]
    low, gap = below.units * scales, (above.units - below.units) * scales
    least = parts.losses(parts.units[rows] * scales, rows)

    def keep(is_up: Array) -> Array:
        """Keep the rows that are better than all before, and return the losses."""
        losses = parts.losses(np.where(is_up, above.units, below.units) * scales, rows)
        better = losses < least
        least[better] = losses[better]
        best[better] = np.where(is_up, above.codes, below.codes)[better]
        return losses

    place = np.where(gap > 0, np.clip((wanted - low) / gap, 0, 1), 0)
    nearest = keep(place > 0.5)
    norm = np.sqrt(best.shape[1] / np.where(nearest > 0, nearest, np.inf))[:, np.newaxis]
    single = np.float32
    problem = SoftRounding(
        ((low - wanted) * norm).astype(single), (gap * norm).astype(single),
        parts.hessian.astype(single),
    )  # fmt: skip
    v = start_of(place).astype(single)
    moments = np.zeros_like(v), np.zeros_like(v)
    for t in range(1, count + 1):
        adam(v, problem.gradient(v, *regularizer(t / count)), moments, t)
        if t * KEPT // count > (t - 1) * KEPT // count:
            keep(soft(v)[0] > 0.5)


@dataclass(frozen=True)
class SoftRounding:
    """The objective of some rows in v: loss and regularizer.

    Attributes
    ----------
    low, gap : ndarray of float, (rows, inputs)
        The difference of the weight's lower value from the weight, and the gap to the upper one.
    hessian : ndarray of float, (inputs, inputs)

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.quantization.learning import SoftRounding
    >>> problem = SoftRounding(np.full((1, 2), -0.5), np.ones((1, 2)), np.eye(2))
    >>> problem.value(np.zeros((1, 2)), weight=0.1, beta=2.0)
    0.2
    >>> problem.gradient(np.ones((1, 2)), weight=0.0, beta=2.0).round(4)
    array([[0.1308, 0.1308]])
    """

    low: Array
    gap: Array
    hessian: Array

    def value(self, v: Array, weight: float, beta: float) -> float:
        """Return the objective, summed over the rows."""
        h, _ = soft(v)
        differences = self.low + self.gap * h
        regularizer = np.sum(1 - np.abs(2 * h - 1) ** beta)
        return float(np.sum(differences @ self.hessian * differences) + weight * regularizer)

    def gradient(self, v: Array, weight: float, beta: float) -> Array:
        """Return the derivatives of the objective by each v."""
        h, slope = soft(v)
        by_h = (self.low + self.gap * h) @ self.hessian
        by_h *= self.gap
        by_h *= 2
        if weight:
            side = 2 * h - 1
            by_h -= np.sign(side) * np.abs(side) ** (beta - 1) * (2 * beta * weight)
        return np.asarray(by_h * slope)


def soft(v: Array) -> tuple[Array, Array]:
    """Return the rectified sigmoid h of v, 0 to 1, and its slope."""
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-v))
    stretched = STRETCH * sigmoid - BELOW
    slope = STRETCH * sigmoid * (1 - sigmoid)
    slope[(stretched < 0) | (stretched > 1)] = 0
    return np.clip(stretched, 0, 1), slope


def start_of(place: Array) -> Array:
    """Return the v whose rectified sigmoid is ``place``, in 0 .. 1."""
    sigmoid = (place + BELOW) / STRETCH
    return np.asarray(np.log(sigmoid / (1 - sigmoid)))


def regularizer(progress: float) -> tuple[float, float]:
    """Return weight and beta after a part of the steps, 0 to 1."""
    if progress <= WARM_UP:
        return 0.0, BETAS[0]
    rest = (1 - progress) / (1 - WARM_UP)
    return WEIGHT, BETAS[1] + (BETAS[0] - BETAS[1]) * rest


class Values(NamedTuple):
    """A value of the format for each weight, without the scale, and its code."""

    units: Array
    codes: Array


def neighbours(parts: Unpacked) -> tuple[Values, Values]:
    """Return the largest value that is not above each weight, and the smallest not below it.

    Both are the same where the weight is a value, or beyond all values, or its scale is 0.
    """
    scales, zeros, choices = (
        parts.every_scale(),
        parts.every(parts.zeros),
        parts.every(parts.choices),
    )
    quotients = parts.wanted / np.where(scales == 0, 1, scales) + zeros
    below, above = (Values(np.empty(scales.shape), np.empty_like(parts.codes)) for _ in range(2))
    for k, candidate in enumerate(parts.q.recipe.candidates):
        values = sorted_values(candidate.fmt, negative_zero=False)
        units = np.array([float(value.exact) for value in values])
        codes = np.array([value.code for value in values], parts.codes.dtype)
        is_this = choices == k
        numbers = quotients[is_this]
        lower = np.maximum(np.searchsorted(units, numbers, "right") - 1, 0)
        upper = np.minimum(lower + (numbers > units[lower]), len(units) - 1)
        for found, index in ((below, lower), (above, upper)):
            found.units[is_this], found.codes[is_this] = units[index], codes[index]
    below.units[...] -= zeros
    above.units[...] -= zeros
    return below, above


def adam(v: Array, gradient: Array, moments: tuple[Array, Array], t: int) -> None:
    """Take a step of Adam (Kingma and Ba, arXiv 1412.6980), the t-th."""
    first, second = moments
    first *= DECAYS[0]
    first += (1 - DECAYS[0]) * gradient
    second *= DECAYS[1]
    second += (1 - DECAYS[1]) * gradient * gradient
    rate = RATE * np.sqrt(1 - DECAYS[1] ** t) / (1 - DECAYS[0] ** t)
    v -= rate * first / (np.sqrt(second) + TINY)
