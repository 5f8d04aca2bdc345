"""A second forward pass of Llama: float64, token by token, and rope on the halves of a head."""

from __future__ import annotations

import math

import numpy as np

from analysis.models.llama import Llama
from analysis.models.matrices import dense


def unpermuted(w: np.ndarray, heads: int) -> np.ndarray:
    """Undo the order that llama.cpp's converter gives the rows of Q and K."""
    rows, inputs = w.shape
    return w.reshape(heads, rows // heads // 2, 2, inputs).swapaxes(1, 2).reshape(rows, inputs)


def slow_logits(
    model: Llama,
    tokens: np.ndarray,
    *,
    half_rope: bool = True,
    base: float | None = None,
    causal: bool = True,
    own_heads: bool = True,
) -> np.ndarray:
    """Logits in float64; the keywords plant mistakes."""
    shape, length = model.shape, model.head_length
    base = base or shape.rope_base
    w = {name: dense(m).astype(np.float64) for name, m in model.matrices.items()}
    g = {name: gain.astype(np.float64) for name, gain in model.vectors.items()}

    def norm(v: np.ndarray, name: str) -> np.ndarray:
        return v / math.sqrt(sum(v**2) / len(v) + shape.epsilon) * g[name]

    def turn(v: np.ndarray, place: int) -> np.ndarray:
        half = length // 2
        out = v.copy()
        for i in range(half):
            angle = place / base ** (2 * i / length)
            out[i] = v[i] * math.cos(angle) - v[half + i] * math.sin(angle)
            out[half + i] = v[half + i] * math.cos(angle) + v[i] * math.sin(angle)
        return out

    xs = [w["token_embd.weight"][token] for token in tokens]
    for layer in range(shape.layers):

        def named(part: str, layer: int = layer) -> str:
            return f"blk.{layer}.{part}.weight"

        wq, wk = w[named("attn_q")], w[named("attn_k")]
        if half_rope:
            wq, wk = unpermuted(wq, shape.heads), unpermuted(wk, shape.kv_heads)
        queries, keys, values = [], [], []
        for place, x in enumerate(xs):
            n = norm(x, named("attn_norm"))
            queries.append([turn(q, place) for q in np.split(wq @ n, shape.heads)])
            keys.append([turn(k, place) for k in np.split(wk @ n, shape.kv_heads)])
            values.append(np.split(w[named("attn_v")] @ n, shape.kv_heads))
        after = []
        for place, x in enumerate(xs):
            seen = range(place + 1) if causal else range(len(xs))
            heads = []
            for head in range(shape.heads):
                kv = head * shape.kv_heads // shape.heads if own_heads else head % shape.kv_heads
                weights = np.array(
                    [math.exp(queries[place][head] @ keys[s][kv] / math.sqrt(length)) for s in seen]
                )
                weights /= weights.sum()
                heads.append(sum(p * values[s][kv] for p, s in zip(weights, seen, strict=True)))
            x = x + w[named("attn_output")] @ np.concatenate(heads)
            m = norm(x, named("ffn_norm"))
            gate = w[named("ffn_gate")] @ m
            inner = gate / (1 + np.exp(-gate)) * (w[named("ffn_up")] @ m)
            after.append(x + w[named("ffn_down")] @ inner)
        xs = after
    return np.array([w["token_embd.weight"] @ norm(x, "output_norm.weight") for x in xs])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
