"""Models that transformers and compressed-tensors load compute with our dequantized weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minifloat.conversion import convert
from minifloat.files.checkpoints import open_checkpoint
from tests.conversion.package_arithmetic import as_package_computes

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("compressed_tensors")

RECIPES = [
    *("int4/64/float32", "int4/channel/bfloat16", "int3/64/float32"),
    *("e4m3fn/channel/float32", "e4m3fn/tensor/float32", "deepseek_fp8"),
    *("nvfp4", "mxfp4", "mxfp6e2m3", "mxfp8e4m3"),  # which the package turns into bfloat16
]
TOKENS = [[1, 5, 9, 200, 17, 3]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Llama of two layers in several shards, of random weights."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=256,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=256,
        tie_word_embeddings=False,
    )
    folder = tmp_path_factory.mktemp("llama")
    transformers.LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="2MB")
    assert (folder / "model.safetensors.index.json").exists()
    return folder


def loaded(folder: Path, dtype: Any) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def logits(model: Any) -> Any:
    with torch.no_grad():
        return model(torch.tensor(TOKENS)).logits.to(torch.float32).numpy()


def with_weights(source: Path, new: Path, dtype: Any) -> Any:
    """Return the model of the source with the weights of a checkpoint, dequantized."""
    model = loaded(source, dtype)
    weights = {name: torch.from_numpy(w) for name, w in as_package_computes(new).items()}
    assert weights.keys() == model.state_dict().keys()
    model.load_state_dict(weights)  # rounds to the dtype
    return model


@pytest.mark.parametrize("recipe", RECIPES)
def test_logits_are_those_of_our_weights(tmp_path: Path, source: Path, recipe: str) -> None:
    """Exactly: the same weights after rounding to the dtype, and so the same logits."""
    dtype = torch.bfloat16 if "fp" in recipe and recipe != "deepseek_fp8" else torch.float32
    convert(source, tmp_path / "new", recipe)
    checkpoint = open_checkpoint(tmp_path / "new")
    assert sum(about.layout != "" for about in checkpoint.descriptions) == 14
    ours, theirs = with_weights(source, tmp_path / "new", dtype), loaded(tmp_path / "new", dtype)
    expected = logits(ours)
    np.testing.assert_array_equal(logits(theirs), expected)
    for name, weight in ours.named_parameters():
        assert torch.equal(theirs.get_parameter(name), weight)
    assert np.abs(expected - logits(loaded(source, dtype))).max() > 1e-3


def test_layers_that_are_left_out_stay_as_they_are(tmp_path: Path, source: Path) -> None:
    layer = "model.layers.0.self_attn.q_proj.weight"
    convert(source, tmp_path / "new", "int4/64/float32", exclude=[layer])
    theirs = loaded(tmp_path / "new", torch.float32)
    plain = loaded(source, torch.float32)
    assert torch.equal(theirs.get_parameter(layer), plain.get_parameter(layer))
    expected = with_weights(source, tmp_path / "new", torch.float32)
    np.testing.assert_array_equal(logits(theirs), logits(expected))
