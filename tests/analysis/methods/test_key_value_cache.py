"""The study of key-value caches on a small Llama."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.methods import key_value_cache as study
from analysis.models.llama import Llama
from analysis.models.packed_cache import PackedCache
from analysis.models.predictions import log_probabilities
from minifloat.caches import CacheRecipe
from tests.analysis.models.half_cache import HalfCache

TEXTS = np.random.default_rng(7).integers(0, 30, (3, 22))


def test_losses_and_divergences_are_those_of_the_model(llama: Llama) -> None:
    wide = CacheRecipe("int4/4/float16", "int4/4/float16", step=5, window=22)
    said = [log_probabilities(llama.logits(text[:-1])) for text in TEXTS]
    losses, divergences = study.measured(llama, TEXTS, PackedCache(llama, wide, 22, texts=3), said)
    for i, text in enumerate(TEXTS):
        shares = np.exp(llama.logits(text[:-1], HalfCache.of(llama, 21)).astype(np.float64))
        shares /= shares.sum(axis=1, keepdims=True)
        assert losses[i] == pytest.approx(-np.log(shares[range(21), text[1:]]).mean(), abs=1e-5)
        own = np.exp(llama.logits(text[:-1]).astype(np.float64))
        own /= own.sum(axis=1, keepdims=True)
        apart = (own * np.log(own / shares)).sum(axis=1).mean()
        assert divergences[i] == pytest.approx(apart, abs=1e-6)
    packed = replace_window(wide, 0)
    worse, far = study.measured(llama, TEXTS, PackedCache(llama, packed, 22, texts=3), said)
    for i, text in enumerate(TEXTS):
        alone = study.measured(llama, text[None], PackedCache(llama, packed, 22), said[i : i + 1])
        assert [worse[i], far[i]] == pytest.approx([each[0] for each in alone], abs=1e-5)
    assert np.abs(worse - losses).min() > 1e-3
    assert (far > 100 * divergences).all()


def replace_window(recipe: CacheRecipe, window: int) -> CacheRecipe:
    return CacheRecipe(recipe.keys, recipe.values, step=recipe.step, window=window)


def test_balancers_know_the_queries_and_the_keys(llama: Llama) -> None:
    first = study.balancers_of(llama, TEXTS)
    assert [b.shape for b in first] == [(2, 4)] * 2
    name = "blk.1.attn_q.weight"
    louder = replace(llama, matrices={**llama.matrices, name: 4 * np.asarray(llama.matrices[name])})
    second = study.balancers_of(louder, TEXTS)
    assert (second[0] == first[0]).all()
    np.testing.assert_allclose(second[1], 2 * first[1], rtol=2e-3)
    twice = {
        n: 2 * np.asarray(m) if n == "blk.0.attn_k.weight" else m for n, m in llama.matrices.items()
    }
    halved = study.balancers_of(replace(llama, matrices=twice), TEXTS)[0]
    np.testing.assert_allclose(halved * np.sqrt(2), first[0], rtol=2e-3)


def test_cases_are_all_different_and_described() -> None:
    every = list(study.cases())
    rows = [tuple(study.described(case).items()) for case in every]
    assert len(set(rows)) == len(every) > 20
