"""ModelOpt's layout: NVFP4 without scales of activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minifloat.conversion.layouts.layout import Layout, Settings, not_stored
from minifloat.files.checkpoints import modelopt
from minifloat.quantization.recipes import Recipe

# ModelOpt's "NVFP4" means activations too, for which loaders need a scale
WEIGHTS_ONLY = "W4A16_NVFP4"


def _settings(recipe: Recipe, left_out: Sequence[str]) -> Settings:
    if not modelopt.is_stored(recipe):
        raise not_stored("modelopt", "nvfp4", recipe, "other recipes")
    numbers = {"num_bits": 4, "type": "float", "group_size": 16, "dynamic": False}
    return {
        "quant_method": "modelopt",
        "quant_algo": WEIGHTS_ONLY,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": numbers}},
        "ignore": list(left_out),
    }


def _beside(recipe: Recipe, left_out: Sequence[str]) -> Mapping[str, Any]:
    algorithm = {
        "quant_algo": WEIGHTS_ONLY,
        "kv_cache_quant_algo": None,
        "group_size": 16,
        "exclude_modules": list(left_out),
    }
    producer = {"name": "minifloat"}
    return {"hf_quant_config.json": {"producer": producer, "quantization": algorithm}}


LAYOUT = Layout(_settings, modelopt.tensors, _beside, fuses=True)
