"""Whisper's forward pass on a model of a few weights, against `transformers`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.models.layers import Array
from analysis.models.matrices import dense
from analysis.models.whisper import Whisper, attention
from tests.analysis.models import tiny_whisper

TOKENS = np.array(tiny_whisper.TOKENS)


@pytest.fixture(scope="module")
def model() -> Whisper:
    return tiny_whisper.model()


@pytest.fixture(scope="module")
def encoded(model: Whisper) -> Array:
    return model.encode(tiny_whisper.spectrogram())


def test_the_encoder_is_that_of_transformers(encoded: Array) -> None:
    assert encoded.shape == (6, tiny_whisper.WIDTH)
    assert encoded[::2] == pytest.approx(tiny_whisper.ENCODED, abs=5e-6)


def test_the_decoder_is_that_of_transformers(model: Whisper, encoded: Array) -> None:
    logits = model.logits(TOKENS, model.cache(encoded, len(TOKENS)))
    assert logits[[0, -1]] == pytest.approx(tiny_whisper.LOGITS, abs=5e-6)


@pytest.mark.parametrize("cuts", [[1, 2, 3, 4, 5], [4], [2, 3]])
def test_the_caches_change_nothing(model: Whisper, encoded: Array, cuts: list[int]) -> None:
    whole = model.logits(TOKENS, model.cache(encoded, len(TOKENS)))
    cache = model.cache(encoded, len(TOKENS))
    pieces = [model.logits(piece, cache) for piece in np.split(TOKENS, cuts)]
    assert np.concatenate(pieces) == pytest.approx(whole, abs=1e-6)
    assert cache.length == len(TOKENS)


def test_tokens_that_do_not_fit_the_cache_are_refused(model: Whisper, encoded: Array) -> None:
    cache = model.cache(encoded, 4)
    model.logits(TOKENS[:3], cache)
    with pytest.raises(ValueError, match=r"^tokens must be at most 1, the free part .*got 3"):
        model.logits(TOKENS[3:], cache)
    assert cache.length == 3


def test_attention_is_its_formula() -> None:
    rng = np.random.default_rng(71)
    queries, keys, values = rng.standard_normal((3, 2, 5, 4)).astype(np.float32)
    for causal, n in ((False, 5), (True, 5), (True, 2), (True, 1)):
        wanted = np.zeros((n, 2, 4))
        for head in range(2):
            for row, query in enumerate(queries[head, -n:]):
                seen = 5 - n + row + 1 if causal else 5
                weights = np.exp(keys[head, :seen].astype(np.float64) @ query / 2)
                wanted[row, head] = weights @ values[head, :seen] / weights.sum()
        found = attention(queries[:, -n:], keys, values, causal=causal)
        assert found == pytest.approx(wanted.reshape(n, 8), abs=1e-5)


def test_packed_matrices_give_what_their_values_give(model: Whisper) -> None:
    """All of them: convolutions and embeddings too."""
    packed = model.quantized("e2m2/4/float16")
    rounded = replace(packed, matrices={name: dense(m) for name, m in packed.matrices.items()})
    outputs = []
    for some in (packed, rounded):
        encoded = some.encode(tiny_whisper.spectrogram())
        outputs.append(some.logits(TOKENS, some.cache(encoded, len(TOKENS))))
    assert outputs[0] == pytest.approx(outputs[1], abs=1e-5)
    assert outputs[0] != pytest.approx(tiny_whisper.LOGITS[0], abs=1e-3)
    tensors = tiny_whisper.tensors()
    assert {name for name in tensors if name.endswith("weight")} == set(packed.matrices)
