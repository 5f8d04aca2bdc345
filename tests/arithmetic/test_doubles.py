"""Float64: the fused multiply-add against fractions, chains, lists and exact sums."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifloat import _jit, arithmetic
from minifloat._kernels import fused
from minifloat.arithmetic import Accumulator
from tests.arithmetic.slow_sums import same, slow_dot


def exact_fma(x: float, y: float, z: float) -> float:
    """Return x * y + z of fractions, rounded once, with IEEE's signs of zero."""
    if not (math.isfinite(x) and math.isfinite(y)):
        return x * y + z
    if not math.isfinite(z):
        return z
    value = Fraction(x) * Fraction(y) + Fraction(z)
    if value == 0:
        product = math.copysign(1.0, x) * math.copysign(1.0, y)
        both = x * y == 0 == z and product < 0 and math.copysign(1.0, z) < 0
        return -0.0 if both else 0.0
    try:
        size = abs(value.numerator) / value.denominator
    except OverflowError:
        size = math.inf
    return size if value > 0 else -size


def hard_numbers(seed: int, size: int) -> np.ndarray:
    """Return triples of all exponents, few and many bits; cancelling, subnormal, beside a tie."""
    rng = np.random.default_rng(seed)

    def significands() -> np.ndarray:
        m = rng.integers(0, 2**53, size)
        few, power, many = m >> rng.integers(0, 53, size), 2 ** rng.integers(0, 53, size), m >> 40
        kinds = np.stack([m, few, power, 2**53 - 1 - many])
        return kinds[rng.integers(0, 4, size), np.arange(size)] * rng.choice([-1.0, 1.0], size)

    spread = rng.choice([1, 60, 300, 500], size)
    ex, ey = rng.integers(-spread, spread + 1), rng.integers(-spread, spread + 1)
    tiny = rng.random(size) < 0.3
    ex, ey = np.where(tiny, -540, ex), np.where(tiny, -rng.integers(400, 540, size), ey)
    x, y = np.ldexp(significands(), ex - 53), np.ldexp(significands(), ey - 53)
    z = np.ldexp(significands(), ex + ey - 53 + rng.integers(-120, 121, size))
    with np.errstate(all="ignore"):
        close = -x * y * (1 + rng.integers(-2, 3, size) * 2.0**-52)
    z = np.where(rng.random(size) < 0.3, close, z)
    tie = rng.random(size) < 0.1  # a product of 54 bits, and something small that decides
    x, y = (np.where(tie, rng.integers(2**26, 2**27, size) | 1, v) for v in (x, y))
    z = np.where(tie, np.ldexp(significands(), -rng.integers(20, 300, size)), z)
    special = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 2.0**-1022, 1.7976931348623157e308]
    )
    triples = np.stack([x, y, z])
    return np.where(rng.random((3, size)) < 0.02, rng.choice(special, (3, size)), triples)


def agree(found: Any, expected: list[float]) -> np.ndarray:
    found, right = np.asarray(found), np.array(expected)
    equal = (found == right) & (np.signbit(found) == np.signbit(right))
    return equal | (np.isnan(found) & np.isnan(right))


def mismatches(found: Any, triples: np.ndarray) -> list[Any]:
    right = [exact_fma(*triple) for triple in triples.T.tolist()]
    return triples.T[~agree(found, right)].tolist()


def plain(triples: np.ndarray) -> list[float]:
    with np.errstate(all="ignore"):
        return [fused.fma.__wrapped__(*t) if hasattr(fused.fma, "__wrapped__") else fused.fma(*t)
                for t in triples.T]  # fmt: skip


def test_fma_without_the_instruction() -> None:
    triples = hard_numbers(0, 3000)
    assert mismatches(plain(triples), triples) == []


def test_fma_of_the_cpu() -> None:
    _jit.load()
    triples = hard_numbers(1, 20_000)
    sums = triples[2].copy()
    fused.add_pairs_of_factors(np.ascontiguousarray(triples[:2].T[None]), sums)
    assert mismatches(sums, triples) == []


@pytest.mark.long
def test_fma_compiled_for_a_cpu_without_the_instruction() -> None:
    script = """
import numpy as np
from minifloat import _jit
from minifloat._kernels import fused
from tests.arithmetic.test_doubles import hard_numbers, mismatches
_jit.load()
triples = hard_numbers(2, 200_000)
sums = triples[2].copy()
fused.add_pairs_of_factors(np.ascontiguousarray(triples[:2].T[None]), sums)
assert mismatches(sums, triples) == []
code = next(iter(fused.add_pairs_of_factors.inspect_llvm().values()))
assert "llvm.fma" not in code and "call double @fma" not in code
"""
    old = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    subprocess.run([sys.executable, "-c", script], env=os.environ | old, check=True, timeout=600)


@pytest.mark.parametrize("step", ["_two_sum", "_two_product", "sum_to_odd"])
def test_every_step_of_fma_is_needed(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted mistakes: an error forgotten, a sum not rounded to odd."""
    wrong = {
        "_two_sum": lambda a, b: (np.float64(a + b), np.float64(0.0)),
        "_two_product": lambda a, b: (np.float64(a * b), np.float64(0.0)),
        "sum_to_odd": lambda a, b: np.float64(a + b),
    }
    monkeypatch.setattr(fused, step, wrong[step])
    triples = hard_numbers(3, 3000)
    assert mismatches(plain(triples), triples)


ORDERS = ["sequential", "reversed", "split:4", "split:6", "pairwise", "pairwise:2", "blocks:3",
          "strided:2", "strided:4", ((0, 1), (2, (3, 4))), (((4, 3), 2), (1, 0))]  # fmt: skip
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(
    FINITE, st.integers(-64, 64).map(lambda n: n / 16), st.floats(-2, 2), st.floats(-2, 2),
    st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e308]),
)  # fmt: skip


@given(
    st.sampled_from(ORDERS), st.booleans(), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=5,
    max_size=5), NUMBERS,
)  # fmt: skip
def test_every_order_is_the_slow_model(
    order: Any, rounds: bool, pairs: list[tuple[float, float]], c: float
) -> None:
    accumulator = Accumulator("float64", order=order, product="float64" if rounds else None)
    assert Accumulator.parse(str(accumulator)) == accumulator
    a, b = np.array(pairs).T
    slow = slow_dot(a, b, c, accumulator, (-1022, -1022))
    assert same(arithmetic.dot(a, b, c, accumulator=accumulator), slow)
    assert same(arithmetic.matmul(a, b, c, accumulator=accumulator), slow)
    several = arithmetic.matmul(
        np.stack([b, a, a]), np.stack([a, b], axis=1), c, accumulator=accumulator
    )
    assert same(several[1, 1], slow)
    ones = np.ones_like(a)
    alone = slow_dot(a, ones, c, accumulator, (-1022, -1022))
    assert same(arithmetic.sum(a, c, accumulator=accumulator), alone)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=9), NUMBERS)
def test_exact_sums_are_rounded_once(pairs: list[tuple[float, float]], c: float) -> None:
    a, b = np.array(pairs, float).reshape(-1, 2).T
    accumulator = Accumulator("float64/terms=all".partition("/")[0], terms="all")
    slow = slow_dot(a, b, c, accumulator, (-1022, -1022))
    assert same(arithmetic.dot(a, b, c, accumulator=accumulator), slow)
    assert same(arithmetic.matmul(a[None], b[:, None], c, accumulator=accumulator)[0, 0], slow)
    if np.isfinite(a).all() and abs(a).max(initial=0) < 1e300:
        assert arithmetic.sum(a, accumulator=accumulator) == math.fsum(a)


def test_plain_float64_is_numpy_float64() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((7, 300))
    assert np.array_equal(arithmetic.sum(x, accumulator="float64"), np.cumsum(x, axis=1)[:, -1])
    y = rng.standard_normal((7, 300))
    products = np.cumsum(x * y, axis=1)[:, -1]
    found = arithmetic.dot(x, y, accumulator="float64/product=float64")
    assert np.array_equal(found, products)
    assert (arithmetic.dot(x, y, accumulator="float64") != products).any()
    whole = arithmetic.matmul(x, y.T, accumulator="float64")
    assert np.array_equal(whole.diagonal(), arithmetic.dot(x, y, unit="hopper/float64/float64"))
    for threads in (2, 3):
        again = arithmetic.matmul(x, y.T, accumulator="float64", threads=threads)
        assert np.array_equal(again, whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("float64:upward", "rounding must be its default in float64"),
        ("float64/bits=24", "bits must be its default"),
        ("float64/flush", "flush must be its default"),
        ("float64/overflow=saturate", "overflow must be its default"),
        ("float64/promote=4", "promote must be its default"),
        ("float64/terms=4", "terms must be 1 or all"),
        ("float64/product=float32", "product must be float64"),
        ("float32/product=float64", "product must not be float64"),
        ("float32/promote=4+outer=float64", "outer must not be float64"),
        ("float32/outer=float16", "outer must come with promote"),
        ("float32/order=split:0", "order must be"),
        ("float32/order=split", "order must be"),
        ("float32/order=split:10000", "order must be"),
        ("float64/terms=all+order=pairwise", "order must be its default"),
    ],
)
def test_what_float64_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Accumulator.parse(text)
