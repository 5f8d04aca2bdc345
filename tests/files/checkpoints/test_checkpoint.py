"""`open_checkpoint` on whole models: plain tensors, shards, settings, comparisons."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files import WeightsError
from minifloat.files.checkpoints import Checkpoint, open_checkpoint
from tests.files.checkpoints.by_hand import bfloat16, stored, write

NVFP4 = {
    "a.weight": stored(np.full((4, 16), 0x25, np.uint8)),
    "a.weight_scale": stored(np.full((4, 2), 0x38, np.uint8), "F8_E4M3"),
    "a.weight_scale_2": stored(np.float32(0.5)),
    "a.input_scale": stored(np.float32(1)),
}
PLAIN = {
    "norm.weight": bfloat16(np.arange(4, dtype=np.float32)),
    "position": stored(np.arange(3)),
    "odd": ("F128", [1], bytes(16)),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path, {**PLAIN, **NVFP4})


def test_a_checkpoint_is_a_mapping_of_names(model: Path) -> None:
    checkpoint = open_checkpoint(model)
    assert isinstance(checkpoint, Checkpoint)
    assert list(checkpoint) == ["norm.weight", "position", "a.weight"]
    assert len(checkpoint) == 3
    assert "a.weight" in checkpoint
    assert "odd" not in checkpoint
    assert 3 not in checkpoint
    assert checkpoint.layouts == ("ModelOpt NVFP4",)
    assert isinstance(checkpoint["a.weight"], mf.Quantized)
    np.testing.assert_array_equal(
        checkpoint["norm.weight"], np.arange(4, dtype=np.float32), strict=True
    )
    np.testing.assert_array_equal(checkpoint["position"], np.arange(3), strict=True)
    assert checkpoint.dequantize("a.weight").sum() == 4 * 16 * (3 + 1) * 0.5
    assert repr(checkpoint) == f"<Checkpoint {model}: 3 tensors, ModelOpt NVFP4>"


def test_descriptions_read_nothing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(model)
    monkeypatch.setattr("minifloat.files._source.SourceFile.read", None)
    about = checkpoint.describe("a.weight")
    assert (about.shape, about.dtype, str(about.recipe)) == (
        (4, 32),
        "U8",
        str(mf.RECIPES["nvfp4"]),
    )
    assert about.parts == ("a.weight", "a.weight_scale", "a.weight_scale_2")
    assert about.size == 128
    assert about.bits_per_weight == (8 * 64 + 8 * 8 + 32) / 128
    norm = checkpoint.describe("norm.weight")
    assert (norm.layout, norm.recipe, norm.bits_per_weight) == ("", None, 16)
    assert {each.name: each.skipped for each in checkpoint.skipped} == {
        "odd": "of the unknown type 'F128'",
        "a.input_scale": "a scale of activations",
    }


def test_scales_of_a_model_that_is_not_quantized_are_weights(tmp_path: Path) -> None:
    """CLIP has a logit_scale, other models a learned q_scale."""
    names = ["logit_scale", "attn.q_scale", "attn.k_scale", "x.scales", "layer_scale"]
    checkpoint = open_checkpoint(write(tmp_path, {n: stored(np.ones(2)) for n in names}))
    assert list(checkpoint) == names


def test_names_that_are_none(model: Path) -> None:
    checkpoint = open_checkpoint(model)
    with pytest.raises(KeyError, match=r"has no weights 'b\.weight'"):
        checkpoint["b.weight"]
    with pytest.raises(KeyError, match="has no weights 'odd': of the unknown type 'F128'"):
        checkpoint["odd"]
    with pytest.raises(KeyError, match=r"has no weights 'b\.weight'"):
        checkpoint.describe("b.weight")


def shards(folder: Path, listed: Any = None) -> Path:
    """Write codes in one shard and their scales in another."""
    names = list(NVFP4)
    first, second = {n: NVFP4[n] for n in names[:1]}, {n: NVFP4[n] for n in names[1:]}
    write(folder, first, name="model-00001-of-00002.safetensors")
    write(folder, second, name="model-00002-of-00002.safetensors")
    weight_map = {n: f"model-0000{1 + (n != names[0])}-of-00002.safetensors" for n in names}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": listed or weight_map}))
    return index


def test_parts_may_lie_in_several_shards(tmp_path: Path) -> None:
    index = shards(tmp_path)
    for path in (index, tmp_path):
        assert isinstance(open_checkpoint(path)["a.weight"], mf.Quantized)
    index.unlink()
    assert isinstance(open_checkpoint(tmp_path)["a.weight"], mf.Quantized)


LISTS = {
    "outside": ({"a.weight": "../model-00001-of-00002.safetensors"}, "outside its directory"),
    "another kind": ({"a.weight": "config.json"}, "shards must be .safetensors files"),
    "missing": ({"a.weight": "other.safetensors"}, "No such file"),
    "less": ({"a.weight": "model-00002-of-00002.safetensors"}, "disagree about 'a.input_scale'"),
}


@pytest.mark.parametrize("case", LISTS)
def test_an_index_that_lies_is_an_error(tmp_path: Path, case: str) -> None:
    listed, message = LISTS[case]
    with pytest.raises(WeightsError, match=message):
        open_checkpoint(shards(tmp_path, listed))


def test_a_name_in_two_shards_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, NVFP4, name="model-00001-of-00002.safetensors")
    write(tmp_path, NVFP4, name="model-00002-of-00002.safetensors")
    with pytest.raises(WeightsError, match=r"holds two tensors named 'a\.weight'"):
        open_checkpoint(tmp_path)


def test_two_layouts_of_one_name_are_an_error(tmp_path: Path) -> None:
    packed = {
        "a.weight_packed": stored(np.zeros((4, 16), np.uint8)),
        "a.weight_scale": stored(np.zeros((4, 1), np.uint8)),
        "a.weight": stored(np.zeros((4, 32), np.float32)),
    }
    with pytest.raises(WeightsError, match=r"holds two tensors named 'a\.weight'"):
        open_checkpoint(write(tmp_path, packed))


CONFIGS = {
    "no json": b"{",
    "a list": b"[]",
    "a name twice": b'{"a": 1, "a": 2}',
    "brackets": b'{"a": ' + b"[" * 5000,
    "nothing": b"",
}


@pytest.mark.parametrize("case", CONFIGS)
def test_settings_that_are_damaged_are_an_error_where_they_matter(
    tmp_path: Path, case: str
) -> None:
    codes = stored(np.zeros((2, 4), np.uint8), "F8_E4M3")
    tensors = {"a.weight": codes, "a.weight_scale": stored(np.float32(1))}
    write(tmp_path, tensors)
    (tmp_path / "config.json").write_bytes(CONFIGS[case])
    with pytest.raises(WeightsError, match=r"config\.json"):
        open_checkpoint(tmp_path)
    write(tmp_path, PLAIN)
    assert "norm.weight" in open_checkpoint(tmp_path)


ODD: list[Any] = [None, 7, [], {"bits": "4"}, {"config_groups": 3}, {"config_groups": {"g": 1}}]
ODD += [{"group_size": -1, "weight_block_size": [0, 2]}, {"quant_method": 7, "bits": True}]


@pytest.mark.parametrize("config", ODD)
def test_settings_of_other_kinds_say_nothing(tmp_path: Path, config: Any) -> None:
    codes = stored(np.zeros((2, 4), np.uint8), "F8_E4M3")
    tensors = {"a.weight": codes, "a.weight_scale": stored(np.ones((2, 2), np.float32))}
    write(tmp_path, tensors, config)
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": config}))
    assert str(open_checkpoint(tmp_path).describe("a.weight").recipe) == "e4m3fn/2/float32"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("hf_quant_config.json", {"quantization": {"quant_method": "modelopt"}}),
        ("config.json", {"text_config": {"quantization_config": {"quant_method": "modelopt"}}}),
        ("quantize_config.json", {"quant_method": "modelopt"}),
    ],
)
def test_settings_lie_in_several_places(tmp_path: Path, name: str, content: Any) -> None:
    codes = stored(np.zeros((2, 4), np.uint8), "F8_E4M3")
    write(tmp_path, {"a.weight": codes, "a.weight_scale": stored(np.float32(1))})
    (tmp_path / name).write_text(json.dumps(content))
    assert open_checkpoint(tmp_path).layouts == ("ModelOpt FP8",)


def test_plain_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", w=np.ones(3), step=3)
    checkpoint = open_checkpoint(tmp_path / "m.npz")
    assert list(checkpoint) == ["w"]
    assert checkpoint.describe("w").bits_per_weight == 64
    np.save(tmp_path / "m.npy", np.ones(3, np.float16))
    (name,) = open_checkpoint(tmp_path / "m.npy")
    assert open_checkpoint(tmp_path / "m.npy")[name].shape == (3,)


@pytest.mark.parametrize("path", [3, None, b"x"])
def test_a_path_is_asked_for(path: Any) -> None:
    with pytest.raises(TypeError, match="path must be"):
        open_checkpoint(path)


def test_other_kinds_of_files(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("x")
    with pytest.raises(WeightsError, match=r"must end in one of \.safetensors"):
        open_checkpoint(tmp_path / "m.txt")
    for missing in ("none.safetensors", "none"):
        with pytest.raises(WeightsError, match="No such file"):
            open_checkpoint(tmp_path / missing)


def test_a_file_that_changes_is_an_error(model: Path) -> None:
    checkpoint = open_checkpoint(model)
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsError, match="was written to or replaced"):
        checkpoint["a.weight"]


def test_comparisons_apply_the_scales_and_say_so(model: Path) -> None:
    result = mf.compare(model, ["e2m1/16/float32", "int4/16/float32"])
    assert [tensor.name for tensor in result.tensors] == ["norm.weight", "a.weight"]
    assert result.total.parameters == 4 + 128
    weights = open_checkpoint(model)["a.weight"]
    expected = mf.compare({"a.weight": np.asarray(weights)}, ["e2m1/16/float32", "int4/16/float32"])
    assert result.tensors[1].errors == expected.tensors[0].errors
    note = "read with its scales as ModelOpt NVFP4, e2m1/16/e4m3fn/tensor-scale"
    assert result.tensors[1].note == note
    assert f"a.weight: {note}" in repr(result)
    skipped = {tensor.name: tensor.reason for tensor in result.skipped}
    assert skipped["position"] == "not a float tensor"
    assert skipped["a.input_scale"] == "a scale of activations"


def test_fp8_is_compared_with_its_scales(tmp_path: Path) -> None:
    codes = np.full((2, 32), 0x38, np.uint8)
    tensors = {
        "a.weight": stored(codes, "F8_E4M3"),
        "a.weight_scale_inv": stored(np.full((1, 1), 3, np.float32)),
        "a.input_scale": stored(np.float32(1)),
    }
    result = mf.compare(write(tmp_path, tensors), "e2m1/32/float32")
    (tensor,) = result.tensors
    assert tensor.errors[0].squared_weight == 64 * 9
    assert tensor.note == "read with its scales as FP8 in tiles, e4m3fn/128x128/float32"


def test_fp8_with_scales_of_an_unknown_name_is_noted(tmp_path: Path) -> None:
    tensors = {
        "a.weight": stored(np.full((2, 32), 0x38, np.uint8), "F8_E4M3"),
        "a.scale_weight": stored(np.float32(1)),
    }
    result = mf.compare(write(tmp_path, tensors), "e2m1/32/float32")
    (note,) = {tensor.note for tensor in result.tensors if tensor.name == "a.weight"}
    assert note == "codes compared as values: the scales beside them are not applied"


def test_checkpoints_are_compared_in_other_threads_and_processes(model: Path) -> None:
    alone = mf.compare(model, "e2m1/16/float32")
    with ThreadPoolExecutor(2) as pool:
        assert mf.compare(model, "e2m1/16/float32", executor=pool) == alone
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert mf.compare(model, "e2m1/16/float32", executor=pool) == alone


def test_a_checkpoint_can_be_pickled(model: Path) -> None:
    again = pickle.loads(pickle.dumps(open_checkpoint(model)))
    assert again["a.weight"] == open_checkpoint(model)["a.weight"]
