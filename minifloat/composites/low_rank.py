"""Low-rank correction: two thin matrices that undo much of the error of quantized weights.

Let E = W - Q be the error of weights (outputs, inputs). The methods of the literature are points of
one space: which matrix of rank r is best, in which norm of the error, and whether Q is made again.

    norm of E - L R                         hessian=                      method
    sum of squares                          None                          LoRC, LQER, LoftQ
    squares times a factor for each input   (inputs,)                     L2QER: `channel_scales`**2
    squared error of the layer's outputs    X^T X, (inputs, inputs)       the optimum for the layer

    rounds=1: Q is made once, L R corrects it               ZeroQuant-V2's LoRC (arXiv 2303.08302),
                                                            LQER and L2QER (2402.02446)
    rounds=5: Q <- quantized(W - L R), and L R again        LoftQ (2310.08659)

INT2.1 (2306.08162) trains L and R by gradients; for a layer's squared error the best that training
can find is the third line of the table, in one step.

With T T^T = H, the norm is that of (E - L R) T. By Eckart and Young the best L R T is U U^T E T,
with the first r left singular vectors U of E T. So L = U and R = U^T E, and no inverse of T is
needed: what the papers write as diag(s)^-1 times singular vectors is the same matrix, and a
singular H is no special case. (That the left factor decides, and that the right one is U^T E in
each norm, is our form of it.) When L is quantized, R is fitted again to what L has become, by least
squares, which again are the same in each norm.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import as_array
from minifloat._tensors import AnyTensor
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int, shown
from minifloat.quantization import quantize
from minifloat.quantization.checks import checked_factors, finite_floats
from minifloat.quantization.composite import Composite
from minifloat.quantization.hessians import checked_hessian
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[np.float64]
Quantizer: TypeAlias = Callable[[NDArray[Any]], Quantized]

FLOOR = 1e-4  # of L2QER's scales
MOST_ROUNDS = 100
LARGEST = 1e100  # of an error, whose squares are summed
NEGATIVE = 1e-6  # of the largest eigenvalue: so far below 0 sums in float32 may bring one


def correct_by_low_rank(
    w: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str | Quantizer,
    *,
    rank: SupportsIndex | None = None,
    bits: float | None = None,
    hessian: ArrayLike | AnyTensor | None = None,
    rounds: SupportsIndex = 1,
    factors: Recipe | NumberFormat | str = "int4/128/float16",
) -> Composite:
    """Quantize a layer's weights, and correct their error by a product of two thin matrices.

    The result is the best of the rounds, and of the weights without a correction, by the norm that
    ``hessian`` makes: so it is never worse than those.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        As for `minifloat.quantize`; blocks run along the inputs.
    recipe : Recipe, format, str or callable
        Of the weights, which are rounded to nearest; or what quantizes them: a function of weights
        that returns `Quantized`, such as ``lambda v: mf.gptq(v, "int4", hessian)``.
    rank : int, optional
        Of the correction: 1 to the smaller length of the weights.
    bits : float, optional
        In place of ``rank``: bits per weight of all. The rank is the largest that needs no more; if
        1 does, there is no correction.
    hessian : array_like, (inputs, inputs) or (inputs,), optional
        X^T X of the layer's inputs X, a row for each sample; or a factor, at least 0, for the
        squared errors of each input. Any constant factor will do. Default: all inputs count alike.
    rounds : int
        How often the weights, less the correction so far, are quantized: 1 to 100.
    factors : Recipe, format or str
        Of both thin matrices. Blocks run along the outputs in the left one and along the inputs in
        the right one, so each rank has scales of its own.

    Returns
    -------
    Composite
        With ``dense`` and, if it pays, ``low_rank``.

    Raises
    ------
    ValueError
        As `minifloat.quantize`; if ``w`` is no matrix, an option is out of range, not just one of
        ``rank`` and ``bits`` is given, the weights alone need more than ``bits``, or ``hessian``
        has another shape or is not finite, symmetric and positive semidefinite.
    TypeError
        If ``w`` or ``hessian`` is not numeric, an option has another type, or ``recipe`` returns
        something else.

    Notes
    -----
    A round takes as long as the quantizer, and a singular value decomposition of the weights' size:
    0.2 s for 384 x 1536. A whole Hessian of n inputs is decomposed once: 1.2 s for n = 1536.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.composites import correct_by_low_rank
    >>> rng = np.random.default_rng(0)
    >>> w = rng.standard_normal((64, 128)).astype("f4")
    >>> c = correct_by_low_rank(w, "int3/128/float16", rank=8)
    >>> round(c.bits_per_weight, 2)
    3.91
    >>> error = w - c.dequantize()
    >>> bool(c.dense.sqnr(w) < 10 * np.log10(np.sum(w**2) / np.sum(error**2)))
    True
    """
    exact = finite_floats("w", w)
    if exact.ndim != 2 or not exact.size:
        raise ValueError(f"w must be of shape (outputs, inputs), not empty, got {exact.shape}")
    if (rank is None) == (bits is None):
        raise ValueError("rank or bits must be given, and not both; got "
                         f"rank={shown(rank)}, bits={shown(bits)}")  # fmt: skip
    limit = min(exact.shape)
    count = limit if rank is None else check_int("rank", rank, 1, limit)
    rounds = check_int("rounds", rounds, 1, MOST_ROUNDS)
    norm = _Norm.of(hessian, exact.shape[1])
    rounds = check_int("rounds", rounds, 1)
    thin = Recipe.parse(factors)
    quantizer = _quantizer(recipe)

    dense = _quantized(quantizer, exact)
    if bits is not None:
        count = _affordable_rank(bits, dense, thin)
    error = exact - dense.dequantize()
    best, least = Composite(dense), norm.square(error)
    product = np.zeros_like(exact)
    for k in range(rounds if count else 0):
        if k:
            dense = _quantized(quantizer, exact - product)
            error = exact - dense.dequantize()
        pair = _fitted(error, count, norm, thin)
        product = pair[0].dequantize().astype(np.float64) @ pair[1].dequantize()
        rest = norm.square(error - product)
        if rest < least:
            best, least = Composite(dense, low_rank=pair), rest
    return best


def best_factors(
    error: ArrayLike, rank: SupportsIndex, hessian: ArrayLike | AnyTensor | None = None
) -> tuple[Array, Array]:
    """Return the thin matrices whose product is nearest to an error; see `correct_by_low_rank`.

    Parameters
    ----------
    error : array_like, (outputs, inputs)
        Finite.
    rank : int
        0 to the smaller length of the error.
    hessian : array_like, (inputs, inputs) or (inputs,), optional
        As for `correct_by_low_rank`.

    Returns
    -------
    left : ndarray of float64, (outputs, rank)
    right : ndarray of float64, (rank, inputs)
        Each column of the left one is as long as the row of the right one.

    Raises
    ------
    ValueError, TypeError
        As `correct_by_low_rank`.

    Examples
    --------
    >>> from minifloat.composites.low_rank import best_factors
    >>> left, right = best_factors([[3.0, 0.0], [0.0, 2.0]], 1)
    >>> abs(left @ right).round(6) + 0
    array([[3., 0.],
           [0., 0.]])
    >>> left, right = best_factors([[3.0, 0.0], [0.0, 2.0]], 1, hessian=[1.0, 9.0])
    >>> abs(left @ right).round(6) + 0
    array([[0., 0.],
           [0., 2.]])
    """
    given = finite_floats("error", error)
    if given.ndim != 2:
        raise ValueError(f"error must be of shape (outputs, inputs), got {given.shape}")
    largest = float(np.abs(given).max(initial=0))
    if largest > LARGEST:
        raise ValueError(f"error must be at most {LARGEST:g}, for its squares, got {largest:g}")
    rank = check_int("rank", rank, 0, min(given.shape))
    return _nearest_factors(given, rank, _Norm.of(hessian, given.shape[1]))


def channel_scales(inputs: ArrayLike | AnyTensor) -> Array:
    """Return L2QER's scale for each input: its mean magnitude over sqrt(smallest * largest).

    ``correct_by_low_rank(w, recipe, hessian=channel_scales(x)**2)`` is L2QER.

    Parameters
    ----------
    inputs : array_like, (samples, inputs)
        Of the layer; finite.

    Returns
    -------
    ndarray of float64, (inputs,)
        Mean magnitudes below 1e-4 count as 1e-4, as in the paper's code.

    Raises
    ------
    ValueError
        If the inputs are no finite matrix with a sample.
    TypeError
        If they are not numeric.

    Examples
    --------
    >>> from minifloat.composites.low_rank import channel_scales
    >>> channel_scales([[1.0, -4.0], [1.0, 4.0]])
    array([0.5, 2. ])
    """
    given = finite_floats("inputs", inputs)
    if given.ndim != 2 or not given.size:
        raise ValueError(f"inputs must be of shape (samples, inputs), not empty, got {given.shape}")
    magnitudes = np.maximum(np.abs(given).mean(axis=0), FLOOR)
    return np.asarray(magnitudes / np.sqrt(magnitudes.min()) / np.sqrt(magnitudes.max()))


@dataclass(frozen=True)
class _Norm:
    """How the error of a layer is measured: |E T|**2, with T T^T the Hessian.

    Attributes
    ----------
    hessian : ndarray of float64, (inputs, inputs) or (inputs,), or None
    root : ndarray of float64, of the same shape, or None
        T; of a diagonal Hessian its diagonal.
    """

    hessian: Array | None
    root: Array | None

    @staticmethod
    def of(hessian: ArrayLike | AnyTensor | None, inputs: int) -> _Norm:
        if hessian is None:
            return _Norm(None, None)
        if as_array("hessian", hessian).ndim == 1:
            diagonal = checked_factors("hessian", hessian, (inputs,))
            return _Norm(diagonal, np.sqrt(diagonal))
        whole = checked_hessian(hessian, inputs)
        values, vectors = np.linalg.eigh(whole)
        if values.min() < -NEGATIVE * abs(values).max():
            raise ValueError(
                "hessian must be positive semidefinite, got an eigenvalue of "
                f"{values.min():.2g} times its largest element; use X.T @ X in float64"
            )
        return _Norm(whole, vectors * np.sqrt(np.maximum(values, 0)))

    def square(self, error: Array) -> float:
        """Return |E T|**2."""
        return float(np.square(self.times_root(error)).sum())

    def times_root(self, error: Array) -> Array:
        """Return E T."""
        if self.root is None:
            return error
        return error * self.root if self.root.ndim == 1 else error @ self.root


def _nearest_factors(error: Array, rank: int, norm: _Norm) -> tuple[Array, Array]:
    left = np.linalg.svd(norm.times_root(error), full_matrices=False)[0][:, :rank]
    right = left.T @ error
    balance = np.sqrt(np.linalg.norm(right, axis=1))
    balance[balance == 0] = 1
    return left * balance, right / balance[:, np.newaxis]


def _fitted(error: Array, rank: int, norm: _Norm, recipe: Recipe) -> tuple[Quantized, Quantized]:
    """Return quantized factors, the right one fitted to what the left one has become."""
    left = quantize(_nearest_factors(error, rank, norm)[0], recipe, axis=0)
    right = np.linalg.lstsq(left.dequantize().astype(np.float64), error, rcond=None)[0]
    return left, quantize(right, recipe, axis=1)


def _affordable_rank(bits: float, dense: Quantized, factors: Recipe) -> int:
    """Return the largest rank with which no more than so many bits per weight are needed."""
    if not isinstance(bits, int | float | np.floating | np.integer) or isinstance(bits, bool):
        raise TypeError(f"bits must be a number, got {shown(bits)}")
    if not bits >= dense.bits_per_weight:
        raise ValueError(
            f"bits must be at least {dense.bits_per_weight:.6g}, what the weights alone need, got "
            f"{shown(bits)}"
        )
    outputs, inputs = dense.shape

    def needed(rank: int) -> float:
        zeros = (np.zeros((outputs, rank), np.float32), np.zeros((rank, inputs), np.float32))
        pair = (quantize(zeros[0], factors, axis=0), quantize(zeros[1], factors, axis=1))
        return Composite(dense, low_rank=pair).bits_per_weight

    return bisect_right(range(1, min(dense.shape) + 1), bits, key=needed)


def _quantizer(recipe: Recipe | NumberFormat | str | Quantizer) -> Quantizer:
    """Return a function as it is, and of a recipe the one that rounds to nearest."""
    if callable(recipe) and not isinstance(recipe, type):
        return recipe
    parsed = Recipe.parse(recipe)  # type: ignore[arg-type]  # a type is refused here
    return lambda weights: quantize(weights, parsed)


def _quantized(quantizer: Quantizer, weights: NDArray[Any]) -> Quantized:
    q = quantizer(weights)
    if not isinstance(q, Quantized):
        raise TypeError(f"recipe must return Quantized weights, got {type(q).__name__}")
    if q.shape != weights.shape:
        raise ValueError(f"recipe must return weights of shape {weights.shape}, got {q.shape}")
    return q
