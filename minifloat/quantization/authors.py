"""The arithmetic of FPE2M2's authors: what PyTorch computes in the float that the weights have.

1. The scale of a block is absmax / max, rounded to that float; that of zeros is 1 / max.
2. A weight's quotient by this scale is rounded to that float, and its code is that of the rounded
   quotient: two roundings, which in bfloat16 meet at many a tie.
3. Then the scale is rounded to its format, which no code knows of.

So the same weights in another float have other codes: about 1 % in bfloat16. GPTQ works in float32
in their code, whatever the weights are, and has no second rounding here; its codes are those of the
scales of step 1.

Not copied: a row without negative weights has half of the scale in their GPTQ.

Source: https://github.com/Coco58323/AutoGPTQ_FPe2m2, auto_gptq/nn_modules/qlinear/qlinear_e2m2.py
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minifloat._arrays import code_dtype, dtype_name
from minifloat.codec import encode, round_to
from minifloat.packing import pack
from minifloat.quantization.blocks import Array, spread
from minifloat.quantization.pipeline import quantized
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

PART = 1 << 20  # weights whose quotients are computed at a time
FLOATS = ("float32", "float16", "bfloat16")  # PyTorch's; others are computed with in float32


def quantized_by_authors(
    weights: Array,
    recipe: Recipe,
    axis: int | None,
    *,
    feedback: Array | None = None,
    order: Array | None = None,
    importance: Array | None = None,
    threads: int = 1,
) -> Quantized:
    """Quantize weights as `minifloat.quantization.pipeline.quantized` does, but by this arithmetic.

    The recipe is one with ``arithmetic="authors"``.
    """
    name = dtype_name(weights.dtype)
    if name not in FLOATS or feedback is not None:
        with np.errstate(over="ignore"):  # infinity is refused below
            weights, name = weights.astype(np.float32), "float32"
    working = recipe.replace(scale=name, arithmetic="exact")
    q = quantized(
        weights, working, axis, importance=importance, feedback=feedback, order=order,
        threads=threads,
    )  # fmt: skip
    zero = np.float32(1 / recipe.fmt.max_abs)
    scales = _rounded(np.where(q.scales == 0, zero, q.scales), name)
    packed = q.packed if feedback is not None else _packed(weights, name, q, scales)
    return replace(q, packed=packed, scales=_stored(scales, recipe), recipe=recipe)


def _packed(weights: Array, name: str, q: Quantized, scales: Array) -> Array:
    """Return the packed codes of quotients that are rounded to a float."""
    blocks, fmt = q.blocks, q.fmt
    rows, row_scales = blocks.rows(weights), blocks.scale_rows(scales)
    codes = np.empty(rows.shape, code_dtype(fmt.bits))
    step = max(1, PART // max(blocks.length, 1))
    for first in range(0, len(rows), step):
        part = slice(first, min(first + step, len(rows)))
        divisors = spread(row_scales[blocks.group_of(part)], blocks.width, blocks.length)
        with np.errstate(all="ignore"):
            quotients = rows[part].astype(np.float32) / divisors
        codes[part] = encode(_rounded(quotients, name), fmt)
    return pack(blocks.restore(codes).reshape(-1), fmt.bits)


def _stored(scales: Array, recipe: Recipe) -> Array:
    """Return the scales as the recipe stores them; the smallest positive one in place of 0."""
    values = recipe.scale.values
    if scales.max(initial=0) > values.largest:
        raise ValueError(
            f"scale must hold every block's scale, got {scales.max():g} for {recipe.scale}; use a "
            "wider scale or smaller weights"
        )
    return np.maximum(_rounded(scales, recipe.scale.name), np.float32(values.smallest))


def _rounded(numbers: Array, name: str) -> Array:
    """Return float32 numbers as the values of a float, in float32."""
    return numbers if name == "float32" else np.asarray(round_to(numbers, name))
