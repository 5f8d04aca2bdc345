"""Experts that are one tensor of three dimensions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.conversion import convert
from minifloat.files.checkpoints import gpt_oss, open_checkpoint
from tests.conversion.models import numbers, one_shard
from tests.files.checkpoints import slow
from tests.files.checkpoints.by_hand import bfloat16, stored

HIDDEN, INNER, EXPERTS = 64, 96, 3
UP, DOWN = (f"model.layers.0.mlp.experts.{name}" for name in ("gate_up_proj", "down_proj"))
Q = "model.layers.0.self_attn.q_proj.weight"


def a_model(folder: Path, *, inputs_first: bool, hidden: int | None = HIDDEN) -> Path:
    """Write a model as gpt-oss is, or with the outputs first."""
    up, down = (EXPERTS, HIDDEN, 2 * INNER), (EXPERTS, INNER, HIDDEN)
    if not inputs_first:
        up, down = (up[0], up[2], up[1]), (down[0], down[2], down[1])
    source = one_shard(folder, {
        UP: bfloat16(numbers(up, 1)),
        f"{UP}_bias": bfloat16(numbers((EXPERTS, 2 * INNER), 2)),
        DOWN: bfloat16(numbers(down, 3)),
        Q: bfloat16(numbers((64, HIDDEN), 4)),
        "model.layers.0.mlp.router.weight": bfloat16(numbers((EXPERTS, HIDDEN), 5)),
    })  # fmt: skip
    (folder / "config.json").write_text(json.dumps({"hidden_size": hidden}))
    return source


def reasons(result: Any) -> dict[str, str]:
    return {tensor.name: tensor.reason for tensor in result.copied}


def test_gpt_oss(tmp_path: Path) -> None:
    """Blocks of 32 inputs in 16 bytes, byte by byte; all else as it is."""
    source = a_model(tmp_path / "source", inputs_first=True)
    result = convert(source, tmp_path / "new", "mxfp4", layout="gpt-oss")
    assert [tensor.name for tensor in result.errors.tensors] == [UP, DOWN]
    assert reasons(result)[Q].startswith("not experts that are one tensor")
    checkpoint = open_checkpoint(tmp_path / "new")
    for name, shape, seed in ((UP, (HIDDEN, 2 * INNER), 1), (DOWN, (INNER, HIDDEN), 3)):
        w = numbers((EXPERTS, *shape), seed)
        q = mf.quantize(w, "mxfp4", axis=1)
        assert checkpoint[name] == q
    settings = json.loads((tmp_path / "new/config.json").read_text())["quantization_config"]
    assert settings == {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.router", "lm_head",
        ],
    }  # fmt: skip


@pytest.mark.parametrize("inputs_first", [False, True])
def test_our_own_layout_has_blocks_along_the_inputs(tmp_path: Path, inputs_first: bool) -> None:
    source = a_model(tmp_path / "source", inputs_first=inputs_first)
    result = convert(source, tmp_path / "new", "nvfp4", layout="minifloat")
    assert [tensor.name for tensor in result.errors.tensors] == [UP, DOWN, Q]
    checkpoint = open_checkpoint(tmp_path / "new")
    for name, seed in ((UP, 1), (DOWN, 3)):
        w = numbers(checkpoint.describe(name).shape, seed)
        assert checkpoint[name] == mf.quantize(w, "nvfp4", axis=1 if inputs_first else 2)


def test_gguf_has_them_if_the_inputs_are_last(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    source = a_model(tmp_path / "last", inputs_first=False)
    convert(source, tmp_path / "new", "mxfp4", layout="gguf")
    tensors = {each.name: each for each in gguf.GGUFReader(tmp_path / "new/model.gguf").tensors}
    q = mf.quantize(numbers((EXPERTS, 2 * INNER, HIDDEN), 1), "mxfp4")
    got = gguf.quants.dequantize(tensors[UP].data, tensors[UP].tensor_type)
    np.testing.assert_array_equal(got.reshape(q.shape), q.dequantize())
    source = a_model(tmp_path / "first", inputs_first=True)
    result = convert(source, tmp_path / "other", "mxfp4", layout="gguf")
    assert reasons(result)[UP] == "experts that are one 3-d tensor with inputs along axis 1"
    with pytest.raises(ValueError, match="source must hold a float tensor"):
        convert(source, tmp_path / "none", "mxfp4", layout="gguf", include=UP)


def test_without_a_place_they_are_copied_and_named(tmp_path: Path) -> None:
    source = a_model(tmp_path / "source", inputs_first=False)
    for layout, recipe in (("compressed-tensors", "nvfp4"), ("gptq", "int4/32/float16")):
        result = convert(source, tmp_path / layout, recipe, layout=layout)
        assert [tensor.name for tensor in result.errors.tensors] == [Q]
        reason = "experts that are one 3-d tensor, for which this layout has no place"
        assert reasons(result)[UP] == reasons(result)[DOWN] == reason
        old, new = open_checkpoint(source), open_checkpoint(tmp_path / layout)
        assert new.dequantize(UP).tobytes() == old.dequantize(UP).tobytes()
    text = repr(result)
    assert "has no place" in text


@pytest.mark.parametrize("hidden", [None, 5, "64"])
def test_an_unknown_axis(tmp_path: Path, hidden: Any) -> None:
    source = a_model(tmp_path / "source", inputs_first=False, hidden=hidden)
    result = convert(source, tmp_path / "new", "mxfp4", layout="minifloat")
    assert "hidden_size tells no axis" in reasons(result)[DOWN]


def test_experts_that_are_matrices_are_layers_as_others(tmp_path: Path) -> None:
    """Those of Mixtral, and of Qwen3 on disk."""
    held = {
        "model.layers.0.block_sparse_moe.experts.0.w1.weight": stored(numbers((64, 64), 1)),
        "model.layers.0.block_sparse_moe.experts.0.w3.weight": stored(4 * numbers((64, 64), 2)),
        "model.layers.0.block_sparse_moe.gate.weight": stored(numbers((8, 64), 3)),
    }
    source = one_shard(tmp_path / "source", held)
    result = convert(source, tmp_path / "new", "nvfp4")
    assert len(result.errors.tensors) == 2
    checkpoint = open_checkpoint(tmp_path / "new")
    scales = {getattr(checkpoint[name], "tensor_scale", None) for name in list(held)[:2]}
    assert len(scales) == 1


def test_bytes_of_gpt_oss_by_hand() -> None:
    w = numbers((2, 64, 3), 7)
    q = mf.quantize(w, "mxfp4", axis=1)
    blocks, scales = gpt_oss.tensors("x", q)
    assert (blocks.name, blocks.dtype, blocks.shape) == ("x_blocks", "U8", (2, 3, 2, 16))
    assert (scales.name, scales.dtype, scales.shape) == ("x_scales", "U8", (2, 3, 2))
    bytes_, exponents = (each.read().reshape(each.shape) for each in (blocks, scales))
    expected = np.empty(w.shape)
    for expert, row, block in np.ndindex(2, 3, 2):
        scale = slow.e8m0(int(exponents[expert, row, block]))
        for k, code in enumerate(slow.low_nibble_first(bytes_[expert, row, block])):
            expected[expert, 32 * block + k, row] = slow.e2m1(code) * scale
    slow.same(q.dequantize(), expected.tolist())


@pytest.mark.parametrize(
    ("recipe", "shape", "axis"),
    [("nvfp4", (2, 64, 3), 1), ("mxfp4", (2, 64, 64), 2), ("mxfp4", (2, 48, 3), 1),
     ("mxfp4", (64, 3), 0)],
)  # fmt: skip
def test_what_gpt_oss_has_no_place_for(recipe: str, shape: tuple[int, ...], axis: int) -> None:
    with pytest.raises(ValueError, match="q must be of mxfp4"):
        gpt_oss.tensors("x", mf.quantize(numbers(shape), recipe, axis=axis))
