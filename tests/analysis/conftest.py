"""A small Llama with random weights."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.models.llama import Llama, Shape

WIDTH, HEAD, INNER, WORDS = 16, 4, 24, 30


@pytest.fixture(scope="session")
def llama() -> Llama:
    shape = Shape(layers=2, heads=4, kv_heads=2, rope_base=100.0, epsilon=1e-5)
    draw = np.random.default_rng(5)
    sizes = {
        "attn_q": (WIDTH, WIDTH), "attn_k": (2 * HEAD, WIDTH), "attn_v": (2 * HEAD, WIDTH),
        "attn_output": (WIDTH, WIDTH), "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH),
        "ffn_down": (WIDTH, INNER),
    }  # fmt: skip
    matrices = {"token_embd.weight": draw.normal(size=(WORDS, WIDTH))}
    gains = {"output_norm.weight": draw.uniform(0.5, 2, WIDTH)}
    for layer in range(shape.layers):
        for name, size in sizes.items():
            matrices[f"blk.{layer}.{name}.weight"] = draw.normal(size=size, scale=0.5)
        for name in ("attn_norm", "ffn_norm"):
            gains[f"blk.{layer}.{name}.weight"] = draw.uniform(0.5, 2, WIDTH)
    return Llama(
        shape=shape,
        matrices={name: m.astype(np.float32) for name, m in matrices.items()},
        vectors={name: v.astype(np.float32) for name, v in gains.items()},
    )
