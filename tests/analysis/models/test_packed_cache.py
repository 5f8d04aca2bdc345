"""A small Llama with packed caches, against its own cache."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.models.layers import Array
from analysis.models.llama import Llama
from analysis.models.packed_cache import PackedCache
from minifloat.caches import CacheRecipe
from tests.analysis.conftest import WORDS
from tests.analysis.models.half_cache import HalfCache
from tests.analysis.models.slow_llama import distance

TOKENS = np.random.default_rng(60).integers(0, WORDS, (3, 24))


def own(model: Llama, tokens: np.ndarray) -> Array:
    return model.logits(tokens, HalfCache.of(model, len(tokens)))


def test_a_wide_window_is_the_models_own_cache_bit_for_bit(llama: Llama) -> None:
    recipe = CacheRecipe("int2/4/float16", "int2/4/float16", step=24)
    for tokens in TOKENS:
        packed = llama.logits(tokens, PackedCache(llama, recipe, len(tokens)))
        assert (packed == own(llama, tokens)).all()


def test_texts_side_by_side_are_texts_one_by_one(llama: Llama) -> None:
    recipe = CacheRecipe("int4/4/float16", "int4/4/float16", step=4, window=3, heavy=2)
    together = PackedCache(llama, recipe, 24, texts=3)
    outputs = []
    for start in range(0, 24, 4):
        x = llama.embed(TOKENS[:, start : start + 4].reshape(-1))
        for layer in range(llama.shape.layers):
            x = llama.layer(layer, x, together)
        together.length += 4
        outputs.append(llama.project(x).reshape(3, 4, -1))
    for tokens, logits in zip(TOKENS, np.concatenate(outputs, axis=1), strict=True):
        one = PackedCache(llama, recipe, 24)
        assert distance(llama.logits(tokens, one), logits) < 1e-5
        assert distance(own(llama, tokens), logits) > 1e-3
        together.pack(), one.pack()
        assert one.bits_per_value == pytest.approx(together.bits_per_value)


def test_a_full_cache_is_refused(llama: Llama) -> None:
    cache = PackedCache(llama, CacheRecipe("int4", "int4"), 5)
    llama.logits(TOKENS[0, :3], cache)
    with pytest.raises(ValueError, match="must be at most 2, the free part of the cache, got 3"):
        llama.logits(TOKENS[0, :3], cache)
