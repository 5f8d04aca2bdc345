"""gpt-oss' layout: experts in MXFP4, all else as it is."""

from __future__ import annotations

from collections.abc import Sequence

from minifloat.conversion.layouts.layout import Layout, Settings, not_stored
from minifloat.files.checkpoints import gpt_oss
from minifloat.quantization.recipes import Recipe


def _settings(recipe: Recipe, left_out: Sequence[str]) -> Settings:
    if not gpt_oss.stores(recipe):
        raise not_stored("gpt-oss", "mxfp4", recipe, "other recipes")
    return {"quant_method": "mxfp4", "modules_to_not_convert": list(left_out)}


LAYOUT = Layout(_settings, gpt_oss.tensors, matrices=False, experts=(1,))
