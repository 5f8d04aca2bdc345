"""Hypothesis makes `Quantized` of any parts that fit together."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

import minifloat as mf
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.quantized import DoubleScales
from minifloat.quantization.recipes import DOUBLE_RECIPE
from minifloat.testing import formats

SCALES = ("float32", "float16", "bfloat16", "e8m0", "e4m3fn", "ue4m3", "e5m2", "e4m2", "ue5m3")


@st.composite
def any_recipe(draw: st.DrawFn) -> mf.Recipe:
    """Return a recipe of any format, blocks, scale format and options."""
    options = draw(st.sampled_from(["", "", "tensor_scale", "double", "zero_point"]))
    scale = draw(st.sampled_from(SCALES) | formats())
    fmt = draw(st.sampled_from(["uint4", "uint3", "uint8"]) if options == "zero_point"
               else formats() | st.sampled_from(["e2m2", "nf4", "int4", "e4m3fn"]))  # fmt: skip
    block = draw(st.integers(1, 6) | st.sampled_from(["channel", "tensor", (2, 3), (3, 1)]))
    changes = {options: True} if options else {}
    try:
        return mf.Recipe(
            mf.parse(fmt), block=block, scale="float32" if options == "double" else scale, **changes
        )
    except ValueError:  # of such formats there are no weights, or no scales
        reject()


def values_of_scales(scale: str, rng: np.random.Generator) -> np.ndarray:
    """Return some numbers that scales may be, as the format itself or float32 knows them."""
    if scale == "float32":
        words = [1, 0x7F7FFFFF, 0x7F800001, 0x7FC00000, 0xFFFFFFFF, *rng.integers(0, 0x7F800000, 9)]
        return np.array(words, np.uint32).view(np.float32)
    fmt = mf.parse(scale)
    codes = [fmt.max_code, *rng.integers(0, fmt.code_count, 20).tolist()]
    codes += [] if fmt.nan_code is None else [fmt.nan_code]
    values = np.array([fmt.value(code) for code in codes], np.float32)
    return values[(np.isfinite(values) & ~np.signbit(values)) | np.isnan(values)]


@st.composite
def any_quantized(draw: st.DrawFn) -> mf.Quantized:
    """Return weights of random codes and scales."""
    recipe = draw(any_recipe())
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=3)))
    axis = None
    if shape and recipe.block != "tensor":
        first = len(shape) - 1 if isinstance(recipe.block, tuple) else 0
        axis = draw(st.integers(first, len(shape) - 1)) - draw(st.sampled_from([0, len(shape)]))
    held = Blocks.of(recipe.block, shape, axis).scale_shape
    fmt, size, count = recipe.fmt, int(np.prod(shape)), int(np.prod(held))
    codes = rng.integers(0, fmt.code_count, size)
    codes[codes == fmt.unused_code] = fmt.max_code
    parts: dict[str, Any] = {"scales": rng.choice(values_of_scales(recipe.scale.name, rng), held)}
    if recipe.double:
        packed = rng.integers(0, 256, count).astype(np.uint8)
        scales = np.exp2(rng.uniform(-9, 3, -(-count // 256))).astype(np.float32)
        differences = mf.Quantized(packed, scales, DOUBLE_RECIPE, (count,), 0)
        parts["double"] = DoubleScales(differences, float(np.float32(rng.uniform(0, 4000))))
        parts["scales"] = parts["double"].values().reshape(held)
    if recipe.tensor_scale:
        parts["tensor_scale"] = float(np.float32(np.exp2(rng.uniform(-149, 127))))
    if recipe.zero_point:
        parts["zero_points"] = rng.integers(0, fmt.code_count, held).astype(np.uint8)
    parts["scales"] = np.asarray(parts["scales"], np.float32)
    try:
        return mf.Quantized(
            packed=mf.pack(codes.astype(np.uint32), fmt.bits),
            recipe=recipe, shape=shape, axis=axis, **parts,
        )  # fmt: skip
    except ValueError as error:
        if recipe.double and "scales must be values of float32" in str(error):
            reject()  # difference and mean together are negative or too large
        raise
