"""Files of llama.cpp's kind, as the package gguf reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.conversion import convert
from minifloat.conversion.gguf_names import order_of_rows
from minifloat.files.checkpoints import gguf_blocks, open_checkpoint
from minifloat.files.gguf_header import new_header
from tests.conversion.models import model, numbers, one_shard
from tests.conversion.models import tensors as source_tensors
from tests.files.checkpoints.by_hand import Stored, bfloat16, stored

gguf = pytest.importorskip("gguf")

TYPES = {
    "int8full/32/float16": "Q8_0",
    "int8/32/float16/mse": "Q8_0",
    "int4full/32/float16": "Q4_0",
    "int4/32/float16": "Q4_0",
    "int5full/32/float16": "Q5_0",
    "int5/32/float16": "Q5_0",
    "mxfp4": "MXFP4",
    "e2m1/32/e8m0:up": "MXFP4",
    "nvfp4": "NVFP4",
    "e2m1/16/e4m3fn": "NVFP4",
    "int2/256/float16": "TQ2_0",
}
UP, SHAPE = "model.layers.0.up_proj.weight", (96, 256)
HEADS, KV_HEADS, HEAD = 4, 2, 16
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": 77,
    "vocab_size": 32,
    "rms_norm_eps": 1e-5,
    "rope_theta": 12345.0,
}


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return tensors and metadata as the package gguf reads them."""
    reader = gguf.GGUFReader(path)
    entries = {name: field.contents() for name, field in reader.fields.items()}
    return {tensor.name: tensor for tensor in reader.tensors}, entries


def dequantized(tensor: Any) -> Any:
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return values.reshape(tensor.shape[::-1])


@pytest.mark.parametrize("recipe", TYPES)
def test_the_package_dequantizes_what_is_written(tmp_path: Path, recipe: str) -> None:
    """Equal, all bits but the sign of zeros, which llama.cpp does not have in E2M1."""
    source = one_shard(tmp_path / "source", {UP: bfloat16(numbers(SHAPE, 2))})
    convert(source, tmp_path / "new", recipe, layout="gguf")
    tensors, _ = read(tmp_path / "new/model.gguf")
    got = dequantized(tensors[UP]).astype(np.float64)
    assert tensors[UP].tensor_type.name == TYPES[recipe]
    q = mf.quantize(numbers(SHAPE, 2), recipe)
    if recipe == "nvfp4":
        (factor,) = tensors[UP.replace("weight", "scale")].data
        assert factor == q.tensor_scale
        got *= float(factor)  # exact: 6 and 24 bits of precision
    np.testing.assert_array_equal(got.astype(np.float32), q.dequantize())
    back = open_checkpoint(tmp_path / "new")
    np.testing.assert_array_equal(back.dequantize(UP), q.dequantize())


def test_all_else_is_there(tmp_path: Path) -> None:
    """One file for all shards; vectors are float32, and other files are not copied."""
    source = model(tmp_path / "source")
    result = convert(source, tmp_path / "new", "mxfp4", layout="gguf")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "model.gguf",
        "conversion.json",
    }
    tensors, entries = read(tmp_path / "new/model.gguf")
    held = {name: each for shard in source_tensors().values() for name, each in shard.items()}
    assert tensors.keys() == held.keys()
    assert entries["general.architecture"] == "llama"  # config.json's model_type
    assert entries["general.alignment"] == 32
    embeddings, last = tensors["model.embed_tokens.weight"], tensors["model.norm.weight"]
    assert embeddings.tensor_type.name == "BF16"
    assert embeddings.data.tobytes() == held["model.embed_tokens.weight"][2]
    assert last.tensor_type.name == "F32"
    np.testing.assert_array_equal(last.data, np.ones(33, np.float32))
    assert tensors["model.step"].data.tolist() == [7]
    assert (tmp_path / "new/model.gguf").stat().st_size % 32 == 0
    for tensor in tensors.values():
        assert tensor.data_offset % 32 == 0
    assert len(result.copied) == 4
    again = convert(source, tmp_path / "new", "mxfp4", layout="gguf")
    assert again.kept == ("model.gguf",)


def llama() -> dict[str, Stored]:
    """Return the tensors of a Llama of two layers."""
    held = {"model.embed_tokens.weight": bfloat16(numbers((32, 64), 1))}
    seed = 1
    for layer in range(2):
        stem = f"model.layers.{layer}"
        for name, shape in {
            "self_attn.q_proj": (HEADS * HEAD, 64),
            "self_attn.k_proj": (KV_HEADS * HEAD, 64),
            "self_attn.v_proj": (KV_HEADS * HEAD, 64),
            "self_attn.o_proj": (64, HEADS * HEAD),
            "mlp.gate_proj": (128, 64),
            "mlp.up_proj": (128, 64),
            "mlp.down_proj": (64, 128),
        }.items():
            seed += 1
            held[f"{stem}.{name}.weight"] = bfloat16(numbers(shape, seed))
        for name in ("input_layernorm", "post_attention_layernorm"):
            held[f"{stem}.{name}.weight"] = bfloat16(np.ones(64, np.float32))
        for name, heads in (("q_proj", HEADS), ("k_proj", KV_HEADS)):  # some have biases
            held[f"{stem}.self_attn.{name}.bias"] = bfloat16(numbers((heads * HEAD,), seed + 50))
        held[f"{stem}.self_attn.rotary_emb.inv_freq"] = stored(np.ones(8, np.float32))
    held["model.norm.weight"] = bfloat16(np.ones(64, np.float32))
    held["lm_head.weight"] = bfloat16(numbers((32, 64), 99))
    return held


def a_llama(folder: Path, **changes: Any) -> Path:
    source = one_shard(folder, llama())
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    return source


def floats(held: Stored) -> Any:
    """Return a tensor of bfloat16 as float32."""
    words = np.frombuffer(held[2], np.uint16).astype(np.uint32) << 16
    return words.view(np.float32).reshape(held[1])


def permuted(w: Any, heads: int) -> Any:
    """Return rows as llama.cpp's own conversion orders them."""
    rows, columns = w.shape
    halves = w.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def test_a_llama_has_the_names_and_the_metadata_of_llama_cpp(tmp_path: Path) -> None:
    source = a_llama(tmp_path / "source")
    skipped = "model.layers.1.self_attn.k_proj.weight"
    result = convert(source, tmp_path / "new", "int8full/32/float16", layout="gguf",
                     exclude=skipped)  # fmt: skip
    tensors, entries = read(tmp_path / "new/model.gguf")
    held = llama()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    known = {
        f"{names.get_name(module)}.{part}": f"{module}.{part}"
        for module, _, part in (name.rpartition(".") for name in held)
        if part != "inv_freq"
    }
    assert tensors.keys() == known.keys()
    for new, old in known.items():
        w = floats(held[old])
        if "q_proj" in old or "k_proj" in old:
            rows = w.reshape(w.shape[0], -1)
            w = permuted(rows, HEADS if "q_proj" in old else KV_HEADS).reshape(w.shape)
        if "layers" in old and w.ndim == 2 and old != skipped:
            assert tensors[new].tensor_type.name == "Q8_0"
            w = mf.quantize(w, "int8full/32/float16").dequantize()
        np.testing.assert_array_equal(dequantized(tensors[new]), w, err_msg=old)
    assert [each.reason for each in result.dropped] == ["llama.cpp computes it"] * 2
    assert "Dropped 2 tensors:" in repr(result)
    expected = {
        "general.architecture": "llama",
        "general.alignment": 32,
        "general.quantization_version": 2,
        "llama.block_count": 2,
        "llama.context_length": 77,
        "llama.embedding_length": 64,
        "llama.feed_forward_length": 128,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.attention.key_length": HEAD,
        "llama.attention.value_length": HEAD,
        "llama.attention.layer_norm_rms_epsilon": float(np.float32(1e-5)),
        "llama.rope.dimension_count": HEAD,
        "llama.rope.freq_base": 12345.0,
        "llama.vocab_size": 32,
        "tokenizer.ggml.model": "no_vocab",
    }
    assert {name: entries[name] for name in expected} == expected
    assert {name for name in entries if not name.startswith("GGUF.")} == expected.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": ["GemmaForCausalLM"]},
        {"rope_scaling": {"rope_type": "llama3"}},
        {"rope_parameters": {"rope_type": "yarn"}},
        {"architectures": 7},
    ],
)
def test_other_models_keep_their_names(tmp_path: Path, changes: dict[str, Any]) -> None:
    source = a_llama(tmp_path / "source", **changes)
    convert(source, tmp_path / "new", "mxfp4", layout="gguf")
    tensors, entries = read(tmp_path / "new/model.gguf")
    assert tensors.keys() == llama().keys()
    assert "llama.block_count" not in entries


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": None}, "must have num_attention_heads, a positive int"),
        ({"vocab_size": 1e3}, "must have vocab_size, a positive int"),
        ({"num_attention_heads": 3}, "must tell heads that share 64 rows evenly, got 3"),
        ({"rms_norm_eps": "x"}, "must have a positive number as rms_norm_eps"),
        ({"num_key_value_heads": True}, "must have num_key_value_heads, a positive int"),
    ],
)
def test_numbers_that_are_missing(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    source = a_llama(tmp_path / "source", **changes)
    with pytest.raises(ValueError, match=message):
        convert(source, tmp_path / "new", "mxfp4", layout="gguf")
    assert not (tmp_path / "new/model.gguf").exists()


def test_a_tensor_that_no_llama_has(tmp_path: Path) -> None:
    held = {**llama(), "model.layers.0.mlp.router.weight": stored(numbers((8, 64)))}
    source = one_shard(tmp_path / "source", held)
    (source / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(ValueError, match=r"got a tensor named 'model\.layers\.0\.mlp\.router"):
        convert(source, tmp_path / "new", "mxfp4", layout="gguf")


@pytest.mark.parametrize(
    "recipe",
    ["nf4", "uint4/32/float16/zero-point", "int8/64/float16", "int4/32/float16/tensor-scale",
     "mxfp8e4m3", "int4/32/float32", "deepseek_fp8"],
)  # fmt: skip
def test_recipes_without_a_type(tmp_path: Path, recipe: str) -> None:
    source = one_shard(tmp_path / "source", {UP: bfloat16(numbers(SHAPE, 2))})
    with pytest.raises(ValueError, match="recipe must be one that the layout gguf stores"):
        convert(source, tmp_path / "new", recipe, layout="gguf")
    q = mf.quantize(numbers(SHAPE), recipe)
    with pytest.raises(ValueError, match="q must be of a recipe that a type"):
        gguf_blocks.tensors(UP, q)


def test_rows_must_be_whole_blocks(tmp_path: Path) -> None:
    """Of the type, which are longer than NVFP4's."""
    source = one_shard(tmp_path / "source", {"a.weight": stored(numbers((4, 48)))})
    with pytest.raises(ValueError, match=r"a\.weight must have a shape .* whole blocks of 64"):
        convert(source, tmp_path / "new", "nvfp4", layout="gguf")


def test_headers_that_llama_cpp_does_not_take() -> None:
    for tensor, message in (
        (("a" * 64, "F32", (2,)), "a name of at most 63 bytes"),
        (("a", "F32", (1, 1, 1, 1, 1)), "and 4 dimensions"),
        (("a", "C64", (2,)), "must be of a type of .gguf files"),
        (("a", "Q8_0", (2, 31)), "whole blocks of 32"),
    ):
        with pytest.raises(ValueError, match=message):
            new_header([tensor], {})


def test_order_of_rows_is_that_of_llama_cpp() -> None:
    w = numbers((24, 3))
    for heads in (1, 2, 3, 4, 6, 12):
        np.testing.assert_array_equal(w[order_of_rows(heads, 24)], permuted(w, heads))
