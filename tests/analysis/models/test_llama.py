"""The forward pass of a small Llama against a second one, its cache, and GPTQ."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import minifloat as mf
from analysis.models import calibration, smollm2
from analysis.models.joined_llama import joined
from analysis.models.llama import ATTENTION, GATED, MATRICES, Llama, Shape
from analysis.models.settings import Setting
from tests.analysis.models.slow_llama import distance, slow_logits

SHAPE = Shape(layers=2, heads=4, kv_heads=2, rope_base=100.0, epsilon=1e-5)
WIDTH, INNER, WORDS = 32, 48, 40


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def llama() -> Llama:
    """A model of random weights, sharp enough that its attention is far from uniform."""
    head = WIDTH // SHAPE.heads
    sizes = dict(zip(MATRICES, ((WIDTH, WIDTH), (head * 2, WIDTH), (head * 2, WIDTH),
                                (WIDTH, WIDTH), (INNER, WIDTH), (INNER, WIDTH), (WIDTH, INNER)),
                     strict=True))  # fmt: skip
    draw = rng(50)
    matrices = {"token_embd.weight": draw.normal(size=(WORDS, WIDTH)).astype(np.float32)}
    gains = {"output_norm.weight": draw.uniform(0.5, 2, WIDTH).astype(np.float32)}
    for layer in range(SHAPE.layers):
        for name, size in sizes.items():
            matrices[f"blk.{layer}.{name}.weight"] = draw.normal(size=size, scale=0.4).astype(
                np.float32
            )
        for name in ("attn_norm", "ffn_norm"):
            gains[f"blk.{layer}.{name}.weight"] = draw.uniform(0.5, 2, WIDTH).astype(np.float32)
    return Llama(shape=SHAPE, matrices=matrices, vectors=gains)


TOKENS = rng(51).integers(0, WORDS, 17)


def test_the_forward_pass_is_that_of_a_second_one(llama: Llama) -> None:
    assert distance(llama.logits(TOKENS), slow_logits(llama, TOKENS)) < 1e-5


@pytest.mark.parametrize(
    "mistake",
    [{"half_rope": False}, {"base": 99.0}, {"causal": False}, {"own_heads": False}],
    ids=str,
)
def test_the_second_forward_pass_sees_mistakes(llama: Llama, mistake: dict[str, float]) -> None:
    wrong = slow_logits(llama, TOKENS, **mistake)  # type: ignore[arg-type]
    assert distance(llama.logits(TOKENS), wrong) > 1e-3


@pytest.mark.parametrize("fmt", ["e2m2", "int5", "nf4"])
def test_packed_matrices_give_what_their_values_give(llama: Llama, fmt: str) -> None:
    packed = llama.quantized(fmt)
    assert all(isinstance(matrix, mf.Quantized) for matrix in packed.matrices.values())
    assert distance(packed.logits(TOKENS), slow_logits(packed, TOKENS)) < 1e-5
    assert distance(packed.logits(TOKENS), llama.logits(TOKENS)) > 1e-3


@pytest.mark.parametrize("pieces", [(17,), (1,) * 17, (5, 1, 11)], ids=str)
def test_a_cache_changes_nothing(llama: Llama, pieces: tuple[int, ...]) -> None:
    cache = llama.cache(len(TOKENS))
    parts = np.split(TOKENS, np.cumsum(pieces)[:-1])
    logits = np.concatenate([llama.logits(part, cache) for part in parts])
    assert distance(logits, llama.logits(TOKENS)) < 1e-5


@pytest.mark.parametrize("recipe", [None, "e2m2/16/float16", "int5/channel/float16"])
def test_joined_matrices_change_nothing(llama: Llama, recipe: str | None) -> None:
    tokens = rng(2).integers(0, WORDS, 12)
    both = (llama, joined(llama))
    assert both[1].head_length == llama.head_length
    assert len(both[1].matrices) == len(llama.matrices) - 3 * SHAPE.layers
    one, other = both if recipe is None else (model.quantized(recipe) for model in both)
    assert one.storage == other.storage
    cache = other.cache(len(tokens))
    pieces = np.concatenate([other.logits(piece, cache) for piece in np.split(tokens, [7, 8])])
    np.testing.assert_allclose(pieces, one.logits(tokens), rtol=1e-4, atol=1e-4)
    for index, names in ((0, ATTENTION), (1, GATED), (1, ("ffn_down",))):
        x = rng(3).normal(size=(1, INNER if names == ("ffn_down",) else WIDTH)).astype(np.float32)
        for y, want in zip(other.products(index, names, x), one.products(index, names, x),
                           strict=True):  # fmt: skip
            if recipe is not None:
                assert np.array_equal(y, want)
            np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)


def test_a_long_text_is_read_in_pieces(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = llama.logits(TOKENS)
    monkeypatch.setattr("analysis.models.llama.PREFILL", 5)
    sizes: list[int] = []
    embed = Llama.embed
    monkeypatch.setattr(
        Llama, "embed", lambda self, tokens: sizes.append(len(tokens)) or embed(self, tokens)
    )
    assert distance(llama.logits(TOKENS), whole) < 1e-5
    assert sizes == [5, 5, 5, 2]


def test_a_full_cache_is_refused(llama: Llama) -> None:
    cache = llama.cache(5)
    llama.logits(TOKENS[:3], cache)
    with pytest.raises(ValueError, match="must be at most 2, the free part of the cache, got 3"):
        llama.logits(TOKENS[:3], cache)
    assert cache.length == 3


def test_nats_are_those_of_the_logits(llama: Llama) -> None:
    logits = slow_logits(llama, TOKENS)
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    wanted = -np.mean([math.log(shares[i, TOKENS[i + 1]]) for i in range(len(TOKENS) - 1)])
    assert smollm2.nats(llama, TOKENS) == pytest.approx(wanted, rel=1e-5, abs=0)
    with pytest.raises(ValueError, match="tokens must be at least two"):
        smollm2.nats(llama, TOKENS[:1])


class Bytes:
    """A tokenizer whose tokens are bytes of two-byte characters: even ones begin one."""

    def encode(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(ids=[ord(character) % WORDS for character in text])

    def decode(self, tokens: list[int]) -> str:
        return bytes(0xA0 + t // 2 if t % 2 else 0xC3 for t in tokens).decode(errors="replace")


@pytest.mark.parametrize("prompt", ["bc", "hello", "a longer prompt"])
def test_generation_takes_the_likeliest_and_yields_whole_characters(
    llama: Llama, prompt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smollm2, "END", -1)
    words = Bytes()
    tokens = words.encode(prompt).ids
    for _ in range(12):
        tokens.append(int(slow_logits(llama, np.array(tokens))[-1].argmax()))
    generated = tokens[len(prompt) :]
    pieces = list(smollm2.generate(llama, words, prompt, 12))
    assert "".join(pieces) == words.decode(generated)
    assert len(set(generated)) > 1, generated
    monkeypatch.setattr(smollm2, "END", generated[3])
    ended = generated[: generated.index(generated[3])]
    assert "".join(smollm2.generate(llama, words, prompt, 12)) == words.decode(ended)


def test_smollm2_is_evaluated_in_all_formats(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the small model in its place."""
    monkeypatch.setattr(smollm2, "load", lambda: llama)
    monkeypatch.setattr(smollm2, "tokenizer", Bytes)
    monkeypatch.setattr(smollm2, "TEXTS", {name: lambda: "a text " * 60 for name in ("one", "two")})
    monkeypatch.setattr(smollm2, "CHUNKS", 3)
    monkeypatch.setattr(smollm2, "CHUNK", 32)
    calls: list[tuple[int, int]] = []
    results = smollm2.evaluate(
        ["nf4", "int4"], progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(done, 30) for done in range(1, 31)]
    labels = ("fp32", "nf4/64/float32", "int4/128/float16", "int4/128/float16 + GPTQ")
    assert [(r.label, r.data) for r in results] == [(f, d) for f in labels for d in ("one", "two")]
    assert [r.packed for r in results[::2]] == [False, True, True, True]
    assert results[4].nbytes == results[6].nbytes < results[0].nbytes / 5
    assert all(len(r.items) == 3 and r.note.startswith("perplexity ") for r in results)
    setting = Setting(activations="int8/channel/float32")
    special = smollm2.evaluate(["int4"], setting=setting, chunks_of_each=2)
    name = "activations int8/channel/float32"
    labels = ("fp32", f"fp32 + {name}", f"int4/128/float16 + {name}")
    assert [r.label for r in special[::2]] == list(labels)
    assert special[0].items == results[0].items[:2] != special[2].items
    tokens = np.array(Bytes().encode("a text " * 60).ids)[:32]
    assert results[0].items[0] == pytest.approx(smollm2.nats(llama, tokens), rel=1e-9, abs=0)


def test_hessians_are_those_of_the_inputs(llama: Llama) -> None:
    x = rng(53).normal(size=(6, WIDTH)).astype(np.float32)
    found = calibration.hessians(llama, 1, [x[:4], x[4:]])
    assert list(found) == [f"blk.1.{name}.weight" for name in MATRICES]
    n = x / np.sqrt(np.mean(x.astype(np.float64) ** 2, -1, keepdims=True) + SHAPE.epsilon)
    n *= llama.vectors["blk.1.attn_norm.weight"]
    assert distance(found["blk.1.attn_k.weight"], n.T @ n) < 1e-5


def test_gptq_of_the_first_layers_leaves_the_rest(llama: Llama) -> None:
    chunks = rng(54).integers(0, WORDS, (8, 24))
    whole = calibration.gptq(llama, "int4", chunks)
    first = calibration.gptq(llama, "int4", chunks, layers=1)
    for name, matrix in first.matrices.items():
        if name.startswith("blk.0."):
            assert isinstance(matrix, mf.Quantized)
            assert matrix.shape == whole.matrices[name].shape
        else:
            assert matrix is llama.matrices[name]


@pytest.mark.parametrize("fmt", ["e2m2", "int4"])
def test_gptq_brings_a_model_nearer_than_rounding(llama: Llama, fmt: str) -> None:
    chunks = rng(54).integers(0, WORDS, (8, 24))
    steps: list[None] = []
    by_gptq = calibration.gptq(llama, fmt, chunks, lambda: steps.append(None))
    assert len(steps) == SHAPE.layers
    assert all(isinstance(matrix, mf.Quantized) for matrix in by_gptq.matrices.values())
    exact = llama.logits(TOKENS)
    rounded = llama.quantized(fmt).logits(TOKENS)
    assert distance(by_gptq.logits(TOKENS), exact) < distance(rounded, exact)
