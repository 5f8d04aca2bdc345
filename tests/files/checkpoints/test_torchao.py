"""What torchao writes is read as it reads it itself; its class names are told by the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files.checkpoints import open_checkpoint
from tests.files.checkpoints import slow
from tests.files.checkpoints.by_hand import opened, stored, write

RANDOM = np.random.default_rng(8)


def metadata(kind: str, **settings: Any) -> dict[str, str]:
    entry = {"_type": kind, "_data": settings, "_tensor_data_names": ["qdata", "scale"]}
    return {"l.weight": json.dumps(entry), "tensor_names": '["l.weight"]'}


def test_mxfp4_by_hand(tmp_path: Path) -> None:
    packed = RANDOM.integers(0, 256, (3, 32), np.uint8)
    scales = RANDOM.integers(120, 130, (3, 2), np.uint8)
    tensors = {"l._weight_qdata": stored(packed), "l._weight_scale": stored(scales, "F8_E8M0")}
    held, about = opened(tmp_path, tensors, "l.weight", metadata=metadata("MXTensor"))
    assert about.layout == "torchao MXTensor"
    assert held.recipe == mf.RECIPES["mxfp4"]
    expected = [
        [
            slow.e2m1(code) * slow.e8m0(int(scales[row, k // 32]))
            for k, code in enumerate(slow.low_nibble_first(packed[row]))
        ]
        for row in range(3)
    ]
    slow.same(held.dequantize(), expected)


def test_swizzled_scales_by_hand(tmp_path: Path) -> None:
    """The scale of row r and column c of a tile is byte 16 (r % 32) + 4 (r // 32) + c of it."""
    rows, count = 130, 5
    tiles = RANDOM.integers(0, 0x7F, 2 * 2 * 512, np.uint8)
    packed = np.full((rows, 8 * count), 0x22, np.uint8)  # ones
    tensors = {
        "l._weight_qdata": stored(packed),
        "l._weight_scale": ("F8_E4M3", [64, 32], tiles.tobytes()),
    }
    settings = metadata("NVFP4Tensor", is_swizzled_scales=True)
    held, _ = opened(tmp_path, tensors, "l.weight", metadata=settings)
    assert str(held.recipe) == "e2m1/16/e4m3fn"
    for r in range(rows):
        for c in range(count):
            tile = 2 * (r // 128) + c // 4
            at = 512 * tile + 16 * (r % 32) + 4 * (r % 128 // 32) + c % 4
            assert held.scales[r, c] == slow.e4m3(int(tiles[at]))


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "an unknown class": (metadata("UintxTensor"), "which is not read"),
    "blocks of 0": (metadata("MXTensor", block_size=0), "must have a block_size"),
    "other blocks": (metadata("MXTensor", block_size=16), "must have shape (3, 4)"),
    "scales of another class": (metadata("NVFP4Tensor"), "must be of type F8_E4M3"),
    "swizzled": (metadata("MXTensor", is_swizzled_scales=True), "must be whole tiles"),
    "bytes of another class": (metadata("Float8Tensor"), "must be of type F8_E4M3 or F8_E5M2"),
    "integers of another class": (metadata("Int8Tensor"), "must be of type I8"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_parts_that_do_not_fit_are_skipped_with_the_reason(tmp_path: Path, case: str) -> None:
    told, reason = BROKEN[case]
    tensors = {
        "l._weight_qdata": stored(np.zeros((3, 32), np.uint8)),
        "l._weight_scale": stored(np.zeros((3, 2), np.uint8), "F8_E8M0"),
    }
    checkpoint = open_checkpoint(write(tmp_path, tensors, metadata=told))
    assert list(checkpoint) == []
    (about,) = checkpoint.skipped
    assert about.name == "l.weight"
    assert reason in about.skipped


@pytest.mark.parametrize("text", ["{", '{"_type": 3}', '{"_type": "Tensor"}', '["_type"]', ""])
def test_metadata_that_tell_no_class_are_nothing(tmp_path: Path, text: str) -> None:
    tensors = {"l.weight": stored(np.ones(2, np.float32))}
    assert list(open_checkpoint(write(tmp_path, tensors, metadata={"l.weight": text}))) == list(
        tensors
    )


def theirs(kind: str) -> Any:
    """Return a weight of one of torchao's classes."""
    import torch

    w = torch.randn(160, 192, generator=torch.Generator().manual_seed(1))
    if kind.startswith("mxfp"):
        from torchao.prototype.mx_formats.mx_tensor import MXTensor

        element = torch.float8_e4m3fn if "8" in kind else torch.float4_e2m1fn_x2
        return MXTensor.to_mx(w, element, 32, is_swizzled_scales="swizzled" in kind)
    if kind.startswith("nvfp4"):
        from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor

        factor = torch.tensor(0.001) if "factor" in kind else None
        return NVFP4Tensor.to_nvfp4(
            w, per_tensor_scale=factor, is_swizzled_scales="swizzled" in kind
        )
    from torchao import quantization

    config = {
        "float8": quantization.Float8WeightOnlyConfig(),
        "int8": quantization.Int8WeightOnlyConfig(version=2),
        "int4": quantization.IntxWeightOnlyConfig(
            weight_dtype=torch.int4, granularity=quantization.PerGroup(32)
        ),
        "int3 asymmetric": quantization.IntxWeightOnlyConfig(
            weight_dtype=torch.int3,
            granularity=quantization.PerGroup(64),
            mapping_type=quantization.MappingType.ASYMMETRIC,
        ),
    }[kind]
    model = torch.nn.Sequential(torch.nn.Linear(192, 160, bias=False))
    model[0].weight.data = w
    quantization.quantize_(model, config)
    return model[0].weight


KINDS = {
    "float8": "e4m3fn/channel/float32",
    "int8": "uint8/channel/float32/zero-point",
    "int4": "uint4/32/float32/zero-point",
    "int3 asymmetric": "uint3/64/float32/zero-point",
    "mxfp8": "e4m3fn/32/e8m0",
    "mxfp4": "e2m1/32/e8m0",
    "mxfp4 swizzled": "e2m1/32/e8m0",
    "nvfp4": "e2m1/16/e4m3fn",
    "nvfp4 factor": "e2m1/16/e4m3fn/tensor-scale",
    "nvfp4 factor swizzled": "e2m1/16/e4m3fn/tensor-scale",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_what_the_package_writes_is_read_as_it_reads_it(tmp_path: Path, kind: str) -> None:
    torch = pytest.importorskip("torch")
    support = pytest.importorskip("torchao.prototype.safetensors.safetensors_support")
    from safetensors.torch import save_file

    weight = theirs(kind)
    tensors, told = support.flatten_tensor_state_dict({"0.weight": weight})
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata=told)
    held = open_checkpoint(tmp_path)["0.weight"]
    assert isinstance(held, mf.Quantized)
    assert str(held.recipe) == KINDS[kind]
    expected = weight.dequantize().to(torch.float32).numpy()
    if "factor" in kind:  # torchao rounds scale * factor first
        np.testing.assert_allclose(held.dequantize(), expected, rtol=2e-7, atol=0)
    else:
        np.testing.assert_array_equal(held.dequantize(), expected)
