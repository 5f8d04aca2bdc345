"""gpt-oss of transformers reads its experts as they were converted."""

from __future__ import annotations

from pathlib import Path

import pytest

from minifloat.conversion import convert
from minifloat.files.checkpoints import open_checkpoint

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def test_transformers_dequantizes_the_experts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.GptOssConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        vocab_size=64,
        dtype="bfloat16",
    )
    model = transformers.GptOssForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "source")
    result = convert(tmp_path / "source", tmp_path / "new", "mxfp4", layout="gpt-oss")
    assert len(result.errors.tensors) == 4
    how = transformers.Mxfp4Config(dequantize=True)
    kind = transformers.AutoModelForCausalLM
    theirs = kind.from_pretrained(
        tmp_path / "new", quantization_config=how, dtype=torch.bfloat16
    ).eval()
    ours = kind.from_pretrained(tmp_path / "source", dtype=torch.bfloat16).eval()
    checkpoint = open_checkpoint(tmp_path / "new")
    with torch.no_grad():
        for name, weight in ours.named_parameters():
            weight.copy_(torch.from_numpy(checkpoint.dequantize(name)))
            assert torch.equal(theirs.get_parameter(name), weight), name
        ids = torch.tensor([[1, 5, 9, 3]])
        assert torch.equal(theirs(ids).logits, ours(ids).logits)
