"""SmolLM2 against a second forward pass, and by GPTQ; skipped where its package is missing."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from analysis.models import calibration, command, smollm2
from analysis.models.llama import MATRICES, Llama
from analysis.models.matrices import dense
from analysis.models.texts import TEXTS, bible
from tests.analysis.models.slow_llama import distance, slow_logits

Capture = pytest.CaptureFixture[str]
VERSE = "In the beginning God created the heaven and the earth."


@pytest.mark.long
def test_the_tokenizer_gives_back_texts_and_keeps_digits_apart(words: Any) -> None:
    assert words.encode("Hello, world! 2024").tokens == [
        "Hello", ",", "Ġworld", "!", "Ġ", "2", "0", "2", "4",
    ]  # fmt: skip
    for read in TEXTS.values():
        text = read()[:200_000]
        assert words.decode(words.encode(text).ids) == text
    assert words.encode("<|im_start|>").ids == [1]


@pytest.mark.long
def test_smollm2_is_that_of_a_second_forward_pass(smol: Llama, words: Any) -> None:
    tokens = np.array(words.encode(VERSE).ids)
    exact = slow_logits(smol, tokens)
    assert distance(smol.logits(tokens), exact) < 1e-4
    for mistake in ({"half_rope": False}, {"base": 1e4}, {"own_heads": False}):
        wrong = slow_logits(smol, tokens, **mistake)  # type: ignore[arg-type]
        assert distance(wrong, exact) > 0.01, mistake


@pytest.mark.long
def test_a_cache_of_smollm2_changes_nothing(smol: Llama, words: Any) -> None:
    tokens = np.array(words.encode(bible()[:1000]).ids)
    cache = smol.cache(len(tokens))
    pieces = [tokens[:100], *tokens[100:120, None], tokens[120:]]
    logits = np.concatenate([smol.logits(piece, cache) for piece in pieces])
    assert distance(logits, smol.logits(tokens)) < 1e-4


@pytest.mark.long
def test_smollm2_knows_english(smol: Llama, words: Any) -> None:
    tokens = np.array(words.encode(bible()[:2000]).ids)
    assert smollm2.nats(smol, tokens) < np.log(12)
    assert smollm2.nats(smol, np.random.default_rng(61).permutation(tokens)) > np.log(100)
    text = "".join(smollm2.generate(smol, words, "The capital of France is", 3))
    assert text.startswith(" Paris.")


@pytest.mark.long
def test_a_packed_smollm2_generates(
    skip_without: Callable[[ModuleType], None], capsys: Capture
) -> None:
    skip_without(smollm2)
    question = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    assert command.main(["generate", question, "--recipe", "e2m2", "--tokens", "16"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(question)
    assert "Paris" in out.removeprefix(question)
    assert "tokens/s" in err
    assert command.main(["generate", "", "--tokens", "1"]) == 2
    assert command.main(["generate", "Once", "--tokens", "0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "prompt must not be empty" in err
    assert "count must be at least 1, got 0" in err


@pytest.mark.long
def test_texts_to_calibrate_on_are_not_evaluated(smol: Llama, words: Any) -> None:
    tokens = np.arange(len(words.encode(TEXTS["King James Bible"]()).ids))
    evaluated, calibrating = smollm2.chunks(tokens)
    assert evaluated.shape == calibrating.shape == (smollm2.CHUNKS, smollm2.CHUNK)
    assert not np.intersect1d(evaluated, calibrating).size
    with pytest.raises(ValueError, match="tokens must be at least"):
        smollm2.chunks(tokens[:5000])


def output_error(w: np.ndarray, packed: mf.Quantized, hessian: np.ndarray) -> float:
    """Squared error of the outputs for inputs of that Hessian, in float64."""
    d = packed.dequantize() - w.astype(np.float64)
    return float(np.sum(d @ hessian * d))


@pytest.mark.long
@pytest.mark.parametrize("fmt", ["e2m2", "int4"])
def test_gptq_lowers_the_output_error_of_every_matrix(smol: Llama, words: Any, fmt: str) -> None:
    """In all layers: always on the calibration text, nearly always on other text.

    The exceptions are matrices of 1536 inputs, for which this text is too short.
    """
    parts = [smollm2.chunks(np.array(words.encode(read()).ids)) for read in TEXTS.values()]
    unseen, seen = (
        [smol.embed(tokens) for pair in parts for tokens in pair[kind][::step]]
        for kind, step in ((0, 4), (1, 2))
    )
    ratios = []
    for layer in range(smol.shape.layers):
        new_hessians = calibration.hessians(smol, layer, unseen)
        hessians = calibration.hessians(smol, layer, seen)
        assert len(hessians) == len(MATRICES)
        for name, hessian in hessians.items():
            w = dense(smol.matrices[name])
            rounded, by_gptq = mf.quantize(w, fmt), mf.gptq(w, fmt, hessian)
            assert output_error(w, by_gptq, hessian) < 0.7 * output_error(w, rounded, hessian), name
            new = new_hessians[name]
            ratios.append(output_error(w, by_gptq, new) / output_error(w, rounded, new))
        seen, unseen = (
            [smol.layer(layer, x, smol.cache(len(x))) for x in inputs] for inputs in (seen, unseen)
        )
    assert np.median(ratios) < 0.6
    assert np.mean(np.array(ratios) < 1) > 0.95
