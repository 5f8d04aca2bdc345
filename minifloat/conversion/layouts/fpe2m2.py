"""The layout of FPE2M2's own checkpoints, for the authors' fork of AutoGPTQ.

Weights of bfloat16 models are float32 here: with ``arithmetic="authors"`` they are quantized as by
the authors' scripts without calibration, which compute in float32 too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minifloat.conversion.layouts.gptq import FILE
from minifloat.conversion.layouts.layout import Layout, Settings, not_stored
from minifloat.files.checkpoints import fpe2m2
from minifloat.quantization.recipes import Recipe

STORED = "fpe2m2, e2m2b0/channel/bfloat16/authors"


def _settings(recipe: Recipe, left_out: Sequence[str]) -> Settings:
    if not fpe2m2.stores(recipe):
        raise not_stored("fpe2m2", STORED, recipe, "other codes, scales, blocks or options")
    return {
        "quant_method": "gptq",
        "bits": 4,  # of a magnitude
        "group_size": -1,
        "desc_act": False,
        "sym": True,
        "checkpoint_format": "fpe2m2",
        "modules_to_not_convert": list(left_out),
    }


def _beside(recipe: Recipe, left_out: Sequence[str]) -> Mapping[str, Any]:
    return {FILE: _settings(recipe, left_out)}


LAYOUT = Layout(_settings, fpe2m2.tensors, _beside)
