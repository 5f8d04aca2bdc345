"""Models that transformers and compressed-tensors load compute with our dequantized weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minifloat.conversion import convert
from minifloat.files.checkpoints import Checkpoint, open_checkpoint

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("compressed_tensors")

EXACT = [
    *("mxfp4", "int4/64/float32", "int4/channel/bfloat16", "uint4/64/float32/zero-point"),
    *("int3/64/float32", "e4m3fn/channel/float32", "e4m3fn/tensor/float32", "deepseek_fp8"),
]
TOKENS = [[1, 5, 9, 200, 17, 3]]
NVFP4_ROUNDS = 2**-7  # the reader computes value * (scale / global) in bfloat16, two roundings


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


def loaded(folder: Path, **options: Any) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, **options
    )
    return model.eval()


def logits(model: Any) -> Any:
    with torch.no_grad():
        return model(torch.tensor(TOKENS)).logits.to(torch.float32).numpy()


def with_weights(source: Path, checkpoint: Checkpoint) -> Any:
    """Return the model of the source with the weights of a checkpoint, dequantized."""
    model = loaded(source)
    weights = {name: torch.from_numpy(checkpoint.dequantize(name)) for name in checkpoint}
    assert weights.keys() == model.state_dict().keys()
    model.load_state_dict(weights)
    return model


@pytest.mark.parametrize("recipe", EXACT)
def test_logits_are_those_of_our_weights(tmp_path: Path, source: Path, recipe: str) -> None:
    convert(source, tmp_path / "new", recipe)
    checkpoint = open_checkpoint(tmp_path / "new")
    assert sum(about.layout != "" for about in checkpoint.descriptions) == 14
    ours, theirs = with_weights(source, checkpoint), loaded(tmp_path / "new")
    expected = logits(ours)
    np.testing.assert_array_equal(logits(theirs), expected)
    assert np.abs(expected - logits(loaded(source))).max() > 1e-4
