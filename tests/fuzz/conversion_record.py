"""`convert` into a folder with any conversion.json: an error, or the model that it would write.

The first byte of an input chooses the layout, and whether the rest is that conversion.json, or the
config.json of the model.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from minifloat.conversion import convert
from minifloat.files.checkpoints import open_checkpoint
from tests.files.checkpoints.by_hand import stored, write
from tests.fuzz import mutations
from tests.fuzz.faults import Fault
from tests.fuzz.mutations import Change
from tests.fuzz.target import Target
from tests.fuzz.workplace import folder

NAME, SHARD, CONFIG = "conversion.json", "model.safetensors", "config.json"
TIME = 10**18  # of the last change of all shards, so that records are alike
WORDS = [
    *("complete", "shards", "made_of", "facts", "tensors", SHARD, "../model/x", "/", "nan", "1/0"),
    *("LlamaForCausalLM", "hidden_size", "num_attention_heads", "rope_scaling", "model_type"),
    *("squared_error", "1e99999999", "9" * 5000, "-1", "0", "true", "null", "NaN", "Infinity"),
]
RECIPES = {  # of each layout
    "compressed-tensors": "mxfp4",
    "modelopt": "nvfp4",
    "gptq": "int4/32/float16",
    "gptq_v2": "uint8/32/float16/zero-point",
    "awq": "uint4/32/float16/zero-point",
    "minifloat": "qlora",
    "fpe2m2": "fpe2m2",
    "gguf": "mxfp4",
}
OF_MODEL = 0x80  # in the first byte: the rest is the model's config.json
WEIGHTS = "model.layers.0.self_attn.q_proj.weight"
NEW_NAMES = (WEIGHTS, "blk.0.attn_q.weight")
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "max_position_embeddings": 9,
    "vocab_size": 8,
    "rope_parameters": {"rope_theta": 1e4},
}


@cache
def _source() -> Path:
    """Return the folder of a model."""
    source = folder() / "source"
    source.mkdir(exist_ok=True)
    weights = np.linspace(-1, 1, 256, dtype=np.float32).reshape(8, 32)
    write(source, {WEIGHTS: stored(weights)})
    (source / CONFIG).write_text(json.dumps(LLAMA))
    os.utime(source / SHARD, ns=(TIME, TIME))
    return source


@cache
def _made(layout: str) -> tuple[str, bytes, bytes]:
    """Return the new shard's name and bytes, and the record, of a layout."""
    new = folder() / f"made-{layout}"
    convert(_source(), new, RECIPES[layout], layout=layout)
    [shard] = [path for path in new.iterdir() if path.suffix in (".safetensors", ".gguf")]
    record = (new / NAME).read_bytes()
    changed = str(shard.stat().st_mtime_ns).encode()
    return shard.name, shard.read_bytes(), record.replace(changed, str(TIME).encode())


def run(data: bytes) -> None:
    """Go on with a conversion of that record, or convert a model of that config.json."""
    layout = list(RECIPES)[data[0] % len(RECIPES)] if data else "gguf"
    name, shard, _ = _made(layout)
    new = folder() / "new"
    new.mkdir(exist_ok=True)
    for path in new.iterdir():
        path.unlink()
    of_model = bool(data) and bool(data[0] & OF_MODEL)
    source = folder() / "another" if of_model else _source()
    if of_model:
        source.mkdir(exist_ok=True)
        (source / SHARD).write_bytes((_source() / SHARD).read_bytes())
        (source / CONFIG).write_bytes(data[1:])
    else:
        (new / name).write_bytes(shard)
        os.utime(new / name, ns=(TIME, TIME))
        (new / NAME).write_bytes(data[1:])
    try:
        result = convert(source, new, RECIPES[layout], layout=layout)
    except ValueError:
        return
    result.to_json()
    repr(result)
    checkpoint = open_checkpoint(new)
    back = [checkpoint.dequantize(each) for each in checkpoint if each in NEW_NAMES]
    is_other = not of_model and (new / name).read_bytes() != shard
    if is_other or len(back) != 1 or not np.isfinite(back[0]).all():
        raise Fault("another model was written")


def seeds() -> dict[str, bytes]:
    """Return the records of all layouts, broken ones, and models of other kinds."""
    layouts = list(RECIPES)
    made = {
        f"whole, {layout}": bytes([place]) + _made(layout)[2]
        for place, layout in enumerate(layouts)
    }
    record = made[f"whole, {layouts[0]}"]
    number = record.replace(b'"bits_per_weight": 4', b'"bits_per_weight": NaN, "x": 4')
    model = bytes([OF_MODEL + next(k for k in range(128) if (k + OF_MODEL) % len(layouts) == 6)])
    other = {**LLAMA, "architectures": None}
    return {
        **made,
        "unfinished": record.replace(b'"complete": true', b'"complete": false'),
        "another": record.replace(SHARD.encode(), b"../source/model.safetensors"),
        "a huge fraction": record.replace(b'"squared_error": "', b'"squared_error": "1e999999999'),
        "no number": number,
        "nothing": b"",
        "a list": b"\0[]",
        "brackets": b"\0" + b"[" * 5000,
        "a llama": model + json.dumps(LLAMA).encode(),
        "another model": model + json.dumps(other).encode(),
    }


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change a value, a word, or some bytes, or take another layout."""
    first = bytes([random.randrange(256)]) if random.randrange(9) == 0 else data[:1]
    return first + mutations.json_text(data[1:], random, change, WORDS)


TARGET = Target(run, seeds, mutate)
