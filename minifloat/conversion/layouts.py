"""The layouts that are written: the recipes that each stores, and what config.json says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minifloat.files.checkpoints import compressed_tensors, modelopt
from minifloat.files.checkpoints.stored import Stored
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import RECIPES, Recipe

Settings = dict[str, Any]  # the quantization_config of config.json

FLOAT_SCALES = ("float32", "float16", "bfloat16")
MX = {
    "e2m1": ("mxfp4-pack-quantized", 4),
    "e2m3": ("mxfp6-pack-quantized", 6),
    "e4m3fn": ("mxfp8-quantized", 8),
}
# ModelOpt's "NVFP4" means activations too, for which loaders need a scale
WEIGHTS_ONLY = "W4A16_NVFP4"
E4M3FN, UINT8 = "torch.float8_e4m3fn", "torch.uint8"  # as PyTorch calls them


@dataclass(frozen=True)
class Layout:
    """A way to store quantized weights.

    Attributes
    ----------
    settings : callable
        Returns the quantization_config for a recipe and the modules that are not quantized; a
        ValueError if the layout does not store the recipe.
    tensors : callable
        Returns the tensors that store weights of a name.
    more : callable
        Returns the contents of other JSON files that loaders need, by their names.
    """

    settings: Callable[[Recipe, Sequence[str]], Settings]
    tensors: Callable[[str, Quantized], list[Stored]]
    more: Callable[[Recipe, Sequence[str]], Mapping[str, Any]] = lambda recipe, left_out: {}


def check_columns(name: str, shape: tuple[int, ...], recipe: Recipe) -> None:
    """Refuse weights whose rows are not whole blocks: loaders reshape them into blocks."""
    if isinstance(recipe.block, int) and shape[-1] % recipe.block:
        raise ValueError(
            f"{name} must have rows of whole blocks of {recipe.block} weights for {recipe}, got "
            f"shape {shape}; leave it out by exclude, or take another block"
        )


def _of_compressed_tensors(recipe: Recipe, left_out: Sequence[str]) -> Settings:
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
        "quant_method": "compressed-tensors",
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
        raise _not_stored("compressed-tensors", recipe, "scales of scales")
    if recipe.tensor_scale:
        if (fmt.name, block, scale) != ("e2m1", 16, "e4m3fn"):
            raise _not_stored("compressed-tensors", recipe, "a tensor scale but for nvfp4")
        numbers = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
        return "nvfp4-pack-quantized", {**numbers, "scale_dtype": E4M3FN, "zp_dtype": E4M3FN}
    if scale == "e8m0":
        if fmt.name not in MX or block != 32:
            raise _not_stored("compressed-tensors", recipe, "e8m0 scales but for mxfp4, 6 and 8")
        kind, bits = MX[fmt.name]
        numbers = {"num_bits": bits, "type": "float", "strategy": "group", "group_size": 32}
        return kind, {**numbers, "scale_dtype": UINT8, "zp_dtype": UINT8}
    if scale not in FLOAT_SCALES:
        raise _not_stored("compressed-tensors", recipe, f"{scale} scales")
    if fmt.is_integer:
        if not 2 <= fmt.bits <= 8 or (fmt.min >= 0) != recipe.zero_point:
            raise _not_stored("compressed-tensors", recipe, f"{fmt.name} without a middle of 0")
        if isinstance(block, tuple):
            raise _not_stored("compressed-tensors", recipe, "integers in tiles")
        return "pack-quantized", {"num_bits": fmt.bits, "type": "int", **_strategy(recipe)}
    if fmt.name != "e4m3fn":
        raise _not_stored("compressed-tensors", recipe, f"{fmt.name} with {scale} scales")
    return "float-quantized", {"num_bits": 8, "type": "float", **_strategy(recipe)}


def _strategy(recipe: Recipe) -> Settings:
    if isinstance(recipe.block, tuple):
        return {"strategy": "block", "block_structure": list(recipe.block)}
    if isinstance(recipe.block, int):
        return {"strategy": "group", "group_size": recipe.block}
    return {"strategy": recipe.block}


def _of_modelopt(recipe: Recipe, left_out: Sequence[str]) -> Settings:
    if recipe.replace(search="absmax") != RECIPES["nvfp4"]:
        raise _not_stored("modelopt", recipe, "other recipes")
    numbers = {"num_bits": 4, "type": "float", "group_size": 16, "dynamic": False}
    return {
        "quant_method": "modelopt",
        "quant_algo": WEIGHTS_ONLY,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": numbers}},
        "ignore": list(left_out),
    }


def _beside_modelopt(recipe: Recipe, left_out: Sequence[str]) -> Mapping[str, Any]:
    algorithm = {
        "quant_algo": WEIGHTS_ONLY,
        "kv_cache_quant_algo": None,
        "group_size": 16,
        "exclude_modules": list(left_out),
    }
    producer = {"name": "minifloat"}
    return {"hf_quant_config.json": {"producer": producer, "quantization": algorithm}}


def _not_stored(layout: str, recipe: Recipe, what: str) -> ValueError:
    stored = {
        "compressed-tensors": "nvfp4, mxfp4, int4/128/bfloat16, e4m3fn/channel/float32 ...",
        "modelopt": "nvfp4",
    }
    return ValueError(
        f"recipe must be one that the layout {layout} stores ({stored[layout]}), got {recipe}: it "
        f"has no place for {what}"
    )


LAYOUTS: Mapping[str, Layout] = {
    "compressed-tensors": Layout(_of_compressed_tensors, compressed_tensors.tensors),
    "modelopt": Layout(_of_modelopt, modelopt.tensors, _beside_modelopt),
}
