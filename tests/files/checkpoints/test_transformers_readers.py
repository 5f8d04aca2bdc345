"""Layouts of models that no package writes: read as the functions of transformers read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files.checkpoints import open_checkpoint

torch = pytest.importorskip("torch")
RANDOM = np.random.default_rng(6)


def saved(folder: Path, tensors: dict[str, Any]) -> Any:
    """Write tensors of PyTorch, and return the checkpoint."""
    from safetensors.torch import save_file

    save_file(tensors, folder / "model.safetensors")
    return open_checkpoint(folder)


@pytest.mark.filterwarnings("ignore")
def test_gpt_oss(tmp_path: Path) -> None:
    mxfp4 = pytest.importorskip("transformers.integrations.mxfp4")
    blocks = torch.from_numpy(RANDOM.integers(0, 256, (2, 6, 3, 16), np.uint8))
    scales = torch.from_numpy(RANDOM.integers(110, 140, (2, 6, 3), np.uint8))
    checkpoint = saved(tmp_path, {"x.down_proj_blocks": blocks, "x.down_proj_scales": scales})
    held = checkpoint["x.down_proj"]
    assert held.recipe == mf.RECIPES["mxfp4"]
    expected = mxfp4.convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    np.testing.assert_array_equal(held.dequantize(), expected.numpy())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scale", ["float32", "bfloat16", "float8_e8m0fnu"])
def test_fp8_in_tiles(tmp_path: Path, scale: str) -> None:
    fp8 = pytest.importorskip("transformers.integrations.finegrained_fp8")
    codes = RANDOM.integers(0, 0x7F, (256, 384), np.uint8)  # no NaN
    codes |= RANDOM.integers(0, 2, codes.shape, np.uint8) << 7
    weight = torch.from_numpy(codes).view(torch.float8_e4m3fn)
    numbers = torch.from_numpy(np.exp2(RANDOM.integers(-9, 9, (2, 3)).astype(np.float32)))
    if scale != "float8_e8m0fnu":
        numbers *= 1.5
    scales = numbers.to(getattr(torch, scale))
    checkpoint = saved(tmp_path, {"a.weight": weight, "a.weight_scale_inv": scales})
    held = checkpoint["a.weight"]
    assert isinstance(held, mf.Quantized)
    parts = {"weight": weight, "weight_scale_inv": scales.to(torch.float32)}
    expected = fp8.Fp8Dequantize(None).convert(parts)["weight"]
    assert expected.dtype == torch.float32
    np.testing.assert_array_equal(held.dequantize(), expected.numpy())
