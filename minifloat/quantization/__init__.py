"""Weights to packed codes with scales, by a `Recipe`.

Read in this order to learn how a weight becomes a packed code:

    recipes        what is to be done: format, blocks, scales
    blocks         which weights share a scale
    rotations      blocks times a Hadamard matrix, before all else
    scales         what a scale is, and how absmax becomes one
    scale_search   the scale and the zero point of each block
    tasks          weights, their recipe and their blocks; the parts that are done at a time
    group_scales   the scales of all blocks of some rows
    tensor_scales  the factor of all scales
    coders         how a kernel finds the codes of a recipe's format
    pipeline       the steps, some rows at a time, down to packed bytes
    code_rounding  modes other than to nearest, a word of random bits for each weight
    authors        another arithmetic: that of FPE2M2's own code
    fitting        the best codebook for data
    tables         recipes whose blocks have a table of their own, each the best
    nested         weights that are stored once and read at several widths
    hessians       what a layer's inputs say of its weights
    feedback       GPTQ, which corrects errors in the columns to come
    gptq_codes     the codes of rows by it
    refining       coordinate descent on codes and scales, given a layer's inputs
    learning       AdaRound: each weight up or down, by gradients
    unpacked       what both know of a quantized matrix
    quantized      the result
    picking        some of its rows
    memory_rows    blocks as they lie in memory
    dequantizing   back to floats
    block_rounding both at once, without codes, as training rounds
    block_parts    the same part by part, on threads, after a rotation
    composite      weights of several parts, a `Quantized` among them
    sparse         one of the parts: a sparse matrix, of outliers
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex, Unpack

import numpy as np
from numpy.typing import ArrayLike

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat._threads import check_threads
from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import check_bool, check_int
from minifloat.formats.rounding import Rounding, RoundingLike
from minifloat.quantization import feedback
from minifloat.quantization.authors import quantized_by_authors
from minifloat.quantization.blocks import Array
from minifloat.quantization.checks import block_axis, checked_factors, checked_tensor_scale
from minifloat.quantization.code_rounding import CodeRounding
from minifloat.quantization.errors import max_and_squares
from minifloat.quantization.hessians import checked_damp, checked_hessian, rotated
from minifloat.quantization.pipeline import quantized
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipe_fields import RecipeFields, Scaling
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleSearch
from minifloat.quantization.tables import quantized_by_tables
from minifloat.quantization.tensor_scales import longest, tensor_scale_of


class SearchOptions(Scaling, total=False):
    """The options of `search_format`."""

    axis: SupportsIndex
    importance: ArrayLike | AnyTensor | None
    rounding: RoundingLike
    seed: SupportsIndex | None
    threads: SupportsIndex


def quantize(
    w: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str,
    *,
    axis: SupportsIndex = -1,
    importance: ArrayLike | AnyTensor | None = None,
    rounding: RoundingLike = Rounding.NEAREST_EVEN,
    seed: SupportsIndex | None = None,
    threads: SupportsIndex = 1,
    **changes: Unpack[RecipeFields],
) -> Quantized:
    """Quantize weights by a recipe: codes of a format, with a scale for each block.

    An all-zero block gets scale 0 (or the smallest one, of a format without zero) and comes back as
    zeros, unless its values have no zero either. A scale too small for its format becomes its
    smallest positive value, never 0. Ties go to the even code, unless ``rounding`` says otherwise.

    Parameters
    ----------
    w : array_like of float16, bfloat16, float32, float64 or integers
        Finite weights of any shape; a tensor of PyTorch or JAX, too, without its gradient.
    recipe : Recipe, format or str
        A `Recipe`, its text ("e2m2/128/float16", "e4m3fn/128x128/float32"), a name in
        `minifloat.RECIPES` ("mxfp4", "nvfp4"), or a format alone: blocks of 128 with float16
        scales.
    axis : int
        The axis that blocks run along. Tiles lie in the last two axes; then it is -1.
    importance : array_like of float, integers or bool, optional
        A factor for each squared error, at least 0, of a shape that broadcasts to that of ``w``;
        for recipes with the search "mse", and for tables (lut4).
    rounding : Rounding or str
        How the quotient of a weight and its scale is rounded: one of `minifloat.Rounding`. Scales,
        zero points and candidates are found as for rounding to nearest.
    seed : int, optional
        0 .. 2**64 - 1, for the stochastic modes: a weight has the 24 random bits that
        ``round_to(w, ..., seed=seed)`` has for it.
    threads : int
        Threads to share the blocks among; the result does not depend on it.
    **changes
        Fields of the recipe that differ: ``block=64, scale="e8m0", search="mse"``. A float32 number
        as ``tensor_scale`` is the tensor scale itself: `joint_tensor_scale` finds one for several
        tensors.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError
        If a weight is infinite or NaN (with its index), a scale is beyond its format, a weight is
        negative and the format has no negative values, the recipe has no such option, or it has
        tables, the authors' arithmetic or zero points of 16 bits, and ``rounding`` is not to
        nearest.
    TypeError
        If ``w`` is not numeric, or an option has another type.

    Notes
    -----
    With zero points (``zero_point=True``), let lo = min(0, lowest weight) and hi = max(0, highest
    weight) of a block. Its scale is that of absmax = hi - lo, its zero point round(-lo / scale),
    and a code round(w / scale) + zero point, both limited to the format's codes. The search
    "percentile" takes lo and hi from the percentiles 100 - p and p, "shrink" (as GPTQ has it)
    shrinks both, and "mse" tries all zero points with all scales.

    With a rotation the weights are rotated in float64 first (`Rotation`), and rounded to float32
    unless they are float64; all else is done to the rotated ones, a part of them at a time.

    With the search "mse" a block of n weights takes up to 40 bytes times n times the number of
    values of the format, and at most 40 MiB or 160 n bytes.

    With ``rounding="stochastic"`` the mean of a weight over all random bits is the weight, to
    2**-24 of the gap between its neighbours, where it lies within the values of its block: a scale
    that was rounded down leaves the largest weights beyond, and these saturate. Scales rounded up
    (``scale="e8m0:ceil"``) leave none. The random bits take 4 bytes for each weight.

    Examples
    --------
    >>> import minifloat as mf
    >>> q = mf.quantize([[1.0, -0.5, 0.1, 0.02]], "e2m2/2/float32")
    >>> q.codes.tolist(), q.scales.tolist()
    ([[15, 27, 15, 6]], [[0.1428571492433548, 0.014285714365541935]])
    >>> q.bits_per_weight
    21.0
    >>> mf.quantize([0.9, -0.4], "mxfp4")
    <Quantized e2m1/32/e8m0 (2,): 8 bits per weight, axis 0>
    """
    _arrays.check_cpu()
    recipe, tensor_scale = _changed(recipe, changes)
    weights, name = _arrays.source_array(w, "w")
    axis_or_none = block_axis(axis, weights.shape, recipe.block)
    threads = check_threads(threads)
    factors = _importance(importance, recipe, weights)
    way = CodeRounding.of(rounding, seed, recipe, weights.shape)
    if recipe.fmt.is_lookup:
        return quantized_by_tables(
            weights, recipe, axis_or_none, importance=factors, threads=threads
        )
    if recipe.arithmetic == "authors":
        return quantized_by_authors(
            weights, recipe, axis_or_none, importance=factors, threads=threads
        )
    return quantized(
        weights,
        recipe,
        axis_or_none,
        wide=name == "float64",
        importance=factors,
        tensor_scale=tensor_scale,
        rounding=way,
        threads=threads,
    )


def gptq(
    w: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str,
    hessian: ArrayLike | AnyTensor,
    *,
    damp: float = 0.01,
    act_order: bool = False,
    static_groups: bool = False,
    zero_dead: bool = False,
    importance: ArrayLike | AnyTensor | None = None,
    threads: SupportsIndex = 1,
    **changes: Unpack[RecipeFields],
) -> Quantized:
    """Quantize a layer's weights by a recipe and GPTQ, which corrects each column's error.

    Columns are rounded one after another, and the columns to come make up for the errors so far
    (`minifloat.quantization.feedback`). A block's scale and zero point are found, by the recipe,
    when the columns before it are rounded, from what its weights have become. The weights of an
    input that is always 0 are rounded to nearest. Three options of GPTQ's code change this.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        As for `quantize`; blocks run along the inputs.
    recipe : Recipe, format or str
        As for `quantize`; double only with ``static_groups``.
    hessian : array_like of float or integers, (inputs, inputs)
        X^T X of the layer's calibration inputs X, a row for each sample (any factor will do).
    damp : float
        This times the mean of the Hessian's diagonal is added to its diagonal.
    act_order : bool
        Whether columns are rounded by decreasing diagonal of the Hessian, and not from the first to
        the last. It needs ``static_groups=True``, so that blocks are of neighbours all the same;
        `minifloat.composites.ordered_gptq` has blocks that follow the order.
    static_groups : bool
        Whether all scales and zero points are those of the weights as they are given, as `quantize`
        finds them. Blocks of whole rows have these anyway.
    zero_dead : bool
        Whether weights of inputs that are always 0 become 0 before all else.
    importance, threads, **changes
        As for `quantize`.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError
        As `quantize`; if ``w`` is not a matrix, or ``hessian`` has another shape, or is not finite,
        symmetric and positive semidefinite (when damped, definite).
    TypeError
        If ``w`` or ``hessian`` is not numeric, or an option has another type.

    Notes
    -----
    With n inputs GPTQ takes 32 n**2 bytes at most, and for each thread some 10 MiB or 32 n bytes.
    If GPTQ's updated weights need a scale outside the scale format, the scale saturates. Updates
    are sums in float64 by BLAS: an updated weight so near to a decision point that their order
    matters may go either way on another machine. With a diagonal Hessian the result is that of
    `quantize`, unless there is a rotation: the Hessian is rotated as the inputs are.

    GPTQ's code (https://github.com/IST-DASLab/gptq) differs in three points. It finds the scale of
    a block within its panel of 128 columns before the errors of that panel are in the weights, and
    that of whole rows before dead weights are 0. And a dead input counts as 1 in the mean of the
    diagonal, here as 0.

    Examples
    --------
    The last two inputs are the same, so of their weights only the sum matters:

    >>> import minifloat as mf
    >>> hessian = [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    >>> mf.gptq([[1.0, 0.4, 0.4]], "int2", hessian).dequantize()
    array([[1., 0., 1.]], dtype=float32)
    """
    _arrays.check_cpu()
    recipe, tensor_scale = _changed(recipe, changes)
    weights, name = _arrays.source_array(w, "w")
    damp = checked_damp(damp)
    for switch, value in (("act_order", act_order), ("static_groups", static_groups),
                          ("zero_dead", zero_dead)):  # fmt: skip
        check_bool(switch, value)
    if act_order and not static_groups:
        raise ValueError(
            "act_order must come with static_groups, got static_groups=False; "
            "minifloat.composites.ordered_gptq keeps the order of columns with the weights"
        )
    if weights.ndim != 2 or recipe.block == "tensor":
        raise ValueError(
            "w must be of shape (outputs, inputs), in blocks along the inputs, for a hessian, got "
            f"shape {weights.shape} and {recipe}"
        )
    if recipe.double and not static_groups:
        raise ValueError(
            f"recipe must not be double for gptq, which needs all scales first, got {recipe}; use "
            "static_groups=True"
        )
    if recipe.fmt.is_lookup:
        raise ValueError(
            f"recipe must have a format with values of its own for gptq, got {recipe}; use "
            "quantize with importance=hessian.diagonal(), or a codebook of fit_codebook"
        )
    if recipe.fmt.min >= 0 and not recipe.zero_point:
        raise ValueError(
            "recipe must have a format with negative values, or zero points, for gptq, got "
            f"{recipe}: an updated weight may be below 0"
        )
    threads = check_threads(threads)
    factors = _importance(importance, recipe, weights)
    inputs = weights.shape[1]
    if zero_dead:
        weights = weights.copy()
        weights[:, checked_hessian(hessian, inputs).diagonal() == 0] = 0
    hessian = rotated(hessian, recipe.rotation, inputs)
    order = None
    if static_groups:
        order = feedback.act_order(hessian, inputs) if act_order else np.arange(inputs)
        hessian = checked_hessian(hessian, inputs)[np.ix_(order, order)]
    inverse = feedback.feedback(hessian, inputs, damp)
    if recipe.arithmetic == "authors":
        return quantized_by_authors(
            weights, recipe, 1, feedback=inverse, order=order, importance=factors, threads=threads
        )
    return quantized(
        weights,
        recipe,
        1,
        wide=name == "float64",
        importance=factors,
        feedback=inverse,
        order=order,
        tensor_scale=tensor_scale,
        threads=threads,
    )


def search_format(
    w: ArrayLike | AnyTensor,
    bits: SupportsIndex,
    recipe: Recipe | NumberFormat | str = "e2m2",
    **options: Unpack[SearchOptions],
) -> Quantized:
    """Quantize weights in every ExMy format of a width; return the one of least squared error.

    This is the search for a format of LLM-FP4 (arXiv 2310.16836), whose real-valued bias is a free
    scale: ``scale="float32", search="mse"``.

    Parameters
    ----------
    w : array_like
        As for `quantize`.
    bits : int
        Width of a code, 3 to 8: a sign, E >= 1 exponent bits and M = bits - 1 - E mantissa bits,
        without infinities and NaN. Of equal errors the smallest E wins.
    recipe : Recipe, format or str
        All but its format is used.
    **options
        As for `quantize`.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError, TypeError
        If ``bits`` is out of range, and as `quantize`.

    Examples
    --------
    >>> import minifloat as mf
    >>> mf.search_format([1.0, 2.0, 4.0, -8.0], 4, scale="float32").fmt.name
    'e3m0'
    """
    bits = check_int("bits", bits, 3, 8)
    if "fmt" in options:
        raise TypeError(f"options must not have fmt, which is searched, got {options.get('fmt')!r}")
    weights, recipe = _arrays.as_array("w", w), Recipe.parse(recipe)
    every = [
        quantize(weights, recipe, fmt=Format(exponent_bits, bits - 1 - exponent_bits), **options)
        for exponent_bits in range(1, bits)
    ]
    flat = weights.reshape(-1)
    return min(every, key=lambda q: max_and_squares(flat, q.dequantize().reshape(-1))[1])


def joint_tensor_scale(
    tensors: Iterable[ArrayLike | AnyTensor],
    recipe: Recipe | NumberFormat | str,
    *,
    axis: SupportsIndex = -1,
    threads: SupportsIndex = 1,
) -> float:
    """Return one tensor scale for several tensors: that of the tensor which they make when joined.

    Layers that are computed by one product, as query, key and value, have one tensor scale in vLLM.

    Parameters
    ----------
    tensors : iterable of array_like
        Weights as `quantize` takes them, one after the other, so that not all need be in memory.
    recipe : Recipe, format or str
        With a tensor scale, such as nvfp4.
    axis, threads : int
        As for `quantize`.

    Returns
    -------
    float
        A float32 number; 1 for zeros. `quantize` takes it as ``tensor_scale``: then blocks become
        the codes and scales that they have in the joined tensor, if the joint splits no block.

    Raises
    ------
    ValueError
        If there is no tensor, a weight is infinite or NaN, or the recipe has no tensor scale.
    TypeError
        If a tensor is not numeric, or an option has another type.

    Examples
    --------
    >>> import minifloat as mf
    >>> import numpy as np
    >>> gate, up = np.eye(16, dtype="f4"), np.full((16, 16), 3.0, "f4")
    >>> scale = mf.joint_tensor_scale([gate, up], "nvfp4")
    >>> scale == mf.quantize(np.concatenate([gate, up]), "nvfp4").tensor_scale
    True
    >>> mf.quantize(gate, "nvfp4", tensor_scale=scale).tensor_scale == scale
    True
    """
    _arrays.check_cpu()
    recipe = Recipe.parse(recipe)
    if not recipe.tensor_scale:
        raise ValueError(f"recipe must have a tensor scale, such as nvfp4, got {recipe}")
    threads = check_threads(threads)
    every = list[float]()
    for w in tensors:
        weights, name = _arrays.source_array(w, "w")
        number = block_axis(axis, weights.shape, recipe.block)
        every.append(longest(weights, recipe, number, wide=name == "float64", threads=threads))
    if not every:
        raise ValueError("tensors must be one or more, got none")
    return tensor_scale_of(max(every), recipe)


def _changed(
    recipe: Recipe | NumberFormat | str, changes: RecipeFields
) -> tuple[Recipe, float | None]:
    """Return the recipe with other values of some fields, and the tensor scale that was given."""
    fields: dict[str, Any] = {**changes}
    number = fields.get("tensor_scale")
    if not isinstance(number, float | np.floating):
        return Recipe.parse(recipe).replace(**fields), None
    fields["tensor_scale"] = True
    return Recipe.parse(recipe).replace(**fields), checked_tensor_scale(number)


def _importance(
    importance: ArrayLike | AnyTensor | None, recipe: Recipe, weights: Array
) -> Array | None:
    """Return the importance of each weight, or None."""
    if importance is None:
        return None
    if recipe.search is not ScaleSearch.MSE and not recipe.fmt.is_lookup:
        raise ValueError(f'importance must come with search="mse", got "{recipe.search}"')
    if recipe.rotation is not None:
        raise ValueError(
            f"importance must come without a rotation, got {recipe.rotation}: each rotated weight "
            "is made of a block of weights; leave one of them out"
        )
    return checked_factors("importance", importance, weights.shape)
