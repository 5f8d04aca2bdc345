"""compressed-tensors' layout: the scheme of each recipe that it stores."""

from __future__ import annotations

from collections.abc import Sequence

from minifloat.conversion.layouts.layout import Layout, Settings, not_stored
from minifloat.files.checkpoints import compressed_tensors
from minifloat.quantization.recipes import Recipe

NAME, STORED = "compressed-tensors", "nvfp4, mxfp4, int4/128/bfloat16, e4m3fn/channel/float32 ..."
FLOAT_SCALES = ("float32", "float16", "bfloat16")
MX = {
    "e2m1": ("mxfp4-pack-quantized", 4),
    "e2m3": ("mxfp6-pack-quantized", 6),
    "e4m3fn": ("mxfp8-quantized", 8),
}
E4M3FN, UINT8 = "torch.float8_e4m3fn", "torch.uint8"  # as PyTorch calls them


def _settings(recipe: Recipe, left_out: Sequence[str]) -> Settings:
    kind, numbers = _scheme(recipe)
    weights = {"symmetric": not recipe.zero_point, "dynamic": False, **numbers}
    group = {
        "targets": ["Linear"],
        "weights": weights,
        "input_activations": None,
        "output_activations": None,
        "format": kind,
    }
    return {
        "quant_method": NAME,
        "format": kind,
        "quantization_status": "compressed",
        "kv_cache_scheme": None,
        "config_groups": {"group_0": group},
        "ignore": list(left_out),
    }


def _scheme(recipe: Recipe) -> tuple[str, Settings]:
    """Return compressed-tensors' name of a recipe's format, and its numbers."""
    fmt, block, scale = recipe.fmt, recipe.block, recipe.scale.name
    if recipe.double:
        raise _not_stored(recipe, "scales of scales")
    if recipe.rotation is not None:
        raise _not_stored(recipe, "rotated weights")
    if recipe.tensor_scale:
        if (fmt.name, block, scale) != ("e2m1", 16, "e4m3fn"):
            raise _not_stored(recipe, "a tensor scale but for nvfp4")
        numbers = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
        return "nvfp4-pack-quantized", {**numbers, "scale_dtype": E4M3FN, "zp_dtype": E4M3FN}
    if scale == "e8m0":
        if fmt.name not in MX or block != 32:
            raise _not_stored(recipe, "e8m0 scales but for mxfp4, 6 and 8")
        kind, bits = MX[fmt.name]
        numbers = {"num_bits": bits, "type": "float", "strategy": "group", "group_size": 32}
        return kind, {**numbers, "scale_dtype": UINT8, "zp_dtype": UINT8}
    if scale not in FLOAT_SCALES:
        raise _not_stored(recipe, f"{scale} scales")
    if fmt.is_integer:
        if not 2 <= fmt.bits <= 8 or (fmt.min >= 0) != recipe.zero_point:
            raise _not_stored(recipe, f"{fmt} without a middle of 0")
        if isinstance(block, tuple):
            raise _not_stored(recipe, "integers in tiles")
        return "pack-quantized", {"num_bits": fmt.bits, "type": "int", **_strategy(recipe)}
    if fmt.name != "e4m3fn":
        raise _not_stored(recipe, f"{fmt} with {scale} scales")
    return "float-quantized", {"num_bits": 8, "type": "float", **_strategy(recipe)}


def _strategy(recipe: Recipe) -> Settings:
    if isinstance(recipe.block, tuple):
        return {"strategy": "block", "block_structure": list(recipe.block)}
    if isinstance(recipe.block, int):
        return {"strategy": "group", "group_size": recipe.block}
    return {"strategy": recipe.block}


def _not_stored(recipe: Recipe, what: str) -> ValueError:
    return not_stored(NAME, STORED, recipe, what)


LAYOUT = Layout(_settings, compressed_tensors.tensors, fuses=True)
