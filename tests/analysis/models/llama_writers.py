"""Small Llamas written as others write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.models.llama import Llama
from analysis.models.matrices import dense
from tests.analysis.models.slow_llama import unpermuted
from tests.files.checkpoints import by_hand

NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
Tensors = dict[str, np.ndarray]


def hugging_face_tensors(model: Llama) -> Tensors:
    """Tensors by transformers' names, the rows of Q and K in its order."""
    tensors = {}
    heads = {"attn_q": model.shape.heads, "attn_k": model.shape.kv_heads}
    for name, tensor in {**model.matrices, **model.vectors}.items():
        *layer, part, _ = name.split(".")
        w = dense(tensor)
        if part in heads:
            w = unpermuted(w, heads[part])
        prefix = f"model.layers.{layer[1]}." if layer else ""
        tensors[f"{prefix}{NAMES[part]}.weight"] = w
    return tensors


def config_of(model: Llama) -> dict[str, Any]:
    shape = model.shape
    inner, width = model.matrices["blk.0.ffn_gate.weight"].shape
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": model.head_length,
        "max_position_embeddings": 512,
        "vocab_size": model.matrices["token_embd.weight"].shape[0],
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.rope_base,
        "tie_word_embeddings": "output.weight" not in model.matrices,
        "hidden_act": "silu",
    }


def write_folder(folder: Path, tensors: Tensors, config: dict[str, Any]) -> Path:
    """Two shards with their index, and config.json."""
    folder.mkdir(exist_ok=True)
    names = list(tensors)
    shards = {f"model-0000{k + 1}-of-00002.safetensors": names[k::2] for k in range(2)}
    for shard, held in shards.items():
        by_hand.write(folder, {name: by_hand.stored(tensors[name]) for name in held}, name=shard)
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_gguf(path: Path, tensors: Tensors, facts: dict[str, Any], kind: str = "llama") -> Path:
    """A .gguf file by the package gguf; its facts are entries of the metadata, bytes are Q8_0."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, kind)
    for name, value in facts.items():
        if isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        else:
            writer.add_uint32(name, value)
    for name, tensor in tensors.items():
        codes = gguf.GGMLQuantizationType.Q8_0 if tensor.dtype == np.uint8 else None
        writer.add_tensor(name, tensor, raw_dtype=codes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def gguf_facts(model: Llama) -> dict[str, Any]:
    shape = model.shape
    inner, width = model.matrices["blk.0.ffn_gate.weight"].shape
    return {
        "llama.block_count": shape.layers,
        "llama.embedding_length": width,
        "llama.feed_forward_length": inner,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.attention.key_length": model.head_length,
        "llama.attention.layer_norm_rms_epsilon": shape.epsilon,
        "llama.rope.freq_base": shape.rope_base,
    }


def gguf_tensors(model: Llama) -> Tensors:
    return {name: dense(tensor) for name, tensor in {**model.matrices, **model.vectors}.items()}
