"""Stochastic accumulators: the slow model in matrices, threads, means, seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minifloat import arithmetic
from minifloat.arithmetic import Accumulator
from tests.arithmetic.slow_sums import random_word, same, slow_dot

KINDS = [
    "bfloat16:stochastic",
    "e6m9:stochastic_b/random_bits=3",
    "e4m3fn:stochastic_c/random_bits=2+product=e4m3fn",
    "float16:stochastic_equal/order=pairwise+random_bits=2",
    "bfloat16:stochastic/product=bfloat16+order=strided:3",
    "float32:stochastic/terms=4+bits=24",
    "e8m13:stochastic/terms=8+bits=13+promote=16",
    "float16:stochastic/terms=all",
    "fixed16.4:stochastic/overflow=wrap+order=reversed",
    "bfloat16:stochastic/bits=10+late=12+terms=2",
]


def matrices(m: int, n: int, p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers of 24 bits, and every second row of few bits, so that there are ties."""
    rng = np.random.default_rng(n)
    a, b, c = (rng.standard_normal(shape, np.float32) for shape in ((m, n), (n, p), (m, p)))
    for x in (a, b.T, c):
        x[::2] = np.rint(8 * x[::2]) / 8
    return a, b, c


@pytest.mark.parametrize("kind", KINDS)
def test_each_result_has_its_own_stream(kind: str) -> None:
    a, b, c = matrices(6, 18, 5)
    found = arithmetic.matmul(a, b, c, accumulator=kind, seed=11)
    accumulator = Accumulator.parse(kind)
    for i, row in enumerate(found):
        for j, value in enumerate(row):
            stream = random_word(11, i * 5 + j)
            assert same(value, slow_dot(a[i], b[:, j], c[i, j], accumulator, stream=stream))


@pytest.mark.parametrize("kind", KINDS)
def test_bits_depend_on_the_seed_and_the_place_alone(kind: str) -> None:
    a, b, c = matrices(70, 40, 30)
    found = arithmetic.matmul(a, b, c, accumulator=kind, seed=3)
    for threads in (1, 2, 3):
        again = arithmetic.matmul(a, b, c, accumulator=kind, seed=3, threads=threads)
        assert np.array_equal(found, again)
        rows = arithmetic.dot(a[:, None], b.T, c, accumulator=kind, seed=3, threads=threads)
        assert np.array_equal(found, rows)
    assert np.array_equal(found, arithmetic.linear(a, b.T, c, accumulator=kind, seed=3))
    batch = arithmetic.matmul(
        a.reshape(7, 10, 40), b, c.reshape(7, 10, 30), accumulator=kind, seed=3
    )
    assert np.array_equal(found, batch.reshape(70, 30))
    assert not np.array_equal(found, arithmetic.matmul(a, b, c, accumulator=kind, seed=4))


def test_the_start_of_a_longer_sum_is_the_shorter_one() -> None:
    x = np.random.default_rng(0).standard_normal((50, 200), np.float32)
    long = [arithmetic.sum(x[:, :k], accumulator="bfloat16:stochastic", seed=1) for k in (99, 100)]
    step = arithmetic.sum(x[:, 99:100], long[0], accumulator="bfloat16:upward")
    below = arithmetic.sum(x[:, 99:100], long[0], accumulator="bfloat16:downward")
    assert ((long[1] == step) | (long[1] == below)).all()
    assert (long[1] == step).any()
    assert (long[1] == below).any()


def test_the_mean_is_the_exact_sum() -> None:
    """Each rounding has the mean of its sum, so a sum has its exact value as mean (to 24 bits)."""
    x = np.full((4000, 300), 0.001)
    for fmt in ("bfloat16", "float16", "e4m3fn", "fixed16.8"):
        sums = arithmetic.sum(x, dtype=float, accumulator=f"{fmt}:stochastic", seed=5)
        error = sums.std() / np.sqrt(len(sums))
        assert abs(sums.mean() - 0.3) < 4 * error, fmt
        assert abs(arithmetic.sum(x[0], accumulator=fmt) - 0.3) > 4 * error, fmt


def test_few_bits_lose_small_terms() -> None:
    """With n bits a fraction below 2**-n never rounds away."""
    x = [1.0] + [2.0**-11] * 500  # fractions of 1/16 in bfloat16
    assert arithmetic.sum(x, accumulator="bfloat16:stochastic/random_bits=3", seed=0) == 1
    assert arithmetic.sum(x, accumulator="bfloat16:stochastic/random_bits=4", seed=0) > 1


def test_as_many_random_bits_as_there_is_room_for() -> None:
    """A bit more, and what float64 rounds to odd would be taken for a half step."""
    accumulator = Accumulator("e8m40", rounding="stochastic_b")
    bits = accumulator.random_bits
    assert bits is not None
    for seed in range(20):
        r = random_word(random_word(seed, 0), 0) >> 64 - bits
        threshold = (2 ** (bits + 1) - 2 * r - 1) * 2.0 ** -(bits + 1 + 40)
        below = threshold - 2.0**-53
        for term, away in ((threshold, True), (below, False)):
            found = arithmetic.sum([term], 1.0, accumulator=accumulator, seed=seed)
            assert found == 1 + away * 2.0**-40


def test_text() -> None:
    for text in ("bfloat16:stochastic", "e4m3fn:stochastic_b/terms=2+random_bits=8"):
        assert str(Accumulator.parse(text)) == text
    for text in KINDS:
        assert Accumulator.parse(str(Accumulator.parse(text))) == Accumulator.parse(text)
    assert Accumulator("bfloat16", rounding="stochastic").random_bits == 24
    assert Accumulator("e8m40", rounding="stochastic").random_bits == 10
    assert Accumulator("float32").random_bits is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulator": "bfloat16:stochastic"}, "seed must be given for rounding=stochastic"),
        ({"accumulator": "bfloat16", "seed": 1}, "seed must be None for rounding=nearest_even"),
        ({"accumulator": "bfloat16:stochastic", "seed": -1}, "seed must be in 0"),
        ({"accumulator": "bfloat16:stochastic", "seed": 1 << 64}, "seed must be in 0"),
        ({"accumulator": "bfloat16:stochastic", "seed": 0.5}, "seed must be an int"),
        ({"unit": "hopper/float16/float32", "seed": 0}, "seed must be None for rounding=toward"),
    ],
)
def test_seeds(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        arithmetic.dot([1.0], [1.0], **options)


def test_arrays_of_a_format_draw_by_their_own_rounding() -> None:
    with pytest.raises(ValueError, match="accumulator must not be stochastic"):
        arithmetic.Context("bfloat16", accumulator="bfloat16:stochastic")
