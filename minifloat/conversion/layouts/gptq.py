"""GPTQ's layout in both versions, as AutoGPTQ, GPTQModel and vLLM read it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from minifloat.conversion.layouts.layout import Layout, Settings, not_stored
from minifloat.files.checkpoints import gptq
from minifloat.quantization.recipes import Recipe

STORED = "int4/128/float16, uint4/128/float16/zero-point; 2, 3, 4 or 8 bits"
FILE = "quantize_config.json"  # where AutoGPTQ looks


def _settings(version: str, recipe: Recipe, left_out: Sequence[str]) -> Settings:
    if not gptq.stores(recipe):
        raise not_stored(version, STORED, recipe, "other integers, scales, blocks or options")
    return {
        "quant_method": "gptq",
        "bits": recipe.fmt.bits,
        "group_size": recipe.block if isinstance(recipe.block, int) else -1,
        "desc_act": False,
        "sym": not recipe.zero_point,
        "lm_head": False,
        "checkpoint_format": version,
        "dynamic": {f"-:^{re.escape(name)}$": {} for name in left_out},
    }


def _beside(version: str, recipe: Recipe, left_out: Sequence[str]) -> Mapping[str, Any]:
    return {FILE: _settings(version, recipe, left_out)}


def _layout(version: str, *, less_one: bool) -> Layout:
    return Layout(
        partial(_settings, version),
        partial(gptq.tensors, less_one=less_one),
        partial(_beside, version),
    )


VERSION_1 = _layout("gptq", less_one=True)
VERSION_2 = _layout("gptq_v2", less_one=False)
