"""minifloat's own layout, which stores every recipe."""

from __future__ import annotations

from collections.abc import Sequence

from minifloat.conversion.layouts.layout import Layout, Settings
from minifloat.files.checkpoints import own
from minifloat.quantization.recipes import Recipe


def _settings(recipe: Recipe, left_out: Sequence[str]) -> Settings:
    return {"quant_method": "minifloat", "recipe": str(recipe), "ignore": list(left_out)}


LAYOUT = Layout(_settings, own.tensors, whole_blocks=False, experts=(1, 2))
