"""What is written in compressed-tensors' layouts is read back equal, by the package too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.files.checkpoints import compressed_tensors, open_checkpoint
from tests.files.checkpoints.by_hand import Stored, write

NAME = "l.weight"
EXACT = [
    *("mxfp4", "e2m3/32/e8m0", "mxfp8e4m3", "e4m3fn/channel/float32", "e4m3fn/tensor/bfloat16"),
    *("e4m3fn/16x32/float16", "e4m3fn/32/bfloat16", "deepseek_fp8"),
    *(f"int{bits}full/32/float16" for bits in range(2, 9)),
    *(f"uint{bits}/32/bfloat16/zero-point" for bits in range(2, 9)),
    *("int4full/channel/float32", "uint3/channel/float32/zero-point", "int4full/tensor/bfloat16"),
    "uint4/tensor/float32/zero-point",
]


def full(recipe: str) -> mf.Recipe:
    """Return a recipe of a text, in which int3full is an `Integer` too."""
    name, _, scaling = recipe.partition("/")
    if name.endswith("full") or name.startswith("uint"):
        bits = int(name.removesuffix("full").removeprefix("u").removeprefix("int"))
        fmt = mf.Integer(bits, signed=name.startswith("int"), symmetric=False)
        return mf.Recipe.scaled(fmt, scaling)
    return mf.Recipe.parse(recipe)


def weights(shape: tuple[int, ...] = (37, 192)) -> Any:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def tensors(q: mf.Quantized) -> dict[str, Stored]:
    stored = compressed_tensors.tensors(NAME, q)
    return {each.name: (each.dtype, list(each.shape), each.read().tobytes()) for each in stored}


def written(folder: Path, q: mf.Quantized) -> Path:
    return write(folder, tensors(q), {"bits": q.fmt.bits, "weight_block_size": [128, 128]})


@pytest.mark.parametrize("recipe", EXACT)
def test_what_is_written_is_read_back(tmp_path: Path, recipe: str) -> None:
    for shape in ((37, 192), (2, 5, 64)):
        q = mf.quantize(weights(shape), full(recipe))
        if shape == (2, 5, 64) and recipe in ("e4m3fn/16x32/float16", "deepseek_fp8"):
            continue  # so small that one tile is a row of tiles
        folder = tmp_path / str(len(shape))
        folder.mkdir()
        if recipe == "e4m3fn/16x32/float16":
            q = mf.quantize(weights((48, 192)), recipe)
        back = open_checkpoint(written(folder, q))[NAME]
        assert isinstance(back, mf.Quantized)
        assert back.dequantize().tobytes() == q.dequantize().tobytes()
        assert back == q


@pytest.mark.parametrize("scale", [1.0, 0.3, 1e-5, 777.7, 3e-12])
def test_nvfp4_is_read_back_but_for_the_last_bit_of_the_tensor_scale(
    tmp_path: Path, scale: float
) -> None:
    q = mf.quantize(weights() * np.float32(scale), "nvfp4")
    back = open_checkpoint(written(tmp_path, q))[NAME]
    assert isinstance(back, mf.Quantized)
    assert back.packed.tobytes() == q.packed.tobytes()
    assert back.scales.tobytes() == q.scales.tobytes()
    assert back.tensor_scale == pytest.approx(q.tensor_scale, rel=2**-23, abs=0)
    folder = tmp_path / "again"
    folder.mkdir()
    assert open_checkpoint(written(folder, back))[NAME] == back


def test_symmetric_integers_come_back_with_the_same_values(tmp_path: Path) -> None:
    q = mf.quantize(weights(), "int4/32/float16")
    back = open_checkpoint(written(tmp_path, q))[NAME]
    assert isinstance(back, mf.Quantized)
    assert str(back.recipe) == "int4full/32/float16"
    np.testing.assert_array_equal(back.dequantize(), q.dequantize())


REFUSED = {
    "a format": ("e2m2/32/float16", (4, 64), -1),
    "a scale": ("e2m1/32/float16", (4, 64), -1),
    "a block": ("e2m1/16/e8m0", (4, 64), -1),
    "a part of a block": ("mxfp4", (4, 40), -1),
    "an axis": ("mxfp4", (64, 64), 0),
    "one dimension": ("mxfp4", (64,), -1),
    "double scales": ("qlora", (4, 64), -1),
    "integers of 9 bits": ("int9/32/float32", (4, 64), -1),
    "integers with a tensor scale": ("int4/32/float32/tensor-scale", (4, 64), -1),
    "unsigned integers without zero points": ("uint4/32/float32", (4, 64), -1),
    "tiles of integers": ("int4/2x32/float32", (4, 64), -1),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_layout_is_refused(case: str) -> None:
    recipe, shape, axis = REFUSED[case]
    w = np.abs(weights(shape))
    with pytest.raises(ValueError, match="q must have a recipe that compressed-tensors stores"):
        compressed_tensors.tensors(NAME, mf.quantize(w, recipe, axis=axis))


READ = {
    "mxfp4": ("mxfp4-pack-quantized", {"num_bits": 4, "type": "float", "group_size": 32}),
    "nvfp4": ("nvfp4-pack-quantized", {"num_bits": 4, "type": "float", "group_size": 16}),
    "int4full/32/float32": ("pack-quantized", {"num_bits": 4, "group_size": 32}),
    "int3full/64/float32": ("pack-quantized", {"num_bits": 3, "group_size": 64}),
    "uint4/32/float32/zero-point": (
        "pack-quantized",
        {"num_bits": 4, "group_size": 32, "symmetric": False},
    ),
}


@pytest.mark.parametrize("recipe", READ)
def test_the_package_reads_what_is_written(tmp_path: Path, recipe: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("compressed_tensors")
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from safetensors.torch import load_file

    kind, args = READ[recipe]
    strategy = "tensor_group" if recipe == "nvfp4" else "group"
    settings = QuantizationArgs(strategy=strategy, **args)
    scheme = QuantizationScheme(targets=["Linear"], weights=settings)
    q = mf.quantize(weights((64, 192)), full(recipe))
    loaded = load_file(written(tmp_path, q) / "model.safetensors")
    parts = {name.removeprefix("l."): tensor for name, tensor in loaded.items()}
    got = BaseCompressor.get_value_from_registry(kind).decompress(parts, scheme)["weight"]
    expected = torch.from_numpy(q.dequantize())
    if recipe == "nvfp4":  # it computes in bfloat16
        np.testing.assert_allclose(got.to(torch.float32), expected, rtol=2**-7)
    else:
        np.testing.assert_array_equal(got.to(torch.float32), expected)
