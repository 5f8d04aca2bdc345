"""Key-value caches against one that is written token by token, and their bits counted by hand."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.caches import CacheRecipe, KeyValueCache, channel_balancer, pieces
from tests.caches.slow_cache import SlowCache

HEADS, GROUP, LENGTH, TOKENS = 2, 3, 16, 44
KIVI = CacheRecipe("uint4/8/float16/zero-point", "uint4/8/float16/zero-point", step=8, window=5)
BALANCER = np.random.default_rng(1).uniform(0.5, 2, (HEADS, LENGTH)).astype(np.float16)
CASES: dict[str, tuple[CacheRecipe, np.ndarray | None]] = {
    "kivi": (KIVI, None),
    "no window": (CacheRecipe("int4/8/float16", "e2m1/16/e4m3fn", step=8), None),
    "other axes": (
        CacheRecipe("e2m2/8/float16", "int4/channel/float16", keys_along="channels",
                    values_along="tokens", step=4, window=3, first=2), None),
    "rotated": (
        CacheRecipe("int4/16/float16/hadamard16", "int4/16/float16", keys_along="channels",
                    step=1), None),
    "balanced": (
        CacheRecipe("int3/16/float16", "int3/16/float16", keys_along="channels", step=4), BALANCER),
    "heavy": (
        CacheRecipe("uint3/channel/float16/zero-point", "uint3/channel/float16/zero-point",
                    keys_along="channels", step=4, window=6, first=1, heavy=7), BALANCER),
    "heavy in int8": (
        CacheRecipe("int4/8/float16", "int4/8/float16", step=8, heavy=5,
                    heavy_recipe="int8/channel/float16"), None),
}  # fmt: skip


def draws() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys and values, (HEADS, TOKENS, LENGTH), and queries sharp enough that some tokens win."""
    rng = np.random.default_rng(0)
    keys, values = rng.standard_normal((2, HEADS, TOKENS, LENGTH)).astype(np.float32)
    queries = 2 * rng.standard_normal((HEADS * GROUP, TOKENS, LENGTH)).astype(np.float32)
    keys[:, :, 3] *= 8  # a channel with large keys
    return keys, values, queries


def run(
    recipe: CacheRecipe, balancer: np.ndarray | None, sizes: list[int]
) -> tuple[KeyValueCache, np.ndarray]:
    """Append and attend, so many tokens at a time; all outputs."""
    keys, values, queries = draws()
    cache = KeyValueCache(recipe, HEADS, LENGTH, balancer=balancer)
    outputs, start = [], 0
    for size in sizes:
        part = slice(start, start + size)
        cache.append(keys[:, part], values[:, part])
        outputs.append(cache.attend(queries[:, part]))
        start += size
    return cache, np.concatenate(outputs, axis=1)


def slow(
    recipe: CacheRecipe, balancer: np.ndarray | None, **mistakes: Any
) -> tuple[list[SlowCache], np.ndarray]:
    keys, values, queries = draws()
    heads = [
        SlowCache(recipe, LENGTH, None if balancer is None else balancer[head], **mistakes)
        for head in range(HEADS)
    ]
    outputs = np.empty(queries.shape)
    for t in range(TOKENS):
        for h, head in enumerate(heads):
            head.append(keys[h, t], values[h, t])
            served = slice(h * GROUP, (h + 1) * GROUP)
            outputs[served, t] = head.attend(queries[served, t])
    return heads, outputs


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


@pytest.mark.parametrize("case", CASES)
def test_a_cache_is_the_one_that_goes_token_by_token(case: str) -> None:
    recipe, balancer = CASES[case]
    cache, outputs = run(recipe, balancer, [1] * TOKENS)
    heads, expected = slow(recipe, balancer)
    assert apart(outputs, expected) < 2e-5
    keys = np.array([[t.key for t in head.all()] for head in heads], np.float32)
    values = np.array([[t.value for t in head.all()] for head in heads], np.float32)
    np.testing.assert_allclose(cache.keys(), keys, rtol=3e-7, atol=1e-6)
    np.testing.assert_allclose(cache.values(), values, rtol=3e-7, atol=1e-6)
    assert cache.packed_tokens == len(heads[0].packed) > 0


@pytest.mark.parametrize("case", CASES)
def test_a_step_at_a_time_is_token_by_token(case: str) -> None:
    """Here more queries come at once than products with packed codes are used for."""
    recipe, balancer = CASES[case]
    one, outputs = run(recipe, balancer, [1] * TOKENS)
    sizes = [recipe.first + recipe.window, *[recipe.step] * TOKENS]
    ends = np.minimum(np.cumsum(sizes), TOKENS)
    steps = [int(size) for size in np.diff(ends, prepend=0) if size]
    other, together = run(recipe, balancer, steps)
    assert apart(outputs, together) < 2e-5
    assert (one.keys() == other.keys()).all()
    assert (one.values() == other.values()).all()
    assert one.bits == other.bits


@pytest.mark.parametrize(
    ("case", "mistake"),
    [
        ("kivi", {"late": 1}),
        ("no window", {"late": -1}),
        ("heavy", {"last_attention_only": True}),
        ("heavy", {"values_balanced": True}),
        ("heavy in int8", {"heavy_twice": True}),
    ],
    ids=str,
)
def test_the_slow_cache_sees_mistakes(case: str, mistake: dict[str, Any]) -> None:
    recipe, balancer = CASES[case]
    _, outputs = run(recipe, balancer, [1] * TOKENS)
    assert apart(outputs, slow(recipe, balancer, **mistake)[1]) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_copies_go_on_by_themselves(case: str) -> None:
    keys, values, queries = draws()
    cache, _ = run(*CASES[case], [1] * 30)
    before = cache.keys(), cache.values(), cache.bits
    for copied in (copy.copy(cache), copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        outputs = []
        for t in range(30, TOKENS):
            copied.append(keys[:, t : t + 1], values[:, t : t + 1])
            outputs.append(copied.attend(queries[:, t : t + 1]))
        whole, expected = run(*CASES[case], [1] * TOKENS)
        assert np.array_equal(np.concatenate(outputs, axis=1), expected[:, 30:])
        assert np.array_equal(copied.keys(), whole.keys())
        assert np.array_equal(cache.keys(), before[0])
        assert np.array_equal(cache.values(), before[1])
        assert cache.bits == before[2]


def test_packed_products_are_those_of_the_dequantized(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((HEADS, 8, LENGTH)).astype(np.float32)
    for along in ("tokens", "channels"):
        piece = pieces.Piece.of(x, mf.Recipe.parse("e2m2/8/float16"), along)
        y = rng.standard_normal((HEADS, pieces.FEW, LENGTH)).astype(np.float32)
        p = rng.standard_normal((HEADS, pieces.FEW, 8)).astype(np.float32)
        assert apart(piece.dequantize(), x) < 0.4
        for result, expected in (
            (piece.dots(y), y @ piece.dequantize().swapaxes(1, 2)),
            (piece.sums(p), p @ piece.dequantize()),
        ):
            assert apart(result, expected) < 1e-5


def test_what_a_recipe_holds_exactly_comes_back_bit_for_bit() -> None:
    rng = np.random.default_rng(3)
    keys, values = rng.integers(-7, 8, (2, HEADS, 40, LENGTH)).astype(np.float16)
    for x in (keys, values):
        x[:, ::8], x[:, :, ::8] = 7, -7  # absmax of each block, in both directions
    recipe = CacheRecipe("int4/8/float16", "int4/8/float16", step=8)
    cache = KeyValueCache(recipe, HEADS, LENGTH)
    cache.append(keys, values)
    cache.pack()
    assert cache.packed_tokens == 40
    assert (cache.keys() == keys).all()
    assert (cache.values() == values).all()


def test_all_bits_are_counted() -> None:
    """64 tokens of 2 heads of 16 channels; of each head 40 are packed, 4 heavy, 20 wide."""
    rng = np.random.default_rng(4)
    keys, values = rng.standard_normal((2, HEADS, 64, LENGTH))
    recipe = CacheRecipe(
        "int4/8/float16", "uint2/16/float16/zero-point", step=4, window=18, first=2, heavy=4,
        heavy_recipe="int8/channel/bfloat16",
    )  # fmt: skip
    cache = KeyValueCache(recipe, HEADS, LENGTH, balancer=BALANCER)
    assert np.isnan(cache.bits_per_value)
    cache.append(keys, values)
    assert cache.bits_per_value == (2 * 2 * 64 * 16 * 16 + 2 * 16 * 16 + 2 * 64 * 32) / 4096
    cache.pack()
    assert (cache.tokens, cache.packed_tokens) == (64, 40)
    packed_keys = 40 * 16 * 4 + 40 // 4 * 16 * 16  # a scale for 4 tokens of a channel
    packed_values = 40 * 16 * 2 + 40 * (16 + 2)
    wide = 20 * 2 * 16 * 16
    heavy = 4 * 2 * (16 * 8 + 16)
    positions, attention = (40 + 4) * 6, (4 + 20) * 32
    each = packed_keys + packed_values + wide + heavy + positions + attention + 16 * 16
    assert cache.bits == 2 * each
    assert cache.nbytes == 2 * each // 8
    assert cache.bits_per_value == 2 * each / (2 * 2 * 64 * 16)


def test_the_tokens_with_most_attention_stay_wide() -> None:
    keys = np.zeros((1, 12, 4), np.float32)
    keys[0, [2, 7]] = 4  # all queries look there
    values = np.arange(48, dtype=np.float32).reshape(1, 12, 4) / 7
    recipe = CacheRecipe("int2/4/float16", "int2/4/float16", step=1, heavy=2)
    cache = KeyValueCache(recipe, 1, 4)
    for t in range(12):
        cache.append(keys[:, t : t + 1], values[:, t : t + 1])
        if t >= 2:  # the first token has all attention of its own query
            cache.attend(np.ones((1, 1, 4), np.float32))
    exact = (cache.values() == values.astype(np.float16)).all(axis=(0, 2))
    assert np.flatnonzero(exact).tolist() == [2, 7, 11]


def test_balancers_make_keys_as_large_as_queries() -> None:
    rng = np.random.default_rng(5)
    queries = rng.standard_normal((4, 30, 8)) * np.exp(rng.standard_normal(8))
    keys = rng.standard_normal((2, 20, 8)) * np.exp(rng.standard_normal(8))
    b = channel_balancer(queries, keys).astype(np.float64)
    balanced = np.abs(keys * b[:, None]).max(axis=1)
    divided = np.abs(queries.reshape(2, 60, 8) / b[:, None]).max(axis=1)
    np.testing.assert_allclose(balanced, divided, rtol=2e-3)
    keys[0, :, 3], queries[2:, :, 4] = 0, 0
    b = channel_balancer(queries, keys)
    assert b[0, 3] == b[1, 4] == 1
    assert channel_balancer([[[1e300]]], [[[1e-300]]]) == np.finfo(np.float16).max
    assert channel_balancer([[[1e-300]]], [[[1e300]]]) == np.float16(2.0**-24)


def test_tokens_that_cannot_be_packed_leave_the_cache_as_it_is() -> None:
    recipe = CacheRecipe("int4/4/float16", "int2/4/e4m3fn", step=2, heavy=1)
    cache = KeyValueCache(recipe, 1, 4)
    rng = np.random.default_rng(6)
    for scale in (1, 1, 1, 9e3):  # beyond E4M3's 448
        cache.append(rng.standard_normal((1, 2, 4)), scale * rng.uniform(0.5, 1, (1, 2, 4)))
        cache.attend(rng.standard_normal((1, 2, 4)))
    before = cache.keys(), cache.values(), cache.bits
    for call in (cache.pack, lambda: cache.append(np.ones((1, 1, 4)), np.ones((1, 1, 4)))):
        with pytest.raises(ValueError, match="e4m3fn"):
            call()
        assert (cache.keys() == before[0]).all()
        assert (cache.values() == before[1]).all()
        assert (cache.tokens, cache.bits) == (8, before[2])


def test_queries_are_of_tokens_in_the_window() -> None:
    cache = KeyValueCache(recipe_of(step=4, first=3), 1, 4)
    cache.append(np.ones((1, 9, 4)), np.ones((1, 9, 4)))
    cache.attend(np.ones((1, 9, 4)))  # all are wide
    cache.pack()
    cache.attend(np.ones((1, 2, 4)))
    with pytest.raises(ValueError, match="queries must be of 1 to 2 last tokens, got 3"):
        cache.attend(np.ones((1, 3, 4)))


def recipe_of(**options: Any) -> CacheRecipe:
    return CacheRecipe("int4/8/float16", "int4/8/float16", **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: recipe_of(step=0), ValueError, "step must be"),
        (lambda c: recipe_of(window=-1), ValueError, "window must be"),
        (lambda c: recipe_of(keys_along="time"), ValueError, "keys_along must be"),
        (lambda c: recipe_of(values_along=None), ValueError, "values_along must be"),
        (lambda c: recipe_of(heavy_recipe="int8"), ValueError, "heavy_recipe must be None"),
        (lambda c: CacheRecipe("uint4", "int4"), ValueError, "keys must have a format with neg"),
        (lambda c: CacheRecipe("int4", 3), TypeError, "recipe must be"),
        (lambda c: KeyValueCache("int4", 1, 1), TypeError, "recipe must be a CacheRecipe"),
        (lambda c: KeyValueCache(KIVI, 0, 1), ValueError, "heads must be"),
        (lambda c: KeyValueCache(KIVI, 1, 2.5), TypeError, "length must be"),
        (lambda c: KeyValueCache(KIVI, 1, 2, balancer=[[0, 1]]), ValueError, "positive numbers"),
        (lambda c: KeyValueCache(KIVI, 1, 2, balancer=[[1]]), ValueError, "balancer must be of"),
        (lambda c: KeyValueCache(CASES["rotated"][0], 1, 24), ValueError, "rotate parts of the ke"),
        (lambda c: c.append([[[1.0]]], [[[1.0]]]), ValueError, "keys must be of shape"),
        (lambda c: c.append([[[1.0, 2]]], np.ones((1, 2, 2))), ValueError, "values must be of 1"),
        (lambda c: c.append([[[1e9, 2]]], np.ones((1, 1, 2))), ValueError, "keys must be finite"),
        (lambda c: c.append([[["a", "b"]]], [[[1, 2]]]), TypeError, "keys must be"),
        (lambda c: c.attend(np.ones((3, 1, 2))), ValueError, "queries must be of 1 to 0 last"),
        (lambda c: c.attend(np.ones((3, 2))), ValueError, "queries must be of shape"),
        (lambda c: channel_balancer(np.ones((2, 1, 3)), np.ones((1, 1, 2))), ValueError, "length"),
        (lambda c: channel_balancer(np.ones((3, 1, 2)), np.ones((2, 1, 2))), ValueError, "multi"),
        (lambda c: channel_balancer([[[np.nan]]], [[[1.0]]]), ValueError, "must be finite"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call: Any, error: type[Exception], message: str) -> None:
    cache = KeyValueCache(KIVI, 1, 2)
    with pytest.raises(error, match=message):
        call(cache)
    assert cache.tokens == 0
