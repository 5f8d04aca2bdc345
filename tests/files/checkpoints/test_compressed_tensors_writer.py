"""What the package compressed-tensors writes is read as it reads it itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files.checkpoints import open_checkpoint

torch = pytest.importorskip("torch")
pytest.importorskip("compressed_tensors")
pytest.importorskip("safetensors.torch")

NAME = "model.layers.0.mlp.down_proj"


def compressed(
    folder: Path, kind: str, tensors: dict[str, Any], weights: dict[str, Any]
) -> tuple[mf.Quantized, Any]:
    """Let the package compress and save weights; return ours and its own dequantized ones."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from safetensors.torch import save_file

    args = QuantizationArgs(**weights)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    compressor = BaseCompressor.get_value_from_registry(kind)
    packed = compressor.compress(tensors, scheme)
    save_file(
        {f"{NAME}.{key}": value.contiguous() for key, value in packed.items()},
        folder / "model.safetensors",
    )
    unpacked = compressor.decompress(packed, scheme)["weight"].to(torch.float32).numpy()
    checkpoint = open_checkpoint(folder)
    assert list(checkpoint) == [f"{NAME}.weight"], [t.skipped for t in checkpoint.skipped]
    held = checkpoint[f"{NAME}.weight"]
    assert isinstance(held, mf.Quantized)
    about = checkpoint.describe(f"{NAME}.weight")
    assert about.recipe == held.recipe
    assert about.shape == held.shape == tuple(tensors["weight"].shape)
    assert about.layout == f"compressed-tensors {kind}"
    return held, unpacked


def weights(rows: int, columns: int) -> Any:
    generator = torch.Generator().manual_seed(rows * columns)
    return torch.randn(rows, columns, generator=generator)


def same(ours: mf.Quantized, theirs: Any) -> None:
    np.testing.assert_array_equal(ours.dequantize(), theirs)


def test_nvfp4(tmp_path: Path) -> None:
    """The global scale divides; here it is a power of two, so that its inverse is exact."""
    w = weights(6, 64)
    w[0, :16] = torch.tensor([0.0, -0.0, 1e-9, -1e-9] * 4)
    divisor = torch.tensor([512.0])
    absmax = w.reshape(6, 4, 16).abs().amax(-1)
    scale = (divisor * absmax / 6).clamp(1 / 8, 448).to(torch.float8_e4m3fn).to(torch.float32)
    tensors = {"weight": w, "weight_scale": scale, "weight_global_scale": divisor}
    args = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
    held, unpacked = compressed(tmp_path, "nvfp4-pack-quantized", tensors, args)
    same(held, unpacked)
    assert str(held.recipe) == "e2m1/16/e4m3fn/tensor-scale"
    assert held.tensor_scale == 1 / 512
    np.testing.assert_array_equal(held.scales, scale.numpy())


@pytest.mark.parametrize(
    ("kind", "bits", "recipe"),
    [
        ("mxfp4-pack-quantized", 4, "e2m1/32/e8m0"),
        ("mxfp6-pack-quantized", 6, "e2m3/32/e8m0"),
        ("mxfp8-quantized", 8, "e4m3fn/32/e8m0"),
    ],
)
def test_mx(tmp_path: Path, kind: str, bits: int, recipe: str) -> None:
    w = weights(4, 96)
    scale = torch.exp2(torch.floor(torch.log2(w.reshape(4, 3, 32).abs().amax(-1))) - 2)
    args = {"num_bits": bits, "type": "float", "strategy": "group", "group_size": 32}
    args["scale_dtype"] = torch.uint8
    held, unpacked = compressed(tmp_path, kind, {"weight": w, "weight_scale": scale}, args)
    same(held, unpacked)
    assert str(held.recipe) == recipe
    np.testing.assert_array_equal(held.scales, scale.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group", [32, None])
def test_packed_integers(
    tmp_path: Path, bits: int, symmetric: bool, group: int | None, dtype: str
) -> None:
    rows, columns = 37, 96  # rows do not fill the words of the zero points
    w = weights(rows, columns).to(getattr(torch, dtype))
    groups = w.reshape(rows, -1, group or columns).to(torch.float32)
    low, high = groups.amin(-1), groups.amax(-1)
    if symmetric:
        scale = torch.maximum(high, -low) / (2 ** (bits - 1) - 0.5)
    else:
        scale = (high - low) / (2**bits - 1)
    scale = scale.to(w.dtype)
    tensors = {"weight": w, "weight_scale": scale}
    if not symmetric:
        zero = torch.round(-(2 ** (bits - 1)) - low / scale.to(torch.float32))
        limits = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        tensors["weight_zero_point"] = zero.clamp(*limits).to(torch.int8)
    strategy = "channel" if group is None else "group"
    args: dict[str, Any] = {"num_bits": bits, "type": "int", "strategy": strategy}
    args |= {"group_size": group, "symmetric": symmetric}
    config = {"config_groups": {"group_0": {"weights": {"num_bits": bits}}}}
    write_config(tmp_path, config)
    held, unpacked = compressed(tmp_path, "pack-quantized", tensors, args)
    rounded = torch.from_numpy(held.dequantize()).to(w.dtype).to(torch.float32).numpy()
    np.testing.assert_array_equal(rounded, unpacked)
    fmt = f"int{bits}full" if symmetric else f"uint{bits}"
    block = "channel" if group is None else group
    suffix = "" if symmetric else "/zero-point"
    assert str(held.recipe) == f"{fmt}/{block}/{dtype}{suffix}"


def write_config(folder: Path, config: dict[str, Any]) -> None:
    import json

    (folder / "config.json").write_text(json.dumps({"quantization_config": config}))


@pytest.mark.parametrize("kind", ["float-quantized", "int-quantized"])
@pytest.mark.parametrize("strategy", ["tensor", "channel", "block", "group"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_8_bits(tmp_path: Path, kind: str, strategy: str, symmetric: bool) -> None:
    if kind == "float-quantized" and not symmetric:
        pytest.skip("floats have no zero point")
    if strategy == "block" and not symmetric:
        pytest.skip("compressed-tensors has no such zero points")
    w = weights(64, 96)
    shape = {"tensor": (1,), "channel": (64, 1), "block": (2, 3), "group": (64, 3)}[strategy]
    generator = torch.Generator().manual_seed(1)
    scale = torch.rand(shape, generator=generator) / 32 + 1 / 64
    tensors = {"weight": w, "weight_scale": scale}
    args: dict[str, Any] = {"num_bits": 8, "strategy": strategy, "symmetric": symmetric}
    args["type"] = "float" if kind == "float-quantized" else "int"
    args["group_size"] = 32 if strategy == "group" else None
    args["block_structure"] = [32, 32] if strategy == "block" else None
    if not symmetric:
        zero = torch.randint(-20, 20, shape, generator=generator)
        tensors["weight_zero_point"] = zero.to(torch.int8)
    held, unpacked = compressed(tmp_path, kind, tensors, args)
    same(held, unpacked)
    block = {"block": "32x32", "group": "32"}.get(strategy, strategy)
    fmt = "e4m3fn" if kind == "float-quantized" else "int8full" if symmetric else "uint8"
    suffix = "" if symmetric else "/zero-point"
    assert str(held.recipe) == f"{fmt}/{block}/float32{suffix}"
