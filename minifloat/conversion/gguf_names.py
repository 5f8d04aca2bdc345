"""What llama.cpp calls the tensors of a Llama, and the numbers of the model that it asks for.

llama.cpp knows each kind of model by its own table. Here is that of Llama, which Mistral's models
have too. All other models keep the names of their tensors, and their kind, ``model_type``, as the
architecture: libraries read such files, llama.cpp does not.

The rows of a head of q_proj and k_proj lie in another order there: transformers rotates row k of
the first half of a head with row k of the second half, llama.cpp neighbours.

Source: https://github.com/ggml-org/llama.cpp, convert_hf_to_gguf.py, gguf-py/gguf/constants.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.conversion.containers import Place, Places
from minifloat.files.gguf_header import Value

LLAMAS = ("LlamaForCausalLM", "MistralForCausalLM")
WHOLE = {  # names without and with the number of a layer
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
OF_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
LAYER = re.compile(r"model\.layers\.([0-9]+)\.(.+)\.(weight|bias)")
ROTATIONS = ("rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached")
INTEGERS = {  # of the metadata, by the names in config.json
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "vocab_size": "vocab_size",
}
LARGEST = 1 << 31


def is_llama(config: Mapping[str, Any]) -> bool:
    """Return whether the table here is that of a model, by its config.json.

    Positions that are scaled (``rope_scaling``) are not in it.
    """
    architectures = config.get("architectures")
    scaled = config.get("rope_scaling") or _rope(config).get("rope_type", "default") != "default"
    known = isinstance(architectures, list) and any(name in LLAMAS for name in architectures)
    return known and not scaled


def places(config: Mapping[str, Any]) -> Places:
    """Return what tells of a tensor what it becomes.

    Raises
    ------
    ValueError
        If config.json lacks a number that is needed.
    """
    if not is_llama(config):
        return Place
    heads = {"attn_q": _heads(config), "attn_k": _kv_heads(config)}

    def place(name: str) -> Place:
        if name in WHOLE:
            return Place(WHOLE[name])
        if name.endswith(ROTATIONS):
            return Place(name, dropped="llama.cpp computes it")
        match = LAYER.fullmatch(name)
        if match is None or match[2] not in OF_LAYER:
            raise ValueError(
                f"source must be a Llama, as its config.json says, to become a .gguf file, got a "
                f"tensor named {name!r}; remove architectures from config.json to keep all names"
            )
        new = OF_LAYER[match[2]]
        return Place(f"blk.{int(match[1])}.{new}.{match[3]}", heads.get(new, 0))

    return place


def metadata(config: Mapping[str, Any]) -> dict[str, Value]:
    """Return the metadata of a file: all that llama.cpp needs of a Llama but its tokenizer.

    Raises
    ------
    ValueError
        If config.json lacks a number that is needed.
    """
    kind = config.get("model_type")
    name = config.get("_name_or_path")
    entries: dict[str, Value] = {"general.architecture": kind if isinstance(kind, str) else "none"}
    if isinstance(name, str) and name:
        entries["general.name"] = name.rpartition("/")[2]
    entries["general.quantization_version"] = 2
    if not is_llama(config):
        return entries
    entries["general.architecture"] = "llama"
    heads, size = _heads(config), _count(config, "hidden_size")
    head_size = _count(config, "head_dim") if config.get("head_dim") else size // heads
    counts = {key: _count(config, name) for key, name in INTEGERS.items()}
    more: dict[str, Value] = {
        **counts,
        "attention.head_count_kv": _kv_heads(config),
        "attention.key_length": head_size,
        "attention.value_length": head_size,
        "rope.dimension_count": head_size,
        "attention.layer_norm_rms_epsilon": _number(config, "rms_norm_eps", 1e-6),
        "rope.freq_base": _number({**config, **_rope(config)}, "rope_theta", 10000.0),
    }
    entries |= {f"llama.{key}": value for key, value in more.items()}
    entries["tokenizer.ggml.model"] = "no_vocab"
    return entries


def order_of_rows(heads: int, rows: int) -> NDArray[np.int64]:
    """Return the old rows in their new order.

    Examples
    --------
    >>> from minifloat.conversion.gguf_names import order_of_rows
    >>> order_of_rows(2, 8).tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    if rows % (2 * heads):
        raise ValueError(
            f"config.json must tell heads that share {rows} rows evenly, got {heads} heads"
        )
    every = np.arange(rows).reshape(heads, 2, rows // (2 * heads))
    return np.asarray(every.swapaxes(1, 2).reshape(-1))


def _heads(config: Mapping[str, Any]) -> int:
    return _count(config, "num_attention_heads")


def _kv_heads(config: Mapping[str, Any]) -> int:
    given = config.get("num_key_value_heads")
    return _heads(config) if given is None else _count(config, "num_key_value_heads")


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of positions, as transformers has them since version 5."""
    found = config.get("rope_parameters")
    return found if isinstance(found, dict) else {}


def _count(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if type(value) is not int or not 0 < value < LARGEST:
        raise ValueError(
            f"config.json must have {name}, a positive int, for a Llama, got {value!r:.40}"
        )
    return value


def _number(config: Mapping[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    if type(value) not in (int, float) or not 0 < value < float(1 << 100):
        raise ValueError(
            f"config.json must have a positive number as {name} for a Llama, got {value!r:.40}"
        )
    return float(value)
