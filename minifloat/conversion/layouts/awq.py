"""AWQ's layout for its GEMM kernels."""

from __future__ import annotations

from collections.abc import Sequence

from minifloat.conversion.layouts.layout import Layout, Settings, not_stored
from minifloat.files.checkpoints import awq
from minifloat.quantization.recipes import Recipe

STORED = "uint4/128/float16/zero-point, int4/128/float16"


def _settings(recipe: Recipe, left_out: Sequence[str]) -> Settings:
    if not awq.stores(recipe):
        raise not_stored("awq", STORED, recipe, "other codes, scales, blocks or options")
    return {
        "quant_method": "awq",
        "bits": 4,
        "group_size": recipe.block if isinstance(recipe.block, int) else -1,
        "zero_point": True,  # one is stored in any case
        "version": "gemm",
        "modules_to_not_convert": list(left_out),
    }


LAYOUT = Layout(_settings, awq.tensors)
