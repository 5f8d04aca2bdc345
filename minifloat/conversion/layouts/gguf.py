"""llama.cpp's files: a block type for each recipe."""

from __future__ import annotations

from collections.abc import Sequence

from minifloat.conversion.gguf_files import GGUF
from minifloat.conversion.layouts.layout import Layout, Settings, not_stored
from minifloat.files.checkpoints import gguf_blocks
from minifloat.quantization.recipes import Recipe

STORED = "int8full/32/float16, int4full/32/float16, mxfp4, nvfp4, int2/256/float16 ..."


def _settings(recipe: Recipe, left_out: Sequence[str]) -> Settings:
    if gguf_blocks.type_of(recipe) is None:
        raise not_stored("gguf", STORED, recipe, "other codes, blocks, scales or options")
    return {}  # the types of the tensors tell all


LAYOUT = Layout(_settings, gguf_blocks.tensors, container=GGUF, experts=(2,))
