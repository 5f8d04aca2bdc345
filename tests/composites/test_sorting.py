"""K-sort: the order is that of the keys, it is taken where it helps, and scores stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minifloat as mf
from minifloat.composites import sort_columns, sort_heads

RNG = np.random.default_rng(5)
W = RNG.standard_normal((24, 96)) * np.exp(RNG.standard_normal(96))
X = RNG.standard_normal((300, 96)) @ (np.eye(96) + 0.2 * RNG.standard_normal((96, 96)))
H = X.T @ X
RECIPE = "int4/16/float16"


def squares(w: Any, c: Any) -> float:
    return float(((w - np.asarray(c, np.float64)) ** 2).sum())


@pytest.mark.parametrize("by", ["norm", "absmax", "numbers"])
def test_columns_are_sorted_if_that_loses_less(by: str) -> None:
    numbers = (W**2).sum(axis=0) * H.diagonal()
    keys = {"norm": (W**2).sum(axis=0), "absmax": np.abs(W).max(axis=0), "numbers": numbers}[by]
    c = sort_columns(W, RECIPE, numbers if by == "numbers" else by)  # type: ignore[arg-type]
    assert c.order is not None
    assert np.array_equal(c.order, sorted(range(96), key=lambda k: keys[k]))
    assert c.dense == mf.quantize(W[:, c.order], RECIPE)
    assert squares(W, c) < squares(W, mf.quantize(W, RECIPE))
    assert c.parts["order"] == 96 * 7


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("with_hessian", [False, True])
def test_an_order_never_loses_more(seed: int, with_hessian: bool) -> None:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((8, 96))
    if seed < 3:  # in order already, but for a block of which each has one large column
        w[:, ::16] *= 3
    hessian = H if with_hessian else None
    c, plain = sort_columns(w, RECIPE, hessian=hessian), mf.quantize(w, RECIPE)

    def loss(q: Any) -> float:
        d = w - np.asarray(q, np.float64)
        return float(np.trace(d @ (H if with_hessian else np.eye(96)) @ d.T))

    assert loss(c) <= loss(plain)
    if c.order is None:
        assert c == mf.Composite(plain)
    else:
        assert loss(c) < loss(plain)


def test_a_bad_order_is_not_taken() -> None:
    w = W[:, np.argsort((W**2).sum(axis=0))]
    c = sort_columns(w, RECIPE, RNG.permutation(96).astype(float))
    assert c == mf.Composite(mf.quantize(w, RECIPE))


def test_gptq_in_that_order() -> None:
    c = sort_columns(W, "int3/16/float16", H.diagonal(), hessian=H, damp=0.01)
    order = np.argsort(H.diagonal(), kind="stable")
    want = mf.gptq(W[:, order], "int3/16/float16", H[np.ix_(order, order)])
    plain = mf.gptq(W, "int3/16/float16", H)
    found = mf.Composite(want, order=order)
    losses = [np.trace((W - np.asarray(q)) @ H @ (W - np.asarray(q)).T) for q in (found, plain)]
    assert c == (found if losses[0] < losses[1] else mf.Composite(plain))


@pytest.mark.parametrize("groups", [1, 3])
def test_scores_of_sorted_heads_are_the_same(groups: int) -> None:
    size, heads = 8, 2
    w_key = RNG.standard_normal((heads * size, 20)) * np.exp(RNG.standard_normal((heads * size, 1)))
    w_query = RNG.standard_normal((heads * groups * size, 20))
    x = RNG.standard_normal((5, 20))
    sorted_key, sorted_query, order = sort_heads(w_key, w_query, size)
    assert np.array_equal(sorted_key, w_key[order])
    for head in range(heads * groups):
        at, own = slice(head * size, (head + 1) * size), head // groups
        rows = slice(own * size, (own + 1) * size)
        before = (x @ w_query[at].T) @ (x @ w_key[rows].T).T
        after = (x @ sorted_query[at].T) @ (x @ sorted_key[rows].T).T
        np.testing.assert_allclose(after, before, rtol=1e-12)
        norms = (sorted_key[rows] ** 2).sum(axis=1)
        assert (np.diff(norms) >= 0).all()
    wrong = sort_heads(w_key, w_query, heads * size)[0]  # the mistake: across heads
    assert not np.array_equal(np.sort(wrong[:size], 0), np.sort(w_key[:size], 0))


def turned(rows: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Turn channels i and i + half of a vector by an angle (rotary embeddings)."""
    first, second = np.split(rows, 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def test_pairs_that_turn_together_stay_together() -> None:
    size = 8
    w_key, w_query = RNG.standard_normal((2, size, 20)) * np.arange(size, 0, -1)[:, np.newaxis]
    x, angles = RNG.standard_normal((5, 20)), RNG.random((5, size // 2))
    sorted_key, sorted_query, order = sort_heads(w_key, w_query, size, pairs=True)
    assert np.array_equal(order[size // 2 :], order[: size // 2] + size // 2)
    before = turned(x @ w_query.T, angles) @ turned(x @ w_key.T, angles).T
    own = angles[:, order[: size // 2]]
    after = turned(x @ sorted_query.T, own) @ turned(x @ sorted_key.T, own).T
    np.testing.assert_allclose(after, before, rtol=1e-12)
    wrong = turned(x @ sorted_query.T, angles) @ turned(x @ sorted_key.T, angles).T
    assert np.abs(wrong - before).max() > 0.01


def test_sorted_keys_lose_less() -> None:
    w_key = RNG.standard_normal((32, 20)) * np.exp(0.5 * RNG.standard_normal((32, 1)))
    x = RNG.standard_normal((200, 20))
    own = sort_heads(w_key, w_key, 32)[0]
    plain, found = ((x @ w.T) for w in (w_key, own))
    errors = [squares(k, mf.quantize(k, "int4/8/float16")) for k in (plain, found)]
    assert errors[1] < errors[0]


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "by": (lambda: sort_columns(W, RECIPE, "size"), ValueError, "by must be norm, absmax or"),
    "short": (lambda: sort_columns(W, RECIPE, [1.0]), ValueError, "by must be 96 finite numbers"),
    "NaN": (lambda: sort_columns(W, RECIPE, np.full(96, np.nan)), ValueError, "finite numbers"),
    "1-d": (lambda: sort_columns(W[0], RECIPE), ValueError, r"got shape \(96,\)"),
    "damp": (lambda: sort_columns(W, RECIPE, damp=0.1), ValueError, "damp must come with a hess"),
    "hessian": (lambda: sort_columns(W, RECIPE, hessian=H[:3]), ValueError, "hessian must have"),
    "head": (lambda: sort_heads(W, W, 7), ValueError, "w_key must have rows for heads of 7"),
    "size": (lambda: sort_heads(W, W, 0), ValueError, "head_size must be"),
    "query": (lambda: sort_heads(W, W[:20], 8), ValueError, "a multiple of the 24 rows"),
    "pairs": (lambda: sort_heads(W, W, 3, pairs=True), ValueError, "head_size must be even"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str) -> None:
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()
