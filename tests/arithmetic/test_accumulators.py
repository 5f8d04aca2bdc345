"""Accumulators: text, checks, orders, and the slow model over all that one can be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat import arithmetic
from minifloat.arithmetic import UNITS, Accumulator, SumFormat, Unit
from tests.arithmetic.slow_sums import random_word, same, slow_dot

FORMATS = [
    "float32", "float16", "bfloat16", "tf32", "e8m13", "e6m9", "e4m3fn", "e5m2", "e3m4ieee", "e2m2",
    "e5m22", "int8", "int32", "fixed16.8", "fixed24.20",
]  # fmt: skip
MODES = list(mf.Rounding)
SEED = 7


@st.composite
def accumulators(draw: Any) -> Accumulator:
    fmt = SumFormat.parse(draw(st.sampled_from(FORMATS)))
    kinds = ["saturate"] + ["infinity"] * fmt.has_inf + ["wrap"] * fmt.is_fixed
    options: dict[str, Any] = {
        "rounding": draw(st.sampled_from(MODES)),
        "overflow": draw(st.sampled_from(kinds)),
        "flush": not fmt.is_fixed and draw(st.booleans()),
    }
    how = draw(st.sampled_from(["one", "exact", "aligned", *["late"] * (not fmt.is_fixed)]))
    if how == "one":
        trees = [((0, 1), (2, (3, 4))), (((4, 3), 2), (1, 0))]
        words = ["pairwise:2", "pairwise:4", "blocks:3", "strided:2", "strided:4", "pairwise"]
        order = draw(st.sampled_from(["sequential", "reversed", "split:4", *words, *trees]))
        product = draw(st.sampled_from([None, "float32", "bfloat16", "e4m3fn"]))
        options |= {"order": order, "product": product}
    elif how == "exact":
        options["terms"] = draw(st.sampled_from([2, 3, 4, "all"]))
    else:
        options["bits"] = draw(st.integers(1, 36))
        options["terms"] = draw(st.sampled_from([1, 2, 3, 4, 8]))
        options["floor"] = draw(st.sampled_from([None, -133, -20, 3]))
        if how == "late":
            options |= {
                "late": draw(st.integers(1, 36)), "lanes": draw(st.integers(1, 2)),
                "drops": draw(st.booleans()), "floor": None,
                "limit": draw(st.sampled_from([None, 0, 20, 128])),
            }  # fmt: skip
        else:
            options["cut"] = draw(st.sampled_from(["toward_zero", "downward", "nearest_even"]))
            if options["terms"] in (2, 4, 8):
                options["group"] = draw(st.sampled_from([1, 2]))
    if how != "one":
        options["order"] = draw(st.sampled_from(["sequential", "reversed", "split:4", "split:6"]))
    if options["order"] in ("sequential", "reversed", "split:4") and draw(st.booleans()):
        options["promote"] = draw(st.sampled_from([1, 2, 3, 4]))
        options["outer"] = draw(st.sampled_from(["float32", "float16", "e4m3fn", "int8"]))
    return Accumulator(fmt, **options)


def numbers() -> st.SearchStrategy[float]:
    """float32 numbers: near to one another, of all exponents, and special ones."""
    near = st.integers(-64, 64).map(lambda n: n / 16)
    return st.one_of(
        near, near, near.map(lambda x: x * 2.0**-20), st.floats(width=32, allow_nan=False),
        st.sampled_from([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-45, 3e38]),
    )  # fmt: skip


@settings(max_examples=150)
@given(
    accumulators(),
    st.lists(st.tuples(numbers(), numbers()), min_size=5, max_size=5),
    numbers(),
)
def test_every_accumulator_is_the_slow_model(
    accumulator: Accumulator, pairs: list[tuple[float, float]], c: float
) -> None:
    if accumulator.overflow == "wrap" and not all(map(math.isfinite, [c, *sum(pairs, ())])):
        c, pairs = 1.0, [(1.5, -2.0), (100.0, 3.0), (1e6, 1e3), (-0.25, 0.5), (7.0, 7.0)]
    if accumulator.overflow == "wrap":  # what float64 holds of a number that wraps around
        c, pairs = c % 1e6, [(x % 1e6, y % 1e6) for x, y in pairs]
    a, b = np.array(pairs, np.float32).T
    seed = SEED if accumulator.rounding.is_stochastic else None
    fast = arithmetic.dot(a, b, np.float32(c), accumulator=accumulator, seed=seed)
    slow = slow_dot(a, b, np.float32(c), accumulator, stream=random_word(SEED, 0))
    assert same(fast, slow), (accumulator, fast, slow)


@given(accumulators())
def test_text_means_the_accumulator(accumulator: Accumulator) -> None:
    assert Accumulator.parse(str(accumulator)) == accumulator
    assert hash(Accumulator.parse(str(accumulator).upper())) == hash(accumulator)


def test_text_of_all_units() -> None:
    for unit in UNITS.values():
        assert Accumulator.parse(str(unit.accumulator)) == unit.accumulator


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("float33", "accumulator must be a known format name"),
        ("uint8", "with a sign"),
        ("e8m0", "with a sign"),
        ("nf4", "accumulator must be float32"),
        ("e9m30", "2..8 exponent bits"),
        ("e8m41", "1..40 mantissa bits"),
        ("int49", "2..48 bits"),
        ("fixed8.8", "fewer of them"),
        ("float32:up", "rounding must be one of"),
        ("float32:stochastic/random_bits=29", "random_bits must be in 1..28"),
        ("e8m30:stochastic/random_bits=21", "random_bits must be at most 20"),
        ("float32/random_bits=8", "must come with a stochastic"),
        ("float64:stochastic", "rounding must be its default in float64"),
        ("float32/", "options must be"),
        ("float32/terms", "options must be"),
        ("float32/flush=1", "options must be"),
        ("float32/terms=2+terms=2", "options must be"),
        ("float32/rounding=upward", "options must be"),
        ("float32/terms=0", "terms must be in"),
        ("float32/terms=two", "terms must be an int"),
        ("float32/bits=41", "bits must be in"),
        ("float32/terms=all+bits=24", "terms must be an int with bits"),
        ("float32/terms=512+bits=40", "terms must be at most 255"),
        ("float32/floor=-133", "floor must come with bits"),
        ("float32/group=2", "group must come with bits"),
        ("float32/cut=downward", "cut must come with bits"),
        ("float32/cut=upward+bits=3", "cut must be one of"),
        ("float32/terms=4+bits=24+group=3", "group must divide"),
        ("float32/terms=4+bits=24+group=2+late=31", "group must divide"),
        ("float32/terms=4+bits=24+lanes=2", "lanes must come with late"),
        ("float32/terms=4+bits=24+drops", "drops must come with late"),
        ("float32/terms=4+bits=24+cut=downward+limit=9", "cut must be"),
        ("float32/terms=4+product=float16", "product must be its default"),
        ("float32/terms=4+order=pairwise", "order must be its default"),
        ("float32/order=sideways", "order must be"),
        ("float32/order=((0,1),1)", "each index"),
        ("float32/order=(0,1,2)", "pairs of pairs"),
        ("float32/order=(0,", "order must be"),
        ("float32/order=pairwise+promote=128", "order must be sequential"),
        ("float32/overflow=wrap", "not be wrap"),
        ("e2m2/overflow=infinity", "has no infinity"),
        ("float32/overflow=raise", "overflow must be one of"),
        ("int8/flush", "no subnormals"),
        ("int8/bits=4+late=4", "no exponents"),
    ],
)
def test_what_an_accumulator_cannot_be(text: str, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Accumulator.parse(text)


def test_types_are_checked() -> None:
    for wrong in (3, None, ["float32"]):
        with pytest.raises(TypeError, match="accumulator must be"):
            Accumulator.parse(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="unit must be"):
            Unit.parse(wrong)  # type: ignore[arg-type]
    for text in ("float32:upward", "float32/terms=8"):
        with pytest.raises(ValueError, match=r"must be a format alone.*Accumulator.parse"):
            Accumulator(text)
    with pytest.raises(TypeError, match="drops must be a bool"):
        Accumulator("float32", terms=2, bits=24, late=31, drops=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"did you mean hopper/e4m3fn/float32"):
        Unit.parse("hopper/e4m3/float32")
    half, single = SumFormat.parse("float32"), Accumulator("float32")
    with pytest.raises(ValueError, match="output must hold the sums"):
        Unit((half,), "float16", single)
    with pytest.raises(ValueError, match="scale must come with"):
        Unit((half,), "float32", single, scale_block=32)
    with pytest.raises(ValueError, match="inputs must be"):
        Unit((mf.parse("int8"),), "float32", single)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fmt", "published"),
    [
        ("float16", 0.978515625), ("bfloat16", 0.5), ("e6m9", 0.9775390625), ("e4m3", 0.03125),
        ("e5m2", 0.015625),
    ],
)  # fmt: skip
def test_published_stagnation(fmt: str, published: float) -> None:
    """0.001 a thousand times, each sum rounded to the format."""
    assert arithmetic.sum([0.001] * 1000, accumulator=fmt) == published


def test_promotion_of_published_products() -> None:
    """Hopper's FP8 at 4096 terms: 7.46 %; promoted every 128 terms 5.54e-4; Blackwell 1.13e-6."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((64, 4096), np.float32) for _ in range(2))
    a, b = (mf.round_to(x * np.float32(448), "e4m3fn") for x in (a, b))
    exact = np.einsum("ik,ik->i", a.astype(float), b)

    def error(**how: Any) -> float:
        found = arithmetic.dot(a, b, dtype=np.float64, **how)
        return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))

    hopper = UNITS["hopper/e4m3fn/float32"].accumulator
    promoted = Accumulator.parse(f"{hopper}+promote=128")
    assert error(unit="hopper/e4m3fn/float32") == pytest.approx(7.46e-2, rel=0.02)
    assert error(accumulator=promoted) == pytest.approx(5.54e-4, rel=0.1)
    assert error(unit="blackwell/e4m3fn/float32") == pytest.approx(1.13e-6, rel=0.1)


def test_an_exact_sum_is_that_of_fsum() -> None:
    rng = np.random.default_rng(1)
    for spread in (0, 10, 120):
        x = rng.standard_normal((50, 300)) * 2.0 ** rng.integers(-spread, spread + 1, (50, 300))
        x = x.astype(np.float32)
        x[:, 1::2] = -x[:, ::2] * rng.choice([1, 1 + 2.0**-20], (50, 150)).astype(np.float32)
        expected = np.array([np.float32(math.fsum(row)) for row in x])
        assert np.array_equal(arithmetic.sum(x, accumulator="float32/terms=all"), expected)


def test_float32_sums_are_those_of_numpy() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((7, 100), np.float32)
    expected = np.cumsum(x, axis=1)[:, -1]
    assert np.array_equal(arithmetic.sum(x, accumulator="float32"), expected)
    backward = np.cumsum(x[:, ::-1], axis=1)[:, -1]
    assert np.array_equal(arithmetic.sum(x, accumulator="float32/order=reversed"), backward)
    halves = x[:, :64].copy()
    while halves.shape[1] > 1:
        halves = halves[:, ::2] + halves[:, 1::2]
    pairwise = arithmetic.sum(x[:, :64], accumulator="float32/order=pairwise")
    assert np.array_equal(pairwise, halves[:, 0])


def test_integers_wrap_and_saturate() -> None:
    x = np.array([100, 100, 100, -50])
    assert arithmetic.sum(x, accumulator="int8") == 77
    assert arithmetic.sum(x, accumulator="int8/overflow=wrap") == 250 - 256
    big = np.full(3, 2.0**30)
    assert arithmetic.sum(big, accumulator="int32") == 2**31 - 1
    assert arithmetic.sum(big, accumulator="int32/overflow=wrap") == 3 * 2**30 - 2**32
    assert arithmetic.sum(big, accumulator="int32").dtype == np.float64
    assert arithmetic.sum([0.3, 0.3], accumulator="fixed16.4") == 0.625
