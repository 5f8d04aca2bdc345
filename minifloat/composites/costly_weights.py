"""SpQR: GPTQ that keeps a weight apart where its rounding error costs the layer too much.

Let R be the triangle of the damped H = R R^T (`minifloat.quantization.feedback`), and e_kj the
error of row k and column j that GPTQ makes; it costs (R_jj e_kj)**2. (SpQR's paper and code divide
by the diagonal of the Cholesky factor of the inverse, which is 1 / R_jj.) SpQR (Dettmers et al.,
arXiv 2306.03078) compares costs with one limit for the matrix,

    limit = threshold * mean over j of R_jj**2 var(w_j)

where w_j is a column of the weights, with the unbiased variance. Block after block, whose weights
are updated by then:

1. Each weight of a block is left out in turn. The scale and the zero point are found without it,
   and if the cost of all others falls by more than the limit, against the block's cost with it, the
   weight is a likely outlier.
2. The block's scale and zero point are found with 0 in place of its likely outliers. (The authors
   put the mean of the others there, which is the same for a range that includes 0.)
3. Column after column is rounded. A weight whose error costs more than the limit is an outlier: it
   gets the code of 0, and what is left of it is kept in float16. The errors that remain go to the
   columns to come.

These are the steps of the authors' code. Theirs has integers with zero points, whose scales and
zeros are integers of few bits again, for groups of groups; here all is as the recipe says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import code_dtype
from minifloat._kernels import gptq as kernels
from minifloat._tensors import AnyTensor
from minifloat._threads import slices
from minifloat.composites.arguments import checked_number
from minifloat.formats import NumberFormat
from minifloat.packing import pack
from minifloat.quantization import joint_tensor_scale
from minifloat.quantization.checks import finite_floats, wide_floats
from minifloat.quantization.composite import Composite
from minifloat.quantization.feedback import check_updates, feedback, steps_of_each
from minifloat.quantization.hessians import checked_damp
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scale_search import block_scales
from minifloat.quantization.sparse import Sparse

Array = NDArray[Any]

AT_ONCE = 1 << 22  # weights of blocks with one left out


def spqr(
    w: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str,
    hessian: ArrayLike | AnyTensor,
    *,
    threshold: float = 0.2,
    damp: float = 0.01,
) -> Composite:
    """Quantize a layer's weights by GPTQ, and keep those apart whose rounding costs too much.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        As for `minifloat.quantize`.
    recipe : Recipe, format or str
        Blocks of a number of inputs, or "channel"; SpQR has small ones with small scales and zero
        points, as ``uint3/16/e4m3fn/zero-point``.
    hessian : array_like of float or integers, (inputs, inputs)
        X^T X of the layer's inputs X.
    threshold : float
        The limit of an error's cost over the mean cost of leaving a weight out (above). Infinity
        is GPTQ without outliers.
    damp : float
        As for `minifloat.gptq`; a scale outside its format saturates, as there.

    Returns
    -------
    Composite
        With the parts dense and sparse.

    Raises
    ------
    ValueError
        As `minifloat.gptq`; if the recipe has tiles, one scale, a rotation, alternatives, tables or
        scales that are quantized together ("double"), or ``threshold`` is negative or NaN.
    TypeError
        As `minifloat.gptq`.

    Notes
    -----
    Leaving each weight out once rounds as many weights as a block has for each weight: with blocks
    of 16 it takes some 4 times as long as `minifloat.gptq`, with 32 some 8 times (576 x 576).

    Examples
    --------
    >>> import numpy as np
    >>> import minifloat as mf
    >>> from minifloat.composites import spqr
    >>> rng = np.random.default_rng(0)
    >>> w, x = rng.standard_normal((32, 64)) ** 3, rng.standard_normal((256, 64))
    >>> c = spqr(w, "uint3/16/e4m3fn/zero-point", x.T @ x, threshold=0.1)
    >>> c.parts["sparse"], round(c.bits_per_weight, 2)
    (2446, 4.88)
    """
    weights, recipe = finite_floats("w", w), Recipe.parse(recipe)
    damp, threshold = checked_damp(damp), checked_number("threshold", threshold)
    _check(weights, recipe)
    factors = feedback(hessian, weights.shape[1], damp)
    costs = _costs(wide_floats("hessian", hessian), factors, damp)
    rows = _Rows(weights, recipe, factors, costs)
    with np.errstate(over="ignore", invalid="ignore"):  # infinity times 0
        limit = threshold * float(np.mean(weights.var(axis=0, ddof=1) * costs))
        for columns in slices(weights.shape[1], rows.block):
            rows.round(columns, limit)
    return Composite(rows.quantized(), sparse=Sparse.of(rows.apart))


class _Fit(NamedTuple):
    """The scale and the zero point of a block of each row, float64."""

    scales: Array
    zeros: Array | None


class _Rows:
    """All rows of the weights, of which block after block becomes codes."""

    def __init__(self, weights: Array, recipe: Recipe, factors: Array, costs: Array) -> None:
        inputs = weights.shape[1]
        self.weights, self.recipe, self.factors, self.costs = weights, recipe, factors, costs
        self.block = recipe.block if isinstance(recipe.block, int) else max(inputs, 1)
        self.tensor_scale = joint_tensor_scale([weights], recipe) if recipe.tensor_scale else None
        self.carry = np.zeros_like(weights)
        self.codes = np.zeros(weights.shape, code_dtype(recipe.fmt.bits))
        self.apart = np.zeros(weights.shape, np.float32)
        self.fits: list[_Fit] = []  # of each block of columns

    def fitted(self, rows: Array) -> _Fit:
        """Return the scales of rows that are one block each."""
        factor = 1.0 if self.tensor_scale is None else self.tensor_scale
        rows = np.ascontiguousarray(rows)
        scales, zeros = block_scales(self.recipe, rows, rows.shape[1], factor, saturate=True)
        return _Fit(scales[:, 0], None if zeros is None else zeros[:, 0])

    def rounded(self, rows: Array, fit: _Fit) -> tuple[Array, Array]:
        """Return the codes of rows, and what these leave of them."""
        rest = np.array(rows, order="C")
        codes = np.empty(rest.shape, self.codes.dtype)
        factor = 1.0 if self.tensor_scale is None else self.tensor_scale
        scales = (fit.scales * factor)[:, np.newaxis]
        zeros = np.empty((0, 0)) if fit.zeros is None else fit.zeros[:, np.newaxis]
        width = rest.shape[1]
        kernels.round_panel(
            rest, np.zeros_like(rest), scales, zeros, np.zeros(scales.shape, np.uint8),
            np.zeros(width, np.intp), np.zeros((width, width)),
            *steps_of_each((self.recipe.fmt,)), codes,
        )  # fmt: skip
        return codes, rest

    def cost(self, rows: Array, costs: Array) -> Array:
        """Return the cost of rows that are rounded as a block each."""
        _, rest = self.rounded(rows, self.fitted(rows))
        return np.asarray((rest * rest * costs).sum(axis=1))

    def savings(self, updated: Array, costs: Array) -> Array:
        """Return how much the cost of each row falls when a weight is left out (step 1)."""
        outputs, width = updated.shape
        whole = self.cost(updated, costs)
        if width == 1:
            return whole[:, np.newaxis]
        kept = np.array([[j for j in range(width) if j != out] for out in range(width)])
        savings = np.empty_like(updated)
        step = max(1, AT_ONCE // (width * width))
        for rows in slices(outputs, step):
            others = updated[rows][:, kept].reshape(-1, width - 1)
            left = self.cost(others, np.tile(costs[kept], (rows.stop - rows.start, 1)))
            savings[rows] = whole[rows, np.newaxis] - left.reshape(-1, width)
        return savings

    def round(self, columns: slice, limit: float) -> None:
        """Round a block of columns, whose columns before are rounded."""
        costs, factors = self.costs[columns], self.factors[columns, columns]
        updated = self.weights[:, columns] - self.carry[:, columns]
        check_updates(updated)
        likely = self.savings(updated, costs) > limit if limit < np.inf else np.False_
        fit = self.fitted(np.where(likely, 0, updated))
        self.fits.append(fit)
        zero_codes, zero_rests = self.rounded(np.zeros((len(updated), 1)), fit)
        errors = np.zeros_like(updated)
        for k, column in enumerate(range(columns.start, columns.stop)):
            codes, rest = (part[:, 0] for part in self.rounded(updated[:, k : k + 1], fit))
            apart = rest * rest * costs[k] > limit
            if apart.any():
                codes[apart] = zero_codes[apart, 0]
                rest[apart] = updated[apart, k] + zero_rests[apart, 0]
                self.apart[apart, column] = _halves(rest[apart])
                rest[apart] -= self.apart[apart, column]
            self.codes[:, column], errors[:, k] = codes, rest
            updated[:, k + 1 :] -= np.outer(rest, factors[k, k + 1 :])
        check_updates(errors)
        self.carry[:, columns.stop :] += errors @ self.factors[columns, columns.stop :]

    def quantized(self) -> Quantized:
        """Return the dense part."""
        zeros = [fit.zeros for fit in self.fits if fit.zeros is not None]
        return Quantized(
            packed=pack(self.codes.reshape(-1), self.recipe.fmt.bits),
            scales=np.stack([fit.scales for fit in self.fits], axis=1).astype(np.float32),
            recipe=self.recipe,
            shape=self.weights.shape,
            axis=1,
            tensor_scale=self.tensor_scale,
            zero_points=np.stack(zeros, axis=1).astype(self.codes.dtype) if zeros else None,
        )


def _costs(hessian: Array, factors: Array, damp: float) -> Array:
    """Return R_jj**2 of the damped Hessian, up to a factor: the diagonal of G H G^T."""
    largest = float(np.abs(hessian).max(initial=0)) or 1.0
    damped = hessian / largest
    damped[np.diag_indices_from(damped)] += damp * damped.diagonal().mean()
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.einsum("ij,ij->i", factors @ damped, factors))


def _halves(numbers: Array) -> Array:
    """Round to float16; what is beyond it stays, and `Sparse` refuses it."""
    with np.errstate(over="ignore"):
        halves = numbers.astype(np.float16).astype(np.float32)
    return np.where(np.isfinite(halves), halves, numbers)


def _check(weights: Array, recipe: Recipe) -> None:
    if weights.ndim == 2 and len(weights) < 2:
        raise ValueError(f"w must have at least 2 rows, for variances, got shape {weights.shape}")
    if weights.ndim != 2 or not (isinstance(recipe.block, int) or recipe.block == "channel"):
        raise ValueError(
            "w must be of shape (outputs, inputs), in blocks of a number of inputs, got shape "
            f"{weights.shape} and {recipe}"
        )
    if recipe.fmt.is_lookup or recipe.alternatives or recipe.double or recipe.rotation is not None:
        raise ValueError(
            "recipe must have one format and scales that are not quantized together, and no "
            f"rotation, got {recipe}"
        )
    if recipe.fmt.min >= 0 and not recipe.zero_point:
        raise ValueError(
            f"recipe must have a format with negative values, or zero points, got {recipe}"
        )
