"""Small models in directories, as people download them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import minifloat as mf
from minifloat.conversion import convert
from tests.files.checkpoints.by_hand import Stored, bfloat16, stored, write

LAYERS = {  # matrices to quantize, in shards
    "model-00001-of-00002.safetensors": ("model.layers.0.up_proj.weight", (96, 256)),
    "model-00002-of-00002.safetensors": ("model.layers.1.up_proj.weight", (64, 128)),
}
SECOND = "model.layers.0.down_proj.weight"  # in the first shard
OTHERS = ("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight", "model.step")
LAYER = "model.layers.0.mlp.up_proj.weight"  # the one that `converted` quantizes


def numbers(shape: tuple[int, ...], seed: int = 0) -> Any:
    """Return random numbers that bfloat16 has."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return np.asarray(mf.round_to(values, "bfloat16"), np.float32)


def tensors() -> dict[str, dict[str, Stored]]:
    """Return the tensors of each shard."""
    (first, (up, shape)), (last, (upper, other)) = LAYERS.items()
    return {
        first: {
            "model.embed_tokens.weight": bfloat16(numbers((10, 32), 1)),
            up: bfloat16(numbers(shape, 2)),
            SECOND: stored(numbers((128, 128), 3)),
        },
        last: {
            upper: bfloat16(numbers(other, 4)),
            "model.norm.weight": stored(np.ones(33, np.float16)),
            "lm_head.weight": bfloat16(numbers((10, 32), 5)),
            "model.step": stored(np.array([7], np.int64)),
        },
    }


def model(folder: Path) -> Path:
    """Write the model into a new folder, and return this."""
    folder.mkdir(parents=True)
    weight_map = {}
    for name, held in tensors().items():
        write(folder, held, metadata={"format": "pt"}, name=name)
        weight_map |= dict.fromkeys(held, name)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 256}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / ".hidden").write_text("no")
    (folder / "pytorch_model.bin").write_bytes(b"no")
    (folder / "folder").mkdir()
    return folder


def one_shard(folder: Path, held: dict[str, Stored]) -> Path:
    """Write a model of one file into a new folder, and return this."""
    folder.mkdir(parents=True)
    return write(folder, held)


def converted(folder: Path, recipe: str, layout: str, w: Any = None) -> tuple[Path, mf.Quantized]:
    """Convert a model with one layer, and return the folder and what the layer must be."""
    w = numbers((64, 128), 5) if w is None else w
    held = {
        LAYER: stored(w),
        "model.layers.0.mlp.gate.weight": stored(numbers((8, 8), 1)),
        "lm_head.weight": stored(numbers((8, 8), 1)),
        "model.layers.0.mlp.up_proj.bias": stored(numbers((64,), 1)),
    }
    source = one_shard(folder / "source", held)
    (source / "config.json").write_text(json.dumps({"model_type": "llama"}))
    convert(source, folder / "new", recipe, layout=layout)
    return folder / "new", mf.quantize(w, recipe)
