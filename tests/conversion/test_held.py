"""Models that are quantized already: their layout changes, their codes and scales do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

import minifloat as mf
from minifloat.conversion import convert
from minifloat.files import WeightsError
from minifloat.files.checkpoints import open_checkpoint
from tests.conversion.models import LAYERS, SECOND, model, numbers, one_shard
from tests.files.checkpoints.by_hand import bfloat16, stored, write

UP, UPPER = (name for name, _ in LAYERS.values())
NAMES = (UP, SECOND, UPPER)

# recipe of the first conversion, its layout, recipe and layout of the second
WAYS = [
    ("nvfp4", "modelopt", "nvfp4", "compressed-tensors"),
    ("nvfp4", "compressed-tensors", "nvfp4", "modelopt"),
    ("nvfp4", "modelopt", "nvfp4", "gguf"),
    ("mxfp4", "compressed-tensors", "mxfp4", "gguf"),
    ("mxfp4", "compressed-tensors", "e2m1/32/e8m0:up/mse", "minifloat"),
    ("uint4/32/float16/zero-point", "gptq", "uint4/32/float16/zero-point", "gptq_v2"),
    ("uint3/64/float16/zero-point", "gptq_v2", "uint3/64/float16/zero-point", "gptq"),
    ("uint4/64/float16/zero-point", "awq", "uint4/64/float16/zero-point", "gptq"),
    ("uint4/128/float16/zero-point", "gptq", "uint4/128/float16/zero-point", "compressed-tensors"),
    ("int4/32/float16", "compressed-tensors", "int4full/32/float16", "awq"),
    ("int8full/32/float16", "minifloat", "int8full/32/float16", "gguf"),
    ("qlora", "minifloat", "qlora", "minifloat"),
    ("e4m3fn/channel/float32", "minifloat", "e4m3fn/channel/float32", "compressed-tensors"),
]


@pytest.mark.parametrize(("recipe", "layout", "again", "other"), WAYS)
def test_codes_and_scales_stay(
    tmp_path: Path, recipe: str, layout: str, again: str, other: str
) -> None:
    source = model(tmp_path / "source")
    convert(source, tmp_path / "first", recipe, layout=layout)
    result = convert(tmp_path / "first", tmp_path / "second", again, layout=other)
    first, second = open_checkpoint(tmp_path / "first"), open_checkpoint(tmp_path / "second")
    for name in NAMES:
        expected = first.dequantize(name)
        got = second.dequantize(name)
        if other == "compressed-tensors" and recipe == "nvfp4":  # its tensor scale is inverted
            np.testing.assert_allclose(got, expected, rtol=2**-22)
            held, wanted = second[name], first[name]
            assert isinstance(held, mf.Quantized)
            assert isinstance(wanted, mf.Quantized)
            assert held.packed.tobytes() == wanted.packed.tobytes()
            assert held.scales.tobytes() == wanted.scales.tobytes()
        else:
            assert got.tobytes() == expected.tobytes()
    assert {error.max_abs_error for t in result.errors.tensors for error in t.errors} == {0.0}
    assert {tensor.name for tensor in result.errors.tensors} == set(NAMES)
    if other != "gguf":
        files = {path.name for path in (tmp_path / "second").iterdir()}
        assert "hf_quant_config.json" not in files or other == "modelopt"
        assert "quantize_config.json" not in files or other.startswith("gptq")
        old = open_checkpoint(source)
        for name in set(old) - set(NAMES):
            assert second.dequantize(name).tobytes() == old.dequantize(name).tobytes()


def test_a_conversion_back_gives_the_same_file(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    recipe = "uint4/32/float16/zero-point"
    convert(source, tmp_path / "a", recipe, layout="gptq")
    convert(tmp_path / "a", tmp_path / "b", recipe, layout="gptq_v2")
    convert(tmp_path / "b", tmp_path / "c", recipe, layout="gptq")
    for name in LAYERS:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "b" / name).read_bytes()


def modelopt(folder: Path) -> Path:
    """Write ModelOpt's layout as it writes it, with scales of activations and of the cache."""
    folder.mkdir()
    layer = "model.layers.0.mlp.up_proj"
    codes = np.arange(2 * 16, dtype=np.uint8).reshape(2, 16)
    held = {
        f"{layer}.weight": stored(codes),
        f"{layer}.weight_scale": stored(np.full((2, 2), 0x38, np.uint8), "F8_E4M3"),
        f"{layer}.weight_scale_2": ("F32", [], np.float32(0.25).tobytes()),
        f"{layer}.input_scale": ("F32", [], np.float32(0.5).tobytes()),
        "model.layers.0.self_attn.k_proj.k_scale": ("F32", [], np.float32(1).tobytes()),
        "model.norm.weight": bfloat16(np.ones(32, np.float32)),
    }
    config = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
    return write(folder, held, config, metadata={"format": "pt", "quantized": "NVFP4"})


def test_scales_of_activations_are_dropped_and_named(tmp_path: Path) -> None:
    source = modelopt(tmp_path / "source")
    result = convert(source, tmp_path / "new", "nvfp4")
    assert {tensor.name.rpartition(".")[2]: tensor.reason for tensor in result.dropped} == {
        "input_scale": "a scale of activations",
        "k_scale": "a scale of activations",
    }
    assert json.loads(result.to_json())["dropped"][0]["reason"] == "a scale of activations"
    assert "Dropped 2 tensors:" in repr(result)
    new = open_checkpoint(tmp_path / "new")
    assert not new.skipped
    name = "model.layers.0.mlp.up_proj.weight"
    assert new.dequantize(name).tobytes() == open_checkpoint(source).dequantize(name).tobytes()
    config = json.loads((tmp_path / "new/config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
    with safe_open(tmp_path / "new/model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}  # the old one told of the old layout


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    def refused(match: str, recipe: str, **options: Any) -> None:
        with pytest.raises(ValueError, match=match):
            convert(tmp_path / "first", tmp_path / "new", recipe, **options)
        assert not (tmp_path / "new").exists()

    convert(model(tmp_path / "source"), tmp_path / "first", "nvfp4", layout="modelopt")
    refused(
        "must hold plain numbers, or weights of e2m1/32/e8m0, but "
        "'model.layers.0.down_proj.weight' is quantized already, as ModelOpt NVFP4 of "
        "e2m1/16/e4m3fn/tensor-scale; take the model "
        "that was not quantized, or name that recipe to change its layout alone",
        "mxfp4",
    )
    for other in ("e2m1/16/e4m3fn", "e2m1/32/e4m3fn/tensor-scale", "int4/16/e4m3fn/tensor-scale"):
        refused("is quantized already", other, layout="minifloat")
    refused("include and exclude must leave in all weights", "nvfp4", exclude=SECOND)
    np.savez(tmp_path / "h.npz", **{SECOND: np.eye(128)})
    convert_with = {"hessians": tmp_path / "h.npz", "layout": "modelopt"}
    with pytest.raises(ValueError, match="hessians must be named as the tensors"):
        convert(tmp_path / "first", tmp_path / "other", "nvfp4", **convert_with)


def test_what_no_recipe_expresses_is_refused(tmp_path: Path) -> None:
    """Columns in the order of g_idx."""
    convert(
        one_shard(tmp_path / "source", {"a.weight": stored(numbers((32, 64)))}),
        tmp_path / "first",
        "uint4/32/float16/zero-point",
        layout="gptq",
    )
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "first/model.safetensors"
    held = safetensors.load_file(path)
    held["a.g_idx"] = held["a.g_idx"][::-1].copy()
    safetensors.save_file(held, path)
    with pytest.raises(ValueError, match=r"'a\.weight' cannot be quantized: it is quantized in a "
                       "way that no recipe expresses: its columns"):  # fmt: skip
        convert(tmp_path / "first", tmp_path / "new", "uint4/32/float16/zero-point",
                layout="gptq_v2")  # fmt: skip


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    held = {"a.weight_packed": stored(np.zeros((4, 16), np.uint8))}
    source = one_shard(tmp_path / "source", held)
    with pytest.raises(WeightsError, match=r"but 'a\.weight_packed' cannot: part of quantized"):
        convert(source, tmp_path / "new", "mxfp4")


def test_parts_in_two_shards(tmp_path: Path) -> None:
    """Codes in one and their scales in the other, as an index may have it."""
    folder = tmp_path / "source"
    folder.mkdir()
    q = mf.quantize(numbers((4, 64)), "mxfp4")
    codes = {"a.weight_packed": stored(q.packed.reshape(4, 32))}
    exponents = (np.log2(q.scales) + 127).astype(np.uint8)
    write(folder, codes, name="model-00001-of-00002.safetensors")
    scales = {"a.weight_scale": stored(exponents), "b": stored(np.ones(3))}
    write(folder, scales, name="model-00002-of-00002.safetensors")
    convert(folder, tmp_path / "new", "mxfp4", layout="minifloat")
    assert open_checkpoint(tmp_path / "new")["a.weight"] == q
