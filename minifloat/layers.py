"""`linear`: a layer's product with quantized weights, its activations floats or 8-bit integers.

It stands above `minifloat.quantization`, which says what a recipe of activations means, and
`minifloat.products`, which multiplies.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, SupportsIndex, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import products
from minifloat._tensors import AnyTensor, Tensor
from minifloat.formats.base import shown
from minifloat.products import complex_products, composites
from minifloat.products.integer import Activations
from minifloat.products.matrix import PackedMatrix
from minifloat.quantization.complex_weights import ComplexQuantized
from minifloat.quantization.composite import Composite
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleSearch, absmax_to_scale
from minifloat.quantization.widely_linear import WidelyLinear

Weights: TypeAlias = PackedMatrix | Composite | WidelyLinear


@overload
def linear(
    x: Tensor,
    q: Weights,
    bias: ArrayLike | AnyTensor | None = None,
    *,
    activations: Recipe | str | None = None,
    threads: SupportsIndex = 1,
) -> Tensor: ...
@overload
def linear(
    x: ArrayLike,
    q: Weights,
    bias: ArrayLike | AnyTensor | None = None,
    *,
    activations: Recipe | str | None = None,
    threads: SupportsIndex = 1,
) -> NDArray[np.float32]: ...
@overload
def linear(
    x: ArrayLike,
    q: ComplexQuantized,
    bias: ArrayLike | None = None,
    *,
    activations: None = None,
    threads: SupportsIndex = 1,
) -> NDArray[np.complex64]: ...
def linear(
    x: ArrayLike | AnyTensor,
    q: Weights | ComplexQuantized,
    bias: ArrayLike | AnyTensor | None = None,
    *,
    activations: Recipe | str | None = None,
    threads: SupportsIndex = 1,
) -> Any:
    """Return ``x @ q.dequantize().T + bias``, without making floats of all weights.

    Infinities and NaN, in ``x`` or among the weights, become what they do in that expression.

    Parameters
    ----------
    x : array_like, shape (..., in)
        float32; float16, bfloat16, float64 and integers are rounded to float32 first. A tensor must
        not require a gradient; `minifloat.interop.torch` has gradients.
    q : Quantized, Composite, WidelyLinear or ComplexQuantized
        Weights of shape (out, in), of any format, blocks and scales. The ``bias`` of a `Composite`
        is added as well. With complex weights, `ComplexQuantized`, ``x``, ``bias`` and the result
        are complex64.
    bias : array_like, shape (out,), optional
        As ``x``.
    activations : Recipe or str, optional
        How ``x`` becomes integers of 8 bits: a recipe of int8 by absmax with blocks along the last
        axis, as "int8/32/float32" or "int8/channel/float32" (one scale for a vector). Not for
        complex codes.
    threads : int
        Threads to share the rows of ``q`` among; the result does not depend on it. For many vectors
        NumPy multiplies, whose own threads come on top.

    Returns
    -------
    ndarray of float32, shape (..., out)
        A new array; a tensor if ``x`` is one.

    Raises
    ------
    TypeError
        If ``q`` is none of these, or ``x`` or ``bias`` has a dtype that is
        not listed above.
    ValueError
        If the shapes do not fit. With activations also if ``x`` is not finite, the recipe is
        another, the weights' values are no small integers times a power of two (nf4, FP8), or their
        blocks run down the columns or do not fit the activations'.

    Notes
    -----
    Products are summed in float32, so with ``w = q.dequantize().T`` and exact arithmetic an element
    differs from ``x @ w + bias`` by at most

        gamma * (|x| @ |w| + |bias|) + n * 2**-133 * (1 + top),    gamma = n u / (1 - n u)

    with u = 2**-24 and n = in + 8 (the rounding of a weight, of its scale and of the result are
    among the 8): Higham, *Accuracy and Stability of Numerical Algorithms*, (3.5). The last term is
    of products which underflow; top is the largest magnitude of ``x`` times (1 + that of the
    scales times that of the format).

    **Rotated weights** stay as they are, and ``x`` is rotated: `Rotation.rotate`, in float32. With
    x' and w' for both, rotated without an error, an element differs from ``x @ w + bias`` by at
    most the above with x' and w' for x and w, plus gamma times the Euclidean norms of x and of w,
    with n = log2(size / m) + (m - 1) sqrt(m) + 3, where m is the size of the rotation's C
    (`Rotation`; 1 for powers of two). Infinities or NaN in ``x`` become NaN in the products of
    their vector. (Of weights in blocks down the columns, which are rotated along ``out``, products
    are rotated back, also in float32.)

    **With activations** ``x``, as float32 (rotated, if the weights are), is quantized as by
    ``quantize(x, activations, axis=-1)``, to integers a with a scale t for each block. The weights'
    values are m * 2**e with integers m (E2M1's times 2, E2M2's times 4), z is a block's zero point
    or 0, s its scale and T the tensor scale or 1. The columns are cut into parts as the smaller of
    both blocks cuts them, of which one must divide the other, or be a whole row. Then an element is

        total = 0
        total = total + D * (s * t)     for each part, in order
        D = sum of (m - z) * a          over the part, an exact integer
        y = float32(total * (2**e * T))

    where each operation is one of float64, rounded once and never fused with another; s * t and
    2**e * T are exact. So it is the same, bit for bit, on every CPU, with or without Numba, for any
    ``threads`` and beside any other vectors. (Parts are of at most 2**16 columns, so that D fits in
    int32: longer ones are cut into parts of 2**16, or of the largest power of two that divides
    them.)

    **A Composite's parts** are multiplied one after another and added in float32, the sparse one's
    products in float64. With x' for ``x`` over its factors, and the absolute values of all parts in
    the place of those of w, an element differs from ``x @ w + bias`` by at most the above with
    n = in + rank + 16. The parts other than the dense one take ``x`` as floats, with activations,
    too. Where a product is not finite, all products of its vector are those with ``dequantize()``.

    A weight beyond float32, which `dequantize` makes infinite, may count as the number that it is;
    `quantize` makes none.

    Examples
    --------
    >>> import minifloat as mf
    >>> q = mf.quantize([[1.0, -7.0, 3.0], [0.5, 0.0, 3.5]], "e2m2", scale="float32")
    >>> mf.linear([1, 2, 3], q, bias=[10, 20])
    array([ 6., 31.], dtype=float32)
    >>> mf.linear([1, 2, 3], q, activations="int8/channel/float32")
    array([-4.062992, 10.996063], dtype=float32)
    """
    multiply: Any = products.linear
    if isinstance(q, Composite):
        multiply = composites.linear
    elif isinstance(q, WidelyLinear | ComplexQuantized):
        multiply = complex_products.linear
        if activations is not None:
            raise ValueError(
                f"activations must be None for weights of complex codes, got {shown(activations)}"
            )
    if activations is None:
        return multiply(x, q, bias, threads=threads)
    recipe = activations if isinstance(activations, str) else Recipe.parse(activations)
    return multiply(x, q, bias, activations=_activations(recipe), threads=threads)


@lru_cache(maxsize=64)
def _activations(recipe: Recipe | str) -> Activations:
    """Return what products ask of the recipe."""
    parsed = Recipe.parse(recipe)
    rule = "activations must be a recipe of int8 by absmax, such as int8/32/float32"
    if parsed.fmt.name != "int8":
        raise ValueError(f"{rule}, got {parsed}, of {parsed.fmt}")
    if parsed.alternatives:
        raise ValueError(f"{rule}, got {parsed}, with alternatives")
    if parsed.rotation is not None:
        raise ValueError(
            f"{rule}, got {parsed}, with a rotation; leave it out: where the weights are rotated, "
            "their rotation is that of x"
        )
    if parsed.search is not ScaleSearch.ABSMAX:
        raise ValueError(f"{rule}, got {parsed}, with a search for scales")
    if parsed.arithmetic != "exact":
        raise ValueError(f"{rule}, got {parsed}, with another arithmetic")
    if parsed.tensor_scale or parsed.double:
        raise ValueError(f"{rule}, got {parsed}, whose scales are not those of blocks alone")
    if parsed.block == "tensor" or isinstance(parsed.block, tuple):
        raise ValueError(
            f"{rule}, got {parsed}, whose blocks are not along the last axis; use a number or "
            '"channel", which is one scale for a vector'
        )
    return Activations(
        block=None if parsed.block == "channel" else parsed.block,
        scale_name=parsed.scale.name,
        scale_values=parsed.scale.values,
        rule=absmax_to_scale(parsed.fmt, parsed.scale_rounding, 1.0, parsed.absmax_at),
    )
