"""What `convert` writes is what the packages that own the layouts pack, byte for byte.

AutoGPTQ and AutoAWQ do not import beside a new transformers. The modules that pack are imported
from their installed files without the `__init__` of the packages around them; nothing of what they
import is replaced. GPTQModel and ModelOpt are imported as they are.
"""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from tests.conversion.models import LAYER, converted, numbers

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

ALONE = "pip install --no-deps auto-gptq autoawq; pip install transformers accelerate"
WHOLE = "pip install gptqmodel nvidia-modelopt"
INTEGERS = ("uint{}/32/float16/zero-point", "int{}/64/float16", "int{}full/channel/float16")
GPTQ = [(recipe, bits) for recipe in INTEGERS for bits in (2, 3, 4, 8)]


def files_of(distribution: str, install: str) -> dict[str, Path]:
    """Return where the files of an installed package are, or skip the test."""
    try:
        files = metadata.files(distribution)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed; {install}")
    assert files is not None
    return {str(file): Path(str(file.locate())) for file in files}


def imported(distribution: str, name: str) -> Any:
    """Import a module as everybody does."""
    files_of(distribution, WHOLE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


@functools.cache
def module_alone(distribution: str, name: str) -> Any:
    """Import a module without running the `__init__` of the packages that it is in."""
    parts = name.split(".")
    file = files_of(distribution, ALONE)["/".join(parts) + ".py"]
    before = set(sys.modules)
    for depth in range(1, len(parts)):
        package = ModuleType(".".join(parts[:depth]))
        package.__path__ = [str(file.parents[len(parts) - 1 - depth])]
        sys.modules[package.__name__] = package
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    finally:
        for added in set(sys.modules) - before:
            if added.split(".")[0] == parts[0]:
                del sys.modules[added]


def written(folder: Path) -> dict[str, Any]:
    """Return the tensors of the layer, by the last part of their names."""
    every = safetensors.load_file(folder / "model.safetensors")
    stem = LAYER.removesuffix("weight")
    kept = {name.removeprefix(stem): held for name, held in every.items() if stem in name}
    del kept["bias"]
    return kept


def check_equal(got: Any, expected: Any) -> None:
    """Check types, shapes and bytes."""
    expected = expected.cpu()
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    assert got.numpy().tobytes() == expected.numpy().tobytes()


def linear(weights: Any) -> Any:
    """Return a layer with weights in float16, as quantizers of checkpoints have it."""
    made = torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    made.weight.data = torch.from_numpy(weights).half()
    return made


def scales_and_zeros(q: mf.Quantized) -> tuple[Any, Any]:
    """Return both in float32, outputs first; symmetric codes have the zero point in the middle."""
    zeros = np.full(q.scales.shape, 1 << q.fmt.bits - 1) if q.zero_points is None else q.zero_points
    return torch.from_numpy(q.scales.copy()).float(), torch.from_numpy(zeros.copy()).float()


def group_size(q: mf.Quantized) -> int:
    return int(q.shape[1] // q.scales.shape[1])


@pytest.mark.parametrize("kernel", ["qlinear_cuda_old", "qlinear_cuda"])
@pytest.mark.parametrize(("recipe", "bits"), GPTQ)
def test_gptq_by_auto_gptq(tmp_path: Path, recipe: str, bits: int, kernel: str) -> None:
    theirs = module_alone("auto-gptq", f"auto_gptq.nn_modules.qlinear.{kernel}")
    folder, q = converted(tmp_path, recipe.format(bits), "gptq")
    layer = theirs.QuantLinear(bits, group_size(q), q.shape[1], q.shape[0], bias=False)
    layer.pack(linear(q.dequantize()), *scales_and_zeros(q), g_idx=layer.g_idx)
    got = written(folder)
    assert got.keys() == {"qweight", "qzeros", "scales", "g_idx"}
    for name, held in got.items():
        check_equal(held, getattr(layer, name))


@pytest.mark.parametrize(("recipe", "bits"), GPTQ)
def test_gptq_by_gptqmodel(tmp_path: Path, recipe: str, bits: int) -> None:
    """It packs version 2, and turns each version into the other."""
    theirs = imported("gptqmodel", "gptqmodel.nn_modules.qlinear.torch").TorchLinear
    change = imported("gptqmodel", "gptqmodel.utils.model")
    package = imported("gptqmodel", "gptqmodel")
    settings = package.QuantizeConfig(bits=bits, offload_to_disk=False)
    old, q = converted(tmp_path / "1", recipe.format(bits), "gptq")
    new, _ = converted(tmp_path / "2", recipe.format(bits), "gptq_v2")
    version_1, version_2 = written(old), written(new)
    assert version_1.keys() == version_2.keys() == {"qweight", "qzeros", "scales", "g_idx"}

    symmetric = q.zero_points is None
    layer = theirs(bits, group_size(q), symmetric, False, q.shape[1], q.shape[0])
    layer.pack_original(linear(q.dequantize()), *scales_and_zeros(q))
    for name, held in version_2.items():
        check_equal(held, getattr(layer, name))
    change.convert_gptq_v2_to_v1_format_module(layer, settings)
    for name, held in version_1.items():
        check_equal(held, getattr(layer, name))
    layer.qzeros.data = version_1["qzeros"].clone()
    change.convert_gptq_v1_to_v2_format_module(layer, bits, torch.int32)
    check_equal(version_2["qzeros"], layer.qzeros)


@pytest.mark.parametrize(
    "recipe", ["uint4/32/float16/zero-point", "int4/64/float16", "int4full/channel/float16"]
)
def test_awq_by_autoawq(tmp_path: Path, recipe: str) -> None:
    theirs = module_alone("autoawq", "awq.modules.linear.gemm").WQLinear_GEMM
    folder, q = converted(tmp_path, recipe, "awq")
    scales, zeros = (part.t().contiguous() for part in scales_and_zeros(q))
    given = linear(q.dequantize())
    layer = theirs.from_linear(given, 4, group_size(q), scales=scales, zeros=zeros)
    got = written(folder)
    assert got.keys() == {"qweight", "qzeros", "scales"}
    for name, held in got.items():
        check_equal(held, getattr(layer, name))


def nvfp4() -> Any:
    module = "modelopt.torch.quantization.qtensor.nvfp4_tensor"
    return imported("nvidia-modelopt", module).NVFP4QTensor


def blocks_of_all_sizes() -> Any:
    """Return float32 weights without ties, with blocks down to scales below E4M3's smallest."""
    rng = np.random.default_rng(3)
    powers = 2.0 ** rng.integers(-24, 1, (64, 8)).repeat(16, axis=1)
    return (rng.standard_normal((64, 128)) * powers).astype(np.float32)


def test_nvfp4_by_modelopt(tmp_path: Path) -> None:
    """All three tensors are theirs, from the weights alone."""
    w = blocks_of_all_sizes()
    folder, q = converted(tmp_path, "nvfp4", "modelopt", w)
    assert q.scales.min() == 2.0**-9
    packed, scale, scale_2 = nvfp4().quantize(torch.from_numpy(w), 16)
    got = written(folder)
    assert got.keys() == {"weight", "weight_scale", "weight_scale_2"}
    check_equal(got["weight"], packed._quantized_data)
    check_equal(got["weight_scale"].view(torch.uint8), scale.view(torch.uint8))
    check_equal(got["weight_scale_2"], scale_2)


def test_nvfp4_next_to_ties(tmp_path: Path) -> None:
    """Their scales are ours; a code may be another where the quotient is next to a tie.

    ModelOpt rounds scale * scale_2 to float32, and the quotient too, and so now and then meets a
    tie that the weight is not on. Ours is the code of the exact quotient. Two roundings of
    2**-24 are the furthest that a quotient can be from the tie.
    """
    w = numbers((64, 512))  # of bfloat16, with few digits
    folder, q = converted(tmp_path, "nvfp4", "modelopt", w)
    packed, scale, scale_2 = nvfp4().quantize(torch.from_numpy(w.copy()), 16)
    got = written(folder)
    check_equal(got["weight_scale"].view(torch.uint8), scale.view(torch.uint8))
    check_equal(got["weight_scale_2"], scale_2)

    ours, theirs = (
        np.stack([each.numpy() & 15, each.numpy() >> 4], axis=-1).reshape(w.shape)
        for each in (got["weight"], packed._quantized_data)
    )
    differ = ours != theirs
    assert 0 < differ.mean() < 0.01
    scales = q.scales.astype(np.float64) * float(got["weight_scale_2"])
    exact = w.astype(np.float64) / scales.repeat(16, axis=1)
    values = [np.asarray(mf.decode(codes[differ], "e2m1"), np.float64) for codes in (ours, theirs)]
    ties = (values[0] + values[1]) / 2
    assert (np.abs(exact[differ] / ties - 1) < 2.1 * 2.0**-24).all()
    nearer = np.abs(exact[differ] - values[0]) < np.abs(exact[differ] - values[1])
    assert nearer.all()


def test_nvfp4_of_zeros(tmp_path: Path) -> None:
    """A block of zeros has the scale 0 here and 1 there, -0.0 the codes 8 and 0; all mean 0."""
    w = blocks_of_all_sizes()
    w[:, :32] = 0
    w[:, 16:40] = -0.0
    folder, _ = converted(tmp_path, "nvfp4", "modelopt", w)
    packed, scale, scale_2 = nvfp4().quantize(torch.from_numpy(w.copy()), 16)
    got = written(folder)
    scales = got["weight_scale"].float()
    assert (scales[:, :2] == 0).all()
    assert (scale[:, :2].float() == 1).all()
    assert torch.equal(scales[:, 2:], scale[:, 2:].float())
    check_equal(got["weight_scale_2"], scale_2)

    assert (got["weight"][:, :8] == 0).all()
    assert (got["weight"][:, 8:20] == 0x88).all()
    assert (packed._quantized_data[:, :20] == 0).all()
    check_equal(got["weight"][:, 20:].contiguous(), packed._quantized_data[:, 20:].contiguous())
